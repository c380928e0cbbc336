"""Counts by score: from records with noise and without, from rows."""

import numpy as np
import pytest

from fedrisk.analysis.score_counts import banks_of, counts_of, counts_of_rows
from fedrisk.errors import ConfigError, DataError
from fedrisk.metrics import from_histogram
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord

MEMBERS = [{"name": n, "role": "bank"} for n in ("north", "south")]


def record(about, blocks, recipe="scorecard", variance=4.0):
    made = tuple(
        ReleasedBlock(name=n, left="bank", right="bank", total=np.array(t, float), variance=variance)
        for n, t in blocks.items()
    )
    released = ReleasedSums(name="evaluation", population="holdout", mu=0.1, blocks=made, about=about)
    return ReleaseRecord(
        study={"name": "s", "recipe": recipe, "institutions": MEMBERS},
        study_digest="",
        attempt="",
        research=variance == 0,
        releases=(released,),
    )


def test_without_an_evaluation_there_is_nothing():
    bare = ReleaseRecord(study={"institutions": MEMBERS}, study_digest="", attempt="", research=False)
    assert counts_of(bare) is None and banks_of(bare) == ()


def test_banks_apart_add_up_with_their_noise():
    both = record({"score_edges": [600.0]}, {"north": [[1, 9], [3, 7]], "south": [[2, 8], [4, 6]]})
    assert banks_of(both) == ("north", "south")
    found = counts_of(both)
    assert (found.positives.tolist(), found.negatives.tolist(), found.variance) == ([3, 7], [17, 13], 8.0)
    assert counts_of(both, bank="south").positives.tolist() == [2, 4]
    # The first bin is the safest: scores from 600 on.
    assert (found.low.tolist(), found.high.tolist()) == ([600, -np.inf], [np.inf, 600])
    with pytest.raises(ConfigError, match="no evaluation of west alone"):
        counts_of(both, bank="west")


def test_log_odds_have_their_own_probabilities():
    found = counts_of(record({"logit_edges": [-1.0, 1.0]}, {"bank": [[1, 9], [3, 7], [5, 5]]}, "network"))
    assert found.probability == pytest.approx([1 / (1 + np.e**2), 0.5, 1 / (1 + np.e**-2)])
    assert banks_of(record({"logit_edges": [-1.0, 1.0]}, {"bank": [[1, 9], [3, 7], [5, 5]]})) == ()


def test_exact_scores_of_several_banks_lie_on_one_scale():
    exact = record(
        {"first": {"north": 600, "south": 601}},
        {"north": [[3, 1], [0, 0], [1, 4]], "south": [[2, 2], [0, 5]]},
        variance=0.0,
    )
    found = counts_of(exact)
    assert found.exact and found.axis == "score"
    assert found.low.tolist() == [602, 601, 600]
    assert (found.positives.tolist(), found.negatives.tolist()) == ([1, 2, 3], [9, 2, 1])
    assert counts_of(exact, bank="north").low.tolist() == [602, 600]


def test_a_whole_run_has_the_figures_of_its_results(finished):
    for results in finished.values():
        found = counts_of(results.record, results.card)
        figures = from_histogram(found.positives, found.negatives, found.probability, variance=found.variance)
        assert (figures.auc, figures.ks) == pytest.approx((results.auc, results.ks))
        assert figures.brier == pytest.approx(results.brier)


def test_rows_are_counted_by_value():
    found = counts_of_rows(
        [0, 1, 0, 1], [500, 500, 620, 480], axis="score", probability=[0.1, 0.1, 0.05, 0.3]
    )
    assert found.low.tolist() == [620, 500, 480]
    assert (found.positives.tolist(), found.negatives.tolist()) == ([0, 1, 1], [1, 1, 0])
    assert found.probability.tolist() == [0.05, 0.1, 0.3]


@pytest.mark.parametrize(
    ("label", "risk"), [([0, 1], [1.0]), ([0, 2], [1.0, 2.0]), ([0, 1], [1.0, np.nan]), ([], [])]
)
def test_rows_that_cannot_be_counted_are_refused(label, risk):
    with pytest.raises(DataError):
        counts_of_rows(label, risk)


def test_neighbours_are_grouped_without_loss():
    found = counts_of_rows([0, 1] * 50, np.arange(100), axis="risk", probability=np.linspace(0, 1, 100))
    few = found.grouped(10)
    assert len(few.positives) == 10 and few.positives.sum() == 50 and few.negatives.sum() == 50
    assert (few.low[0], few.high[-1]) == (0, 99) and few.probability == pytest.approx(
        np.arange(10) / 9.9 + 4.5 / 99
    )
