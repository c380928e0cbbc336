"""What a person needs to decide about a proposal, as codes and figures: what, with whom, at which price, what leaves.

Everything is worked out here from the study, the policy and the ledger; nothing is the hub's word. Words for codes are
in report/words.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedrisk.clients import approvals
from fedrisk.clients.approvals import Find, in_words, uncovered, unknown_members
from fedrisk.clients.assessment import Assessment, assess
from fedrisk.clients.node import Node
from fedrisk.clients.store.proposal_store import Asked, Stage
from fedrisk.errors import FedriskError
from fedrisk.protocol.actions import Action
from fedrisk.protocol.statements import asked_label
from fedrisk.recipe import ALIGNMENT, Recipe
from fedrisk.releases.groups import asked_groups
from fedrisk.study import Study

Actions = Callable[[Recipe], Sequence[Action]]
"""What a node answers in studies of a recipe."""


@dataclass(frozen=True, kw_only=True)
class View:
    """A proposal for a person; ``study`` and what follows from it is None where it cannot be read here any more.

    stage: how it stands. words: the same in a sentence. until: when it lapses, or its approval does. sends: (kind,
    protection) of what goes to others or to the hub besides releases. releases: names of noisy sums. scores_to: banks
    that get scores. asks: what the study asks for, in words. keys: whether there are pseudonyms, and so a key of them.
    rules: (pattern of a standing rule, why it does not cover the study); covered where there is none.
    why: why the study cannot be read.
    """

    asked: Asked
    stage: Stage
    words: str
    until: datetime
    study: Study | None = None
    assessment: Assessment | None = None
    strangers: tuple[str, ...] = ()
    sends: tuple[tuple[str, str], ...] = ()
    releases: tuple[str, ...] = ()
    scores_to: tuple[str, ...] = ()
    rules: tuple[tuple[str, tuple[str, ...]], ...] = ()
    asks: tuple[str, ...] = ()
    keys: bool = True
    why: str = ""

    @property
    def covered(self) -> str | None:
        """The first standing rule that covers it, by its pattern, or None."""
        return next((name for name, missing in self.rules if not missing), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, for programs."""
        asked, study, made = self.asked, self.study, self.asked.decision
        plain: dict[str, Any] = {
            "id": asked.id,
            "state": self.stage,
            "words": self.words,
            "until": self.until.isoformat(timespec="seconds"),
            "asked": asked.asked,
            "digest": asked.digest,
            "research_seed": asked.research_seed,
            "attempt": asked.attempt,
            "study": asked.study,
            "unreadable": self.why or None,
            "decision": None
            if made is None
            else {k: getattr(made, k) for k in ("state", "by", "who", "at", "reason", "code")},
        }
        if study is None or self.assessment is None:
            return plain
        found = self.assessment
        return plain | {
            "breaks": [*found.broken],
            "code": found.code,
            "mu": found.mu,
            "mu_left": found.left,
            "mu_left_after": found.after,
            "further_studies": found.further,
            "not_in_roster": [*self.strangers],
            "leaves": [{"kind": kind, "protection": protection} for kind, protection in self.sends],
            "releases": [*self.releases],
            "scores_to": [*self.scores_to],
            "asks": [*self.asks],
            "standing": [{"study": name, "missing": [*missing]} for name, missing in self.rules],
        }


def view(node: Node, asked: Asked, *, find: Find, actions: Actions) -> View:
    """One proposal as it stands now; reads, and changes nothing."""
    now, days = approvals.now_utc(), node.institution.policy.approval_days
    stage = asked.stage(now, days)
    ends = asked.ends
    if stage == "agreed" and asked.approved is not None:
        ends = asked.approved + timedelta(days=days)
    common: dict[str, Any] = {
        "asked": asked,
        "stage": stage,
        "words": in_words(asked, node, now),
        "until": ends,
    }
    try:
        study, recipe = find(asked.study)
        found = assess(node, study, recipe, research=asked.research_seed is not None)
        releases = tuple(planned.name for planned in recipe.plan(study, ()).planned)
    except FedriskError as error:
        return View(**common, why=str(error))
    aligned = recipe.aligned(study)
    every = [action for action in actions(recipe) if aligned or action.name not in ALIGNMENT[1:]]
    return View(
        **common,
        study=study,
        asks=(*asked_label(study), *recipe.asks(study), *asked_groups(study)),
        keys=aligned,
        assessment=found,
        strangers=tuple(unknown_members(node, study)),
        sends=_sends(node, study, every),
        releases=releases if math.isfinite(found.mu) and found.mu else (),
        scores_to=study.banks if any(a.scores == "given" for a in every) else (),
        rules=tuple(
            (rule.study, tuple(uncovered(node, rule, study, asked, price=found.mu, now=now)))
            for rule in node.institution.policy.standing
        ),
    )


def _sends(node: Node, study: Study, actions: Sequence[Action]) -> tuple[tuple[str, str], ...]:
    """(kind, protection) of what actions disclose, each once, in their order."""
    policy = node.institution.policy
    found = [
        (told.kind_in(study, node.name), told.protection_in(study, policy))
        for action in actions
        for told in (action.answers, action.sends)
        if told is not None
    ]
    return tuple(dict.fromkeys(found))
