"""Columns of groups as the banks state them: what an evaluation by groups counts, the same for hub and members.

Each bank states the columns that the study names, with their public levels (`Statement.groups`). All members are told
all statements in the first part of the common view and confirm them to each other, so all make the same release of
them.
"""

from fedrisk.data.features import Feature, features_from
from fedrisk.errors import ConfigError
from fedrisk.protocol.statements import Statements, evaluated
from fedrisk.releases.axes import axis_of
from fedrisk.releases.groups import GROUPS, groups_release
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Planned, Release
from fedrisk.releases.statistics import Axis
from fedrisk.study import Study
from fedrisk.study_members import BANK

KEY = "evaluation.groups"


def group_axes(study: Study, statements: Statements) -> tuple[Axis, ...]:
    """The columns of groups with their levels, in the study's order; none where the study names none.

    ConfigError where a bank does not state them, where banks state other levels, or where one has no public levels.
    """
    if not study.evaluation.groups:
        return ()
    stated = {bank: _stated(study, bank, statements) for bank in study.banks}
    first = study.banks[0]
    for bank, features in stated.items():
        differ = [mine.column for mine, other in zip(stated[first], features, strict=True) if mine != other]
        if differ:
            raise ConfigError(
                f"the dictionaries of {first} and {bank} disagree on {', '.join(differ)} ({KEY}); groups need the same "
                "categories, bins and codes at all banks"
            )
    return tuple(axis_of(f.column, f"{BANK}.{f.column}", f, key=KEY) for f in stated[first])


def _stated(study: Study, bank: str, statements: Statements) -> list[Feature]:
    found = features_from(statements[bank].groups)
    if [f.column for f in found] != list(study.evaluation.groups):
        raise ConfigError(
            f"{bank} does not state the columns of {KEY} ({', '.join(study.evaluation.groups)}); all must run the same "
            "version of fedrisk"
        )
    return found


def evaluation_releases(study: Study, plan: Plan, statements: Statements) -> list[Release]:
    """What an evaluation releases of the hold-out: its histogram, and its groups where the study has any.

    Nothing where it is not evaluated. Errors: ConfigError as of `group_axes`, ProtocolError where the plan has another
    price.
    """
    if not evaluated(study, statements):
        return []
    out = [plan.release("evaluation")]
    if study.evaluation.groups:
        made = groups_release(study, group_axes(study, statements))
        # At the price that was planned, or it is refused.
        out.append(plan.with_released(made).release(GROUPS))
    return out


def check_groups(study: Study, statements: Statements) -> None:
    """ConfigError where the columns of groups are not the same at all banks, or have too many levels."""
    axes = group_axes(study, statements)
    if axes:
        Planned.of(groups_release(study, axes))
