"""Recipe ``statistics``: noisy counts, sums, means, shares, variances and quantiles by public cells."""

from typing import TYPE_CHECKING

from fedrisk.protocol.actions import Action
from fedrisk.recipe import Brought, Recipe, Section
from fedrisk.recipes.statistics.members import asks, closed_columns, format_of, is_joined
from fedrisk.recipes.statistics.plan import check_members, expect, make_plan
from fedrisk.recipes.statistics.settings import StatisticsSettings, spared
from fedrisk.releases.plan import Plan
from fedrisk.study import Study

if TYPE_CHECKING:
    from fedrisk.clients.node import Node
    from fedrisk.data.table import Table
    from fedrisk.server.outcome import HubSession, Outcome


def _brings(node: "Node", study: Study, research_seed: int | None) -> Brought:
    from fedrisk.recipes.statistics.node import brings

    return brings(node, study, research_seed)


def _beforehand(node: "Node", study: Study, table: "Table", research_seed: int | None) -> None:
    from fedrisk.recipes.statistics.node import beforehand

    beforehand(node, study, table, research_seed)


def _hub(session: "HubSession", plan: Plan) -> "Outcome":
    from fedrisk.recipes.statistics.hub import fit

    return fit(session, plan)


def _actions() -> tuple[Action, ...]:
    from fedrisk.recipes.statistics.node import ACTIONS

    return ACTIONS


def _summary(outcome: "Outcome") -> tuple[Section, ...]:
    from fedrisk.recipes.statistics.summary import summarise

    return summarise(outcome)


RECIPE = Recipe(
    name="statistics",
    settings=StatisticsSettings,
    members=check_members,
    plan=make_plan,
    expect=expect,
    brings=_brings,
    beforehand=_beforehand,
    hub=_hub,
    actions=_actions,
    summary=_summary,
    aligned=is_joined,
    format=format_of,
    labels=False,
    breaks=closed_columns,
    asks=asks,
    spared=spared,
)
