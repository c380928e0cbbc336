"""The statistics recipe at an institution: it counts its own rows into cells, and lets the noisy sums out.

Every number follows from the study and from what all members state, by the same code as at the hub: cells, bounds,
noise and price. Nothing of that is taken from the hub.
"""

import numpy as np
import pandas as pd

from fedrisk.clients import outlet
from fedrisk.clients.align import MEMBERS, take_members
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.describe import described
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Noise, RingArray
from fedrisk.clients.row_order import RowOrder
from fedrisk.clients.witness import check_heads
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.features import statistic_of
from fedrisk.data.table import Table
from fedrisk.errors import ConfigError, PolicyError, ProtocolError
from fedrisk.protocol.actions import Action
from fedrisk.protocol.form import BlobForm, Body, Digest, Form
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import features_of_roles
from fedrisk.recipe import Brought
from fedrisk.recipes.statistics import joined
from fedrisk.recipes.statistics.columns import Ints, codes, matrix, table_sums
from fedrisk.recipes.statistics.members import (
    closed_columns,
    contributors,
    is_joined,
    own_columns,
)
from fedrisk.recipes.statistics.plan import (
    MOST_NUMBERS,
    check_members,
    counted_rows,
    layout_of,
    make_plan,
    most_parts,
)
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block
from fedrisk.releases.statistics import RELEASE, Layout, block_name
from fedrisk.releases.totals import checked_totals
from fedrisk.study import Study
from fedrisk.study_members import BANK


def brings(node: Node, study: Study, research_seed: int | None) -> Brought:
    """The columns that the study names and that the policy opens to statistics, with everything public about them."""
    dictionary = described(node)
    # A misspelt name is no column that a policy could open.
    columns = [dictionary.column(name) for name in own_columns(study, node.name)]
    _check_policy(node, study, dictionary)
    role = BANK if node.name in study.banks else node.name
    return Brought(features=tuple(statistic_of(column, role) for column in columns))


def _check_policy(node: Node, study: Study, dictionary: Dictionary) -> None:
    """PolicyError for what the policy does not let be counted; ConfigError where it opens a column that is none."""
    policy = node.institution.policy
    unknown = sorted(set(policy.statistics) - {c.name for c in dictionary.columns})
    if unknown:
        raise ConfigError(
            f"{node.name}: policy.statistics names {', '.join(unknown)}, which are no columns of the dictionary"
        )
    broken = closed_columns(study, policy, node.name)
    if broken:
        raise PolicyError(f"{node.name}: {'; '.join(broken)}; change the policy, or take no part")


def beforehand(node: Node, study: Study, table: Table, research_seed: int | None) -> None:
    """ConfigError where the own columns make no layout; every later exchange would refuse it."""
    features = brings(node, study, research_seed).features
    if node.name in contributors(study) and not is_joined(study):
        _Counted(layout_of(study, features), table.frame)


def release(node: Node, request: Payload) -> Payload:
    """Who takes part -> this institution's noisy sums of all cells, masked; nothing where none of its rows count."""
    attempt = node.attempt(request)
    if node.institution.has_table:
        # The policy is read again for every message.
        _check_policy(node, attempt.study, described(node))
    if is_joined(attempt.study):
        return _release_joined(attempt, request)
    request.only(())
    plan = agreed_plan(attempt, request)
    if attempt.name not in contributors(attempt.study):
        return Payload()
    counted = _Counted(layout_of(attempt.study, plan.features), attempt.read().frame)
    return outlet.release(attempt, plan.release(RELEASE), request, counted.part)


def _release_joined(attempt: Attempt, request: Payload) -> Payload:
    """The envelopes of counterparts -> this institution's parts of all cells; nothing where none of its rows count."""
    made = attempt.plan.release(RELEASE)
    if attempt.name not in contributors(attempt.study):
        return Payload()
    # Before anything is paid: what does not open, or was dealt wrongly, costs no budget.
    taken = None if outlet.charged(attempt, made.name) else joined.take_shares(attempt, request)

    def part(block: Block, noise: Noise) -> RingArray:
        return noise.add(block, (taken or joined.take_shares(attempt, request)).exact(block))

    return outlet.release(attempt, made, request, part)


def agreed_plan(attempt: Attempt, request: Payload) -> Plan:
    """The plan from what all members state, once it is clear who they are; made and kept once."""
    study, stated = attempt.study, attempt.statements
    if attempt.state.find(Plan) is None:
        take_members(attempt, request)
        check_heads(attempt, attempt.told("members"))
        features = features_of_roles(study, stated)
        check_members(study, features)
        attempt.state.save(_own_rows(attempt))
        attempt.state.save(make_plan(study, features))
    return attempt.plan


def _own_rows(attempt: Attempt) -> RowOrder:
    """Sizes for the trail: without alignment the own rows, whose number the institution states to all anyway."""
    rows = attempt.statements[attempt.name].rows
    return RowOrder(training=0, sampled=0, labelled=0, listed={}, places={"all": rows})


class Totals(Body):
    """What the totals are told with: the digest of the layout by which they are read."""

    layout: Digest


TOTALS = Form(body=Totals, blobs={"*|*": BlobForm(dtype="float64", ndim=(2,), most=MOST_NUMBERS)})
"""Form of the part ``totals`` of the common view."""


def totals(node: Node, request: Payload) -> Payload:
    """Totals that the hub tells -> nothing, once they are such as the release can have; kept with the attempt."""
    attempt = node.attempt(request)
    study, plan, told = attempt.study, attempt.plan, attempt.told("totals")
    layout = layout_of(study, plan.features)
    if told.get("layout") != layout.digest():
        raise ProtocolError(
            f"the hub reads the numbers of study {study.name} by other cells or measures than {node.name} agreed to; "
            "nothing of them is kept. Ask the consortium's operator"
        )
    made, rows = plan.release(RELEASE), sum(attempt.statements[n].rows for n in counted_rows(study))
    checked_totals(made, told.blobs, float(rows * most_parts(study, layout)), signed=True)
    if attempt.name in contributors(study):
        for name, sent in outlet.sent_alone(attempt, made).items():
            if not np.array_equal(sent, told.array(name)):
                raise ProtocolError(
                    f"the hub tells other totals of {name} than {attempt.name} alone sent; nothing of them is kept. "
                    "Ask the consortium's operator"
                )
    return Payload()


def conclude(node: Node, request: Payload) -> Payload:
    """The others' confirmations of the totals, which are checked before this is asked -> nothing."""
    node.attempt(request).state.still_runs()
    return Payload()


class _Counted:
    """The exact sums of an institution's own rows; the cells of each table are found once."""

    def __init__(self, layout: Layout, frame: pd.DataFrame) -> None:
        self._layout, self._frame = layout, frame
        self._cells = {table.name: codes(layout, table, frame) for table in layout.tables}
        self._blocks = {block_name(t, m): (t, m) for t in layout.tables for m in layout.measures}

    def exact(self, block: Block) -> Ints:
        """Sums of one table and measure, (cells, columns), in ring units."""
        table, measure = self._blocks[block.name]
        numbers = matrix(measure, self._frame)
        return table_sums(self._cells[table.name], numbers, self._layout.cells(table))

    def part(self, block: Block, noise: Noise) -> Ints:
        """The same with this institution's noise."""
        return noise.add(block, self.exact(block))


ACTIONS: tuple[Action, ...] = (
    *joined.ACTIONS,
    Action(
        name="release",
        serve=release,
        form=joined.RELEASED,
        tells={"members": MEMBERS},
        receives=joined.MASKED,
        last_of_authority=True,
    ),
    Action(name="totals", serve=totals, tells={"totals": TOTALS}),
    Action(name="conclude", serve=conclude, last=True),
)
