"""Bins of all columns from what was released: the same at hub and members, for recipes that put columns into bins."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from fedrisk.errors import ProtocolError
from fedrisk.models.binning import Bins, bins_of, default_bin_count
from fedrisk.protocol.form import BlobForm, Body, Form
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import FeatureOf
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.totals import checked_totals
from fedrisk.study import Study

TOTALS = BlobForm(dtype="float64", ndim=(1, 2), low=-1e15, high=1e15, most=1 << 24)
"""An array of released totals; shape and range of each are checked against its release (releases/totals)."""


class BinsOf(FeatureOf):
    """The bins of one feature, as :meth:`fedrisk.models.binning.Bins.to_dict` gives them."""

    edges: Annotated[list[float], Field(max_length=4096)]
    categories: Annotated[list[str], Field(max_length=65_536)]


class BinsPart(Body):
    """All bins, as the hub works them out."""

    bins: Annotated[list[BinsOf], Field(max_length=10_000)]


BINS = Form(body=BinsPart, blobs={"*": TOTALS})
"""Form of the part ``bins`` of the common view: bins, and the totals of the edge histograms that they follow from."""


def find_bins(
    study: Study, plan: Plan, edges: ReleasedSums | None, training: int, mu_counts: float
) -> list[Bins]:
    """Bins of all features of a plan.

    edges: released histograms, None where all bins are public. training: rows of all lists. mu_counts: price of label
    counts, by which the number of bins is chosen.
    """
    count = study.bins.count or default_bin_count(training, mu_counts, len(plan.features))
    blocks = () if edges is None else edges.blocks
    histograms = {b.name: b.total for b in blocks}
    variances = {b.name: float(b.variance or 0.0) for b in blocks}
    return bins_of(plan.features, histograms, variances, count)


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
        (a.feature, a.categories, len(a.edges)) == (b.feature, b.categories, len(b.edges))
        and np.allclose(a.edges, b.edges, rtol=1e-9, atol=0.0)
        for a, b in zip(own, bins, strict=True)
    )
    if not alike:
        raise ProtocolError(
            "the bins are not those that follow from the released histograms; run the study again, and ask the "
            "consortium's operator"
        )
    return bins
