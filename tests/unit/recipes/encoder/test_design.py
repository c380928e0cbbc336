"""How an encoder is moved: the same at hub and holders."""

from fedrisk.models.encoder import LEARNING_RATE
from fedrisk.recipes import study_from
from fedrisk.recipes.encoder.design import tuning


def test_defaults_and_what_the_study_chooses():
    content = {
        "name": "n",
        "purpose": "p",
        "recipe": "encoder",
        "encoder": {"name": "tax"},
        "privacy": {"epsilon": 1.0},
        "institutions": [{"name": "tax", "role": "holder"}],
    }
    default = tuning(study_from(content))
    assert (default.rate, default.optimiser, default.adam_step) == (1.0, "adam", LEARNING_RATE)
    assert tuning(study_from({**content, "training": {"learning_rate": 3.0}})).rate == 3.0
