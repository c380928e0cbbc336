"""Finding and reading the file of a data set: by name or path, with what it takes over from another."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedrisk.errors import ConfigError
from fedrisk.toml_file import load_toml, near_name

FOLDER = Path("configs", "data_sets")
"""Where data sets are found by their names: below the current folder, or else beside the package."""


def data_set_names() -> tuple[str, ...]:
    """Names of the data sets that can be called by name."""
    return tuple(sorted({f.stem for folder in _folders() for f in folder.glob("*.toml")}))


def _folders() -> list[Path]:
    beside = Path(__file__).resolve().parent.parent.parent
    return [folder for folder in (Path.cwd() / FOLDER, beside / FOLDER) if folder.is_dir()]


def file_of(name_or_path: str | Path) -> Path:
    """The file of a data set by its name or path; ConfigError where there is none of that name."""
    said = str(name_or_path)
    if said.endswith(".toml") or "/" in said or isinstance(name_or_path, Path):
        return Path(name_or_path)
    for folder in _folders():
        if (folder / f"{said}.toml").is_file():
            return folder / f"{said}.toml"
    known = list(data_set_names())
    near = near_name(said, known)
    remedy = f"did you mean {near}?" if near else f"known are: {', '.join(known) or 'none'}"
    raise ConfigError(
        f"there is no data set {said}; {remedy} (a file of your own is named by its path, X.toml)"
    )


def stated_in(file: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's content with all that it takes over by ``like``, and with whole paths.

    A key that the file has itself is taken from it whole, a section too. seen: files that are like this one.
    ConfigError where they lead in a circle.
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
    beside = base / (like if like.endswith(".toml") else f"{like}.toml")
    parent = beside if beside.is_file() else file_of(like)
    if parent.resolve() in (*seen, file.resolve()):
        raise ConfigError(
            f"data set {file}: like = {like} leads back to this file; name another, or remove it"
        )
    return stated_in(parent, (*seen, file.resolve())) | content


def _dictionary(file: Path) -> Any:
    """The dictionary of a file of its own, or of an institution's file."""
    content = load_toml(file, what="dictionary")
    return content.get("dictionary", content)
