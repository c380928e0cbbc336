"""Evaluations of several studies together."""

import math

import pytest

from fedrisk.analysis.evaluations import Evaluation, accumulated


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
