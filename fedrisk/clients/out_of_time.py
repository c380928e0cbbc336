"""A hold-out by date: which of a bank's enterprises have a date on or after the study's boundary.

The flags are a column of the bank, exact and uncharged: the hub learns them with the pseudonyms, and every data holder
with the order of rows. Each boundary is one bit of an enterprise's date, so that studies with several boundaries, even
studies that stop at once, would read the date itself. So the policy has to allow it (``policy.out_of_time``), and a
bank gives flags for one boundary in ``policy.period_days`` days. Research runs, which have no privacy, are apart.
"""

import json
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.node import Node
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.table import Table
from fedrisk.errors import DataError, PolicyError, ProtocolError, StoreError
from fedrisk.files import write_atomic
from fedrisk.study import Study

FILE = "out_of_time.json"
"""In the node's store: the last day on which flags were given, by boundary."""


def asked(study: Study, institution: str) -> bool:
    """Whether this institution gives flags in the study: a bank where the hold-out is out of time."""
    return study.holdout.kind == "out_of_time" and institution in study.banks


def check_boundary(node: Node, study: Study, *, research: bool) -> None:
    """PolicyError where the bank gave flags for another boundary within the policy's period."""
    boundary, days = study.holdout.from_date, node.institution.policy.period_days
    if research or boundary is None or not asked(study, node.name):
        return
    for other, last in _given(node).items():
        if other != boundary and _today() - last < timedelta(days=days):
            raise PolicyError(
                f"{node.name} told other institutions on {last} which enterprises have a date on or after {other}, "
                f"and a second boundary within policy.period_days = {days} would tell more of the date. Set "
                f"holdout.from_date = {other}, or wait until {last + timedelta(days=days)}"
            )


def rows_by_side(study: Study, node: Node, table: Table) -> tuple[int, int] | None:
    """Rows of a bank before the study's boundary, and on or after it; None where nothing goes by it here."""
    late = held(study, node.institution.dictionary, table) if asked(study, node.name) else None
    return None if late is None else (int((~late).sum()), int(late.sum()))


def check_sides(study: Study, node: Node, table: Table) -> None:
    """DataError where a bank would train on nobody: all its rows are on or after the boundary."""
    sides = rows_by_side(study, node, table)
    if sides is not None and not sides[0]:
        raise DataError(
            f"{node.name}: no row has a date before holdout.from_date = {study.holdout.from_date}, so none is left for "
            "training; take a later boundary, or read earlier rows"
        )


def flags(attempt: Attempt, table: Table) -> NDArray[np.uint8]:
    """1 for rows that are held out by date, (n,), in the table's order; zeros where nothing is asked of this node.

    The boundary is on the disk before the flags leave. Errors: PolicyError as in :func:`check_boundary`.
    """
    study, node = attempt.study, attempt.node
    if not asked(study, node.name):
        return np.zeros(len(table), np.uint8)
    boundary, late = study.holdout.from_date, held(study, node.institution.dictionary, table)
    if boundary is None or late is None:
        raise ProtocolError("an out-of-time hold-out needs dictionary.as_of and holdout.from_date")
    if not attempt.research:
        node.institution.policy.check(study, institution=node.name, research=False)
        check_boundary(node, study, research=False)
        given = {**_given(node), boundary: _today()}
        content = json.dumps({b.isoformat(): last.isoformat() for b, last in sorted(given.items())})
        write_atomic(node.store.path / FILE, content.encode())
    return late.astype(np.uint8)


def held(study: Study, dictionary: Dictionary | None, table: Table) -> NDArray[np.bool_] | None:
    """Which rows of a bank are held out by date, (n,); None where no date decides, or none is named."""
    boundary = study.holdout.from_date
    if boundary is None or dictionary is None or dictionary.as_of is None:
        return None
    late: NDArray[np.bool_] = (table.frame[dictionary.as_of].dt.date >= boundary).to_numpy(dtype=bool)
    return late


def _given(node: Node) -> dict[date, date]:
    """Last day by boundary; StoreError where the file cannot be read: it must not be taken for none."""
    file = node.store.path / FILE
    if not file.exists():
        return {}
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return {date.fromisoformat(b): date.fromisoformat(last) for b, last in plain.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        raise StoreError(f"{file} cannot be read; bring it back from its copy") from None


def _today() -> date:
    return datetime.now(UTC).date()
