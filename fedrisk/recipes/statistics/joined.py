"""The statistics recipe at an institution where cells and measures have different owners: sums over aligned rows.

Counted is every place of the lists that is used, for training or held out. The cells' owner is the left party of a
grouping, a measure's owner the right one (recipes/statistics/groupings, secure/group_sums); each ends with a share of
the sums, which leaves under its noise and pair masks. Measures of the cells' owner need no grouping: it counts them by
itself on the same places. The rows of holders and lists are checked beside it (clients/row_check), before anything is
charged.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints

from fedrisk.alignment.matching import UNUSED
from fedrisk.clients import row_check
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import listed, take_order, use_of
from fedrisk.errors import ProtocolError
from fedrisk.protocol.actions import Action, Disclosure, partner
from fedrisk.protocol.form import SEALED, BlobForm, Form, OfAttempt
from fedrisk.protocol.order import ORDER, ROWS
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.row_check import CHECK, CHECKED
from fedrisk.recipes.statistics.columns import Ints, table_sums
from fedrisk.recipes.statistics.groupings import Grouping, finer_of, groupings
from fedrisk.recipes.statistics.members import contributors
from fedrisk.recipes.statistics.places import cells_of, numbers_of
from fedrisk.recipes.statistics.plan import layout_of, make_plan
from fedrisk.releases.release import Block
from fedrisk.releases.statistics import RELEASE, CellTable, Layout, Measure, block_name
from fedrisk.secure import group_sums
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.group_messages import Carried, GroupShape, Ring, first_of, message_of
from fedrisk.secure.group_slots import STAGES, Places
from fedrisk.secure.keystream import Label

OWN = "check_numbers"
"""Secret of an institution: from it the right party draws the numbers that show what the hub dealt wrongly, and the
left one the order of its rows."""


def order(node: Node, request: Payload) -> Payload:
    """The order of rows, kept once it is checked."""
    take_order(node.attempt(request), request, make_plan)
    return Payload()


def mask(node: Node, request: Payload) -> Payload:
    """What was dealt -> the left parties' permutations and the right parties' masked numbers, each sealed."""
    attempt = node.attempt(request)
    joined = Joined(attempt)
    attempt.begin_once("mask", request)
    dealt = request.get("secrets")
    joined.check_dealt(dealt, request)
    attempt.state.put_secret("dealt", json.dumps(dict(dealt)).encode())
    answers = row_check.take_dealt(attempt, dealt, request)
    for grouping in joined.groupings:
        if attempt.name == grouping.left:
            answers[grouping.id] = joined.permutations(grouping)
        else:
            for stage in STAGES:
                attempt.state.put(_stored(grouping, stage), request.array(f"{grouping.id}|{stage}"))
            answers[grouping.id] = joined.masked(grouping)
    return Payload({}, answers)


def carry(node: Node, request: Payload) -> Payload:
    """The left parties' permutations -> the right parties' second messages; shares of the checks of rows."""
    attempt = node.attempt(request)
    joined = Joined(attempt)
    rights = [g for g in joined.groupings if attempt.name == g.right]
    checks = row_check.own_checks(attempt)
    request.only({*(g.id for g in rights), *(c.id for c in checks)})
    attempt.begin_once("carry", request)
    answers = {grouping.id: joined.carried(grouping, request) for grouping in rights}
    return Payload({}, {**answers, **row_check.share(attempt, request)})


class ToMask(OfAttempt):
    """Secrets of the groupings and of the checks of rows."""

    secrets: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]]


class Joined:
    """What one joined study is computed on at this institution, for the time of one message."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self._shares: dict[str, NDArray[np.uint32]] = {}
        self._cells: dict[str, Ints] = {}
        self._numbers: dict[str, Ints] = {}

    @cached_property
    def layout(self) -> Layout:
        """Cells and measures."""
        return layout_of(self.attempt.study, self.attempt.plan.features)

    @cached_property
    def groupings(self) -> list[Grouping]:
        """Those in which the institution takes part."""
        every = groupings(self.attempt.study, self.layout)
        return [g for g in every if self.attempt.name in (g.left, g.right)]

    @property
    def bits(self) -> int:
        """Fractional bits of the release."""
        return self.attempt.plan.release(RELEASE).scale_bits

    def rows(self, name: str) -> NDArray[np.int64]:
        """The institution's row number for each place of a list that is counted; -1 for unknown enterprises."""
        used: NDArray[np.int64] = listed(self.attempt, name)[use_of(self.attempt, name) != UNUSED]
        return used

    def shape(self, grouping: Grouping) -> GroupShape:
        """Public sizes of a grouping."""
        used = int((use_of(self.attempt, grouping.listed) != UNUSED).sum())
        return grouping.shape(self.layout, used)

    def check_dealt(self, dealt: Mapping[str, str], request: Payload) -> None:
        """ProtocolError unless there is a secret for each grouping and check, and numbers of their size beside it."""
        checks = row_check.own_checks(self.attempt)
        sizes: dict[str, tuple[int, ...]] = {
            f"{g.id}|{stage}": self.shape(g).dealt[stage]
            for g in self.groupings
            if g.right == self.attempt.name
            for stage in STAGES
        }
        sizes |= {c.id: (1, 1) for c in checks if c.holder == self.attempt.name}
        fits = set(dealt) == {*(g.id for g in self.groupings), *(c.id for c in checks)}
        if not fits or {name: request.array(name).shape for name in request.blobs} != sizes:
            raise ProtocolError(
                "what was dealt for the groupings is not what the study needs; run the study again"
            )

    def permutations(self, grouping: Grouping) -> bytes:
        """The left party's message, sealed for the right one."""
        shape = self.shape(grouping)
        message = group_sums.left_message(
            self._secret(grouping), self._label(grouping), self._places(grouping), shape
        )
        return self._sealed(grouping, "permutations", message)

    def masked(self, grouping: Grouping) -> bytes:
        """The right party's first message, sealed for the left one."""
        blocks = group_sums.right_first(
            self._secret(grouping),
            self._label(grouping),
            self.numbers(grouping),
            self._factors(grouping),
            self.shape(grouping),
        )
        return self._sealed(grouping, "masked", blocks)

    def carried(self, grouping: Grouping, request: Payload) -> bytes:
        """The right party's second message, sealed for the left one; its share is kept."""
        shape = self.shape(grouping)
        carried, share = group_sums.right_second(
            self._secret(grouping),
            self._label(grouping),
            [self.attempt.state.get(_stored(grouping, stage)) for stage in STAGES],
            message_of(self._opened(grouping, "permutations", request.raw(grouping.id)), shape),
            self._factors(grouping),
            shape,
        )
        self.attempt.state.put(_stored(grouping, "share"), share)
        return self._sealed(grouping, "carried", carried.blocks())

    def take(self, request: Payload) -> None:
        """The right parties' messages, opened: shares of this institution's groupings are there afterwards."""
        for grouping in self.groupings:
            self._shares[grouping.id] = self._share(grouping, request)

    def _share(self, grouping: Grouping, request: Payload) -> NDArray[np.uint32]:
        if self.attempt.name == grouping.right:
            share: NDArray[np.uint32] = self.attempt.state.get(_stored(grouping, "share"))
            return share
        shape = self.shape(grouping)
        carried = self._opened(grouping, "carried", request.raw(f"carried:{grouping.id}"))
        first = first_of(self._opened(grouping, "masked", request.raw(grouping.id)), shape)
        return group_sums.left_share(
            self._secret(grouping),
            self._label(grouping),
            self._places(grouping),
            first,
            Carried.of(carried, shape),
            shape,
        )

    def exact(self, block: Block) -> NDArray[Any]:
        """This institution's exact part of a block: its shares, or the sums of its own rows on the lists."""
        table, measure = self._blocks[block.name]
        if block.left == block.right:
            cells, numbers = self._table_cells(table)[self._every], self._own_numbers(measure)[self._every]
            return table_sums(cells, numbers, self.layout.cells(table))
        total = np.zeros(block.shape, np.uint32)
        finer, groups = finer_of(self.layout, table)
        for grouping in self.groupings:
            if grouping.owner == block.right and grouping.table == finer:
                own = self._columns(grouping, measure)
                total += group_sums.aggregate(own, groups, self.layout.cells(table))
        return total

    def _columns(self, grouping: Grouping, measure: Measure) -> NDArray[np.uint32]:
        """Columns of one measure in the share of a grouping."""
        measures = grouping.measures(self.layout)
        start = sum(m.columns for m in measures[: measures.index(measure)])
        return self._shares[grouping.id][:, start : start + measure.columns]

    @cached_property
    def _blocks(self) -> dict[str, tuple[CellTable, Measure]]:
        layout = self.layout
        return {block_name(t, m): (t, m) for t in layout.tables for m in layout.measures}

    def codes(self, grouping: Grouping) -> Ints:
        """The cell of each counted place of a grouping's list."""
        return self._table_cells(grouping.table)[self.rows(grouping.listed)]

    def numbers(self, grouping: Grouping) -> Ints:
        """The measures of each counted place of a grouping's list, side by side."""
        if grouping.owner not in self._numbers:
            measures = grouping.measures(self.layout)
            self._numbers[grouping.owner] = numbers_of(measures, self.attempt.read().frame, self.bits)
        return self._numbers[grouping.owner][self.rows(grouping.listed)]

    @cached_property
    def _every(self) -> NDArray[np.int64]:
        """Row numbers of the counted places of all lists, one list after the other."""
        return np.concatenate([self.rows(name) for name in self.attempt.lists])

    def _table_cells(self, table: CellTable) -> Ints:
        """The cell of each row of the institution, and last that of unknown ones."""
        if table.name not in self._cells:
            # Once for all lists and measures of a message: looking categories up costs more than all else here.
            self._cells[table.name] = cells_of(self.layout, table, self.attempt.read().frame)
        return self._cells[table.name]

    def _own_numbers(self, measure: Measure) -> Ints:
        """A measure of this institution by its own cells, for each row, and last for unknown ones."""
        return numbers_of([measure], self.attempt.read().frame, self.bits)

    def _secret(self, grouping: Grouping) -> bytes:
        return bytes.fromhex(json.loads(self.attempt.state.secret("dealt"))[grouping.id])

    def _label(self, grouping: Grouping) -> Label:
        return grouping.label(self.attempt.study, self.attempt.state.id)

    def _places(self, grouping: Grouping) -> tuple[Places, ...]:
        """Where the left party's rows go; the same whenever they are asked for in an attempt."""
        codes, shape = self.codes(grouping), self.shape(grouping)
        return group_sums.left_places(self._own(), self._label(grouping), codes, shape)

    def _factors(self, grouping: Grouping) -> Ring:
        return group_sums.coefficients(self._own(), self._label(grouping), self.shape(grouping))

    def _own(self) -> bytes:
        """This institution's own secret of the attempt, which nobody else has."""
        state = self.attempt.state
        if not state.has_secret(OWN):
            state.put_secret(OWN, group_sums.fresh_secret())
        return state.secret(OWN)

    def _sealed(self, grouping: Grouping, what: str, blocks: Any) -> bytes:
        attempt, receiver = self.attempt, grouping.partner(self.attempt.name)
        context = self._context(grouping, what, attempt.name, receiver)
        return seal(attempt.key, attempt.peers[receiver], context, blocks)

    def _opened(self, grouping: Grouping, what: str, envelope: bytes) -> Any:
        attempt, sender = self.attempt, grouping.partner(self.attempt.name)
        context = self._context(grouping, what, sender, attempt.name)
        return open_sealed(attempt.key, attempt.peers[sender], context, envelope)

    def _context(self, grouping: Grouping, what: str, sender: str, receiver: str) -> Context:
        return Context(
            study=self.attempt.view,
            release=f"{RELEASE}|{grouping.id}",
            attempt=self.attempt.state.id,
            direction=what,
            sender=sender,
            receiver=receiver,
        )


def take_shares(attempt: Attempt, request: Payload) -> Joined:
    """What came for the release of a joined study, opened and checked; nothing is charged before."""
    joined = Joined(attempt)
    lefts = [g.id for g in joined.groupings if attempt.name == g.left]
    checked = [c.checked for c in row_check.own_checks(attempt) if attempt.name == c.holder]
    request.only({*lefts, *(f"carried:{name}" for name in lefts), *checked})
    if attempt.name in contributors(attempt.study):
        row_check.verify(attempt, request)
        joined.take(request)
    return joined


def _stored(grouping: Grouping, what: int | str) -> str:
    return f"grouping_{grouping.place}_{grouping.left}_{grouping.right}_{grouping.listed}_{what}"


MASKED = Disclosure("masked_matrix", "masked_sealed", partner)

DEALT = BlobForm(dtype="uint64", ndim=(2,))

ACTIONS: tuple[Action, ...] = (
    Action(name="edges", serve=order, form=ROWS, tells={"order": ORDER}),
    Action(
        name="mask",
        serve=mask,
        form=Form(body=ToMask, blobs={f"{CHECK}*": DEALT, "*@*|*": DEALT}),
        sends=MASKED,
    ),
    Action(
        name="carry",
        serve=carry,
        form=Form(blobs={"*@*": SEALED}),
        receives=MASKED,
        sends=MASKED,
    ),
)
"""What comes between alignment and release in a joined study."""

RELEASED = Form(blobs={f"{CHECKED}*": SEALED, "*@*": SEALED})
"""Form of the request for the release; a study of one owner's columns gets no envelopes."""
