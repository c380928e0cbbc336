"""Tuning: what a study chooses goes before what the recipe takes by default."""

from fedrisk.models.tuning import Tuning
from fedrisk.study_sections import Training


def test_the_study_chooses_rate_and_optimiser_and_nothing_else():
    default = Tuning(rate=12.0, optimiser="momentum", momentum=0.8, averaged=0.3)
    assert default.chosen(Training()) == default
    chosen = default.chosen(Training(learning_rate=2.0, optimiser="sgd"))
    assert chosen == Tuning(rate=2.0, optimiser="sgd", momentum=0.8, averaged=0.3)
