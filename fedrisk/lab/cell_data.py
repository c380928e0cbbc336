"""The rows of a cell: its data set as prepared once for all cells that have the same, and the study on it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.files import locked, make_folders, write_atomic
from fedrisk.lab.cell import Cell
from fedrisk.lab.data_set import Prepared, load_data_set
from fedrisk.recipes import RECIPES, find_recipe
from fedrisk.study import Study
from fedrisk.toml_file import load_toml


def prepared(cell: Cell, entry: str, work: Path) -> Prepared:
    """The cell's data set below ``work/data``, made by the first process that needs it; others wait.

    entry: name or path of the data set. Errors as in ``DataSet.prepare``.
    """
    folder = work / "data" / _key(cell)
    about = folder / "prepared.json"
    make_folders(folder)
    with locked(folder.with_suffix(".lock")):
        if not about.exists():
            found = load_data_set(entry).prepare(
                folder,
                seed=cell.seed,
                institutions=cell.institutions,
                bins=cell.bins,
                cache=work / "provinces",
            )
            write_atomic(about, json.dumps(asdict(found), default=str).encode())
    content = json.loads(about.read_bytes())
    return Prepared(
        study=Path(content["study"]),
        institutions={name: Path(file) for name, file in content["institutions"].items()},
        digest=content["digest"],
        rows=content["rows"],
    )


def _key(cell: Cell) -> str:
    text = json.dumps([cell.data_set, cell.seed, cell.institutions, cell.bins])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def study_of(cell: Cell, data: Prepared) -> Study:
    """The cell's study: that of the data set, with the cell's recipe, epsilon, seed and settings.

    Where the recipe takes no data holders and the data set has some, its banks alone take part. ConfigError lists the
    rules that it breaks.
    """
    where = f"study of data set {cell.data_set} with recipe {cell.recipe}"
    content = load_toml(data.study, what="study")
    for other in RECIPES:
        if other.name != cell.recipe:
            content.pop(other.name, None)
    keys = {
        "recipe": cell.recipe,
        "privacy.epsilon": cell.epsilon,
        "holdout.seed": cell.seed,
        **cell.settings,
    }
    for key, value in keys.items():
        _put(content, key, value, where)
    try:
        return find_recipe(content, where=where)[0]
    except ConfigError as error:
        alone = _banks_alone(content)
        if alone is None:
            raise
        try:
            return find_recipe(alone, where=where)[0]
        except ConfigError:
            raise error from None


def _banks_alone(content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The study without its data holders; None where there are none, or no bank is left."""
    members = content["institutions"]
    banks = [m for m in members if m["role"] == "bank"]
    if not banks or len(banks) == len(members):
        return None
    alignment = dict(content.get("alignment", {}))
    if alignment.get("authority") not in [m["name"] for m in banks]:
        alignment["authority"] = banks[0]["name"]
    return {**content, "institutions": banks, "alignment": alignment}


def _put(content: dict[str, Any], key: str, value: Any, where: str) -> None:
    table = content
    *sections, last = key.split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {section} is no section, and {key} cannot be set in it")
    table[last] = value
