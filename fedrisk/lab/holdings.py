"""Who holds what of a data set, as its files say it, before any row is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrisk.institution import find_institutions, load_institution
from fedrisk.lab.data_set_rules import DataSetFile
from fedrisk.lab.parties import columns_of
from fedrisk.study_file import load_study


@dataclass(frozen=True, kw_only=True)
class Holding:
    """One institution: names of the columns that models may use, in order, and its rows.

    only: values of columns that rows have; empty where they are not chosen so. share: of all rows, drawn at random or,
    with a Dirichlet split, on average; None where it has all, or those with the values of ``only``.
    """

    name: str
    role: str
    columns: tuple[str, ...]
    only: str = ""
    share: float | None = None


def holdings(rules: DataSetFile) -> list[Holding]:
    """The institutions in order; [] for a province, which is not there before it is simulated.

    ConfigError where a file that the data set names is missing or breaks a rule.
    """
    if rules.study is not None:
        return _of_study(Path(rules.study), rules.members)
    if rules.dictionary is None:
        return []
    weights = {n: p.share or 1.0 for p in rules.parties if p.role == "bank" for n in p.names}
    drawn = len(weights) > 1 and not any(p.only for p in rules.parties)
    return [
        Holding(
            name=name,
            role=party.role,
            columns=tuple(c.name for c in columns_of(party, rules) if c.feature),
            only=_values(party.only),
            share=weights[name] / sum(weights.values()) if drawn and name in weights else None,
        )
        for party in rules.parties
        for name in party.names
    ]


def _of_study(file: Path, members: tuple[str, ...] | None) -> list[Holding]:
    study = load_study(file)
    out = []
    for path in find_institutions(file, members or study.members).values():
        one = load_institution(path)
        table = one.table
        part = None if table is None or table.part is None else 1 / table.part.of
        out.append(
            Holding(
                name=one.name,
                role=one.kind,
                columns=() if one.dictionary is None else tuple(c.name for c in one.dictionary.features),
                only="" if table is None else _values(table.only),
                share=part,
            )
        )
    return out


def _values(only: Mapping[str, object]) -> str:
    said = ((c, v if isinstance(v, list) else [v]) for c, v in only.items())
    return "; ".join(f"{column} = {', '.join(map(str, values))}" for column, values in said)
