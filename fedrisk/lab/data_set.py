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
from fedrisk.files import write_atomic
from fedrisk.institution import find_institutions
from fedrisk.lab.data_set_rules import DataSetFile
from fedrisk.lab.expected import expected_of
from fedrisk.lab.parties import PartyTable, drawn, from_institutions, from_table, with_bins
from fedrisk.lab.simulated import simulated
from fedrisk.lab.written import write_party
from fedrisk.recipes import RECIPES, study_from
from fedrisk.study import checked, load_study
from fedrisk.toml_file import load_toml, near_name

FOLDER = Path("configs", "data_sets")
"""Where data sets are found by their names: below the current folder, or else beside the package."""


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

        ConfigError where the file asks for what is not there; DataError where a table breaks a rule of its dictionary.
        Stores of the institutions lie below FEDRISK_HOME, as always.
        """
        folder = Path(folder)
        base, parties = self._parties(Path(cache) if cache else folder / "provinces", seed)
        whole = [p.name for p in parties]
        parties = drawn(parties, self.rules, seed)
        parties = [with_bins(p, bins) for p in self._taking_part(parties, institutions)]
        content = self._study(base, parties, whole)
        study = study_from(content, where=f"study of data set {self.name}")
        folder.mkdir(parents=True, exist_ok=True)
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

    def _parties(self, cache: Path, seed: int) -> tuple[dict[str, Any], list[PartyTable]]:
        """What the study file says before anything is drawn, and all parties with their rows."""
        rules = self.rules
        if rules.table is not None:
            return {}, self._ordered(from_table(rules, self.file.parent, seed))
        if rules.province is not None:
            file = simulated(rules.province, seed, cache) / "study.toml"
        else:
            file = self.file.parent / str(rules.study)
        study = load_study(file)
        names = self._chosen(study.members, study.banks)
        parties = from_institutions(find_institutions(file, names))
        return load_toml(file, what="study"), parties

    def _chosen(self, members: Sequence[str], banks: Sequence[str]) -> tuple[str, ...]:
        """Members of an existing study that take part, in order."""
        names = self.rules.members or tuple(members)
        if strange := [n for n in names if n not in members]:
            raise ConfigError(
                f"data set {self.name}: members names {', '.join(strange)}, which the study does not have; it has "
                f"{', '.join(members)}"
            )
        if self.rules.province is not None and self.rules.province.banks is not None:
            left = [n for n in names if n in banks]
            if self.rules.province.banks > len(left):
                raise ConfigError(
                    f"data set {self.name}: [province] banks = {self.rules.province.banks}, and there are {len(left)}; "
                    "ask for fewer, or for another profile"
                )
            gone = set(left[self.rules.province.banks :])
            names = tuple(n for n in names if n not in gone)
        return names

    def _ordered(self, parties: list[PartyTable]) -> list[PartyTable]:
        """The parties of a table in the order of members, where that is given."""
        if self.rules.members is None:
            return parties
        by_name = {p.name: p for p in parties}
        return [by_name[n] for n in self._chosen(list(by_name), ())]

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
        self, base: Mapping[str, Any], parties: Sequence[PartyTable], whole: Sequence[str]
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
        content["expected"] = expected_of(rules, content.get("expected", {}), parties, whole)
        return _merged(content, rules.settings)


def load_data_set(name_or_path: str | Path) -> DataSet:
    """A data set by its name, from ``configs/data_sets/NAME.toml``, or by the path of its file.

    ConfigError names the file and every rule that it breaks.
    """
    file = _file_of(name_or_path)
    content = _with_parent(file, seen=())
    rules = checked(DataSetFile, content, where=f"data set {file}")
    return DataSet(rules=rules, file=file.resolve())


def data_set_names() -> tuple[str, ...]:
    """Names of the data sets that can be called by name."""
    return tuple(sorted({f.stem for folder in _folders() for f in folder.glob("*.toml")}))


def _folders() -> list[Path]:
    beside = Path(__file__).resolve().parent.parent.parent
    return [folder for folder in (Path.cwd() / FOLDER, beside / FOLDER) if folder.is_dir()]


def _file_of(name_or_path: str | Path) -> Path:
    said = str(name_or_path)
    if said.endswith(".toml") or "/" in said or isinstance(name_or_path, Path):
        return Path(name_or_path)
    for folder in _folders():
        if (folder / f"{said}.toml").is_file():
            return folder / f"{said}.toml"
    known = list(data_set_names())
    near = near_name(said, known)
    remedy = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
    raise ConfigError(
        f"there is no data set {said}; {remedy} A file of your own is named by its path, NAME.toml"
    )


def _with_parent(file: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """The file's content with all that it takes over by ``like``, and with whole paths.

    ConfigError where a file is like itself by a circle.
    """
    content = dict(load_toml(file, what="data set"))
    base = file.resolve().parent
    if isinstance(content.get("study"), str):
        content["study"] = str(base / content["study"])
    table = content.get("table")
    if isinstance(table, Mapping) and isinstance(source := table.get("source"), str):
        whole = source if source.startswith("$") or "://" in source else str(base / Path(source).expanduser())
        content["table"] = {**table, "source": whole}
    if isinstance(content.get("dictionary"), str):
        content["dictionary"] = _dictionary(base / content["dictionary"])
    like = content.pop("like", None)
    if not isinstance(like, str):
        return content if like is None else {**content, "like": like}
    parent = base / f"{like}.toml" if (base / f"{like}.toml").is_file() else _file_of(like)
    if parent.resolve() in (*seen, file.resolve()):
        raise ConfigError(
            f"data set {file}: like = {like} leads back to this file; name another, or remove it"
        )
    return {**_with_parent(parent, (*seen, file.resolve())), **content}


def _dictionary(file: Path) -> Any:
    """The dictionary of a file of its own, or of an institution's file."""
    content = load_toml(file, what="dictionary")
    return content.get("dictionary", content)


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
