"""Who counts in a statistics study: owners of cells and measures, the institutions behind them, and who pays."""

from fedrisk.errors import ConfigError
from fedrisk.privacy.policy import Policy
from fedrisk.recipes.statistics.settings import (
    StatisticsSettings,
    column_of,
    counted_by,
    owner_of,
    owners_of,
)
from fedrisk.releases.statistics import Measure
from fedrisk.study import Study
from fedrisk.study_members import BANK


def cells_owner(study: Study) -> str:
    """The owner of the cells; of a study without any, that of its measures, or of the rows that it counts.

    ConfigError where nothing says whose enterprises are counted.
    """
    settings = StatisticsSettings.of(study)
    if settings.by:
        return owner_of(settings.by[0])
    if len(settings.owners) == 1:
        return settings.owners[0]
    if settings.listed is not None:
        return settings.listed
    roles = [BANK] * bool(study.banks) + list(study.holders)
    if not settings.owners and len(roles) == 1:
        return roles[0]
    raise ConfigError(
        '[statistics] does not say whose enterprises are counted; name cells in by, or say listed = "bank", or the '
        "name of a holder"
    )


def is_joined(study: Study) -> bool:
    """Whether cells and measures are columns of different owners, so that rows have to be aligned."""
    settings = StatisticsSettings.of(study)
    owners = {*settings.owners, *([settings.listed] if settings.listed is not None else [])}
    return len(owners) > 1


def format_of(study: Study) -> int:
    """Format in which a study has to be stated: 2 where measures of several offices are counted by another's cells.

    Versions that read format 1 alone give the cells' owner too little noise there (plan.parts_of_an_enterprise), and
    nobody can see how much noise another one draws.
    """
    if not is_joined(study):
        return 1
    measured = {owner_of(c) for c in StatisticsSettings.of(study).columns} - {BANK, cells_owner(study)}
    return 2 if any(len(counted_by(study, owner)) > 1 for owner in measured) else 1


def listed_by(study: Study) -> str:
    """Whose rows are the population of a joined study; ConfigError where that is not said, or can not be."""
    listed = StatisticsSettings.of(study).listed or (BANK if study.banks else None)
    if listed is None:
        raise ConfigError(
            "[statistics] counts columns of several owners and does not say on whose list; add listed with the name "
            "of the holder whose enterprises are counted"
        )
    if study.banks and listed != BANK:
        raise ConfigError(
            f'[statistics] listed = "{listed}": where banks take part, their customers are counted; write '
            f'listed = "{BANK}", or leave the banks out'
        )
    if not study.banks and listed not in study.holders:
        raise ConfigError(
            f'[statistics] listed = "{listed}" is no data holder of this study; known are {", ".join(study.holders)}'
        )
    return listed


def population(study: Study) -> tuple[str, ...]:
    """The institutions whose lists are counted."""
    return study.trainers


def measure_owner(cells: str, measure: Measure) -> str:
    """The owner of a measure's numbers; enterprises are counted by the owner of the cells."""
    return cells if measure.column is None else owner_of(measure.column)


def contributors(study: Study) -> tuple[str, ...]:
    """Institutions whose records are counted, and which pay, in the study's order."""
    if not is_joined(study):
        return counted_by(study, cells_owner(study))
    # Whoever is on a list is counted: the lists' owners pay as well.
    owners = {*StatisticsSettings.of(study).owners, cells_owner(study), listed_by(study)}
    behind = {name for owner in owners for name in counted_by(study, owner)}
    return tuple(name for name in study.members if name in behind)


def own_columns(study: Study, name: str) -> tuple[str, ...]:
    """The columns of an institution that a study names, in the study's order."""
    owners = owners_of(study, name)
    named = [column_of(c) for c in StatisticsSettings.of(study).columns if owner_of(c) in owners]
    return tuple(dict.fromkeys(named))


def closed_columns(study: Study, policy: Policy, name: str) -> list[str]:
    """Why an institution's policy lets its columns not be counted, in words; nothing where it does.

    Offices share their noise as banks do, so ``policy.least_colluders`` holds for them too.
    """
    broken, colluders = [], study.privacy.colluders
    closed = [column for column in own_columns(study, name) if column not in policy.statistics]
    if closed:
        them = "it" if len(closed) == 1 else "them"
        broken.append(f"the study counts {', '.join(closed)}, and policy.statistics does not open {them}")
    counted = {*StatisticsSettings.of(study).owners, cells_owner(study)}
    shared = [o for o in owners_of(study, name) if o in counted and len(counted_by(study, o)) > 1]
    # Of several trainers the policy says it itself.
    if shared and len(study.trainers) == 1 and colluders < policy.least_colluders:
        broken.append(
            f"{name} shares its noise with others of {shared[0]}, and privacy.colluders = {colluders} is below "
            f"policy.least_colluders = {policy.least_colluders}"
        )
    return broken


def asks(study: Study) -> tuple[str, ...]:
    """What is counted, for a person who decides about the study."""
    settings = StatisticsSettings.of(study)
    tables = "; ".join(", ".join(table.by) or "one number for all" for table in settings.all_tables)
    measures = [m.kind if m.column is None else f"{m.kind} of {m.column}" for m in settings.measures]
    cells = f", cells by {', '.join(settings.by)}" if settings.by else ""
    rows = listed_by(study) if is_joined(study) else cells_owner(study)
    of = f"on the list of {rows}" if is_joined(study) else f"of {rows}"
    return (
        f"counts {', '.join(measures)}",
        f"by {tables}{cells}",
        f"of all enterprises {of}, held out or not",
    )


def check_owners(study: Study) -> None:
    """ConfigError where owners or offices are no institutions of the study."""
    settings = StatisticsSettings.of(study)
    for name, group in settings.offices.items():
        if name in study.members or name == BANK:
            raise ConfigError(f"offices.{name} is called as an institution is; choose another name")
        strangers = [one for one in group if one not in study.holders]
        if strangers:
            raise ConfigError(
                f"offices.{name} lists {strangers[0]}, which is no data holder of this study; add it to "
                "[[institutions]], or take it out"
            )
    for owner in dict.fromkeys([*settings.owners, cells_owner(study)]):
        if not counted_by(study, owner):
            known = [BANK] * bool(study.banks) + [*study.holders, *settings.offices]
            raise ConfigError(
                f"[statistics] names columns of {owner}, and owners of columns in this study are {', '.join(known)}; "
                "correct the name, or add the institution"
            )
    _check_apart(study)
    if is_joined(study):
        _check_joined(study)


def _check_apart(study: Study) -> None:
    """ConfigError where an institution counts by itself and as one of several offices: figures would be mixed up."""
    behind: dict[str, str] = {}
    for owner in dict.fromkeys([*StatisticsSettings.of(study).owners, cells_owner(study)]):
        for name in counted_by(study, owner):
            if name in behind:
                raise ConfigError(
                    f"[statistics] counts columns of {behind[name]} and of {owner}, and {name} is behind both; name "
                    "its columns under one of them, or make two studies"
                )
            behind[name] = owner


def _check_joined(study: Study) -> None:
    """ConfigError where rows of several owners cannot be brought together."""
    listed_by(study)
    owner = cells_owner(study)
    if owner in StatisticsSettings.of(study).offices:
        raise ConfigError(
            f"[statistics] counts by columns of {owner}, which are several offices: each knows a part of the "
            "enterprises, and those of others would be counted as unknown. Count by columns of one institution, or of "
            "the banks"
        )
