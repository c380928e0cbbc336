"""Processor seconds of the linear and of the logistic step, by number of columns, on made-up releases.

    OMP_NUM_THREADS=1 python benchmarks/warnings/step_time.py 8 60 200

Five institutions share the columns of 20,000 enterprises, in ten bins each; a hidden trouble moves all of them. A holder
knows seven of ten enterprises. Seconds include the last average over candidate priors, as a study has it.
"""

import argparse
import time

import numpy as np

from fedrisk.data.features import Feature, known_feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import fit_curves, shape_bases
from fedrisk.models.estimator import moment_equations, weights_from
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.logistic_step import logistic_equations

ROWS, INSTITUTIONS, KNOWN = 20_000, 5, 0.7
NOISE = {"counts": 3.0, "gram": 30.0}


def binned(columns: int, rng: np.random.Generator) -> tuple[np.ndarray, list[Bins], list[np.ndarray]]:
    """Labels, (n,), with bins and codes of all features."""
    trouble = rng.random(ROWS) < 0.06
    depth, common = np.where(trouble, rng.exponential(1.6, ROWS), 0.0), rng.normal(size=ROWS)
    label = (rng.random(ROWS) < np.where(trouble, 0.5, 0.01)).astype(int)
    bins, codes = [], []
    for place, part in enumerate(np.array_split(np.arange(columns), INSTITUTIONS)):
        owner = f"holder_{place}" if place else "bank"
        unknown = rng.random(ROWS) > KNOWN if place else np.zeros(ROWS, dtype=bool)
        for j in part:
            feature = Feature(institution=owner, column=f"x{j}", low=-4, high=9, missing=False)
            bins.append(Bins(feature, edges=tuple(np.linspace(-1, 4, 9)), unknown=place > 0))
            value = rng.uniform(0.1, 0.9) * depth + 0.5 * common + rng.normal(size=ROWS)
            codes.append(np.where(unknown, bins[-1].size - 1, bins[-1].codes(value)))
        if place:
            bins.append(Bins.public(known_feature(owner)))
            codes.append(unknown.astype(int))
    return label, bins, codes


def main() -> None:
    """Print a line for each number of columns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("columns", nargs="+", type=int, help="for example 8 60 200")
    for columns in parser.parse_args().columns:
        rng = np.random.default_rng(0)
        label, bins, codes = binned(columns, rng)
        n1, n0 = (
            tuple(
                np.bincount(c, w, b.size) + NOISE["counts"] * rng.normal(size=b.size)
                for b, c in zip(bins, codes, strict=True)
            )
            for w in (label, 1 - label)
        )
        counts = LabelCounts(n1, n0, np.full(len(bins), NOISE["counts"] ** 2))
        curves = fit_curves(counts, bins)
        bases = shape_bases(curves)
        rows = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
        noise = np.triu(NOISE["gram"] * rng.normal(size=(rows.shape[1],) * 2), 1)
        sums = (
            bases,
            counts,
            curves,
            rows.T @ rows + noise + noise.T,
            np.full(noise.shape, NOISE["gram"] ** 2),
        )
        seconds = []
        for equations in (moment_equations, logistic_equations):
            more = ([b.feature.institution for b in bins],) if equations is logistic_equations else ()
            begun = time.process_time()
            weights_from(equations(*sums, *more), bases, curves)
            seconds.append(time.process_time() - begun)
        print(
            f"{columns} columns, {len(noise)} shape columns: linear {seconds[0]:.2f} s, logistic {seconds[1]:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
