"""The first card of weights: points, moments and slope, and points that another machine rounded."""

import math

import numpy as np
import pytest

from fedrisk.errors import ConfigError
from fedrisk.models import fitted_card
from fedrisk.models import scorecard as sc
from fedrisk.models.fitted_card import card_from_weights
from fedrisk.models.score_moments import CORRELATION, first_calibration, score_moments
from support.cards import fitted

LOG2 = math.log(2)


def slope_of(bins, f, counts, curves):
    """Slope of the first calibration without a Gram matrix."""
    return first_calibration(f, curves, math.sqrt(score_moments(f, counts, curves, bins).variance))[1]


def test_from_weights_turns_log_odds_into_points():
    _, _, bins, f, counts, curves = fitted()
    got = card_from_weights("s", bins, f, counts, curves)
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
    got = card_from_weights("s", bins, f, counts, curves)
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
    right = card_from_weights("s", bins, f, counts, curves, bases=bases, gram=x.T @ x)
    wrong = card_from_weights("s", bins, half, counts, curves, bases=bases, gram=x.T @ x)
    assert all(np.abs(np.array(a) - b).max() <= 1 for a, b in zip(right.points, wrong.points, strict=True))
    assert all(np.abs(np.array(p) + g * 20 / LOG2).max() < 3 for p, g in zip(right.points, f, strict=True))


@pytest.mark.parametrize("direction", ["increasing", "decreasing"])
def test_points_of_a_monotone_feature_are_monotone(direction):
    _, _, bins, f, counts, curves = fitted(monotone=direction)
    points = np.array(card_from_weights("s", bins, f, counts, curves).points[1])
    step = np.diff(points) if direction == "decreasing" else -np.diff(points)
    assert (step >= 0).all()


def test_points_have_standard_errors_on_the_scale_of_points():
    """By hand: a contribution's error of .1 is slope times 20 / log 2 times .1 points, and 1/12 of rounding."""
    _, _, bins, f, counts, curves = fitted()
    errors = [np.full(b.size, 0.1) for b in bins]
    got = card_from_weights("s", bins, f, counts, curves, errors=errors)
    slope = slope_of(bins, f, counts, curves)
    assert got.errors_of(1) == pytest.approx([math.hypot(slope * 2 / LOG2, math.sqrt(1 / 12))] * 4)
    assert sc.Scorecard.from_json(got.to_json()) == got
    assert card_from_weights("s", bins, f, counts, curves).errors_of(1) is None


@pytest.fixture
def without_slope(monkeypatch):
    """The slope of the first calibration is 1, so that points can be told by hand."""
    monkeypatch.setattr(fitted_card, "SLOPES", (1.0, 1.0))


def raw_points(f):
    return [-20 / LOG2 * g for g in f]


@pytest.mark.usefixtures("without_slope")
def test_points_that_another_machine_rounded_are_taken():
    """Where a number lies in the middle, a last digit decides between two whole ones: both are rounding."""
    _, _, bins, f, counts, curves = fitted()
    middle = tuple(-np.round(r - 0.5) / (20 / LOG2) - 0.5 * LOG2 / 20 for r in raw_points(f))
    own = card_from_weights("s", bins, middle, counts, curves)
    lower = [np.floor(r + 1e-9).astype(int).tolist() for r in raw_points(middle)]
    for rounded in (lower, [[p + 1 for p in feature] for feature in lower]):
        got = card_from_weights("s", bins, middle, counts, curves, rounded=rounded)
        assert [list(p) for p in got.points] == rounded
    again = card_from_weights("s", bins, middle, counts, curves, rounded=own.points)
    assert again == own


@pytest.mark.parametrize("step", [1, -1, 40])
@pytest.mark.parametrize("place", [(0, 0), (1, 3)])
def test_points_beyond_rounding_are_refused(place, step):
    _, _, bins, f, counts, curves = fitted()
    own = card_from_weights("s", bins, f, counts, curves)
    rounded = [list(p) for p in own.points]
    rounded[place[0]][place[1]] += step
    with pytest.raises(ConfigError, match="not those that follow from the released numbers"):
        card_from_weights("s", bins, f, counts, curves, rounded=rounded)


@pytest.mark.parametrize(
    "change", ["a feature less", "a feature more", "a bin less", "a bin more", "swapped"]
)
def test_points_of_another_shape_are_refused(change):
    _, _, bins, f, counts, curves = fitted()
    points = [list(p) for p in card_from_weights("s", bins, f, counts, curves).points]
    rounded = {
        "a feature less": points[:1],
        "a feature more": [*points, [0]],
        "a bin less": [points[0], points[1][:-1]],
        "a bin more": [points[0], [*points[1], 0]],
        "swapped": points[::-1],
    }[change]
    with pytest.raises(ConfigError, match="not those that follow from the released numbers"):
        card_from_weights("s", bins, f, counts, curves, rounded=rounded)


@pytest.mark.usefixtures("without_slope")
def test_no_feature_gives_or_takes_more_than_the_limit():
    """Also where another machine says so."""
    _, _, bins, f, counts, curves = fitted()
    steep = tuple(20 * g for g in f)
    assert max(np.abs(r).max() for r in raw_points(steep)) > 2 * sc.MOST_POINTS
    got = card_from_weights("s", bins, steep, counts, curves)
    assert max(abs(p) for points in got.points for p in points) == sc.MOST_POINTS == 200
    for points, raw in zip(got.points, raw_points(steep), strict=True):
        assert list(points) == np.rint(np.clip(raw, -200, 200)).tolist()
    beyond = [np.rint(r).astype(int).tolist() for r in raw_points(steep)]
    with pytest.raises(ConfigError, match="not those that follow"):
        card_from_weights("s", bins, steep, counts, curves, rounded=beyond)
