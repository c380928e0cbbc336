"""Prices of releases: validation, totals by population and attempt, JSON and back."""

import json
import math
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import mu_for
from fedrisk.privacy.spend import Spend, charge, total

BASE = Spend(
    study="autumn",
    attempt="1",
    release="counts",
    population="training",
    mu=0.1,
    delta=1e-6,
    what="label counts per bin",
    institution="tax",
    counterparty="bank",
)

spends = st.lists(
    st.builds(
        lambda study, attempt, population, mu: replace(
            BASE, study=study, attempt=attempt, population=population, mu=mu
        ),
        st.sampled_from(["autumn", "winter"]),
        st.sampled_from(["1", "2"]),
        st.sampled_from(["training", "holdout", "all"]),
        st.floats(0.0, 10.0).filter(lambda mu: mu == 0.0 or mu > 1e-100),
    ),
    max_size=12,
)


def test_the_larger_population_counts():
    rows = [
        replace(BASE, mu=3.0),
        replace(BASE, release="gram", mu=4.0),
        replace(BASE, release="eval", population="holdout", mu=4.9),
    ]
    assert total(rows) == 5.0
    assert total(rows[1:]) == 4.9
    assert total([]) == 0.0


def test_a_release_of_all_counts_for_both_populations():
    everybody = replace(BASE, release="statistics", population="all", mu=4.0)
    held = replace(BASE, release="eval", population="holdout", mu=3.0)
    trained = replace(BASE, release="counts", population="training", mu=2.0)
    assert total([everybody]) == 4.0
    assert total([everybody, held, trained]) == pytest.approx(5.0)
    assert total([everybody, trained]) == pytest.approx(math.sqrt(20.0))
    assert charge([everybody, held, trained, replace(everybody, attempt="2")]) == pytest.approx(
        math.sqrt(41.0)
    )


def test_attempts_add_up_each_with_its_larger_population():
    rows = [
        replace(BASE, mu=3.0),
        replace(BASE, population="holdout", mu=1.0),
        replace(BASE, attempt="2", mu=1.0),
        replace(BASE, attempt="2", population="holdout", mu=4.0),
    ]
    assert charge(rows) == 5.0
    assert charge([replace(BASE, mu=3.0), replace(BASE, study="winter", mu=4.0)]) == 5.0
    assert charge([]) == 0.0


@given(spends)
def test_charge_is_between_total_and_the_sum_of_everything(rows):
    everything = math.sqrt(sum(spend.mu**2 for spend in rows))
    assert total(rows) * (1 - 1e-12) <= charge(rows) <= everything * (1 + 1e-12)


def test_research_is_priced_at_infinity_and_shown_as_no_privacy():
    research = replace(BASE, research=True)
    assert research.mu == 0.1
    assert research.price == math.inf
    assert research.epsilon == math.inf
    assert total([BASE, research]) == math.inf
    assert charge([BASE, research]) == math.inf
    assert "no privacy" in str(research)
    exact = replace(BASE, research=True, mu=math.inf)
    assert exact.price == math.inf
    with pytest.raises(ConfigError, match="no privacy"):
        replace(BASE, mu=math.inf)


def test_epsilon_is_shown_at_the_policy_delta():
    spend = replace(BASE, mu=mu_for(1.0, 1e-6))
    assert spend.epsilon == pytest.approx(1.0, rel=1e-9)
    assert "epsilon 1 at delta 1e-06" in str(spend)


@pytest.mark.parametrize("mu", [0.0, 0.123456789012345678, 1e-300, math.inf])
def test_json_and_back(mu):
    spend = replace(BASE, mu=mu, research=mu == math.inf)
    text = json.dumps(spend.to_dict(), allow_nan=False)
    assert Spend.from_dict(json.loads(text)) == spend


@pytest.mark.parametrize(
    "change",
    [
        {"study": ""},
        {"attempt": " "},
        {"release": None},
        {"what": 3},
        {"population": "test"},
        {"mu": -0.1},
        {"mu": math.nan},
        {"mu": "0.1"},
        {"mu": True},
        {"delta": 0.0},
        {"delta": 1.0},
        {"delta": math.nan},
        {"research": 1},
    ],
)
def test_invalid_spends(change):
    with pytest.raises(ConfigError, match=next(iter(change))):
        replace(BASE, **change)


def test_from_dict_wants_exactly_the_fields():
    plain = BASE.to_dict()
    with pytest.raises(ConfigError, match="unknown"):
        Spend.from_dict({**plain, "extra": 1})
    del plain["mu"]
    with pytest.raises(ConfigError, match="mu"):
        Spend.from_dict(plain)


def test_a_spend_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        BASE.mu = 0.0  # type: ignore[misc]
