"""A baseline on one split: fitted, timed and measured on the hold-out, as a row of results has it."""

import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from fedrisk.lab.figures import figures
from fedrisk.lab.split import Baseline, Split
from fedrisk.privacy.accounting import mu_for

MISSING = "package"
"""Code of a baseline that was left out since an optional package is missing."""


def missing_packages(baseline: Baseline) -> list[str]:
    """The packages that it needs and that are not installed, by the name they are imported by."""
    return [name for name in baseline.needs if find_spec(name) is None]


def named(baseline: Baseline) -> dict[str, Any]:
    """The fields of a row that say which baseline it is, and what it protects."""
    return {
        "kind": "baseline",
        "model": baseline.name,
        "private": baseline.private,
        "label_private": baseline.label_private,
    }


def left_out(baseline: Baseline, packages: Sequence[str]) -> dict[str, Any]:
    """The fields of a row of a baseline whose packages are missing.

    >>> left_out(Baseline(name="x", private=False, needs=("a", "b"), fit=None), ["a", "b"])["error"]
    'package: a, b'
    """
    return {**named(baseline), "error": f"{MISSING}: {', '.join(packages)}"}


def measured(baseline: Baseline, split: Split, *, epsilon: float, delta: float, seed: int) -> dict[str, Any]:
    """The fields of `fedrisk.lab.cell.Row` that a baseline has, from its model on to its seconds.

    Fields of the cell and ``versions`` are the caller's. A baseline whose package is missing has the error "package",
    with the package's name behind a colon.

    Errors: whatever fitting it raises; its text may hold values of rows.
    """
    train, label = split.training, split.label
    found = named(baseline) | {
        "rows_training": int(train.sum()),
        "rows_holdout": int((~train).sum()),
        "defaults_training": int(label[train].sum()),
        "defaults_holdout": int(label[~train].sum()),
    }
    if baseline.private:
        found |= {"mu": mu_for(epsilon, delta), "delta": delta}
    if gone := missing_packages(baseline):
        return {**found, **left_out(baseline, gone)}
    begun = time.perf_counter()
    probability = baseline.fit(split, epsilon, delta, seed)
    seconds = time.perf_counter() - begun
    return {**found, **figures(label[~train], probability[~train]), "seconds": seconds}
