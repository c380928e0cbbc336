"""Pair masks add up to nothing."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ProtocolError
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.masked_sum import pair_mask

LABEL = Label(
    study="s", attempt="1", release="A", sender="", counterparty="", bank_list="all", matrix="counts"
)


def secrets_of(names):
    pairs = {frozenset(p): bytes([i]) * 32 for i, p in enumerate(combinations(names, 2))}
    return {me: {o: pairs[frozenset((me, o))] for o in names if o != me} for me in names}


def test_two_contributors_by_hand():
    pair = Label(
        study="s",
        attempt="1",
        release="A",
        sender="a",
        counterparty="b",
        bank_list="all",
        matrix="counts",
        role="Z",
    )
    stream = expand(b"k" * 32, pair, (2, 3), "uint32")
    assert np.array_equal(pair_mask({"b": b"k" * 32}, "a", LABEL, (2, 3), "uint32"), stream)
    assert np.array_equal(pair_mask({"a": b"k" * 32}, "b", LABEL, (2, 3), "uint32"), -stream)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text("abcäö税", min_size=1, max_size=4), min_size=2, max_size=6, unique=True),
    st.sampled_from(["uint32", "uint64"]),
)
def test_masks_of_all_sum_to_zero(names, dtype):
    secrets = secrets_of(names)
    masks = [pair_mask(secrets[me], me, LABEL, (3, 2), dtype) for me in names]
    assert all(m.dtype == dtype and m.any() for m in masks)
    assert not sum(masks[1:], masks[0]).any()


def test_a_missing_contributor_leaves_noise_everywhere():
    names = ["a", "b", "c"]
    secrets = secrets_of(names)
    part = sum(pair_mask(secrets[me], me, LABEL, (64,), "uint64") for me in names[:2])
    assert np.count_nonzero(part) == 64  # one zero by chance: 64 / 2**64


def test_refusals():
    with pytest.raises(ProtocolError, match="no partner"):
        pair_mask({}, "a", LABEL, (1,), "uint32")
    with pytest.raises(ProtocolError, match="own partners"):
        pair_mask({"a": bytes(32)}, "a", LABEL, (1,), "uint32")
    with pytest.raises(ProtocolError, match="int16"):
        pair_mask({"b": bytes(32)}, "a", LABEL, (1,), "int16")
