"""Recipe ``network``: banks with the same columns train one risk network over masked, noisy sums of gradients."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from fedrisk.protocol.actions import Action
from fedrisk.recipe import Brought, Recipe, Section
from fedrisk.recipes.network.baselines import baselines
from fedrisk.recipes.network.plan import expect, make_plan
from fedrisk.recipes.network.settings import NetworkSettings, asks, check_members
from fedrisk.releases.plan import Plan
from fedrisk.study import Study

if TYPE_CHECKING:
    from fedrisk.clients.attempt import Attempt
    from fedrisk.clients.node import Node
    from fedrisk.server.hub import Hub
    from fedrisk.server.knowledge import Beforehand
    from fedrisk.server.outcome import HubSession, Outcome


def _brings(node: "Node", study: Study, research_seed: int | None) -> Brought:
    from fedrisk.recipes.network.node import brings

    return brings(node, study, research_seed)


def _hub(session: "HubSession", plan: Plan) -> "Outcome":
    from fedrisk.recipes.network.hub import fit

    return fit(session, plan)


def _actions() -> tuple[Action, ...]:
    from fedrisk.recipes.network.node import ACTIONS

    return ACTIONS


def _fetch(attempt: "Attempt") -> "Callable[[], None]":
    from fedrisk.recipes.network.node import fetch

    return fetch(attempt)


def _knows(study: Study, hub: "Hub", research: bool) -> "Beforehand":
    from fedrisk.recipes.network.start_file import look_up

    return look_up(study, hub, research)


def _summary(outcome: "Outcome") -> tuple[Section, ...]:
    from fedrisk.server.training_summary import summarise

    return summarise(outcome)


RECIPE = Recipe(
    name="network",
    settings=NetworkSettings,
    members=check_members,
    plan=make_plan,
    expect=expect,
    brings=_brings,
    hub=_hub,
    actions=_actions,
    summary=_summary,
    fetch=_fetch,
    requires=("torch", "opacus", "onnx"),
    baselines=baselines,
    asks=asks,
    knows=_knows,
)
