"""Which code made a result: versions of what computes, and a digest of fedrisk's own source.

Two results are compared only where these are the same. A version number alone would not tell the copy of somebody who
changes an estimator from the one that was released.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import fedrisk

PACKAGES = ("numpy", "scipy", "pandas", "pyarrow", "scikit-learn", "flwr")
"""Every result rests on these."""

OPTIONAL = ("torch", "opacus", "interpret-core", "optbinning")
"""On these where they are installed."""

WITHOUT_EFFECT = {
    "api.py",
    "attacks",
    "cli",
    "deploy",
    "exports",
    "languages",
    "report",
    "results.py",
    "serving",
}
"""Parts of fedrisk that compute nothing of a sweep's figures."""


def versions() -> dict[str, str]:
    """Versions by name: fedrisk with the digest of its source, Python, and the packages that compute."""
    found = {"fedrisk": f"{fedrisk.__version__}+{source_digest()}", "python": platform.python_version()}
    for name in (*PACKAGES, *OPTIONAL):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def in_words(found: Mapping[str, str]) -> str:
    """Versions on one line.

    >>> in_words({"python": "3.11.7", "numpy": "2.1.0"})
    'python 3.11.7, numpy 2.1.0'
    """
    return ", ".join(f"{name} {version}" for name, version in found.items())


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What changed from one to the other, in words; empty where nothing did.

    >>> differing({"numpy": "1.26.4", "torch": "2.4.0"}, {"numpy": "2.1.0", "torch": "2.4.0"})
    'numpy 1.26.4, now 2.1.0'
    """
    names = [n for n in {**before, **now} if before.get(n) != now.get(n)]
    return "; ".join(f"{n} {before.get(n, 'not there')}, now {now.get(n, 'not there')}" for n in names)


def machine() -> dict[str, str]:
    """Where a sweep ran: it has no effect on figures but seconds, or only in their last digits."""
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": str(os.cpu_count() or 1),
        "python build": " ".join(sys.version.split("\n")),
    }


@functools.cache
def source_digest() -> str:
    """First letters of the SHA-256 over all files of fedrisk that a figure of a sweep can rest on."""
    root, digest = Path(fedrisk.__file__).parent, hashlib.sha256()
    for file in sorted(root.rglob("*")):
        inside = file.relative_to(root)
        if file.suffix not in (".py", ".json", ".toml") or inside.parts[0] in WITHOUT_EFFECT:
            continue
        digest.update(json.dumps(inside.as_posix()).encode() + file.read_bytes())
    return digest.hexdigest()[:10]
