"""An earlier study's scorecard once more, with what later studies released since: arithmetic alone, at no price."""

from collections.abc import Sequence

from fedrisk.analysis.card_sums import columns_of, curves_of
from fedrisk.errors import ConfigError
from fedrisk.models.curves import shape_bases
from fedrisk.models.gram_memory import remember_gram
from fedrisk.models.knowledge import PastStudy, places
from fedrisk.models.memory import smoothed
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.fitting import fit_card


def smoothed_card(memory: Sequence[PastStudy], place: int) -> Scorecard:
    """The card of ``memory[place]`` by all of these studies, oldest first; not calibrated.

    ConfigError where there is no other study than itself.
    """
    if len(memory) < 2:
        raise ConfigError("one study alone smooths nothing; name a later or earlier one as well")
    past = memory[place]
    counts = smoothed(memory, place).counts
    curves = curves_of(counts, past.bins)
    bases = past.bases or shape_bases(curves)
    others = [other for k, other in enumerate(memory) if k != place]
    second = remember_gram(others, past.bins, bases, curves, past.second)
    return fit_card(past.study, past.bins, counts, second, bases)


def fitting_columns(memory: Sequence[PastStudy], place: int) -> list[int]:
    """How many columns of ``memory[place]`` each study has with the same bins, in the order of ``memory``."""
    own = columns_of(memory[place].bins)
    return [sum(k is not None for k in places(columns_of(past.bins), own)) for past in memory]
