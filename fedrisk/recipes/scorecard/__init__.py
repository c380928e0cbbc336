"""Recipe ``scorecard``: banks and data holders build a scorecard from two releases of noisy sums."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from fedrisk.data.features import Feature
from fedrisk.findings import Finding
from fedrisk.privacy.accounting import LABEL_IN_COUNTS
from fedrisk.protocol.actions import Action
from fedrisk.recipe import Brought, Recipe, Section
from fedrisk.recipes.scorecard.plan import expect, make_plan
from fedrisk.recipes.scorecard.settings import ScorecardSettings, asks, check_members, spared
from fedrisk.releases.plan import Plan
from fedrisk.study import Study

if TYPE_CHECKING:
    from fedrisk.clients.attempt import Attempt
    from fedrisk.clients.node import Node
    from fedrisk.data.table import Table
    from fedrisk.models.edited_card import EditedCard
    from fedrisk.models.model_part import ModelPart
    from fedrisk.recipes.scorecard.choices import Chosen
    from fedrisk.server.hub import Hub
    from fedrisk.server.knowledge import Beforehand
    from fedrisk.server.outcome import HubSession, Outcome


def _brings(node: "Node", study: Study, research_seed: int | None) -> Brought:
    from fedrisk.recipes.scorecard.node import brings

    return brings(node, study, research_seed)


def _beforehand(node: "Node", study: Study, table: "Table", research_seed: int | None) -> None:
    from fedrisk.recipes.scorecard.node import beforehand

    beforehand(node, study, table, research_seed)


def _hub(session: "HubSession", plan: Plan) -> "Outcome":
    from fedrisk.recipes.scorecard.hub import fit

    return fit(session, plan)


def _actions() -> tuple[Action, ...]:
    from fedrisk.recipes.scorecard.node import ACTIONS

    return ACTIONS


def _fetch(attempt: "Attempt") -> "Callable[[], None]":
    from fedrisk.recipes.scorecard.delivery import fetch

    return fetch(attempt)


def _part(attempt: "Attempt") -> "ModelPart":
    from fedrisk.recipes.scorecard.model_parts import part_of

    return part_of(attempt)


def _knows(study: Study, hub: "Hub", research: bool) -> "Beforehand":
    from fedrisk.recipes.scorecard.looked_up import look_up

    return look_up(study, hub, research)


def _foresee(known: "Beforehand", features: Sequence[Feature], rows: int | None) -> tuple[Finding, ...]:
    from fedrisk.recipes.scorecard.planner import Planner, expected_auc

    return expected_auc(Planner(known.study, features, rows, known.knowledge, anchors=known.anchors))


def _choose(known: "Beforehand", features: Sequence[Feature], rows: int | None) -> "Chosen":
    from fedrisk.recipes.scorecard.choices import WORLDS, choose
    from fedrisk.recipes.scorecard.planner import Planner

    planner = Planner(known.study, features, rows, known.knowledge, anchors=known.anchors, simulated=WORLDS)
    return choose(planner)


def _edited_part(attempt: "Attempt", edited: "EditedCard") -> "ModelPart":
    from fedrisk.recipes.scorecard.model_parts import edited_part_of

    return edited_part_of(attempt, edited)


def _summary(outcome: "Outcome") -> tuple[Section, ...]:
    from fedrisk.recipes.scorecard.summary import summarise

    return summarise(outcome)


RECIPE = Recipe(
    name="scorecard",
    settings=ScorecardSettings,
    members=check_members,
    plan=make_plan,
    expect=expect,
    label_price=LABEL_IN_COUNTS,
    foresee=_foresee,
    choose=_choose,
    brings=_brings,
    beforehand=_beforehand,
    hub=_hub,
    actions=_actions,
    summary=_summary,
    fetch=_fetch,
    part=_part,
    edited_part=_edited_part,
    asks=asks,
    spared=spared,
    knows=_knows,
)
