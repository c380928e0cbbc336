"""The plan of a scorecard study: prices, noise and scale, and the claimed sensitivities against adversarial rows."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.analysis.card_sums import own_pairs
from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models.shape_rows import shape_rows
from fedrisk.privacy.accounting import SIGMA_MIN, compose, discreteness, mu_for
from fedrisk.recipes.scorecard.forms import (
    CALIBRATION_BINS,
    calibration_release,
    check_16_bits,
    counts_release,
    gram_fraction_bits,
    gram_release,
)
from fedrisk.recipes.scorecard.matrices import label_matrix
from fedrisk.recipes.scorecard.plan import SHARES, expect, make_plan, unstated_directions
from fedrisk.releases.budget import noise_reach, split, total_mu
from fedrisk.releases.edges import edges_release
from fedrisk.releases.evaluation import evaluation_release
from fedrisk.releases.release import products
from fedrisk.report.words import sentence
from fedrisk.secure.ring import from_signed, to_range
from fedrisk.study_members import BANK
from support.studies import OWNERS, RADII, SIZES, features, study

pytestmark = pytest.mark.slow

EPSILONS = st.floats(0.05, 20)
DELTAS = st.floats(1e-10, 1e-5)


def mus(asked, *, edges=True):
    """Price of each release on training rows."""
    return split(total_mu(asked), SHARES, without=() if edges else ("edges",))


@settings(max_examples=100, deadline=None)
@given(EPSILONS, DELTAS, st.booleans())
def test_the_squares_of_the_prices_add_up_to_the_studys(epsilon, delta, edges):
    asked = study(epsilon=epsilon, delta=delta)
    prices = mus(asked, edges=edges)
    assert set(prices) == (set(SHARES) if edges else {"counts", "gram", "calibration"})
    assert compose(prices.values()) == pytest.approx(mu_for(epsilon, delta), rel=1e-12)
    # What public bins save goes to the others in proportion.
    assert prices["counts"] ** 2 / prices["gram"] ** 2 == pytest.approx(SHARES["counts"] / SHARES["gram"])


def test_shares_add_up():
    assert sum(SHARES.values()) == pytest.approx(1.0)


def test_no_privacy_has_no_price_and_no_noise():
    asked = study(epsilon=math.inf)
    assert set(mus(asked).values()) == {math.inf}
    for release in (
        counts_release(asked, SIZES, math.inf),
        gram_release(asked, OWNERS, RADII, 1000, math.inf),
        calibration_release(asked, math.inf),
        evaluation_release(asked, 8),
        edges_release(asked, features(), math.inf),
    ):
        assert {s for b in release.blocks for s in b.sigma.values()} == {0.0}


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, math.inf])
@pytest.mark.parametrize("private", [True, False])
def test_a_plan_holds_every_release_at_its_price(epsilon, private):
    """Recount and Gram matrix share a part of the budget: a study makes one of the two."""
    asked = study(epsilon=epsilon)
    columns = [f for f in features() if private or not f.private_edges]
    plan = make_plan(asked, columns)
    prices = mus(asked, edges=private)
    names = ["counts", "recount", "gram", "calibration", "evaluation"]
    assert [p.name for p in plan.planned] == (["edges", *names] if private else names)
    assert plan.mu("recount") == plan.mu("gram") == prices["gram"]
    training = [plan.mu(name) for name in prices]
    assert compose(training) == pytest.approx(total_mu(asked), rel=1e-12)
    assert plan.mu("evaluation") == total_mu(asked)
    assert plan.price == dict.fromkeys(("bank", "tax", "power"), total_mu(asked))
    assert plan.prepared("evaluation") and not plan.prepared("counts") and not plan.prepared("gram")
    assert plan.prepared("edges") == private
    assert plan.sample_rows == 200_000


def test_the_planned_noise_of_counts_is_that_of_the_release_to_come():
    """It depends on the number of features, not on their bins."""
    asked = study()
    plan = make_plan(asked, features())
    sizes = {"bank": [9, 5, 7], "tax": [2, 4, 3], "power": []}
    assert plan.find("counts").deviation == counts_release(asked, sizes, plan.mu("counts")).deviation()


def releases(asked):
    prices = mus(asked)
    owners = {r: OWNERS[r] for r in asked.roles}
    return (
        edges_release(asked, features(), prices["edges"]),
        counts_release(asked, {r: SIZES[r] for r in asked.roles}, prices["counts"]),
        gram_release(asked, owners, {r: RADII[r] for r in asked.roles}, 5000, prices["gram"]),
        calibration_release(asked, prices["calibration"]),
        evaluation_release(asked, 24),
    )


def needed(asked, release):
    """The sigma in ring units that the adversary must face, from the claimed sensitivity."""
    if release.name == "edges":
        sensitivity = math.sqrt(sum(f.private_edges for f in features()))
    elif release.name == "counts":
        sensitivity = math.sqrt(sum(len(SIZES[r]) for r in asked.roles))
    elif release.name == "gram":
        sensitivity = sum(RADII[r] ** 2 for r in asked.roles) / math.sqrt(2)
    else:
        # A holder's record moves an enterprise from one cell to another; a bank's is in one or in none.
        sensitivity = math.sqrt(2) if asked.holders else 1.0
    return sensitivity * 2**release.scale_bits / release.mu


@pytest.mark.parametrize("colluders", range(4))
@pytest.mark.parametrize("banks", range(1, 8))
@pytest.mark.parametrize("holders", [("tax", "power"), ()])
def test_the_rest_of_the_noise_suffices_against_a_bank_and_its_colluders(banks, colluders, holders):
    """A bank that reads a block takes off its own noise and that of ``colluders`` others."""
    asked = study(banks, holders, colluders=colluders)
    for release in releases(asked):
        wanted = needed(asked, release)
        for block in release.blocks:
            own = [s for n, s in block.sigma.items() if n in asked.banks]
            held = [s for n, s in block.sigma.items() if n in asked.holders]
            assert all(s >= wanted for s in held)  # each holder's noise suffices by itself
            if BANK not in (block.left, block.right):
                assert not own
                continue
            assert len(own) == banks
            assert len(set(own)) == 1
            others = max(1, banks - 1 - colluders)
            assert math.sqrt(others) * own[0] >= wanted * (1 - 1e-12)
            assert math.sqrt(others) * own[0] <= wanted * 1.01  # and it is not wasted
            price = discreteness(
                wanted * release.mu / (math.sqrt(others) * own[0]), own[0] * math.sqrt(others)
            )
            assert price <= release.mu * (1 + 1e-12)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 7), st.integers(0, 3), EPSILONS, DELTAS, st.booleans())
def test_every_contributor_draws_noise_that_is_fine_enough(banks, colluders, epsilon, delta, by_bank):
    asked = study(banks, epsilon=epsilon, delta=delta, colluders=colluders, by_bank=by_bank)
    for release in releases(asked):
        assert release.scale_bits >= 0
        for block in release.blocks:
            assert min(block.sigma.values()) >= SIGMA_MIN
            assert release.variance(block.name) == pytest.approx(
                sum((s / 2**release.scale_bits) ** 2 for s in block.sigma.values())
            )


def test_labels_have_at_least_eight_fractional_bits():
    """A label or weight of .1 must not be rounded to 0, at any epsilon."""
    for epsilon in (0.5, 1.0, math.inf):
        asked = study(epsilon=epsilon)
        assert counts_release(asked, SIZES, math.inf if math.isinf(epsilon) else 0.2).scale_bits >= 8
        assert evaluation_release(asked, 24).scale_bits >= 8
        assert calibration_release(asked, mus(asked)["calibration"]).scale_bits >= 8


def test_the_block_of_the_calibration_histogram():
    """One for all banks together, of their noise alone: the holders' records stand behind the scores."""
    release = calibration_release(study(3), 0.1)
    assert (release.population, release.ring, release.mu) == ("training", "uint32", 0.1)
    (block,) = release.blocks
    assert (block.name, block.left, block.right, block.shape) == (
        "bank",
        "bank",
        "bank",
        (CALIBRATION_BINS, 2),
    )
    assert block.contributors == ("b0", "b1", "b2")
    alone, joint = calibration_release(study(3, ()), 0.1), release
    assert joint.variance("bank") == pytest.approx(2 * alone.variance("bank"), rel=0.01)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([0.3, 1.0, 8.0, 20.0]), st.booleans())
def test_one_enterprise_moves_the_calibration_histogram_by_at_most_the_sensitivity(
    seed, banks, epsilon, held
):
    """A bank's record made zero leaves its cell; a holder's record made zero sends an enterprise to any other cell."""
    rng = np.random.default_rng(seed)
    release = calibration_release(
        study(banks, ("tax",) if held else (), epsilon=epsilon), mu_for(epsilon, 1e-6)
    )
    unit = 2**release.scale_bits
    sigma = math.sqrt(max(1, banks - 2)) * min(release.blocks[0].sigma.values())
    for label, weight in [(0.0, 1.0), (1.0, 1.0), (0.5, 1.0), *rng.random((4, 2))]:
        row = label_matrix(np.array([label]), np.array([weight]), release.scale_bits, binary=False)[0]
        before, after = (np.zeros((CALIBRATION_BINS, 2), np.int64) for _ in range(2))
        place, other = rng.permutation(CALIBRATION_BINS)[:2]
        before[place] = row
        if held:
            after[other] = row
        moved = int(np.square(before - after).sum())
        assert moved <= (2 if held else 1) * unit**2
        assert math.sqrt(moved) / sigma <= release.mu
        if (label, weight) == (1.0, 1.0):
            assert moved == (2 if held else 1) * unit**2


def test_blocks_of_label_counts():
    release = counts_release(study(2), SIZES, 0.2)
    assert [(b.name, b.left, b.right, b.shape) for b in release.blocks] == [
        ("bank", "bank", "bank", (7, 2)),
        ("tax", "tax", "bank", (5, 2)),
        ("power", "power", "bank", (7, 2)),
    ]
    assert [b.contributors for b in release.blocks] == [
        ("b0", "b1"),
        ("b0", "b1", "tax"),
        ("b0", "b1", "power"),
    ]
    assert release.block("tax").shape == (5, 2)
    with pytest.raises(KeyError):
        release.block("nobody")


def test_blocks_of_plain_label_counts():
    """Defaults and all rows apart: the noise of the first is in the second, so both give what one array gave."""
    release = counts_release(study(2), SIZES, 0.2, binary_labels=True, rows=50_000)
    assert [(b.name, b.left, b.right, b.shape, b.columns, b.ring) for b in release.blocks] == [
        ("bank", "bank", "bank", (7, 2), None, None),
        ("tax", "tax", "bank", (5, 1), (4, 1), "uint16"),
        ("tax.all", "tax", "tax", (5, 1), None, None),
        ("power", "power", "bank", (7, 1), (4, 1), "uint16"),
        ("power.all", "power", "power", (7, 1), None, None),
    ]
    assert release.block("tax.all").with_noise_of == "tax"
    # The holder alone: with noise of the banks in both blocks it would see their counts twice.
    assert release.block("tax.all").sigma == {"tax": release.block("tax").sigma["tax"]}
    assert [p.id for p in products(study(2), release)] == ["tax@b0", "tax@b1", "power@b0", "power@b1"]
    soft = counts_release(study(2), SIZES, 0.2)
    assert [release.variance(r) for r in ("bank", "tax")] == pytest.approx(
        [soft.variance(r) for r in ("bank", "tax")], rel=2e-3
    )  # coarser units cost a little more for being integers
    assert [soft.columns_of(p) for p in products(study(2), soft)] == [(4, 2)] * 4
    assert {soft.ring_of(b) for b in soft.blocks} == {"uint32"}


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 8.0, math.inf])
@pytest.mark.parametrize("rate", [None, 0.01, 0.03, 0.2])
@pytest.mark.parametrize("banks", [1, 17])
def test_sixteen_bits_hold_every_count_or_are_not_used(epsilon, rate, banks):
    """Any number of defaults up to what the rule allows, with 12 deviations of noise either way, is read right."""
    asked = study(banks, epsilon=epsilon)
    asked = asked.model_copy(update={"expected": asked.expected.model_copy(update={"default_rate": rate})})
    mu = mus(asked)["counts"]
    used = 0
    for rows in (100, 10_000, 60_000, 65_536, 200_000, 560_000, 3_000_000):
        release = counts_release(asked, SIZES, mu, binary_labels=True, rows=rows)
        block = release.block("tax")
        if block.ring is None:
            continue
        used += 1
        unit, reach = 2**release.scale_bits, noise_reach(block.sigma)
        most = rows  # without a rate nothing but the rows bounds the defaults
        if rate is not None:
            with pytest.raises(ConfigError, match="expected.default_rate"):
                check_16_bits(release, 10**6, 66_000, 1.0)
            most = min(rows, max(n for n in range(0, rows + 1, 50) if passes(release, rows, n)))
            assert most >= min(rows, 2 * rate * rows - 50)
        check_16_bits(release, rows, most, 0.0)
        for count in (0, most):
            for noise in (-reach, reach):
                got = to_range(from_signed(np.array([count * unit + noise]), "uint16"), block.least)
                assert got == [count * unit + noise]
    assert used


def passes(release, rows, positives):
    try:
        check_16_bits(release, rows, positives, 0.0)
    except ConfigError:
        return False
    return True


def test_sixteen_bits_need_the_banks_own_counts_to_check_a_rate():
    asked = study().model_copy(
        update={"expected": study().expected.model_copy(update={"default_rate": 0.02})}
    )
    both = counts_release(asked, SIZES, 0.2, binary_labels=True, rows=300_000)
    alone = counts_release(asked, {**SIZES, "bank": []}, 0.2, binary_labels=True, rows=300_000)
    assert both.block("tax").ring == "uint16" and alone.block("tax").ring is None
    check_16_bits(alone, 300_000, 250_000, 1.0)  # nothing to check in 32 bits


def test_blocks_of_the_gram_matrix():
    release = gram_release(study(), OWNERS, RADII, 1000, 0.2)
    assert [(b.name, b.left, b.right, b.shape) for b in release.blocks] == [
        ("bank", "bank", "bank", (2,)),
        ("tax.bank", "tax", "bank", (2, 3)),
        ("power.bank", "power", "bank", (3, 3)),
        ("tax.power", "tax", "power", (2, 3)),
        ("power", "power", "power", (2,)),
    ]  # tax has one feature only and so no block of its own
    assert release.block("tax.power").contributors == ("tax", "power")
    assert release.ring == "uint64"
    assert release.scale_bits % 2 == 0


def test_roles_without_columns_have_no_block():
    release = counts_release(study(), {"bank": [], "tax": [3], "power": []}, 0.2)
    assert [b.name for b in release.blocks] == ["tax"]
    assert [b.name for b in gram_release(study(), {"tax": [0, 1]}, {"tax": 1.0}, 9, 0.2).blocks] == ["tax"]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([0.3, 1.0, 8.0, 20.0]))
def test_zeroing_one_enterprise_moves_the_label_counts_by_at_most_the_sensitivity(seed, banks, epsilon):
    """All blocks together, any label in [0, 1], any weight in [0, 1], any bins."""
    rng = np.random.default_rng(seed)
    sizes = {r: rng.integers(2, 6, rng.integers(1, 6)).tolist() for r in (BANK, "tax", "power")}
    release = counts_release(study(banks, epsilon=epsilon), sizes, mu_for(epsilon, 1e-6))
    unit = 2**release.scale_bits
    for label, weight in [(0.0, 1.0), (1.0, 1.0), (0.5, 1.0), *rng.random((4, 2))]:
        whole = math.floor(weight * unit)
        positive = math.floor(label * whole)
        columns = np.array([positive, whole - positive])
        moved = 0
        for block in release.blocks:
            row = np.zeros(block.shape[0], np.int64)
            for start, stop in pairwise(np.cumsum([0, *sizes[block.name]])):
                row[rng.integers(start, stop)] = 1  # one-hot: the enterprise is in one bin of each feature
            change = np.outer(row, columns)
            assert change.shape == block.shape
            moved += sum(int(v) ** 2 for v in change.ravel())
        count = sum(len(s) for s in sizes.values())
        assert moved <= count * unit**2  # the claimed sensitivity, sqrt(features) in units of the scale
        sigma = min(math.sqrt(max(1, banks - 2)) * min(b.sigma.values()) for b in release.blocks)
        assert math.sqrt(moved) / sigma <= release.mu  # so its price holds too
        if (label, weight) == (1.0, 1.0):
            assert moved == count * unit**2  # the bound is met by every enterprise that defaulted


def gram_change(rows, release):
    """What one enterprise adds to the released vector, in the shapes of the release's blocks."""
    for block in release.blocks:
        if block.left == block.right:
            i, j = own_pairs(OWNERS[block.left])
            change = rows[block.left][list(i)] * rows[block.left][list(j)]
        else:
            change = np.outer(rows[block.left], rows[block.right])
        assert change.shape == block.shape
        yield change


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(0.05, 30)] * 3),
    st.integers(1, 2_000_000),
    st.sampled_from([1.0, 10.0, 1e4]),
)
def test_zeroing_one_enterprise_moves_the_gram_matrix_by_at_most_the_sensitivity(seed, sizes, rows, spread):
    """Random bases, most rows clipped to their radius; every released entry of all blocks together."""
    rng = np.random.default_rng(seed)
    radii = dict(zip((BANK, "tax", "power"), sizes, strict=True))
    mu = 0.13
    release = gram_release(study(), OWNERS, radii, rows, mu)
    claimed = sum(r * r for r in radii.values()) / math.sqrt(2) * 2**release.scale_bits
    sigma = min(min(b.sigma.values()) for b in release.blocks)
    for _ in range(5):
        parts = {}
        for role, owners in OWNERS.items():
            bases = [rng.normal(0, spread, (3, owners.count(f))) for f in dict.fromkeys(owners)]
            codes = [rng.integers(0, 3, 1) for _ in bases]
            parts[role] = shape_rows(codes, bases, radii[role], release.scale_bits // 2)[0]
        moved = sum(int(v) ** 2 for change in gram_change(parts, release) for v in change.ravel().tolist())
        assert math.sqrt(moved) <= claimed * (1 + 1e-15)
        assert math.sqrt(moved) / sigma <= mu


def test_the_claimed_sensitivity_of_the_gram_matrix_is_nearly_met():
    """Rows of many features of equal norm come within two per cent, so that the search above can fail."""
    owners = {BANK: list(range(32)), "tax": list(range(32, 64))}
    asked = study(1, ("tax",))
    release = gram_release(asked, owners, {BANK: 1.0, "tax": 1.0}, 1000, 0.2)
    unit = 2 ** (release.scale_bits // 2)
    row = np.full(32, float(math.floor(unit / math.sqrt(32))))
    i, j = own_pairs(owners[BANK])
    moved = 2 * ((row[list(i)] * row[list(j)]) ** 2).sum() + (np.outer(row, row) ** 2).sum()
    claimed = 2.0 / math.sqrt(2) * 2**release.scale_bits
    assert 0.98 * claimed < math.sqrt(moved) <= claimed


def test_entries_of_the_gram_matrix_are_released_once_and_never_within_a_feature():
    owner = [(role, f) for role in (BANK, "tax", "power") for f in OWNERS[role]]
    place = {role: [k for k, (r, _) in enumerate(owner) if r == role] for role in OWNERS}
    seen = []
    for block in gram_release(study(), OWNERS, RADII, 1000, 0.2).blocks:
        if block.left == block.right:
            i, j = own_pairs(OWNERS[block.left])
            seen += [(place[block.left][a], place[block.left][b]) for a, b in zip(i, j, strict=True)]
        else:
            seen += [(a, b) for a in place[block.left] for b in place[block.right]]
    pairs = {frozenset(p) for p in seen}
    assert len(pairs) == len(seen)
    assert pairs == {frozenset((a, b)) for a in range(8) for b in range(8) if a != b and owner[a] != owner[b]}


@settings(max_examples=100)
@given(st.integers(1, 10**9), st.floats(1e-6, 1e6))
def test_sums_of_the_gram_matrix_stay_inside_the_ring(rows, radius2):
    bits = gram_fraction_bits(rows, radius2)
    assert 4 <= bits <= 20
    if bits > 4:
        assert rows * radius2 * 4.0**bits <= 2.0**60


def test_what_is_expected_before_a_study():
    """By hand: 1,000 enterprises, .8 of them included, .7 of these trained on, .05 positives: 28."""
    asked = study(2)
    plan = make_plan(asked, features())

    def codes(rows, **expected):
        changed = asked.model_copy(update={"expected": asked.expected.model_copy(update=expected)})
        return expect(changed, plan, rows)

    open_ones = "direction_unstated"
    assert [f.code for f in codes({})] == ["left_out_odds", "declare_enterprises", open_ones]
    assert [f.code for f in codes({"b0": 600, "b1": 400})] == [
        "left_out_odds",
        "declare_default_rate",
        open_ones,
    ]
    for found in (
        codes({"b0": 600, "b1": 400}, default_rate=0.05),
        codes({}, enterprises=1000, default_rate=0.05),
    ):
        assert found[1].code == "gain_between"
        assert found[1].values["positives"] == pytest.approx(28)
        assert found[1].values["own"] + found[1].values["external"] == 6
        assert found[1].values["known"] == 1.0
    # So few defaults: it is said what would lessen the noise.
    assert found[2].code == "gain_noise"
    (half,) = codes({}, enterprises=1000, default_rate=0.05, known=0.5)[1:2]
    assert half.values["known"] == 0.5
    assert half.values["middle"] <= found[1].values["middle"]
    whole = asked.model_copy(
        update={"alignment": asked.alignment.model_copy(update={"inclusion_probability": 1.0})}
    )
    assert expect(whole, plan, {})[0].code == "left_out_certain"
    assert [f.code for f in expect(study(), make_plan(study(), features()), {})] == [
        "declare_enterprises",
        open_ones,
    ]


def test_columns_that_state_no_direction_are_named():
    """Numbers alone: neither categories nor flags, nor what states a direction or a constraint."""
    open_number = Feature(institution="tax", column="open", low=0, high=1)
    stated = [
        replace(open_number, column="soft", direction="increasing"),
        replace(open_number, column="strict", monotone="decreasing"),
        Feature(institution="tax", column="flag", kind="flag"),
        Feature(institution="tax", column="form", kind="category", bins=("a", "b")),
    ]
    assert unstated_directions(stated) == []
    (found,) = unstated_directions([*stated, open_number, replace(open_number, institution=BANK)])
    assert found.values == {"count": 2, "columns": "tax.open, bank.open"}
    assert "never by labelled rows" in sentence(found)
    (many,) = unstated_directions([replace(open_number, column=f"c{k}") for k in range(25)])
    assert many.values["columns"].endswith("tax.c19 and 5 more")
