"""What a score can tell: few values of the holders' sum, whatever points somebody chose."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.models.binning import Bins
from fedrisk.models.calibration import Calibration
from fedrisk.models.given_points import BANDS, common_step, most_values
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.policy import Policy
from fedrisk.recipes.scorecard import score_grid

POINTS = st.integers(-200, 200)
"""Up to policy.score_points; what lies beyond is refused before any of this."""

COLUMN = st.lists(POINTS, min_size=3, max_size=7)
HOLDER = st.tuples(st.lists(COLUMN, min_size=1, max_size=5), st.tuples(POINTS, POINTS))
HOLDERS = st.lists(HOLDER, min_size=1, max_size=4)
LIMITS = st.lists(st.integers(16, 1024), min_size=4, max_size=4)


def card_of(holders):
    """A card whose points are exactly those that somebody chose."""
    bins, points = [], []
    for k, (columns, known) in enumerate(holders):
        for j, chosen in enumerate(columns):
            edges = tuple(float(e) for e in range(1, len(chosen) - 1))
            feature = Feature(institution=f"h{k}", column=f"c{j}", low=0, high=9, bins=edges, missing=False)
            bins.append(Bins(feature, edges=edges, unknown=True))
            points.append(tuple(chosen))
        bins.append(Bins.public(known_feature(f"h{k}")))
        points.append(known)
    averages = tuple(float(np.mean(p)) for p in points)
    spread = {f"h{k}": 30.0 for k in range(len(holders))}
    return Scorecard("s", tuple(bins), tuple(points), 600, averages, -3.0, 0.05, 40.0, 20.0, spread)


def given_by_all(card, holders, limits, scores):
    """What each holder gives, by the real code; the calls need a study, a policy and what all stated."""
    names = [f"h{k}" for k in range(len(holders))]
    stated = {
        n: SimpleNamespace(score_values=v, score_themes=False, band_columns=3)
        for n, v in zip(names, limits, strict=False)
    }
    attempts = [
        SimpleNamespace(
            study=SimpleNamespace(holders=names, settings={}),
            plan=SimpleNamespace(features=[b.feature for b in card.bins if b.feature.is_column]),
            role=name,
            name=name,
            statements=stated,
            weight=[np.full(len(p), 1 / len(p)) for p in card.points],
            node=SimpleNamespace(institution=SimpleNamespace(policy=Policy(scores=how, score_values=limit))),
        )
        for name, limit, how in zip(names, limits, scores, strict=False)
    ]
    return attempts, [score_grid.given_points(a, card, score_grid.sums_of(a)[0]) for a in attempts]


def sums_of(tables):
    """Every sum that the bank could open."""
    every = {0}
    for table in tables:
        every = {total + value for total in every for value in set(table.values)}
    return every


@pytest.fixture(autouse=True)
def curves(monkeypatch):
    """Even shares of all bins, where bands are drawn up from released shares."""

    def told(attempt):
        return [], None, SimpleNamespace(weight=attempt.weight)

    monkeypatch.setattr(score_grid, "told_counts", told)


@given(HOLDERS, LIMITS)
@settings(max_examples=60, deadline=None)
def test_however_points_are_chosen_the_sum_takes_few_values(holders, limits):
    """Every holder's own limit holds: a score tells the logarithm of it in bits, and no bin can be read out."""
    card = card_of(holders)
    attempts, tables = given_by_all(card, holders, limits, ["points"] * 4)
    every = sums_of(tables)
    least = min(limits[: len(holders)])
    assert len(every) <= least
    (whole,) = score_grid.sums_of(attempts[0])
    spans = score_grid.spans_of(card, whole)
    stated = most_values(spans.values(), score_grid.grid_step(attempts[0], card, whole))
    assert len(every) <= stated <= least
    # Brought to the calibrated scale, whatever the line, they are no more.
    for slope in (0.37, 2.9):
        line = Calibration(centre=0.0, level=0.0, slope=slope, bend=0.0, line=(0.0, slope))
        assert len(set(Scorecard.scaled_points(line, sorted(every)).tolist())) <= len(every)


@given(HOLDERS, LIMITS, st.lists(st.sampled_from(["points", "bands"]), min_size=4, max_size=4))
@settings(max_examples=40, deadline=None)
def test_bands_are_on_the_same_grid(holders, limits, scores):
    """Some give points and some bands: the sum takes no more values for it."""
    card = card_of(holders)
    _, tables = given_by_all(card, holders, limits, scores)
    assert len(sums_of(tables)) <= min(limits[: len(holders)])


def test_nine_bits_by_default():
    """Eight columns, each with a digit of its own: at every holder a sum of points would have named all bins."""
    columns = [[0, 2**k, 2**k] for k in range(8)]
    holders = [(columns, (0, 0)), (columns, (0, 0))]
    _, tables = given_by_all(card_of(holders), holders, [Policy().score_values] * 2, ["points"] * 2)
    assert math.log2(len(sums_of(tables))) <= 9
    assert (
        len({sum(c[k] for c, k in zip(columns, bits, strict=True)) for bits in np.ndindex(*[2] * 8)}) == 256
    )


def test_a_stricter_policy_of_today_makes_a_coarser_grid():
    holders = [([[0, 100, 200]], (0, 0))]
    card = card_of(holders)
    attempts, (table,) = given_by_all(card, holders, [512], ["points"])
    assert len(table.values) == 201
    strict = Policy(scores="points", score_values=16)
    attempts[0].node = SimpleNamespace(institution=SimpleNamespace(policy=strict))
    (whole,) = score_grid.sums_of(attempts[0])
    assert len(score_grid.given_points(attempts[0], card, whole).values) <= 16


@given(st.lists(st.tuples(st.integers(-900, 900), st.integers(0, 900)), min_size=1), st.integers(16, 4096))
def test_the_step_is_no_larger_than_it_has_to_be(ends, values):
    spans = [(low, low + length) for low, length in ends]
    step = common_step(spans, values)
    assert most_values(spans, step) <= values
    width = sum(length for _, length in ends)
    assert step == 1 or width / (step - 1) > values - 1


@pytest.mark.parametrize(
    ("index", "movers", "hidden"), [("all", 2, True), ("all", 1, False), ("none", 0, True)]
)
def test_a_holder_that_alone_moves_is_not_hidden_by_what_stays_the_same(index, movers, hidden):
    """Columns that count in every month as they are now cancel in the difference of two months."""
    card = card_of([([[0, 9, 30], [0, 20, 50], [5, 11, 40]], (0, 3))] * 2)
    features = [b.feature for b in card.bins if b.feature.is_column]
    features = [replace(f, moving=int(f.institution[1:]) < movers) for f in features]
    said = SimpleNamespace(score_values=512, score_themes=False, band_columns=3)
    attempt = SimpleNamespace(
        study=SimpleNamespace(holders=["h0", "h1"], settings={"index": index}),
        plan=SimpleNamespace(features=features),
        role="h0",
        name="h0",
        statements={"h0": said, "h1": said},
        weight=[np.full(len(p), 1 / len(p)) for p in card.points],
        node=SimpleNamespace(institution=SimpleNamespace(policy=Policy(scores="bands", score_values=512))),
    )
    given = score_grid.given_points(attempt, card, score_grid.sums_of(attempt)[0])
    assert (len(given.values) > BANDS) == hidden
