"""Up to where a log was verified, kept beside it and signed, so that a long log is not gone through each time.

A mark says of the first bytes of the log, by their SHA-256, that they were verified. Each time all bytes are hashed
again, so an entry that is changed afterwards shows as before; only the entries after the mark are looked at one by
one. The mark is signed with the institution's key: who lacks the key cannot make one for a log of his own, and who has
it needs none. A mark that is lost, damaged or does not fit costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from fedrisk.audit.entry import dump
from fedrisk.audit.log import Signer
from fedrisk.audit.signed_head import beside
from fedrisk.audit.verify import Mark, VerifyResult, verify
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.errors import StoreError
from fedrisk.files import write_atomic

_TAG = b"fedrisk audit verified v1\n"
_KINDS = {"count": int, "hash": str, "time": str, "size": int, "digest": str, "signature": str}

_WORTH = 200
"""Entries after a mark before a new one is written."""


def verify_again(
    path: Path,
    identity: Signer,
    institution: str,
    *,
    former: Sequence[bytes] = (),
    wanted: Iterable[int] = (),
) -> VerifyResult:
    """What ``verify`` says of the institution's own log, sooner where most of it was verified before.

    Errors: StoreError if there is no such file.
    """
    mark = _read(path, identity.public, institution)
    found = verify(path, identity.public, (), institution, former=former, wanted=wanted, mark=mark)
    if found.mark is not None and found.mark.count >= (0 if mark is None else mark.count) + _WORTH:
        # Only a matter of time: what cannot be written is verified in full again.
        with contextlib.suppress(OSError, StoreError):
            _write(path, identity, institution, found.mark)
    return found


def _read(path: Path, public: bytes, institution: str) -> Mark | None:
    try:
        plain = json.loads(beside(path, "verified").read_bytes())
        if isinstance(plain, dict) and {n: type(v) for n, v in plain.items()} == _KINDS:
            signature = plain.pop("signature")
            mark = Mark(**plain)
            return mark if signed_in_hex(public, signature, _statement(mark, institution)) else None
    except (OSError, ValueError):
        pass
    return None


def _write(path: Path, identity: Signer, institution: str, mark: Mark) -> None:
    signature = identity.sign(_statement(mark, institution)).hex()
    write_atomic(beside(path, "verified"), dump({**asdict(mark), "signature": signature}).encode() + b"\n")


def _statement(mark: Mark, institution: str) -> bytes:
    return _TAG + dump([institution, *asdict(mark).values()]).encode()
