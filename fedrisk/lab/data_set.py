"""A data set of the laboratory: stated in a TOML file alone, and prepared as a folder on which ``fedrisk run`` works.

Where rows come from, which institution holds which part, what is thinned or left out: all of it stands in the file
(`fedrisk.lab.data_set_rules`). Everything that is drawn follows from the seed, so that the same file, rows and seed
give the same tables, with the same digest.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.files import write_atomic
from fedrisk.institution import find_institutions
from fedrisk.lab.data_set_file import file_of, stated_in
from fedrisk.lab.data_set_rules import SOURCES, DataSetFile
from fedrisk.lab.expected import expected_of
from fedrisk.lab.parties import PartyTable, drawn, from_institutions, from_table, with_bins
from fedrisk.lab.simulated import simulated
from fedrisk.lab.written import write_party
from fedrisk.recipes import RECIPES, find_recipe
from fedrisk.study import study_from
from fedrisk.study_file import load_study
from fedrisk.toml_file import load_toml


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A data set on the disk.

    institutions: each one's file, in the study's order. digest: SHA-256 (hex) of all tables and dictionaries, which
    names the data in results. rows: of all banks' tables together.
    """

    study: Path
    institutions: dict[str, Path]
    digest: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A data set as its file states it; ``file`` is where that lies."""

    rules: DataSetFile
    file: Path

    @property
    def name(self) -> str:
        """Its name, which the study that is written has too."""
        return self.rules.name

    @property
    def origin(self) -> str:
        """Where its rows come from: "study", "table" or "province"."""
        return next(key for key in SOURCES if getattr(self.rules, key) is not None)

    def prepare(
        self,
        folder: str | Path,
        *,
        seed: int = 1,
        institutions: int | None = None,
        bins: int | None = None,
        cache: str | Path | None = None,
    ) -> Prepared:
        """Write ``study.toml``, ``institutions/NAME.toml`` and ``data/NAME.parquet`` below ``folder``.

        seed: of everything that is drawn. institutions: only the first so many take part, in the file's order; rows
        are split, sampled and thinned before, so that a bank has the same rows whatever the number. bins: about how
        many for numbers whose edges the dictionary leaves open. cache: folder where simulated provinces are kept; by
        default ``provinces`` below ``folder``.

        ConfigError where the file asks for what is not there, or the folder has another study; DataError where a table
        breaks a rule of its dictionary, or a draw leaves a bank without defaults.
        Stores of the institutions lie below FEDRISK_HOME, as always.
        """
        folder = Path(folder)
        _refuse_other(folder, self.name)
        base, banks, parties = self._parties(Path(cache) if cache else folder / "provinces", seed)
        parties = drawn(parties, self.rules, seed)
        parties = [with_bins(p, bins) for p in self._taking_part(parties, institutions)]
        where = f"study of data set {self.name}"
        study = study_from(self._study(base, banks, parties), where=where)
        find_recipe(study.model_dump(), where=where)
        # Of an earlier preparation with more institutions.
        for stale in (folder / "institutions").glob("*.toml"):
            stale.unlink()
        about = (
            f"# Data set {self.name}: {self.rules.title}.\n# {self.rules.citation} ({self.rules.licence})\n"
        )
        recipes = tuple(r.name for r in RECIPES)
        paths = {p.name: write_party(p, folder, about, recipes, self.rules.policy) for p in parties}
        write_atomic(folder / "study.toml", (about + study.to_toml()).encode())
        return Prepared(
            study=folder / "study.toml",
            institutions=paths,
            digest=_digest(parties),
            rows=sum(len(p.table) for p in parties if p.is_bank),
        )

    def _parties(self, cache: Path, seed: int) -> tuple[dict[str, Any], tuple[str, ...], list[PartyTable]]:
        """What the study file says before anything is drawn, all banks of that, and the parties with their rows."""
        rules = self.rules
        if rules.table is not None:
            parties = from_table(rules, self.file.parent, seed)
            banks = tuple(p.name for p in parties if p.is_bank)
            by_name = {p.name: p for p in parties}
            return {}, banks, [by_name[n] for n in self._chosen(tuple(by_name), banks)]
        if rules.province is not None:
            file = simulated(rules.province, seed, cache) / "study.toml"
        else:
            file = Path(str(rules.study))
        study = load_study(file)
        names = self._chosen(study.members, study.banks)
        label = self.rules.settings.get("label", study.label)
        parties = from_institutions(find_institutions(file, names), label)
        return load_toml(file, what="study"), study.banks, parties

    def _chosen(self, members: Sequence[str], banks: Sequence[str]) -> tuple[str, ...]:
        """Members that take part, in order; ConfigError where the file asks for others, or for more banks."""
        names = self.rules.members or tuple(members)
        if strange := [n for n in names if n not in members]:
            raise ConfigError(
                f"data set {self.name}: members names {', '.join(strange)}, and there are {', '.join(members)}; "
                "correct the names"
            )
        most = None if self.rules.province is None else self.rules.province.banks
        if most is None:
            return names
        left = [n for n in names if n in banks]
        if most > len(left):
            raise ConfigError(
                f"data set {self.name}: [province] banks = {most}, and there are {len(left)}; ask for fewer, or for "
                "another profile"
            )
        return tuple(n for n in names if n not in left[most:])

    def _taking_part(self, parties: list[PartyTable], institutions: int | None) -> list[PartyTable]:
        """The first so many; ConfigError where no bank is among them, or there are not so many."""
        if institutions is None:
            return parties
        if not 1 <= institutions <= len(parties):
            raise ConfigError(
                f"data set {self.name} has {len(parties)} institutions, and {institutions} were asked for; ask for 1 "
                f"to {len(parties)}"
            )
        first = parties[:institutions]
        if not any(p.is_bank for p in first):
            raise ConfigError(
                f"data set {self.name}: no bank is among the first {institutions} institutions, and only banks have "
                "labels; ask for more, or name a bank first in members"
            )
        return first

    def _study(
        self, base: Mapping[str, Any], banks: Sequence[str], parties: Sequence[PartyTable]
    ) -> dict[str, Any]:
        """The content of the study file."""
        rules = self.rules
        names = {p.name for p in parties}
        content: dict[str, Any] = {"purpose": "credit_scoring", "privacy": {"epsilon": 1.0}, **base}
        content["name"] = rules.name
        content["institutions"] = [{"name": p.name, "role": p.institution.kind} for p in parties]
        alignment = dict(content.get("alignment", {}))
        if alignment.get("authority") not in names:
            alignment.pop("authority", None)
        if rules.table is not None and not rules.split.overlap:
            # Every enterprise is at one bank only, so that being left out could tell nothing.
            alignment["inclusion_probability"] = 1.0
        content["alignment"] = alignment
        content["expected"] = expected_of(rules, content.get("expected", {}), banks, parties)
        return _merged(content, rules.settings)


def load_data_set(name_or_path: str | Path) -> DataSet:
    """A data set by its name, from ``configs/data_sets/NAME.toml``, or by the path of its file.

    ConfigError names the file and every rule that it breaks.
    """
    file = file_of(name_or_path)
    rules = checked(DataSetFile, stated_in(file), where=f"data set {file}")
    return DataSet(rules=rules, file=file.resolve())


def _refuse_other(folder: Path, name: str) -> None:
    """ConfigError where another study lies in the folder already: engines take all files of institutions there."""
    there = folder / "study.toml"
    if there.is_file() and load_toml(there, what="study").get("name") != name:
        raise ConfigError(f"{folder} has another study; name an empty folder for data set {name}")


def _merged(content: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """One mapping over another, section by section."""
    out = dict(content)
    for key, value in more.items():
        inner = out.get(key)
        out[key] = (
            _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
        )
    return out


def _digest(parties: Sequence[PartyTable]) -> str:
    """SHA-256 of all parties: names, roles, dictionaries and rows."""
    said = []
    for p in parties:
        d = p.institution.dictionary
        said.append([p.name, p.institution.kind, None if d is None else d.stated(), p.digest])
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
