"""Contributions from records of small studies with known effects."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis import contribution
from fedrisk.analysis.card_sums import CardSums
from fedrisk.analysis.card_value import CardValue, normal_measures
from fedrisk.analysis.contribution import KNOWN, contributions
from fedrisk.errors import ConfigError
from fedrisk.recipes.scorecard.fitting import refit
from support.card_record import card_record


@pytest.fixture(scope="module")
def record():
    return card_record()


@pytest.fixture(scope="module")
def found(record):
    return contributions(record, draws=100)


def worth(found, measure="deviance"):
    return {p.institution: p.worth[measure] for p in found.institutions}


def test_institutions_are_ranked_by_what_they_tell(found):
    values = {name: w.value for name, w in worth(found).items()}
    assert sorted(values, key=values.get) == ["court", "power", "tax", "bank"]
    # The court tells nothing: less than a twentieth of the whole, and far less than any other.
    assert values["court"] < 0.05 * found.whole["deviance"].value


def test_values_add_up_over_institutions_and_columns(found):
    for measure in ("deviance", "auc"):
        values = worth(found, measure)
        assert sum(w.value for w in values.values()) == pytest.approx(found.whole[measure].value)
        assert sum(w.share for w in values.values()) == pytest.approx(1.0)
        for name, whole in values.items():
            own = [p.worth[measure].value for p in found.columns if p.institution == name]
            assert sum(own) == pytest.approx(whole.value)


def test_a_value_lies_between_what_is_lost_without_and_what_is_told_alone(found):
    for p in found.institutions:
        assert p.last["deviance"].value <= p.worth["deviance"].value <= p.alone["deviance"].value


def test_errors_have_their_parts(found):
    for p in found.institutions:
        w = p.worth["deviance"]
        assert w.low < w.value < w.high
        assert w.error**2 == pytest.approx(w.noise**2 + w.sampling**2, rel=0.01)
        assert w.orders == 0


def test_less_noise_makes_smaller_errors_of_noise():
    rough, fine = (contributions(card_record(epsilon=e), draws=60) for e in (0.5, 30.0))
    for before, after in zip(rough.institutions, fine.institutions, strict=True):
        assert after.worth["deviance"].noise < before.worth["deviance"].noise / 3


def test_the_same_record_gives_the_same_figures(record, found):
    assert contributions(record, draws=100) == found


def test_sampled_orders_come_near_all_subsets(record, found, monkeypatch):
    monkeypatch.setattr(contribution, "MOST_EXACT", 2)
    monkeypatch.setattr(contribution, "MORE_PAIRS", 150)
    sampled = contributions(record, draws=100)
    assert not sampled.exact
    for one, other in zip(sampled.institutions, found.institutions, strict=True):
        a, b = one.worth["deviance"], other.worth["deviance"]
        assert 0 < a.orders < 0.01
        assert abs(a.value - b.value) < 4 * a.orders + 0.1 * b.error


def test_few_defaults_are_valued_without_second_moments():
    few = contributions(card_record(few=True), draws=60)
    assert not few.gram
    assert sum(w.value for w in worth(few).values()) == pytest.approx(few.whole["deviance"].value)


def test_quality_is_that_of_the_rows(found):
    for name, share in {"tax": 0.9, "power": 0.7}.items():
        assert found.quality[name].coverage.value == pytest.approx(share, abs=0.02)
        assert found.quality[name].columns["c1"].value == pytest.approx(0.9, abs=0.02)
        assert found.quality[name].columns["c0"].value == 1.0
    assert found.quality["bank"].coverage is None
    assert not found.quality["court"].coverage.says
    assert [p.column for p in found.columns if p.institution == "tax"] == ["c0", "c1", KNOWN]


def test_a_record_of_another_kind_is_named(record):
    with pytest.raises(ConfigError, match="no label counts and second release of a scorecard"):
        contributions(replace(record, releases=record.releases[:1]))


def test_the_card_is_fitted_again_from_the_same_sums(record):
    card, sums = refit(record), CardSums.of(record)
    assert card.bins == sums.bins
    assert sums.second is not None


def test_more_columns_never_tell_less(record):
    value = CardValue.of(CardSums.of(record), 10, np.random.default_rng(0))
    one, two = value.variance([0, 2]), value.variance([0, 2, 3])
    assert (two >= one).all()
    assert (value.path([[0, 2], [3]])[1] == pytest.approx(two)) and (value.variance([]) == 0).all()


def test_measures_of_two_normal_classes_by_drawing_them():
    rate, rng = 0.2, np.random.default_rng(5)
    deviance, above = normal_measures(np.array(1.5), rate)
    apart = np.sqrt(1.5 / (1 - 1.5 * rate * (1 - rate)))
    y = rng.random(400_000) < rate
    odds = np.log(rate / (1 - rate)) + apart * (rng.normal(size=len(y)) + apart * (y - 0.5))
    loss = np.logaddexp(0, np.where(y, -odds, odds)).mean()
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    assert deviance == pytest.approx(1 - loss / entropy, abs=0.005)
    ones, zeros = odds[y][:60_000], odds[~y][:60_000]
    assert above == pytest.approx((ones > zeros[: len(ones)]).mean() - 0.5, abs=0.01)
