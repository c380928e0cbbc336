"""Totals as hub and members read them: the same shapes, and nothing that rows and noise cannot make."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.errors import ProtocolError
from fedrisk.recipes.scorecard.forms import counts_release
from fedrisk.releases.budget import NOISE_REACH
from fedrisk.releases.release import Block, Release
from fedrisk.releases.totals import checked_totals, combined, released_sums, total_shapes
from support.studies import SIZES, study


def release(*, sigma=4.0, bits=2, holders=True):
    """The banks' block of three bins, and a holder's of two in its two halves."""
    own = {"bank": sigma}
    blocks = [Block(name="bank", left="bank", right="bank", shape=(3, 2), sigma=own)]
    if holders:
        both = {"bank": sigma, "tax": sigma}
        blocks += [
            Block(name="tax", left="tax", right="bank", shape=(2, 1), sigma=both),
            Block(name="tax.all", left="tax", right="tax", shape=(2, 1), sigma=both, with_noise_of="tax"),
        ]
    return Release(
        name="counts", population="training", mu=1.0, ring="uint32", scale_bits=bits, blocks=tuple(blocks)
    )


def good():
    return {"bank": np.array([[1.0, 2], [3, 4], [5, 6]]), "tax": np.array([[1.0, 9], [2, 8]])}


def refused(told, largest=10.0, *, signed=False, form=None):
    with pytest.raises(ProtocolError, match="totals of release counts that its rows and noise cannot have"):
        checked_totals(form or release(), told, largest, signed=signed)


def test_two_halves_of_a_block_become_one_by_hand():
    """Positives 1 and 2 among 10 in each bin leave 9 and 8."""
    halves = {"bank": good()["bank"], "tax": np.array([[1.0], [2]]), "tax.all": np.array([[10.0], [10]])}
    together = combined(release(), halves)
    assert set(together) == {"bank", "tax"}
    assert together["tax"].tolist() == [[1, 9], [2, 8]]
    assert halves["tax.all"].tolist() == [[10], [10]]  # what came is left as it was


def test_shapes_by_hand():
    assert total_shapes(release()) == {"bank": (3, 2), "tax": (2, 2)}
    assert total_shapes(release(holders=False)) == {"bank": (3, 2)}


@pytest.mark.parametrize("binary", [True, False])
def test_label_counts_have_one_shape_however_they_were_made(binary):
    """Totals of plain and of weighted labels have all bins and two columns."""
    made = counts_release(study(banks=2), SIZES, 0.5, binary_labels=binary, rows=1000)
    assert total_shapes(made) == {role: (sum(sizes), 2) for role, sizes in SIZES.items()}


def test_totals_of_the_release_are_read_with_their_variance():
    """By hand: noise of 4 ring units, a quarter each, of one and of two contributors."""
    sums = checked_totals(release(), good(), 10.0, signed=False)
    assert (sums.name, sums.population, sums.mu) == ("counts", "training", 1.0)
    assert {b.name: b.variance for b in sums.blocks} == {"bank": 1.0, "tax": 2.0}
    assert all(np.array_equal(b.total, good()[b.name]) for b in sums.blocks)
    assert [(b.left, b.right) for b in sums.blocks] == [("bank", "bank"), ("tax", "bank")]


def test_members_read_the_same_as_the_hub():
    told = checked_totals(release(), good(), 10.0, signed=False)
    hub = released_sums(release(), good(), [{"mu": 1.0}], {"bins": []})
    assert [(b.name, b.variance, b.total.tolist()) for b in told.blocks] == [
        (b.name, b.variance, b.total.tolist()) for b in hub.blocks
    ]
    assert (hub.spends, hub.about) == (({"mu": 1.0},), {"bins": []})


@pytest.mark.parametrize("name", ["bank", "tax"])
def test_a_missing_total_is_refused(name):
    told = good()
    del told[name]
    refused(told)


@pytest.mark.parametrize("name", ["tax.all", "power", "bank.tax"])
def test_a_total_more_is_refused(name):
    refused({**good(), name: np.zeros((2, 1))})


@pytest.mark.parametrize("shape", [(3,), (2, 2), (3, 1), (3, 2, 1), (6,), (2, 3), (0, 2), ()])
def test_another_shape_is_refused(shape):
    refused({**good(), "bank": np.zeros(shape)})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("name", ["bank", "tax"])
def test_numbers_that_are_not_finite_are_refused(name, bad, signed):
    told = good()
    told[name][1, 1] = bad
    refused(told, signed=signed)
    refused(told, math.inf, signed=signed)


@pytest.mark.parametrize(
    "total",
    [
        np.zeros((3, 2), np.float32),
        np.zeros((3, 2), np.int64),
        np.zeros((3, 2), np.uint32),
        np.zeros((3, 2), np.complex128),
        np.zeros((3, 2), object),
        [[0.0, 0], [0, 0], [0, 0]],
        bytes(48),
        None,
    ],
)
def test_another_type_is_refused(total):
    refused({**good(), "bank": total})


@pytest.mark.parametrize(("signed", "low"), [(False, 0.0), (True, -10.0)])
@pytest.mark.parametrize("name", ["bank", "tax"])
def test_range_by_hand(name, signed, low):
    """Rows make at most 10; noise as far as NOISE_REACH deviations of a difference of two noisy numbers, and one."""
    reach = 2 * NOISE_REACH * {"bank": 1.0, "tax": math.sqrt(2.0)}[name] + 1
    for edge, outwards in ((low - reach, -1e-6), (10 + reach, 1e-6)):
        told = good()
        told[name][0, 1] = edge - outwards
        checked_totals(release(), told, 10.0, signed=signed)
        told[name][0, 1] = edge + outwards
        refused(told, signed=signed)


def test_without_noise_there_is_no_room_beyond_the_rows():
    """A research run's: one for rounding."""
    told = good()
    told["bank"][0, 0] = 11.0
    checked_totals(release(sigma=0.0), told, 10.0, signed=False)
    told["bank"][0, 0] = 11.1
    refused(told, form=release(sigma=0.0))
    told["bank"][0, 0] = -1.1
    refused(told, form=release(sigma=0.0))


def test_an_empty_block_has_no_range():
    form = Release(
        name="counts",
        population="training",
        mu=1.0,
        ring="uint32",
        scale_bits=0,
        blocks=(Block(name="bank", left="bank", right="bank", shape=(0, 2), sigma={"bank": 1.0}),),
    )
    assert checked_totals(form, {"bank": np.zeros((0, 2))}, 10.0, signed=False).blocks[0].total.shape == (
        0,
        2,
    )
    refused({"bank": np.zeros((1, 2))}, form=form)


@given(st.integers(0, 1000), st.floats(0.5, 100.0), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_what_rows_and_noise_make_is_taken(rows, sigma, bits, seed):
    """Honest totals pass: noise beyond its reach of 12 deviations comes once in 10^32."""
    rng = np.random.default_rng(seed)
    form = release(sigma=sigma, bits=bits)
    exact = {b.name: rng.integers(0, rows + 1, b.shape).astype(float) for b in form.blocks}
    exact["tax.all"] = np.full((2, 1), float(rows))
    noise = {b.name: rng.normal(0, math.sqrt(form.variance(b.name)), b.shape) for b in form.blocks}
    noise["tax.all"] += noise["tax"]
    told = combined(form, {name: exact[name] + noise[name] for name in exact})
    checked_totals(form, told, float(rows), signed=False)
