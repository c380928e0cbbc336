"""Design and learning rate of a study's network, as they follow from bins, study and the number of rows: all public.

The hub makes them and every bank makes them again, by this code; a bank refuses any other. Loads PyTorch, through the
model.
"""

from collections.abc import Sequence

from fedrisk.models.binning import Bins
from fedrisk.models.network import NetworkDesign
from fedrisk.models.network_defaults import AVERAGED, MOMENTUM, default_rate
from fedrisk.models.tuning import Tuning
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.releases.gradient_sums import TrainingPlan
from fedrisk.study import Study


def design_of(study: Study, training: TrainingPlan, rows: int, bins: Sequence[Bins]) -> NetworkDesign:
    """The network of a study with these bins and so many training rows of all trainers."""
    return NetworkDesign.of(bins, NetworkSettings.of(study), noise=training.gradient_noise(rows))


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
