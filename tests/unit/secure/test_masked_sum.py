"""Pair masks add up to zero, and hide everything but the total from a hub that dealt R, S and T.

All randomness is seeded, so these tests cannot flake; ERROR is the probability that a right implementation
would have failed over the choice of the seed.
"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedrisk.errors import ProtocolError
from fedrisk.secure import product
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.product import Shape, one_hot
from fedrisk.secure.ring import from_signed, ring_product

LABEL = Label(
    study="s", attempt="1", release="A", sender="", counterparty="", bank_list="all", matrix="counts"
)
ERROR = 1e-6
ROWS, BINS = 40, 12
SHAPE = Shape(ROWS, BINS, 2, "uint32", 5)
SIZE = (BINS, 2)
HOLDER = "tax"
ROSTERS = [("bank",), ("bank1", "bank2"), ("bank1", "bank2", "bank3")]


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


# What the hub can learn: it dealt R, S and T, and it receives the masked shares.


def split(matrix):
    return [matrix[slice(*SHAPE.span(k))] for k in range(SHAPE.blocks)]


def label_of(bank):
    return replace(LABEL, sender=HOLDER, counterparty=bank, bank_list=bank)


def hub_secrets(banks):
    """(to the holder, to the bank) for every bank: all that R, S, T and the corrections come from."""
    return {bank: (f"left {bank}".encode() * 6, f"right {bank}".encode() * 6) for bank in banks}


def labels(y):
    y = np.asarray(y, bool)
    return np.stack([y, ~y], 1).astype(np.uint32)


def bare_shares(codes, ys, noise):
    """Every contributor's array before its mask, from whole runs of the protocol; noise by contributor."""
    banks = list(ys)
    dealt = hub_secrets(banks)
    holder = from_signed(noise[HOLDER], "uint32")
    out = {}
    for bank in banks:
        left, right = dealt[bank]
        at = label_of(bank)
        x, y = one_hot(codes[bank][:, None], [BINS], "uint32"), labels(ys[bank])
        correction = product.deal(left, right, at, SHAPE)
        d = list(product.mask(left, at, "left", split(x), SHAPE))
        e = list(product.mask(right, at, "right", split(y), SHAPE))
        holder = holder + product.left_share(left, at, correction, e, SHAPE)
        out[bank] = product.right_share(right, at, split(y), d, SHAPE) + from_signed(noise[bank], "uint32")
    return {HOLDER: holder, **out}


def fresh_pair_secrets(names, rng):
    pairs = {frozenset(p): rng.bytes(32) for p in combinations(names, 2)}
    return {me: {o: pairs[frozenset((me, o))] for o in names if o != me} for me in names}


def masks_of(names, rng):
    secrets = fresh_pair_secrets(names, rng)
    return {me: pair_mask(secrets[me], me, LABEL, SIZE, "uint32") for me in names}


def data(banks, seed=0):
    rng = np.random.default_rng(seed)
    codes = {bank: rng.integers(0, BINS, ROWS, dtype=np.uint8) for bank in banks}
    ys = {bank: rng.random(ROWS) < 0.4 for bank in banks}
    noise = {name: rng.integers(-50, 50, SIZE) for name in (HOLDER, *banks)}
    return codes, ys, noise


def swapped(codes, ys):
    """Other labels at the first bank with the same counts: two unequal labels of one bin trade places."""
    bank = next(iter(ys))
    y = ys[bank].copy()
    for i, j in combinations(range(ROWS), 2):
        if codes[bank][i] == codes[bank][j] and y[i] != y[j]:
            y[[i, j]] = y[[j, i]]
            return {**ys, bank: y}
    raise AssertionError("the data of this test must allow a swap")


@pytest.mark.parametrize("banks", ROSTERS)
def test_any_data_with_the_same_total_explains_what_the_hub_saw(banks):
    """Simulation: for other data with the same total there is one set of masks that gives the same view."""
    rng = np.random.default_rng(1)
    names = [HOLDER, *banks]
    codes, ys, noise = data(banks)
    shares = bare_shares(codes, ys, noise)
    masks = masks_of(names, rng)
    view = {name: shares[name] + masks[name] for name in names}
    total = sum(view.values())
    exact = sum(one_hot(codes[b][:, None], [BINS], "uint64").T @ labels(ys[b]) for b in banks)
    assert np.array_equal(total, from_signed(exact.astype(np.int64) + sum(noise.values()), "uint32"))

    # entirely other rows, bins and labels; the difference of the totals goes into one party's noise
    codes2, ys2, noise2 = data(banks, seed=2)
    shares2 = bare_shares(codes2, ys2, noise2)
    gap = (total - sum(shares2.values())).view(np.int32).astype(np.int64)
    noise2[banks[0]] = noise2[banks[0]] + gap
    shares2 = bare_shares(codes2, ys2, noise2)
    assert any(not np.array_equal(shares[n], shares2[n]) for n in names)
    # the masks are forced, one for each contributor, and they sum to zero: they can be drawn
    needed = {name: view[name] - shares2[name] for name in names}
    assert not sum(needed.values()).any()
    # as pair masks: the stream that each bank shares with the holder, none between banks
    streams = {bank: needed[bank] for bank in banks}
    again = {bank: shares2[bank] + streams[bank] for bank in banks}
    again[HOLDER] = shares2[HOLDER] - sum(streams.values())
    assert all(np.array_equal(again[name], view[name]) for name in names)


def byte_counts(arrays):
    return np.bincount(np.concatenate([a.reshape(-1).view(np.uint8) for a in arrays]), minlength=256)


def is_uniform(counts, tests=1):
    """Pearson's chi-square against equal cells; a uniform source fails with probability ERROR / tests."""
    return stats.chisquare(counts).pvalue > ERROR / tests


@pytest.mark.parametrize("banks", ROSTERS)
def test_messages_are_uniform_given_the_total(banks):
    rng = np.random.default_rng(3)
    names = [HOLDER, *banks]
    shares = bare_shares(*data(banks))
    runs = 400
    seen = {name: [] for name in names}
    joint = np.zeros(2 ** (len(names) - 1), int)
    for _ in range(runs):
        masks = masks_of(names, rng)
        for name in names:
            seen[name].append(shares[name] + masks[name])
        # all contributors but one are free: their low bits must be jointly uniform, not only one by one
        low = sum((seen[name][-1].reshape(-1) & 1).astype(int) << i for i, name in enumerate(names[1:]))
        joint += np.bincount(low, minlength=len(joint))
        assert np.array_equal(sum(seen[name][-1] for name in names), sum(shares.values()))
    tests = len(names) + 1
    assert all(is_uniform(byte_counts(seen[name]), tests) for name in names)
    assert is_uniform(joint, tests)
    assert not is_uniform(byte_counts([shares[names[0]]] * runs))  # the test sees a bare share


def hubs_guess(view, candidates, banks):
    """The hub's attack: take its own R and T off the holder's array and see which labels fit better.

    A bare array of the holder is the sum over banks of R'Y - T (plus noise), which the hub can compute for
    each candidate. It guesses the candidate that is nearer in the ring.
    """
    dealt = hub_secrets(banks)

    def misfit(ys):
        expected = np.zeros(SIZE, np.uint32)
        for bank in banks:
            left, right = dealt[bank]
            at = label_of(bank)
            for k, y in enumerate(split(labels(ys[bank]))):
                expected += ring_product(product._draw(left, at, "left", k, SHAPE), y)
            expected -= product._draw_t(right, at, SHAPE)
        return expected

    fits = [misfit(ys) for ys in candidates]

    def guess(array):
        distance = [np.abs((array - fit).view(np.int32).astype(float)).sum() for fit in fits]
        return int(np.argmin(distance))

    return [guess(array) for array in view]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("banks", ROSTERS)
def test_hub_cannot_tell_which_of_two_label_vectors(banks, masked):
    """Equal totals, one coin: the attack always wins on bare shares, and wins by chance on masked ones."""
    rng = np.random.default_rng(4)
    names = [HOLDER, *banks]
    codes, ys, noise = data(banks)
    candidates = [ys, swapped(codes, ys)]
    shares = [bare_shares(codes, candidate, noise) for candidate in candidates]
    assert np.array_equal(sum(shares[0].values()), sum(shares[1].values()))
    trials = 2000
    coins = rng.integers(0, 2, trials)

    def mask():
        if not masked:
            return np.uint32(0)
        return pair_mask(fresh_pair_secrets(names, rng)[HOLDER], HOLDER, LABEL, SIZE, "uint32")

    view = [shares[coin][HOLDER] + mask() for coin in coins]
    wins = int((np.array(hubs_guess(view, candidates, banks)) == coins).sum())
    if masked:
        low, high = stats.binom.ppf([ERROR / 2, 1 - ERROR / 2], trials, 0.5)
        assert low <= wins <= high
    else:
        assert wins == trials
