"""One common view: what the hub tells all members alike, numbered, in one running digest.

What all members have to see alike (roster, keys, features, counts of rows, released totals, what follows from them)
goes out in *parts*, each under a number and a name. Every member extends its digest by each part in turn, in the way of
a hash chain (Haber & Stornetta 1991), and confirms it to each other member by a message authentication code under a key
that only the two have (HMAC, RFC 2104; key by HKDF, RFC 5869). The hub relays these codes and cannot make one.

Hub and members make the same digests by the same code, here. What a member does with them is in clients/common_view.
"""

import hashlib
import hmac
import struct
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrisk.errors import ProtocolError
from fedrisk.protocol.payload import Payload
from fedrisk.secure.keystream import encode_fields

COMMON, CONFIRMED, CONFIRM = "common", "confirmed", "confirm"
"""Fields of a message: parts of the view; other members' codes in a request; a member's codes in its answer."""

_BLOBS = "common/"
_VIEW, _KEY, _CODE = (
    b"fedrisk common view v1",
    b"fedrisk view confirmation key v1",
    b"fedrisk view confirmation v1",
)


@dataclass(frozen=True)
class Part:
    """One part of the view: its number (from 1 on), its name, and its content."""

    number: int
    name: str
    content: Payload


def first_digest(study_digest: str, attempt: str) -> str:
    """The view before anything was told, hexadecimal."""
    return hashlib.sha256(encode_fields(_VIEW, study_digest.encode(), attempt.encode())).hexdigest()


def next_digest(before: str, part: Part) -> str:
    """The view's digest with one part more, hexadecimal."""
    fields = (
        before.encode(),
        struct.pack(">Q", part.number),
        part.name.encode(),
        part.content.digest().encode(),
    )
    return hashlib.sha256(encode_fields(_VIEW, *fields)).hexdigest()


def confirmation(secret: bytes, *, sender: str, receiver: str, number: int, digest: str) -> str:
    """Code by which ``sender`` tells ``receiver`` that its view up to part ``number`` has this digest.

    secret: of the pair, at least 32 bytes, known to these two alone (secure/identity.pair_secret).
    """
    key = HKDF(hashes.SHA256(), 32, salt=None, info=_KEY).derive(secret)
    fields = (sender.encode(), receiver.encode(), struct.pack(">Q", number), digest.encode())
    return hmac.new(key, encode_fields(_CODE, *fields), hashlib.sha256).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two codes are equal, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def with_parts(payload: Payload, parts: list[Part], codes: Mapping[str, Mapping[str, Any]]) -> Payload:
    """A request with parts of the view, and other members' codes for its receiver."""
    body = dict(payload.body)
    blobs: dict[str, Any] = {}
    if parts:
        body[COMMON] = [{"number": p.number, "name": p.name, "content": dict(p.content.body)} for p in parts]
        blobs = {f"{_BLOBS}{p.number}/{n}": b for p in parts for n, b in p.content.blobs.items()}
    if codes:
        body[CONFIRMED] = {name: dict(code) for name, code in codes.items()}
    # Relayed envelopes are fetched when the message is sent, one message at a time.
    return Payload(body, ChainMap(blobs, payload.blobs) if blobs else payload.blobs)  # type: ignore[arg-type]


def split(request: Payload) -> tuple[Payload, list[Part], dict[str, Any]]:
    """A request without its parts and codes, the parts, and the codes by sender; ProtocolError where malformed."""
    body = dict(request.body)
    told, codes = body.pop(COMMON, []), body.pop(CONFIRMED, {})
    if not isinstance(told, list) or not isinstance(codes, dict):
        raise malformed()
    blobs = {name: blob for name, blob in request.blobs.items() if not name.startswith(_BLOBS)}
    shared = {name: blob for name, blob in request.blobs.items() if name.startswith(_BLOBS)}
    parts = []
    for item in told:
        if not isinstance(item, dict) or set(item) != {"number", "name", "content"}:
            raise malformed()
        number, name, content = item["number"], item["name"], item["content"]
        if type(number) is not int or not isinstance(name, str) or not isinstance(content, dict):
            raise malformed()
        start = f"{_BLOBS}{number}/"
        own = {n.removeprefix(start): shared.pop(n) for n in list(shared) if n.startswith(start)}
        parts.append(Part(number, name, Payload(content, own)))
    if shared:
        raise malformed()
    return Payload(body, blobs, protocol=request.protocol), parts, codes


def malformed() -> ProtocolError:
    """The error for parts or codes that are not of the form."""
    return ProtocolError(
        "what the hub tells all members alike is malformed; hub and institution must run the same version. "
        "Nothing was used of the message"
    )
