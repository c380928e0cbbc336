"""Score bins of a scorecard's evaluation, as hub and banks alike draw them from the calibrated card."""

import numpy as np
from numpy.typing import NDArray

from fedrisk.models.scorecard import Scorecard
from fedrisk.models.warning_bins import warning_bins
from fedrisk.study import Study


def evaluation_edges(study: Study, card: Scorecard) -> NDArray[np.float64]:
    """Inner edges, (bins - 1,), rising in the score; fine around the threshold where the study asks for one."""
    if study.warning is None:
        return card.score_bins(study.evaluation.bins)
    return warning_bins(card, study.evaluation.bins, study.warning.false_alarms)
