"""One small study, run again and again with other records of two enterprises, on one transcript.

The enterprises are one that is trained on and one that is held out (or, in statistics without alignment, one that is
counted), at one institution with a list, known to all data holders. What changes between two runs is the record of an
enterprise at one institution, and nothing else: keys, pseudonyms and draws are those of the stores, which are put back
as they were before each run.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.attacks.audit_rows import Row, crafted, values_of, with_record, worst_rows
from fedrisk.attacks.audit_settings import Setting
from fedrisk.attacks.consortium import Run
from fedrisk.attacks.exact_parts import Heard, Listener, hearing
from fedrisk.errors import DataError, ProtocolError
from fedrisk.recipes.scorecard.fitting import Facts


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One run. rows: by institution, the record that the enterprises have there; None where it is gone."""

    rows: Mapping[str, Row | None]
    heard: Heard


class Trial:
    """A setting, its first run, and further ones that repeat it with other records.

    host: the institution on whose list the enterprises are. ids: theirs, the one that is trained on first. copies: how
    many ids an enterprise has, with as many records that are alike; more than one is for a control.
    """

    def __init__(self, setting: Setting, folder: Path, seed: int, copies: int = 1) -> None:
        self.setting, self.seed, self._copies = setting, seed, copies
        self.made = setting.make(folder / "made", seed)
        self.runs: list[Tried] = []
        self._kept, self._orders = folder / "kept", dict[str, Any]()
        self._earlier: tuple[Run, Heard] | None = None
        earlier = setting.earlier(self.made)
        if earlier is not None:
            with hearing() as before:
                self._earlier = self.made.run(earlier, wire=False, own=False), before
        with hearing() as self.base:
            self.run: Run = self.made.run(wire=False, change=self._look, own=False)
        shutil.copytree(self.made.folder, self._kept)
        self.host, self.ids = self._subjects()

    @property
    def parties(self) -> tuple[str, ...]:
        """Institutions whose records are changed: the host, and the data holders beside it."""
        return (self.host, *[h for h in self.run.study.holders if h != self.host and h not in self._lists])

    def again(self, rows: Mapping[str, Row | None], listener: Listener | None = None) -> Heard:
        """Run once more on the same transcript, with other records of the enterprises at some institutions.

        ProtocolError where what all members are told is not the same then: the runs could not be compared.
        """
        shutil.rmtree(self.made.folder)
        shutil.copytree(self._kept, self.made.folder)
        for name, row in rows.items():
            for id in self.ids:
                with_record(self.made, name, id, row)
        if self.setting.null == "no_label" and not has_label(rows.get(self.host)):
            # All are told how many labels there are: enterprises that are not used get those that are taken away.
            for id in self._spare():
                with_record(self.made, self.host, id, {"bad": 0.0})
        if self._earlier is not None:
            self._repeated(*self._earlier)
        return self._repeated(self.run, self.base, listener)

    def _repeated(self, run: Run, base: Heard, listener: Listener | None = None) -> Heard:
        """One study once more, with the tables as they are now."""
        with same_facts(facts_of(run)), hearing(base, listener) as heard:
            again = self.made.run(run.study, wire=False, own=False)
        differ = [name for name, digest in told(run).items() if told(again).get(name) != digest]
        if differ:
            raise ProtocolError(
                f"setting {self.setting.name}: with another record members are told another {differ[0]} than before"
            )
        return heard

    def tried(self, rows: Mapping[str, Row | None]) -> Tried:
        """The same, kept among the runs."""
        found = Tried(rows=dict(rows), heard=self.again(rows))
        self.runs.append(found)
        return found

    def variants(self, name: str, count: int) -> list[Row]:
        """Records that are tried at an institution, those that released numbers single out first."""
        values, rng = values_of(self.made.content[name]), np.random.default_rng([self.seed, len(name)])
        rows = [*worst_rows(self.run, name, values), *islice(crafted(values, rng), count)][:count]
        return [self.labelled(name, row) for row in rows]

    def labelled(self, name: str, row: Row) -> Row:
        """A record with a default of full weight, at a bank; elsewhere as it is."""
        return {**row, "bad": 1.0, "weight": 1.0} if name in self.run.study.banks else row

    @property
    def null(self) -> Row | None:
        """A record that contributes nothing; None: the enterprise is on no list."""
        if self.setting.null == "no_label":
            return {"bad": np.nan}
        if self.setting.null == "no_months":
            return dict.fromkeys(values_of(self.made.content[self.host]), np.nan)
        return None

    def _spare(self) -> list[str]:
        """As many enterprises of the host without a label, which contribute nowhere."""
        table, rows = self.made.tables[self.host], self._lists[self.host]
        unused = set(self._orders[self.host][rows.rows[rows.use == UNUSED]])
        found = sorted(id for id in table["id"][table["bad"].isna()] if id in unused)[: len(self.ids)]
        if len(found) < len(self.ids):
            raise DataError("the small study has no enterprise without a label that is not used")
        return [str(id) for id in found]

    @property
    def _lists(self) -> Mapping[str, Any]:
        return self.run.roster.lists

    def _look(self, record: Any, step: Any) -> None:
        """Whose row is at which place, as each institution keeps it while the study runs."""
        if step.action != "edges":
            return
        for name, node in self.made.nodes.items():
            if name in step.sent and name in self.made.tables:
                ids = node.institution.read().ids
                self._orders[name] = ids[node.store.attempt(record.attempt).row_order(len(ids))]

    def _subjects(self) -> tuple[str, tuple[str, ...]]:
        """An institution with enterprises that no other list has and every data holder knows."""
        if not self._lists:
            name = (*self.run.study.banks, *self.run.study.holders)[0]
            return name, (str(self._only_at(name, ())[0]),)
        # Where all rows are counted alike, one enterprise: two would be twice the change.
        alike = any(release.population == "all" for release in self.base.releases.values())
        for name, rows in self._lists.items():
            fits = self._only_at(name, [h for h in self.run.study.holders if h not in self._lists])
            found = []
            for use in (TRAINING,) if alike else (TRAINING, HOLD_OUT):
                ids = set(self._orders[name][rows.rows[rows.use == use]])
                found += [str(id) for id in fits if id in ids][: self._copies]
            if found:
                return name, tuple(found)
        raise DataError("no enterprise of the small study is on one list alone and known to all data holders")

    def _only_at(self, name: str, known_to: Sequence[str]) -> list[Any]:
        """Enterprises of one institution that no other one with a list has and that these know, in a fixed order."""
        tables = {n: set(t["id"]) for n, t in self.made.tables.items()}
        others = [tables[n] for n in (self._lists or tables) if n != name]
        there = tables[name].difference(*others).intersection(*(tables[n] for n in known_to))
        return sorted(there)


def has_label(row: Row | None) -> bool:
    """Whether a bank's record has a label."""
    return row is not None and row.get("bad") == row.get("bad")


@contextmanager
def same_facts(facts: tuple[int, int, int]) -> Iterator[None]:
    """Scorecards go by these numbers of rows, whoever is on the lists: they are public, and no price is for them."""

    def of(
        cls: type,
        study: Any,
        plan: Any,
        statements: Any,
        training: int,
        sampled: int,
        labelled: int,
        *rest: Any,
    ) -> Any:
        return before(study, plan, statements, *facts, *rest)

    before = Facts.of
    with patch.object(Facts, "of", classmethod(of)):
        yield


def facts_of(run: Run) -> tuple[int, int, int]:
    """Rows in training, in the sample and with a label, of all lists together, as all are told."""
    roster = run.roster
    training, sampled, labelled = (
        sum(counts.values()) for counts in (roster.training, roster.sampled, roster.labelled)
    )
    return training, sampled, labelled


def told(run: Run) -> dict[str, str]:
    """Digest of each part of the common view that follows from what was released."""
    parts = run.exchange._parts
    return {p.name: p.content.digest() for p in parts if p.name not in ("members", "order")}
