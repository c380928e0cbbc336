"""Figures of a bank's report as texts, and a table of texts for its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fedrisk.analysis.curves import Estimate
from fedrisk.language import of_kind


@dataclass(frozen=True)
class Table:
    """A table as texts. label: what it is of. columns: headings, (text, "n") of figures. rows: cells."""

    label: str
    columns: Sequence[Any]
    rows: Sequence[Sequence[str]]


def share(value: float, digits: int | None = None) -> str:
    """A share in per cent, by default with about three figures.

    >>> share(0.0461), share(0.153), share(0.8, 0)
    ('4.61%', '15.3%', '80%')
    """
    shown = digits if digits is not None else 2 if abs(value) < 0.0995 else 1
    return f"{100 * value:.{shown}f}%"


def signed_share(value: float) -> str:
    """A difference in per cent with its sign and a true minus.

    >>> signed_share(-0.154), signed_share(0.074), signed_share(-0.0001)
    ('−15.4%', '+7.4%', '0.0%')
    """
    text = f"{100 * value:+.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text.replace("-", "−")


def signed_points(value: float) -> str:
    """A difference in points with its sign and a true minus.

    >>> signed_points(-9.88), signed_points(-0.02)
    ('−9.9', '0.0')
    """
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def from_to(value: Estimate, digits: int) -> str:
    """The interval of a figure."""
    return of_kind("bank", "{low} to {high}", low=f"{value.low:.{digits}f}", high=f"{value.high:.{digits}f}")


def shares_from_to(value: Estimate) -> str:
    """The interval of a share."""
    return of_kind("bank", "{low} to {high}", low=share(value.low), high=share(value.high))


def with_interval(value: Estimate | None) -> str:
    """A share with its interval in brackets, a dash where there is none."""
    return "–" if value is None else f"{share(value.value)} ({shares_from_to(value)})"
