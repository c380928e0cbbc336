"""A bank's share of positive labels against the declared rate: reversed labels are refused, and only these."""

from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.clients.label_rate import Labels, check_rate, labels_of
from fedrisk.errors import DataError
from fedrisk.recipes import study_from


def study(**expected):
    members = [{"name": "b", "role": "bank"}, {"name": "h", "role": "holder"}]
    content = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1}, "institutions": members}
    return study_from({**content, "expected": expected})


def table(rate, rows=1000):
    return SimpleNamespace(label=np.r_[np.ones(round(rate * rows)), np.zeros(rows - round(rate * rows))])


@pytest.mark.parametrize(("rate", "declared"), [(0.88, 0.12), (1.0, 0.02), (0.76, 0.24)])
def test_labels_the_wrong_way_round_are_refused(rate, declared):
    with pytest.raises(DataError, match="wrong way round"):
        check_rate(study(default_rate=declared), SimpleNamespace(name="b"), table(rate))


@pytest.mark.parametrize(
    ("rate", "declared"),
    # As declared; far off on one side; on two sides of one half and near it; few where many are; nothing declared.
    [(0.12, 0.12), (0.01, 0.3), (0.49, 0.05), (0.55, 0.45), (0.95, 0.6), (0.12, 0.88), (0.88, None)],
)
def test_other_rates_are_not(rate, declared):
    check_rate(study(default_rate=declared), SimpleNamespace(name="b"), table(rate))


def test_nothing_is_asked_of_who_has_no_labels():
    check_rate(study(default_rate=0.1), SimpleNamespace(name="h"), table(0.9))
    check_rate(study(default_rate=0.1), SimpleNamespace(name="b"), SimpleNamespace(label=np.full(9, np.nan)))
    assert labels_of(SimpleNamespace(label=None)) is None


def test_rows_without_a_label_do_not_count():
    found = labels_of(SimpleNamespace(label=np.array([1.0, 0.0, np.nan, 0.5])))
    assert found == Labels(labelled=3, positive=1.5) and found.rate == 0.5


def refused(rate, declared):
    try:
        check_rate(study(default_rate=declared), SimpleNamespace(name="b"), table(rate, rows=100_000))
    except DataError:
        return True
    return False


def test_declared_rates_cannot_be_used_to_search_for_a_banks_rate():
    """One of two answers, whatever a hub declares, and the same for all rates on one side of a fixed bound."""
    declared = [*np.linspace(0.001, 0.999, 333), 0.25, 0.75]
    answers = {rate: tuple(refused(rate, d) for d in declared) for rate in (0.001, 0.02, 0.2, 0.3, 0.5, 0.74)}
    assert len(set(answers.values())) == 1 and not any(answers[0.2])
    assert len({tuple(refused(rate, d) for d in declared) for rate in (0.75, 0.8, 0.99, 1.0)}) == 1
