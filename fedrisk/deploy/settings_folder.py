"""What the folders of hub and node have in common: a file of settings, written once and read back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from fedrisk.errors import ConfigError
from fedrisk.file_rules import checked
from fedrisk.files import private_folder, write_atomic
from fedrisk.home import resolved
from fedrisk.layout import Layout
from fedrisk.toml_file import load_toml

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class SettingsFolder(Generic[Settings]):
    """One kind of folder. who: "hub" or "node", for texts. file: of the settings. model: by which they are checked."""

    who: str
    file: str
    layout: Layout
    model: type[Settings]

    def load(self, folder: str | Path) -> tuple[Path, Settings]:
        """The folder's path, absolute, and its settings; ConfigError where there are none, or they break a rule.

        StoreError where it is of a later layout; whoever serves from it brings an earlier one forward (layout.py).
        """
        path = self._place(folder)
        file = path / self.file
        if not file.is_file():
            raise ConfigError(
                f"{path} is no {self.who}'s folder: it has no {self.file}; make one with fedrisk {self.who} init"
            )
        self.layout.found(path)
        what = f"{self.who} file"
        return path, checked(self.model, load_toml(file, what=what), where=f"{what} {file}")

    def create(self, folder: str | Path, settings: Mapping[str, Any]) -> tuple[Path, Settings]:
        """Make a folder, for its owner only, with its settings; ConfigError where there are some already."""
        path = self._place(folder)
        if (path / self.file).exists():
            raise ConfigError(f"{path} is a {self.who}'s folder already; choose another one")
        made = checked(self.model, dict(settings), where=f"{self.who}'s settings")
        private_folder(path)
        self.layout.open(path)
        write_atomic(path / self.file, to_toml(made).encode())
        return path, made

    def _place(self, folder: str | Path) -> Path:
        return resolved(str(folder), what=f"{self.who}'s folder", base=Path.cwd())


def to_toml(settings: BaseModel) -> str:
    r"""Settings as a TOML file: strings, numbers and truth values, what is None left out.

    >>> class Example(BaseModel):
    ...     name: str
    ...     health: int | None = None
    >>> to_toml(Example(name="Pilot"))
    'name = "Pilot"\n'
    """
    content = settings.model_dump(mode="json", exclude_none=True)
    # A JSON string is a TOML string where it has no lone surrogates, which pydantic refuses.
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in content.items())
