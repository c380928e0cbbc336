"""Design and learning rate of a study's network, as they follow from bins, study and the number of rows: all public.

The hub makes them and every bank makes them again, by this code; a bank refuses any other. Loads PyTorch, through the
model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.network import NetworkDesign, initial_weights
from fedrisk.models.network_defaults import AVERAGED, MOMENTUM, default_rate
from fedrisk.models.network_start import start_weights
from fedrisk.models.tuning import Tuning
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.recipes.network.start import curves_on
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.study import Study


def design_of(
    study: Study, training: TrainingPlan, rows: int, bins: Sequence[Bins], known: Knowledge = NOTHING
) -> NetworkDesign:
    """The network of a study with these bins and so many training rows of all trainers, known: at which it begins."""
    noise, curves = training.gradient_noise(rows), curves_on(bins, known)
    return NetworkDesign.of(bins, NetworkSettings.of(study), noise=noise, curves=curves)


def first_weights(
    study: Study, design: NetworkDesign, bins: Sequence[Bins], known: Knowledge, seed: int
) -> NDArray[np.float32]:
    """Weights before training, (d,): the card's log-odds where the study begins at one, else even odds."""
    stated = NetworkSettings.of(study).known
    if stated is None:
        return initial_weights(design, seed)
    return initial_weights(
        design, seed, start_weights(design.columns, curves_on(bins, known), stated.intercept)
    )


def tuning(study: Study, training: TrainingPlan, rows: int) -> Tuning:
    """How released sums move it: the study's choice, or what follows from the noise in a step's mean gradient."""
    return _default(study, training.gradient_noise(rows)).chosen(study.training)


def _default(study: Study, noise: float) -> Tuning:
    """``noise``: deviation in a number of one step's mean gradient, by clip."""
    if study.training.mode == "silo":
        # With one local step a round is a step, and momentum helps as it does there.
        once = study.training.local_steps == 1
        return Tuning(
            rate=default_rate(noise),
            optimiser="momentum" if once else "sgd",
            momentum=MOMENTUM,
            averaged=AVERAGED,
        )
    if not noise and NetworkSettings.of(study).kind == "mlp":
        return Tuning(rate=default_rate(noise), optimiser="adam", momentum=MOMENTUM, averaged=0.1)
    return Tuning(rate=default_rate(noise), optimiser="momentum", momentum=MOMENTUM, averaged=AVERAGED)
