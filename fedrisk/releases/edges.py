"""Noisy histograms of the columns whose bins are not public; their bin edges follow from them."""

import math
from collections.abc import Sequence

from fedrisk.data.features import Feature
from fedrisk.releases.budget import scaled, sigmas
from fedrisk.releases.release import Block, Release
from fedrisk.study import Study


def edges_release(
    study: Study, features: Sequence[Feature], mu: float, cells: int | None = None
) -> Release | None:
    """Noisy histograms of the features without public bins, or None where all bins are public.

    Sensitivity sqrt(features): an enterprise is in one cell of each. Own block of each role, (features, cells).
    cells: of a histogram; the study's ``bins.cells`` where the plan found no reason for fewer.
    """
    private = [f for f in features if f.private_edges]
    if not private:
        return None
    bits, sigma = scaled(math.sqrt(len(private)), mu, len(study.banks), study.privacy.colluders)
    blocks = tuple(
        Block(
            name=role,
            left=role,
            right=role,
            shape=(sum(f.institution == role for f in private), cells or study.bins.cells),
            sigma=sigmas(study, sigma, role),
        )
        for role in study.roles
        if any(f.institution == role for f in private)
    )
    return Release(name="edges", population="training", mu=mu, ring="uint32", scale_bits=bits, blocks=blocks)
