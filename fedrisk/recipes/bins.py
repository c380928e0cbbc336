"""Bins of all columns, the same at hub and members, for recipes that put columns into bins.

From what was released, or, where a noisy histogram would tell nothing, even ones on the declared grid: which, the plan
says beforehand by public numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fedrisk.data.features import Feature
from fedrisk.errors import ProtocolError
from fedrisk.findings import Finding
from fedrisk.models.binning import Bins, bins_of, default_bin_count, drowned, even_edges
from fedrisk.protocol.form import BlobForm, Body, Form
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import FeatureOf
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.totals import checked_totals
from fedrisk.study import Study

CELLS_ROOM = 2.5
"""Room (:func:`edge_room`) that a histogram is given by fewer cells; benchmarks/columns."""

FEWEST_CELLS = 32
"""Cells below which a histogram is too coarse for amounts and ratios, whose rows are in few of them."""

LEAST_ROOM = 1.0
"""Room of a histogram of the fewest cells below which its edges are no better than even ones."""

MOST_TOTALS = 1 << 24
"""Most numbers of one array of released totals, 128 MB: a block of two institutions' 4,096 columns each."""

TOTALS = BlobForm(dtype="float64", ndim=(1, 2), low=-1e15, high=1e15, most=MOST_TOTALS)
"""An array of released totals; shape and range of each are checked against its release (releases/totals)."""


class BinsOf(FeatureOf):
    """The bins of one feature, as :meth:`fedrisk.models.binning.Bins.to_dict` gives them."""

    edges: Annotated[list[float], Field(max_length=4096)]
    categories: Annotated[list[str], Field(max_length=65_536)]
    unknown: bool


class BinsPart(Body):
    """All bins, as the hub works them out."""

    bins: Annotated[list[BinsOf], Field(max_length=10_000)]


BINS = Form(body=BinsPart, blobs={"*": TOTALS})
"""Form of the part ``bins`` of the common view: bins, and the totals of the edge histograms that they follow from."""


def training_rows(study: Study, rows: int | None) -> float | None:
    """Rows that will be trained on, about: of the stated ones, or of the declared enterprises where these are fewer.

    None where neither is known.

    >>> from fedrisk.study import study_from
    >>> content = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1}}
    >>> study = study_from({**content, "institutions": [{"name": "b", "role": "bank"}]})
    >>> training_rows(study, 1000), training_rows(study, None)
    (700.0, None)
    """
    known = [n for n in (rows, study.expected.enterprises) if n]
    if not known:
        return None
    return min(known) * study.inclusion_probability * (1 - study.holdout.percent / 100)


def edge_room(training: float, mu_edges: float, features: int, cells: int) -> float:
    """Rows in units of the noise of the sum of a histogram's cells; about 1 is what noise alone makes of its size.

    >>> round(edge_room(10_500, 0.0425, 14, 256), 1)
    7.5
    """
    return training * mu_edges / math.sqrt(max(features, 1) * cells)


@dataclass(frozen=True, kw_only=True)
class Edges:
    """How edges are found. features: all columns, those with even edges stating them. cells: of a noisy histogram."""

    features: tuple[Feature, ...]
    cells: int
    findings: tuple[Finding, ...] = ()

    @property
    def private(self) -> bool:
        """Whether any edges come from a noisy histogram."""
        return any(f.private_edges for f in self.features)


def choose_edges(
    study: Study, features: Sequence[Feature], training: float | None, mu_edges: float, mu_counts: float
) -> Edges:
    """Cells of the noisy histograms by what their noise leaves, or even edges where it leaves nothing.

    Even edges are for all columns or none: then no edges are released, and their share of the budget goes to what comes
    after. training: rows; None where they are not known yet. mu_edges: price of the histograms. mu_counts: of label
    counts without them, by which the number of bins is chosen.
    """
    private, cells = [f for f in features if f.private_edges], study.bins.cells
    if not private or training is None:
        return Edges(features=tuple(features), cells=cells)
    while cells >= 2 * FEWEST_CELLS and edge_room(training, mu_edges, len(private), cells) < CELLS_ROOM:
        cells //= 2
    values: dict[str, Any] = {"columns": len(private), "cells": cells, "asked": study.bins.cells}
    if edge_room(training, mu_edges, len(private), cells) >= LEAST_ROOM:
        fewer = (Finding("fewer_cells", values),) if cells < study.bins.cells else ()
        return Edges(features=tuple(features), cells=cells, findings=fewer)
    values |= {"names": ", ".join(f.name for f in private), "rows": training / cells}
    found = Finding("even_edges", {**values, "noise": math.sqrt(len(private)) / mu_edges})
    count = _bin_count(study, round(training), mu_counts, len(features))
    even = tuple(f.with_bins(even_edges(f, f.bin_count or count)) if f.private_edges else f for f in features)
    return Edges(features=even, cells=cells, findings=(found,))


def find_bins(
    study: Study, plan: Plan, edges: ReleasedSums | None, training: int, mu_counts: float
) -> list[Bins]:
    """Bins of all features of a plan.

    edges: released histograms, None where all bins are public. training: rows with a label of all lists, about.
    mu_counts: price of label counts, by which the number of bins is chosen.
    """
    count = _bin_count(study, training, mu_counts, len(plan.features))
    blocks = () if edges is None else edges.blocks
    histograms = {b.name: b.total for b in blocks}
    variances = {b.name: float(b.variance or 0.0) for b in blocks}
    return bins_of(plan.features, histograms, variances, count)


def drowned_edges(plan: Plan, edges: ReleasedSums | None) -> tuple[Finding, ...]:
    """What to say of released histograms that were nothing but noise: columns which few enterprises have a value of."""
    names = [
        f.name
        for block in (() if edges is None else edges.blocks)
        for f, counts in zip(_private(plan.features, block.name), block.total, strict=True)
        if drowned(counts, float(block.variance or 0.0))
    ]
    return (Finding("edges_drowned", {"columns": len(names), "names": ", ".join(names)}),) if names else ()


def _bin_count(study: Study, training: int, mu_counts: float, features: int) -> int:
    """Bins of a column that states none."""
    return study.bins.count or default_bin_count(training, mu_counts, features)


def _private(features: Sequence[Feature], role: str) -> list[Feature]:
    return [f for f in features if f.private_edges and f.institution == role]


def told_edges(plan: Plan, told: Payload, training: int) -> ReleasedSums | None:
    """The edge histograms that were told, checked; None where all bins are public. ProtocolError."""
    if not plan.prepared("edges"):
        if told.blobs:
            raise ProtocolError(
                "the hub tells histograms of a study whose bins are public; run the study again"
            )
        return None
    return checked_totals(plan.release("edges"), told.blobs, float(training), signed=False)


def check_bins(own: Sequence[Bins], told: Sequence[Mapping[str, Any]]) -> list[Bins]:
    """The bins that were told, once they are those that follow from the totals; ProtocolError where they are not."""
    bins = [Bins.from_dict(dict(b)) for b in told]
    alike = len(own) == len(bins) and all(
        (a.feature, a.categories, a.unknown, len(a.edges))
        == (b.feature, b.categories, b.unknown, len(b.edges))
        and np.allclose(a.edges, b.edges, rtol=1e-9, atol=0.0)
        for a, b in zip(own, bins, strict=True)
    )
    if not alike:
        raise ProtocolError(
            "the bins are not those that follow from the released histograms; run the study again, and ask the "
            "consortium's operator"
        )
    return bins
