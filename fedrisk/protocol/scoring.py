"""What both ends of the relay of scores hold each other to: version, names, sizes and times.

Node and hub check with the same rules, so that what one sends the other takes. The messages are in ``scoring.proto``.
"""

import hashlib
import math
import re
from datetime import UTC, datetime
from typing import Final

PROTOCOL: Final = 1
"""Of these messages; one more with every change that an earlier version would not understand."""

SUPPORTED: Final = frozenset({1})
"""Versions that are read."""

SERVICE: Final = "fedrisk.scoring.v1.Relay"
"""The service's full name in the proto."""

SERVING: Final = hashlib.sha256(b"fedrisk serving v1").hexdigest()
"""Stands in place of a study's digest in keys that serve: so none of them holds in a study, nor the other way."""

AWAY: Final = "away"
LATE: Final = "late"
VERSION: Final = "version"
FORM: Final = "form"
"""Codes of the relay itself (serving/codes.py has all)."""

MOST_SECONDS: Final = 60.0
"""Longest time that a question waits: nobody at a counter waits longer, and each one takes memory at the hub."""

MOST_ENVELOPE: Final = 5 << 20
"""Bytes of one sealed question or answer: a thousand rows with a consent of four kilobytes each, and their ids."""

MOST_MESSAGE: Final = 24 << 20
"""Bytes of one message: a list's question, sealed once for each of its members."""

MOST_MEMBERS: Final = 100
"""Members of one question."""

_ID = re.compile(r"[0-9a-f]{32}")
_MODEL = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_CODE = re.compile(r"[a-z_]{0,20}")
_EPOCH = re.compile(r"[0-9]{4}W[0-9]{2}")


def epoch_of(moment: datetime) -> str:
    """The epoch of keys that serve: the ISO week, in UTC.

    >>> epoch_of(datetime(2026, 11, 26, tzinfo=UTC))
    '2026W48'
    """
    year, week, _ = moment.astimezone(UTC).isocalendar()
    return f"{year}W{week:02d}"


def is_id(text: str) -> bool:
    """Whether it is the id of a question: 32 hexadecimal digits."""
    return _ID.fullmatch(text) is not None


def is_model(text: str) -> bool:
    """Whether it is the id of a model: 16 hexadecimal digits."""
    return _MODEL.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether an institution may be called so."""
    return _NAME.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether it has the form of a code; empty where there is none."""
    return _CODE.fullmatch(text) is not None


def is_epoch(text: str) -> bool:
    """Whether it has the form of an epoch."""
    return _EPOCH.fullmatch(text) is not None


def seconds_of(asked: float) -> float | None:
    """How long a question waits that asks for so many seconds; None where that is no time.

    >>> seconds_of(5.0), seconds_of(1e9), seconds_of(float("nan")), seconds_of(0.0)
    (5.0, 60.0, None, None)
    """
    return min(asked, MOST_SECONDS) if math.isfinite(asked) and asked > 0 else None


def answer_fits(code: str, envelope: bytes) -> bool:
    """Whether an answer has either a code or an envelope, and neither is too large."""
    return is_code(code) and bool(code) != bool(envelope) and len(envelope) <= MOST_ENVELOPE
