"""From released numbers to a card: the hub's run and a later fit from its record give the same card."""

import dataclasses

import numpy as np
import pytest

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.recipes.scorecard.fitting import gram_matrix, label_counts, refit, sizes_of
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.study import NO_PRIVACY

pytestmark = pytest.mark.slow


def released(name, *blocks):
    made = tuple(
        ReleasedBlock(name=n, left=left, right=right, total=np.array(total, float), variance=variance)
        for n, left, right, total, variance in blocks
    )
    return ReleasedSums(name=name, population="training", mu=1.0, blocks=made)


@pytest.mark.parametrize("kind", ["private", "research"])
def test_the_card_of_a_run_is_fitted_again_from_its_record(finished, kind):
    results = finished[kind]
    assert refit(results.record) == results.card
    assert refit(results.record).to_json() == results.card.to_json()
    assert refit(results.record).notice == (NO_PRIVACY if kind == "research" else None)


def test_the_same_card_after_the_record_was_on_the_disk(finished, tmp_path):
    results = finished["private"]
    results.record.save(tmp_path)
    assert refit(ReleaseRecord.load(tmp_path)).to_json() == results.card.to_json()


def test_other_numbers_give_another_card(finished):
    """The card comes from the record and from nothing else."""
    record = finished["private"].record
    counts = record.release("counts")
    first = counts.blocks[0]
    blocks = (dataclasses.replace(first, total=first.total[::-1].copy()), *counts.blocks[1:])
    other = record.with_release(dataclasses.replace(counts, blocks=blocks))
    assert refit(other).to_json() != finished["private"].card.to_json()


def test_a_record_without_counts_is_of_another_recipe(finished):
    record = dataclasses.replace(finished["private"].record, releases=())
    with pytest.raises(ConfigError, match="the record has no release counts"):
        refit(record)


def test_label_counts_by_hand():
    """Roles in the order of the study, features one after the other within a block."""
    sums = released(
        "counts",
        ("tax", "tax", "bank", [[7, 8]], 4.0),
        ("bank", "bank", "bank", [[1, 2], [3, 4], [5, 6]], 9.0),
    )
    counts = label_counts(sums, {"bank": [2, 1], "tax": [1], "power": []})
    assert [n.tolist() for n in counts.n1] == [[1, 3], [5], [7]]
    assert [n.tolist() for n in counts.n0] == [[2, 4], [6], [8]]
    assert counts.variance.tolist() == [9.0, 9.0, 4.0]


def test_sizes_by_role(finished):
    bins = [Bins.from_dict(b) for b in finished["private"].record.release("counts").about["bins"]]
    sizes = sizes_of(bins, ["bank", "tax", "power", "nobody"])
    assert [len(sizes[r]) for r in sizes] == [2, 2, 1, 0]
    assert [b.size for b in bins] == [*sizes["bank"], *sizes["tax"], *sizes["power"]]


def test_the_gram_matrix_by_hand():
    """Bank: features of 2 and 1 columns; tax: one column. Entries within a feature are never released."""
    bases = [np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((2, 1))]
    sums = released(
        "gram",
        ("bank", "bank", "bank", [5, 6], 4.0),
        ("tax.bank", "tax", "bank", [[7, 8, 9]], 16.0),
    )
    found = gram_matrix(sums, bases, ["bank", "bank", "tax"], share=2.0)
    assert found.gram.tolist() == [
        [0, 0, 10, 14],
        [0, 0, 12, 16],
        [10, 12, 0, 18],
        [14, 16, 18, 0],
    ]
    assert found.variance.tolist() == [
        [0, 0, 16, 64],
        [0, 0, 16, 64],
        [16, 16, 0, 64],
        [64, 64, 64, 0],
    ]
