"""The hub's part of the alignment: compare pseudonyms, and tell every institution its own row numbers.

The hub holds no key: it sees which pseudonyms meet and how many there are, not whose they are, and no
institution receives a pseudonym of another. This is the separation principle of official data linkage
(Kelman, Bass & Holman 2002). For every bank it draws up one list: all the bank's customers in a fresh
random order, so that the order tells the bank nothing about anybody's table. Each holder is told its own
row for each place of the list, or -1; it thereby learns which of its enterprises are on the list.

What becomes of a row (``use``) is drawn by keyed BLAKE2b (Aumasson et al. 2013, RFC 7693) of its pseudonym,
with one personalisation a purpose, so that every study draws the same hold-out and nobody can choose it:

- *hold-out*: hash under ``holdout_key`` modulo 100 below ``holdout_percent``; or the bank's own out-of-time
  flags instead; and always where any institution brings an old hold-out flag from an earlier epoch;
- *one bank an enterprise*: an enterprise at m banks contributes through one of them, hash under ``draw_key``
  modulo m, hold-out rows alike;
- *subsample*: it contributes at all with probability q = ``inclusion_probability``, hash under ``draw_key``;
- *sample*: the Gram matrix takes ``sample_rows`` of the training rows at most, from each bank in proportion those
  with the least hashes under ``sample_key``. It saves traffic and is no protection: nothing is claimed for it.

**What being left out tells.** A bank that could learn that its row was left out would have weak evidence that
the enterprise banks elsewhere too: a row is left out with probability 1 - q if it is the bank's alone, and
1 - q / m if m banks share it, a likelihood ratio of (1 - q / m) / (1 - q): see ``left_out_likelihood_ratio``.
Without a subsample (q = 1) being left out would be proof.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fedrisk.errors import ConfigError, DataError, ProtocolError

TRAINING, HOLD_OUT, UNUSED = 0, 1, 2
"""The values of ``BankList.use``."""

Pseudonyms = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
_Rows = npt.NDArray[np.int64]
A = TypeVar("A", npt.NDArray[np.int64], npt.NDArray[np.uint8])

_FOR_HOLD_OUT, _FOR_BANK, _FOR_KEEP = b"fedrisk/hold-out", b"fedrisk/bank", b"fedrisk/keep"
_FOR_SAMPLE = b"fedrisk/sample"


@dataclass(frozen=True)
class BankList:
    """One bank's list as the hub drew it up; place i is the same enterprise in every array.

    Attributes:
        bank: the bank's name.
        rows: int64 (n,), the bank's own row number at each place: all its customers, in fresh random order.
        use: uint8 (n,), 0 training, 1 hold-out, 2 unused (contributes through another bank, or left out).
        holders: by holder, int64 (n,), the holder's own row number or -1.
        sample: uint8 (n,), 1 for the training rows on which the Gram matrix is computed; None means all of them.
    """

    bank: str
    rows: npt.NDArray[np.int64]
    use: npt.NDArray[np.uint8]
    holders: Mapping[str, npt.NDArray[np.int64]]
    sample: npt.NDArray[np.uint8] | None = None


def match(
    banks: Mapping[str, Pseudonyms],
    holders: Mapping[str, Pseudonyms],
    *,
    holdout_key: bytes,
    holdout_percent: int,
    inclusion_probability: float,
    draw_key: bytes,
    out_of_time: Mapping[str, Flags] | None = None,
    old_holdout: Mapping[str, Flags] | None = None,
    old_training: Mapping[str, Flags] | None = None,
    sample_key: bytes | None = None,
    sample_rows: int | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, BankList]:
    """Match all institutions of a study and draw up a list for each bank.

    Args:
        banks, holders: pseudonyms by name, uint8 (n, 32), row i for the institution's own row i; all of one
            epoch. Names differ across both.
        holdout_key: 16 to 64 secret bytes of the hub, the same for all studies.
        holdout_percent: 0 to 99 % of the enterprises are held out, on average.
        inclusion_probability: probability in (0, 1] that an enterprise contributes; 1 leaves nobody out (see the module).
        draw_key: 16 to 64 secret bytes of the hub, fixed for a roster of banks: fresh draws in every study would
            let a bank gather evidence, one key for all rosters would let it compare them.
        out_of_time: by bank (all banks or none), (n,) flags of its rows, 1 = hold-out; replaces the draw by
            ``holdout_key``. The flag of the bank through which the enterprise contributes decides.
        old_holdout: by institution (any of them), (n,) flags of its rows that were hold-out in an earlier
            epoch; wins over everything, at all banks, whichever institution brings it.
        old_training: the same for rows that were trained on; wins over the draw, not over ``old_holdout``.
        sample_key, sample_rows: key (16 to 64 secret bytes) and size of the sample of training rows; without them,
            or with fewer rows than that, all are in it. At least one row of each bank is.
        rng: order of the lists from this generator, for research; by default from the operating system.

    Returns:
        By bank, its list. An empty intersection is not an error here: see ``overlaps``.

    Raises:
        DataError: duplicate pseudonyms within an institution (their number is given).
        ProtocolError: pseudonyms or flags of a wrong shape, type or value, or for an unknown institution.
        ConfigError: a parameter out of its bounds.
    """
    _check(holdout_key, holdout_percent, inclusion_probability, draw_key)
    institutions = _institutions(banks, holders)
    numbers, total = _number(institutions)
    old, trained = np.zeros(total, dtype=bool), np.zeros(total, dtype=bool)
    for told, marks in ((old_holdout, old), (old_training, trained)):
        for name, flags in (told or {}).items():
            if name not in institutions:
                raise ProtocolError(
                    "flags of old sides came from an institution that is not part of the study"
                )
            marks[numbers[name][_flags(name, flags, len(institutions[name]))]] = True
    if out_of_time is not None and set(out_of_time) != set(banks):
        raise ProtocolError(
            f"out-of-time flags came from {len(set(out_of_time) & set(banks))} of {len(banks)} banks; all "
            "banks of the study must send them, and nobody else"
        )

    chosen = _choose_banks(banks, numbers, total, draw_key)
    where = {name: _places(numbers[name], total) for name in holders}
    lists, uses = {}, {}
    for place, name in enumerate(sorted(banks)):
        mine, own = banks[name], numbers[name]
        n = len(mine)
        if out_of_time is None:
            hold = _hash(mine, holdout_key, _FOR_HOLD_OUT) % np.uint64(100) < np.uint64(holdout_percent)
        else:
            hold = _flags(name, out_of_time[name], n)
        use = np.where(
            (hold & ~(trained[own] & (out_of_time is None))) | old[own], HOLD_OUT, TRAINING
        ).astype(np.uint8)
        use[chosen[own] != place] = UNUSED
        if inclusion_probability < 1:
            # 53 bits, so that the comparison with a double is exact
            use[
                (_hash(mine, draw_key, _FOR_KEEP) >> np.uint64(11))
                >= np.uint64(inclusion_probability * 2**53)
            ] = UNUSED
        uses[name] = use
    sample = _sample(banks, uses, sample_key, sample_rows)
    for name in sorted(banks):
        order, own = _order(len(banks[name]), rng), numbers[name]
        lists[name] = BankList(
            bank=name,
            rows=_fixed(order),
            use=_fixed(uses[name][order]),
            holders={h: _fixed(where[h][own[order]]) for h in holders},
            sample=None if sample is None else _fixed(sample[name][order]),
        )
    return {name: lists[name] for name in banks}


def overlaps(lists: Mapping[str, BankList]) -> dict[str, dict[str, int]]:
    """How many of each bank's customers each holder knows, by bank and holder.

    The caller decides what to do about a bank that meets no holder: nothing can be learnt from its rows
    beyond its own columns, and most often the two ran under different keys or spelt their ids differently.
    """
    return {
        bank: {holder: int(np.count_nonzero(rows >= 0)) for holder, rows in found.holders.items()}
        for bank, found in lists.items()
    }


def left_out_likelihood_ratio(inclusion_probability: float, banks: int) -> float:
    """How much likelier it is to be left out at m = ``banks`` banks than at one: (1 - q / m) / (1 - q).

    It is infinite for q = 1 and more than one bank.

    Raises:
        ConfigError: inclusion_probability outside (0, 1] or banks below 1.

    >>> round(left_out_likelihood_ratio(0.8, 2), 6)
    3.0
    """
    if not 0 < inclusion_probability <= 1:
        raise ConfigError(f"inclusion_probability is {inclusion_probability}; it must lie in (0, 1]")
    if banks < 1:
        raise ConfigError(f"the number of banks is {banks}; it must be at least 1")
    if banks == 1:
        return 1.0
    return (
        math.inf
        if inclusion_probability == 1
        else (1 - inclusion_probability / banks) / (1 - inclusion_probability)
    )


# ------------------------------------------------------------------------------------------------ parts


def _number(institutions: Mapping[str, Pseudonyms]) -> tuple[dict[str, _Rows], int]:
    """Number the distinct pseudonyms 0, 1, ...: the numbers of each institution's rows, and how many."""
    everything = np.concatenate([np.ascontiguousarray(p) for p in institutions.values()])
    words = everything.view(np.uint64)  # four a row: numbers sort faster than texts
    # The first of the four words tells nearly all apart; only if it ties where the others differ are all sorted by.
    order = np.argsort(words[:, 0])
    new = _differ(words, order)
    if np.count_nonzero(new) != np.count_nonzero(np.diff(words[order, 0])) + min(1, len(order)):
        order = np.lexsort(words.T)
        new = _differ(words, order)
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    total = int(new.sum())
    cuts = np.cumsum([len(p) for p in institutions.values()])[:-1]
    numbers = dict(zip(institutions, np.split(number, cuts), strict=True))
    for name, own in numbers.items():
        distinct = np.count_nonzero(np.bincount(own, minlength=total)) if own.size else 0
        if distinct != own.size:
            raise DataError(
                f"the list of {name} has {own.size - distinct} duplicate enterprises among {own.size} rows; "
                "roll the rows of an enterprise up into one, or inclusion_probability the latest by a date column"
            )
    return numbers, total


def _differ(words: npt.NDArray[np.uint64], order: _Rows) -> npt.NDArray[np.bool_]:
    """Which rows, in that order, differ from the row before; the first does."""
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in words.T:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return new


def _choose_banks(
    banks: Mapping[str, Pseudonyms], numbers: Mapping[str, _Rows], total: int, key: bytes
) -> npt.NDArray[np.int16]:
    """For each number the place, among the sorted names, of the bank it contributes through; -1 for none."""
    names = sorted(banks)
    shared = np.zeros(total, dtype=np.int64)
    for name in names:
        shared[numbers[name]] += 1
    draw = np.zeros(total, dtype=np.int64)
    for name in names:  # the draw of an enterprise is the same at all its banks: it depends on the pseudonym
        several = np.flatnonzero(shared[numbers[name]] > 1)
        own = numbers[name][several]
        draw[own] = _hash(banks[name][several], key, _FOR_BANK) % shared[own].astype(np.uint64)
    chosen = np.full(total, -1, dtype=np.int16)
    for place, name in enumerate(names):
        own = numbers[name]
        chosen[own[draw[own] == 0]] = place
        draw[own] -= 1
    return chosen


def _sample(
    banks: Mapping[str, Pseudonyms],
    uses: Mapping[str, npt.NDArray[np.uint8]],
    key: bytes | None,
    rows: int | None,
) -> dict[str, npt.NDArray[np.uint8]] | None:
    """Flags of the sample by bank, in the order of its rows; None where everything is in it."""
    training = {name: np.flatnonzero(use == TRAINING) for name, use in uses.items()}
    total = sum(map(len, training.values()))
    if key is None or rows is None or total <= rows:
        return None
    if not 16 <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise ConfigError(f"sample_key has {len(key)} bytes; give 16 to {hashlib.blake2b.MAX_KEY_SIZE}")
    out = {}
    for name, places in training.items():
        flags = np.zeros(len(uses[name]), np.uint8)
        wanted = math.ceil(len(places) * rows / total)
        if wanted:
            hashed = _hash(banks[name][places], key, _FOR_SAMPLE)
            flags[places[np.argpartition(hashed, wanted - 1)[:wanted]]] = 1
        out[name] = flags
    return out


def _hash(pseudonyms: Pseudonyms, key: bytes, purpose: bytes) -> npt.NDArray[np.uint64]:
    """Keyed BLAKE2b of each pseudonym as a 64-bit number."""
    keyed = hashlib.blake2b(digest_size=8, key=key, person=purpose)
    text, digests = pseudonyms.tobytes(), []
    for i in range(0, len(text), 32):
        one = keyed.copy()
        one.update(text[i : i + 32])
        digests.append(one.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _places(own: _Rows, total: int) -> _Rows:
    """For each number the institution's row, or -1."""
    where = np.full(total, -1, dtype=np.int64)
    where[own] = np.arange(own.size)
    return where


def _order(n: int, rng: np.random.Generator | None) -> _Rows:
    if rng is not None:
        return rng.permutation(n).astype(np.int64)
    return np.argsort(np.frombuffer(os.urandom(8 * n), dtype=np.uint64), kind="stable").astype(np.int64)


def _fixed(array: A) -> A:
    array.setflags(write=False)
    return array


def _flags(name: str, flags: Flags, n: int) -> npt.NDArray[np.bool_]:
    if flags.shape != (n,) or flags.dtype not in (np.uint8, np.bool_) or (n and int(flags.max()) > 1):
        raise ProtocolError(f"the hold-out flags of {name} must be {n} values of 0 or 1, one for each row")
    return flags.astype(bool)


def _institutions(
    banks: Mapping[str, Pseudonyms], holders: Mapping[str, Pseudonyms]
) -> dict[str, Pseudonyms]:
    if not banks:
        raise ConfigError("no bank to match; a study needs at least one")
    if set(banks) & set(holders):
        raise ConfigError(
            f"{sorted(set(banks) & set(holders))} are banks and holders at once; give two names"
        )
    institutions = {**banks, **holders}
    for name, array in institutions.items():
        if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != 32:
            raise ProtocolError(
                f"the pseudonyms of {name} are {array.dtype} of shape {array.shape}; they must be uint8 of "
                "shape (n, 32)"
            )
    return institutions


def _check(holdout_key: bytes, holdout_percent: int, inclusion_probability: float, draw_key: bytes) -> None:
    for what, key in (("holdout_key", holdout_key), ("draw_key", draw_key)):
        if not 16 <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise ConfigError(f"{what} has {len(key)} bytes; give 16 to {hashlib.blake2b.MAX_KEY_SIZE}")
    if not 0 <= holdout_percent <= 99:
        raise ConfigError(f"holdout_percent is {holdout_percent}; it must lie in 0 to 99")
    if not 0 < inclusion_probability <= 1:
        raise ConfigError(f"inclusion_probability is {inclusion_probability}; it must lie in (0, 1]")
