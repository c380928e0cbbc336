"""The hold-out by groups: what leaves, what it costs, and that nothing else moves, on whole studies."""

import math

import numpy as np
import pytest

from fedrisk.errors import PeerError
from fedrisk.releases.budget import total_mu
from fedrisk.releases.groups import band_edges, block_of

pytestmark = pytest.mark.study

COLUMN = "grade"


@pytest.fixture(scope="module")
def consortium(kit, scratch):
    policy = {"research": True, "groups": [COLUMN, "late"]}
    study = {
        "privacy": {"epsilon": 3.0},
        "expected": {"default_rate": 0.2},
        "evaluation": {"groups": [COLUMN, "late"], "cut_offs": [0.25], "group_bands": 4},
    }
    return kit.build(scratch(), kit.BANKS[:2], ("tax",), policy=policy, enterprises=2500, study=study)


@pytest.fixture(scope="module")
def run(consortium):
    return consortium.run()


def exact_counts(run, column, levels):
    """(levels, bands, 2) of all banks, from their own scores and tables."""
    edges, out = band_edges(run.study), np.zeros((len(levels), 4, 2))
    for bank in run.study.banks:
        scores = run.scores(bank)
        held = scores[scores["split"] == "holdout"]
        table = run.nodes[bank].institution.read()
        values = dict(zip(table.ids, table.frame[column], strict=True))
        for id, p, label in zip(held["id"], held["probability"], held["label"], strict=True):
            level = levels.index(values[id]) if values[id] in levels else len(levels) - 1
            out[level, np.searchsorted(edges, p, side="right"), 0 if label else 1] += 1
    return out


def test_counts_by_group_leave_with_the_noise_that_was_paid_for(run):
    released = run.results.record.release("groups")
    block = released.block(block_of(COLUMN))
    levels = released.about["columns"][0]["categories"]
    exact = exact_counts(run, COLUMN, levels)
    assert block.total.shape == exact.shape
    noise = block.total - exact
    # Chance below 1e-9 that one of 32 numbers is further off than 6.6 deviations.
    assert np.abs(noise).max() < 6.6 * math.sqrt(block.variance)
    assert np.abs(noise).max() > 0
