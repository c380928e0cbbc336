"""Time, size and refusals of messages on two tables that differ in one record: what shows besides content?

Sizes: of each message what is not released (the parts of the common view follow from released totals, and so do the
number of columns of the Gram matrix and with it the sizes of masked matrices). Two studies whose released forms agree
must agree in every size. Refusals: no record that keeps to its dictionary may stop a study.

Time: the last answer of a bank, on one transcript with two tables that differ in one label. With the one the bank has
just as many defaults as it fits models of its own from, with the other one fewer and fits none: no two tables' times
are further apart. These models are fitted after the study (clients/own_work), so that the work of the answer must not
tell the tables apart, with thresholds that the attack learnt on other answers. It is timed before it waits for the end
of a step (clients/answer_steps), by the processor, which is what a hub would see on a quiet machine.

Control: own models are fitted before the answer leaves.
"""

import contextlib
import copy
import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.controls import own_models_before_the_answer
from fedrisk.attacks.intervals import CONFIDENCE, share
from fedrisk.attacks.recorded import Record
from fedrisk.attacks.small_province import CHEAP, MANY_STUDIES
from fedrisk.clients.attempt import Agreement
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.errors import PeerError
from fedrisk.protocol.common_view import CONFIRM, split
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard.delivery import LEAST_CLASS

NAME = "side_channels"
TIMES = "Kocher (1996)"
ENTERPRISES, FEW = 2500, 400
"""Of sizes; and of times, where few rows make the answers short."""
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
    """Which of two tables the bank has, by how long it works at one answer."""
    begun, rng = time.monotonic(), np.random.default_rng(effort.seed)
    waiting = _Waiting(folder)
    looks = 40 if effort.quick else 200
    for control, tries in (("", looks), ("own_models_after", LOOKS_OF_CONTROL)):
        before = own_models_before_the_answer() if control else contextlib.nullcontext()
        # Threads that wait for each other in busy loops would fill the processor's time with noise.
        with before, threadpool_limits(1):
            seen = waiting.seen(LEARNT + tries, rng)
        known, tried = seen[:, :LEARNT], seen[:, LEARNT:]
        hits = sum(_nearer(known, t) == side for side in (0, 1) for t in tried[side])
        more = {"party": "bank", "chance": 0.5, "claimed": 0.5, "control": control, "method": TIMES}
        yield _figure("last_answer/time", "accuracy", share(hits, 2 * tries), begun, **more)


LEARNT, LOOKS_OF_CONTROL = 10, 15
"""Answers of each table by whose times others are judged, and answers of each that the control judges."""


def _nearer(known: Floats, seconds: float) -> int:
    """Whose times, of those that were seen before, (2, n), have the median nearer."""
    return int(np.argmin(np.abs(np.log(np.median(known, axis=1)) - math.log(seconds))))


class _Waiting:
    """A bank that has all but the request for its last answer, and gives it as often as it is asked, with either table.

    All else is one study's: what was released and told is the same, whatever the table.
    """

    def __init__(self, folder: Path) -> None:
        made = build(folder / "c", enterprises=FEW, policy={**MANY_STUDIES, "least_rows": 20}, study=CHEAP)
        self.tables = two_tables(made)
        self._consortium, self._kept = made, folder / "kept"
        self._put(0)
        self._record = made.stopped("deliver", wire=False)
        self._node = made.nodes["alfa"]
        shutil.copytree(self._node.store.path, self._kept)

    def _put(self, which: int) -> None:
        self._consortium.tables["alfa"] = self.tables[which]
        self._consortium.write("alfa")

    def seen(self, answers: int, rng: np.random.Generator) -> Floats:
        """Seconds of so many answers with each table, (2, answers), in turns of which each begins by chance."""
        found = np.zeros((2, answers))
        for k in range(answers):
            for which in rng.permutation(2):
                found[which, k] = self._seconds(int(which))
        return found

    def _seconds(self, which: int) -> float:
        """The processor's seconds of the answer with one of the tables, as if it had not been given before."""
        self._put(which)
        shutil.rmtree(self._node.store.path)
        shutil.copytree(self._kept, self._node.store.path)
        AttemptStore.drop_cached()
        state = self._node.store.attempt(self._record.attempt)
        digest = self._node.institution.read().digest
        # The table is in its place since the study began, as far as the bank knows.
        state.save(replace(state.load(Agreement), table=digest))
        begun = time.process_time()
        answer = self._record.ask_once("alfa", "deliver", self._record.steps[-1].sent["alfa"])
        took = time.process_time() - begun
        if answer.refusal is not None:
            raise PeerError(f"the bank refuses its last answer ({answer.refusal}); no time was measured")
        return took


def two_tables(consortium: Consortium) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A bank's table with just as many defaults in training as it fits own models from, and that with one fewer."""
    scores = consortium.run(wire=False, own=False).scores("alfa")
    table = consortium.tables["alfa"].sort_values("id", ignore_index=True)
    fit = table["id"].isin(scores["id"][scores["split"] == "training"]).to_numpy()
    defaults = np.flatnonzero(fit & (table["bad"] == 1).to_numpy())
    table.loc[defaults[LEAST_CLASS:], "bad"] = 0
    other = table.copy()
    other.loc[defaults[0], "bad"] = 0
    return table, other


ATTACK = Attack(
    name=NAME,
    attacker="The hub, or whoever is between it and a node",
    knows="All records but one, and sizes and times of all messages",
    wants="That record",
    how="It compares sizes and refusals of studies whose tables differ in one record, and times of answers where one "
    "label decides whether the bank fits models of its own",
    sources=(TIMES,),
    run=run,
)
