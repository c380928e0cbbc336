"""Evaluations of several studies together."""

import math

import numpy as np
import pytest

from fedrisk.analysis.evaluations import Evaluation, accumulated, evaluation_of
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord


def one(auc: float, noise: float, sampling: float = 0.01) -> Evaluation:
    return Evaluation(study="s", auc=auc, noise=noise, sampling=sampling, positives=100.0)


def test_noise_averages_out_and_sampling_does_not() -> None:
    four = accumulated([one(0.7, 0.04)] * 4)
    assert four is not None
    assert four.noise == pytest.approx(0.02) and four.sampling == pytest.approx(0.01)
    assert four.error == pytest.approx(math.hypot(0.02, 0.01))


def test_studies_are_weighed_by_their_noise() -> None:
    both = accumulated([one(0.7, 0.02), one(0.8, 0.04)])
    assert both is not None and both.auc == pytest.approx(0.72)


def test_nothing_of_nothing() -> None:
    assert accumulated([]) is None


@pytest.mark.parametrize("edges", ["score_edges", "logit_edges"])
def test_histograms_stand_in_order_of_rising_risk(edges: str) -> None:
    total = np.array([[100.0, 900.0], [300.0, 700.0]])  # the second bin is the riskier one
    block = ReleasedBlock(name="bank", left="bank", right="bank", total=total, variance=25.0)
    released = ReleasedSums(
        name="evaluation", population="holdout", mu=0.2, blocks=(block,), about={edges: [600.0]}
    )
    record = ReleaseRecord(
        study={"name": "s"}, study_digest="", attempt="", research=False, releases=(released,)
    )
    found = evaluation_of(record)
    # Of pairs of a default and another: one half of .25 * 9/16 and .75 * 7/16 tie, .75 * 9/16 are ranked right.
    assert found is not None
    assert found.auc == pytest.approx(0.75 * 9 / 16 + (0.25 * 9 / 16 + 0.75 * 7 / 16) / 2)
