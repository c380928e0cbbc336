"""What is released of the hold-out: one histogram, or one for each bank, and where its score bins lie."""

import math

import pytest

from fedrisk.releases.budget import total_mu
from fedrisk.releases.evaluation import evaluation_release, logit_edges
from fedrisk.study import study_from
from support.studies import study


def test_banks_alone_carry_the_whole_noise_of_their_own_figures():
    asked = study(5, by_bank=True)
    release = evaluation_release(asked, 8)
    assert [b.name for b in release.blocks] == list(asked.banks)
    for block in release.blocks:
        assert block.contributors == (block.name,)
        assert block.sigma[block.name] >= math.sqrt(2) * 2**release.scale_bits / release.mu


@pytest.mark.parametrize("by_bank", [True, False])
def test_a_record_behind_the_scores_moves_an_enterprise_between_two_cells(by_bank):
    """By hand: one cell less and one more, sqrt(2), where holders stand behind the scores; one cell where none does."""
    alone, joint = (evaluation_release(study(3, h, by_bank=by_bank), 8) for h in ((), ("tax",)))
    units = [b.sigma["b0"] / 2**r.scale_bits for r in (alone, joint) for b in r.blocks[:1]]
    assert units[1] / units[0] == pytest.approx(math.sqrt(2), rel=1e-3)
    assert units[0] * alone.mu == pytest.approx(1.0, rel=1e-3)
    assert alone.mu == joint.mu


@pytest.mark.parametrize("epsilon", [0.5, 1.0, math.inf])
def test_one_histogram_of_all_banks_costs_the_budget_of_the_hold_out(epsilon):
    asked = study(3, epsilon=epsilon)
    release = evaluation_release(asked, 24)
    (block,) = release.blocks
    assert (release.population, release.mu) == ("holdout", total_mu(asked))
    assert (block.name, block.shape, block.contributors) == ("bank", (24, 2), ("b0", "b1", "b2"))
    assert release.scale_bits >= 8  # a label of .1 is not rounded to 0


def test_score_bins_lie_evenly_around_the_expected_rate():
    asked = study_from(
        {
            "name": "n",
            "purpose": "p",
            "privacy": {"epsilon": 1.0},
            "institutions": [{"name": "b0", "role": "bank"}],
            "expected": {"default_rate": 0.5},
            "evaluation": {"bins": 5},
        }
    )
    assert logit_edges(asked) == pytest.approx([-3.0, -1.0, 1.0, 3.0])


def test_score_bins_are_centred_on_ten_per_cent_where_no_rate_is_expected():
    edges = logit_edges(study())
    assert len(edges) == study().evaluation.bins - 1
    assert sum(edges) / len(edges) == pytest.approx(math.log(0.1 / 0.9))
