"""What a card from elsewhere says of the weights, by hand."""

import numpy as np
import pytest

from fedrisk.models.weight_priors import KNOWN_SHARES, SLOPE, agrees, candidate_priors, known_weights

BASE = np.array([[-0.2], [0.2]])


def test_weights_of_a_card_are_those_that_make_its_curve():
    # The column .2 times -1, 1: a part of -.5, .5 is 2.5 times the column.
    part = np.array([-0.5, 0.5])
    got = known_weights([BASE, BASE], [part, None], [np.full(2, 50.0)] * 2, np.zeros(2))
    np.testing.assert_allclose(got, [2.5, 0.0], rtol=1e-6)


def test_a_column_whose_weight_costs_much_gets_less():
    # Its information is 50 (.04 + .04) = 4, so that a cost of 4 halves the weight.
    got = known_weights([BASE], [np.array([-0.5, 0.5])], [np.full(2, 50.0)], np.array([4.0]))
    assert got[0] == pytest.approx(1.25)


def test_every_share_of_a_card_weighs_the_same_in_all():
    first = np.array([True, False])
    assert all(c.belief == 0 for c in candidate_priors(first))
    found = candidate_priors(first, np.array([1000.0, 0.0]))
    alone = [c for c in found if c.mean[0] < 1.2 / SLOPE]
    beside = [c for c in found if c.mean[0] > 100]
    assert len(alone) + len(beside) == len(found)
    total = sum(np.exp(c.belief) for c in beside)
    assert total == pytest.approx(len(KNOWN_SHARES) * len(alone))


def test_a_card_has_to_go_with_the_labels_beyond_noise():
    # Weight 1 on a moment of variance 4: more than twice the error of 2 agrees.
    one, four = np.ones(1), np.full((1, 1), 4.0)
    assert agrees(one, np.array([4.1]), four)
    assert not agrees(one, np.array([3.9]), four)
    assert not agrees(-one, np.array([10.0]), four)
    assert not agrees(0 * one, np.array([10.0]), four)
