"""DP-EBM: additive models by boosting with noise (Nori et al. 2021), as `interpret` has them, on pooled rows.

One trusted party has all rows and adds the noise; no institution is protected from it.

**What is hidden.** Each row adds 1 to one cell of each column's histogram, and a residual between -1 and 1 to one
part of the scale in each boosting step. The package's noise is for those sensitivities, by Gaussian differential
privacy (Dong, Roth & Su 2022), with the number of rows public: an enterprise's whole contribution is set to zero, the
relation of a study. (The package calls it a row that is added or removed, and uses the number of rows as it is.) The
package splits epsilon and delta between bins and boosting and adds the two up. That is more noise than needed; it is
told as much epsilon as makes mu of both together, by squares, the mu of a study at the cell's epsilon and delta, so
that both have one price.

Bounds, and the scale of each column, are those of the dictionaries. A category takes its place in the dictionary's
order, since the package would take the list of categories from the rows without accounting for it. The package's noise
is that of a seed, from a generator of floating-point numbers: for comparing, not for release.
"""

import math
import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from fedrisk.lab.baselines.inputs import scale_of
from fedrisk.lab.split import Baseline, Split
from fedrisk.privacy.accounting import EPSILON_MAX, mu_for

BINNING = 0.1
"""Share of epsilon for the bins: the package's default. Half of delta goes there."""


def epsilon_told(epsilon: float, delta: float) -> float:
    """The epsilon of the package for which bins and boosting together have the mu of (epsilon, delta).

    >>> told = epsilon_told(1.0, 1e-6)
    >>> parts = [mu_for(BINNING * told, 5e-7), mu_for((1 - BINNING) * told, 5e-7)]
    >>> math.isclose(math.hypot(*parts), mu_for(1.0, 1e-6))
    True
    """
    # Infinite epsilon has no noise; the package's formulas end before.
    wanted = mu_for(min(epsilon, EPSILON_MAX), delta)

    def off(told: float) -> float:
        parts = (mu_for(BINNING * told, delta / 2), mu_for((1 - BINNING) * told, delta / 2))
        return math.hypot(*parts) - wanted

    return float(brentq(off, epsilon / 2 if math.isfinite(epsilon) else 1.0, 3 * EPSILON_MAX, rtol=1e-12))


def dp_ebm(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """The package's classifier with its defaults, on columns on their public scales."""
    from interpret.privacy import DPExplainableBoostingClassifier

    names = [f.name for f in split.features]
    placed = [scale_of(f, split.frame[c]) for c, f in zip(split.frame.columns, split.features, strict=True)]
    x = np.stack([place for place, _ in placed], axis=1)
    model = DPExplainableBoostingClassifier(
        feature_names=names,
        feature_types=["continuous"] * len(names),
        privacy_bounds=np.array([(low, 1.0) for _, low in placed]),
        epsilon=epsilon_told(epsilon, delta),
        delta=delta,
        bin_budget_frac=BINNING,
        composition="gdp",
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        # Bounds or kinds taken from rows would be privacy that nobody accounts for.
        warnings.filterwarnings("error", message="Possible privacy violation")
        # A sweep is research: the seed is known, and results can be made again.
        warnings.filterwarnings("ignore", message="Privacy violation: using a fixed random_state")
        model.fit(x[split.training], split.label[split.training].astype(np.int64))
        return np.asarray(model.predict_proba(x)[:, 1])


BASELINES = (Baseline(name="DP-EBM", private=True, needs=("interpret",), fit=dp_ebm),)
