"""What is said of a threshold of warnings: shares with intervals, what is not known, and why there is none."""

import pytest

from fedrisk.language import about, speaking
from fedrisk.models.warning_point import Interval, WarningPoint
from fedrisk.report.warning_words import missing_line, warning_line, warning_rows


def point(low=0.5, high=0.8):
    return WarningPoint(
        stated=0.052,
        score=542,
        false_alarms=Interval(value=0.041, low=0.02, high=0.064),
        recall=Interval(value=0.64, low=low, high=high),
        warned=0.069,
    )


def test_a_label_is_called_by_its_name_and_a_look_has_so_many_alerts():
    with speaking("en"), about("distress"):
        said = warning_line(point())
    assert (
        "of 4.1% of those that are no cases of distress (95 %: 2.0% to 6.4%; asked for at most 5.2%)" in said
    )
    assert "64.0% of the cases of distress" in said and "about 69" in said
    assert "default" not in said and "outcome" not in said


def test_a_share_whose_interval_is_nearly_everything_is_not_known():
    with speaking("en"):
        said, rows = warning_line(point(0.0, 1.0)), warning_rows(point(0.0, 1.0))
    assert "is not known" in said and "64.0%" not in said and "about 69" not in said
    assert rows[1][1] == "not known" and rows[1][2] == "0.0% to 100.0%"
    assert rows[0][1] == "4.1%"


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("unconfirmed", "not every bank has confirmed"),
        ("untold", "has not told"),
        ("noise", "noise and the size"),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_why_there_is_no_threshold_is_said_plainly(why, words, language):
    with speaking(language):
        said = missing_line(why, 0.052)
    assert "5.2%" in said and (language == "zh" or (words in said and "no warnings" in said))


def test_odds_of_a_label_are_not_of_repaying():
    from fedrisk.language import _

    with speaking("en"), about("distress"):
        said = _("{score:.0f} points stand for odds of repaying of {odds:g} to 1", score=600, odds=30)
    assert said == "600 points stand for odds against distress of 30 to 1"
