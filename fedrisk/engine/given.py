"""What a study is run or checked from: files, or objects that were made in code.

Institutions are read anew from their files with every message, as on machines of their own. Those that were made in
code are written below FEDRISK_HOME first, readable by their owner alone, with their tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedrisk.errors import ConfigError
from fedrisk.home import home
from fedrisk.institution import Institution, find_institutions
from fedrisk.recipes import load_study, recipe_of
from fedrisk.study import Study

Institutions = Mapping[str, Path | Institution] | Sequence[Institution] | Path | None
"""Institutions, or paths of their files, by name; or a list of institutions; or the folder with NAME.toml for each.

None looks beside the study file.
"""

FOLDER = "in_code"
"""Below FEDRISK_HOME: folders of studies that were made in code."""

INSTITUTIONS = "institutions"
"""Below FOLDER: those of all studies. An institution is one, with its store and ledger, whichever study it is in."""

STUDY_FILE = "study.toml"


@dataclass(frozen=True)
class Given:
    """A study, and where it came from; file: None for one that was made in code."""

    study: Study
    file: Path | None

    @classmethod
    def of(cls, study: str | Path | Study, overrides: Sequence[str] = ()) -> Given:
        """The study, checked by its recipe; ConfigError lists what is wrong with it."""
        if not isinstance(study, Study):
            return cls(load_study(study, overrides), Path(study))
        if overrides:
            raise ConfigError("overrides are for study files; change the study where it is made")
        return cls(recipe_of(study).checked(study), None)

    @property
    def folder(self) -> Path:
        """Where a study that was made in code is written."""
        return home() / FOLDER / self.study.name

    def alone(self, institution: str | Path | Institution) -> Path:
        """The file of one institution that looks for itself."""
        return (
            self._path(institution.name, institution)
            if isinstance(institution, Institution)
            else Path(institution)
        )

    def paths(self, institutions: Institutions) -> Mapping[str, Path]:
        """The institution file of every member.

        ConfigError where one is not there, DataError where a table cannot be written to a file.
        """
        if institutions is None or isinstance(institutions, str | Path):
            if self.file is None and institutions is None:
                raise ConfigError(
                    f"study {self.study.name} was made in code, so there is no folder beside it; name its institutions"
                )
            file = self.file or Path()
            folder = None if institutions is None else Path(institutions)
            return find_institutions(file, self.study.members, folder)
        named = self._named(institutions)
        if missing := [name for name in self.study.members if name not in named]:
            raise ConfigError(f"no institution is given for {', '.join(missing)} of study {self.study.name}")
        paths = {name: self._path(name, each) for name, each in named.items()}
        if self.file is None:
            self.study.save(self.folder / STUDY_FILE)
        return paths

    def _named(
        self, institutions: Mapping[str, Path | Institution] | Sequence[Institution]
    ) -> dict[str, Path | Institution]:
        if isinstance(institutions, Mapping):
            return dict(institutions)
        wrong = [each for each in institutions if not isinstance(each, Institution)]
        if wrong:
            raise ConfigError(
                "a list of institutions has Institution objects; give paths by name, as a dictionary"
            )
        names = [each.name for each in institutions]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ConfigError(f"institutions: {', '.join(twice)} is given more than once; names are unique")
        return dict(zip(names, institutions, strict=True))

    def _path(self, name: str, institution: Path | Institution) -> Path:
        if not isinstance(institution, Institution):
            return Path(institution)
        if name != institution.name:
            raise ConfigError(f"institution {institution.name} is given as {name}; give it by its own name")
        return institution.as_file or institution.save(home() / FOLDER / INSTITUTIONS)
