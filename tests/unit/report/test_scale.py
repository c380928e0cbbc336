"""What scores mean: rows of the table agree with the card, and sentences with the figures behind them."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature, known_feature
from fedrisk.metrics import CalibrationFit
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.point_errors import ROUNDING
from fedrisk.models.scorecard import Scorecard
from fedrisk.report.scale import MOST_SCORES, fit_finding, scale_finding, score_rows, unknown_rows
from fedrisk.report.text import feature_words, score_cells
from fedrisk.report.words import sentence

STRAIGHT = Calibration(centre=-3.0, level=-3.0, slope=1.0, bend=0.0, line=(-3.0, 1.0))
CURVED = Calibration(centre=-3.0, level=-2.9, slope=0.8, bend=0.5, line=(-2.95, 1.05))


def card(calibration=STRAIGHT):
    flag = Feature(institution="tax", column="late", kind="flag", missing=False)
    return Scorecard(
        study="s",
        bins=(replace(Bins.public(flag), unknown=True), Bins.public(known_feature("tax"))),
        points=((10, -30, 0), (0, -12)),
        base_points=600,
        averages=(4.0, -1.0),
        intercept=-3.0,
        rate=0.06,
        sd=20.0,
        gap=10.0,
        partial_sd={"tax": 20.0},
        errors=((1.0, 2.0, 3.0), (0.5, 4.0)),
        calibration=calibration,
    )


def test_rows_of_the_table_are_the_cards_probabilities():
    for c in (card(), card(CURVED)):
        rows = score_rows(c)
        scores = np.array([r.score for r in rows])
        assert [r.probability for r in rows] == pytest.approx(c.probability(scores).tolist())
        assert (np.diff([r.probability for r in rows]) < 0).all()
        assert (scores % 20 == 0).all()
        assert all(r.odds == pytest.approx((1 - r.probability) / r.probability) for r in rows)
    assert len(score_rows(replace(card(), sd=200.0))) <= MOST_SCORES + 1


def test_on_a_straight_card_20_points_double_the_odds_in_the_table():
    rows = score_rows(card())
    assert all(r.rule == pytest.approx(r.probability) for r in rows)
    assert rows[1].odds / rows[0].odds == pytest.approx(2.0)
    assert scale_finding(card()).code == "scale_straight"
    assert "double the odds, over the whole range" in sentence(scale_finding(card()))


def test_a_curved_card_says_what_20_points_are_at_both_ends():
    """A slope of .8 on the safe side and 1.3 on the risky one, over 1.05 of the line: 2^(.8 / 1.05), 2^(1.3 / 1.05)."""
    c = replace(card(CURVED), sd=200.0)
    found = scale_finding(c)
    assert found.code == "scale_curved"
    assert found.values["safe"] == pytest.approx(2 ** (0.8 / 1.05), rel=1e-3)
    assert found.values["risky"] == pytest.approx(2 ** (1.3 / 1.05), rel=1e-3)
    assert len(score_cells(score_rows(c)[0], curved=True)) == 4
    assert "is the one in the table" in sentence(found)
    assert scale_finding(replace(c, calibration=None)).code == "scale_not_calibrated"


@pytest.mark.parametrize(
    ("slope", "code"), [(0.95, "calibration_right"), (0.85, "calibration_bold"), (1.2, "calibration_timid")]
)
def test_a_slope_is_off_beyond_two_standard_errors(slope, code):
    fit = CalibrationFit(0.05, 0.055, 0.002, slope, 0.05)
    assert fit_finding(fit).code == code
    assert f"slope is {slope:.2f} ± 0.05" in sentence(fit_finding(fit))


def test_being_unknown_is_one_sum_over_all_columns_of_a_holder():
    (row,) = unknown_rows(card())
    assert (row.holder, row.points) == ("tax", (0 - 4.0) + (-12 + 1.0))
    assert row.error == 4.0
    few = replace(card(), errors=((1.0, 2.0, ROUNDING**0.5), (0.5, ROUNDING**0.5)))
    assert unknown_rows(few)[0].error is None
    assert unknown_rows(replace(card(), errors=None))[0].error is None
    assert feature_words(card().bins[1]) == "tax: whether it knows the enterprise"
