"""Keys of institutions and hub: a pinned Ed25519 identity, and X25519 keys that live for one attempt.

The identity key of an institution, and that of the hub, is pinned at registration and only signs. For every
attempt it signs a fresh X25519 key together with its owner's name, the study and the attempt. The hub relays the
institutions' keys and can neither change them nor bring in other ones. Secrets and envelopes depend on the fresh
keys, so they are lost for good when the attempt's keys are deleted (forward secrecy; the sign-then-Diffie-Hellman
idea of Diffie, van Oorschot & Wiener 1992). The hub's own fresh key is never written to a disk.

Ed25519: RFC 8032. X25519: RFC 7748. HKDF: RFC 5869.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedrisk.elliptic.ed25519 import signed
from fedrisk.errors import EnvelopeError, StoreError
from fedrisk.secure.keystream import encode_fields

HUB = "hub"
"""The name under which the hub signs and opens envelopes; no institution may have it."""

_SIGNED = b"fedrisk attempt key v1"
_PAIR = b"fedrisk pair secret v1"
_STORED = b"fedrisk stored attempt key v1"


@dataclass(frozen=True)
class IdentityKey:
    """The Ed25519 key of an institution or of the hub; 32 private bytes that never leave its machine."""

    private: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> IdentityKey:
        """A fresh key from the operating system's randomness."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> IdentityKey:
        """Read a key that ``save`` wrote; StoreError if it is missing, damaged or readable by others."""
        return cls(_read_private(Path(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the key with mode 0600, complete or not at all; StoreError if the file exists."""
        _write_private(Path(path), self.private)

    @property
    def public(self) -> bytes:
        """The 32 bytes to pin."""
        return Ed25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes; the caller puts a domain-separation tag in the message."""
        return Ed25519PrivateKey.from_private_bytes(self.private).sign(message)


@dataclass(frozen=True)
class SignedKey:
    """The public half of an attempt's key, signed by the institution's identity key."""

    institution: str
    study_digest: str
    attempt: str
    public: bytes
    signature: bytes

    def to_dict(self) -> dict[str, str]:
        """Plain dictionary for JSON; bytes in hexadecimal."""
        return {
            "institution": self.institution,
            "study_digest": self.study_digest,
            "attempt": self.attempt,
            "public": self.public.hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> SignedKey:
        """Inverse of ``to_dict``; EnvelopeError if malformed. Verify the result with ``verify``."""
        try:
            institution, digest, attempt = data["institution"], data["study_digest"], data["attempt"]
            public, signature = bytes.fromhex(data["public"]), bytes.fromhex(data["signature"])
        except (KeyError, TypeError, ValueError):
            raise EnvelopeError("a signed key is malformed; ask its institution to send it again") from None
        if not all(isinstance(name, str) for name in (institution, digest, attempt)):
            raise EnvelopeError("a signed key is malformed; ask its institution to send it again")
        if len(public) != 32 or len(signature) != 64:
            raise EnvelopeError("a signed key has the wrong length; ask its institution to send it again")
        return cls(institution, digest, attempt, public, signature)


@dataclass(frozen=True)
class EphemeralKey:
    """The private half, for one attempt; kept on a node's own disk until the study ends, at the hub in memory alone."""

    institution: str
    study_digest: str
    attempt: str
    private: bytes = field(repr=False)

    @classmethod
    def generate(
        cls, identity: IdentityKey, institution: str, study_digest: str, attempt: str
    ) -> tuple[EphemeralKey, SignedKey]:
        """A fresh X25519 key for this attempt, and its public half signed by ``identity``.

        >>> identity = IdentityKey.generate()
        >>> own, signed = EphemeralKey.generate(identity, "bank", "0" * 64, "1")
        >>> verify(signed, identity.public, "bank", "0" * 64, "1") == signed
        True
        """
        own = cls(institution, study_digest, attempt, X25519PrivateKey.generate().private_bytes_raw())
        return own, own.signed(identity)

    def signed(self, identity: IdentityKey) -> SignedKey:
        """The public half, signed by ``identity``; the same bytes each time."""
        public = self.public
        signature = identity.sign(_statement(self.institution, self.study_digest, self.attempt, public))
        return SignedKey(self.institution, self.study_digest, self.attempt, public, signature)

    @property
    def public(self) -> bytes:
        """The 32 public bytes."""
        return _x25519_public(self.private)

    def to_bytes(self) -> bytes:
        """Form for the node's own disk; it holds the private key unencrypted."""
        names = (self.institution.encode(), self.study_digest.encode(), self.attempt.encode())
        return encode_fields(_STORED, *names, self.private)

    @classmethod
    def from_bytes(cls, data: bytes) -> EphemeralKey:
        """Inverse of ``to_bytes``; StoreError if damaged."""
        parts: list[bytes] = []
        rest = data
        while rest:
            size = int.from_bytes(rest[:4], "big")
            parts.append(rest[4 : 4 + size])
            rest = rest[4 + size :]
        if len(parts) != 5 or len(parts[4]) != 32 or encode_fields(*parts) != data or parts[0] != _STORED:
            raise StoreError("a stored attempt key is damaged; start a new attempt of the study")
        try:
            return cls(parts[1].decode(), parts[2].decode(), parts[3].decode(), parts[4])
        except UnicodeDecodeError:
            raise StoreError("a stored attempt key is damaged; start a new attempt of the study") from None


def verify(
    signed_key: SignedKey, pinned: bytes, institution: str, study_digest: str, attempt: str
) -> SignedKey:
    """The key, if the pinned identity signed it for this institution, study and attempt.

    Use no relayed key before this.

    Raises:
        EnvelopeError: names the institution and the remedy.
    """
    stated = (signed_key.institution, signed_key.study_digest, signed_key.attempt)
    if stated != (institution, study_digest, attempt):
        raise EnvelopeError(
            f"the attempt key relayed for {institution} is for another institution, study or attempt; "
            "start a new attempt, and inform the consortium's operator if it happens again"
        )
    statement = _statement(institution, study_digest, attempt, signed_key.public)
    if not signed(pinned, signed_key.signature, statement):
        raise EnvelopeError(
            f"the attempt key relayed for {institution} is not signed by its pinned identity key; compare "
            f"the pinned key with {institution} by another channel before any new attempt"
        )
    return signed_key


def pair_secret(own: EphemeralKey, peer: SignedKey) -> bytes:
    """32 bytes that ``own`` and ``peer`` share, and nobody else; ``peer`` must have passed ``verify``.

    HKDF-SHA256 over the X25519 shared secret, bound to both names and public keys (sorted by name), study
    and attempt.

    Raises:
        EnvelopeError: the peer is of another study or attempt, is the owner itself, or has a degenerate key
            (all-zero shared secret, RFC 7748 section 6.1).
    """
    if (peer.study_digest, peer.attempt) != (own.study_digest, own.attempt):
        raise EnvelopeError(f"the key of {peer.institution} is for another study or attempt; relay it again")
    if peer.institution == own.institution or peer.public == own.public:
        raise EnvelopeError(
            f"{own.institution} cannot share a pair secret with itself; check the relayed keys"
        )
    try:
        private = X25519PrivateKey.from_private_bytes(own.private)
        shared = private.exchange(X25519PublicKey.from_public_bytes(peer.public))
    except ValueError:
        # The library refuses an all-zero result.
        shared = bytes(32)
    if shared == bytes(32):
        raise EnvelopeError(f"the key of {peer.institution} is degenerate; ask for a new attempt key")
    ends = sorted([(own.institution.encode(), own.public), (peer.institution.encode(), peer.public)])
    info = encode_fields(_PAIR, *ends[0], *ends[1], own.study_digest.encode(), own.attempt.encode())
    return HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared)


def _statement(institution: str, study_digest: str, attempt: str, public: bytes) -> bytes:
    """What the identity key signs: domain-separation tag, names, key."""
    return encode_fields(_SIGNED, institution.encode(), study_digest.encode(), attempt.encode(), public)


def _x25519_public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _write_private(path: Path, private: bytes) -> None:
    """Write a whole temporary file, then link it: the key appears complete, and never replaces another."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(handle, private.hex().encode() + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        try:
            os.link(temporary, path)
        finally:
            temporary.unlink()
    except FileExistsError:
        raise StoreError(f"{path} exists; a key is never overwritten, move the old one away first") from None
    except OSError as error:
        raise StoreError(f"cannot write the key file {path}: {error.strerror}; check the folder") from None


def _read_private(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise StoreError(f"{path} is open to other users; run chmod 600 on it, or make a new key")
        private = bytes.fromhex(path.read_text("ascii").strip())
    except OSError as error:
        raise StoreError(f"cannot read the key file {path}: {error.strerror}; check the path") from None
    except ValueError:
        private = b""
    if len(private) != 32:
        raise StoreError(f"{path} holds no key; restore it from its copy, or register a new key")
    return private
