"""The hub that deals the masks of secure products and sees all traffic: what does it learn of a matrix or a label?

It knows R, S and T of each product, and so what a part would be, bare, for any matrix that it suspects
(secure/product). Here it even knows all other rows, and asks about a single number of a single row: does what it
received fit the true number better, or another one? Each number that it received answers for a row of its own. It may
also count digits of what it receives, compare the same sum of two attempts, and take off what colluding banks know.

Controls: pair masks off; key stream reused between attempts; an institution that hands over the masked matrices which
it opens, and one more colluding bank than a sum withstands. Neither of the last two is promised by the product
(docs/threat-model.md): they show that what is promised ends there.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.consortium import build
from fedrisk.attacks.controls import one_colluder_too_many, reused_key_stream, without_pair_masks
from fedrisk.attacks.dealt import Dealt, Ring, dealt_products, noises, witnessing
from fedrisk.attacks.intervals import CONFIDENCE, deviation, share, uneven
from fedrisk.attacks.recorded import Record
from fedrisk.attacks.small_province import BANKS, CHEAP, COLUMNS, HOLDERS, MANY_STUDIES, province
from fedrisk.secure.ring import to_signed

NAME = "dealing_hub"
DEALER = "Beaver (1991, 1998)"
MASKS = "Bonawitz et al. (2017)"
GDP = "Dong, Roth & Su (2022)"
ENTERPRISES = 1500
RECORD: dict[str, Any] = {"debt": 9e3, "late": 0.0, "grade": "A", "bad": 0}
CHANGED: dict[str, Any] = {"debt": 9e5, "late": 9.0, "grade": "C", "bad": 1}


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures of the attack, in ``folder``."""
    yield from _numbers(folder / "products", effort)
    yield from _digits(folder / "digits", effort)
    yield from _pads(folder / "pads", effort)
    yield from _opened(folder / "opened", effort)
    yield from _colluding(folder / "banks", effort)


def _guessed(target: str, hits: int, trials: int, chance: float, begun: float, **more: Any) -> Measured:
    """Share of right guesses."""
    return _figure(target, "accuracy", share(hits, trials), begun, chance=chance, **more)


def _figure(target: str, figure: str, found: Estimate, begun: float, **more: Any) -> Measured:
    about = {"attack": NAME, "target": target, "figure": figure, **more}
    return Measured.of(found, begun=begun, confidence=CONFIDENCE, **about)


# --- one number of one row, all others known ----------------------------------------------------------------


def _numbers(folder: Path, effort: Effort) -> Iterator[Measured]:
    """A label of a bank, and a number of a holder's row: of two candidates, which is the true one?"""
    consortium, rng = (
        build(folder, holders=HOLDERS, enterprises=ENTERPRISES, policy=MANY_STUDIES, study=CHEAP),
        np.random.default_rng(effort.seed),
    )
    for control, studies in (("", 2 if effort.quick else 30), ("pair_masks", 1 if effort.quick else 3)):
        begun, tries = time.monotonic(), dict[tuple[str, str], list[bool]]()
        for _ in range(studies):
            with witnessing() as seen, without_pair_masks() if control else nullcontext():
                record = consortium.stopped("score", wire=False)
            for dealt in dealt_products(consortium.study, record, seen):
                truth = seen.matrices[dealt.release, dealt.product.id, "right"]
                kind = "row" if dealt.release == "gram" else "label"
                party = "bank" if dealt.product.right in BANKS else "holder"
                tries.setdefault((kind, party), []).extend(guesses(dealt, truth, rng))
        for (target, party), right in sorted(tries.items()):
            more = {"party": party, "control": control, "method": DEALER}
            yield _guessed(f"parts/{target}", sum(right), len(right), 0.5, begun, **more)


def guesses(dealt: Dealt, truth: Ring, rng: np.random.Generator) -> list[bool]:
    """For each number of the part that came, whether it fits the truth better than a lie about one row's number.

    Each is about a row of its own: the true number against one that another row has.
    """
    came = dealt.received - dealt.bare(truth)
    right = []
    for j, b in np.ndindex(*came.shape):
        i = rng.integers(len(truth))
        others = np.setdiff1d(truth[:, b], truth[i, b])
        if len(others):
            change = rng.choice(others) - truth[i : i + 1, b]
            other = came[j : j + 1, b] - dealt.r[i, j] * change
            right.append(bool(_size(came[j : j + 1, b]) < _size(other)))
    return right


def _size(number: Ring) -> float:
    """How far from zero a ring's number is, (1,)."""
    return abs(float(to_signed(number)[0]))


# --- digits of what comes -----------------------------------------------------------------------------------


def _digits(folder: Path, effort: Effort) -> Iterator[Measured]:
    """How far half bytes of the parts of sums are from uniform."""
    consortium = build(folder, BANKS[:2], ("tax",), enterprises=ENTERPRISES, policy=MANY_STUDIES, study=CHEAP)
    for control, studies in (("", 1 if effort.quick else 20), ("pair_masks", 1)):
        begun, counts, sizes = time.monotonic(), np.zeros(16, np.int64), 0
        for _ in range(studies):
            with without_pair_masks() if control else nullcontext():
                record = consortium.stopped("calibrate", wire=False)
            for array in parts(record).values():
                counts += digit_counts([array])
                sizes += array.size
        found = replace(uneven(counts), trials=sizes)
        yield _figure("parts/digits", "bits", found, begun, chance=0.0, control=control, method=MASKS)


def parts(record: Record) -> dict[tuple[str, str, str], Ring]:
    """Every array that the hub received for a block of several contributors, by release, block and name."""
    out: dict[tuple[str, str, str], Ring] = {}
    for step in record.steps:
        if step.action not in ("edges", "release"):
            continue
        name = next(iter(step.sent.values())).body.get("release", "edges")
        for block in {b for a in step.answers.values() for b in a.blobs}:
            who = [n for n, a in step.answers.items() if block in a.blobs]
            out |= {(name, block, n): step.answers[n].array(block) for n in who if len(who) > 1}
    return out


def digit_counts(arrays: Sequence[Ring]) -> NDArray[np.int64]:
    """How often each half of a byte has each of its 16 values."""
    raw = np.concatenate([np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays])
    return np.bincount(np.r_[raw >> 4, raw & 15], minlength=16)


# --- one sum in two attempts --------------------------------------------------------------------------------


def _pads(folder: Path, effort: Effort) -> Iterator[Measured]:
    """At which of two banks did an enterprise's record change? The totals of both attempts are the same in either case.

    Without noise, so that nothing but masks is in the way. The same key stream in both attempts gives it away: the
    difference of a bank's parts is then what changed there (a pad used twice).
    """
    rng = np.random.default_rng(effort.seed)
    twins = _Twins(folder)
    for control, games in (("", 24 if effort.quick else 100), ("key_stream", 20)):
        begun, hits = time.monotonic(), 0
        with reused_key_stream() if control else nullcontext():
            before = parts(twins.run(None))
            for bank in rng.choice(twins.banks, games):
                after = parts(twins.run(bank))
                moved = {
                    b: sum(int((after[k] != before[k]).sum()) for k in after if k[2] == b)
                    for b in twins.banks
                }
                hits += max(moved, key=lambda b: (moved[b], rng.random())) == bank
        more = {"party": "bank", "control": control, "method": MASKS}
        yield _guessed("parts/two_attempts", hits, games, 0.5, begun, **more)


class _Twins:
    """Two banks, each with an enterprise of the same record; it changes at one of them, in the same way."""

    banks = BANKS[:2]

    def __init__(self, folder: Path) -> None:
        tables = {name: province(700, seed=3)[name] for name in self.banks}
        tables[self.banks[1]] = tables[self.banks[1]][
            ~tables[self.banks[1]]["id"].isin(tables[self.banks[0]]["id"])
        ]
        study = {"privacy": {"epsilon": math.inf}, "alignment": {"inclusion_probability": 1.0}}
        self.consortium = build(folder, self.banks, (), tables=tables, study=study)
        first = self.consortium.run(research_seed=1, wire=False)
        self.rows = {}
        for bank in self.banks:
            table = self.consortium.tables[bank].reset_index(drop=True)
            scores = first.scores(bank)
            used = table["id"].isin(scores["id"][scores["split"] == "training"])
            self.rows[bank] = int(np.flatnonzero(used)[0])
            self.consortium.tables[bank] = table
        self._write(None)

    def run(self, bank: str | None) -> Record:
        """A fresh attempt as far as the label counts; the record is changed at ``bank``."""
        self._write(bank)
        return self.consortium.stopped("calibrate", research_seed=1, wire=False)

    def _write(self, changed: str | None) -> None:
        for bank, row in self.rows.items():
            values = CHANGED if bank == changed else RECORD
            for column, value in values.items():
                self.consortium.tables[bank].loc[row, column] = value
            self.consortium.write(bank)


# --- what colluders open ------------------------------------------------------------------------------------


def _opened(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Control: a holder hands over the masked labels that it opens, and the hub knows their masks."""
    begun, consortium = time.monotonic(), build(folder, enterprises=ENTERPRISES)
    with witnessing() as seen, one_colluder_too_many("tax") as handed:
        record = consortium.stopped("score", wire=False)
    (dealt,) = [d for d in dealt_products(consortium.study, record, seen) if d.release == "counts"]
    truth = seen.matrices["counts", dealt.product.id, "right"]
    masked = np.frombuffer(b"".join(handed[f"counts|{dealt.product.id}"]), truth.dtype).reshape(truth.shape)
    unmasked = masked + dealt.s
    label, read = truth[:, 0] > 0, unmasked[:, 0] > 0
    blind = max(label.mean(), 1 - label.mean())
    more = {"party": "bank", "control": "one_colluder_too_many", "method": DEALER}
    yield _guessed(
        "masked_matrices/label", int((label == read).sum()), len(label), float(blind), begun, **more
    )


def _colluding(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Three banks, of which none is to be tolerated as a colluder: one that looks takes off what it knows, then two.

    What is left in a total besides all other records is the noise of the honest; a column of many bins gives many draws
    of it. A record moves the counts of all its
    columns by one, and so many standard deviations are what is left to it: the mu that is really spent.
    """
    study = {"privacy": {"epsilon": 1.0, "colluders": 0}}
    rules = {**MANY_STUDIES, "least_colluders": 0}
    wide = {
        "name": "debt",
        "kind": "number",
        "low": 0,
        "high": 1_000_000,
        "bins": list(range(1000, 64_000, 1000)),
    }
    columns = {"bank": [wide, *COLUMNS["bank"][1:]]}
    consortium = build(folder, BANKS, (), enterprises=ENTERPRISES, study=study, policy=rules, columns=columns)
    begun, drawn, counts = time.monotonic(), list[dict[str, Ring]](), None
    for _ in range(6 if effort.quick else 40):
        with witnessing() as seen, noises(drawn):
            consortium.stopped("calibrate", wire=False)
        counts = seen.releases["counts"]
    assert counts is not None
    moved = math.sqrt(len(columns["bank"])) * 2**counts.scale_bits
    for colluders, control in ((1, ""), (2, "one_colluder_too_many")):
        honest = [np.sum([noise[b] for b in BANKS[colluders:]], axis=0).ravel() for noise in drawn]
        found = inverse(deviation(np.concatenate(honest)), moved)
        more = {"claimed": counts.mu, "control": control, "party": "bank", "method": GDP}
        yield _figure(f"scorecard/counts/colluding_{colluders}", "mu", found, begun, **more)


def inverse(deviation: Estimate, moved: float) -> Estimate:
    """The mu that noise of such a deviation makes of what a record moves."""
    return Estimate(moved / deviation.value, moved / deviation.high, moved / deviation.low, deviation.trials)


ATTACK = Attack(
    name=NAME,
    attacker="The hub that deals the masks",
    knows="All masks that it dealt, all messages, and all records but one; in some cases what a member hands it",
    wants="A label, a number of a holder's row, whose record changed, or an institution's own part of a sum",
    how="It works out what a part of a sum would be for each of two candidates and asks which fits; it counts digits, "
    "and compares the same sum of two attempts",
    sources=(DEALER, MASKS, GDP),
    run=run,
)
