"""One institution's signed table of what left it, and what came in, in one attempt at a study.

Whoever holds the tables of all members can say who saw what, and whether they agree (``crosscheck``), without anybody's
trail. A table says no more than the hub knows that relayed it all: kinds and protections as codes, digests and sizes of
messages, prices, and the places of these entries in the trail. No id, no value, no note of the institution's people is
in it. With it goes the signed head of the trail as it was then: a trail that is handed over later has to hold to both.

Signatures: Ed25519 (RFC 8032).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fedrisk.audit.crosscheck import SHOWS
from fedrisk.audit.entry import FORMAT, AuditEntry, check_text, dump, is_code
from fedrisk.audit.log import Signer
from fedrisk.audit.signed_head import SignedHead
from fedrisk.audit.usage import price
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import ConfigError, EnvelopeError

ACTION = "disclosures"
"""The action by which a hub asks for a table; entries of it are in no table."""

TABLES_FILE = "disclosures.json"
"""Name of a file with the tables of a study's members."""

MOST_LINES = 1 << 18
"""More lines than any attempt has."""

_TAG = b"fedrisk audit table v1\n"
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?", re.ASCII)
_FIELDS = {"institution", "study", "attempt", "key", "head", "lines", "signature"}


@dataclass(frozen=True, kw_only=True)
class TableLine:
    """One entry of the trail, without its time, its consent and whatever else is the institution's own.

    index: its place in the trail. mu: what it charges, infinite without privacy, None where it charges nothing. Other
    fields as in ``AuditEntry``.
    """

    institution: str
    attempt: str
    index: int
    event: str
    counterparty: str
    kind: str
    protection: str
    digest: str
    bytes: int
    mu: float | None

    @property
    def format(self) -> int:
        """Kinds are codes, as in entries of this format."""
        return FORMAT

    @property
    def spend(self) -> dict[str, Any] | None:
        """The price in the form of an entry's."""
        return None if self.mu is None else {"mu": self.mu, "research": False}

    def plain(self) -> list[Any]:
        """The line as JSON has it: what is the table's own left out."""
        mu = "inf" if self.mu == math.inf else self.mu
        what = [self.kind, self.protection, self.digest, self.bytes, mu]
        return [self.index, self.event, self.counterparty, *what]


def lines_of(entries: Iterable[AuditEntry], attempt: str) -> tuple[TableLine, ...]:
    """The lines of an attempt's table, from entries of one trail: whatever names a kind and went out or came in."""
    return tuple(
        TableLine(
            institution=entry.institution,
            attempt=attempt,
            index=entry.index,
            event=entry.event,
            counterparty=entry.counterparty,
            kind=entry.kind,
            protection=entry.protection,
            digest=entry.digest,
            bytes=entry.bytes,
            mu=None if entry.spend is None else price(entry),
        )
        for entry in entries
        if entry.attempt == attempt
        and entry.event in (*SHOWS, "received")
        and entry.kind
        and entry.format == FORMAT
        and entry.action != ACTION
    )


@dataclass(frozen=True, kw_only=True)
class SignedTable:
    """The table of one institution for one attempt.

    key: its Ed25519 public key, hexadecimal: compare it with the pinned one. head: where its trail ended when the table
    was made, signed for the attempt. signature: over everything else, hexadecimal.
    """

    institution: str
    study: str
    attempt: str
    key: str
    head: SignedHead
    lines: tuple[TableLine, ...]
    signature: str

    @classmethod
    def sign(
        cls, study: str, attempt: str, head: SignedHead, lines: tuple[TableLine, ...], identity: Signer
    ) -> SignedTable:
        """The table of the institution whose signed head this is."""
        table = cls(
            institution=head.institution,
            study=study,
            attempt=attempt,
            key=identity.public.hex(),
            head=head,
            lines=lines,
            signature="",
        )
        return cls(**{**vars(table), "signature": identity.sign(table.statement()).hex()})

    def statement(self) -> bytes:
        """The bytes that are signed: a tag, and all fields but the signature."""
        head = json.loads(self.head.to_json())
        lines = [line.plain() for line in self.lines]
        return _TAG + dump([self.institution, self.study, self.attempt, self.key, head, lines]).encode()

    def holds(self, public: bytes) -> bool:
        """Whether this public key (32 bytes) signed the table and the head in it."""
        mine = self.key == public.hex() and self.head.holds(public)
        return mine and signed_in_hex(public, self.signature, self.statement())

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ``from_dict`` reads it back."""
        return {
            "institution": self.institution,
            "study": self.study,
            "attempt": self.attempt,
            "key": self.key,
            "head": json.loads(self.head.to_json()),
            "lines": [line.plain() for line in self.lines],
            "signature": self.signature,
        }

    @classmethod
    def from_dict(cls, plain: Any) -> SignedTable:
        """Inverse of ``to_dict``; EnvelopeError where it is malformed. Nothing is verified yet: call ``holds``."""
        try:
            return _checked(plain)
        except (ConfigError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise EnvelopeError(
                "a table of what left an institution is malformed; ask its institution for it again"
            ) from None


def tables_to_json(tables: Iterable[SignedTable]) -> bytes:
    """Signed tables as a file."""
    return json.dumps({"tables": [table.to_dict() for table in tables]}).encode() + b"\n"


def tables_from_json(content: bytes) -> tuple[SignedTable, ...]:
    """Inverse of `tables_to_json`, nothing verified; ValueError, TypeError, KeyError or EnvelopeError."""
    return tuple(SignedTable.from_dict(plain) for plain in json.loads(content)["tables"])


def _checked(plain: Mapping[str, Any]) -> SignedTable:
    """A table with every field looked at; ValueError, ConfigError or TypeError where one is not as it has to be."""
    if set(plain) != _FIELDS or not isinstance(plain["lines"], list) or len(plain["lines"]) > MOST_LINES:
        raise ValueError
    for name in ("institution", "study", "attempt"):
        check_text(name, plain[name], empty=False)
    institution, attempt, head = plain["institution"], plain["attempt"], plain["head"]
    if len(bytes.fromhex(plain["key"])) != 32 or len(bytes.fromhex(plain["signature"])) != 64:
        raise ValueError
    signed = SignedHead.from_json(json.dumps(head))
    if (signed.institution, signed.attempt) != (institution, attempt):
        raise ValueError
    lines = tuple(_line(line, institution, attempt) for line in plain["lines"])
    places = [-1, *(line.index for line in lines), signed.count]
    if any(later <= earlier for earlier, later in pairwise(places)):
        raise ValueError
    return SignedTable(**{**plain, "head": signed, "lines": lines})


def _line(plain: list[Any], institution: str, attempt: str) -> TableLine:
    index, event, counterparty, kind, protection, digest, size, mu = plain
    if event not in (*SHOWS, "received") or not _DIGEST.fullmatch(digest):
        raise ValueError
    check_text("counterparty", counterparty, empty=False)
    if not is_code(kind) or not (protection == "" or is_code(protection)):
        raise ValueError
    if any(type(number) is not int or not 0 <= number < 1 << 63 for number in (index, size)):
        raise ValueError
    if mu == "inf":
        mu = math.inf
    elif mu is not None and not (type(mu) in (int, float) and 0 <= mu < math.inf):
        raise ValueError
    return TableLine(
        institution=institution,
        attempt=attempt,
        index=index,
        event=event,
        counterparty=counterparty,
        kind=kind,
        protection=protection,
        digest=digest,
        bytes=size,
        mu=None if mu is None else float(mu),
    )
