"""What crafted points tell: a bank and the hub collude, invent totals, and read what the scores then say of bins.

Whoever invents the totals chooses the points (within the range that one feature may have); that is in nobody's power to
see. What bounds it: a sum of points has at most policy.score_values values, so that a version tells log2 of it in bits
whatever the points are; a holder without enough others beside it gives bands; a bank has few versions and models.
"""

import math

import numpy as np
import pytest

from fedrisk.attacks.crafted import bits, codes_of, digits, guessed, lying, one_column
from fedrisk.models.readable import READABLE, readable

pytestmark = pytest.mark.study

RULES = {
    "scores": "bands",
    "band_columns": 2,
    "research": True,
    "cap_epsilon": 20.0,
    "max_epsilon": 20.0,
}


def build(kit, folder, **rules):
    return kit.build(folder, ("alfa",), kit.HOLDERS, enterprises=1500, policy={**RULES, **rules})


def attacked(consortium, targets, **study):
    """A crafted study; what the liars have then, and the truth of the holders' bins."""
    with lying(targets) as loot:
        # Noise that repeats, so that the liars have the same luck every time.
        run = consortium.run(consortium.with_study(**study) if study else None, research_seed=1)
    return run, loot, codes_of(loot, consortium.tables)


def told_of(loot, codes):
    """By column, how much better than blindly its bins are guessed from the sum: 0 to 1."""
    out = {}
    for key, truth in codes.items():
        blind = guessed(0 * truth, truth)
        out[key] = (guessed(loot.external, truth) - blind) / (1 - blind)
    return out


def readable_of(run):
    """The same by the form of the card alone, by column."""
    card = run.results.card
    places = [j for j, b in enumerate(card.bins) if b.feature.institution != "bank"]
    found = readable([card.points[j] for j in places])
    return {
        (card.bins[j].feature.institution, card.bins[j].feature.column): v
        for j, v in zip(places, found, strict=True)
    }


def test_points_as_digits_tell_no_more_than_the_bits_of_a_score_and_not_all_bins(kit, tmp_path):
    consortium = build(kit, tmp_path)
    run, loot, codes = attacked(consortium, digits)
    everything, told = bits(*codes.values()), bits(loot.external)
    values, limit = len(np.unique(loot.external)), run.nodes["tax"].institution.policy.score_values
    assert values <= limit and told <= math.log2(limit)
    # The liars learnt something, and of the whole row of bins more than two bits stay in the dark.
    assert told > 2 and everything - told > 2
    whole = np.unique(np.stack(list(codes.values()), 1), axis=0, return_inverse=True)[1].ravel()
    assert guessed(loot.external, whole) < 0.5


@pytest.mark.long
@pytest.mark.parametrize(
    ("values", "columns", "most", "share"),
    [
        # Two holders with columns enough.
        (512, 2, 9.0, (0.9, 1.0)),
        # The fewest values that a policy may allow.
        (16, 2, 4.0, (0.6, 1.0)),
        # One holder alone behind the sum, which gives bands.
        (512, 3, 7.0, (0.5, 0.9)),
    ],
)
def test_one_column_that_liars_pick_is_read_within_the_bits_and_shows_in_the_card(
    kit, tmp_path, values, columns, most, share
):
    """The honest limit of a bound in bits: liars choose which bits. So a card says by its form what it gives away."""
    consortium = build(kit, tmp_path, score_values=values, band_columns=columns)
    run, loot, codes = attacked(consortium, one_column("sales"))
    told = told_of(loot, codes)
    assert len(np.unique(loot.external)) <= values and bits(loot.external) <= most
    assert share[0] <= told["tax", "sales"] <= share[1]
    assert readable_of(run)["tax", "sales"] > READABLE


@pytest.mark.long
def test_a_card_of_honest_totals_is_not_readable(kit, tmp_path):
    run = build(kit, tmp_path).run(research_seed=1)
    assert max(readable_of(run).values()) < READABLE


@pytest.mark.long
def test_a_second_model_is_a_second_equation(kit, tmp_path):
    """What champion and challenger tell together; policy.serving.models says how many a bank may have at once."""
    consortium = build(kit, tmp_path)
    _, champion, _ = attacked(consortium, one_column("sales"))
    run, challenger, _ = attacked(consortium, one_column("growth"), name="challenger")
    at = {enterprise: k for k, enterprise in enumerate(champion.ids)}
    both = np.array([enterprise in at for enterprise in challenger.ids])
    first = champion.external[[at[enterprise] for enterprise in challenger.ids[both]]]
    second = challenger.external[both]
    one, other, together = bits(first), bits(second), bits(first, second)
    limit = run.nodes["tax"].institution.policy.score_values
    assert max(one, other) + 1 < together <= 2 * math.log2(limit)
