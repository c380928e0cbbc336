"""Who saw what in a study, from the tables that its members sign (audit/table), and whether these agree.

The hub reads nobody's trail. It asks each member for its table once the attempt is over, checks it against the pinned
key, and keeps it beside the results, so that anybody can compare again. A member that hands over none, or one that is
not its own, is a finding; so are tables that do not agree. Neither costs results.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import isfinite

from fedrisk.audit.crosscheck import Disagreement, Said, crosscheck, disclosures
from fedrisk.audit.table import ACTION, SignedTable, tables_to_json
from fedrisk.errors import EnvelopeError, PeerError, code_of
from fedrisk.findings import Finding
from fedrisk.protocol.actions import OBSERVE, TABLES
from fedrisk.protocol.payload import Payload
from fedrisk.secure.identity import HUB
from fedrisk.server.exchange import Exchange
from fedrisk.server.results import DisclosureLine, Results
from fedrisk.study import Study

PATIENCE = 60.0
"""Seconds in which members hand over their tables; whoever is away then is asked again another time."""


@dataclass(frozen=True, kw_only=True)
class HandedOver:
    """Tables that came and hold. missing: why there is none, a code by member."""

    tables: tuple[SignedTable, ...]
    missing: Mapping[str, str]


def collect(exchange: Exchange, members: Iterable[str], pins: Mapping[str, bytes]) -> HandedOver:
    """Ask members for their tables, and check each against its pinned key."""
    members = tuple(members)
    answers = exchange.afterwards(ACTION, timeout=PATIENCE)
    tables: list[SignedTable] = []
    missing: dict[str, str] = {}
    for name in members:
        try:
            tables.append(checked_table(name, answers.get(name), exchange.attempt, members, pins))
        except (PeerError, EnvelopeError) as error:
            refused = None if name not in answers else answers[name].refusal
            missing[name] = refused or code_of(error)
    return HandedOver(tables=tuple(tables), missing=missing)


def show(exchange: Exchange, study: Study, handed: HandedOver) -> None:
    """Give the tables to the study's regulators; one that is not there has them from the hub's operator."""
    regulators = [m.name for m in study.institutions if m.role == "regulator"]
    if regulators and handed.tables:
        told = Payload({}, {TABLES: tables_to_json(handed.tables)})
        exchange.afterwards(OBSERVE, timeout=PATIENCE, told=told, only=regulators)


def checked_table(
    name: str, answer: Payload | None, attempt: str, members: tuple[str, ...], pins: Mapping[str, bytes]
) -> SignedTable:
    """One member's table; PeerError where there is none, EnvelopeError where it is malformed or not its own."""
    if answer is None or answer.refusal is not None:
        raise PeerError(f"{name} handed over no table; see that its node runs")
    table = SignedTable.from_dict(answer.body.get("table"))
    pinned = pins.get(name)
    if (table.institution, table.attempt) != (name, attempt) or pinned is None or not table.holds(pinned):
        raise EnvelopeError(
            f"the table that came from {name} is of another institution or attempt, or its pinned key did not sign it"
        )
    if not {line.counterparty for line in table.lines} <= {HUB, *members}:
        raise EnvelopeError(f"the table of {name} names others than the members of the study")
    return table


def with_tables(results: Results, handed: HandedOver) -> Results:
    """The results with the table of disclosures, where tables disagree, and whose are missing."""
    known = {table.institution: table for table in (*results.tables, *handed.tables)}
    tables = tuple(known[name] for name in sorted(known))
    missing = {name: code for name, code in handed.missing.items() if name not in known}
    others = [f for f in results.findings if f.code != "table_missing"]
    absent = [Finding("table_missing", {"institution": name, "code": code}) for name, code in missing.items()]
    return replace(
        results,
        tables=tables,
        disclosures=seen(tables),
        disagreements=differing(tables, results.attempt),
        findings=(*others, *absent),
    )


def with_late(results: Results, table: SignedTable) -> Results:
    """The results with one table more, which came after the study."""
    codes = {f.values["institution"]: f.values["code"] for f in results.findings if f.code == "table_missing"}
    missing = {name: str(codes.get(name, PeerError.code)) for name in results.institutions}
    late = HandedOver(tables=(table,), missing=missing)
    undone = [f for f in results.findings if (f.code, f.values.get("part")) != ("left_undone", "trails")]
    return with_tables(replace(results, findings=tuple(undone)), late)


def seen(tables: Iterable[SignedTable]) -> tuple[DisclosureLine, ...]:
    """Who saw what, by these tables of one attempt."""
    lines: list[Said] = [line for table in tables for line in table.lines]
    rows = disclosures(lines, lines[0].attempt) if lines else []
    return tuple(DisclosureLine(**{**vars(row), "mu": row.mu if isfinite(row.mu) else None}) for row in rows)


def differing(tables: Iterable[SignedTable], attempt: str) -> tuple[Finding, ...]:
    """Where these tables disagree, as codes with figures."""
    found = crosscheck({table.institution: table.lines for table in tables}, attempt)
    return tuple(disagreement_finding(one) for one in found)


def disagreement_finding(found: Disagreement) -> Finding:
    """A disagreement of two trails as a code with figures."""
    entry = found.sent or found.received
    values = {
        "sender": found.sender,
        "receiver": found.receiver,
        "sent": None if found.sent is None else found.sent.index,
        "received": None if found.received is None else found.received.index,
        "kind": "" if entry is None else entry.kind,
        "differs": ", ".join(found.differs),
    }
    return Finding(f"trails_{found.what}", values)
