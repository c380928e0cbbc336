"""Why a card without noise is not logistic regression on the same bins: clipping, basis, discriminant, one by one.

FEDRISK_DATA=... OMP_NUM_THREADS=1 python benchmarks/interactions/gap.py [STUDY_FILE ...]
"""

import argparse
import math
from pathlib import Path

import numpy as np
from pair_study import ROOT, emulate
from portfolios import at_epsilon, from_config
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from fedrisk.analysis.card_sums import curves_of
from fedrisk.metrics import auc
from fedrisk.models.curves import shape_bases
from fedrisk.models.estimator import posterior_weights
from fedrisk.models.label_counts import with_known


def parts(path: Path) -> dict[str, float]:
    """AUC on the hold-out of the card and of models that differ from it by one thing more each."""
    data = at_epsilon(from_config(path), math.inf)
    card = emulate(data, holdout=1, noise=1)
    codes, label, train, held = data.codes(card.bins), data.label, card.train, card.held
    curves, counts = curves_of(card.counts, card.bins), with_known(card.counts, card.bins)
    bases = shape_bases(curves)
    shapes = np.concatenate([b[c] for b, c in zip(bases, codes, strict=True)], axis=1)
    gram = shapes[train].T @ shapes[train]
    weights = posterior_weights(bases, counts, curves, gram, np.zeros_like(gram))
    hot = sparse.hstack(
        [
            sparse.csr_matrix((np.ones(len(c)), (np.arange(len(c)), c)), (len(c), b.size))
            for c, b in zip(codes, card.bins, strict=True)
        ]
    ).tocsr()

    def regression(x: np.ndarray, strength: float) -> float:
        model = LogisticRegression(C=strength, max_iter=1000).fit(x[train], label[train])
        return auc(label[held], model.decision_function(x[held]))

    return {
        "card": auc(label[held], card.probability[held]),
        "rows not clipped": auc(label[held], shapes[held] @ weights.mean),
        "logistic regression on shape columns": regression(shapes, 10.0),
        "logistic regression on one-hot bins": regression(hot, 1.0),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "studies", nargs="*", help="study files, for example configs/taiwan.toml; default: sba"
    )
    for name in parser.parse_args().studies or [str(ROOT / "configs" / "sba.toml")]:
        print(name, {key: round(value, 4) for key, value in parts(Path(name)).items()})
