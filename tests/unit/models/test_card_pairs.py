"""Pairs on a card: cells, codes, points, moments and the stored form, by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature, known_feature, pair_feature
from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.card_pairs import (
    bin_shares,
    most_points,
    pair_bins,
    pairs_of,
    tied_features,
    with_pair_codes,
    with_pairs,
)
from fedrisk.models.given_points import holder_shares
from fedrisk.models.pairs import Pair, PairDesign
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import FACTOR, Scorecard


def flag(institution, column):
    unknown = institution != "bank"
    return Bins(
        Feature(institution=institution, column=column, kind="flag", missing=False), (0.5,), unknown=unknown
    )


def card():
    bins = (
        flag("bank", "late"),
        flag("bank", "new"),
        flag("tax", "gap"),
        flag("tax", "owes"),
        Bins.public(known_feature("tax")),
    )
    return Scorecard(
        study="s",
        bins=bins,
        points=((10, -30), (5, -5), (20, -40, 0), (1, -1, 0), (0, -7)),
        base_points=550,
        averages=(2.0, 0.0, 8.0, 0.0, -1.0),
        intercept=-2.0,
        rate=0.1,
        sd=30.0,
        gap=25.0,
        partial_sd={"bank": 18.0, "tax": 22.0},
        errors=((1.0, 1.0), (1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0)),
    )


TABLE = np.array([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])


def design(table, own):
    return PairDesign(
        own=own,
        places=((0, 1),),
        tables=(table,),
        level=0.0,
        shifts=tuple(np.zeros(n) for n in table.shape),
        radius=1.2,
        information=np.array([[50.0]]),
        share=np.ones(1),
        defaults=100.0,
        mean=np.array([0.1]),
        moments=np.array([[0.8]]),
    )


def paired(weight=0.5, rounded=None):
    found = Pair(2, 3, weight, weight * TABLE, error=0.1)
    return with_pairs(card(), {"tax": design(TABLE, (2, 3))}, {"tax": (found,), "bank": ()}, rounded)


def test_a_pairs_bins_are_the_cells_of_its_columns():
    bins = pair_bins(*card().bins[2:4])
    assert bins.size == 9 and bins.known == 8 and bins.ordered == 0
    assert (
        bins.labels()[:4] == ["no | no", "no | yes", "no | unknown", "yes | no"]
        and bins.labels()[-1] == "unknown"
    )
    assert pair_bins(*card().bins[:2]).labels() == ["no | no", "no | yes", "yes | no", "yes | yes"]
    assert Bins.from_dict(json.loads(json.dumps(bins.to_dict()))) == bins
    assert not bins.feature.is_column and bins.reasons() == ["gap x owes"] * 9
    with pytest.raises(DataError, match="no values"):
        bins.codes(np.array([1.0]))


def test_points_and_moments_by_hand():
    got = paired()
    half = round(FACTOR / 2)
    assert got.points[-1] == (-half, half, 0, half, -half, 0, 0, 0, 0)
    assert got.errors_of(5)[0] == pytest.approx(math.hypot(0.1 * FACTOR, math.sqrt(1 / 12)))
    assert got.errors_of(5)[-1] == pytest.approx(math.sqrt(1 / 12))
    assert got.averages[-1] == pytest.approx(-FACTOR * 0.05)
    # The score of an enterprise whose pairs are all average is what it was.
    assert got.base_points == 550 and got.intercept == pytest.approx(-2.0 + 0.05)
    variance = 0.25 * (0.8 - 0.01)
    assert got.sd == pytest.approx(math.hypot(30.0, FACTOR * math.sqrt(variance)))
    assert got.partial_sd == {
        "bank": 18.0,
        "tax": pytest.approx(math.hypot(22.0, FACTOR * math.sqrt(variance))),
    }
    assert got.gap == pytest.approx(25.0 + FACTOR * 0.25 * 50 / 100)
    assert got.flattery == 1.0
    assert with_pairs(card(), {}, {"tax": ()}) == card()


def test_codes_of_pairs_follow_from_those_of_columns():
    got = paired()
    codes = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 2, 1]], np.uint8)
    all_codes = with_pair_codes(got, "tax", codes)
    assert all_codes[:, -1].tolist() == [0, 3, 1, 8]
    half = round(FACTOR / 2)
    expected = [20 + 1 - half, -40 + 1 + half, 20 - 1 + half, -7]
    assert got.institution_points("tax", list(all_codes.T)).tolist() == expected
    # The bank has none, and its codes are as they were.
    assert with_pair_codes(got, "bank", codes) is codes
    assert pairs_of(got.bins, "tax") == [(5, 2, 3)] and pairs_of(card().bins, "tax") == []


def test_a_pair_goes_with_its_columns_where_bands_are_drawn_up():
    """Two even columns of 20 and -20 points, whose pair gives 40 where they differ: no sum is 80, and half are 40."""
    even, known = np.array([0.45, 0.45, 0.1]), np.array([0.9, 0.1])
    points = ((0, 0), (0, 0), (20, -20, 0), (20, -20, 0), (0, 5), (0, 40, 0, 40, 0, 0, 0, 0, 0))
    got = replace(paired(), points=points)
    places = [2, 3, 5, 4]
    found = holder_shares(*tied_features(got, places, [even, even, even, even, known]))
    assert set(found) == {40, -40, 5} and found[5] == pytest.approx(0.1)
    assert found[40] == pytest.approx(0.675, abs=0.01) and found[-40] == pytest.approx(0.225, abs=0.01)
    # Without pairs nothing is drawn.
    plain, shares = tied_features(got, [2, 3, 4], [even, even, even, even, known])
    assert plain == [points[2], points[3], points[4]] and shares[0] is even
    # A pair in a sum that one of its columns is not in.
    (sums, _), (of_pair, _) = tied_features(got, [2, 5, 4], [even, even, even, even, known])
    assert set(sums[:-1]) == {20, 60, -20} and of_pair.sum() == pytest.approx(1.0)


def test_a_column_has_the_points_of_its_pairs_as_well():
    got = replace(paired(), points=(*card().points, (40, 0, 0, 0, -15, 0, 0, 0, 0)))
    assert most(got, "tax") == 60 and most(got, "bank") == 30 and most(card(), "tax") == 40


def most(card, institution):
    own = card.features_of(institution)
    return most_points([card.bins[j] for j in own], [card.points[j] for j in own])


def test_shares_of_cells_as_if_columns_were_independent():
    weights = [np.array(w) for w in ([0.5, 0.5], [0.5, 0.5], [0.3, 0.3, 0.4], [0.15, 0.45, 0.4], [0.6, 0.4])]
    share = bin_shares(paired(), weights)[-1]
    assert share.sum() == pytest.approx(1.0) and share[-1] == pytest.approx(0.4)
    assert share.reshape(3, 3)[:2, :2].tolist() == pytest.approx(np.array([[0.075, 0.225]] * 2))


def test_a_card_with_pairs_is_stored_as_another_version():
    got = paired()
    assert Scorecard.from_json(got.to_json()) == got
    assert json.loads(got.to_json())["version"] == 3 and json.loads(card().to_json())["version"] == 2


def test_points_that_another_machine_rounded_are_taken_within_rounding_alone():
    points = [list(p) for p in paired().points]
    assert paired(rounded=points) == paired()
    points[-1][0] += 1
    with pytest.raises(ConfigError, match="not those that follow"):
        paired(rounded=points)


def test_cells_that_are_not_those_of_the_columns_are_refused():
    stored = json.loads(paired().to_json())
    stored["bins"][-1]["bins"] = ["owes", "gap"]
    with pytest.raises(ConfigError, match="not those of two columns"):
        with_pair_codes(Scorecard.from_json(json.dumps(stored)), "tax", np.zeros((1, 3), np.uint8))
    for parts in ((), ("gap",), ("gap", "gap"), ("gap", 1.0)):
        with pytest.raises(ConfigError, match="names its two columns"):
            Feature(institution="tax", column="a x b", kind="pair", bins=parts, missing=False)
    with pytest.raises(ConfigError, match="of its own"):
        Feature(institution="tax", column="a x b", kind="pair", bins=("a", "b"))
    assert pair_feature("tax", "a", "b").name == "tax.a x b"


def test_a_prior_takes_no_pairs_over():
    assert [c.bins for c in Prior.from_card(paired()).curves] == list(card().bins)
