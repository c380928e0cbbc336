"""A whole draft: id, label and date, a proposal for every other column, and what a person should know of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.data.draft import names
from fedrisk.data.draft.columns import Proposal, propose
from fedrisk.data.draft.look import MOST_ROWS, Look, look_at
from fedrisk.data.draft.months import MonthlySeries, monthly
from fedrisk.data.draft.reading import notation_of, readable
from fedrisk.data.draft.roles import (
    KNOWN_LATER,
    SURE,
    IdFound,
    Kind,
    LabelFound,
    find_as_of,
    find_id,
    find_label,
    foretells,
    id_of,
    label_of,
    outcomes,
)
from fedrisk.data.hints import READ
from fedrisk.data.source import TableSource
from fedrisk.data.text import Notation
from fedrisk.errors import ConfigError
from fedrisk.toml_file import near_name

RESERVED = ("external_score", "(known)")
"""Names that stand for something else in a study."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is proposed for one table.

    Attributes:
        settings: keys of ``[table]`` that it takes to read it.
        table: how the table is called in texts.
        rows: that were looked at; ``more``: whether the table has more.
        kind: for a bank, with a label, or for a data holder.
        id: the id column.
        label: the outcome, at a bank; None where no column looks like one.
        as_of: the observation's date, if a column looks like it.
        names: of the described columns in the dictionary, by their names in the table.
        columns: described columns, in the table's order.
        left_out: the others, with the reason.
        telling: described columns that tell the outcome nearly for sure. By the rows' labels: for the screen of the
            table's owner, and nothing in the dictionary goes by it.
        series: monthly series, of which history columns are proposed in place of a column for each month.
    """

    settings: dict[str, Any]
    table: str
    rows: int
    more: bool
    kind: Kind
    id: IdFound
    label: LabelFound | None
    as_of: str | None
    names: dict[str, str]
    columns: tuple[Proposal, ...]
    left_out: tuple[Proposal, ...]
    telling: tuple[str, ...] = ()
    series: tuple[MonthlySeries, ...] = ()

    @property
    def computed(self) -> int:
        """How many columns are to be computed from monthly series."""
        return sum(len(s.rules) for s in self.series)

    @property
    def features(self) -> tuple[Proposal, ...]:
        """Columns that models may use once somebody has confirmed them."""
        return tuple(c for c in self.columns if c.kind != "date")


def draft_dictionary(
    source: TableSource,
    base: Path,
    *,
    kind: Kind,
    id_column: str | None = None,
    label_column: str | None = None,
) -> Draft:
    """Look at a table and propose its dictionary.

    id_column, label_column: where a person knows them. Errors: ConfigError for a column that is not there, DataError
    where the table cannot be read.
    """
    source, settings = readable(source, base)
    looks = look_at(source, base)
    if notation := notation_of(look.texts.tolist() for look in looks if look.numeric < READ):
        settings |= notation
        written = Notation.model_validate(notation)
        looks = tuple(look.written(written) for look in looks)
    by_name = {look.name: look for look in looks}
    for wanted in filter(None, (id_column, label_column)):
        if wanted not in by_name:
            near = _near(wanted, list(by_name))
            raise ConfigError(f'the table has no column "{wanted}"; {near}')
    found_id = id_of(by_name[id_column]) if id_column else find_id(looks)
    label = (
        label_of(by_name[label_column])
        if label_column
        else find_label(looks, least=1 if kind == "bank" else SURE)
    )
    taken = {found_id.column} | ({label.column} if label else set())
    proposals = [propose(look) for look in looks if look.name not in taken]
    if label is not None and kind == "holder":
        reason = (
            "looks like an outcome, which a bank alone brings; describe it if it is known before the loan"
        )
        proposals.append(Proposal(source=label.column, left_out=reason))
    series, described = monthly([p for p in proposals if p.left_out is None])
    return Draft(
        settings=settings,
        table="the database" if source.is_database else Path(source.source).name,
        rows=looks[0].rows,
        more=looks[0].rows == MOST_ROWS,
        kind=kind,
        id=found_id,
        label=label if kind == "bank" else None,
        as_of=find_as_of(looks),
        names=_named(described),
        columns=described,
        left_out=tuple(p for p in proposals if p.left_out is not None),
        telling=_telling(described, by_name, label) if kind == "bank" else (),
        series=series,
    )


def _telling(
    described: Sequence[Proposal], looks: dict[str, Look], label: LabelFound | None
) -> tuple[str, ...]:
    """Columns that tell the outcome nearly for sure, as what is known only afterwards does.

    They stay in the draft: a dictionary is public, and a column that is missing for what labels say of it would be a
    release of labels outside all accounting. Only a person knows when a column is known.
    """
    if label is None or not label.positive:
        return ()
    outcome = outcomes(looks[label.column], label)
    features = (p.source for p in described if p.kind != "date")
    return tuple(name for name in features if foretells(looks[name], outcome) > KNOWN_LATER)


def _named(proposals: Sequence[Proposal]) -> dict[str, str]:
    """Names in the dictionary by names in the table, no two the same."""
    found: dict[str, str] = {}
    for p in proposals:
        name = names.valid_name(p.source)
        name = f"{name}_own" if name in RESERVED else name
        base, k = name, 2
        while name in found.values():
            name, k = f"{base}_{k}", k + 1
        found[p.source] = name
    return found


def _near(word: str, known: list[str]) -> str:
    near = near_name(word, known, cutoff=0.5)
    return f'did you mean "{near}"?' if near else f"it has {', '.join(known[:12])}"
