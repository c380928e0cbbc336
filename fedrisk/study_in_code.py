"""A study that is made in code: the same rules, and the same digest, as one that is read from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import model_validator

from fedrisk import study as studies
from fedrisk.file_rules import Stated
from fedrisk.institution import Institution
from fedrisk.recipes import recipe_of
from fedrisk.renamed import STUDY_KEYS, STUDY_VALUES, renamed


class _AnyStudy(Stated):
    """Studies read from files are studies too."""

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, studies.Study)


class Study(studies.Study, metaclass=_AnyStudy):
    """Everything public about one run, as in a study file: the same names, with sections as dictionaries.

    ``institutions`` may be a list as in the file, a dictionary of roles by name, or `Institution` objects. The recipe
    checks its section and fills in its defaults, so that the digest is that of the same study in a file. ConfigError
    lists the rules that it breaks.

    >>> study = Study(name="s", purpose="credit_scoring", institutions={"b1": "bank"}, privacy={"epsilon": 1})
    >>> study.authority, study.settings
    ('b1', {'gram_rows': 200000})
    """

    @model_validator(mode="before")
    @classmethod
    def _as_in_a_file(cls, content: Any) -> Any:
        if not isinstance(content, Mapping):
            return content
        members = content.get("institutions")
        if isinstance(members, Mapping):
            members = [{"name": name, "role": role} for name, role in members.items()]
        elif isinstance(members, Sequence) and not isinstance(members, str):
            members = [{"name": m.name, "role": m.kind} if isinstance(m, Institution) else m for m in members]
        listed = {} if members is None else {"institutions": members}
        return renamed({**content, **listed}, STUDY_KEYS, STUDY_VALUES, where="study")

    @model_validator(mode="after")
    def _by_its_recipe(self) -> Study:
        full = recipe_of(self).checked(self)
        self.__dict__["settings"] = full.settings
        return self
