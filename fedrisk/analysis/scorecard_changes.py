"""Two scorecard studies compared by their label counts: how enterprises are spread over bins, and defaults by bin.

Bins have to be the same. Where they follow from each study's own noisy histograms (columns without public bins), those
histograms are compared in their place.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fedrisk.analysis.changes import NOISE, Change, Compared, of_ratios, of_shares
from fedrisk.analysis.homogeneity import MOST_GROUPS, Histogram
from fedrisk.analysis.past_studies import label_of
from fedrisk.analysis.ratio_change import Cells
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.releases.record import ReleasedBlock, ReleaseRecord
from fedrisk.study_members import BANK

OTHER_BINS = "other_bins"
"""Code: the two studies have other bins of a column."""

OTHER_LABEL = "other_label"
"""Code: the two studies are about different labels, so that their rates are of different things."""


def compare(old: ReleaseRecord, new: ReleaseRecord) -> Compared:
    """All columns that both studies counted; ConfigError where there is none."""
    before, after = dict(_columns(old)), dict(_columns(new))
    common = [name for name in before if name in after]
    if not common:
        raise ConfigError("the two studies have no column in common; name two that counted the same columns")
    changes, silent = list[Change](), dict[str, str]()
    alike = label_of(old.study) == label_of(new.study)
    for name in common:
        a, b = before[name], after[name]
        if a.bins == b.bins:
            found = _counted(name, a, b, rates=alike)
        elif a.cells is not None and b.cells is not None and a.grid == b.grid:
            found = [of_shares(name, a.cells, b.cells, most=MOST_GROUPS)]
        else:
            silent[name] = OTHER_BINS
            continue
        changes += [c for c in found if c is not None]
        if None in found:
            silent[name] = NOISE
    silent |= {} if alike else {_rate_of(name): OTHER_LABEL for name in common}
    silent |= {name: "one_study" for name in [*before, *after] if name not in common}
    notes = ("sampling", "overlap", "training")
    return Compared(changes=tuple(changes), silent=silent, notes=notes)


class Column:
    """A column as one study counted it.

    counts: (bins, 2) with a default and without, and its noise. cells: its edge histogram, None where bins are public.
    """

    def __init__(self, bins: Bins, counts: ReleasedBlock, rows: slice, cells: Histogram | None) -> None:
        self.bins = (bins.feature.kind, bins.edges, bins.categories, bins.size)
        self.labels = bins.labels()
        f = bins.feature
        self.grid = (f.low, f.high, f.grid, None if cells is None else len(cells.counts))
        self.counts, self.cells = counts.total[rows], cells
        self.noise, self.own = float(counts.variance or 0.0), counts.left == BANK

    @property
    def histogram(self) -> Histogram:
        """Enterprises by bin: the sum of two numbers with noise of one variance, never correlated upwards."""
        return Histogram.of(self.counts.sum(1), 2 * self.noise)

    @property
    def defaults(self) -> Cells:
        """Defaults among the enterprises of each bin.

        A holder's two numbers may have noise in common, of opposite sign (recipes/scorecard/forms.counts_release): then
        the variance of (1 - r) times the one less r times the other is up to that of one number, for r between 0 and 1.
        """
        found = Cells.of_share(self.counts[:, 0], self.counts[:, 1], self.noise)
        if self.own:
            return found
        v = found.of_total
        return Cells(count=found.count, total=found.total, of_count=v, of_total=v, together=np.zeros(len(v)))


def _columns(record: ReleaseRecord) -> Iterator[tuple[str, Column]]:
    """Columns of a record by name, in their order."""
    counts, edges = record.release("counts"), record.find("edges")
    bins = [Bins.from_dict(dict(b)) for b in _stated(counts.about)]
    places, private = dict[str, int](), dict[str, int]()
    for one in bins:
        f = one.feature
        if not f.is_column:
            continue
        role, first = f.institution, places.get(f.institution, 0)
        cells = None
        if f.private_edges and edges is not None:
            k = private.get(role, 0)
            private[role], block = k + 1, edges.block(role)
            cells = Histogram.of(np.asarray(block.total[k], np.float64), float(block.variance or 0.0))
        places[role] = first + one.size
        yield f.name, Column(one, counts.block(role), slice(first, first + one.size), cells)


def _stated(about: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    bins = about.get("bins")
    if not isinstance(bins, list):
        raise ConfigError("the record does not say of which bins its counts are; take the run's own record")
    return bins


def _counted(name: str, old: Column, new: Column, *, rates: bool) -> list[Change | None]:
    shares = of_shares(name, old.histogram, new.histogram)
    if not rates:
        return [shares]
    return [shares, of_ratios(_rate_of(name), old.defaults, new.defaults, old.labels, kind="rate")]


def _rate_of(name: str) -> str:
    return f"{name}: defaults"
