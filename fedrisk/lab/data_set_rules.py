"""What the file of a data set may say: where the rows come from, who holds which part of them, and what is left out."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from fedrisk.data.dictionary import Dictionary
from fedrisk.data.source import TableSource
from fedrisk.data.text import Value
from fedrisk.study_sections import Expected, Name, Settings

Share = Annotated[float, Field(gt=0, le=1)]


class Party(Settings):
    """One institution of a table that is split, or ``count`` alike: NAME_1, NAME_2 and so on.

    columns: those it holds, by their names in the dictionary. All banks hold the same; where they name none, they hold
    what no other party does. share: of the rows, at a bank, as weights against those of the other banks. only: at a
    bank, the rows whose columns have these values, as in an institution's ``[table.only]``. enterprises: at a bank with
    ``only``, about how many these are, by what is published.
    """

    name: Name
    role: Literal["bank", "holder", "guarantor", "bureau"]
    count: Annotated[int, Field(ge=2, le=64)] | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    share: Annotated[float, Field(gt=0, le=1e9)] | None = None
    only: dict[str, Value | list[Value]] = Field(default_factory=dict)
    enterprises: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _by_role(self) -> "Party":
        if self.role != "bank":
            stray = [k for k in ("share", "only", "enterprises") if getattr(self, k)]
            if stray:
                raise ValueError(
                    f"{stray[0]} is for banks, among whom rows are split; say what a holder knows in [knows]"
                )
            if self.columns is None:
                raise ValueError(f"{self.name} is a {self.role}; name its columns")
        if self.only and (self.share is not None or self.count is not None):
            raise ValueError("only says which rows these are; leave share and count out")
        if self.enterprises is not None and not self.only:
            raise ValueError("enterprises goes with only; without it, the number follows from share")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the institutions that it stands for."""
        return (
            (self.name,) if self.count is None else tuple(f"{self.name}_{k + 1}" for k in range(self.count))
        )


class Split(Settings):
    """How rows are given to banks that do not say ``only``.

    kind: ``shares`` gives every bank its share of rows, drawn at random. ``dirichlet`` draws for each value of the
    column ``over`` (``label`` for the label; without it for all rows together, so that only sizes differ) what share of
    its rows each bank gets, from a Dirichlet distribution: the smaller ``alpha``, the less alike the banks (Hsu, Qi &
    Brown 2019; Li et al. 2022). overlap: share of enterprises that are customers of a second bank as well.
    """

    kind: Literal["shares", "dirichlet"] = "shares"
    over: str | None = None
    alpha: Annotated[float, Field(gt=0, le=1e9)] | None = None
    overlap: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _of_kind(self) -> "Split":
        if self.kind == "shares" and (self.over is not None or self.alpha is not None):
            raise ValueError('over and alpha are for kind = "dirichlet"; remove them, or write the kind')
        if self.kind == "dirichlet" and self.alpha is None:
            raise ValueError('kind = "dirichlet" needs alpha; 0.5 makes banks unlike, 100 nearly alike')
        return self


class Thin(Settings):
    """How many enterprises with a default are kept, and how many without one; all where a number is not said."""

    positives: Annotated[int, Field(gt=0)] | None = None
    negatives: Annotated[int, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _some(self) -> "Thin":
        if self.positives is None and self.negatives is None:
            raise ValueError("needs positives, negatives or both; or remove the section")
        return self


class Sample(Settings):
    """How many of the banks' enterprises are drawn, before any are thinned."""

    enterprises: Annotated[int, Field(gt=0)]


class Province(Settings):
    """A province that is simulated (``python -m sim_institutions``) under the seed of `prepare`.

    banks: how many of its banks take part, in its order; all without it.
    """

    enterprises: Annotated[int, Field(gt=0)]
    profile: str = "demo"
    banks: Annotated[int, Field(ge=1)] | None = None


SOURCES = ("study", "table", "province")


class DataSetFile(Settings):
    """The file of one data set; `docs/data-sets.md` has an example of each kind.

    Rows come from one of three places: the institutions of an existing ``study`` file, which have their tables and
    dictionaries already; a ``table``, which is split among ``parties`` by rows, columns or both; or a simulated
    ``province``. ``like`` names another data set whose keys hold where this file has none.

    members: which institutions take part, in an order that matters where only the first few do. left_out: columns that
    no party holds, with the reason, such as that they are known only after the outcome. expected: default rate and
    number of enterprises as they are published, never counted from the rows; of the whole table, before it is sampled
    or thinned. knows: by holder, the share of the enterprises in its table that it still knows. settings: further keys
    of the study file, as ``[settings.alignment]``. policy: further rules of every institution.
    """

    name: Name
    title: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(min_length=1)]
    citation: Annotated[str, Field(min_length=1)]
    like: str | None = None
    study: str | None = None
    table: TableSource | None = None
    province: Province | None = None
    dictionary: Dictionary | None = None
    parties: tuple[Party, ...] = ()
    split: Split = Split()
    members: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    left_out: Mapping[str, str] = Field(default_factory=dict)
    expected: Expected | None = None
    sample: Sample | None = None
    thin: Thin | None = None
    knows: Mapping[Name, Share] = Field(default_factory=dict)
    settings: Mapping[str, Any] = Field(default_factory=dict)
    policy: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _own_keys(self) -> "DataSetFile":
        if own := [k for k in ("name", "institutions") if k in self.settings]:
            raise ValueError(
                f"settings sets {own[0]}, which follows from this file's name and parties; remove it"
            )
        return self

    @model_validator(mode="after")
    def _one_source(self) -> "DataSetFile":
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"rows come from one of study, [table] and [province], and {' and '.join(given) or 'none'} is given; "
                "give one"
            )
        if self.table is None:
            stray = [k for k in ("dictionary", "parties", "left_out") if getattr(self, k)]
            stray += ["split"] * (self.split != Split())
            if stray:
                raise ValueError(
                    f"{stray[0]} goes with [table]; the institutions of a {given[0]} have their own columns and rows"
                )
            return self
        problems = self._table_problems(self.table)
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _table_problems(self, table: TableSource) -> list[str]:
        found = []
        if self.dictionary is None:
            found.append(
                "[table] needs a dictionary: [[dictionary.columns]], or dictionary = a TOML file that has one"
            )
        elif self.dictionary.label is None:
            found.append("[dictionary.label] is missing: which column says default, and over what horizon")
        expected = self.expected
        if expected is None or expected.default_rate is None or expected.enterprises is None:
            found.append("[expected] default_rate and enterprises are missing; say what is published of both")
        return found + self._party_problems()

    def _party_problems(self) -> list[str]:
        names = [name for p in self.parties for name in p.names]
        banks = [p for p in self.parties if p.role == "bank"]
        found = []
        if twice := sorted({n for n in names if names.count(n) > 1}):
            found.append(f"[[parties]] {', '.join(twice)} is listed more than once; names are unique")
        if not banks:
            found.append('[[parties]] has no bank; add one with role = "bank", which has the label')
        if len({p.columns for p in banks}) > 1:
            found.append("[[parties]] banks hold the same columns; name the same for all, or none")
        if 0 < sum(bool(p.only) for p in banks) < len(banks):
            found.append("[[parties]] only is for all banks or for none; say which rows each one has")
        if self.split != Split() and (sum(len(p.names) for p in banks) < 2 or any(p.only for p in banks)):
            found.append("[split] is for several banks without only; remove it")
        return found + self._column_problems()

    def _column_problems(self) -> list[str]:
        if self.dictionary is None:
            return []
        known = {c.name: c.kind for c in self.dictionary.columns}
        tabled = {c.table_name: c.name for c in self.dictionary.columns}
        found = []
        for p in self.parties:
            strange = [c for c in p.columns or () if c not in known]
            found += [f'[[parties]] "{p.name}": column {c} is not in the dictionary' for c in strange]
        held = {c for p in self.parties for c in p.columns or ()}
        out = {tabled.get(c, c) for c in self.left_out}
        found += [
            f"[left_out] {c} is held by a party; remove it from one of them" for c in sorted(out & held)
        ]
        if all(p.columns is not None for p in self.parties):
            found += [
                f"column {c} is held by nobody; give it to a party, or say in [left_out] why"
                for c in sorted(known.keys() - held - out)
            ]
        over = self.split.over
        if over is not None and over != "label" and known.get(over) not in ("category", "flag"):
            found.append(
                f"[split] over = {over} is no category or flag of the dictionary; name one, or label"
            )
        return found
