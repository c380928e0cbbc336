"""The parties of a data set with their rows in memory: made from a split table or read from institution files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.column import Column
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.dictionary_rules import ROW_NUMBER
from fedrisk.data.source import TableSource, read_header
from fedrisk.data.table import Table, read_table, table_digest
from fedrisk.errors import ConfigError, DataError
from fedrisk.institution import Institution, load_institution
from fedrisk.lab.data_set_rules import DataSetFile, Party
from fedrisk.lab.draws import dealt, dealt_unlike, kept, second, stream
from fedrisk.privacy.policy import Policy
from fedrisk.toml_file import near_name

Bools = NDArray[np.bool_]

ROW_ID = "row"
"""Name of the id column of tables whose file has none."""


@dataclass(frozen=True, kw_only=True)
class PartyTable:
    """One institution and its checked table, as they will be written."""

    institution: Institution
    table: Table

    @property
    def name(self) -> str:
        """Name of the institution."""
        return self.institution.name

    @property
    def is_bank(self) -> bool:
        """Whether it has the label."""
        return self.institution.kind == "bank"

    def at(self, rows: Bools) -> "PartyTable":
        """The same with only these rows; (n,) booleans."""
        t = self.table
        if bool(rows.all()):
            return self
        label = None if t.label is None else t.label[rows]
        weight = None if t.weight is None else t.weight[rows]
        frame = t.frame.loc[rows].reset_index(drop=True)
        return replace(
            self, table=replace(t, ids=t.ids[rows], frame=frame, label=label, weight=weight, checks=())
        )

    def without(self, ids: Sequence[str] | NDArray[np.object_]) -> "PartyTable":
        """The same without the rows of these enterprises."""
        return self.at(~np.isin(self.table.ids.astype(str), np.asarray(ids, dtype=str)))

    @property
    def digest(self) -> str:
        """SHA-256 of the rows that are left."""
        t, d = self.table, self.institution.dictionary
        if d is None:
            raise ConfigError(f"{self.name} has no [dictionary]; a data set's parties have tables")
        return table_digest(t.ids, t.frame, t.label, t.weight, d)


def from_institutions(files: Mapping[str, Path], label: str | None = None) -> list[PartyTable]:
    """Parties of a study that exists, each read by its own file and dictionary.

    label: of the banks' labels the one that the study is about (Institution.about). ConfigError or
    DataError as :meth:`fedrisk.institution.Institution.read`; ConfigError for one without a table.
    """
    out = []
    for file in files.values():
        institution = load_institution(file).about(label)
        if institution.dictionary is None:
            raise ConfigError(
                f"{institution.name} brings no table, and every party of a data set has one; leave it out of members"
            )
        out.append(PartyTable(institution=institution, table=institution.read()))
    return out


def from_table(rules: DataSetFile, base: Path, seed: int) -> list[PartyTable]:
    """One table, split among the parties of a data set by columns, rows or both.

    base: where the table's relative path begins. Errors as :func:`fedrisk.data.table.read_table`; ConfigError where
    ``left_out`` names what is no column.
    """
    source, dictionary = rules.table, rules.dictionary
    if source is None or dictionary is None:
        raise ConfigError(f"data set {rules.name} has no [table] with a dictionary; add both")
    if dictionary.computed:
        raise ConfigError(
            f"data set {rules.name}: {', '.join(dictionary.computed)} are computed from histories, and one table that "
            "is split has none; remove these columns, or take the institutions of a study"
        )
    held = {c.name for p in rules.parties for c in columns_of(p, rules)} | {
        rules.split.over,
        dictionary.as_of,
    }
    columns = tuple(c for c in dictionary.columns if c.name in held)
    if named := rules.settings.get("label"):
        dictionary = dictionary.with_label(str(named))
    dictionary = dictionary.model_copy(update={"columns": columns})
    _refuse_left_out(rules, read_header(source, base))
    whole = read_table(source, dictionary, base=base)
    banks = [p for p in rules.parties if p.role == "bank"]
    owned = (
        _by_value(banks, source, dictionary, base, whole)
        if any(p.only for p in banks)
        else _by_draw(rules, banks, whole, seed)
    )
    out = []
    for party in rules.parties:
        own = columns_of(party, rules)
        for name in party.names:
            rows = owned.get(name, np.ones(len(whole), dtype=bool))
            out.append(_party(name, party, own, dictionary, whole, rows))
    return out


def _refuse_left_out(rules: DataSetFile, header: Sequence[str]) -> None:
    """ConfigError where a column that is left out is none: the one that was meant would be used in silence."""
    described = () if rules.dictionary is None else rules.dictionary.columns
    known = list(dict.fromkeys([*(c.name for c in described), *(c.table_name for c in described), *header]))
    for name in rules.left_out:
        if name not in known:
            near = near_name(name, known)
            meant = f'did you mean "{near}"? ' if near else ""
            raise ConfigError(
                f"data set {rules.name}: [left_out] {name} is a column neither of the dictionary nor of the table; "
                f"{meant}correct the name, or remove it"
            )


def _party(
    name: str, party: Party, columns: Sequence[Column], dictionary: Dictionary, whole: Table, rows: Bools
) -> PartyTable:
    bank = party.role == "bank"
    own = dictionary.model_copy(
        update={
            "columns": tuple(columns),
            "label": dictionary.label if bank else None,
            "further_labels": (),
            "as_of": next((c.name for c in columns if c.name == dictionary.as_of), None),
        }
    )
    table = replace(
        whole,
        frame=whole.frame[[c.name for c in columns]],
        label=whole.label if bank else None,
        weight=whole.weight if bank else None,
    )
    institution = Institution(
        name=name,
        kind=party.role,
        table=TableSource(source=f"{name}.parquet"),
        dictionary=own,
        policy=Policy(scores="points", score_themes=True, score_values=1 << 16),
    )
    return PartyTable(institution=institution, table=table).at(rows)


def columns_of(party: Party, rules: DataSetFile) -> list[Column]:
    """The columns that a party of a table holds, in the dictionary's order."""
    if rules.dictionary is None:
        return []
    taken = {c for p in rules.parties if p.role != "bank" for c in p.columns or ()}
    return [
        c
        for c in rules.dictionary.columns
        if c.name not in rules.left_out
        and c.table_name not in rules.left_out
        and (c.name in party.columns if party.columns else c.name not in taken)
    ]


def _by_value(
    banks: Sequence[Party], source: TableSource, dictionary: Dictionary, base: Path, whole: Table
) -> dict[str, Bools]:
    """Rows of each bank by the values that its ``only`` lists."""
    bare = dictionary.model_copy(update={"columns": (), "as_of": None})
    owned = {}
    for party in banks:
        part = source.model_copy(update={"only": {**source.only, **party.only}})
        try:
            ids = read_table(part, bare, base=base).ids
        except DataError as error:
            raise DataError(f"bank {party.name}, only: {error}") from None
        owned[party.name] = np.isin(whole.ids.astype(str), ids.astype(str))
    return owned


def _by_draw(rules: DataSetFile, banks: Sequence[Party], whole: Table, seed: int) -> dict[str, Bools]:
    """Rows of each bank by its share, or by shares drawn for each group of rows; some at a second bank too."""
    names = [name for p in banks for name in p.names]
    weights = [p.share or 1.0 for p in banks for _ in p.names]
    split, n = rules.split, len(whole)
    rng = stream(seed, "rows to banks")
    if split.kind == "dirichlet" and split.alpha is not None:
        owner = dealt_unlike(_groups(split.over, whole), weights, split.alpha, rng)
    else:
        owner = dealt(n, weights, rng)
    also = np.full(n, -1)
    if split.overlap:
        also = second(owner, len(names), split.overlap, stream(seed, "customers of two banks"))
    return {name: (owner == k) | (also == k) for k, name in enumerate(names)}


def _groups(over: str | None, whole: Table) -> NDArray[np.int64]:
    """(n,) numbers of the groups of rows, in the order of their values; those without a value are one more."""
    if over is None:
        return np.zeros(len(whole), dtype=np.int64)
    values = pd.Series(whole.label) if over == "label" else whole.frame[over]
    codes, _ = pd.factorize(values, sort=True, use_na_sentinel=True)
    return np.asarray(codes, dtype=np.int64)


def drawn(parties: Sequence[PartyTable], rules: DataSetFile, seed: int) -> list[PartyTable]:
    """The parties after enterprises were sampled and thinned, and holders forgot those that they do not know.

    An enterprise that is dropped is dropped everywhere; one with a default at any bank counts as positive. DataError
    where there are fewer enterprises, positives or negatives than the file asks for, or a bank is left without either.
    """
    ids, positive, labelled = _enterprises(parties)
    stay = np.ones(len(ids), dtype=bool)
    if rules.sample is not None:
        what = f"{rules.name}: [sample] enterprises"
        stay = labelled & _some(stay, labelled, rules.sample.enterprises, "sampled rows", what, seed)
    if rules.thin is not None:
        for key, of_kind in (("positives", positive), ("negatives", labelled & ~positive)):
            number = getattr(rules.thin, key)
            if number is not None:
                stay = _some(stay, of_kind, number, key, f"{rules.name}: [thin] {key}", seed)
    left = [p.without(ids[~stay]) for p in parties] if not stay.all() else list(parties)
    strange = sorted(set(rules.knows) - {p.name for p in parties if not p.is_bank})
    if strange:
        raise ConfigError(
            f"data set {rules.name}: [knows] {', '.join(strange)} is no holder of it; correct the name"
        )
    for p in left:
        _refuse_one_class(p, rules.name)
    known = [_knowing(p, rules.knows.get(p.name), seed) for p in left]
    for p in known:
        if not len(p.table):
            raise DataError(
                f"data set {rules.name}: {p.name} is left without a row; raise its share in [knows], or the numbers of "
                "[thin] and [sample]"
            )
    return known


def _refuse_one_class(party: PartyTable, data_set: str) -> None:
    """DataError where no model could be trained on a bank's rows."""
    label = party.table.label
    if party.is_bank and label is not None and not ((label > 0).any() and (label < 1).any()):
        raise DataError(
            f"data set {data_set}: bank {party.name} gets no row with a default, or none without; raise its share, "
            "alpha, or the numbers of [thin] and [sample], or take another seed"
        )


def _some(stay: Bools, among: Bools, number: int, purpose: str, what: str, seed: int) -> Bools:
    """Of the rows of a kind that are still there, exactly so many."""
    rows = np.flatnonzero(stay & among)
    if len(rows) < number:
        raise DataError(f"data set {what} = {number} is more than there are; ask for fewer")
    out = stay.copy()
    out[rows] = kept(len(rows), number, stream(seed, purpose))
    return out


def _enterprises(parties: Sequence[PartyTable]) -> tuple[NDArray[np.object_], Bools, Bools]:
    """Ids of all customers of banks in rising order; of each, whether any bank saw a default, and any a label."""
    banks = [p.table for p in parties if p.is_bank]
    label = pd.concat([pd.Series(t.label, pd.Index(t.ids)) for t in banks if t.label is not None])
    most = label.groupby(level=0).max().sort_index()
    return (
        most.index.to_numpy(dtype=object),
        (most >= 0.5).to_numpy(dtype=bool),
        most.notna().to_numpy(dtype=bool),
    )


def _knowing(party: PartyTable, share: float | None, seed: int) -> PartyTable:
    if share is None:
        return party
    n = len(party.table)
    return party.at(kept(n, round(share * n), stream(seed, f"known to {party.name}")))


def with_bins(party: PartyTable, bins: int | None) -> PartyTable:
    """The same, with ``bins`` bins for numbers whose edges are not stated."""
    d = party.institution.dictionary
    if bins is None or d is None:
        return party
    columns = tuple(
        c.model_copy(update={"bin_count": bins}) if c.feature and c.kind == "number" and c.bins is None else c
        for c in d.columns
    )
    changed = d.model_copy(update={"columns": columns})
    return replace(party, institution=party.institution.model_copy(update={"dictionary": changed}))


def row_ids(dictionary: Dictionary) -> str:
    """Name of the id column of a written table."""
    return ROW_ID if dictionary.id == ROW_NUMBER else dictionary.id
