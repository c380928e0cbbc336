"""How a study's encoder is moved by released sums: the same at the hub and at every holder. Loads PyTorch."""

from fedrisk.models.encoder import LEARNING_RATE
from fedrisk.models.tuning import Tuning
from fedrisk.study import Study


def tuning(study: Study) -> Tuning:
    """Defaults, or the study's choice."""
    default = Tuning(rate=1.0, optimiser="adam", momentum=0.9, averaged=0.0, adam_step=LEARNING_RATE)
    return default.chosen(study.training)
