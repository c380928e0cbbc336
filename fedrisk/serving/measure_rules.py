"""What an institution looks at before it takes part in a measure: its policy, its columns, and what sums tell together.

Two sums over the same columns and different institutions are two equations: their difference is the sum of those by
which they differ. So an institution takes part in no second measure whose members differ from the first's by fewer
than it wants behind a sum. It checks that for the institutions that are in both; one that is in the second alone is
protected by those that are in both, since a measure that one member did not approve answers nobody.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from fedrisk.data.dictionary import Dictionary
from fedrisk.models.model_part import ModelPart
from fedrisk.privacy.serving_policy import MeasureRule, ServingPolicy
from fedrisk.serving.measures import Measure, measure_of


def rule_of(policy: ServingPolicy, name: str, bank: str) -> MeasureRule | None:
    """The first rule of the policy for a measure and the bank that asks, or None: it takes no part then.

    >>> policy = ServingPolicy(measures=(MeasureRule(measure="exposure_*", banks=("alfa",)),))
    >>> rule_of(policy, "exposure_elsewhere", "alfa").per_month, rule_of(policy, "exposure_elsewhere", "beta")
    (1000, None)
    """
    found = (r for r in policy.measures if fnmatchcase(name, r.measure) and bank in r.banks)
    return next(found, None)


def broken_rules(
    part: ModelPart,
    policy: ServingPolicy,
    dictionary: Dictionary | None,
    others: Iterable[ModelPart] = (),
) -> list[str]:
    """Every rule that a measure breaks at an institution, in words; none where it may be approved.

    dictionary: of its own table. others: its parts of measures that are approved.
    """
    measure, me = measure_of(part), part.institution
    if not measure.terms_of(me):
        return [] if me in measure.banks else [f"{me} is neither asked nor asks in measure {measure.name}"]
    broken = []
    for bank in measure.banks:
        if bank != me:
            broken += _broken_by(policy, measure, bank)
    for term in measure.terms_of(me):
        broken += _column(dictionary, term.column, numbers_only=measure.kind == "index")
    for other in others:
        broken += _difference(policy, measure, measure_of(other), me)
    return broken


def _broken_by(policy: ServingPolicy, measure: Measure, bank: str) -> list[str]:
    """Rules that are broken when ``bank`` asks."""
    rule = rule_of(policy, measure.name, bank)
    if rule is None:
        return [
            f"no rule of policy.serving.measures allows {bank} to ask for {measure.name}; add one, or leave it out"
        ]
    behind = len(measure.responders(bank))
    if behind >= rule.least_members:
        return []
    return [
        f"{behind} institutions answer when {bank} asks, and policy.serving.measures wants least_members = "
        f"{rule.least_members}"
    ]


def _column(dictionary: Dictionary | None, name: str, *, numbers_only: bool) -> list[str]:
    """Rules that a column of the institution's own breaks.

    numbers_only: a sum of flags with different weights says which of them are set.
    """
    found = None if dictionary is None else next((c for c in dictionary.columns if c.name == name), None)
    if found is None:
        return [f"column {name} is not in the dictionary; describe it, or agree on another column"]
    if found.kind not in (("number",) if numbers_only else ("number", "flag")):
        return [f"column {name} is a {found.kind}, and a number is summed; agree on another column"]
    if found.special:
        return [
            f"column {name} has special codes, which would be summed as numbers; describe a column without them"
        ]
    return []


def _difference(policy: ServingPolicy, measure: Measure, other: Measure, me: str) -> list[str]:
    """Whether somebody's number would follow from both sums."""
    mine = {t.column for t in measure.terms_of(me)} & {t.column for t in other.terms_of(me)}
    banks = [b for b in measure.banks if b != me]
    if measure.id == other.id or not mine or not banks:
        return []
    rules = [rule_of(policy, measure.name, b) for b in banks]
    least = max((r.least_members for r in rules if r is not None), default=3)
    apart = {(t.member, t.column) for t in measure.terms} ^ {(t.member, t.column) for t in other.terms}
    if not apart or len({member for member, _ in apart}) >= least:
        return []
    return [
        f"it sums column {', '.join(sorted(mine))} as measure {other.name} ({other.id}) does, and differs from it by "
        f"{', '.join(sorted({m for m, _ in apart}))}, whose number would be the difference of both; retire that one "
        "first"
    ]
