"""Scorecard: points, probability, reasons, bands, monotone curves and the stored form, by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models import scorecard as sc
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.directions import make_monotone
from fedrisk.models.fitted_card import card_from_weights
from support.cards import card, fitted, flag


def test_points_and_partial_sums_by_hand():
    c = card()
    bank = c.institution_points("bank", [np.array([0, 1]), np.array([1, 0])])
    tax = c.institution_points("tax", [np.array([0, 1])])
    assert bank.tolist() == [5, -25]
    assert bank.dtype == np.int64
    assert (550 + bank + tax).tolist() == [575, 485]


def test_probability_scale_by_hand():
    """600 points are odds of 30 to 1, 20 points double the odds."""
    c = card()
    assert c.probability(600) == pytest.approx(1 / 31)
    assert c.probability([620, 580]).tolist() == pytest.approx([1 / 61, 1 / 16])


def test_monotone_by_hand():
    bins = Bins(Feature(institution="b", column="x", low=0, high=4, monotone="increasing"), (1.0, 2.0))
    f, w = np.array([0.0, 0.6, 0.0, -9.0]), np.array([1.0, 1.0, 2.0, 1.0])
    assert make_monotone(bins, f, w).tolist() == pytest.approx([0.0, 0.2, 0.2, -9.0])
    down = replace(bins, feature=replace(bins.feature, monotone="decreasing"))
    assert make_monotone(down, f, w).tolist() == pytest.approx([0.3, 0.3, 0.0, -9.0])
    free = replace(bins, feature=replace(bins.feature, monotone=None))
    assert make_monotone(free, f, w) is f


def test_reasons_by_hand():
    # row 0: late falls 2 - -30 = 32 short, new 5, external 8 - -40 = 48; row 1: late exceeds, external 0
    got = card().reasons([np.array([1, 0]), np.array([1, 0])], np.array([-40, 8]))
    assert got == [("external data", "late", "new"), ()]
    assert card().reasons([np.array([1]), np.array([1])], np.array([-40]), k=1) == [("external data",)]
    assert card().reasons([np.array([1]), np.array([0])]) == [("late",)]


def test_json_round_trip_and_newer_version():
    _, _, bins, f, counts, curves = fitted(monotone="increasing")
    got = card_from_weights("s", bins, f, counts, curves)
    assert sc.Scorecard.from_json(got.to_json()) == got
    newer = {**json.loads(got.to_json()), "version": 5, "shiny": True}
    with pytest.raises(ConfigError, match=r"version is 5.*upgrade"):
        sc.Scorecard.from_json(json.dumps(newer))
    for text in ("", "[]", "{}", '{"version": 1}'):
        with pytest.raises(ConfigError):
            sc.Scorecard.from_json(text)


def test_a_card_of_the_first_version_is_read():
    """It has neither standard errors, nor directions of its columns."""
    old = json.loads(card().to_json())
    del old["errors"]
    old["version"] = 1
    for b in old["bins"]:
        del b["direction"]
    got = sc.Scorecard.from_json(json.dumps(old))
    assert got.errors is None
    assert got.same_as(card())


def test_every_number_of_points_needs_one_error():
    with pytest.raises(ConfigError, match="one standard error"):
        card(errors=((1.0, 1.0), (1.0,), (1.0, 1.0)))


def test_bands_are_ordered_public_values():
    c = card()
    edges, points = c.bands(c.features_of("tax"), c.partial_sd["tax"], 4)
    assert len(points) == len(edges) + 1 == 4
    assert list(points) == sorted(points)
    assert edges[1] == 8  # the median is the released mean
    assert points[0] < edges[0] <= points[1]
    with pytest.raises(ConfigError, match="no feature"):
        c.features_of("power")
    with pytest.raises(ConfigError, match="at least 2"):
        c.bands([2], 22.0, 1)


def test_bad_cards_and_codes_are_refused():
    with pytest.raises(ConfigError):
        card(points=((1, 2), (1, 2)))
    with pytest.raises(ConfigError):
        card(points=((1,), (1, 2), (1, 2)))
    with pytest.raises(ConfigError):
        card(version=5)
    with pytest.raises(DataError):
        card().institution_points("tax", [np.array([2])])
    with pytest.raises(DataError):
        card().institution_points("bank", [np.array([0])])
    with pytest.raises(DataError):
        card().reasons([np.array([0])])


def test_cards_are_the_same_within_rounding():
    own = card()
    assert own.same_as(card())
    assert own.same_as(card(base_points=551))
    assert own.same_as(card(intercept=-2.0 - 1e-7, sd=30.0 + 1e-6, averages=(2.0, 1e-7, 8.0)))


def test_cards_with_other_errors_are_others():
    errors = ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))
    assert card(errors=errors).same_as(card(errors=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0 + 1e-7))))
    assert not card(errors=errors).same_as(card(errors=((1.0, 2.0), (3.0, 4.0), (5.0, 6.1))))
    assert not card(errors=errors).same_as(card())


@pytest.mark.parametrize(
    "change",
    [
        {"study": "t"},
        {"notice": "no privacy"},
        {"points": ((10, -30), (5, -5), (20, -41))},
        {"bins": (flag("bank", "late"), flag("bank", "old"), flag("tax", "gap"))},
        {"base_points": 552},
        {"averages": (2.0, 0.1, 8.0)},
        {"intercept": -2.001},
        {"rate": 0.101},
        {"sd": 30.01},
        {"gap": 25.01},
        {"sd": float("nan")},
        {"partial_sd": {"bank": 18.0, "tax": 22.1}},
        {"partial_sd": {"bank": 18.0, "power": 22.0}},
        {"partial_sd": {"bank": 18.0}},
        {"errors": ((1.0, 1.0), (1.0, 1.0), (1.0, 1.0))},
    ],
)
def test_cards_that_differ_beyond_rounding_are_others(change):
    assert not card().same_as(card(**change))


TRADES = (("-9", "no record"), ("-8", "no usable trade"))


def coded_bins(**parts):
    feature = Feature(institution="bank", column="trades", low=0, high=80, special=TRADES, **parts)
    return Bins(feature, edges=(10.0, 20.0))


def test_a_direction_leaves_special_codes_and_missing_alone():
    f = np.array([0.1, -0.2, 0.3, -5.0, 5.0, -7.0])
    got = make_monotone(coded_bins(monotone="increasing"), f, np.ones(6))
    assert got.tolist() == pytest.approx([-0.05, -0.05, 0.3, -5.0, 5.0, -7.0])


def test_a_reason_says_what_a_special_code_means():
    plain = card()
    coded = replace(
        plain,
        bins=(coded_bins(), *plain.bins[1:]),
        points=((9, 5, 1, -30, 4, -2), *plain.points[1:]),
        averages=(6.0, *plain.averages[1:]),
    )
    codes = [np.array([3, 2, 4, 5]), np.array([0, 0, 0, 0])]
    assert [r[0] for r in coded.reasons(codes)] == [
        "trades (no record)",
        "trades",
        "trades (no usable trade)",
        "trades",
    ]
    assert sc.Scorecard.from_json(coded.to_json()) == coded


def test_a_card_of_before_special_codes_still_loads():
    stored = json.loads(card().to_json())
    for b in stored["bins"]:
        del b["special"]
    assert sc.Scorecard.from_json(json.dumps(stored)) == card()


# --- the calibrated card -------------------------------------------------------------------------------------


def calibration(level=-2.0, slope=0.5, centre=-1.0, slopes=None):
    """A straight calibration, or one with these slopes of the tails beside its straight line."""
    safe, risky = slopes or (slope, slope)
    return Calibration(centre, level, safe, risky - safe, (level, slope))


def test_a_calibrated_card_by_hand():
    """Level -2 at stated log-odds of -1, slope .5: points are halved, and a score means what the line says."""
    own = card(points=((10, -30), (4, -6), (20, -40)), errors=((1.0, 1.0), (1.0, 1.0), (1.0, 12**-0.5)))
    got = own.calibrated(calibration())
    assert got.points == ((5, -15), (2, -3), (10, -20))
    assert got.averages == (1.0, 0.0, 4.0)
    assert (got.sd, got.gap, got.partial_sd) == (15.0, 12.5, {"bank": 9.0, "tax": 11.0})
    assert got.intercept == pytest.approx(-2 + 0.5 * (-2.0 + 1.0))
    assert got.errors[0][0] == pytest.approx(math.sqrt(0.25 * (1 - 1 / 12) + 1 / 12))
    assert got.errors[2][1] == pytest.approx(
        12**-0.5
    )  # nothing but rounding before, nothing but rounding after
    score = np.array([550, 600, 650]) + 16
    stated = own.stated_log_odds(score)
    assert got.stated_log_odds(got.base_points + (score - 550) / 2) == pytest.approx(
        -2 + 0.5 * (stated + 1), abs=0.02
    )
    assert got.calibration == calibration() and (got.rate, got.bins) == (own.rate, own.bins)


@settings(max_examples=60, deadline=None)
@given(st.floats(-6, 2))
def test_a_line_that_says_what_the_card_says_changes_nothing(centre):
    own = card(errors=((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))
    got = own.calibrated(calibration(level=centre, slope=1.0, centre=centre))
    assert replace(got, calibration=None).same_as(own)
    assert (got.points, got.base_points) == (own.points, own.base_points)
    score = np.arange(400, 800, 7)
    assert got.probability(score) == pytest.approx(own.probability(score))


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.05, 3.0), st.floats(-6.0, 1.0), st.floats(-6.0, 2.0), st.tuples(*[st.floats(0.05, 3.0)] * 2)
)
def test_scores_mean_what_the_calibration_says(slope, level, centre, slopes):
    """20 points double the odds by the line; the curvature is in the probability, which falls as scores rise."""
    own = card()
    made = calibration(level, slope, centre, slopes if abs(slopes[0] - slopes[1]) > 0.01 else None)
    got = own.calibrated(made)
    for before, after in zip(own.points, got.points, strict=True):
        assert np.abs(np.array(after) - slope * np.array(before)).max() <= 0.5
        assert list(own.scaled_points(made, before)) == list(after)
    total = 550.0 + np.arange(-80, 40, 10)
    scaled = got.base_points + slope * (total - 550)
    stated = own.stated_log_odds(total)
    # The base is rounded to a point, which is up to .0174 of log-odds.
    assert got.stated_log_odds(scaled) == pytest.approx(level + slope * (stated - centre), abs=0.018)
    p = got.probability(scaled)
    assert np.log(p / (1 - p)) == pytest.approx(
        made.log_odds(stated), abs=0.018 * max(1, *slopes / np.array(slope)) + 1e-6
    )
    assert (np.diff(got.probability(np.arange(-500, 1500, 25))) <= 0).all()
    assert (np.diff(got.probability(scaled)) < 0).all()
    assert got.score_distribution()[1] == pytest.approx(30 * slope)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 3.0), st.lists(st.integers(-400, 400), min_size=1, max_size=20))
def test_sums_of_points_are_scaled_as_points_are(slope, sums):
    got = sc.Scorecard.scaled_points(calibration(slope=slope), sums)
    assert got.dtype == np.int64
    assert np.abs(got - slope * np.array(sums)).max() <= 0.5


def test_points_that_another_machine_rounded_after_calibration():
    """5 times .5 lies in the middle, and both neighbours are rounding; 1 more is not."""
    own = card(points=((5, -30), (0, 0), (20, -40)))
    for middle in (2, 3):
        rounded = ((middle, -15), (0, 0), (10, -20))
        assert own.calibrated(calibration(), rounded).points == rounded
    for bad in (((4, -15), (0, 0), (10, -20)), ((1, -15), (0, 0), (10, -20)), ((2, -15), (0, 0))):
        with pytest.raises(ConfigError, match="not those that follow"):
            own.calibrated(calibration(), bad)


def test_a_calibrated_card_survives_json():
    got = card().calibrated(calibration(slopes=(0.4, 0.9)))
    again = sc.Scorecard.from_json(got.to_json())
    assert again == got and again.calibration == got.calibration
    stored = json.loads(got.to_json())
    assert stored["version"] == 2
    for change in ({"line": None}, {"line": [1.0, "x"]}, {"more": 1}):
        broken = {**stored, "calibration": {**stored["calibration"], **change}}
        with pytest.raises(ConfigError, match="malformed"):
            sc.Scorecard.from_json(json.dumps(broken))


def test_a_card_of_the_first_version_has_no_calibration_and_no_bins_of_unknown_ones():
    old = json.loads(card().to_json())
    old["version"] = 1
    for key in ("errors", "calibration"):
        del old[key]
    for b in old["bins"]:
        del b["unknown"], b["direction"]
    got = sc.Scorecard.from_json(json.dumps(old))
    assert got.calibration is None and not any(b.unknown for b in got.bins)
    assert got.same_as(card())
    assert got.probability(600) == pytest.approx(1 / 31)


def test_cards_with_other_calibrations_are_others():
    own = card().calibrated(calibration(slopes=(0.4, 0.9)))
    assert own.same_as(card().calibrated(calibration(slopes=(0.4 + 1e-8, 0.9))))
    assert not own.same_as(card().calibrated(calibration(slopes=(0.4, 0.91))))
    assert not own.same_as(card().calibrated(calibration(slopes=(0.41, 0.9))))
    assert not own.same_as(replace(own, calibration=None))
    assert not replace(own, calibration=None).same_as(own)


def test_columns_and_whether_an_institution_is_known():
    known = Bins.public(known_feature("tax"))
    own = card(
        bins=(flag("bank", "late"), flag("tax", "gap"), known),
        points=((10, -30), (20, -40), (0, -15)),
        averages=(2.0, 8.0, -1.0),
    )
    assert (own.features_of("tax"), own.columns_of("tax"), own.columns_of("bank")) == ([1, 2], [1], [0])
    assert own.institution_points("tax", [np.array([0, 1, 1]), np.array([0, 0, 1])]).tolist() == [
        20,
        -40,
        -55,
    ]
    # What holders add is measured from their average, which holds the unknown ones.
    assert own.external_log_odds(np.array([7])).tolist() == [0.0]
