"""What was used, by counterparty, purpose and month: plain sums over one institution's audit trail.

No books are kept beside the trail, so the figures cannot differ from it. Prices add up as Gaussian
differential privacy composes, by the root of the sum of squares (Dong, Roth & Su 2022).
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any, Protocol

from fedrisk.audit.entry import AuditEntry

_IN, _OUT = ("request", "received"), ("answer", "sent")
_BOTH = ("training", "holdout")


@dataclass(frozen=True, kw_only=True)
class UsageRow:
    """Use by one counterparty for one purpose in one month (UTC, ``YYYY-MM``).

    requests, releases, refusals: number of such entries. mu: as the ledger charges, see ``charged``; infinite
    where one was a research spend. rows: sum over releases of the lengths of the lists that they
    were computed on. scores: sum over score entries of the lengths of the lists scored. bytes_in: size of
    requests and of what was received. bytes_out: size of answers and of what was sent. (A release or a score
    travels in an answer or in something sent, and its size is not counted a second time.)
    """

    counterparty: str
    purpose: str
    month: str
    requests: int
    releases: int
    refusals: int
    mu: float
    rows: int
    scores: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, kw_only=True)
class AttemptUsage:
    """Use by one attempt at a study; ``first``: its first day here (UTC). Sums as in ``UsageRow``."""

    attempt: str
    study: str
    purpose: str
    consent: str
    first: str
    requests: int
    releases: int
    refusals: int
    mu: float
    rows: int
    scores: int
    bytes_in: int
    bytes_out: int


class Priced(Protocol):
    """Whatever may have a price: an entry, or a line of a signed table."""

    @property
    def spend(self) -> dict[str, Any] | None:
        """What it charges: ``mu`` and ``research``."""
        ...


def price(entry: Priced) -> float:
    """What an entry charges, in mu: 0 without a spend, infinity for a research spend."""
    if entry.spend is None:
        return 0.0
    return math.inf if entry.spend["research"] or entry.spend["mu"] == "inf" else float(entry.spend["mu"])


def charged(entries: Iterable[AuditEntry]) -> float:
    """What entries cost together, in mu, as the ledger counts: of every attempt the dearer population.

    An enterprise is in training or in the hold-out, never in both; a release of all touches both.
    """
    parts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for entry in entries:
        if entry.spend is not None:
            population = str(entry.spend["population"])
            for side in _BOTH if population == "all" else (population,):
                parts[entry.attempt][side] += price(entry) ** 2
    return math.sqrt(sum(max(populations.values()) for populations in parts.values()))


def usage_rows(entries: Iterable[AuditEntry]) -> list[UsageRow]:
    """Rows sorted by month, counterparty and purpose; the log's notes about itself are left out.

    >>> usage_rows([])
    []
    """
    groups: dict[tuple[str, str, str], list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        if entry.event != "note":
            groups[entry.time[:7], entry.counterparty, entry.purpose].append(entry)
    return [_row(*key, groups[key]) for key in sorted(groups)]


def attempt_rows(entries: Iterable[AuditEntry]) -> list[AttemptUsage]:
    """One row for each attempt at a study, in the order in which they began.

    >>> attempt_rows([])
    []
    """
    groups: dict[str, list[AuditEntry]] = defaultdict(list)
    for entry in entries:
        if entry.event != "note" and entry.attempt:
            groups[entry.attempt].append(entry)
    return [_attempt_row(attempt, group) for attempt, group in groups.items()]


def to_csv(rows: Iterable[UsageRow]) -> str:
    r"""A table with a header, comma-separated, with lines ended by ``\n``.

    >>> to_csv([])
    'counterparty,purpose,month,requests,releases,refusals,mu,rows,scores,bytes_in,bytes_out\n'
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(field.name for field in fields(UsageRow))
    table.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _row(month: str, counterparty: str, purpose: str, entries: list[AuditEntry]) -> UsageRow:
    return UsageRow(counterparty=counterparty, purpose=purpose, month=month, **_sums(entries))


def _attempt_row(attempt: str, entries: list[AuditEntry]) -> AttemptUsage:
    def named(field: str) -> str:
        return next((str(getattr(e, field)) for e in entries if getattr(e, field)), "")

    return AttemptUsage(
        attempt=attempt,
        study=named("study"),
        purpose=named("purpose"),
        consent=named("consent"),
        first=entries[0].time[:10],
        **_sums(entries),
    )


def _sums(entries: list[AuditEntry]) -> dict[str, Any]:
    def number(event: str) -> int:
        return sum(entry.event == event for entry in entries)

    return {
        "requests": number("request"),
        "releases": number("release"),
        "refusals": number("refusal"),
        "mu": charged(entries),
        "rows": sum(entry.rows for entry in entries if entry.event == "release"),
        "scores": sum(entry.rows for entry in entries if entry.event == "score"),
        "bytes_in": sum(entry.bytes for entry in entries if entry.event in _IN),
        "bytes_out": sum(entry.bytes for entry in entries if entry.event in _OUT),
    }
