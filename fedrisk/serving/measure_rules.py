"""What an institution looks at before it takes part in a measure: its policy, its columns, and what sums tell together.

Two sums that share a column and are not the same sum are two equations. Over other institutions their difference is
the figure of those by which they differ; with another weight, range, mean or freshness of one institution it is that
one's alone; and several of them, each far from the other, may leave a single figure together. So an institution takes
part in measures of one column only where they are one sum: the same institutions and columns, taken alike. Then any two
measures of willing members have everything in common or nothing, and no combination of them tells more than each.
"""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

from fedrisk.data.dictionary import Dictionary
from fedrisk.models.model_part import ModelPart
from fedrisk.privacy.serving_policy import MeasureRule, ServingPolicy
from fedrisk.serving.measures import LENDING, Measure, measure_of


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
        broken += _difference(measure, measure_of(other), me)
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


def _difference(measure: Measure, other: Measure, me: str) -> list[str]:
    """Whether both sums together tell more than each: they share a column of this institution's, and differ."""
    shared = {t.column for t in measure.terms_of(me)} & {t.column for t in other.terms_of(me)}
    if measure.id == other.id or not shared or all(b == me for b in measure.banks):
        return []
    apart = _taken(measure) ^ _taken(other)
    if apart:
        members = ", ".join(sorted({member for member, *_ in apart}))
        differs = f"differs from it by {members}, whose number may be the difference of both"
    elif _range(measure) and _range(other) and _range(measure) != _range(other):
        differs = "clips it otherwise, so that both together tell how one number is made up of several"
    elif measure.fresh_days != other.fresh_days:
        differs = "has other fresh_days, so that both together tell the numbers of those whose rows are older"
    else:
        return []
    return [
        f"it sums column {', '.join(sorted(shared))} as measure {other.name} ({other.id}) does, and {differs}; retire "
        "that one first, or give both the same terms, range and fresh_days"
    ]


def _taken(measure: Measure) -> set[tuple[Any, ...]]:
    """Whose columns are summed, and how each is turned into a number before it is clipped for all alike."""
    kind = "lending" if measure.kind in LENDING else measure.kind
    return {(t.member, t.column, kind, t.low, t.high, t.weight, t.mean, t.deviation) for t in measure.terms}


def _range(measure: Measure) -> float | None:
    """Where all figures are clipped; None for a count, which stands beside every sum of loans anyway."""
    return measure.clip if measure.kind == "index" else measure.high
