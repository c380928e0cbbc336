"""The hub's part of the alignment: compare pseudonyms, and send every institution its row numbers.

The hub holds no key: it sees which pseudonyms meet and how many there are, not whose they are, and no
institution receives a pseudonym of another. This is the separation principle of official data linkage
(Kelman, Bass & Holman 2002). For every bank the hub draws up one list: all the bank's customers in a fresh
random order, so that the order tells the bank nothing about anybody's table. Each holder is sent the number
of its row for each place of the list, or -1; it thereby learns which of its enterprises are on the list.

What a row is used for (``use``) is drawn by keyed BLAKE2b (Aumasson et al. 2013, RFC 7693) of its pseudonym,
with one personalisation per purpose, so that every study draws the same hold-out and nobody can choose it:

- *hold-out*: the hash under ``holdout_key`` modulo 100 is below ``holdout_percent``. Flags of an earlier
  epoch win over this draw: ``old_training`` keeps a row out of the hold-out, and ``old_holdout``, whichever
  institution brings it, holds the enterprise out at all banks. Where banks give out-of-time flags, these
  replace the draw (and ``old_training``); the bank through which an enterprise contributes decides;
- *one bank per enterprise*: an enterprise at m banks contributes through one of them, the hash under
  ``draw_key`` modulo m; this includes hold-out rows;
- *subsample*: an enterprise contributes at all with probability q = ``inclusion_probability``, by the hash
  under ``draw_key``. Fresh draws in every study would let a bank gather evidence, and one key for all rosters
  of banks would let it compare them, so ``draw_key`` is fixed for a roster;
- *sample*: the Gram matrix takes at most ``sample_rows`` of the training rows: from each bank, in proportion,
  those with the smallest hashes under ``sample_key``. This saves traffic and is no protection: nothing is
  claimed for it.

**What being left out reveals.** A bank that could learn that its row was left out would have weak evidence
that the enterprise is a customer of another bank too. A row is left out with probability 1 - q if only this
bank has it, and with probability 1 - q / m if m banks share it: a likelihood ratio of (1 - q / m) / (1 - q),
see ``left_out_likelihood_ratio``. Without a subsample (q = 1) being left out would be proof.
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

from fedrisk.alignment.keyed_hash import keyed_hashes
from fedrisk.errors import ConfigError, DataError, ProtocolError

TRAINING, HOLD_OUT, UNUSED = 0, 1, 2
"""The values of ``BankList.use``."""

Pseudonyms = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]
_Rows = npt.NDArray[np.int64]
A = TypeVar("A", npt.NDArray[np.int64], npt.NDArray[np.uint8])

# Personalisations of the hash. They must never change, or every draw would.
_FOR_HOLD_OUT, _FOR_BANK, _FOR_SAMPLE = b"fedrisk/hold-out", b"fedrisk/bank", b"fedrisk/sample"
_FOR_INCLUSION = b"fedrisk/keep"


@dataclass(frozen=True)
class BankList:
    """One bank's list as the hub drew it up; place i is the same enterprise in every array.

    Attributes:
        bank: the bank's name.
        rows: int64 (n,), number of the bank's row at each place: all its customers, in fresh random order.
        use: uint8 (n,), 0 training, 1 hold-out, 2 unused (contributes through another bank, or left out).
        holders: by holder, int64 (n,), number of the holder's row, or -1.
        sample: uint8 (n,), 1 for the training rows on which the Gram matrix is computed; None for all of
            them.
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
    """Match all institutions of a study and draw up a list for each bank; see the module for the rules.

    Args:
        banks: pseudonyms by bank, uint8 (n, 32), row i for the bank's row i; all of one epoch.
        holders: pseudonyms by data holder, likewise. No name occurs in both.
        holdout_key: 16 to 64 secret bytes of the hub, the same for all studies.
        holdout_percent: 0 to 99; the share of the enterprises that are held out, on average.
        inclusion_probability: in (0, 1]; the probability that an enterprise contributes.
        draw_key: 16 to 64 secret bytes of the hub, fixed for a roster of banks.
        out_of_time: by bank (all banks or none), (n,) flags of its rows, 1 = hold-out.
        old_holdout: by institution (any of them), (n,) flags of rows held out in an earlier epoch.
        old_training: by institution, flags of rows that were trained on in an earlier epoch.
        sample_key: 16 to 64 secret bytes; None puts all training rows in the sample.
        sample_rows: size of the sample, at least one row of each bank; None for all training rows.
        rng: draws the order of the lists, for research; by default the operating system does.

    Returns:
        By bank, its list. An empty intersection is not an error here: see ``overlaps``.

    Raises:
        DataError: duplicate pseudonyms within an institution (the error gives their number).
        ProtocolError: pseudonyms or flags of a wrong shape, type or value, or for an unknown institution.
        ConfigError: a parameter out of its bounds.
    """
    _check(holdout_key, holdout_percent, inclusion_probability, draw_key)
    numbers, total = _number(_institutions(banks, holders))
    old, trained = (_marked(flags, numbers, total) for flags in (old_holdout, old_training))
    _check_out_of_time(out_of_time, banks)
    uses = _uses(banks, numbers, total, draw_key, inclusion_probability)
    for name, use in uses.items():
        rows = numbers[name]
        hold = _held_out(name, banks[name], holdout_key, holdout_percent, trained[rows], out_of_time)
        use[(use != UNUSED) & (hold | old[rows])] = HOLD_OUT
    sample = _sample(banks, uses, sample_key, sample_rows)
    return _lists(uses, sample, numbers, {name: _places(numbers[name], total) for name in holders}, rng)


def overlaps(lists: Mapping[str, BankList]) -> dict[str, dict[str, int]]:
    """How many of each bank's customers each holder knows, by bank and holder.

    The caller decides what to do about a bank that has no enterprise in common with any holder. Most often
    the two ran under different keys or spelt their ids differently.
    """
    return {
        bank: {holder: int(np.count_nonzero(rows >= 0)) for holder, rows in found.holders.items()}
        for bank, found in lists.items()
    }


def left_out_likelihood_ratio(inclusion_probability: float, banks: int) -> float:
    """How much likelier an enterprise of m = ``banks`` banks is left out than one of a single bank.

    It is (1 - q / m) / (1 - q) for the inclusion probability q, and infinite for q = 1 and more than one
    bank.

    Raises:
        ConfigError: the probability lies outside (0, 1], or ``banks`` is below 1.

    >>> round(left_out_likelihood_ratio(0.8, 2), 6)
    3.0
    """
    _check_probability(inclusion_probability)
    if banks < 1:
        raise ConfigError(f"the number of banks is {banks}; it must be at least 1")
    if banks == 1:
        return 1.0
    if inclusion_probability == 1:
        return math.inf
    return (1 - inclusion_probability / banks) / (1 - inclusion_probability)


# ------------------------------------------------------------------------------------------------ parts


def _uses(
    banks: Mapping[str, Pseudonyms],
    numbers: Mapping[str, _Rows],
    total: int,
    key: bytes,
    inclusion_probability: float,
) -> dict[str, npt.NDArray[np.uint8]]:
    """By bank, TRAINING for the rows that contribute and UNUSED for the others."""
    chosen = _choose_banks(banks, numbers, total, key)
    uses = {}
    for place, name in enumerate(sorted(banks)):
        use = np.where(chosen[numbers[name]] == place, TRAINING, UNUSED).astype(np.uint8)
        if inclusion_probability < 1:
            # 53 bits, so that the comparison with a double is exact.
            drawn = keyed_hashes(banks[name], key, _FOR_INCLUSION) >> np.uint64(11)
            use[drawn >= np.uint64(inclusion_probability * 2**53)] = UNUSED
        uses[name] = use
    return {name: uses[name] for name in banks}


def _lists(
    uses: Mapping[str, npt.NDArray[np.uint8]],
    sample: Mapping[str, npt.NDArray[np.uint8]] | None,
    numbers: Mapping[str, _Rows],
    where: Mapping[str, _Rows],
    rng: np.random.Generator | None,
) -> dict[str, BankList]:
    """Every bank's rows in a fresh random order, with what each is used for and where the holders have it."""
    lists = {}
    for name in sorted(uses):
        order = _order(len(uses[name]), rng)
        listed = numbers[name][order]
        lists[name] = BankList(
            bank=name,
            rows=_fixed(order),
            use=_fixed(uses[name][order]),
            holders={holder: _fixed(rows[listed]) for holder, rows in where.items()},
            sample=None if sample is None else _fixed(sample[name][order]),
        )
    return {name: lists[name] for name in uses}


def _marked(
    flags: Mapping[str, Flags] | None, numbers: Mapping[str, _Rows], total: int
) -> npt.NDArray[np.bool_]:
    """For each number, whether any institution flagged it."""
    marks = np.zeros(total, dtype=bool)
    for name, given in (flags or {}).items():
        if name not in numbers:
            raise ProtocolError(
                "flags of old splits came from an institution that is not part of the study; leave them out"
            )
        marks[numbers[name][_flags(name, given, len(numbers[name]))]] = True
    return marks


def _held_out(
    name: str,
    pseudonyms: Pseudonyms,
    key: bytes,
    percent: int,
    trained: npt.NDArray[np.bool_],
    out_of_time: Mapping[str, Flags] | None,
) -> npt.NDArray[np.bool_]:
    """Which rows of a bank are held out: by its flags, or else by the draw unless trained on before."""
    if out_of_time is not None:
        return _flags(name, out_of_time[name], len(pseudonyms))
    drawn = keyed_hashes(pseudonyms, key, _FOR_HOLD_OUT) % np.uint64(100) < np.uint64(percent)
    return np.asarray(drawn & ~trained)


def _number(institutions: Mapping[str, Pseudonyms]) -> tuple[dict[str, _Rows], int]:
    """The distinct pseudonyms numbered 0, 1, ...: the number of each institution's rows, and how many."""
    everything = np.concatenate([np.ascontiguousarray(p) for p in institutions.values()])
    # Four words per row: numbers sort faster than texts.
    words = everything.view(np.uint64)
    # The first word tells nearly all rows apart. All four are needed only if it ties where others differ.
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
    for name, rows in numbers.items():
        distinct = np.count_nonzero(np.bincount(rows, minlength=total)) if rows.size else 0
        if distinct != rows.size:
            raise DataError(
                f"the list of {name} has {rows.size - distinct} duplicate enterprises among {rows.size} "
                "rows; roll the rows of an enterprise up into one, or keep the latest by a date column"
            )
    return numbers, total


def _differ(words: npt.NDArray[np.uint64], order: _Rows) -> npt.NDArray[np.bool_]:
    """Which rows, in that order, differ from the row before them; the first row counts as different."""
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for column in words.T:
        ordered = column[order]
        new[1:] |= ordered[1:] != ordered[:-1]
    return new


def _choose_banks(
    banks: Mapping[str, Pseudonyms], numbers: Mapping[str, _Rows], total: int, key: bytes
) -> npt.NDArray[np.int16]:
    """For each number, the position among the sorted banks of the one it contributes through; -1 for none."""
    names = sorted(banks)
    shared = np.zeros(total, dtype=np.int64)
    for name in names:
        shared[numbers[name]] += 1
    draw = np.zeros(total, dtype=np.int64)
    for name in names:
        # The draw depends only on the pseudonym, so it is the same at all banks of an enterprise.
        several = np.flatnonzero(shared[numbers[name]] > 1)
        rows = numbers[name][several]
        draw[rows] = keyed_hashes(banks[name][several], key, _FOR_BANK) % shared[rows].astype(np.uint64)
    chosen = np.full(total, -1, dtype=np.int16)
    for place, name in enumerate(names):
        rows = numbers[name]
        chosen[rows[draw[rows] == 0]] = place
        draw[rows] -= 1
    return chosen


def _sample(
    banks: Mapping[str, Pseudonyms],
    uses: Mapping[str, npt.NDArray[np.uint8]],
    key: bytes | None,
    rows: int | None,
) -> dict[str, npt.NDArray[np.uint8]] | None:
    """Flags of the sample by bank, in the order of its rows; None where all training rows are in it."""
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
            hashed = keyed_hashes(banks[name][places], key, _FOR_SAMPLE)
            flags[places[np.argpartition(hashed, wanted - 1)[:wanted]]] = 1
        out[name] = flags
    return out


def _places(rows: _Rows, total: int) -> _Rows:
    """For each number, the institution's row, or -1."""
    where = np.full(total, -1, dtype=np.int64)
    where[rows] = np.arange(rows.size)
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
            f"{sorted(set(banks) & set(holders))} are both banks and holders; use different names"
        )
    institutions = {**banks, **holders}
    for name, array in institutions.items():
        if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != 32:
            raise ProtocolError(
                f"the pseudonyms of {name} are {array.dtype} of shape {array.shape}; they must be uint8 of "
                "shape (n, 32)"
            )
    return institutions


def _check_out_of_time(out_of_time: Mapping[str, Flags] | None, banks: Mapping[str, Pseudonyms]) -> None:
    if out_of_time is not None and set(out_of_time) != set(banks):
        raise ProtocolError(
            f"out-of-time flags came from {len(set(out_of_time) & set(banks))} of {len(banks)} banks; all "
            "banks of the study must send them, and nobody else"
        )


def _check_probability(inclusion_probability: float) -> None:
    if not 0 < inclusion_probability <= 1:
        raise ConfigError(f"inclusion_probability is {inclusion_probability}; it must lie in (0, 1]")


def _check(holdout_key: bytes, holdout_percent: int, inclusion_probability: float, draw_key: bytes) -> None:
    for what, key in (("holdout_key", holdout_key), ("draw_key", draw_key)):
        if not 16 <= len(key) <= hashlib.blake2b.MAX_KEY_SIZE:
            raise ConfigError(f"{what} has {len(key)} bytes; give 16 to {hashlib.blake2b.MAX_KEY_SIZE}")
    if not 0 <= holdout_percent <= 99:
        raise ConfigError(f"holdout_percent is {holdout_percent}; it must lie in 0 to 99")
    _check_probability(inclusion_probability)
