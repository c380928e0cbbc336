"""The proofs behind the guarantee, each with its assumptions, the code it is about, and the tests that check it.

``python -m fedrisk.conformance.proof > docs/proofs.md`` writes the page from ``proofs.toml``, which nobody edits else.
"""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fedrisk.conformance.requirement import NODE_ID
from fedrisk.errors import ConfigError

FILE = "proofs.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Proof(_Table):
    """One proof. assumes: names of flags. code: files that it is about. tests: ids of the tests that check it."""

    heading: Annotated[str, Field(pattern=r"^[A-Z][\w', :-]+$")]
    statement: str
    proof: str
    assumes: tuple[str, ...]
    code: Annotated[tuple[str, ...], Field(min_length=1)]
    tests: Annotated[tuple[Annotated[str, Field(pattern=NODE_ID)], ...], Field(min_length=1)]


class Proofs(_Table):
    """All proofs, and the assumptions that they name.

    head, tail: of the page, in Markdown. flags: what each assumption says, by its name.
    """

    head: str
    tail: str
    flags: dict[str, str]
    proof: tuple[Proof, ...]

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted({f for p in self.proof for f in p.assumes} - self.flags.keys())
        if unknown:
            raise ValueError(f"{unknown[0]} is no assumption of the table; add it there")
        return self


def load_proofs() -> Proofs:
    """The proofs as they are written; ConfigError names what is malformed."""
    text = (files("fedrisk.conformance") / FILE).read_text(encoding="utf-8")
    try:
        return Proofs.model_validate(tomllib.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def page(proofs: Proofs) -> str:
    """The page of proofs as Markdown."""
    rows = [f"| `{name}` | {words} |" for name, words in proofs.flags.items()]
    table = ["| name | what is assumed |", "| --- | --- |", *rows, ""]
    return "\n".join([proofs.head, *table, *map(_section, proofs.proof), proofs.tail])


def _section(proof: Proof) -> str:
    return "\n".join(
        [
            f"## {proof.heading}",
            "",
            f"**Statement.** {proof.statement}",
            "",
            f"**Proof.** {proof.proof.strip()}",
            "",
            f"- Assumes: {_list(proof.assumes)}",
            f"- Code: {_list(proof.code)}",
            f"- Tests: {_list(proof.tests)}",
            "",
        ]
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


if __name__ == "__main__":
    print(page(load_proofs()), end="")
