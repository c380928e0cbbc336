"""Figures that others published, from ``quoted.toml``: rows of their own kind, never mixed with measured ones."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import Field, model_validator

from fedrisk.file_rules import checked
from fedrisk.lab.cell import Row
from fedrisk.study_sections import Settings


class Quoted(Settings):
    """One published figure. conditions: under which it holds; epsilon inf: no guarantee."""

    data_set: str
    model: str
    epsilon: Annotated[float, Field(gt=0)]
    auc: Annotated[float, Field(gt=0, lt=1)] | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None
    source: Annotated[str, Field(min_length=1)]
    conditions: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _a_figure(self) -> "Quoted":
        if self.auc is None and self.seconds is None:
            raise ValueError("states neither auc nor seconds; quote one of them, or remove the entry")
        return self

    def row(self) -> Row:
        """The figure as a row of results; it is of no cell."""
        return Row(
            cell="",
            data_set=self.data_set,
            recipe="",
            epsilon=self.epsilon,
            bins=None,
            institutions=None,
            seed=0,
            settings="",
            kind="quoted",
            model=self.model,
            private=self.epsilon < float("inf"),
            auc=self.auc,
            seconds=self.seconds,
            source=f"{self.source}; {self.conditions}",
        )


class _File(Settings):
    figure: tuple[Quoted, ...]


@cache
def published() -> tuple[Quoted, ...]:
    """All published figures, in the order of the file."""
    text = files("fedrisk.lab").joinpath("quoted.toml").read_text(encoding="utf-8")
    return checked(_File, tomllib.loads(text), where="quoted.toml").figure


def quoted_rows(data_set: str) -> list[Row]:
    """Figures that were published of a data set, by its name; of a part or a variant of it none is.

    >>> {row.kind for row in quoted_rows("default_credit")}, quoted_rows("default_credit_few")
    ({'quoted'}, [])
    """
    return [figure.row() for figure in published() if figure.data_set == data_set]
