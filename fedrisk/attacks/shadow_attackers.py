"""Attackers that learn from shadow models: likelihood ratio, loss, nearest cards, and all of them stacked.

A shadow is a study that the attacker makes by itself, of enterprises that it drew from the population: it knows who is
in it, and sees how the model looks then. All of these take what was published of the attacked study and give a number
for each target, higher where the target seems to have taken part.

Sources: Yeom et al. (2018), loss against one threshold for all; Carlini et al. (2022), likelihood ratio, online with
shadows of both kinds, offline with those alone that lack the target; stacking: Wolpert (1992).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Coins = NDArray[np.bool_]

NEAREST = 15
"""Shadow models whose answers count, of those nearest to the attacked one."""

LEAST_DEVIATION = 1e-6
"""Of a target's log-odds over shadow models: several cards may agree to the digit."""


@dataclass(frozen=True)
class Seen:
    """What is seen of studies: of each and for each target.

    coin: (studies, targets) whether it took part. confidence: log-odds that the model gives to the target's own label.
    model: (studies, numbers) the published model as plain numbers. filtered: what the totals say by themselves; None
    where no totals are published.
    """

    coin: Coins
    confidence: Floats
    model: Floats
    filtered: Floats | None = None

    def __getitem__(self, studies: slice) -> "Seen":
        filtered = None if self.filtered is None else self.filtered[studies]
        return Seen(self.coin[studies], self.confidence[studies], self.model[studies], filtered)


def likelihood_ratio(shadows: Seen, attacked: Seen) -> Floats:
    """Online: log likelihood ratio of a target's confidence, normal over shadows with and without it."""
    inside, outside = _normal(shadows, True), _normal(shadows, False)
    return _log_density(attacked.confidence, *inside) - _log_density(attacked.confidence, *outside)


def offline_ratio(shadows: Seen, attacked: Seen) -> Floats:
    """Offline: how far a target's confidence lies above that of shadows without it, as a tail probability."""
    mean, deviation = _normal(shadows, False)
    return -np.asarray(log_ndtr(-(attacked.confidence - mean) / deviation))


def loss(shadows: Seen, attacked: Seen) -> Floats:
    """Negative loss, the same scale for all targets; nothing is learnt from shadows."""
    return -np.logaddexp(0.0, -attacked.confidence)


def nearest(shadows: Seen, attacked: Seen) -> Floats:
    """Share of the nearest shadow models in which the target took part."""
    spread = np.maximum(shadows.model.std(0), LEAST_DEVIATION)
    left, right = attacked.model / spread, shadows.model / spread
    distance = (left**2).sum(1)[:, None] - 2 * left @ right.T + (right**2).sum(1)
    chosen = np.argsort(distance, axis=1, kind="stable")[:, : min(NEAREST, len(right))]
    return np.asarray(shadows.coin[chosen].mean(1), float)


ATTACKERS = {
    "likelihood_ratio": likelihood_ratio,
    "offline_ratio": offline_ratio,
    "loss": loss,
    "nearest": nearest,
}


def each(shadows: Seen, attacked: Seen) -> dict[str, Floats]:
    """What every attacker says, (studies, targets)."""
    out = {name: attack(shadows, attacked) for name, attack in ATTACKERS.items()}
    return out if attacked.filtered is None else {**out, "totals": attacked.filtered}


def stacked(learnt: dict[str, Floats], coin: Coins, attacked: dict[str, Floats]) -> Floats:
    """All attackers as one, by a logistic regression on what they said of studies whose coins are known."""
    columns = [learnt[name].ravel() for name in attacked]
    scale = [(float(c.mean()), max(float(c.std()), LEAST_DEVIATION)) for c in columns]
    x = np.stack([(c - m) / s for c, (m, s) in zip(columns, scale, strict=True)], 1)
    found = LogisticRegression(C=1.0).fit(x, coin.ravel())
    z = [(attacked[n].ravel() - m) / s for n, (m, s) in zip(attacked, scale, strict=True)]
    first = next(iter(attacked.values()))
    return np.asarray(found.decision_function(np.stack(z, 1))).reshape(first.shape)


def _normal(shadows: Seen, inside: bool) -> tuple[Floats, Floats]:
    """Mean and deviation of each target's confidence over shadows on one side of the coin, (targets,)."""
    part = np.where(shadows.coin == inside, shadows.confidence, np.nan)
    return np.nanmean(part, 0), np.maximum(np.nanstd(part, 0), LEAST_DEVIATION)


def _log_density(value: Floats, mean: Floats, deviation: Floats) -> Floats:
    return np.asarray(-0.5 * ((value - mean) / deviation) ** 2 - np.log(deviation))
