"""Columns by what a study can bear, from public numbers alone: rows and rate as stated, columns, budget.

Noise of a count grows with the square root of the number of columns, since an enterprise is in one bin of each. Where
positives are few, columns that tell little cost the others more than they bring. Which these are no row may say, so
experts do: the dictionaries declare the strength of columns. What was left out is said, as a finding of the plan, and
so is a study with too many columns of which nothing is declared. Hub and institutions choose alike, before anything is
released. Constants are measured: benchmarks/columns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.findings import Finding
from fedrisk.recipes.bins import MOST_TOTALS
from fedrisk.releases.budget import EDGES_SHARE
from fedrisk.study import Study

SHARES = {"edges": EDGES_SHARE, "counts": 0.62, "gram": 0.28, "calibration": 0.05}
"""Shares of mu^2 that did well on several data sets; without private edges theirs goes to the others."""

PAIRS_SHARE = 0.1
"""Share of mu^2 of release ``pairs``, where a study asks for it; the others have the rest, in their proportions."""

COLUMN_ROOM = 15.0
"""Room (:func:`room_for_gain`) below which weak columns cost more than they bring."""

LEAST_COLUMNS = 5
"""So many columns are counted however few the positives are: the noise of fewer is hardly less."""


MOST_SHAPES = 4
"""Most columns of the Gram matrix for one feature: its curve, and three smooth modes (models/curves.shape_bases)."""


@dataclass(frozen=True, kw_only=True)
class Counted:
    """features: the columns that are counted, in the order of all. findings: what was left out, or is too much."""

    features: tuple[Feature, ...]
    findings: tuple[Finding, ...] = ()


def choose_columns(
    study: Study, features: Sequence[Feature], training: float | None, mu_counts: float
) -> Counted:
    """The columns that a study counts. training: rows, None where they are not known. mu_counts: of label counts.

    Above :func:`most_columns`, those declared weak are left out, and where some are declared strong, the others that
    are not. Strong ones always stay, and where none is declared strong, all that are not weak: which of these tell
    little nobody knows, and any choice among them loses as often as it gains. So does one column of each institution.
    """
    rate = study.expected.default_rate
    if training is None or rate is None or math.isinf(mu_counts):
        return Counted(features=tuple(features))
    positives = training * rate
    most = most_columns(positives, mu_counts)
    if len(features) <= most:
        return Counted(features=tuple(features))
    out = _left_out(features, len(features) - most)
    kept = tuple(f for f in features if f.name not in out)
    values = {"positives": positives, "most": most, "features": len(features), "counted": len(kept)}
    found = []
    if out:
        found.append(Finding("columns_left_out", {**values, "left_out": len(out), "names": ", ".join(out)}))
    if len(kept) > most:
        found.append(Finding("columns_too_many", values))
    return Counted(features=kept, findings=tuple(found))


def room_for_gain(positives: float, mu_counts: float, features: int) -> float:
    """Signal of all positives in units of the noise of one number: positives times mu of the counts by sqrt(features).

    Measured with this recipe: 150 to 190 gained .03 to .04 AUC (130,000 and 30,000 enterprises at epsilon 1), 19
    gained nothing (640 positives, 40 features), 3 lost (150 positives, 95 features).
    """
    return positives * mu_counts / math.sqrt(max(features, 1))


def most_columns(positives: float, mu_counts: float) -> int:
    """Columns that so many positives can bear: those with which the room is COLUMN_ROOM, and at least LEAST_COLUMNS.

    >>> most_columns(420, 0.19), most_columns(4600, 0.19)
    (28, 3395)
    """
    return max(LEAST_COLUMNS, math.floor((positives * mu_counts / COLUMN_ROOM) ** 2))


def _left_out(features: Sequence[Feature], number: int) -> list[str]:
    """Names of the columns to leave out, at most so many, in the order of the list; the last ones go first."""
    left = {role: sum(f.institution == role for f in features) for role in {f.institution for f in features}}
    strong = any(f.strength == "strong" for f in features)
    goes = [[f for f in features if f.strength == "weak"]]
    if strong:
        goes.append([f for f in features if f.strength not in ("weak", "strong")])
    out: set[str] = set()
    for group in goes:
        for f in reversed(group):
            if len(out) < number and left[f.institution] > 1:
                out.add(f.name)
                left[f.institution] -= 1
    return [f.name for f in features if f.name in out]


def check_gram(study: Study, features: Sequence[Feature]) -> None:
    """ConfigError where a block of the Gram matrix may have more numbers than members take, before anything is charged.

    How many columns a feature has there follows from its released curve; here it is the most that there may be.
    """
    columns = {r: sum(gram_columns(f) for f in features if f.institution == r) for r in study.roles}
    first, second, *_ = [*sorted(columns, key=lambda r: -columns[r]), ""]
    for a, b, numbers in (
        (first, first, columns[first] * (columns[first] - 1) // 2),
        (first, second, columns[first] * columns.get(second, 0)),
    ):
        if numbers > MOST_TOTALS:
            whose = a if a == b else f"{a} and {b}"
            raise ConfigError(
                f"the Gram matrix may have {columns[a]:,} columns of {a}, and its block of {whose} {numbers:,} "
                f"numbers; at most {MOST_TOTALS:,} are taken. Leave columns out (scorecard.left_out), or count the "
                'stronger ones a second time in its place (scorecard.second = "recount")'
            )


def gram_columns(feature: Feature) -> int:
    """Most columns of the Gram matrix for a feature; fewer where it has few bins, those of codes and gaps included.

    >>> gram_columns(Feature(institution="bank", column="late", kind="flag", missing=False))
    1
    """
    if feature.kind == "number" and feature.bins is None:
        return MOST_SHAPES
    own = 2 if feature.kind in ("flag", "known") else len(feature.bins or ()) + (feature.kind == "number")
    bins = own + feature.missing + len(feature.special)
    return 1 + min(MOST_SHAPES - 1, max(0, bins - 2))
