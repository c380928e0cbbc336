"""``python -m sim_institutions.generic_prior``: the library of generic priors that ships with fedrisk, made again.

For the bank's columns and those of the twelve classes of indicators (``templates/``), the curve of default of every
number and flag, from exact counts of simulated borrowers of three seeds, without noise. Nothing in it is from real
data, and the library says so of itself. Curves are marginal ones: what a feature says next to others depends on which
others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import fedrisk.models.prior as prior
from fedrisk.data.column import Column
from fedrisk.data.features import Feature, feature_of
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior import Prior, PriorCurve
from sim_institutions.institutions import offices
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import Floats
from sim_institutions.sample import Sample, sample

SEEDS, ENTERPRISES, BINS = (201, 202, 203), 262_144, 12
SOURCE = "generic library: curves of simulated provinces (seeds 201, 202, 203), not from real data"


def described() -> list[Feature]:
    """Numbers and flags of the province's institutions that models may use, each once; of banks as "bank"."""
    out: dict[str, Feature] = {}
    for office in offices(PROFILES["province"]):
        role = "bank" if office.kind == "bank" else office.name
        for column in office.features:
            if column.get("feature", True) and column["kind"] in ("number", "flag"):
                f = feature_of(Column(**column), role)
                out.setdefault(f.name, f)
    return list(out.values())


def values_of(made: Sequence[Sample], feature: Feature) -> tuple[Floats, Floats]:
    """Values of a column of all borrowers whom its institution knows, and their labels, (n,) each."""
    parts = []
    for s in made:
        who = ~np.isnan(s.label)
        who &= np.ones_like(who) if feature.institution == "bank" else s.known(feature.institution)
        parts.append((s.columns[feature.institution, feature.column][who].astype(float), s.label[who]))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]).astype(float)


def curve_of(values: Floats, label: Floats, feature: Feature) -> PriorCurve:
    """The curve of a column, in its public bins or in quantiles of four significant digits."""
    if feature.private_edges:
        share = np.arange(1, BINS) / BINS
        edges = sorted({float(f"{v:.4g}") for v in np.quantile(values[~np.isnan(values)], share)})
        feature = feature.with_bins(tuple(edges))
    bins = Bins.public(feature)
    codes = bins.codes(values)
    n1, n0 = (np.bincount(codes, w, bins.size) for w in (label, 1 - label))
    (shift,) = fit_curves(LabelCounts((n1,), (n0,), np.zeros(1)), [bins]).curve
    return PriorCurve(bins=bins, shift=tuple(round(float(v), 3) for v in shift))


def library(seeds: Sequence[int] = SEEDS, enterprises: int = ENTERPRISES) -> Prior:
    """The library; seeds and number of enterprises: of the simulated provinces."""
    made = [sample("province", enterprises, seed, histories=False) for seed in seeds]
    curves = [curve_of(*values_of(made, f), replace(f, missing=True)) for f in described()]
    return Prior(source=SOURCE, curves=tuple(curves))


def main() -> None:
    """Write the library over the one that ships, or to --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(prior.__file__).with_name(prior.GENERIC))
    path = parser.parse_args().out
    path.write_text(
        json.dumps(library().to_dict(), indent=None, separators=(",", ":")) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
