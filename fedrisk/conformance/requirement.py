"""Requirements of published standards, in own words, and the tests that check what is claimed of them.

One TOML file a standard, beside this module. A requirement is claimed, with tests, or not claimed, with the reason;
there is nothing between. Clause numbers say how sure they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedrisk.errors import ConfigError
from fedrisk.toml_file import near_name

FOLDER = "requirements"

Checked = Literal["yes", "copy", "no"]
"""Whether a clause's number was held against the official text, against somebody's copy of it, or against nothing."""

NODE_ID = r"^tests/[\w/]+\.py::test_\w+$"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(_Table):
    """A text in both languages."""

    en: Annotated[str, Field(min_length=1)]
    zh: Annotated[str, Field(min_length=1)]

    def of(self, code: str) -> str:
        """The text in a language; in English where there is no other."""
        return self.zh if code == "zh" else self.en


class Requirement(_Table):
    """One requirement.

    id: short, unique. clause: of the standard, empty where it has no number. text: what is asked, in own words. tests:
    ids of the tests that check it, where it is claimed. reason: why it is not claimed, or what limits the claim.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    clause: str = ""
    clause_checked: Checked = "no"
    text: Text
    tests: tuple[Annotated[str, Field(pattern=NODE_ID)], ...] = ()
    reason: Text | None = None

    @property
    def claimed(self) -> bool:
        """Whether the product says that it meets it."""
        return bool(self.tests)

    @model_validator(mode="after")
    def _claimed_or_reasoned(self) -> Self:
        if not self.tests and self.reason is None:
            raise ValueError(f"{self.id} has neither tests nor the reason why it is not claimed")
        if len(set(self.tests)) < len(self.tests):
            raise ValueError(f"{self.id} names a test twice")
        return self


class Standard(_Table):
    """A standard with the requirements that are taken from it.

    name: as it is cited. source: where the words and numbers come from, and how sure they are.
    """

    name: str
    title: Text
    edition: str
    source: Text
    requirement: tuple[Requirement, ...]


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All standards, in their order."""

    standards: tuple[Standard, ...]

    @property
    def tests(self) -> tuple[str, ...]:
        """All tests that are named, each once, in the order of files."""
        named = {t for r in self.requirements for t in r.tests}
        return tuple(sorted(named))

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """All requirements, standard by standard."""
        return tuple(r for s in self.standards for r in s.requirement)

    def only(self, ids: Sequence[str]) -> "Catalogue":
        """The same with these requirements alone, by their ids; ConfigError names one that there is not."""
        known = [r.id for r in self.requirements]
        for asked in ids:
            if asked not in known:
                near = near_name(asked, known)
                meant = f"did you mean {near}? " if near else ""
                raise ConfigError(f"there is no requirement {asked}; {meant}--list shows their ids")
        chosen = [
            s.model_copy(update={"requirement": tuple(r for r in s.requirement if r.id in ids)})
            for s in self.standards
        ]
        return Catalogue(standards=tuple(s for s in chosen if s.requirement))


def load_catalogue() -> Catalogue:
    """The requirements as they are written; ConfigError names what is malformed."""
    folder = files("fedrisk.conformance") / FOLDER
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".toml"))
    standards = tuple(_standard(name, _content(name)) for name in names)
    _once([r.id for s in standards for r in s.requirement])
    return Catalogue(standards=standards)


def _content(name: str) -> Mapping[str, object]:
    import tomllib

    return tomllib.loads((files("fedrisk.conformance") / FOLDER / name).read_text(encoding="utf-8"))


def _standard(name: str, content: Mapping[str, object]) -> Standard:
    try:
        return Standard.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{FOLDER}/{name}: {place}: {first['msg']}") from None


def _once(ids: Sequence[str]) -> None:
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise ConfigError(f"{FOLDER}: two requirements are called {twice[0]}; ids are for one each")
