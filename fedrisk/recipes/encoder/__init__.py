"""Recipe ``encoder``: data holders of one kind train one sequence encoder over monthly histories, without labels."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedrisk.protocol.actions import Action
from fedrisk.recipe import Brought, Recipe, Section
from fedrisk.recipes.encoder.plan import expect, make_plan
from fedrisk.recipes.encoder.settings import EncoderSettings, check_members
from fedrisk.releases.plan import Plan
from fedrisk.study import Study

if TYPE_CHECKING:
    from fedrisk.clients.attempt import Attempt
    from fedrisk.clients.node import Node
    from fedrisk.data.table import Table
    from fedrisk.server.outcome import HubSession, Outcome


def _brings(node: "Node", study: Study, research_seed: int | None) -> Brought:
    from fedrisk.recipes.encoder.node import brings

    return brings(node, study, research_seed)


def _beforehand(node: "Node", study: Study, table: "Table", research_seed: int | None) -> None:
    from fedrisk.recipes.encoder.node import beforehand

    beforehand(node, study, table, research_seed)


def _hub(session: "HubSession", plan: Plan) -> "Outcome":
    from fedrisk.recipes.encoder.hub import fit

    return fit(session, plan)


def _actions() -> tuple[Action, ...]:
    from fedrisk.recipes.encoder.node import ACTIONS

    return ACTIONS


def _fetch(attempt: "Attempt") -> "Callable[[], None]":
    from fedrisk.recipes.encoder.node import fetch

    return fetch(attempt)


def _summary(outcome: "Outcome") -> tuple[Section, ...]:
    from fedrisk.server.training_summary import summarise

    return summarise(outcome)


RECIPE = Recipe(
    name="encoder",
    settings=EncoderSettings,
    members=check_members,
    plan=make_plan,
    expect=expect,
    brings=_brings,
    beforehand=_beforehand,
    hub=_hub,
    actions=_actions,
    summary=_summary,
    fetch=_fetch,
    requires=("torch", "opacus", "onnx"),
)
