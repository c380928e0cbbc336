"""Whose columns a question is about: banks together, one bank, a data holder, or offices of one kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from fedrisk.data.column import Column
from fedrisk.data.dictionary import Dictionary
from fedrisk.errors import ConfigError
from fedrisk.recipes.statistics.question import Named, Question
from fedrisk.recipes.statistics.settings import LevelRule, Short
from fedrisk.study_members import BANK, Role
from fedrisk.study_sections import Settings
from fedrisk.toml_file import near_name


class Extras(Settings):
    """What a question may name besides columns; the sections of a study of the same names.

    offices: institutions of one kind by the name under which their columns stand. levels: coarser levels of a column's
    categories, such as prefectures of counties.
    """

    offices: Mapping[Short, tuple[str, ...]] = Field(default_factory=dict)
    levels: Mapping[Short, LevelRule] = Field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Known:
    """A possible member: its role, and its dictionary (None where it brings no table)."""

    role: Role
    dictionary: Dictionary | None


class Owners:
    """Owners of columns among the institutions that are known, and the columns that all of an owner's have."""

    def __init__(self, question: Question, known: Mapping[str, Known], extras: Extras) -> None:
        self._known, self._said = known, question.owner
        banks = [name for name, k in known.items() if k.role == BANK]
        self._bank = _bank_itself(question, [b for b in banks if b not in extras.offices])
        self.institutions: dict[str, list[str]] = {
            **({BANK: [self._bank] if self._bank else banks} if banks else {}),
            **{name: [name] for name, k in known.items() if k.dictionary is not None and k.role != BANK},
            **{name: list(members) for name, members in extras.offices.items()},
        }

    def owner(self, said: str) -> str:
        """The name under which an owner's columns stand in a study; ConfigError where nobody is called so."""
        if said == self._bank:
            return BANK
        if said in self.institutions:
            return said
        near = near_name(said, list(self.institutions))
        meant = (
            f"; did you mean {near}?" if near else " (offices of one kind are named in a file, see --levels)"
        )
        raise ConfigError(
            f"nobody is called {said}; columns are those of {', '.join(self.institutions) or 'nobody'}{meant}"
        )

    def default(self) -> str:
        """The owner of whom enterprises are counted where no column is named."""
        if self._said is not None:
            return self.owner(self._said)
        if len(self.institutions) == 1:
            return next(iter(self.institutions))
        raise ConfigError(f"whose enterprises? Say FROM one of {', '.join(self.institutions)}")

    def members(self, owners: Sequence[str]) -> list[str]:
        """The institutions of some owners, in the order in which they are known; ConfigError where one is not."""
        asked = {name for said in owners for name in self.institutions[self.owner(said)]}
        if unknown := sorted(asked - set(self._known)):
            raise ConfigError(
                f"there is no institution file of {', '.join(unknown)}; it is named among offices"
            )
        return [name for name in self._known if name in asked]

    def columns(self, owner: str) -> dict[str, Column]:
        """Columns that all institutions of an owner have, by name; dates are none of them."""
        found: list[dict[str, Column]] = []
        for name in self.institutions[owner]:
            dictionary = self._known[name].dictionary if name in self._known else None
            columns = () if dictionary is None else dictionary.columns
            found.append({c.name: c for c in columns if c.kind != "date"})
        return {n: c for n, c in found[0].items() if all(n in f for f in found)} if found else {}

    def find(self, named: Named) -> tuple[str, Column]:
        """Owner and column; where no owner is said, the only one who has such a column. ConfigError."""
        said = named.owner or self._said
        if said is not None:
            owner = self.owner(said)
            columns = self.columns(owner)
            if named.column not in columns:
                raise ConfigError(
                    f"{owner} has no column {named.column}{_meant(named.column, list(columns))}"
                )
            return owner, columns[named.column]
        found = {owner: self.columns(owner) for owner in self.institutions}
        with_it = [owner for owner, columns in found.items() if named.column in columns]
        if len(with_it) == 1:
            return with_it[0], found[with_it[0]][named.column]
        if not with_it:
            every = sorted({c for columns in found.values() for c in columns})
            raise ConfigError(f"nobody has a column {named.column}{_meant(named.column, every)}")
        raise ConfigError(
            f"{', '.join(with_it)} have a column {named.column} each; say whose, as {with_it[0]}.{named.column}"
        )

    def has(self, named: Named) -> bool:
        """Whether a column of that name is the owner's whom it, or the question, names; or anybody's."""
        said = named.owner or self._said
        owners = list(self.institutions) if said is None else [self.owner(said)]
        return any(named.column in self.columns(owner) for owner in owners)


def _bank_itself(question: Question, banks: Sequence[str]) -> str | None:
    """A bank that is named itself is the only bank of the study; ConfigError where two are."""
    columns = [*question.by, *(only.column for only in question.only)]
    columns += [term.column for term in question.terms if term.column is not None]
    said = {question.owner, *(c.owner for c in columns)}
    named = [bank for bank in banks if bank in said]
    if len(named) > 1:
        raise ConfigError(
            f"{' and '.join(named)} are banks, and banks are asked together: say bank.column, and all banks "
            "are meant"
        )
    return named[0] if named else None


def _meant(name: str, known: Sequence[str]) -> str:
    near = near_name(name, list(known))
    if near:
        return f"; did you mean {near}?"
    return f" (there are {', '.join(known[:12])}{' ...' if len(known) > 12 else ''})"
