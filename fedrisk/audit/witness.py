"""Signed heads of other institutions, kept beside the own log, and what a contradiction among them leaves behind.

Whoever keeps the signed heads of another can tell when that one's history was rewritten or put back from an older
copy: a later head must never say less than an earlier one (Crosby & Wallach 2009). A contradiction leaves a mark, and
nothing heals it: not time, and not a trail that grows past the old one. It stays until a person answers for it. What
was marked is then moved aside, as evidence. Beside the log NAME there are

    NAME.witnessed/i-*/         signed heads of each other institution; answered/ those before a person answered
    NAME.contradictions/i-*/    marks, one file each; answered/ those that a person has answered for

A mark about the institution itself says that others hold heads which it signed and no longer knows.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedrisk.audit.entry import dump
from fedrisk.audit.signed_head import SignedHead, beside, load_signed_heads, safe_name, write_file
from fedrisk.errors import EnvelopeError, ProtocolError, StoreError


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Two signed heads of one institution that cannot both be true of one history.

    kept: the one that was known. came: the one that came. what: what contradicts, in words.
    """

    institution: str
    kept: SignedHead
    came: SignedHead
    what: str


def contradiction(one: SignedHead, other: SignedHead) -> str:
    """What two heads of one institution contradict each other in, in words; empty where both can be true.

    Figures are compared that both state. Two heads are in the order of their times, which are those of entries.
    """
    early, late = sorted((one, other), key=_moment)
    if early.count == late.count and early.hash != late.hash:
        return f"two different trails of {early.count} entries"
    pairs = {
        "entries of the trail": (early.count, late.count),
        "entries of the ledger": (early.entries, late.entries),
        "mu ever charged": (early.lifetime_mu, late.lifetime_mu),
    }
    for what, (before, after) in pairs.items():
        if before is not None and after is not None and after < before:
            return f"{before:g} {what}, and later {after:g}"
    return ""


def keep_witnessed(path: Path, signed_head: SignedHead, public: bytes) -> None:
    """Keep another institution's signed head beside the log ``path``; errors as of ``AuditLog.witness``."""
    name = signed_head.institution
    if not signed_head.holds(public):
        raise EnvelopeError(f"the signed head of {name} is not signed by its pinned key; ask for it again")
    folder = _witnessed(path, name)
    kept = load_signed_heads(folder)
    if signed_head in kept:
        return
    found = [(other, what) for other in kept if (what := contradiction(signed_head, other))]
    for other, what in found[-1:]:
        # Before anything else: the mark must be there whatever happens next.
        leave_mark(path, Mark(institution=name, kept=other, came=signed_head, what=what))
    write_file(folder / _file_name(signed_head), signed_head.to_json())
    if found:
        raise ProtocolError(
            f"two signed heads of {name} contradict each other ({found[-1][1]}): its store was put back from an older "
            "copy, its audit log was rewritten, or its clock was set back. Ask it for the whole log, verify that "
            f"against both, and answer with 'fedrisk audit answer'; until then no study with {name} is taken"
        )


def load_witnessed(path: Path, institution: str) -> tuple[SignedHead, ...]:
    """Signed heads of another institution that were kept beside the log ``path`` since a person last answered."""
    return load_signed_heads(_witnessed(path, institution))


def latest_witnessed(path: Path, institution: str) -> SignedHead | None:
    """The latest of them, or None."""
    return max(load_witnessed(path, institution), key=_moment, default=None)


def leave_mark(path: Path, mark: Mark) -> None:
    """Keep a contradiction until somebody answers for it."""
    write_file(_marked(path, mark.institution) / _file_name(mark.came), dump(asdict(mark)))


def marks_of(path: Path, institution: str) -> tuple[Mark, ...]:
    """Contradictions about an institution that nobody answered for; StoreError where one cannot be read."""
    return tuple(_read_mark(file) for file in sorted(_marked(path, institution).glob("*.json")))


def answer_marks(path: Path, institution: str, *, reason: str, who: str, time: str) -> None:
    """Move marks aside with the answer, and go on from the latest head that came; earlier ones are moved aside too.

    time: of the answer, as in the log. An answer about the institution itself covers all heads up to that time and up
    to those that were marked.
    """
    folder, marks = _marked(path, institution), marks_of(path, institution)
    accepted = max((mark.came for mark in marks), key=_moment, default=None)
    for file in sorted(_witnessed(path, institution).glob("*.json")):
        if accepted is not None and file.name != _file_name(accepted):
            _move_aside(file)
    until = max([time, *(mark.came.time for mark in marks)])
    for file, mark in zip(sorted(folder.glob("*.json")), marks, strict=True):
        answer = {**asdict(mark), "reason": reason, "who": who, "time": time, "until": until}
        write_file(folder / "answered" / f"{time.replace(':', '')}-{file.name}", dump(answer))
        file.unlink()


def answered_until(path: Path, institution: str) -> str:
    """Time up to which a person answered for what an institution's heads say; empty where nobody did."""
    files = (_marked(path, institution) / "answered").glob("*.json")
    return max((str(_read_json(file).get("until", "")) for file in files), default="")


def _moment(head: SignedHead) -> tuple[str, int, int, float]:
    return head.time, head.count, head.entries or 0, head.lifetime_mu or 0.0


def _witnessed(path: Path, institution: str) -> Path:
    return beside(path, "witnessed") / safe_name(institution)


def _marked(path: Path, institution: str) -> Path:
    return beside(path, "contradictions") / safe_name(institution)


def _file_name(head: SignedHead) -> str:
    stated = "" if head.entries is None else f"-{head.signature[:8]}"
    return f"{head.count:012d}-{head.hash[:16]}{stated}.json"


def _move_aside(file: Path) -> None:
    folder = file.parent / "answered"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        os.replace(file, folder / file.name)
    except OSError as error:
        raise StoreError(f"{file} cannot be moved: {error.strerror}; check the permissions") from None


def _read_mark(file: Path) -> Mark:
    plain = _read_json(file)
    try:
        kept, came = (SignedHead.from_json(_without_none(plain[name])) for name in ("kept", "came"))
        return Mark(institution=plain["institution"], kept=kept, came=came, what=plain["what"])
    except (KeyError, TypeError, AttributeError, EnvelopeError):
        raise _damaged(file) from None


def _without_none(plain: dict[str, Any]) -> str:
    return dump({name: value for name, value in plain.items() if value is not None})


def _read_json(file: Path) -> dict[str, Any]:
    try:
        plain = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        raise _damaged(file) from None
    if not isinstance(plain, dict):
        raise _damaged(file)
    return plain


def _damaged(file: Path) -> StoreError:
    return StoreError(f"the mark {file} cannot be read; bring the file back, it must not be lost")
