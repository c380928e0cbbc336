"""The institution's books, looked at before anything is charged: audit trail and privacy ledger, whole and together.

Each charge is in both: in the ledger before noise is drawn, in the trail before its answer leaves. The trail is signed
and other institutions keep its heads; the ledger remembers how far the trail had come. So an entry of either that is
changed, deleted or put back from an older copy shows by the other, at the institution itself, before a study costs
anybody anything. What does not show here: see docs/threat-model.md.

A process that is killed after a charge leaves one that the trail does not have yet. That is no damage: it is entered
when the next study is described.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fedrisk.audit.entry import LEDGER_RESTORED, TRAIL_BEGUN_ANEW, AuditEntry
from fedrisk.audit.verified import verify_again
from fedrisk.audit.verify import VerifyResult, read
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import Charges
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.errors import StoreError
from fedrisk.privacy.ledger.audit import Books, Charge
from fedrisk.privacy.ledger.caps import Calendar
from fedrisk.privacy.spend import Spend

NOT_SENT = "charged_not_sent"
"""First word of the kind of an entry for what was charged and never left."""

_RECOVER = "recover"
"""Action of an entry that is made after a crash."""

_Key = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Books that hold. entries: of the trail. charges: of the ledger. notes: what the trail says of itself.

    unentered: what was charged and is not in the trail yet, since its process was killed or is still at it.
    """

    entries: int
    charges: int
    notes: tuple[str, ...]
    unentered: tuple[Charge, ...]


def check_books(node: Node) -> None:
    """StoreError, with the thing, the rule and the remedy, unless trail and ledger hold, each and together.

    Nothing is charged, and no entry is made but the trail's own note of what a crash broke off. A node that was never
    in a study has no books yet.
    """
    audit_books(node)


def audit_books(node: Node) -> Checked:
    """What ``check_books`` looks at; errors as there. Other processes may charge and append meanwhile."""
    if not _begun(node):
        return Checked(entries=0, charges=0, notes=(), unentered=())
    # Opening it sets aside what a crash broke off.
    _ = node.trail
    ledger = ledger_books(node)
    anchors = {} if ledger is None else ledger.anchors
    former = node.store.identities[:-1]
    trail = verify_again(node.trail_path, node.store.identity, node.name, former=former, wanted=anchors)
    if not trail.ok:
        where = "" if trail.first_broken is None else f"entry {trail.first_broken}: "
        raise _trail_error(node, f"does not hold ({where}{trail.why})")
    if ledger is not None and ledger.restart is not None:
        _check_restart(node, trail, ledger.restart)
    for count, at in anchors.items():
        if trail.hashes.get(count) != at:
            raise _trail_error(
                node, f"is not the one that the privacy ledger remembers from when it had {count} entries"
            )
    if ledger is None:
        return Checked(entries=trail.entries, charges=0, notes=trail.notes, unentered=())
    return _compared(node, trail, ledger)


def settle_books(node: Node) -> None:
    """Check the books, and enter into the trail what was charged when a process was killed; errors of ``check_books``.

    To be called while no other message is served (``NodeStore.one_at_a_time``).
    """
    unentered = audit_books(node).unentered
    if not unentered:
        return
    node.ledger.settle()
    node.trail.append(_not_sent(node, charge) for charge in unentered)
    for charge in unentered:
        _mark_entered(node, charge.spend)


def _begun(node: Node) -> bool:
    """Whether there is anything that was ever kept here."""
    names = ("pins.json", "ledger.sqlite", "ledger.seal", "audit.jsonl", "audit.jsonl.head", "attempts")
    return any((node.store.path / name).exists() for name in names)


def ledger_books(node: Node) -> Books | None:
    """What the ledger says; None where there is none yet. A key authority is charged nothing and may have none."""
    there = node.store.ledger_path.exists()
    if not there and (not node.store.registered or not node.institution.has_table):
        return None
    return node.ledger.books()


def _check_restart(node: Node, trail: VerifyResult, count: int) -> None:
    """Whether the trail has the note of the person who began it anew: the ledger's word alone is not signed."""
    kinds = (TRAIL_BEGUN_ANEW, LEDGER_RESTORED)
    if not any(entry.index == count - 1 and entry.kind in kinds for entry in trail.kept):
        raise _trail_error(node, "has no entry of the restart that the privacy ledger remembers")


def _compared(node: Node, trail: VerifyResult, ledger: Books) -> Checked:
    """The charges of both, each against the other."""
    entered = _by_key(trail.kept)
    charges = _by_release(ledger)
    if entered.keys() - charges.keys():
        # Charged since the ledger was read.
        charges = _by_release(node.ledger.books())
    for key, entry in entered.items():
        _check_pair(node, entry, charges.get(key), ledger.calendar)
    unentered = tuple(
        charge
        for key, charge in charges.items()
        if key not in entered and not charge.cancelled and not charge.before_restart
    )
    _check_asked(node, unentered)
    return Checked(entries=trail.entries, charges=len(charges), notes=trail.notes, unentered=unentered)


def _by_key(entries: Iterable[AuditEntry]) -> dict[_Key, AuditEntry]:
    """Entries that charge, by attempt and release; ones of an answer that was given twice are alike."""
    return {(str(e.spend["attempt"]), str(e.spend["release"])): e for e in entries if e.spend is not None}


def _by_release(ledger: Books) -> dict[_Key, Charge]:
    return {(charge.spend.attempt, charge.spend.release): charge for charge in ledger.charges}


def _check_pair(node: Node, entry: AuditEntry, charge: Charge | None, calendar: Calendar) -> None:
    """A charge of the trail against that of the ledger."""
    what = (
        f"the charge of entry {entry.index} of the audit trail (study {entry.study}, attempt {entry.attempt})"
    )
    if charge is None:
        raise _ledger_error(node, f"{what} is missing in it")
    if not same_charge(entry, charge):
        raise _ledger_error(node, f"{what} is {'cancelled' if charge.cancelled else 'another one'} in it")
    if not same_period(entry, charge, calendar):
        raise _ledger_error(node, f"{what} is charged to another accounting period in it")


def same_period(entry: AuditEntry, charge: Charge, calendar: Calendar) -> bool:
    """Whether a charge is in the accounting period of its entry, which may follow it within a day.

    What was entered later, after a crash, never left: its time says nothing.
    """
    moment = datetime.fromisoformat(entry.time)
    near = {calendar.period(moment), calendar.period(moment - timedelta(days=1))}
    return entry.action == _RECOVER or charge.period in near


def same_charge(entry: AuditEntry, charge: Charge) -> bool:
    """Whether a charge of the ledger is the one that an entry of the trail says; an older ledger has no purposes."""
    same = Spend.from_dict(entry.spend or {}) == charge.spend and charge.purpose in (entry.purpose, "")
    return same and not charge.cancelled


def _check_asked(node: Node, unentered: Iterable[Charge]) -> None:
    """Whether the trail has the request that led to each charge that it does not have."""
    missing = {charge.spend.attempt for charge in unentered}
    if missing:
        missing -= {entry.attempt for entry in read(node.trail_path) if entry.event == "request"}
    if missing:
        raise _trail_error(
            node, f"knows nothing of {len(missing)} attempt(s) that the privacy ledger was charged for"
        )


def _not_sent(node: Node, charge: Charge) -> Mapping[str, Any]:
    """The entry of a charge whose process was killed before its answer was entered."""
    spend, consent = charge.spend, None
    if node.store.knows(spend.attempt):
        consent = node.store.attempt(spend.attempt).load(Begun).study.get("consent")
    return {
        "study": spend.study,
        "attempt": spend.attempt,
        "purpose": charge.purpose,
        "consent": consent,
        "action": _RECOVER,
        "event": "release",
        "counterparty": spend.counterparty,
        "kind": f"{NOT_SENT}.{spend.release}",
        "spend": spend.to_dict(),
    }


def _mark_entered(node: Node, spend: Spend) -> None:
    """Note in the attempt that the trail has the charge, so that an answer that comes after all charges nothing."""
    if not node.store.knows(spend.attempt):
        return
    state = node.store.attempt(spend.attempt)
    before = state.find(Charges) or Charges()
    spends = {**before.spends, spend.release: spend.to_dict()}
    state.save(Charges(spends=spends, entered=tuple(sorted({*before.entered, spend.release}))))


def _trail_error(node: Node, what: str) -> StoreError:
    return StoreError(
        f"the audit trail {node.trail_path} {what}. It was changed, cut off or lost, and nothing is charged or "
        "released on it: put back the whole trail with the files beside it, and look with 'fedrisk audit verify'; if "
        "there is no copy, 'fedrisk audit restore FILE --reason TEXT --who NAME' keeps the rest as evidence and "
        "begins a new one"
    )


def _ledger_error(node: Node, what: str) -> StoreError:
    return StoreError(
        f"the privacy ledger {node.store.ledger_path} does not agree with the audit trail: {what}. It was "
        "changed or put back from an older copy, and charges would be forgotten. Nothing is charged or released: put "
        "the latest ledger back with its guard; if there is none, 'fedrisk budget restore FILE --reason TEXT --who "
        "NAME' charges again all that the trail has"
    )
