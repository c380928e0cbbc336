"""The scorecard of credit practice in the clear: optimal bins, weights of evidence, logistic regression (Siddiqi 2006).

Bins by `optbinning` (Navas-Palencia 2020), which an optional extra brings.
"""

import warnings

import numpy as np
from numpy.typing import NDArray

from fedrisk.data.special import special_values
from fedrisk.lab.split import Baseline, Split

SECONDS = 5
"""Most time that the search for the bins of one column may take."""


def woe(split: Split, epsilon: float, delta: float, seed: int) -> NDArray[np.float64]:
    """Logistic regression on the weight of evidence of each column, in bins that optbinning finds on training rows."""
    from optbinning import OptimalBinning
    from sklearn.linear_model import LogisticRegression

    train, label = split.training, split.label[split.training].astype(np.int64)
    found = []
    with warnings.catch_warnings():
        # Deprecated calls inside the package.
        warnings.simplefilter("ignore", category=FutureWarning)
        for name, feature in zip(split.frame.columns, split.features, strict=True):
            category = feature.kind == "category"
            kind = object if category else np.float64
            x = split.frame[name].to_numpy(dtype=kind, na_value=np.nan)
            special = None if category else [*special_values(feature.special)] or None
            bins = OptimalBinning(
                name=str(name),
                dtype="categorical" if category else "numerical",
                special_codes=special,
                time_limit=SECONDS,
            )
            bins.fit(x[train], label)
            found.append(
                bins.transform(x, metric="woe", metric_special="empirical", metric_missing="empirical")
            )
    evidence = np.nan_to_num(np.stack(found, axis=1).astype(np.float64), posinf=0.0, neginf=0.0)
    model = LogisticRegression(max_iter=2000).fit(evidence[train], label)
    return np.asarray(model.predict_proba(evidence)[:, 1])


BASELINES = (Baseline(name="pooled WoE scorecard", private=False, needs=("optbinning",), fit=woe),)
