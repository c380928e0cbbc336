"""The control without bounds on points: every sum of points stays apart, and afterwards all is as before."""

from types import SimpleNamespace

import numpy as np

from fedrisk.attacks.controls import unbounded_points
from fedrisk.recipes.scorecard import score_grid, scoring


def test_every_sum_is_given_as_it_is_while_it_lasts(monkeypatch):
    before = score_grid.given_points, scoring.given_points
    monkeypatch.setattr(score_grid, "spans_of", lambda card, one: {"tax": (-100, 700)})
    with unbounded_points():
        given = scoring.given_points(SimpleNamespace(role="tax"), None, None)
        sums = np.arange(-100, 701)
        assert (given.of(sums) == sums).all()
        assert score_grid.given_points is scoring.given_points
    assert (score_grid.given_points, scoring.given_points) == before
