"""Going on after a ledger or a trail was lost: an act of a person, recorded for good.

A ledger that is put back from a copy, or begun anew, is charged again with all that the audit trail has. A trail that
is begun anew leaves the ledger as it is. What is replaced is kept beside it as evidence. Other institutions that keep
heads of what was lost refuse further studies until they have answered too (clients/witness).
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.audit.entry import LEDGER_RESTORED, TRAIL_BEGUN_ANEW, AuditEntry
from fedrisk.audit.log import AuditLog
from fedrisk.audit.verify import verify
from fedrisk.clients.books import audit_books, ledger_books, same_charge, same_period
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges
from fedrisk.clients.store.attempt_store import AttemptStore, Begun
from fedrisk.errors import ConfigError, FedriskError, StoreError
from fedrisk.privacy.ledger.audit import Books, read_books
from fedrisk.privacy.ledger.file import LedgerFile
from fedrisk.privacy.ledger.ledger import Again, Ledger
from fedrisk.privacy.spend import Spend

_LOST = "audit.jsonl.lost-"
_MOVED = ("audit.jsonl", "audit.jsonl.head", "audit.jsonl.checkpoints", "audit.jsonl.verified")


@dataclass(frozen=True, kw_only=True)
class Restored:
    """charged: releases charged again from the trail. kept: what was replaced, None where nothing had to be."""

    charged: int
    kept: Path | None


def restore_ledger(node: Node, *, reason: str, who: str) -> Restored:
    """Go on with the ledger that is there, or a new one where it does not hold, charged with all that the trail has.

    Of a trail that does not hold, and of trails that were begun anew, every entry counts that can still be read: one
    that nobody vouches for can only charge more. Grants of a ledger that is replaced are gone: the cap is that of the
    policy. To be called while no message is served. ConfigError without reason or name; StoreError where the disk
    refuses.
    """
    _check_said(reason, who)
    entries = _charging(node)
    path = node.store.ledger_path
    books = _readable(path, entries)
    kept = None
    if books is None and path.exists():
        kept = path.with_name(f"{path.name}.replaced-{_stamp()}")
        os.replace(path, kept)
    caps = node.institution.policy.caps
    ledger = Ledger.acknowledge_restore(path, caps, reason=reason, who=who)
    charged = ledger.charge_again([*map(_again, entries), *_of_attempts(node), *_unvouched(node)])
    # Opening a lost trail is refused; then it is restored next, and has nothing to note this in.
    trail = _opened(node)
    if trail is not None:
        trail.note(LEDGER_RESTORED, counterparty=node.name, digest=_digest([reason, who, charged]))
        older = books is not None and any(trail.hash_at(count) != at for count, at in books.anchors.items())
        if older or _asked_nothing_of(trail, ledger):
            # The trail was begun anew after these charges.
            ledger.begin_trail_anew(trail.head(), reason=reason, who=who)
    return Restored(charged=charged, kept=kept)


def restore_trail(node: Node, *, reason: str, who: str) -> Path:
    """Begin the audit trail anew, after it was changed, cut off or lost; returns the folder with what was there.

    What the ledger was charged stays charged. To be called while no message is served. ConfigError without reason or
    name, or where the trail holds; StoreError where the ledger does not hold, which is restored first.
    """
    _check_said(reason, who)
    ledger = ledger_books(node)
    if _holds(node):
        raise ConfigError(
            f"the audit trail of {node.name} holds, and agrees with the ledger; nothing to restore"
        )
    folder = node.store.path / f"{_LOST}{_stamp()}"
    evidence = hashlib.sha256()
    try:
        folder.mkdir(mode=0o700)
        for name in _MOVED:
            file = node.store.path / name
            if file.is_file():
                evidence.update(file.read_bytes())
            if file.exists():
                shutil.move(file, folder / name)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written: {error.strerror}; check space and permissions"
        ) from None
    log = AuditLog(node.trail_path, node.store.identity, node.name)
    log.note(TRAIL_BEGUN_ANEW, counterparty=node.name, digest=_digest([reason, who, evidence.hexdigest()]))
    if ledger is not None:
        node.ledger.begin_trail_anew(log.head(), reason=reason, who=who)
    return folder


def _check_said(reason: str, who: str) -> None:
    if not reason.strip() or not who.strip():
        raise ConfigError(
            "a restore needs a reason and the name of the person who takes it on: --reason and --who"
        )


def _charging(node: Node) -> tuple[AuditEntry, ...]:
    """Entries of the trail that charge, as far as it holds."""
    if not node.trail_path.exists():
        return ()
    *former, present = node.store.identities
    found = verify(node.trail_path, present, (), node.name, former=former)
    return tuple(entry for entry in found.kept if entry.spend is not None)


def _readable(path: Path, entries: tuple[AuditEntry, ...]) -> Books | None:
    """What a ledger says that holds and charges nothing otherwise than the trail, even if it is an older one."""
    file = LedgerFile(path, wait_seconds=30.0)
    if not path.exists():
        return None
    try:
        file.open_schema(allowed=True, check_guard=False)
        books = read_books(file, check_guard=False)
    except StoreError:
        return None
    charges = {charge.release_id: charge for charge in books.charges}
    pairs = ((entry, charges.get(_release_id(entry))) for entry in entries)
    same = all(
        charge is None or (same_charge(entry, charge) and same_period(entry, charge, books.calendar))
        for entry, charge in pairs
    )
    return books if same else None


def _again(entry: AuditEntry) -> Again:
    spend = Spend.from_dict(entry.spend or {})
    return Again(release_id=_release_id(entry), spend=spend, purpose=entry.purpose, time=entry.time)


def _of_attempts(node: Node) -> Iterator[Again]:
    """What the attempts themselves remember of charges: more than the trail where that was lost too."""
    for folder in sorted((node.store.path / "attempts").glob("*")):
        state = AttemptStore(folder)
        if not state.exists:
            continue
        charges, purpose = state.find(Charges) or Charges(), str(state.load(Begun).study["purpose"])
        time = datetime.fromtimestamp(state.touched, UTC).isoformat(timespec="seconds")
        for name, plain in charges.spends.items():
            spend = Spend.from_dict(plain)
            yield Again(release_id=f"{spend.attempt}:{name}", spend=spend, purpose=purpose, time=time)


def _unvouched(node: Node) -> Iterator[Again]:
    """Charges of entries that can be read, whether they are vouched for or not: of this trail and of earlier ones."""
    now = datetime.now(UTC)
    for path in (node.trail_path, *sorted(node.store.path.glob(f"{_LOST}*/{node.trail_path.name}"))):
        if not path.is_file():
            continue
        for line in path.read_bytes().splitlines():
            # What cannot be read says nothing.
            with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, FedriskError):
                entry = json.loads(line)
                spend, time = Spend.from_dict(entry["spend"]), datetime.fromisoformat(entry["time"])
                yield Again(
                    release_id=f"{spend.attempt}:{spend.release}",
                    spend=spend,
                    purpose=str(entry["purpose"]),
                    time=min(time, now).isoformat(timespec="seconds"),
                )


def _release_id(entry: AuditEntry) -> str:
    spend = entry.spend or {}
    return f"{spend['attempt']}:{spend['release']}"


def _asked_nothing_of(trail: AuditLog, ledger: Ledger) -> bool:
    """Whether the ledger has charges of attempts whose requests the trail lacks; False where it cannot be read."""
    try:
        asked = {entry.attempt for entry in trail.entries(event="request")}
    except StoreError:
        return False
    return any(charge.spend.attempt not in asked for charge in ledger.books().charges)


def _opened(node: Node) -> AuditLog | None:
    try:
        return node.trail
    except StoreError:
        return None


def _holds(node: Node) -> bool:
    try:
        audit_books(node)
    except StoreError:
        return False
    return True


def _digest(said: list[object]) -> str:
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
