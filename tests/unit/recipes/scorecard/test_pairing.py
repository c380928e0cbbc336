"""Release of pairs: what one record changes of its integers, its form, its price and when it is made."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import KNOWN, Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import with_pairs
from fedrisk.models.pairs import Pair, PairDesign, pair_radius, pairs_sensitivity
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.shape_rows import radius_units
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard.matrices import label_matrix
from fedrisk.recipes.scorecard.pairing import (
    LABEL_BITS,
    PRODUCT_BITS,
    asks_pairs,
    own_expected,
    own_products,
    pairs_release,
    said_of_pairs,
)
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.settings import ScorecardSettings, asks
from fedrisk.recipes.scorecard.themes import ScoreSum
from fedrisk.releases.budget import total_mu
from fedrisk.releases.record import ReleasedBlock, ReleasedSums
from fedrisk.report.words import sentence
from fedrisk.study_members import BANK
from support.studies import features, study

BINS = 4


def with_settings(**settings):
    plain = study()
    content = plain.model_dump(mode="python", exclude_defaults=True)
    return study_from({**{k: v for k, v in content.items() if k != "settings"}, "scorecard": settings})


def design(rng, columns, scale):
    """Tables of any size, for unknown enterprises (the last bin) zero as those of `pair_design`."""
    places = tuple((i, j) for i in range(columns) for j in range(i + 1, columns))
    tables = []
    for _ in places:
        table = rng.normal(size=(BINS, BINS)) * scale
        table[-1], table[:, -1] = 0.0, 0.0
        tables.append(table)
    return PairDesign(
        own=tuple(range(columns)),
        places=places,
        tables=tuple(tables),
        level=float(rng.normal()) * scale,
        shifts=tuple(rng.normal(size=BINS) * scale for _ in range(columns)),
        radius=pair_radius(len(places)),
        information=np.zeros((len(places),) * 2),
        share=np.ones(len(places)),
        defaults=1.0,
    )


def released(codes, label, designs):
    """Sums of all institutions without noise, as integers: a bank's own, a holder's product less what it expects."""
    out = []
    for role, found in designs.items():
        rows, expected = own_products(codes[role], found), own_expected(codes[role], found)
        y = label_matrix(label, None, LABEL_BITS, binary=True)[:, 0]
        out.append(rows.T @ y - rows.T @ expected)
    return np.concatenate(out)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    columns=st.tuples(st.integers(2, 4), st.integers(2, 4), st.integers(2, 3)),
    scale=st.sampled_from([0.1, 1.0, 30.0, 1e6]),
)
def test_one_record_moves_the_release_by_at_most_its_sensitivity(seed, columns, scale):
    rng = np.random.default_rng(seed)
    designs = {r: design(rng, n, scale) for r, n in zip((BANK, "tax", "power"), columns, strict=True)}
    codes = {r: rng.integers(0, BINS, (6, n)) for r, n in zip(designs, columns, strict=True)}
    label = rng.integers(0, 2, 6).astype(float)
    whole = released(codes, label, designs)
    units = [radius_units(d.radius, PRODUCT_BITS) for d in designs.values()]
    bound = pairs_sensitivity(units) * 2**LABEL_BITS
    for role in ("tax", "power"):
        # A holder's record, made zero: an enterprise that it does not know.
        without = {**codes, role: codes[role].copy()}
        without[role][0] = BINS - 1
        change = whole - released(without, label, designs)
        assert math.sqrt(sum(int(c) ** 2 for c in change)) <= bound
    # A bank's record, made zero: neither its products and label, nor its part of the holders' products.
    parts = [own_products(codes[r], d)[0].astype(object) for r, d in designs.items()]
    y = int(label[0] * 2**LABEL_BITS)
    own = parts[0] * (y - int(own_expected(codes[BANK], designs[BANK])[0]))
    change = np.concatenate([own, *(p * y for p in parts[1:])])
    assert math.sqrt(sum(int(c) ** 2 for c in change)) <= bound


def test_the_claimed_sensitivity_is_nearly_met():
    """All products at their radius and a default that nobody expected."""
    rng = np.random.default_rng(1)
    designs = {r: design(rng, 3, 1e6) for r in (BANK, "tax")}
    parts = []
    for found in designs.values():
        parts.append(own_products(np.array([[0, 1, 2]]), found)[0].astype(object) * 2**LABEL_BITS)
    units = [radius_units(d.radius, PRODUCT_BITS) for d in designs.values()]
    reached = math.sqrt(sum(int(c) ** 2 for p in parts for c in p))
    bound = pairs_sensitivity(units) * 2**LABEL_BITS
    assert 0.999 * bound < reached <= bound


def test_its_form():
    rng = np.random.default_rng(1)
    asked = with_settings(pairs="auto")
    designs = {r: design(rng, 3, 1.0) for r in asked.roles}
    release = pairs_release(asked, designs, 0.5)
    assert {b.name: b.shape for b in release.blocks} == dict.fromkeys(asked.roles, (3, 1))
    assert release.ring == "uint64" and release.mu == 0.5 and release.population == "training"
    for block in release.blocks:
        assert set(block.contributors) == {*asked.banks, *({block.left} - {BANK})}
    units = [radius_units(d.radius, PRODUCT_BITS) for d in designs.values()]
    sigma = next(b.sigma[b.left] for b in release.blocks if b.left != BANK)
    assert sigma >= pairs_sensitivity(units) * 2**LABEL_BITS / 0.5


def plan_of(**settings):
    asked = with_settings(**settings)
    return asked, make_plan(asked, features())


def test_it_has_a_tenth_of_the_budget_and_the_study_costs_the_same():
    asked, plain = plan_of()
    _, paired = plan_of(pairs="auto")
    total = total_mu(asked)
    assert paired.price == plain.price
    assert [p.name for p in paired.planned] == [
        "edges",
        "counts",
        "recount",
        "gram",
        "pairs",
        "calibration",
        "evaluation",
    ]
    assert paired.mu("pairs") == pytest.approx(total * math.sqrt(0.1))
    for name in ("edges", "counts", "gram", "calibration"):
        assert paired.mu(name) == pytest.approx(plain.mu(name) * math.sqrt(0.9))
    for second in (("gram", "pairs"), ("recount",)):
        spent = [paired.mu(n) for n in ("edges", "counts", "calibration", *second)]
        assert math.sqrt(sum(m * m for m in spent)) == pytest.approx(total)
    assert plain.find("pairs") is None
    assert [p.name for p in plan_of(pairs="auto", second="gram")[1].planned][2:4] == ["gram", "pairs"]


def test_who_asks_for_it():
    asked, plain = with_settings(pairs="auto"), study()
    assert asks_pairs(asked, gram=True, binary=True)
    assert not asks_pairs(asked, gram=False, binary=True) and not asks_pairs(asked, gram=True, binary=False)
    assert not asks_pairs(plain, gram=True, binary=True)
    assert any("pairs" in line for line in asks(asked)) and not any("pairs" in line for line in asks(plain))
    # A study from before there were pairs keeps its digest.
    assert with_settings(pairs="none").digest() == plain.digest() != asked.digest()
    with pytest.raises((ConfigError, ValueError), match="beside the Gram matrix"):
        ScorecardSettings(pairs="auto", second="recount")


def test_what_is_said_of_them():
    asked, plain, without = with_settings(pairs="auto"), study(), card_of_tax()
    found = with_pairs(without, {"tax": of_tax()}, {"tax": (Pair(0, 1, 0.5, np.ones((3, 3)), 0.1),)})
    block = ReleasedBlock(name="tax", left="tax", right=BANK, total=np.ones((1, 1)), variance=1.0)
    made = ReleasedSums(name="pairs", population="training", mu=1.0, blocks=(block,))
    usual = {"gram": True, "binary": True}
    assert said_of_pairs(plain, without, None, **usual) == ()
    cases = {
        "pairs_kept": (found, made, usual),
        "pairs_none": (without, made, usual),
        "pairs_of_no_columns": (without, None, usual),
        "pairs_beside_recount": (without, None, {**usual, "gram": False}),
        "pairs_of_plain_labels": (without, None, {**usual, "binary": False}),
    }
    for code, (card, released_sums, how) in cases.items():
        (said,) = said_of_pairs(asked, card, released_sums, **how)
        assert said.code == code and sentence(said)
    assert said_of_pairs(asked, found, made, **usual)[0].values == {
        "kept": 1,
        "looked": 1,
        "names": "tax.a x b",
    }


def test_a_pair_is_in_the_rest_where_one_of_its_columns_is_and_else_in_the_sum_of_its_first():
    card = with_pairs(card_of_tax(), {"tax": of_tax()}, {"tax": (Pair(0, 1, 0.5, np.ones((3, 3)), 0.1),)})
    a, b = frozenset({"a", KNOWN}), frozenset({"b"})

    def places(left, right, rest):
        one, other = ({"tax": part} for part in (left, right))
        return [
            ScoreSum(n, c, e, {"tax": rest}).places(card)
            for n, c, e in (("t", one, other), ("u", other, one))
        ]

    # A theme of one holder alone must not tell of a column that hides in the rest.
    assert places(a, b, b) == [[0, 2], [1, 3]]
    assert places(a, b, a) == [[0, 2, 3], [1]]
    assert places(a, b, frozenset()) == [[0, 2, 3], [1]]
    # With both columns elsewhere it does not stay with whether the holder knows an enterprise.
    assert places(frozenset({KNOWN}), frozenset({"a", "b"}), frozenset()) == [[2], [0, 1, 3]]


def of_tax():
    return replace(
        design(np.random.default_rng(1), 2, 1.0),
        tables=(np.ones((3, 3)),),
        information=np.ones((1, 1)),
        mean=np.zeros(1),
        moments=np.ones((1, 1)),
    )


def card_of_tax():
    def flag(name):
        feature = Feature(institution="tax", column=name, kind="flag", missing=False)
        return Bins(feature, (0.5,), unknown=True)

    return Scorecard(
        study="s",
        bins=(flag("a"), flag("b"), Bins.public(known_feature("tax"))),
        points=((1, -1, 0), (1, -1, 0), (0, 0)),
        base_points=550,
        averages=(0.0, 0.0, 0.0),
        intercept=-2.0,
        rate=0.1,
        sd=30.0,
        gap=25.0,
        partial_sd={"tax": 30.0},
    )
