"""What a study would cost an institution and which of its rules it breaks: from study, policy and ledger alone.

The same for ``fedrisk policy check``, for a hub that proposes a study, and for a person who decides about it. Nothing
is promised: all of it is looked at again when the study is described, and once more before every release.
"""

import math
from dataclasses import dataclass

from fedrisk.clients.node import Node
from fedrisk.errors import BudgetError, PolicyError
from fedrisk.privacy.ledger.plain import ROUNDING, studies_left
from fedrisk.recipe import Recipe
from fedrisk.study import Study


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """broken: rules that the study breaks here, in words that stay at home; code: what others may learn of them.

    mu: its price here by the institution's own plan, 0 at a key authority, infinite in a research run, which charges
    nothing. left, after: mu that one further attempt may cost now, and after this study. further: how many studies like
    it fit after it, None for no end.
    """

    broken: tuple[str, ...]
    code: str | None
    mu: float
    delta: float
    left: float
    after: float
    further: int | None


def assess(node: Node, study: Study, recipe: Recipe, *, research: bool = False) -> Assessment:
    """The study, checked by its recipe, at this institution.

    ConfigError where the institution is no member, or its own file gives it another role.
    """
    policy = node.institution.policy
    broken = policy.broken(study, institution=node.name, research=research)
    broken += recipe.breaks(study, policy, node.name)
    code = PolicyError.code if broken else None
    mu = price_of(study, recipe, node.name, research=research)
    room = node.ledger.left(study=study.name, purpose=study.purpose)
    if not research and mu > room * (1 + ROUNDING):
        broken.append(f"it asks mu {mu:.3f} and {room:.3f} is left; see fedrisk budget show")
        code = code or BudgetError.code
    counted = 0.0 if research else mu
    after = math.sqrt(max(0.0, (room - counted) * (room + counted))) if counted < math.inf else 0.0
    return Assessment(
        broken=tuple(broken),
        code=code,
        mu=mu,
        delta=study.privacy.delta,
        left=room,
        after=after,
        further=studies_left(0.0, after, counted) if counted < math.inf else 0,
    )


def price_of(study: Study, recipe: Recipe, name: str, *, research: bool = False) -> float:
    """Mu of a study at one of its members: the price does not depend on columns or rows. Errors as in ``assess``."""
    if not study.has_table(name):
        return 0.0
    return math.inf if research else recipe.plan(study, ()).price[name]
