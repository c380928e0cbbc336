"""A statistics study as people read it: page, screen, files and JSON say the same, and nothing of what is withheld."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest
from rich.console import Console

from fedrisk.analysis.estimates import computed, estimates
from fedrisk.language import speaking
from fedrisk.releases.statistics import CSV, FIGURES, PARQUET, Layout
from fedrisk.report.html import render, write_report
from fedrisk.report.statistics_view import amount, view
from fedrisk.report.text import main_figures, summary
from fedrisk.server.results import Results
from fedrisk.study import NO_PRIVACY
from support import pages
from support.statistics import made_record, results_of

VOID = {"meta", "line", "rect"}


class Page(HTMLParser):
    """Text of a page, and whether what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.text, self.open, self.tags = "", [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def screen(what):
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(what)
    return console.export_text()


@pytest.fixture(scope="module")
def record():
    return made_record()


@pytest.fixture(scope="module")
def results(record):
    return results_of(record)


def test_the_page_is_whole_and_says_what_it_has_to(results):
    text = render(results)
    page = Page(text)
    assert "http" not in text.replace("http-equiv", "")
    said = " ".join(page.text.split())
    for words in (
        "Study regional",
        "Number of enterprises, sum of sales (tax)",
        "say less than their noise",
        "at delta 1e-06",
        "95% of them hold the true figure",
        "All tables agree with each other",
        "What these figures do not say",
        "share of 1 in rare (tax)",
        "Values below 0 count as that, values above 100 as that.",
        "Prefecture",
        "sums of finer ones",
        "Privacy",
        "Institutions",
    ):
        assert words.lower() in said.lower(), words
    assert "nan" not in said
    assert "None" not in said


def test_view_has_the_figures_of_the_frame_and_no_others(record):
    found = estimates(record)
    shown = view(found)
    figures = [f for m in shown.measures for t in m.tables for r in t.rows for f in r.shown]
    assert len(figures) == found.frame["says"].sum() == shown.figures - shown.silent
    assert all(f.low <= f.place <= f.high for f in figures)
    for measure in shown.measures:
        for table in measure.tables:
            assert len(table.rows) + len(table.silent) == table.cells
    by_county = next(t for t in shown.measures[0].tables if t.name == "county")
    counts = [int(r.figures[0].estimate.replace(",", "")) for r in by_county.rows]
    assert counts == sorted(counts, reverse=True)


def test_what_is_withheld_stands_nowhere(tmp_path):
    """Noise so large that no figure is left: those that came out are searched for in all that is written."""
    record = made_record(mu=1e-4)
    results = results_of(record)
    assert not estimates(record).frame["says"].any()
    results.save(tmp_path)
    write_report(results, tmp_path)
    raw = computed(record).frame
    files = [p.read_text() for p in tmp_path.iterdir() if p.suffix in (".csv", ".html", ".json")]
    said = [*files, screen(summary(results)), screen(main_figures(results))]
    assert len(files) == 3
    for value in raw.loc[raw["measure"].isin(["count", "sales"]) & (raw["estimate"].abs() > 1e4), "estimate"]:
        for form in (f"{abs(value):.0f}", f"{abs(value):,.0f}"):
            assert not any(re.search(rf"(?<![\d.,]){form}(?!\d)", text) for text in said)
    for frame in (pd.read_csv(tmp_path / CSV), pd.read_parquet(tmp_path / PARQUET)):
        assert frame[list(FIGURES)].isna().all(axis=None)
        assert not frame["says"].any()


def test_files_hold_the_same_as_the_frame_and_go_with_the_results(results, record, tmp_path):
    results.save(tmp_path / "out")
    frame = estimates(record).frame
    for read in (pd.read_csv(tmp_path / "out" / CSV), pd.read_parquet(tmp_path / "out" / PARQUET)):
        assert list(read) == list(frame)
        assert read["estimate"].to_numpy() == pytest.approx(frame["estimate"].to_numpy(), nan_ok=True)
        assert (read["says"] == frame["says"]).all()
    back = Results.load(tmp_path / "out")
    assert Page(render(back)).text == Page(render(results)).text
    # Results of another study take their place.
    replace(results, record=None).save(tmp_path / "out")
    assert not (tmp_path / "out" / CSV).exists()
    results.save(tmp_path / "kept", private=True)
    assert not (tmp_path / "kept" / PARQUET).exists()


def test_a_record_that_cannot_be_read_loses_no_results(results, record, tmp_path):
    broken = replace(record, releases=(replace(record.releases[0], about={}),))
    results_of(broken).save(tmp_path)
    assert (tmp_path / "release_record.npz").exists()
    assert not (tmp_path / CSV).exists()


def test_the_screen_shows_the_largest_and_how_many_more(results):
    text = screen(summary(results))
    for words in ("count: number of enterprises, by county", "e · (unknown)", "in statistics.csv", "mu 0.2"):
        assert words in text
    assert "AUC" not in text
    assert "figures" in screen(main_figures(results))


def test_research_is_said_everywhere(tmp_path):
    results = results_of(made_record(mu=float("inf")), research=True)
    results.save(tmp_path)
    assert NO_PRIVACY in Page(render(results)).text
    assert NO_PRIVACY in screen(summary(results))
    assert set(pd.read_csv(tmp_path / CSV)["notice"]) == {NO_PRIVACY}


def test_names_from_outside_are_text_and_nothing_else():
    def changed(layout):
        county = replace(
            layout.axes[0], categories=("<b>x", "[red]y", "=1+2", *layout.axes[0].categories[3:])
        )
        return replace(layout, axes=(county, *layout.axes[1:]))

    results = results_of(
        made_record(mu=float("inf"), changed=changed), display_names={"tax": "[bold]税务局<i>"}
    )
    assert "<b>x" not in render(results)
    assert "<i>" not in render(results)
    assert "&lt;b&gt;x" in render(results)
    text = screen(summary(results))
    assert "[red]y" in text
    assert "[bold]税务局<i>" in text


def test_json_has_the_rows(fedrisk, results, tmp_path):
    results.save(tmp_path)
    code, out, _ = fedrisk("show", tmp_path, "--json")
    assert code == 0
    shown = json.loads(out)
    rows = shown["statistics"]
    assert len(rows) == len(estimates(results.record).frame)
    assert all((row["estimate"] is None) != row["says"] for row in rows)


def test_a_study_of_one_cell():
    def changed(layout):
        return Layout(
            owner="tax", axes=(), tables=(replace(layout.tables[2], share=1.0),), measures=layout.measures
        )

    text = Page(render(results_of(made_record(changed=changed)))).text
    assert "Of all together" in text


@pytest.mark.parametrize(
    ("value", "kind", "error", "text"),
    [
        (0.0, "mean", 0.0, "0"),
        (-0.0001, "mean", 3.0, "0.0"),
        (1234567.0, "sum", 4000.0, "1,234,600"),
        (0.5, "share", 0.1, "50%"),
        (12.6, "count", 0.1, "13"),
    ],
)
def test_amounts(value, kind, error, text):
    assert amount(value, kind, error) == text


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("code", [pytest.param("en", marks=pytest.mark.long), "zh"])
def test_the_page_is_readable(browser, tmp_path, code):
    def few(layout):
        kinds = {m.kind: m for m in layout.measures}
        return replace(layout, measures=tuple(kinds[k] for k in ("count", "share", "quantiles")))

    with speaking(code):
        path = write_report(results_of(made_record(changed=few)), tmp_path)
    pages.check(browser, path)
    assert browser.run("document.querySelector('table.figures svg').getBoundingClientRect().width") > 60


def test_the_page_in_chinese_has_no_english_sentence(results):
    with speaking("zh"):
        text = Page(render(results)).text
    assert "每个合计在任何人看到之前都已加入噪声" in text
    for english in ("noise", "cells", "Enterprises", "(unknown)", "release"):
        assert english not in text
