"""Cards after edits: what they have to be equal to, and what must not change."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.analysis.card_sums import CardSums
from fedrisk.errors import ConfigError
from fedrisk.models.card_edit import CardEdit, as_released, edited_bins
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.edited_sums import edited_counts
from fedrisk.models.knowledge import GramMatrix
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.card_editing import edit_card
from fedrisk.recipes.scorecard.edited import CardSource, state_after
from fedrisk.recipes.scorecard.fitting import card_of, fit_card, refit
from support.card_record import card_record
from support.edited import SMALL, sums_of

RECORD = card_record()
SHARED = CardSource.of(RECORD)


@pytest.fixture(scope="module")
def source():
    return SHARED


@pytest.fixture(scope="module")
def few():
    return CardSource.of(card_record(few=True))


def test_no_edit_is_the_very_card(source, few):
    for one in (source, few):
        state = state_after(one, ())
        assert state.first == one.first and state.card == one.first
    assert edit_card(RECORD).card == refit(RECORD)


def logistic_record(step="logistic"):
    """The same record as of a study of warnings."""
    gram = RECORD.find("gram")
    other = replace(gram, about={**gram.about, "weights": step})
    return replace(RECORD, releases=tuple(other if r is gram else r for r in RECORD.releases))


def test_a_card_of_the_logistic_step_is_edited_by_the_logistic_step():
    record = logistic_record()
    source = CardSource.of(record)
    assert state_after(source, ()).card == refit(record)
    assert not source.first.same_as(SHARED.first)
    column = next(b.feature.name for b in source.sums.bins if b.feature.is_column)
    merged = CardEdit(merge=(f"{column}:2-3",))
    one, other = (state_after(s, [merged]).first for s in (source, SHARED))
    assert not one.same_as(other)
    again = replace(source.sums, logistic=False)
    assert state_after(replace(source, sums=again), [merged]).first.same_as(other)


def test_a_step_that_this_version_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="names a step .* version that made it"):
        CardSource.of(logistic_record("probit"))


@given(st.integers(0, 100), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=2, deadline=None)
def test_merged_bins_are_as_if_they_had_been_merged_beforehand(seed, first, more):
    """With up to five bins and no noise in the matrix: shape columns say everything of their feature."""
    last = min(first + more, 5)
    if last - first in (0, 4):
        last, first = 3, 2
    codes, _, sums = sums_of(SMALL, seed)
    source = CardSource(study="s", attempt="a", sums=sums)
    edit = CardEdit(merge=(f"bank.a:{first}-{last}",))
    bins = [b for b, _ in edited_bins(as_released(SMALL), edit)]
    merge = edited_bins(as_released(SMALL), edit)[0][1].codes
    variance = np.bincount(merge, np.full(5, 4.0))
    counts = LabelCounts(
        tuple(np.bincount(merge, n) if j == 0 else n for j, n in enumerate(sums.counts.n1)),
        tuple(np.bincount(merge, n) if j == 0 else n for j, n in enumerate(sums.counts.n0)),
        np.full(3, 4.0),
        by_bin=(variance, *(np.full(5, 4.0) for _ in range(2))),
    )
    bases = shape_bases(fit_curves(counts, bins))
    rows = np.concatenate([b[c] for b, c in zip(bases, [merge[codes[0]], *codes[1:]], strict=True)], 1)
    gram = rows.T @ rows
    wanted = fit_card("s", bins, counts, GramMatrix(gram, np.zeros_like(gram)), bases)
    found = state_after(source, [edit]).first
    assert found.same_as(wanted)


def test_counts_and_variances_add_up(source):
    columns = [b for b in source.sums.bins if b.feature.is_column]
    features = edited_bins(as_released(columns), CardEdit(merge=("bank.c0:2-4",)))
    before, after = source.sums.counts, edited_counts(source.sums.counts, features)
    v = float(before.variance[0])
    assert after.variance_of(0).tolist() == pytest.approx([v, 3 * v, v, v])
    assert after.n1[0].tolist() == pytest.approx(
        [before.n1[0][0], before.n1[0][1:4].sum(), *before.n1[0][4:]]
    )
    assert after.positives == pytest.approx(before.positives)
    assert after.rate_error == pytest.approx(before.rate_error)


def test_variances_by_bin_that_are_all_the_same_change_nothing(source):
    """The estimator with a variance for each bin is the one with a variance for each feature."""
    counts, sums = source.sums.counts, source.sums
    each = tuple(counts.variance_of(j) for j in range(len(counts.n1)))
    other = card_of("small", replace(sums, counts=replace(counts, by_bin=each)))
    assert other.same_as(card_of("small", sums))
    assert other.points == source.first.points


def test_a_dropped_column_is_as_if_it_had_never_been(source, few):
    for one in (source, few):
        sums, gone = one.sums, [0]
        left = [j for j in range(len(sums.bins)) if j not in gone]
        counts = LabelCounts(
            sums.counts.n1[1:], sums.counts.n0[1:], sums.counts.variance[1:], sums.counts.known_rate_error
        )
        second = sums.second
        if second is not None:
            at = sums.bases[0].shape[1]
            second = GramMatrix(second.gram[at:, at:], second.variance[at:, at:])
        bases = tuple(sums.bases[j] for j in left) if sums.bases else ()
        without = CardSums(bins=tuple(sums.bins[j] for j in left), counts=counts, bases=bases, second=second)
        found = state_after(one, [CardEdit(drop=("bank.c0",))]).first
        assert found.same_as(card_of("small", without))


@pytest.mark.parametrize("way", ["rising", pytest.param("falling", marks=pytest.mark.long)])
def test_a_forced_shape_is_kept_in_every_step(source, few, way):
    """Also against what the rows say: points then fall back to nearly nothing."""
    for one in (source,) if way == "rising" else (source, few):
        state = state_after(one, [CardEdit(monotone={"tax.c0": way})])
        points = [
            p for b, p in zip(state.card.bins, state.card.points, strict=True) if b.feature.name == "tax.c0"
        ]
        steps = np.diff(points[0][:6])
        assert (steps <= 0).all() if way == "rising" else (steps >= 0).all()


def test_a_forced_sign_holds_for_the_line_through_the_bins(source):
    at = next(j for j, b in enumerate(source.sums.bins) if b.feature.name == "tax.c0")
    weight = source.curves.weight[at][:6] / source.curves.weight[at][:6].sum()
    centre = np.arange(6) - weight @ np.arange(6)

    def slope(state):
        return -float(weight * centre @ np.array(state.first.points[at][:6]))

    kept, turned = (state_after(source, [CardEdit(sign={"tax.c0": w})]) for w in ("rising", "falling"))
    assert kept.first == replace(source.first, flattery=kept.first.flattery)
    # Risk rises with it on these rows; forced the other way, nothing but rounding is left of the slope.
    assert slope(state_after(source, ())) > 10
    assert abs(slope(turned)) < 1.0


@given(st.floats(10, 80), st.floats(0, 900), st.floats(1, 100))
@settings(max_examples=8, deadline=None)
def test_a_scale_changes_no_probability_and_no_rank(double, base, odds):
    state = state_after(SHARED, [CardEdit(points_to_double=double, base_score=base, base_odds=odds)])
    one, other = (scores(c) for c in (SHARED.first, state.card))
    p, q = SHARED.first.probability(one), state.card.probability(other)
    # Nine features and the base are rounded once more: half a point each, of which `factor` make a unit of log-odds.
    bound = 5.5 / state.card.scale.factor + 5.5 / SHARED.first.scale.factor
    assert np.abs(np.log(p / (1 - p)) - np.log(q / (1 - q))).max() < bound
    assert Scorecard.from_json(state.card.to_json()) == state.card


def scores(card):
    rng = np.random.default_rng(0)
    return card.base_points + sum(np.array(p)[rng.integers(0, len(p), 500)] for p in card.points)


def test_twice_the_points_keep_every_rank():
    state = state_after(SHARED, [CardEdit(points_to_double=40)])
    one, other = scores(SHARED.first), scores(state.card)
    assert other - state.card.base_points == pytest.approx(2 * (one - SHARED.first.base_points))


def test_a_long_run_rate_moves_all_odds_alike():
    """King & Zeng (2001): log-odds move by the difference of the log-odds of both rates."""
    card = state_after(SHARED, [CardEdit(long_run_rate=0.041)]).card
    score = np.arange(500, 640)
    shift = SHARED.first.stated_log_odds(score) - card.stated_log_odds(
        score + card.base_points - SHARED.first.base_points
    )
    wanted = np.log(card.rate / (1 - card.rate)) - np.log(0.041 / 0.959)
    assert np.abs(shift - wanted).max() < 0.5 / card.scale.factor + 1e-9
    assert card.rate == SHARED.first.rate and card.long_run == 0.041


def test_older_programs_refuse_what_they_would_score_wrongly():
    for what, version in (
        ({"points_to_double": 40}, 4),
        ({"long_run_rate": 0.04}, 4),
        ({"drop": ("bank.c0",)}, 2),
    ):
        card = state_after(SHARED, [CardEdit(**what)]).card
        assert card._least_version() == version


@pytest.mark.long
def test_edits_are_made_one_after_the_other():
    """Bins are numbered as the card has them when an edit is made."""
    steps = [CardEdit(merge=("bank.c0:1-2",)), CardEdit(merge=("bank.c0:1-2",))]
    at_once = CardEdit(merge=("bank.c0:1-3",))
    assert state_after(SHARED, steps).first == state_after(SHARED, [at_once]).first


@pytest.mark.long
def test_merging_what_is_alike_costs_next_to_nothing():
    """A merge keeps the other columns' points within their errors."""
    state = state_after(SHARED, [CardEdit(merge=("power.c1:1-2",))])
    for b, p in itertools.islice(zip(state.first.bins, state.first.points, strict=True), 2):
        j = [x.feature.name for x in SHARED.first.bins].index(b.feature.name)
        assert np.abs(np.array(p) - SHARED.first.points[j]).max() <= 3
