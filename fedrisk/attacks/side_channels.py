"""Time, size and refusals of messages on two tables that differ in one record: what shows besides content?

Sizes: of each message what is not released (the parts of the common view follow from released totals, and so do the
number of columns of the Gram matrix and with it the sizes of masked matrices). Two studies whose released forms agree
must agree in every size. Refusals: no record that keeps to its dictionary may stop a study.

Time: a bank fits its own models, without noise, before its last answer leaves. The attack searches the label whose flip
moves most when their boosting stops, and then tells the two tables apart by the time of single answers, with thresholds
that it learnt on others. Answers leave at the end of a step (clients/answer_steps); what is left is held against the
bound that is stated there. Time is the processor's, which is what a hub would see on a quiet machine.

Control: answers leave when their work is done.
"""

import copy
import itertools
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.intervals import CONFIDENCE, share
from fedrisk.attacks.recorded import Record
from fedrisk.attacks.small_province import CHEAP, MANY_STUDIES
from fedrisk.clients import outlet
from fedrisk.clients.answer_steps import GROWTH, AnswerSteps
from fedrisk.errors import PeerError
from fedrisk.models.champion import fit_champion
from fedrisk.protocol.common_view import CONFIRM, split
from fedrisk.protocol.payload import Payload

NAME = "side_channels"
BUCKETS = "Köpf & Dürmuth (2009)"
ENTERPRISES, FEW = 2500, 400
"""Of sizes; and of times, as a single label moves boosting most where rows are few."""
Floats = NDArray[np.float64]
Change = Callable[[dict[str, pd.DataFrame], dict[str, int]], None]
"""Changes one record in tables; rows: by institution, the row of an enterprise that all know and that is trained on."""


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures of the attack, in ``folder``."""
    yield from _sizes(folder / "sizes", effort)
    yield from _times(folder / "times", effort)


def _figure(target: str, figure: str, found: Estimate, begun: float, **more: Any) -> Measured:
    more = {"attack": NAME, "target": target, "figure": figure, "method": "exact", **more}
    return Measured.of(found, begun=begun, confidence=CONFIDENCE, **more)


# --- sizes and refusals -------------------------------------------------------------------------------------


def _to(name: str, column: str, value: Any) -> Change:
    def change(tables: dict[str, pd.DataFrame], rows: dict[str, int]) -> None:
        tables[name][column] = tables[name][column].astype(object)
        tables[name].loc[rows[name], column] = value
        tables[name][column] = tables[name][column].infer_objects()

    return change


CHANGES: dict[str, tuple[str, Change]] = {
    "another_label": ("bank", _to("alfa", "bad", 1)),
    "another_category": ("bank", _to("alfa", "grade", "C")),
    "missing_category": ("bank", _to("alfa", "grade", None)),
    "missing_number": ("bank", _to("alfa", "debt", math.nan)),
    "greatest_number": ("bank", _to("alfa", "debt", 1e6)),
    "number_at_edge": ("bank", _to("alfa", "late", 1.5)),
    "many_digits": ("bank", _to("alfa", "debt", 123456.78901234567)),
    "next_to_zero": ("holder", _to("tax", "sales", 5e-324)),
    "least_number": ("holder", _to("tax", "sales", -5e6)),
    "missing_at_holder": ("holder", _to("tax", "growth", math.nan)),
    "unknown_to_holder": ("holder", _to("tax", "id", "STRANGER")),
}
"""By what changes: whose record it is, and the change."""


def _sizes(folder: Path, effort: Effort) -> Iterator[Measured]:
    consortium, begun = (
        build(folder, enterprises=ENTERPRISES, policy=MANY_STUDIES, study=CHEAP),
        time.monotonic(),
    )
    first = consortium.run(wire=False)
    tables = {name: table.reset_index(drop=True) for name, table in consortium.tables.items()}
    rows = _rows_of_one(first.scores("alfa"), tables)
    for column, value in (("grade", "A"), ("bad", 0), ("late", 0.0)):
        tables["alfa"].loc[rows["alfa"], column] = value
    known: dict[Any, int] = {}
    tried = list(CHANGES.items())[:: 2 if effort.quick else 1]
    for target, (party, change) in [*[("", ("", _nothing))] * 2, *tried] * (1 if effort.quick else 3):
        changed = copy.deepcopy(tables)
        change(changed, rows)
        consortium.tables = changed
        for name in changed:
            consortium.write(name)
        try:
            consortium.run(wire=False)
            refused = False
        except PeerError:
            refused = True
        found = sizes(consortium.last)
        compared = [size == known[key] for key, size in found.items() if key in known]
        known = found | known
        if target:
            more = {"party": party, "claimed": 0.0}
            other = Estimate.exact(1 - float(np.mean(compared or [True])), len(compared))
            yield _figure(f"sizes/{target}", "share", other, begun, **more)
            yield _figure(f"refusals/{target}", "share", Estimate.exact(refused), begun, **more)


def _nothing(tables: dict[str, pd.DataFrame], rows: dict[str, int]) -> None:
    """The tables as they are."""


def _rows_of_one(scores: pd.DataFrame, tables: dict[str, pd.DataFrame]) -> dict[str, int]:
    """The row at bank and holder of one enterprise that both know and that is trained on."""
    used = set(scores["id"][scores["split"] == "training"])
    one = next(i for i in tables["tax"]["id"] if i in used)
    return {name: int(np.flatnonzero(tables[name]["id"] == one)[0]) for name in ("alfa", "tax")}


def sizes(record: Record) -> dict[tuple[object, int, str, str, str], int]:
    """Bytes of each message without what was released, by what had been told, number, action, direction and member."""
    out, later = {}, form_of(record)
    early = form_of(record, ("order", "bins"))
    for number, step in enumerate(s for s in record.steps if s.action in _COMPARED):
        form = early if number < _FIRST else later
        for way, messages in (("to", step.sent), ("from", step.answers)):
            for name, payload in messages.items():
                out[form, number, step.action, way, name] = _net(payload)
    return out


_COMPARED = ("edges", "mask", "release", "score", "calibrate", "deliver")
"""Exchanges that follow the order of rows: before them, sizes tell how many rows there are, which is public."""

_FIRST = 3
"""So many of them are over with the first release of sums: edges, mask, release."""


def _net(payload: Payload) -> int:
    """Bytes of a message without parts of the common view and without codes by which members confirm it."""
    own, _, _ = split(payload)
    return Payload({k: v for k, v in own.body.items() if k != CONFIRM}, own.blobs).size()


def form_of(record: Record, parts: tuple[str, ...] = ("order", "bins", "counts")) -> object:
    """What the parts of the common view say of the form of messages: rows, bins, columns of the Gram matrix."""
    told = {p.name: p.content.body for p in record._parts if p.name in parts}
    bins = [len(b["edges"]) for b in told.get("bins", {}).get("bins", ())]
    second, order = told.get("counts", {}), told.get("order", {})
    columns = [len(b[0]) if b else 0 for b in second.get("bases") or []]
    rows = {what: order.get(what) for what in ("training", "sampled", "holdout")}
    return repr((rows, bins, columns, second.get("chosen")))


# --- time ---------------------------------------------------------------------------------------------------


def _times(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Which of two tables the bank has, by the time of one answer: as it was made, and as it leaves."""
    begun, rng = time.monotonic(), np.random.default_rng(effort.seed)
    waiting = two_tables(folder, 24 if effort.quick else 100)
    learnt, looks = (10, 40) if effort.quick else (50, 200)
    # Threads that wait for each other in busy loops would fill the processor's time with noise.
    with threadpool_limits(1):
        seen = np.array([[w.seconds() for w in waiting] for _ in range(learnt + looks)]).T
    known, tried = seen[:, :learnt], seen[:, learnt:]
    made = sum(_nearer(known, t) == side for side in (0, 1) for t in tried[side])
    left = sum(_in_step(known, t, AnswerSteps.drawn(), rng) == side for side in (0, 1) for t in tried[side])
    apart = float(np.abs(np.sort(np.log(tried[0])) - np.sort(np.log(tried[1]))).mean())
    bound = 0.5 + min(0.5, apart / math.log(GROWTH) / 2)
    for hits, claimed, control in ((left, bound, ""), (made, 0.5, "answer_steps")):
        more = {"party": "bank", "chance": 0.5, "claimed": claimed, "control": control, "method": BUCKETS}
        yield _figure("last_answer/time", "accuracy", share(hits, 2 * looks), begun, **more)


def _nearer(known: Floats, seconds: float) -> int:
    """Whose times, of those that were seen before, (2, n), have the median nearer."""
    return int(np.argmin(np.abs(np.log(np.median(known, axis=1)) - math.log(seconds))))


def _in_step(known: Floats, seconds: float, steps: AnswerSteps, rng: np.random.Generator) -> int:
    """Whose times are more often in the step in which the answer left; the attacker knows where steps begin."""
    step = steps.step(seconds)
    there = [sum(steps.step(t) == step for t in times) for times in known]
    return int(rng.integers(2)) if there[0] == there[1] else int(np.argmax(there))


class _Waiting:
    """A bank that has all but the request for its last answer, and gives it as often as it is asked."""

    def __init__(self, consortium: Consortium, table: pd.DataFrame, kept: Path) -> None:
        self.consortium, self.table, self.kept = consortium, table, kept
        self._put()
        with same_noise():
            self.record = consortium.stopped("deliver", wire=False)
        self.store = consortium.nodes["alfa"].store.path
        shutil.copytree(self.store, kept)

    def _put(self) -> None:
        self.consortium.tables["alfa"] = self.table
        self.consortium.write("alfa")

    def seconds(self) -> float:
        """The processor's seconds of the answer, as if it had not been given before."""
        self._put()
        shutil.rmtree(self.store)
        shutil.copytree(self.kept, self.store)
        begun = time.process_time()
        answer = self.record.ask_once("alfa", "deliver", self.record.steps[-1].sent["alfa"])
        took = time.process_time() - begun
        if answer.refusal is not None:
            raise PeerError(f"the bank refuses its last answer ({answer.refusal}); no time was measured")
        return took


@contextmanager
def same_noise() -> Iterator[None]:
    """Noise that is the same in each study, so that times of two studies differ by the record alone."""
    draw, numbers = vars(outlet)["discrete_gaussian"], itertools.count()

    def drawn(sigma: float, shape: Any, **_: Any) -> NDArray[Any]:
        made: NDArray[Any] = draw(sigma, shape, research_seed=next(numbers).to_bytes(32, "big"))
        return made

    with patch.object(outlet, "discrete_gaussian", drawn):
        yield


def two_tables(folder: Path, searched: int) -> list[_Waiting]:
    """A bank's table, and that with the label flipped, of so many that are searched, that moves boosting most."""
    consortium = build(folder / "c", enterprises=FEW, policy={**MANY_STUDIES, "least_rows": 20}, study=CHEAP)
    scores = consortium.run(wire=False).scores("alfa")
    table = consortium.tables["alfa"].sort_values("id", ignore_index=True)
    fit = table["id"].isin(scores["id"][scores["split"] == "training"]).to_numpy()
    inputs, label = table.loc[fit, ["debt", "late", "grade"]], table.loc[fit, "bad"].to_numpy()
    usual, rounds = _rounds(inputs, label), []
    for row in range(searched):
        flipped = label.copy()
        flipped[row] = 1 - flipped[row]
        rounds.append(abs(math.log(_rounds(inputs, flipped) / usual)))
    worst = int(np.flatnonzero(fit)[int(np.argmax(rounds))])
    other = table.copy()
    other.loc[worst, "bad"] = 1 - int(table["bad"].to_numpy()[worst])
    return [_Waiting(consortium, t, folder / f"kept-{k}") for k, t in enumerate((table, other))]


def _rounds(inputs: pd.DataFrame, label: NDArray[Any]) -> int:
    """Rounds of the bank's own boosting, over all folds."""
    return sum(int(m.n_iter_) for m in fit_champion(inputs.reset_index(drop=True), label).members)


ATTACK = Attack(
    name=NAME,
    attacker="The hub, or whoever is between it and a node",
    knows="All records but one, and sizes and times of all messages",
    wants="That record",
    how="It compares sizes, refusals and times of studies whose tables differ in one record, and looks for the label "
    "whose flip moves times most",
    sources=(BUCKETS,),
    run=run,
)
