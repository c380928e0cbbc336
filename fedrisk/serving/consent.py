"""Consents: what a holder asks to see before it answers about an enterprise, and how it checks that.

Under ``consent = "token"`` it is a JSON Web Signature in the compact form (RFC 7515) with the claims of a JSON Web
Token (RFC 7519), signed with Ed25519 (EdDSA, RFC 8037) by a register whose key the holder has pinned: enterprise
(``sub``), bank (``aud``), ``purpose``, until (``exp``). What is taken is a narrow profile, as RFC 8725 advises:

* the header holds ``alg`` = "EdDSA", and may hold ``typ`` ("JWT" or "consent+jwt") and ``kid`` (RFC 7638 thumbprint of
  a pinned key). Whatever else it holds, such as keys, addresses of keys, ``crit`` or ``b64``, is refused: a key never
  comes from a token, and the algorithm never from its header;
* base64url is taken in its one form, JSON without repeated names, times as whole numbers.

PyJWT's EdDSA verifies the signature. A token that was used up is found by `book.use_consent`, which counts by its
digest.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from fedrisk.alignment.ids import normalise
from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.secure.keystream import encode_fields
from fedrisk.serving.codes import OK

LEEWAY: Final = 60
"""Seconds by which the clocks of register and holder may differ."""

MOST_TOKEN: Final = 4096
MOST_REFERENCE: Final = 200
MOST_USES: Final = 1000
"""Most letters of a token and of a reference, and most questions that one token may be used in."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]{2,700})\.([A-Za-z0-9_-]{2,4000})\.([A-Za-z0-9_-]{86})")
_MOST_BRACKETS = 64
_LEAST_ID = 8
_TYPES = ("jwt", "consent+jwt")
_KEPT = 2048
_EDDSA = get_default_algorithms()["EdDSA"]


@dataclass(frozen=True)
class Checked:
    """What was found of one consent.

    Attributes:
        code: "" where it holds, else one of `codes.ROWS`.
        digest: by which the trail and the book know it, 64 hexadecimal digits; of a token SHA-256 of register and
            ``jti``. Empty where there is none, or nothing that a pinned register signed.
        uses: in how many questions a token may be used; 0 where nothing is counted.
        register: which one signed.
        reference: the text of a reference, which belongs in no trail: an id may stand in it.
    """

    code: str
    digest: str = ""
    uses: int = 0
    register: str = ""
    reference: str = ""


class Consents:
    """The consents that one policy asks for. Safe to use from several threads."""

    def __init__(self, serving: ServingPolicy, *, secret: bytes | None = None) -> None:
        """secret: 32 bytes of the institution's own, under which references are noted (`reference_digest`).

        Without it they are noted under one of this object's own, and can be told from each other, but never opened.
        """
        self._serving = serving
        self._secret = secret or secrets.token_bytes(32)
        self._read: dict[str, _Claims | str] = {}

    def check(
        self,
        token: str,
        *,
        enterprise: str,
        asker: str,
        purpose: str,
        now: float,
        always: bool = False,
        scores: bool = True,
    ) -> Checked:
        """Whether a consent holds for this enterprise, bank and purpose at this time; never raises.

        always: a token has to come, whatever the policy asks for. scores: whether it is asked for scores. enterprise:
        as the bank wrote it or as the dictionary spells it, which is compared alike.
        """
        rule = self._serving.consent_for(purpose, scores=scores)
        if rule == "none" and not always:
            return Checked(OK)
        if not token.strip():
            return Checked("consent_missing")
        if rule == "reference" and not always:
            return self._noted(token)
        found = self._claims(token)
        if isinstance(found, str):
            return Checked(found)
        day = datetime.fromtimestamp(now, UTC).date()
        if found.last_day is not None and day > found.last_day:
            return Checked("consent_register")
        code = found.mismatch(enterprise, asker, purpose, now, 86400 * self._serving.consent_days)
        return Checked(code, found.digest, 0 if code else found.uses, found.register)

    def _noted(self, text: str) -> Checked:
        # One text goes to all holders of a model: where another asks for a token, it stands here as a reference.
        if not (len(text) <= MOST_REFERENCE and text.isprintable()) and not (
            len(text) <= MOST_TOKEN and _COMPACT.fullmatch(text)
        ):
            return Checked("consent_form")
        return Checked(OK, reference_digest(self._secret, text.strip()), reference=text.strip())

    def _claims(self, token: str) -> "_Claims | str":
        """Claims of a token, or the code of its fault; what does not depend on the time or the row is done once."""
        if (known := self._read.get(token)) is not None:
            return known
        try:
            found: _Claims | str = _verified(token, self._serving.registers)
        except _Refused as refused:
            found = refused.code
        if len(self._read) >= _KEPT:
            self._read.clear()
        self._read[token] = found
        return found


def reference_digest(secret: bytes, text: str) -> str:
    """Under which a reference stands in the trail: HMAC-SHA256 (RFC 2104), hexadecimal.

    With the secret an institution recognises a reference that a bank shows it later. Without it nobody who reads the
    trail can try out ids or contract numbers.
    """
    return hmac.new(secret, encode_fields(b"fedrisk reference v1", text.encode()), "sha256").hexdigest()


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


def verified_payload(token: str, key: str) -> bytes:
    """Payload of a compact JWS that this key (64 hexadecimal digits) signed with EdDSA; ValueError for any other."""
    try:
        head, payload, signature = _segments(token)
        if json.loads(head).get("alg") != "EdDSA":
            raise ValueError
    except (_Refused, ValueError, AttributeError):
        raise ValueError("the token has not the form of a signed token") from None
    if not _signed(token, signature, key):
        raise ValueError("the token is not signed by this key")
    return payload


# --- inside -------------------------------------------------------------------------------------------------


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class _Claims:
    """Of a token whose signature holds. start, end: seconds since 1970. last_day: of the key that signed it."""

    register: str
    digest: str
    enterprise: str
    bank: str
    purpose: str
    issued: int
    start: int
    end: int
    uses: int
    last_day: date | None

    def mismatch(self, enterprise: str, asker: str, purpose: str, now: float, longest: int) -> str:
        """Code of the first thing that does not fit, or ""."""
        faults = (
            ("consent_bank", self.bank != asker),
            ("consent_enterprise", _spelt(enterprise) != self.enterprise),
            ("consent_purpose", self.purpose != purpose),
            ("consent_early", now < max(self.issued, self.start) - LEEWAY),
            ("consent_expired", now >= self.end + LEEWAY),
            ("consent_long", self.end - min(self.issued, self.start) > longest),
        )
        return next((code for code, found in faults if found), OK)


def _verified(token: str, registers: Sequence[Register]) -> _Claims:
    """Claims of a token that a pinned register signed; _Refused with the code else."""
    head, payload, signature = _segments(token)
    kid = _header(head)
    said = _json(payload)
    register = _text(said, "iss")
    for pinned in registers:
        named = pinned.name == register and kid in (None, thumbprint(pinned.key))
        if named and _signed(token, signature, pinned.key):
            return _read_claims(said, pinned)
    raise _Refused("consent_register")


def _signed(token: str, signature: bytes, key: str) -> bool:
    """Whether this key signed the token's header and payload, whose form was looked at before."""
    try:
        return bool(_EDDSA.verify(token.rpartition(".")[0].encode("ascii"), _public(key), signature))
    except (PyJWTError, ValueError):
        return False


def _read_claims(said: dict[str, Any], pinned: Register) -> _Claims:
    enterprise, jti = _spelt(_text(said, "sub", printable=False)), _text(said, "jti")
    bank = said.get("aud")
    if isinstance(bank, list) and len(bank) == 1:
        bank = bank[0]
    issued, end = _time(said, "iat"), _time(said, "exp")
    start = _time(said, "nbf") if "nbf" in said else issued
    uses = said.get("uses", 1)
    if type(uses) is not int or not 1 <= uses <= MOST_USES or end <= max(issued, start):
        raise _Refused("consent_form")
    # The digest goes into the trail, where an id must not be found by trying ids out.
    told = len(enterprise) >= _LEAST_ID and enterprise in _spelt(jti)
    if not isinstance(bank, str) or not enterprise or told:
        raise _Refused("consent_form")
    purpose, digest = _text(said, "purpose"), token_digest(pinned.name, jti)
    return _Claims(pinned.name, digest, enterprise, bank, purpose, issued, start, end, uses, pinned.until)


def _segments(token: str) -> tuple[bytes, bytes, bytes]:
    """Header, payload and signature; _Refused unless each of the three segments is base64url in its one form."""
    match = _COMPACT.fullmatch(token) if len(token) <= MOST_TOKEN else None
    if match is None:
        raise _Refused("consent_form")
    try:
        parts = [base64.urlsafe_b64decode(s + "=" * (-len(s) % 4)) for s in match.groups()]
    except (ValueError, binascii.Error):
        raise _Refused("consent_form") from None
    if tuple(_base64url(part) for part in parts) != match.groups():
        raise _Refused("consent_form")
    return parts[0], parts[1], parts[2]


@lru_cache(maxsize=64)
def _header(raw: bytes) -> str | None:
    """The ``kid``, or None; _Refused for a header outside the profile. A register's tokens have one and the same."""
    said = _json(raw)
    known = all(isinstance(v, str) for v in said.values()) and said.keys() <= {"alg", "typ", "kid"}
    if not known or said.get("alg") != "EdDSA" or said.get("typ", "JWT").lower() not in _TYPES:
        raise _Refused("consent_form")
    return said.get("kid")


def _json(raw: bytes) -> dict[str, Any]:
    """A JSON object with each name once, no fractions and little nesting; _Refused for anything else."""
    if raw.count(b"[") + raw.count(b"{") > _MOST_BRACKETS:
        raise _Refused("consent_form")
    try:
        found = _DECODER.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Refused("consent_form") from None
    if not isinstance(found, dict):
        raise _Refused("consent_form")
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
        raise _Refused("consent_form")
    return value


def _time(said: dict[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value < 1 << 40:
        raise _Refused("consent_form")
    return value


def _spelt(id: str) -> str:
    """An id in its one spelling, which is the same under all schemes; empty where there is none.

    >>> _spelt("91350100m000100y43"), _spelt(" 9135\uff10 ")
    ('91350100M000100Y43', '91350')
    """
    if id.isascii() and id.isalnum():
        return id.upper()
    return str(normalise([id], "opaque")[0][0])


@lru_cache(maxsize=64)
def _public(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
