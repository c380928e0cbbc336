"""Steps at whose ends answers leave: never before the work is done, never much later, and what they tell."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.clients.answer_steps import GROWTH, AnswerSteps

phases = st.floats(0, 1, exclude_max=True)
times = st.floats(1e-4, 1e5)


@given(phases, times)
def test_an_answer_leaves_when_the_work_is_done_or_at_most_half_as_long_after(phase, seconds):
    end = AnswerSteps(phase).end(seconds)
    assert seconds * (1 - 1e-9) <= end <= seconds * GROWTH * (1 + 1e-9)


@given(phases, times, times)
def test_answers_leave_in_the_order_of_their_work(phase, one, other):
    steps = AnswerSteps(phase)
    assert (one <= other) <= (steps.end(one) <= steps.end(other))


@pytest.mark.parametrize("ratio", [1.02, 1.1, 1.3])
def test_two_times_are_in_different_steps_with_the_stated_probability(ratio):
    """Over all phases evenly: nothing is drawn."""
    n = 20_000
    apart = np.mean([len({AnswerSteps(k / n).step(t) for t in (0.7, 0.7 * ratio)}) == 2 for k in range(n)])
    assert apart == pytest.approx(math.log(ratio) / math.log(GROWTH), abs=1e-3)


def test_where_steps_begin_is_drawn():
    drawn = {AnswerSteps.drawn().phase for _ in range(20)}
    assert len(drawn) == 20 and all(0 <= p < 1 for p in drawn)
