"""An institution's own file: its name, where its table lies, what the columns are, what it allows.

The file stays on the institution's machine. ``${NAME}`` in a path stands for an environment variable. The
node keeps its keys, ledger and pseudonyms in ``store``; by default that is ``institutions/NAME`` below the
folder that FEDRISK_HOME names (default ``~/.fedrisk``).
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from fedrisk.dictionary import Dictionary
from fedrisk.errors import ConfigError
from fedrisk.privacy.policy import Policy
from fedrisk.study import Name, checked, load_toml
from fedrisk.table import Table, read_table
from fedrisk.table_source import TableSource


class Institution(BaseModel):
    """One institution as its own machine knows it; ``folder`` is where its file lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Literal["bank", "holder", "authority"]
    table: TableSource | None = None
    dictionary: Dictionary | None = None
    policy: Policy = Policy()
    store: str | None = None
    folder: Path = Path(".")

    @model_validator(mode="after")
    def _complete(self) -> "Institution":
        if self.kind != "authority" and (self.table is None or self.dictionary is None):
            raise ValueError(f"a {self.kind} needs [table] and [dictionary]; only an authority goes without")
        if self.kind == "bank" and self.dictionary is not None and self.dictionary.label is None:
            raise ValueError(
                "a bank needs [dictionary.label]: which column says default, and over what horizon"
            )
        return self

    @property
    def store_path(self) -> Path:
        """Folder of the node's own store."""
        if self.store:
            return self.folder / os.path.expandvars(self.store)
        return home() / "institutions" / self.name

    def read(self) -> Table:
        """Read and check the table; ConfigError or DataError with every rule it breaks."""
        if self.table is None or self.dictionary is None:
            raise ConfigError(f"institution {self.name} is an authority and has no table to read")
        return read_table(self.table, self.dictionary, base=self.folder)


def home() -> Path:
    """Folder for stores that no file places elsewhere: FEDRISK_HOME, default ``~/.fedrisk``."""
    return Path(os.environ.get("FEDRISK_HOME") or Path.home() / ".fedrisk")


def load_institution(path: str | Path) -> Institution:
    """Read an institution file; ConfigError names the file and every rule that it breaks."""
    path = Path(path)
    content: dict[str, Any] = load_toml(path, what="institution file")
    content.setdefault("folder", path.resolve().parent)
    return checked(Institution, content, where=f"institution file {path}")


def find_institutions(
    study_file: Path, names: tuple[str, ...], folder: Path | None = None
) -> dict[str, Path]:
    """Paths of the members' files for a study on one machine: ``institutions/NAME.toml`` beside the study.

    ConfigError names those that are missing.
    """
    folder = folder or study_file.resolve().parent / "institutions"
    paths = {name: folder / f"{name}.toml" for name in names}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        raise ConfigError(
            f"no institution file for {', '.join(missing)} in {folder}; expected NAME.toml for each "
            "institution of the study, or name the folder with --institutions"
        )
    return paths
