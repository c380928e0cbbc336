"""The page of a watched month: what stands first, both languages, phone and screen; and that of own columns."""

import json
import re
from dataclasses import replace

import pytest

from fedrisk.analysis.watch.back_testing import back_test
from fedrisk.analysis.watch.column_months import by_month
from fedrisk.analysis.watch.drift_alarms import DriftRules
from fedrisk.analysis.watch.warned import Warned
from fedrisk.language import speaking
from fedrisk.models.warning_point import Interval, WarningPoint
from fedrisk.report import watch_alert_words as alert_words
from fedrisk.report import watch_words
from fedrisk.report.watch_columns_page import ColumnMonths, render_columns_page, verdict
from fedrisk.report.watch_page import render_watch_page, write_watch_page
from fedrisk.watching.figures import month_figures
from support import pages, watched_year
from support.pages import one_browser

ALERT = {
    "id": "0f" * 16,
    "enterprise": "91369988AB0E24NC00",
    "month": "2025-08",
    "rules": ["fall", "probability"],
    "model": watched_year.MODEL,
    "score": 471,
    "probability": 0.123,
    "limits": {"fall": 40, "months": 3, "probability": 0.12},
    "stock": False,
    "before": 523,
    "since": "2025-06",
    "points": -52,
    "warning": None,
    "reasons": ["limit_use", "external data"],
    "moved": [{"column": "limit_use", "was": "0.2 to 0.4", "now": "above 0.9"}],
    "external": -14,
    "state": "open",
    "more": [],
    "over": None,
    "acts": [],
}
browser = pytest.fixture(scope="module")(one_browser)


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Three months; the last one has a change, alerts, outcomes and a challenger."""
    folder = tmp_path_factory.mktemp("watch") / "loans"
    kept = watched_year.year(folder, loans=400, months=3, shift=("limit_use", 2, 1.0), gone=0.02)
    found = month_figures(watched_year.node(), kept, kept.months()[-1])
    over = {**ALERT, "over": "2025-08", "month": "2025-06"}
    return replace(found, new=(ALERT,), standing=({**ALERT, "month": "2025-07"},), closed=(over,))


def _warned(figures, false, against):
    """The back-tested month's warnings: so many false alarms of 1,000; stated were 4 to 6 %."""
    share = Interval(value=0.05, low=0.04, high=0.06)
    recall = Interval(value=0.8, low=0.7, high=0.9)
    point = WarningPoint(stated=0.052, score=512, false_alarms=share, recall=recall, warned=0.1)
    tested = back_test("2025-06", [0.1, 0.02, 0.3], [0.0, 0.0, 1.0])
    found = Warned(
        month="2025-06", matured=True, score=512, without=1000, false=false, cases=50, right=40, point=point
    )
    assert found.against == against
    return replace(figures, warned=(found,), back_test=tested)


def test_warnings_stand_beside_what_was_stated(figures):
    more = _warned(figures, 90, "more")
    assert any("more false alarms than its study states" in t for t, _ in watch_words.verdicts(more))
    calm = _warned(figures, 52, "as_stated")
    assert not any("false alarms than its study" in t for t, _ in watch_words.verdicts(calm))
    page = re.sub(r"\s+", " ", render_watch_page(calm))
    assert "of those 5.2% (" in page and "The study states 5.0% (4.0% to 6.0%) and 80.0%" in page
    with speaking("zh"):
        assert "误报" in render_watch_page(more)
    # What other pages say is not known is not known here either.
    wide = {
        "false_alarms": calm.warned[0].point.false_alarms,
        "recall": Interval(value=1.0, low=0.0, high=1.0),
    }
    unsure = replace(calm.warned[0], point=calm.warned[0].point.model_copy(update=wide))
    assert "not known (0.0% to 100.0%)" in watch_words.warned(unsure)[1]
    assert "false alarms" not in render_watch_page(figures)


def test_what_a_risk_officer_wants_stands_first(figures):
    said = [text for text, _ in watch_words.verdicts(figures)]
    assert said[0] == "1 new alert: a loan to look at."
    assert said[1].startswith("Changed since the month before: ") and "limit_use" in said[1]
    calm = replace(figures, new=(), standing=(), drift={figures.month: ()})
    assert next(t for t, _ in watch_words.verdicts(calm)) == "No alert is open."


def test_an_alert_says_why(figures):
    assert alert_words.why(ALERT) == [
        "score fell by 52 points since 2025-06; limit 40, against the best of 3 months",
        "probability 12.30%; limit 12%",
    ]
    warned = {**ALERT, "rules": ["warning"], "warning": 455}
    stated = {"warning": 460, "warning_model": "early", "false_alarms": 0.052}
    for limits, said in (
        (stated, "early gives 455; threshold 460, set at 5.2% false alarms"),
        ({**stated, "false_alarms": None}, "early gives 455; threshold 460 (watch.warning_threshold)"),
        ({}, "the warning model gives 455"),
    ):
        assert alert_words.why({**warned, "limits": limits}) == [said]
    assert alert_words.moved(ALERT) == ["limit_use: 0.2 to 0.4 → above 0.9", "what others know: -14 points"]


def test_alerts_of_the_stock_stand_apart_from_new_ones(figures):
    both = replace(figures, new=(ALERT, *({**ALERT, "stock": True, "enterprise": f"S{k}"} for k in range(2))))
    said = [text for text, _ in watch_words.verdicts(both)]
    assert said[0].startswith("2 alerts are of the stock") and said[1] == "1 new alert: a loan to look at."
    page = render_watch_page(both)
    assert "and 2 of the stock" in page
    assert page.index(">New<") < page.index(ALERT["enterprise"]) < page.index(">Stock<") < page.index(">S0 ")


@pytest.mark.parametrize(
    ("signs", "said"),
    [
        ({"fall": 40, "months": 3, "without": "unconfirmed"}, "have confirmed its threshold"),
        ({"fall": 40, "months": 3, "without": "untold"}, "has not told this bank the totals"),
        ({"fall": 40, "months": 3, "without": "noise"}, "no threshold that keeps its rate of false alarms"),
        ({"fall": 40, "months": 3, "without": "edited"}, "of an edited card"),
        ({"fall": 40, "months": 3, "without": "later"}, "was named after it was begun"),
        ({"fall": None}, "No alert can be raised"),
    ],
)
def test_a_sign_that_is_missing_is_told_with_the_remedy(figures, signs, said):
    found = [text for text, kind in watch_words.verdicts(replace(figures, signs=signs)) if kind == "doubt"]
    assert any(said in text for text in found)


@pytest.mark.parametrize(("language", "rate"), [("en", "probability of default"), ("zh", "违约")])
def test_words_follow_the_label(figures, language, rate):
    label = {"name": "distress", "meaning": "in trouble", "meaning_zh": "陷入困境", "horizon": "6 months"}
    with speaking(language):
        assert rate in render_watch_page(figures)
        page = render_watch_page(replace(figures, label=label))
    outcome = {"en": "It foretells distress: in trouble (6 months).", "zh": "陷入困境（6 months）"}
    assert outcome[language] in page
    said = re.sub(r"<(style|svg).*?</\1>|<[^>]*>|The light.*?0\.25\.", " ", page, flags=re.S)
    assert re.findall(r"[^ .]* [^ ]*(?:[Dd]efault|违约)[^ ]* [^ ]*", said) == []


def test_missing_amounts_and_what_could_be_named_are_told(figures):
    now = replace(figures.course[-1], exposure=900.0, rows=7, no_exposure=2)
    page = render_watch_page(replace(figures, course=(*figures.course[:-1], now)))
    assert "2 of 7 rows without an amount count 0" in page and "expected loss" not in page
    named = [
        text for text, _ in watch_words.verdicts(figures) if "is named with a chance of at least 80%" in text
    ]
    assert len(named) == 1 and named[0].startswith("With 400 rows")


def test_the_page_and_its_figures_are_the_owners_alone(figures, tmp_path):
    page = write_watch_page(tmp_path, figures)
    assert page.name == "2025-08.html" and page.stat().st_mode & 0o777 == 0o600
    beside = tmp_path / "2025-08.json"
    assert beside.stat().st_mode & 0o777 == 0o600
    assert json.loads(beside.read_text(encoding="utf-8"))["alerts"]["new"][0]["id"] == ALERT["id"]
    assert "the page stays at the bank" in page.read_text(encoding="utf-8")


def test_a_first_month_without_anything_else_has_a_page(figures):
    bare = replace(
        figures,
        course=figures.course[-1:],
        migrations=None,
        new=(),
        standing=(),
        closed=(),
        drift={},
        cohorts=(),
        back_test=None,
        agreement=None,
        contest=None,
        challenger=None,
    )
    text = render_watch_page(bare)
    assert "there is nothing to compare with yet" in text and "No outcomes are known yet" in text


@pages.NEEDS_CHROMIUM
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_readable(browser, tmp_path, figures, language):
    with speaking(language):
        pages.check(browser, tmp_path / "page.html", render_watch_page(figures))


@pytest.fixture(scope="module")
def columns():
    """Own columns of three months, of which one moved in the last."""
    bins = {c: watched_year.bins(c) for c in watched_year.COLUMNS[:2]}
    calm, moved = [160, 190, 240, 240, 170, 0, 0], [90, 130, 220, 280, 280, 0, 0]
    months = {f"2026-0{k}": dict.fromkeys(bins, calm) for k in (3, 4)}
    months["2026-05"] = {"limit_use": moved, "days_late": calm}
    return ColumnMonths(
        institution="tax_office",
        month="2026-05",
        model={"model": watched_year.MODEL, "name": "loans", "version": 1},
        table=by_month(bins, {}, months, first=True),
        asked={},
        rules=DriftRules(),
    )


def test_a_holder_reads_which_of_its_columns_changed(columns):
    assert verdict(columns) == "Changed in 2026-05: limit_use."
    assert verdict(replace(columns, month="2026-04")).startswith("Nothing changed in 2026-04")
    assert json.loads(json.dumps(columns.to_dict(), allow_nan=False))["month"] == "2026-05"


@pages.NEEDS_CHROMIUM
def test_the_page_of_own_columns_is_readable(browser, tmp_path, columns):
    with speaking("zh"):
        pages.check(browser, tmp_path / "page.html", render_columns_page(columns))
