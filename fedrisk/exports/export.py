"""A card for a bank's own systems, in the form that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fedrisk.errors import ConfigError
from fedrisk.exports.card_part import CardPart
from fedrisk.exports.onnx_file import to_onnx
from fedrisk.exports.pmml import to_pmml
from fedrisk.exports.python_file import to_python
from fedrisk.exports.sql import DialectName, to_sql
from fedrisk.models.edited_card import EditedCard
from fedrisk.models.scorecard import Scorecard
from fedrisk.study_members import BANK

Form = Literal["sql", "pmml", "onnx", "python"]

WHOLE = "whole"
"""Stands for all institutions' columns where a part is named."""

ENDINGS = {"sql": ".sql", "pmml": ".pmml", "onnx": ".onnx", "python": ".py"}
"""Ending of a file's name, by form."""


def export_card(
    card: Scorecard | EditedCard,
    form: Form,
    *,
    part: str = BANK,
    dialect: DialectName = "postgresql",
    table: str = "customers",
    keys: Sequence[str] = ("id",),
    reasons: int = 4,
    file: str = "card.py",
) -> bytes:
    """The file's content, text in UTF-8 where the form is one.

    It scores as the card does: the points are equal, probabilities equal to 1e-9. It holds the card, and nothing else.

    Args:
        card: a released card, or one that was edited.
        form: ``sql``, ``pmml``, ``onnx`` or ``python``.
        part: ``bank`` for the banks' columns, with the holders' points as an input; a holder's name for its own
            columns; ``whole`` for all columns.
        dialect, table, keys: of SQL: the database's kind, the table's name, and columns that are passed on.
        reasons: how many reasons the result has, 0 for none; Python has a function for them.
        file: of Python: its name.

    Raises:
        ConfigError: an unknown form, part or dialect, or a card that the form cannot hold.
    """
    if form not in ENDINGS:
        raise ConfigError(f"form is {form}; use {', '.join(ENDINGS)}")
    if reasons < 0:
        raise ConfigError(f"reasons is {reasons}; ask for none (0) or more")
    chosen = CardPart.of(card, None if part == WHOLE else part)
    if form == "sql":
        return to_sql(chosen, dialect, table=table, keys=keys, reasons=reasons).encode()
    if form == "pmml":
        return to_pmml(chosen, reasons=reasons).encode()
    if form == "onnx":
        return to_onnx(chosen, reasons=reasons)
    return to_python(chosen, file).encode()
