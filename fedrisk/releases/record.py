"""The record of a study: every number that was released, with its variance, its price and what gives it meaning.

Whatever is computed from released numbers costs no further privacy (post-processing; Dwork & Roth 2014, section 2.1).
So a study's record is kept with its results: the card can be fitted again, a later study can remember it, a member can
check what the hub says. A record is one file, NumPy's ``.npz``: arrays as they are and everything else as JSON; nothing
in it is pickled. The hub signs its digest (Ed25519, RFC 8032).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import ConfigError, EnvelopeError
from fedrisk.files import write_atomic

VERSION = 2
"""Newest format that is read. A record of a scorecard with pairs is of version 2: programs that do not know of them
would fit another card to it and not notice. All others are of version 1."""

FILE = "release_record.npz"
_SIGNED = b"fedrisk release record v1\n"


class Signer(Protocol):
    """Holds an Ed25519 key, as :class:`fedrisk.secure.identity.IdentityKey` does."""

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""


@dataclass(frozen=True, kw_only=True)
class ReleasedBlock:
    """One array of a release, added up over its contributors.

    total: in plain units. variance: of the noise in each number, None where it is not known. left, right: owners
    (roles) of the matrices whose product it is.
    """

    name: str
    left: str
    right: str
    total: NDArray[np.float64]
    variance: float | None


@dataclass(frozen=True, kw_only=True)
class ReleasedSums:
    """One release: its blocks, its price and the Spends with which it came.

    about: what else gives it meaning (bins, who contributed, score edges).
    """

    name: str
    population: str
    mu: float
    blocks: tuple[ReleasedBlock, ...]
    spends: tuple[Mapping[str, Any], ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def block(self, name: str) -> ReleasedBlock:
        """The block of that name; ConfigError where there is none."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise ConfigError(f"release {self.name} of the record has no block {name}")


@dataclass(frozen=True, kw_only=True)
class ReleaseRecord:
    """Everything that one attempt at a study released.

    study: the study as JSON, with its digest. research: numbers without privacy (``notice`` says so). context: public
    things that numbers refer to: bins, bases, design of a model. hub, signature: the hub's public key and its signature
    over :meth:`digest`, hexadecimal; empty before it is signed.
    """

    study: Mapping[str, Any]
    study_digest: str
    attempt: str
    research: bool
    notice: str | None = None
    releases: tuple[ReleasedSums, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    hub: str = ""
    signature: str = ""

    def find(self, name: str) -> ReleasedSums | None:
        """The release of that name, or None."""
        return next((r for r in self.releases if r.name == name), None)

    def release(self, name: str) -> ReleasedSums:
        """The release of that name; ConfigError where there is none."""
        found = self.find(name)
        if found is None:
            known = ", ".join(r.name for r in self.releases) or "none"
            raise ConfigError(f"the record has no release {name} (it has: {known})")
        return found

    def with_release(self, released: ReleasedSums, **context: Any) -> ReleaseRecord:
        """The record with one release more, and more context; unsigned."""
        releases = (*(r for r in self.releases if r.name != released.name), released)
        return replace(self, releases=releases, context={**self.context, **context}, hub="", signature="")

    @property
    def spends(self) -> list[dict[str, Any]]:
        """Prices of all releases, in the order in which they were made."""
        return [dict(spend) for released in self.releases for spend in released.spends]

    def digest(self) -> str:
        """SHA-256 (hex) over everything but the signature."""
        state = hashlib.sha256(_dump(self._head()).encode())
        for name, array in self._arrays().items():
            state.update(f"{name}:{array.dtype.str}{array.shape}:".encode())
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()

    def signed(self, hub: Signer) -> ReleaseRecord:
        """The record signed by the hub."""
        bare = replace(self, hub=hub.public.hex(), signature="")
        return replace(bare, signature=hub.sign(_SIGNED + bare.digest().encode()).hex())

    def verify(self, hub: bytes | None = None) -> None:
        """EnvelopeError unless the record is as the hub signed it.

        hub: the hub's pinned Ed25519 key (32 bytes); None takes the key in the record, which shows only that the record
        was not changed by anybody who lacks that key.
        """
        if hub is not None and self.hub != hub.hex():
            raise EnvelopeError("the record is signed by another hub than the pinned one; ask the operator")
        bare = replace(self, signature="")
        if not signed_in_hex(self.hub, self.signature, _SIGNED + bare.digest().encode()):
            raise EnvelopeError(
                "the release record is not what the hub signed: it was changed, or never signed; take another copy"
            )

    def to_bytes(self) -> bytes:
        """The file's content."""
        out = io.BytesIO()
        text = _dump({**self._head(), "signature": self.signature})
        arrays: dict[str, Any] = {"json": np.frombuffer(text.encode(), np.uint8), **self._arrays()}
        np.savez_compressed(out, **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> ReleaseRecord:
        """Inverse of :meth:`to_bytes`; ConfigError where the content is no record, or of a later version.

        Not verified: see :meth:`verify`.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                head = json.loads(file["json"].tobytes())
                if head["version"] > VERSION:
                    raise ConfigError(
                        f"the release record has format {head['version']} and this fedrisk reads up to {VERSION}; "
                        "update fedrisk"
                    )
                releases = tuple(_release_from(plain, file) for plain in head.pop("releases"))
            return cls(**{**head, "releases": releases})
        except ConfigError:
            raise
        except Exception:
            raise ConfigError(
                "the file holds no release record, or a damaged one; take another copy"
            ) from None

    def save(self, folder: Path) -> None:
        """Write ``release_record.npz`` into a folder; StoreError where the disk does not take it."""
        write_atomic(folder / FILE, self.to_bytes())

    @classmethod
    def load(cls, path: Path, *, hub: bytes | None = None) -> ReleaseRecord:
        """Read and verify a record: a file, or the folder of a finished run. Errors as in :meth:`verify`."""
        file = path / FILE if path.is_dir() else path
        try:
            record = cls.from_bytes(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}; name the folder of a run") from None
        except ConfigError as error:
            raise ConfigError(f"{file}: {error}") from None
        record.verify(hub)
        return record

    def _head(self) -> dict[str, Any]:
        releases = [
            {
                **{k: v for k, v in vars(r).items() if k != "blocks"},
                "blocks": [{k: v for k, v in vars(b).items() if k != "total"} for b in r.blocks],
            }
            for r in self.releases
        ]
        return {**vars(self), "releases": releases, "signature": ""}

    def _arrays(self) -> dict[str, NDArray[np.float64]]:
        return {f"{r.name}|{b.name}": b.total for r in self.releases for b in r.blocks}


def _release_from(plain: Mapping[str, Any], file: Mapping[str, NDArray[Any]]) -> ReleasedSums:
    blocks = tuple(
        ReleasedBlock(**{**b, "total": file[f"{plain['name']}|{b['name']}"]}) for b in plain["blocks"]
    )
    return ReleasedSums(**{**plain, "blocks": blocks, "spends": tuple(plain["spends"])})


def _dump(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a record holds no {type(value).__name__}")
