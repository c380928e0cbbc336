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
from fedrisk.metrics import auc, from_histogram
from fedrisk.models import scorecard as sc
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.curves import Curves
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.score_moments import CORRELATION, first_calibration, score_moments

LOG2 = math.log(2)


def flag(institution, column):
    return Bins.public(Feature(institution=institution, column=column, kind="flag", missing=False))


def card(**parts):
    """Two bank features and one holder feature with round numbers."""
    given = {
        "study": "s",
        "bins": (flag("bank", "late"), flag("bank", "new"), flag("tax", "gap")),
        "points": ((10, -30), (5, -5), (20, -40)),
        "base_points": 550,
        "averages": (2.0, 0.0, 8.0),
        "intercept": -2.0,
        "rate": 0.1,
        "sd": 30.0,
        "gap": 25.0,
        "partial_sd": {"bank": 18.0, "tax": 22.0},
    }
    return sc.Scorecard(**{**given, **parts})


def fitted(n=8000, seed=0, monotone=None):
    """An independent flag and an ordered feature; contributions are the true log-odds, curves log relative risks."""
    rng = np.random.default_rng(seed)
    bins = [
        flag("bank", "late"),
        Bins(
            Feature(institution="tax", column="x", low=0, high=4, missing=False, monotone=monotone),
            (1.0, 2.0, 3.0),
        ),
    ]
    truth = [np.array([-0.3, 1.0]), np.array([-0.8, -0.1, -0.2, 1.0])]
    codes = [rng.choice(2, n, p=[0.8, 0.2]), rng.integers(0, 4, n)]
    z = -2.2 + truth[0][codes[0]] + truth[1][codes[1]]
    y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    n1 = tuple(np.bincount(c, y, b.size) for c, b in zip(codes, bins, strict=True))
    n0 = tuple(np.bincount(c, 1 - y, b.size) for c, b in zip(codes, bins, strict=True))
    weight = tuple((a + b) / n for a, b in zip(n1, n0, strict=True))
    f = tuple(t - w @ t for t, w in zip(truth, weight, strict=True))
    risk = [np.log(a / (a + b)) for a, b in zip(n1, n0, strict=True)]
    curve = tuple(r - w @ r for r, w in zip(risk, weight, strict=True))
    spread = np.array([w @ g**2 for w, g in zip(weight, curve, strict=True)])
    curves = Curves(float(y.mean()), n, curve, np.ones(2), weight, spread, (2, 4), (0, 0))
    return y, codes, bins, f, LabelCounts(n1, n0, np.zeros(2)), curves


def slope_of(bins, f, counts, curves):
    """Slope of the first calibration without a Gram matrix."""
    return first_calibration(f, curves, math.sqrt(score_moments(f, counts, curves, bins).variance))[1]


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


def test_from_weights_turns_log_odds_into_points():
    _, _, bins, f, counts, curves = fitted()
    got = sc.Scorecard.from_weights("s", bins, f, counts, curves)
    slope = slope_of(bins, f, counts, curves)
    assert 0.85 < slope < 1  # curves are taken to be correlated by .1, and these are not
    for points, g in zip(got.points, f, strict=True):
        assert np.abs(np.array(points) + slope * g * 20 / LOG2).max() <= 0.5
    mean, sd = got.score_distribution()
    log_odds = -(mean - 600) * LOG2 / 20 - math.log(30)
    assert log_odds == pytest.approx(got.intercept, abs=0.02)  # the base is rounded to a point
    variance = score_moments(f, counts, curves, bins).variance
    assert sd == pytest.approx(20 / LOG2 * slope * math.sqrt(variance))


def test_mean_probability_is_the_released_rate():
    y, codes, bins, f, counts, curves = fitted()
    got = sc.Scorecard.from_weights("s", bins, f, counts, curves)
    score = (
        got.base_points + got.institution_points("bank", codes[:1]) + got.institution_points("tax", codes[1:])
    )
    assert got.probability(score).mean() == pytest.approx(y.mean(), rel=0.05)


def test_moments_equal_those_of_the_rows():
    """Exact Gram and counts: variance, gap and partial variances are those over the rows."""
    y, codes, _, f, counts, curves = fitted()
    bases = tuple(np.eye(len(g))[:, 1:] - w[1:] for g, w in zip(f, curves.weight, strict=True))
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], 1)
    bins = fitted()[2]
    got = score_moments(f, counts, curves, bins, bases, x.T @ x)
    s = f[0][codes[0]] + f[1][codes[1]]
    assert got.variance == pytest.approx(s.var(), rel=1e-9)
    assert got.gap == pytest.approx(s[y == 1].mean() - s[y == 0].mean(), rel=1e-9)
    assert got.partial["tax"] == pytest.approx(f[1][codes[1]].var(), rel=1e-9)
    assert got.columns == got.partial  # no holder says whether it knows an enterprise here
    own = [g[c].var() for g, c in zip(f, codes, strict=True)]
    cross = 2 * CORRELATION * math.sqrt(own[0] * own[1])
    assert score_moments(f, counts, curves, bins).variance == pytest.approx(sum(own) + cross)


def test_calibration_slope_repairs_a_score_on_the_wrong_scale():
    _, codes, bins, f, counts, curves = fitted(n=40_000)
    bases = tuple(np.eye(len(g))[:, 1:] - w[1:] for g, w in zip(f, curves.weight, strict=True))
    x = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], 1)
    half = tuple(0.7 * g for g in f)
    right = sc.Scorecard.from_weights("s", bins, f, counts, curves, bases=bases, gram=x.T @ x)
    wrong = sc.Scorecard.from_weights("s", bins, half, counts, curves, bases=bases, gram=x.T @ x)
    assert all(np.abs(np.array(a) - b).max() <= 1 for a, b in zip(right.points, wrong.points, strict=True))
    assert all(np.abs(np.array(p) + g * 20 / LOG2).max() < 3 for p, g in zip(right.points, f, strict=True))


def test_monotone_by_hand():
    bins = Bins(Feature(institution="b", column="x", low=0, high=4, monotone="increasing"), (1.0, 2.0))
    f, w = np.array([0.0, 0.6, 0.0, -9.0]), np.array([1.0, 1.0, 2.0, 1.0])
    assert sc.make_monotone(bins, f, w).tolist() == pytest.approx([0.0, 0.2, 0.2, -9.0])
    down = replace(bins, feature=replace(bins.feature, monotone="decreasing"))
    assert sc.make_monotone(down, f, w).tolist() == pytest.approx([0.3, 0.3, 0.0, -9.0])
    free = replace(bins, feature=replace(bins.feature, monotone=None))
    assert sc.make_monotone(free, f, w) is f


@pytest.mark.parametrize("direction", ["increasing", "decreasing"])
def test_points_of_a_monotone_feature_are_monotone(direction):
    _, _, bins, f, counts, curves = fitted(monotone=direction)
    points = np.array(sc.Scorecard.from_weights("s", bins, f, counts, curves).points[1])
    step = np.diff(points) if direction == "decreasing" else -np.diff(points)
    assert (step >= 0).all()


def test_reasons_by_hand():
    # row 0: late falls 2 - -30 = 32 short, new 5, external 8 - -40 = 48; row 1: late exceeds, external 0
    got = card().reasons([np.array([1, 0]), np.array([1, 0])], np.array([-40, 8]))
    assert got == [("external data", "late", "new"), ()]
    assert card().reasons([np.array([1]), np.array([1])], np.array([-40]), k=1) == [("external data",)]
    assert card().reasons([np.array([1]), np.array([0])]) == [("late",)]


def test_json_round_trip_and_newer_version():
    _, _, bins, f, counts, curves = fitted(monotone="increasing")
    got = sc.Scorecard.from_weights("s", bins, f, counts, curves)
    assert sc.Scorecard.from_json(got.to_json()) == got
    newer = {**json.loads(got.to_json()), "version": 5, "shiny": True}
    with pytest.raises(ConfigError, match=r"version is 5.*upgrade"):
        sc.Scorecard.from_json(json.dumps(newer))
    for text in ("", "[]", "{}", '{"version": 1}'):
        with pytest.raises(ConfigError):
            sc.Scorecard.from_json(text)


def test_points_have_standard_errors_on_the_scale_of_points():
    """By hand: a contribution's error of .1 is slope times 20 / log 2 times .1 points, and 1/12 of rounding."""
    _, _, bins, f, counts, curves = fitted()
    errors = [np.full(b.size, 0.1) for b in bins]
    got = sc.Scorecard.from_weights("s", bins, f, counts, curves, errors=errors)
    slope = slope_of(bins, f, counts, curves)
    assert got.errors_of(1) == pytest.approx([math.hypot(slope * 2 / LOG2, math.sqrt(1 / 12))] * 4)
    assert sc.Scorecard.from_json(got.to_json()) == got
    assert sc.Scorecard.from_weights("s", bins, f, counts, curves).errors_of(1) is None


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


def test_probabilities_of_bins_are_means_of_scores_in_them():
    """Of 400,000 scores of the two normal classes from which the bins come, within 2 % of each mean: with 2,000 scores in
    the thinnest bin and a spread of at most a third of the mean, that is more than twice the standard error."""
    c = card(gap=40.0)
    rng = np.random.default_rng(0)
    low, high, within = c.classes()
    label = rng.random(400_000) < c.rate
    score = np.where(label, low, high) + within * rng.standard_normal(len(label))
    edges = c.score_bins(12)
    place = c.risk_bins(score, edges)
    p = c.probability(score)
    means = [p[place == k].mean() for k in range(12)]
    assert c.bin_probabilities(edges).tolist() == pytest.approx(means, rel=0.02)
    assert c.probability(c.bin_middles(edges))[::-1][-1] < 0.98 * means[-1]


def test_score_bins_rise_and_risk_bins_reverse_them():
    c = card()
    edges = c.score_bins(10)
    assert len(edges) == 9
    assert (np.diff(edges) > 0).all()
    assert c.risk_bins([edges[0] - 1, edges[-1] + 1, edges[0]], edges).tolist() == [9, 0, 8]
    p = c.bin_probabilities(edges)
    assert len(p) == 10
    assert (np.diff(p) > 0).all()
    with pytest.raises(ConfigError):
        c.score_bins(1)


def test_a_binned_evaluation_agrees_with_the_rows():
    y, codes, bins, f, counts, curves = fitted(n=20_000)
    got = sc.Scorecard.from_weights("s", bins, f, counts, curves)
    score = (
        got.base_points + got.institution_points("bank", codes[:1]) + got.institution_points("tax", codes[1:])
    )
    edges = got.score_bins(20)
    place = got.risk_bins(score, edges)
    found = from_histogram(
        np.bincount(place, y, 20), np.bincount(place, 1 - y, 20), got.bin_probabilities(edges)
    )
    assert found.auc == pytest.approx(auc(y, -score), abs=0.01)
    assert found.brier == pytest.approx(np.mean((y - got.probability(score)) ** 2), abs=0.003)


def test_bands_are_ordered_public_values():
    c = card()
    edges, points = c.band_edges("tax", 4), c.band_points("tax", 4)
    assert len(points) == len(edges) + 1 == 4
    assert list(points) == sorted(points)
    assert edges[1] == 8  # the median is the released mean
    assert points[0] < edges[0] <= points[1]
    with pytest.raises(ConfigError):
        c.band_edges("power", 4)


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


# --- the card of another machine ----------------------------------------------------------------------------


@pytest.fixture
def without_slope(monkeypatch):
    """The slope of the first calibration is 1, so that points can be told by hand."""
    monkeypatch.setattr(sc, "SLOPES", (1.0, 1.0))


def raw_points(f):
    return [-20 / LOG2 * g for g in f]


@pytest.mark.usefixtures("without_slope")
def test_points_that_another_machine_rounded_are_taken():
    """Where a number lies in the middle, a last digit decides between two whole ones: both are rounding."""
    _, _, bins, f, counts, curves = fitted()
    middle = tuple(-np.round(r - 0.5) / (20 / LOG2) - 0.5 * LOG2 / 20 for r in raw_points(f))
    own = sc.Scorecard.from_weights("s", bins, middle, counts, curves)
    lower = [np.floor(r + 1e-9).astype(int).tolist() for r in raw_points(middle)]
    for rounded in (lower, [[p + 1 for p in feature] for feature in lower]):
        got = sc.Scorecard.from_weights("s", bins, middle, counts, curves, rounded=rounded)
        assert [list(p) for p in got.points] == rounded
    again = sc.Scorecard.from_weights("s", bins, middle, counts, curves, rounded=own.points)
    assert again == own


@pytest.mark.parametrize("step", [1, -1, 40])
@pytest.mark.parametrize("place", [(0, 0), (1, 3)])
def test_points_beyond_rounding_are_refused(place, step):
    _, _, bins, f, counts, curves = fitted()
    own = sc.Scorecard.from_weights("s", bins, f, counts, curves)
    rounded = [list(p) for p in own.points]
    rounded[place[0]][place[1]] += step
    with pytest.raises(ConfigError, match="not those that follow from the released numbers"):
        sc.Scorecard.from_weights("s", bins, f, counts, curves, rounded=rounded)


@pytest.mark.parametrize(
    "change", ["a feature less", "a feature more", "a bin less", "a bin more", "swapped"]
)
def test_points_of_another_shape_are_refused(change):
    _, _, bins, f, counts, curves = fitted()
    points = [list(p) for p in sc.Scorecard.from_weights("s", bins, f, counts, curves).points]
    rounded = {
        "a feature less": points[:1],
        "a feature more": [*points, [0]],
        "a bin less": [points[0], points[1][:-1]],
        "a bin more": [points[0], [*points[1], 0]],
        "swapped": points[::-1],
    }[change]
    with pytest.raises(ConfigError, match="not those that follow from the released numbers"):
        sc.Scorecard.from_weights("s", bins, f, counts, curves, rounded=rounded)


@pytest.mark.usefixtures("without_slope")
def test_no_feature_gives_or_takes_more_than_the_limit():
    """Also where another machine says so."""
    _, _, bins, f, counts, curves = fitted()
    steep = tuple(20 * g for g in f)
    assert max(np.abs(r).max() for r in raw_points(steep)) > 2 * sc.MOST_POINTS
    got = sc.Scorecard.from_weights("s", bins, steep, counts, curves)
    assert max(abs(p) for points in got.points for p in points) == sc.MOST_POINTS == 200
    for points, raw in zip(got.points, raw_points(steep), strict=True):
        assert list(points) == np.rint(np.clip(raw, -200, 200)).tolist()
    beyond = [np.rint(r).astype(int).tolist() for r in raw_points(steep)]
    with pytest.raises(ConfigError, match="not those that follow"):
        sc.Scorecard.from_weights("s", bins, steep, counts, curves, rounded=beyond)


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
    got = sc.make_monotone(coded_bins(monotone="increasing"), f, np.ones(6))
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


def test_calibration_bins_are_even_and_reach_further_towards_risk():
    """By hand: mean 560, sd 30; edges from 4.5 deviations below to 2.5 above in ten even steps."""
    own = card()
    edges = own.calibration_bins(12)
    assert edges.tolist() == pytest.approx(np.linspace(560 - 135, 560 + 75, 11).tolist())
    middles = own.bin_middles(edges)
    assert middles.tolist() == pytest.approx(
        [425 - 10.5, *(425 + 10.5 + 21 * k for k in range(10)), 635 + 10.5]
    )
    with pytest.raises(ConfigError, match="at least 3"):
        own.calibration_bins(2)


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
