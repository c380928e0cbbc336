"""Tokens of consent: their one form, who signed them, and what they say. What they are worth, `consent` decides.

A token is a JSON Web Signature in the compact form (RFC 7515) with the claims of a JSON Web Token (RFC 7519), signed
with Ed25519 (EdDSA, RFC 8037) by a register whose key the holder has pinned: enterprise (``sub``), bank (``aud``),
``purpose``, until (``exp``). What is taken is a narrow profile, as RFC 8725 advises:

* the header holds ``alg`` = "EdDSA", and may hold ``typ`` ("JWT" or "consent+jwt") and ``kid`` (RFC 7638 thumbprint of
  a pinned key). Whatever else it holds, such as keys, addresses of keys, ``crit`` or ``b64``, is refused: a key never
  comes from a token, and the algorithm never from its header;
* base64url is taken in its one form, JSON without repeated names, times as whole numbers.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fedrisk.alignment.ids import normalise
from fedrisk.elliptic.ed25519 import signed
from fedrisk.privacy.serving_policy import Register
from fedrisk.secure.keystream import encode_fields
from fedrisk.serving.codes import OK

LEEWAY: Final = 60
"""Seconds by which the clocks of register and holder may differ."""

MOST_TOKEN: Final = 4096
MOST_USES: Final = 1000
"""Most letters of a token, and most questions that one token may be used in."""

# The last group of base64url has its one form where the bits beyond the last byte are 0.
_GROUPS: Final = "(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?"
_COMPACT: Final = re.compile(
    rf"((?=[^.]{{2,700}}\.){_GROUPS})\.((?=[^.]{{2,4000}}\.){_GROUPS})\.([A-Za-z0-9_-]{{85}}[AQgw])"
)
_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
_MOST_BRACKETS = 64
_LEAST_ID = 8
_TYPES = ("jwt", "consent+jwt")


class Unfit(Exception):
    """A token is not taken. code: of `codes.ROWS`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Claims(NamedTuple):
    """What a register signed. start, end: seconds since 1970."""

    register: str
    digest: str
    enterprise: str
    bank: str
    purpose: str
    issued: int
    start: int
    end: int
    uses: int

    def mismatch(self, enterprise: str, asker: str, purpose: str, now: float, longest: int) -> str:
        """Code of the first thing that does not fit, or "". longest: seconds of validity that are taken."""
        if self.bank != asker:
            return "consent_bank"
        if spelt(enterprise) != self.enterprise:
            return "consent_enterprise"
        if self.purpose != purpose:
            return "consent_purpose"
        return self._out_of_time(now, longest)

    def _out_of_time(self, now: float, longest: int) -> str:
        if now < max(self.issued, self.start) - LEEWAY:
            return "consent_early"
        if now >= self.end + LEEWAY:
            return "consent_expired"
        return "consent_long" if self.end - min(self.issued, self.start) > longest else OK


class Token(NamedTuple):
    """A token of the right form that nobody has verified yet: whatever it says, anybody may have written.

    text: of the token; said: its payload; register, kid: that it names.
    """

    text: str
    said: dict[str, Any]
    register: str
    kid: str | None

    @classmethod
    def read(cls, text: str) -> "Token":
        """A token from its text; Unfit unless it has the one form."""
        head, payload, _ = segments(text)
        kid, said = _header(head), _json(_decoded(payload))
        return cls(text, said, _text(said, "iss"), kid)

    def keys(self, registers: Sequence[Register]) -> list[Register]:
        """The pinned keys that may have signed it."""
        return [r for r in registers if r.name == self.register and self.kid in (None, thumbprint(r.key))]

    def signed_by(self, key: str) -> bool:
        """Whether this key (64 hexadecimal digits) signed the very text of it."""
        return _signed(self.text, key)

    def claims(self, pinned: Register) -> Claims:
        """What it says, for the key that signed it; Unfit where something is missing or of another form."""
        said = self.said
        enterprise, jti = spelt(_text(said, "sub", printable=False)), _text(said, "jti")
        bank = said.get("aud")
        if isinstance(bank, list) and len(bank) == 1:
            bank = bank[0]
        issued, end = _time(said, "iat"), _time(said, "exp")
        start = _time(said, "nbf") if "nbf" in said else issued
        uses = said.get("uses", 1)
        if type(uses) is not int or not 1 <= uses <= MOST_USES or end <= max(issued, start):
            raise Unfit("consent_form")
        # The digest goes into the trail, where an id must not be found by trying ids out.
        told = len(enterprise) >= _LEAST_ID and enterprise in spelt(jti)
        if not isinstance(bank, str) or not enterprise or told:
            raise Unfit("consent_form")
        purpose, digest = _text(said, "purpose"), token_digest(pinned.name, jti)
        return Claims(pinned.name, digest, enterprise, bank, purpose, issued, start, end, uses)


def verified_payload(token: str, key: str) -> bytes:
    """Payload of a compact JWS that this key (64 hexadecimal digits) signed with EdDSA; ValueError for any other."""
    try:
        head, payload, _ = segments(token)
        if json.loads(_decoded(head)).get("alg") != "EdDSA":
            raise ValueError
    except (Unfit, ValueError, AttributeError):
        raise ValueError("the token has not the form of a signed token") from None
    if not _signed(token, key):
        raise ValueError("the token is not signed by this key")
    return _decoded(payload)


def segments(token: str) -> tuple[str, str, str]:
    """Header, payload and signature; Unfit unless each of the three is base64url in its one form."""
    match = _COMPACT.fullmatch(token) if len(token) <= MOST_TOKEN else None
    if match is None:
        raise Unfit("consent_form")
    head, payload, signature = match.groups()
    return head, payload, signature


def token_digest(register: str, jti: str) -> str:
    """Under which a token stands in book and trail: SHA-256 of register and ``jti``, hexadecimal.

    >>> len(token_digest("register", "1"))
    64
    """
    raw = encode_fields(b"fedrisk consent v1", register.encode(), jti.encode())
    return hashlib.sha256(raw).hexdigest()


@lru_cache(maxsize=64)
def thumbprint(key: str) -> str:
    """The ``kid`` of an Ed25519 public key (64 hexadecimal digits): its RFC 7638 thumbprint, base64url.

    >>> thumbprint("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k'
    """
    jwk = json.dumps(
        {"crv": "Ed25519", "kty": "OKP", "x": _base64url(bytes.fromhex(key))}, separators=(",", ":")
    )
    return _base64url(hashlib.sha256(jwk.encode()).digest())


def spelt(id: str) -> str:
    """An id in its one spelling, which is the same under all schemes; empty where there is none.

    >>> spelt("91350100m000100y43"), spelt(" 9135\uff10 ")
    ('91350100M000100Y43', '91350')
    """
    if id.isascii() and id.isprintable():
        # What `normalise` does with such a text, without the arrays that pay for long lists alone.
        return id.replace(" ", "").upper()
    return str(normalise([id], "opaque")[0][0])


# --- inside -------------------------------------------------------------------------------------------------


def _signed(token: str, key: str) -> bool:
    text, _, signature = token.rpartition(".")
    return signed(bytes.fromhex(key), _decoded(signature), text.encode("ascii"))


def _decoded(segment: str) -> bytes:
    """Bytes of a segment whose form was looked at before."""
    return binascii.a2b_base64(segment.encode().translate(_ALPHABET) + b"=" * (-len(segment) % 4))


@lru_cache(maxsize=64)
def _header(segment: str) -> str | None:
    """The ``kid``, or None; Unfit for a header outside the profile. A register's tokens have one and the same."""
    said = _json(_decoded(segment))
    known = all(isinstance(v, str) for v in said.values()) and said.keys() <= {"alg", "typ", "kid"}
    if not known or said.get("alg") != "EdDSA" or said.get("typ", "JWT").lower() not in _TYPES:
        raise Unfit("consent_form")
    return said.get("kid")


def _json(raw: bytes) -> dict[str, Any]:
    """A JSON object with each name once, no fractions and little nesting; Unfit for anything else."""
    if raw.count(b"[") + raw.count(b"{") > _MOST_BRACKETS:
        raise Unfit("consent_form")
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Unfit("consent_form") from None
    if not isinstance(found, dict):
        raise Unfit("consent_form")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _none_of(text: str) -> Any:
    raise ValueError(text)


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_float=_none_of, parse_constant=_none_of)


def _text(said: dict[str, Any], name: str, *, printable: bool = True) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= 128 or (printable and not value.isprintable()):
        raise Unfit("consent_form")
    return value


def _time(said: dict[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise Unfit("consent_form")
    return value


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
