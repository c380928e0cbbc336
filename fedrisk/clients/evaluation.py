"""What a bank keeps of a study, and lets out of its hold-out, whatever the model.

The order is the same for every recipe. Scores are written first, before the release of the hold-out is paid; then one
histogram of score bin by label leaves, noisy and masked, with its answer on the disk, and beside it, where the study
asks for them, counts by group (releases/groups). Models that the bank fits for itself are in none of that: without
noise, they take a time that hangs on single labels, so they are fitted once the attempt is over and no answer waits for
them (clients/own_work). Where scores cannot be written, or the process is killed on the way, the study goes on, since
it was paid for: what scores and own models are made from stays on the disk until both are there
(``AttemptStore.keep_until_settled``, clients/own_results). Research runs, which have no privacy, let exact counts and
the figures of the bank's models out instead, and fit these before.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.errors import DataError, FedriskError, PolicyError, StoreError, code_of
from fedrisk.protocol.groups import evaluation_releases, group_axes
from fedrisk.protocol.payload import Payload, spends_in
from fedrisk.protocol.statements import evaluated
from fedrisk.releases.axes import axis_codes
from fedrisk.releases.evaluation import EVALUATION
from fedrisk.releases.groups import band_edges, block_of
from fedrisk.releases.release import Block, Release

Made = TypeVar("Made")
Figures = dict[str, float | None]
SCORES = "scores.parquet"
"""File of the bank's scores among its results of an attempt."""

FIGURES = "own_figures.json"
"""File of its own figures, and of what could not be made, beside it."""

POINTS = "points.parquet"
"""File of the points of each of the bank's columns, beside it."""

ROOM, ROOM_PER_ROW = 4 << 20, 64
"""Bytes of the disk that a bank keeps free for what is left to write of a study, in all and for each customer."""


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """A bank's hold-out, scored, (n,) each.

    label: labels, of rows that have one. bins: score bins of the noisy histogram. exact: whole numbers by which a
    research run counts. probability: predicted, of default. rows: of the bank's table.
    """

    label: NDArray[np.float64]
    bins: NDArray[np.integer]
    exact: NDArray[np.int64]
    probability: NDArray[np.float64]
    rows: NDArray[np.int64]


def split_of(use: NDArray[np.uint8], label: NDArray[np.float64]) -> NDArray[Any]:
    """What each row of a bank was used for, in words for its own files: rows without a label for nothing, (n,).

    >>> split_of(np.array([0, 1, 2, 0], np.uint8), np.array([1.0, 0.0, 0.0, np.nan])).tolist()
    ['training', 'holdout', 'unused', 'no label']
    """
    words = np.array(["training", "holdout", "unused"], dtype=object)[use]
    words[np.isnan(label)] = "no label"
    return words


def evaluate(
    attempt: Attempt,
    request: Payload,
    action: str,
    score: Callable[[], HoldOut],
    keep: Callable[[], None],
    owe: Callable[[], None],
    own: Callable[[], Figures],
    *,
    allowed: bool = True,
) -> Payload:
    """The answer to the last exchange at a bank.

    score: the bank's scored hold-out, computed once. keep: writes the bank's scores to its store and reads them back.
    owe: notes what own models are made from, after the exchange. own: in a research run, fits and keeps them, and gives
    their figures; nothing that fails in it fails the exchange. allowed: whether the state of the study lets the
    hold-out be evaluated; besides, all members whose records stand behind the scores have to let it.
    """
    wanted = allowed and evaluated(attempt.study, attempt.statements)
    if wanted and not attempt.node.institution.policy.evaluation:
        raise PolicyError(f"{attempt.name} lets no evaluation figures out (policy.evaluation = false)")
    # Scores that are there although this was never paid are of the card as it was before, fetched too early.
    before = outlet.charged(attempt, EVALUATION) and scores_kept(attempt) is not None
    if not before:
        # Before anything is paid: what cannot be scored refuses the exchange.
        score()
        if attempt.state.owed is None:
            owe()
        try_to_keep(attempt, action, keep)

    def further() -> Figures:
        try:
            return own()
        except Exception as error:
            attempt.node.store.errors.add(attempt.state.id, action, error)
            return {}

    if not wanted:
        # A study may go without evaluation, and its plan then has none.
        return Payload()
    made = evaluation_releases(attempt.study, attempt.plan, attempt.statements)

    def answer(release: Release) -> Payload:
        if attempt.research:
            return outlet.release_exact(
                attempt, release, request, lambda: _exact(attempt, release, score(), further)
            )

        def part(block: Block, noise: outlet.Noise) -> NDArray[Any]:
            return noise.add(block, _counts(attempt, release, block, score()))

        return outlet.release(attempt, release, request, part)

    return _answered([answer(release) for release in made])


def charge_evaluation(attempt: Attempt, request: Payload) -> Payload:
    """Charge a holder, whose records stand behind the scores, for all that is released of the hold-out; the Spends."""
    made = evaluation_releases(attempt.study, attempt.plan, attempt.statements)
    return _answered([outlet.charge(attempt, release, request) for release in made])


def _answered(answers: Sequence[Payload]) -> Payload:
    """The answers of several releases as one: the first with the arrays and Spends of all; empty without any."""
    if not answers:
        return Payload()
    first, *others = answers
    spends = [spend for answer in others for spend in spends_in(answer)]
    blobs = {name: blob for answer in answers for name, blob in answer.blobs.items()}
    return Payload({**first.body, **({"further_spends": spends} if spends else {})}, blobs)


class OwnKept:
    """What a bank could not make of its own models and figures: by name, a code and a reason, for itself alone."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.absent: dict[str, dict[str, str]] = {}

    def tried(self, name: str, make: Callable[[], Made]) -> Made | None:
        """What ``make`` makes; None, and an entry, where it fails."""
        try:
            return make()
        except Exception as error:
            self.failed(name, error, name)
            return None

    def failed(self, name: str, error: Exception, action: str) -> None:
        """Enter a failure, its whole text in the institution's log of errors."""
        foreseen = isinstance(error, FedriskError)
        # The text of an unforeseen error may hold anything.
        reason = str(error) if foreseen else f"{type(error).__name__}; errors.log in the store has all of it"
        self.absent[name] = {"code": code_of(error), "reason": reason}
        self.attempt.node.store.errors.add(self.attempt.state.id, action, error)

    def without(self, name: str, reason: str) -> None:
        """Enter that something cannot be made of these records; nothing failed."""
        self.absent[name] = {"code": DataError.code, "reason": reason}


def try_to_keep(attempt: Attempt, action: str, keep: Callable[[], None]) -> None:
    """Write what an attempt owes; where that fails the reason is logged, and it can be made later.

    The room that was kept on the disk is for this.
    """
    attempt.state.give_back_room()
    try:
        keep()
    except Exception as error:
        with contextlib.suppress(Exception):
            attempt.node.store.errors.add(attempt.state.id, f"{action}: scores", error)


def read_back(attempt: Attempt) -> None:
    """StoreError where the scores that were written are not there."""
    if scores_kept(attempt) is None:
        raise StoreError(
            f"the scores of attempt {attempt.state.id} at {attempt.name} were written and cannot be read back; see "
            f"that {attempt.node.store.path / 'results'} can be written"
        )


def settle(attempt: Attempt, figures: bytes) -> None:
    """Write the bank's own figures, the last of what it keeps: nothing is owed once they and the scores are there.

    StoreError where either is not.
    """
    attempt.node.store.put_result(attempt.state.id, FIGURES, figures)
    read_back(attempt)
    attempt.state.settle()


def room_for(customers: int) -> int:
    """Bytes of the disk that a bank keeps free for its results."""
    return ROOM + ROOM_PER_ROW * customers


def scores_kept(attempt: Attempt) -> int | None:
    """Rows of the attempt's scores in the bank's store, read back; None where they are not there or cannot be read."""
    return rows_of_scores(attempt.node.store.path / "results" / attempt.state.id / SCORES)


def rows_of_scores(file: Path) -> int | None:
    """Rows of a file of scores, all of it read; None where it is not there or cannot be read."""
    try:
        return len(pd.read_parquet(file))
    except (OSError, ValueError):
        # pyarrow's errors are ValueErrors.
        return None


def _counts(attempt: Attempt, release: Release, block: Block, held: HoldOut) -> NDArray[np.int64]:
    """Label counts in ring units: (score bins, 2), or (levels, bands, 2) of a column of groups."""
    unit = 2**release.scale_bits
    positive = np.rint(held.label * unit).astype(np.int64)
    sums = _summed(attempt, release, block, held, positive, unit - positive)
    return np.rint(sums).astype(np.int64)


def _summed(
    attempt: Attempt,
    release: Release,
    block: Block,
    held: HoldOut,
    positive: NDArray[Any],
    negative: NDArray[Any],
) -> NDArray[np.float64]:
    """Sums of both labels by the cells of a block, in its shape."""
    cells = math.prod(block.shape[:-1])
    place = held.bins if release.name == EVALUATION else _group_cells(attempt, block, held)
    # Doubles hold whole numbers of this size exactly.
    sums = np.stack([np.bincount(place, part, cells) for part in (positive, negative)], 1)
    return np.asarray(sums, np.float64).reshape(block.shape)


def _group_cells(attempt: Attempt, block: Block, held: HoldOut) -> NDArray[np.int64]:
    """Level and band of each row of the hold-out as one number, (n,)."""
    (axis,) = [a for a in group_axes(attempt.study, attempt.statements) if block_of(a.name) == block.name]
    level = axis_codes(axis, attempt.read().frame[axis.name].iloc[held.rows])
    band = np.searchsorted(band_edges(attempt.study), held.probability, side="right")
    return np.asarray(level * block.shape[1] + band)


def _exact(attempt: Attempt, release: Release, held: HoldOut, further: Callable[[], Figures]) -> Payload:
    """What a research run lets out in place of a release.

    Of the hold-out exact label counts by whole number, from the least number on, and figures of the bank's models; of
    groups exact label counts.
    """
    if release.name != EVALUATION:
        sums = {
            b.name: _summed(attempt, release, b, held, held.label, 1 - held.label) for b in release.blocks
        }
        return Payload({}, sums)
    figures = further()
    first = int(held.exact.min()) if len(held.exact) else 0
    counts = {
        "positives": np.bincount(held.exact - first, held.label),
        "negatives": np.bincount(held.exact - first, 1 - held.label),
    }
    return Payload(
        {"figures": figures, "first": first}, {name: c.astype(float) for name, c in counts.items()}
    )
