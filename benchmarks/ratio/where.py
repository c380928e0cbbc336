"""Where seconds go: the time within named functions of the product, each second counted once.

Functions are wrapped for the time of a measurement, wherever they were imported to. What is called within another is
counted for the inner one. Generators count while they work, not while they wait.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PLACES: dict[str, tuple[str, ...]] = {
    "tables: read and checked": ("fedrisk.institution:Institution.read",),
    "alignment: proofs made": (
        "fedrisk.alignment.oprf:_terms",
        "fedrisk.alignment.dleq:prove",
        "fedrisk.alignment.dleq:fold_blinded",
    ),
    "alignment: proofs verified": ("fedrisk.alignment.oprf:verify",),
    "alignment: blinded ids": (
        "fedrisk.alignment.oprf:blind",
        "fedrisk.alignment.oprf:evaluate",
        "fedrisk.alignment.oprf:finalise",
        "fedrisk.alignment.oprf:pseudonyms",
    ),
    "alignment: pseudonyms kept": (
        "fedrisk.clients.store.pseudonym_store:PseudonymStore.known",
        "fedrisk.clients.store.pseudonym_store:PseudonymStore.of",
        "fedrisk.clients.store.pseudonym_store:PseudonymStore.keep",
        "fedrisk.clients.store.pseudonym_store:PseudonymStore.earlier_split",
    ),
    "alignment: matched at the hub": ("fedrisk.alignment.matching:match",),
    "rows checked against each other": (
        "fedrisk.clients.row_check:take_dealt",
        "fedrisk.clients.row_check:share",
        "fedrisk.clients.row_check:verify",
        "fedrisk.clients.row_check:_factors",
    ),
    "secure products: dealt": ("fedrisk.secure.product:deal",),
    "secure products: masks": ("fedrisk.secure.product:mask",),
    "secure products: shares": ("fedrisk.secure.product:left_share", "fedrisk.secure.product:right_share"),
    "envelopes": ("fedrisk.secure.envelope:seal", "fedrisk.secure.envelope:open_sealed"),
    "noise": ("fedrisk.clients.outlet:Noise.add",),
    "pair masks": ("fedrisk.clients.outlet:pair_masked",),
    "sums in the clear": (
        "fedrisk.recipes.scorecard.matrices:label_counts",
        "fedrisk.recipes.scorecard.matrices:gram_vector",
        "fedrisk.recipes.scorecard.matrices:table_codes",
        "fedrisk.models.shape_rows:shape_rows",
        "fedrisk.models.binning:grid_histogram",
    ),
    "disk and locks": (
        "fedrisk.files:write_atomic",
        "os:fsync",
        "os:fdatasync",
        "fedrisk.clients.outlet:_debit",
        "fedrisk.clients.outlet:_commit",
    ),
    "messages": ("fedrisk.engine.in_process_grid:InProcessGrid._copy",),
    "banks' own models": (
        "fedrisk.recipes.scorecard.delivery:own_fit",
        "fedrisk.recipes.scorecard.delivery:keep_own",
    ),
    "scores and reasons": (
        "fedrisk.recipes.scorecard.delivery:scored_by",
        "fedrisk.recipes.scorecard.delivery:_frame",
        "fedrisk.recipes.scorecard.delivery:keep_scores",
    ),
    "verdict before and after": ("fedrisk.recipes.scorecard.hub:_judge",),
    "report": ("fedrisk.api:_write",),
}


class Clock:
    """Seconds, and processor seconds of this process, by place; each belongs to the innermost place that is open."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.processor: defaultdict[str, float] = defaultdict(float)
        self.open: list[str] = []
        self.last, self.last_processor = time.perf_counter(), time.process_time()

    def turn(self) -> None:
        """Give the time since the last turn to the place that is open now."""
        now, processor = time.perf_counter(), time.process_time()
        place = self.open[-1] if self.open else "all else"
        self.seconds[place] += now - self.last
        self.processor[place] += processor - self.last_processor
        self.last, self.last_processor = now, processor

    @contextmanager
    def within(self, place: str) -> Iterator[None]:
        """A place, while the block runs."""
        self.turn()
        self.open.append(place)
        try:
            yield
        finally:
            self.turn()
            self.open.pop()

    def wrapped(self, function: Callable[..., Any], place: str) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self.within(place):
                found = function(*args, **kwargs)
            return self.stepped(found, place) if inspect.isgenerator(found) else found

        return call

    def stepped(self, made: Iterator[Any], place: str) -> Iterator[Any]:
        """What a generator gives, timed while it works."""
        while True:
            with self.within(place):
                try:
                    item = next(made)
                except StopIteration:
                    return
            yield item


@contextmanager
def watched() -> Iterator[Clock]:
    """A clock of all places, for the time of the block; names that are gone fail loudly."""
    clock, undo = Clock(), []
    for place, names in PLACES.items():
        for name in names:
            module, _, path = name.partition(":")
            owner: Any = importlib.import_module(module)
            *within, last = path.split(".")
            for part in within:
                owner = getattr(owner, part)
            original = inspect.getattr_static(owner, last)
            if isinstance(original, staticmethod | classmethod):
                raise TypeError(f"{name} cannot be timed; name a function or a plain method")
            made = clock.wrapped(original, place)
            holders = [owner] if within else _holders(original, last)
            for holder in holders:
                undo.append((holder, last, original))
                setattr(holder, last, made)
    try:
        yield clock
    finally:
        clock.turn()
        for holder, last, original in reversed(undo):
            setattr(holder, last, original)


def _holders(function: Any, name: str) -> list[Any]:
    """Modules that know a function by its name."""
    known = [
        m
        for n, m in list(sys.modules.items())
        if n.startswith("fedrisk") or n == getattr(function, "__module__", "")
    ]
    known += [sys.modules["os"]] if getattr(function, "__module__", "") == "posix" else []
    return [m for m in known if m is not None and m.__dict__.get(name) is function]
