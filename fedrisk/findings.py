"""Findings: things worth knowing, as codes with figures, so that words for them can be in any language."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """Something worth knowing, as a code with figures; words for it are in report/words."""

    code: str
    values: Mapping[str, Any] = field(default_factory=dict)
