"""What a run left at the banks of this machine, looked up: nothing is claimed that was not read back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedrisk.clients.node import Node
from fedrisk.clients.own_results import Entry, entry_of
from fedrisk.errors import FedriskError
from fedrisk.server.results import Results


@dataclass(frozen=True, kw_only=True)
class BankKept:
    """What one bank has of a run.

    file: the institution's file. rows: scored, read back, None where no scores are there or the store cannot be read.
    models: own ones that are there. failed: what could not be made, by name with its code. owed: whether the scores
    can be made from what the attempt kept.
    """

    bank: str
    file: Path
    rows: int | None
    models: tuple[str, ...] = ()
    failed: Mapping[str, str]
    owed: bool = False


def look_up(results: Results, institutions: Mapping[str, Path]) -> tuple[BankKept, ...]:
    """What each bank of a run has of it, of those whose files are at hand; nothing where there is nothing to score."""
    if not results.evaluated:
        return ()
    banks = [name for name, facts in results.institutions.items() if facts.role == "bank"]
    return tuple(_kept(results.attempt, name, institutions[name]) for name in banks if name in institutions)


def _kept(attempt: str, bank: str, file: Path) -> BankKept:
    entry: Entry | None = None
    try:
        entry = entry_of(Node.load(file), attempt)
    except (FedriskError, OSError):
        entry = None
    if entry is None:
        return BankKept(bank=bank, file=file, rows=None, failed={})
    return BankKept(
        bank=bank, file=file, rows=entry.rows, models=entry.models, failed=entry.failed, owed=entry.owed
    )
