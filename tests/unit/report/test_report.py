"""The report and the summary: complete, escaped, without anything from outside, honest about research runs."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from fedrisk.errors import StoreError
from fedrisk.findings import Finding
from fedrisk.models.directions import course_finding
from fedrisk.privacy.accounting import EpsilonByRelation
from fedrisk.report.html import render, write_report
from fedrisk.report.operator import budgets
from fedrisk.report.text import feature_words, number, points_words, privacy_words, summary
from fedrisk.report.words import sentence
from fedrisk.server.results import BankFigures, CalibrationGroup
from fedrisk.study import NO_PRIVACY
from support import pages

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("unplotted")]

VOID = {"meta", "line", "circle", "br"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(params=["private", "research"])
def both(request, finished):
    return finished[request.param]


def changed(results, **figures):
    return replace(results, **figures)


def shown(results):
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary(results))
    return console.export_text()


# --- page ---------------------------------------------------------------------------------------------------


@pytest.mark.plots
def test_the_page_is_well_formed_and_complete(both):
    page = Page(render(both))
    for word in ("Study tiny", "Privacy", "Who took part", "Scorecard", both.digest):
        assert word in page.text
    for b in both.card.bins:
        assert feature_words(b) in page.text
        assert "(known)" not in page.text
    assert sum(tag == "table" for tag, _ in page.tags) >= len(both.card.bins)
    assert "NaN" not in page.text
    assert "None" not in page.text


def test_points_come_with_their_errors_and_courses(both):
    """On the page and on the screen, in words; cards of earlier versions have neither."""
    card, page, screen = both.card, Page(render(both)).text, shown(both)
    for j, b in enumerate(card.bins):
        pairs = [points_words(p, e) for p, e in zip(card.points[j], card.errors_of(j), strict=True)]
        assert all(pair in page for pair in pairs)
        assert pairs[0].replace(" ± ", "±") in screen
        course = course_finding(b, card.points[j], card.errors_of(j))
        assert course is None or sentence(course) in page
    old = changed(both, card=replace(card, errors=None))
    assert "standard error: how far" in page
    assert "standard error: how far" not in Page(render(old)).text
    assert "points with standard errors" not in shown(old)


def test_a_curve_that_turns_is_marked(finished):
    card = finished["private"].card
    place = next(j for j, b in enumerate(card.bins) if b.ordered > 3 and not b.feature.leaning)
    points = [*card.points]
    points[place] = tuple(50 * (-1) ** k for k in range(len(points[place])))
    errors = tuple((1.0,) * len(p) for p in points)
    page = Page(render(changed(finished["private"], card=replace(card, points=tuple(points), errors=errors))))
    assert ("small", {"class": "turns"}) in page.tags
    assert "turns beyond its errors" in page.text


@pytest.mark.plots
def test_nothing_comes_from_outside(both):
    text = render(both)
    assert not re.search(r"https?:|//[a-z]|@import|url\([^#]|<script|<link|<iframe|<img", text)
    assert not [
        a
        for _, attrs in Page(text).tags
        for a, value in attrs.items()
        if a == "src" or (a == "href" and not value.startswith("#")) or a.startswith("on")
    ]
    assert not pages.of_file(text)


def test_a_research_run_is_marked_in_red(finished):
    page = Page(render(finished["research"]))
    assert NO_PRIVACY in page.text
    assert ("p", {"class": "alarm"}) in page.tags
    assert "There is no privacy in this run" in page.text
    assert "at delta" not in page.text
    assert "blind guess" not in page.text


def test_a_run_of_infinite_epsilon_is_reported(finished):
    """Prices are without end in memory, and the text "inf" in files."""
    for price in (math.inf, "inf", None):
        spends = tuple({**s, "mu": price, "research": True} for s in finished["research"].spends)
        results = changed(finished["research"], spends=spends, nominal_epsilon=None)
        page = Page(render(results))
        assert ("p", {"class": "alarm"}) in page.tags
        assert page.text.count("no privacy") > len(results.institutions)
        assert "inf" not in re.sub("information|inform", "", page.text)


def test_a_private_run_states_its_guarantee(finished):
    page = Page(render(finished["private"]))
    assert NO_PRIVACY not in page.text
    assert not any(attrs.get("class") == "alarm" for _, attrs in page.tags)
    assert "epsilon 8 at delta 1e-06 per enterprise and institution" in page.text
    assert "the hub not colluding with any of them" in page.text
    assert "not differentially private" in page.text


@pytest.mark.plots
def test_text_of_institutions_is_escaped(finished):
    """Meanings come from the institutions' own files; one of the consortium's holds markup on purpose."""
    text = render(finished["private"])
    assert "<b>sales</b>" not in text
    assert "change of &lt;b&gt;sales&lt;/b&gt; &amp; services" in text
    evil = "<script>alert('x')</script>"
    institutions = {
        name: replace(i, meanings={c: {"meaning": evil, "unit": evil} for c in i.meanings})
        for name, i in finished["private"].institutions.items()
    }
    label = {"horizon": evil, "selection": evil}
    institutions["bank"] = replace(institutions["bank"], label=label)
    results = changed(
        finished["private"], institutions=institutions, study=evil, engine=evil, expectation=Finding(evil)
    )
    text = render(results)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= len(results.card.bins) + 4


def test_categories_are_escaped(finished):
    results = finished["private"]
    first = results.card.bins[0]

    class Odd:
        feature, size = first.feature, first.size

        @staticmethod
        def labels():
            return ["<i onclick=x>", *first.labels()[1:]]

        ordered = first.ordered

    class Card:
        def __getattr__(self, name):
            return (Odd, *results.card.bins[1:]) if name == "bins" else getattr(results.card, name)

    assert "<i onclick" not in render(replace(results, card=Card()))


@pytest.mark.parametrize("rows", [None, (), (CalibrationGroup(predicted=0.2, observed=0.5, count=0.0),)])
def test_groups_without_enterprises_are_not_shown(finished, rows):
    page = Page(render(changed(finished["private"], calibration=rows, calibration_fit=None)))
    assert "Calibration in figures" not in page.text


@pytest.mark.plots
def test_curves_have_their_intervals(both):
    text = render(both)
    for caption in ("ROC curve", "KS", "gains", "calibration", "information value"):
        assert caption in text
    assert len(re.findall(r'<div role="img"', text)) >= 6
    assert re.search(
        rf"<b>{both.auc:.3f}</b><span>AUC</span><small>0\.\d{{3}} to [01]\.\d{{3}}</small>", text
    )


def test_what_a_study_cost_is_the_dearer_of_its_two_populations(finished):
    """Each line of the budgets says the study's own mu, and no sum over training and hold-out."""
    results = finished["private"]
    rows = budgets(results)
    assert [r["name"] for r in rows] == [*results.institutions]
    assert max(r["mu"] for r in rows) == pytest.approx(results.mu, rel=1e-6)


def test_missing_figures_are_dashes(finished):
    none = dict.fromkeys(
        ("auc", "ks", "gini", "brier", "auc_standard_error", "calibration", "calibration_fit")
    )
    page = Page(render(changed(finished["private"], **none)))
    assert "a bank's policy does not let them out" in page.text
    assert "None" not in page.text
    assert "–  –  –  –" in shown(changed(finished["private"], **none))


def test_the_table_of_banks(finished):
    figures = BankFigures(auc=0.7, ks=0.3, brier=0.1, holdout=13)
    results = changed(finished["private"], by_bank={"b_one": figures})
    assert "b_one" in Page(render(results)).text
    assert "b_one" in shown(results)


def test_the_report_is_written_beside_the_results(both, tmp_path):
    path = write_report(both, tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(both)
    with pytest.raises(StoreError, match=r"report\.html.report\.html cannot be written"):
        write_report(both, path)


# --- screen -------------------------------------------------------------------------------------------------


def test_the_summary_of_a_private_run(finished):
    text = shown(finished["private"])
    assert "study tiny" in text
    assert "epsilon 8 at delta 1e-06" in text
    assert NO_PRIVACY not in text
    assert number(finished["private"].auc) in text
    for release in ("edges", "counts", "evaluation"):
        assert release in text
    for b in finished["private"].card.bins:
        assert feature_words(b) in text


def test_the_summary_of_a_research_run(finished):
    text = shown(finished["research"])
    assert text.splitlines()[0].strip() == NO_PRIVACY
    assert "none (research run)" in text
    assert text.count("no privacy") >= 5  # each price, and the notice
    assert "epsilon 8" not in text


def test_privacy_in_words(finished):
    by_relation = EpsilonByRelation(mu=0.2368, delta=1e-6, zeroed=1.0, label_flipped=1.45, replaced=2.12)
    results = changed(
        finished["private"],
        research=False,
        epsilon=1.0,
        delta=1e-6,
        mu=0.2368,
        epsilon_by_relation=by_relation,
    )
    words = privacy_words(results)
    assert words == (
        "epsilon 1 at delta 1e-06 per enterprise and institution "
        "(mu 0.237; label flipped 1.45, replaced 2.12)"
    )
