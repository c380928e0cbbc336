"""A plan: forms are added to it once, at the price that was planned, and nothing else changes."""

import math

import pytest

from fedrisk.errors import ProtocolError
from fedrisk.releases.gradient_sums import training_plan
from fedrisk.releases.plan import Plan
from fedrisk.releases.release import Block, Planned, Release
from fedrisk.study import study_from


def made(name="counts", mu=3.0, population="training"):
    block = Block(name="bank", left="bank", right="bank", shape=(2,), sigma={"bank": 4.0})
    return Release(name=name, population=population, mu=mu, ring="uint32", scale_bits=1, blocks=(block,))


PLAN = Plan(
    planned=(
        Planned(name="counts", population="training", mu=3.0),
        Planned(name="gram", population="training", mu=4.0),
        Planned.of(made("evaluation", 5.0, "holdout")),
    ),
    price={"bank": 5.0},
)


def test_prices_and_forms_by_name():
    assert (PLAN.mu("counts"), PLAN.mu("evaluation")) == (3.0, 5.0)
    assert [PLAN.prepared(name) for name in ("counts", "evaluation", "nobody")] == [False, True, False]
    assert PLAN.release("evaluation") == made("evaluation", 5.0, "holdout")
    assert PLAN.find("nobody") is None


def test_a_form_is_added_once_and_the_rest_stays():
    later = PLAN.with_released(made())
    assert later.release("counts") == made()
    assert later.find("counts").deviation == (2.0, 2.0)
    assert later.planned[1:] == PLAN.planned[1:]
    assert later.price == PLAN.price
    assert not PLAN.prepared("counts")  # the plan that was there is as it was
    with pytest.raises(ProtocolError, match="release counts was prepared twice"):
        later.with_released(made())


@pytest.mark.parametrize(
    "mu", [0.0, math.nextafter(3.0, 0.0), math.nextafter(3.0, 4.0), 2.9, math.inf, math.nan]
)
def test_a_form_at_another_price_is_refused(mu):
    with pytest.raises(ProtocolError, match="release counts is planned at another price"):
        PLAN.with_released(made(mu=mu))


def test_a_form_for_other_rows_is_refused():
    with pytest.raises(ProtocolError, match="planned at another price"):
        PLAN.with_released(made(population="holdout"))


def test_what_is_not_planned_or_not_prepared_is_named():
    for ask in (PLAN.mu, PLAN.release):
        with pytest.raises(
            ProtocolError, match="release recount is unknown here; hub and institution must run"
        ):
            ask("recount")
    with pytest.raises(ProtocolError, match="release recount is unknown here"):
        PLAN.with_released(made("recount"))
    with pytest.raises(ProtocolError, match="release gram was never prepared here"):
        PLAN.release("gram")


def test_a_plan_without_a_training_has_none():
    with pytest.raises(ProtocolError, match="this study trains nothing"):
        _ = PLAN.trained
    members = [{"name": "b0", "role": "bank"}, {"name": "b1", "role": "bank"}]
    content = {"name": "n", "purpose": "p", "privacy": {"epsilon": 1.0}, "institutions": members}
    training = training_plan(study_from({**content, "recipe": "network"}), 0.2)
    assert Plan(planned=(), price={}, training=training).trained is training
