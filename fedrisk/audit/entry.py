"""One entry of the audit trail: its fields, its form as a line of bytes, and how it is chained and signed.

Every entry holds the hash of the one before it (Haber & Stornetta 1991), so no entry can be changed, moved,
taken out or put in without all later hashes changing; signatures are Ed25519 (RFC 8032). One line of the file
is one entry, with the fields in the order of ``AuditEntry``, without spaces, in ASCII:

    {"format":2,"index":0,"time":...,...,"previous":HEX,"signature":HEX,"hash":HEX}

``hash`` is SHA-256 over a tag and the line's bytes before ``,"hash"``; it covers the signature. ``signature``
is over another tag and the bytes before ``,"signature"``; it is empty on entries that a later entry of the
same append signs. ``previous`` of the first entry is a hash of the institution's name and public key.

Two formats are read. In format 2, which is the one that is written, ``kind`` and ``protection`` are codes, so
that a wording can change, or be in another language, without the trail. In format 1 they are English
sentences, and there is no field ``format``. Everything else is the same, the hashes included, so a file that
begins in format 1 goes on in format 2 with one unbroken chain.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, get_args

from fedrisk.errors import ConfigError

Event = Literal[
    "request",
    "answer",
    "sent",
    "received",
    "release",
    "refusal",
    "score",
    "delivery",
    "resent",
    "note",
]
"""What happened.

``request``, ``answer``: a request came, and its answer went. ``sent``, ``received``: something went to, or
came from, another institution through the hub. ``release``: a release was charged. ``refusal``: a refusal was
given. ``score``: partial scores were computed for a bank. ``delivery``: scores arrived at this bank.
``resent``: the same request came once more, or its answer went once more: nothing new, so nobody counts it.
``note``: written by the log about itself; its kind is ``TORN_TAIL``, ``HEAD_MADE_ANEW``,
``CONTRADICTION_ANSWERED``, ``LEDGER_RESTORED``, ``TRAIL_BEGUN_ANEW``, ``IDENTITY_ROTATED`` or ``ROSTER_ACCEPTED``.
"""

FORMAT = 2
"""The format in which entries are written."""

TORN_TAIL = "torn_tail"
"""Kind of a note: the bytes of an append that a crash broke off were moved to a file beside the log."""

HEAD_MADE_ANEW = "head_made_anew"
"""Kind of a note: the head file was lost and was written again from the log."""

CONTRADICTION_ANSWERED = "contradiction_answered"
"""Kind of a note: a person answered for signed heads, of the counterparty, that contradict each other."""

LEDGER_RESTORED = "ledger_restored"
"""Kind of a note: a person went on with an older or a new ledger, charged again with what this trail has."""

TRAIL_BEGUN_ANEW = "trail_begun_anew"
"""Kind of a note: a person began this trail after the one before was changed or lost."""

IDENTITY_ROTATED = "identity_rotated"
"""Kind of a note: the institution changed its key. ``digest`` is the new public key, and the old one signs the note."""

ROSTER_ACCEPTED = "roster_accepted"
"""Kind of a note: an epoch of the consortium's roster was accepted, whose digest it has."""

# The tags of the hashes name version 1 in format 2 too: a line says its format itself, in its first field,
# and one set of tags keeps one chain.
_GENESIS = b"fedrisk audit log v1\n"
HASH, SIGNED = b"fedrisk audit entry v1\n", b"fedrisk audit signature v1\n"
_LONGEST = 200
_LONGEST_CODE = 100
_CODE = re.compile(r"[a-z][a-z0-9_]{0,47}(\.[a-z0-9_]{1,47})*")
_CODED = ("kind", "protection")
DRAFT = {
    **dict.fromkeys(("study", "attempt", "purpose", "action", "event", "counterparty"), ""),
    "kind": "",
    "protection": "",
    "digest": "",
    "bytes": 0,
    "rows": 0,
    "spend": None,
    "consent": None,
    "code": None,
}
_SPEND = {
    *("study", "attempt", "release", "population", "mu", "delta", "what"),
    *("institution", "counterparty", "research"),
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_SAYS_FORMAT = re.compile(rb'\{"format":([0-9]{1,9}),')
TAIL = re.compile(rb',"signature":"((?:[0-9a-f]{128})?)","hash":"([0-9a-f]{64})"\}')
_TAIL_BYTES = (len(',"signature":"","hash":""}') + 64, len(',"signature":"","hash":""}') + 64 + 128)


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One thing that happened at an institution; never an id, a label or a value.

    format: 2, or 1 for an entry that was written before there were codes.
    index: 0, 1, 2, ... time: UTC, ISO 8601 with milliseconds; never before the time of the entry before it.
    action: name of the handler. counterparty: who asked, or where something went to or came from.
    kind: what kind of thing it was, protection: how it was protected; each a code (see ``is_code``) or empty,
    in format 1 a sentence.
    digest: SHA-256 (hex) of what went, or empty. bytes: its size. rows: length of the lists that it was computed on,
    which is public; never how many of their enterprises the institution knows.
    spend: ``Spend.to_dict`` of what this entry charges; None where nothing is charged, and for a repeat.
    consent: reference to a consent. code: code of a refusal.
    note: written by the log; ``clock TIME`` where the machine's clock showed a time before the last entry's.
    """

    format: int
    index: int
    time: str
    institution: str
    study: str
    attempt: str
    purpose: str
    action: str
    event: Event
    counterparty: str
    kind: str
    protection: str
    digest: str
    bytes: int
    rows: int
    spend: dict[str, Any] | None
    consent: str | None
    code: str | None
    note: str
    previous: str
    signature: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """Fields as they are, for JSON."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = tuple(field.name for field in fields(AuditEntry))
_FIELDS_OF_1 = FIELDS[1:]
_EVENTS = frozenset(get_args(Event))
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(FIELDS, (str,)),
    **dict.fromkeys(("format", "index", "bytes", "rows"), (int,)),
    **dict.fromkeys(("consent", "code"), (str, type(None))),
    "spend": (dict, type(None)),
}
# The combinations of types that a line's fields may have.
_KINDS = frozenset(itertools.product(*(_TYPES[name] for name in FIELDS)))


@lru_cache(maxsize=1024)
def is_code(text: str) -> bool:
    """Whether a text is a code: words of ``a-z``, ``0-9`` and ``_`` joined by dots, at most 100 characters.

    The first word begins with a letter; it has at most 48 characters, each further one at most 47.

    >>> is_code("noisy_sums.counts"), is_code("noisy sums"), is_code("Sums"), is_code("")
    (True, False, False, False)
    """
    return len(text) <= _LONGEST_CODE and _CODE.fullmatch(text) is not None


def checked_draft(draft: Mapping[str, Any]) -> dict[str, Any]:
    """A draft with all its fields; ConfigError names the field, never its content."""
    if set(draft) - set(DRAFT):
        raise ConfigError(
            f"audit: a draft has {len(set(draft) - set(DRAFT))} fields that entries do not have; "
            f"they have {', '.join(DRAFT)}"
        )
    entry = {name: draft.get(name, default) for name, default in DRAFT.items()}
    _check_texts(entry)
    for name in ("bytes", "rows"):
        if type(entry[name]) is not int or not 0 <= entry[name] < 2**63:
            raise ConfigError(f"audit: {name} must be a whole number, 0 or more")
    if entry["spend"] is not None:
        entry["spend"] = _checked_spend(entry["spend"])
    return entry


def _check_texts(entry: Mapping[str, Any]) -> None:
    for name in ("study", "attempt", "purpose", "action", "counterparty", "kind", "protection", "digest"):
        check_text(name, entry[name], empty=name not in ("action", "counterparty"))
    if entry["event"] not in get_args(Event) or entry["event"] == "note":
        raise ConfigError(f"audit: event must be one of {', '.join(get_args(Event)[:-1])}")
    for name in _CODED:
        if entry[name] and not is_code(entry[name]):
            raise ConfigError(
                f"audit: {name} must be empty or a code of at most {_LONGEST_CODE} characters, such as "
                "masked_matrix or noisy_sums.counts; wordings belong in the report"
            )
    if entry["digest"] and not re.fullmatch("[0-9a-f]{64}", entry["digest"], re.ASCII):
        raise ConfigError("audit: digest must be a SHA-256 in 64 hexadecimal digits, or empty")
    for name in ("consent", "code"):
        if entry[name] is not None:
            check_text(name, entry[name])


def _checked_spend(spend: Any) -> dict[str, Any]:
    if not isinstance(spend, Mapping) or set(spend) != _SPEND:
        raise ConfigError("audit: spend must be what Spend.to_dict gives, or None")
    for name in sorted(_SPEND):
        value = spend[name]
        if name == "research":
            if not isinstance(value, bool):
                raise ConfigError("audit: spend.research must be true or false")
        elif name in ("mu", "delta"):
            real = type(value) in (int, float) and 0 <= value < float("inf")
            if not real and not (name == "mu" and value == "inf"):
                raise ConfigError(f"audit: spend.{name} must be a number, 0 or more")
        else:
            check_text(f"spend.{name}", value, empty=False)
    return {name: spend[name] for name in sorted(_SPEND)}


def check_text(name: str, value: Any, *, empty: bool = True) -> None:
    """ConfigError unless a field is one short line of text."""
    if not isinstance(value, str) or not (empty or value):
        raise ConfigError(f"audit: {name} must be a text{'' if empty else ' that is not empty'}")
    if len(value) > _LONGEST or not all(c.isprintable() for c in value):
        raise ConfigError(f"audit: {name} must be one line of at most {_LONGEST} characters; log no content")


def parse(line: bytes) -> dict[str, Any]:
    """The fields of an entry of either format, ``format`` first.

    ValueError, with the end of a sentence, unless every byte of the line is as it must be; LaterFormat for an
    entry that a later version wrote.
    """
    if not line.endswith(b"\n"):
        raise ValueError("is torn: its line has no end")
    says = _SAYS_FORMAT.match(line)
    if says and int(says.group(1)) > FORMAT:
        raise LaterFormat(
            f"says that it is of format {int(says.group(1))}, and this version of fedrisk knows formats 1 to "
            f"{FORMAT}: update fedrisk; if the newest version does not know the format, the entry was changed"
        )
    _, tail = cut(line)
    if hashlib.sha256(HASH + line[: tail.start(2) - len(',"hash":"')]).hexdigest().encode() != tail.group(2):
        raise ValueError("is not what its hash says")
    try:
        plain = _decode(line[:-1].decode("ascii"))
    except _Twice:
        raise ValueError("has a field twice") from None
    except ValueError:
        raise ValueError("is not JSON") from None
    return _checked_fields(plain)


def _checked_fields(decoded: Any) -> dict[str, Any]:
    """An entry's fields as decoded, with the format that a line of format 1 does not name."""
    plain: dict[str, Any] = decoded if isinstance(decoded, dict) else {}
    if tuple(plain) == _FIELDS_OF_1:
        plain = {"format": 1, **plain}
    elif tuple(plain) != FIELDS or plain["format"] != FORMAT:
        raise ValueError("does not have the form of an entry")
    if tuple(map(type, plain.values())) not in _KINDS or plain["event"] not in _EVENTS:
        raise ValueError("has a field of a wrong kind")
    if not _TIME.fullmatch(plain["time"]) or (plain["spend"] and plain["spend"].keys() != _SPEND):
        raise ValueError("has a field of a wrong kind")
    if plain["format"] != 1:
        for name in _CODED:
            if plain[name] and not is_code(plain[name]):
                raise ValueError(f"is of format {FORMAT}, and its {name} is not a code")
    return plain


class LaterFormat(ValueError):
    """An entry says that it is of a format that this version does not know."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object's fields, each once: one that is there twice could be read in two ways."""
    fields_of = dict(pairs)
    if len(fields_of) != len(pairs):
        raise _Twice
    return fields_of


class _Twice(ValueError):
    """A field is there twice in an object."""


def cut(line: bytes) -> tuple[bytes, re.Match[bytes]]:
    """A line's bytes before the signature, and the tail that holds signature and hash."""
    for size in _TAIL_BYTES:
        tail = TAIL.fullmatch(line, max(0, len(line) - 1 - size), len(line) - 1)
        if tail:
            return line[: tail.start()], tail
    raise ValueError("has no signature and hash at its end")


def body_of(line: bytes) -> bytes:
    """A line's bytes before the signature: what is signed, after the tag ``SIGNED``."""
    return cut(line)[0]


class Unlinked(ValueError):
    """An entry does not follow the one before it, so one of the two was changed."""


def check_link(entry: Mapping[str, Any], index: int, previous: str, moment: str, institution: str) -> None:
    """ValueError, with the end of a sentence, unless an entry follows the one before it."""
    if entry["index"] != index:
        raise ValueError(
            f"says that it is entry {entry['index']}: entries are missing, repeated or out of order"
        )
    if entry["institution"] != institution:
        raise ValueError("is of another institution")
    if entry["previous"] != previous:
        raise Unlinked(
            "does not follow the entry before it"
            if index
            else "does not begin a log of this institution and key"
        )
    if entry["time"] < moment:
        raise Unlinked("is earlier than the entry before it")


def genesis(institution: str, public: bytes) -> str:
    """What the first entry of a log has as ``previous``: SHA-256 (hex) of the institution's name and key."""
    return hashlib.sha256(_GENESIS + dump([institution, public.hex()]).encode()).hexdigest()


_decode = json.JSONDecoder(object_pairs_hook=_unique).decode
_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def dump(plain: Any) -> str:
    """JSON without spaces, in ASCII, keys in the order given."""
    return _encode(plain)
