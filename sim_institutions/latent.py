"""What is true of each enterprise at the end of a month, and no institution knows: the latent health, and what happens.

The overall health, with which an index is compared, is the mean of the five facets, each with its weight in the
log-odds of default (`health.WEIGHTS`): what the enterprise is and how it fares now, not how likely it is to default.
"""

from collections.abc import Mapping

import numpy as np

from sim_institutions.health import DISTRESS, MOVING, NONE, WEIGHTS
from sim_institutions.population import Window
from sim_institutions.random_streams import Bools, Floats, Ints, logistic

COURSES = ("none", "distress", "dip", "decline", "growth")
# Months over which a facet is taken.
NOW = 3


def facets(window: Window) -> dict[str, Floats]:
    """Each facet, with what courses and shocks take of it or add (in log sales), mean of three months; (n,)."""
    found: dict[str, Floats] = {}
    for name in MOVING:
        now = window.health.paths[name][:, -NOW:] + window.effects[name][:, -NOW:]
        found[name] = now.mean(axis=1)
    return {**found, "conduct": window.health.conduct}


def overall(of: Mapping[str, Floats]) -> Floats:
    """The mean of the facets with their weights."""
    total = sum(np.float32(weight) * of[name] for name, weight in WEIGHTS.items())
    return np.asarray(total / np.float32(sum(WEIGHTS.values())), dtype=np.float32)


def latent(window: Window, distressed: Bools) -> dict[str, Floats | Ints | Bools]:
    """Columns of the truth of a month, (n,); distressed: who is in distress that does not yet recover."""
    health, standing = window.health, window.standing
    of = facets(window)
    last = window.months - 1
    running = health.course != NONE
    return {
        **of,
        "health": overall(of),
        "course": np.asarray(COURSES)[health.course],
        "course_months": np.where(running, last - health.since, -1).astype(np.int16),
        "distress": distressed,
        "distress_began": (health.course == DISTRESS) & (health.since == last),
        "probability": logistic(health.risk + np.float32(window.intercept)),
        "late_within_a_year": window.default,
        **{f"loan_{bank.name}": standing.active[:, i] for i, bank in enumerate(window.profile.banks)},
    }
