"""Measures asked of banks and offices by their real handlers: sums, what is counted, and who is asked never alone."""

import numpy as np
import pytest

from fedrisk.clients.node import Node
from fedrisk.errors import PolicyError
from fedrisk.serving import registry
from fedrisk.serving.asking import Asking
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.measures import Measure, opened
from support.serving import IDS, Clock, Consortium

BANKS = ("alfa", "beta", "gamma", "delta")
VALUES = {
    "alfa": (9.0, 9.0, 9.0, 9.0),
    "beta": (1.0, 2.0, None, 0.0),
    "gamma": (0.0, 4.0, 8.5),
    "delta": (3.0, None, 1.0, 0.0),
    "power": (1.0, 2.0, None, 4.0),
    "tax": (2.0, 1.0, 4.0, None),
}
COMMON = {"meaning": "m", "purpose": "credit_scoring", "banks": ("alfa", "beta")}
AT_BANKS = [{"member": b, "column": "value"} for b in BANKS]
MEASURES = {
    "sum": {"name": "exposure", "high": 8.0, "step": 0.5, "terms": AT_BANKS},
    "count": {"name": "exposure_lenders", "terms": AT_BANKS},
    "related": {"name": "exposure_related", "high": 8.0, "step": 0.5, "most_related": 3, "terms": AT_BANKS},
    "ratio": {
        "name": "carbon",
        "step": 0.001,
        "terms": [{"member": m, "column": "value", "low": 0.5, "high": 9.0} for m in ("power", "tax")],
    },
}
RULES = (
    '[{ measure = "exposure*", banks = ["alfa", "beta"], per_month = 12 }, '
    '{ measure = "carbon", banks = ["alfa", "beta"], least_members = 2 }]'
)


def measure(kind):
    return Measure.model_validate({**COMMON, "kind": kind, **MEASURES[kind]})


@pytest.fixture
def consortium(tmp_path):
    """Four banks and two offices that have all measures, approved by hand."""
    made = Consortium(
        tmp_path, holders=("power", "tax"), banks=BANKS, values=VALUES, serving={"measures": RULES}
    )
    for kind in MEASURES:
        m = measure(kind)
        for name in {*m.members, *m.banks}:
            node = made.nodes[name]
            registry.candidate(node, m.part(name, node.institution.kind))
            registry.approve(node, m.id, who="officer", follows=None)
    return made


@pytest.fixture
def asking(consortium):
    relays = []

    def of(bank):
        relays.append(LocalRelay(consortium.paths, bank, clock=Clock()))
        return Asking(Node.open(consortium.paths[bank]), relays[-1], clock=Clock())

    yield of
    for relay in relays:
        relay.close()


def ask(asking, bank, kind, ids=IDS[:4], **how):
    m = measure(kind)
    found = asking.ask(asking.node.store.models.part(m.id), ids, purpose="credit_scoring", **how)
    if not found.columns:
        return found, None, None
    return (found, *opened(m, bank, found.columns))


def test_sums_over_the_other_banks(asking):
    _, values, known = ask(asking("alfa"), "alfa", "sum")
    # 8.5 is clipped to 8; alfa's own 9 is in none of them.
    assert values.tolist() == [4.0, 6.0, 9.0, 0.0]
    assert known.tolist() == [2, 2, 2, 0]
    _, values, known = ask(asking("beta"), "beta", "count")
    assert values.tolist() == known.tolist() == [2, 2, 3, 1]


def test_related_enterprises(asking):
    alfa = asking("alfa")
    _, values, known = ask(alfa, "alfa", "related", row_of=(0, 0, 1, 1))
    assert values.tolist() == [10.0, 9.0]
    assert known.tolist() == [4, 2]
    found, _, _ = ask(alfa, "alfa", "related", row_of=(0, 0, 0, 0))
    assert set(found.failed.values()) == {"form"}
    found, _, _ = ask(alfa, "alfa", "sum", row_of=(0, 0, 1, 2))
    assert set(found.failed.values()) == {"form"}


def test_a_ratio(asking):
    _, values, known = ask(asking("alfa"), "alfa", "ratio")
    assert values[:2] == pytest.approx([0.5, 2.0], rel=0.001)
    assert np.isnan(values[2:]).all()
    assert known.tolist() == [2, 2, 0, 0]


def test_what_is_asked_is_counted_by_month(asking):
    alfa = asking("alfa")
    for _ in range(3):
        assert ask(alfa, "alfa", "sum")[1] is not None
    found, _, _ = ask(alfa, "alfa", "sum", ids=IDS[:1])
    assert set(found.failed.values()) == {"quota"}
    # Each measure has a count of its own, and so has each bank.
    assert ask(alfa, "alfa", "count")[1] is not None
    assert ask(asking("beta"), "beta", "sum")[1] is not None


def test_one_enterprise_is_not_asked_about_without_end(asking, consortium):
    """Where one lender alone changes its figure, the difference of two answers is that change."""
    consortium.write("beta", VALUES["beta"], measures=RULES, per_enterprise="2")
    alfa = asking("alfa")
    for _ in range(2):
        assert ask(alfa, "alfa", "sum", ids=IDS[:1])[1].tolist() == [4.0]
    found, _, _ = ask(alfa, "alfa", "sum", ids=(f" {IDS[0].lower()} ", IDS[1]))
    assert found.refused == {0: {"beta": "enterprise_quota"}}
    # Other measures have counts of their own.
    assert ask(alfa, "alfa", "count", ids=IDS[:1])[1].tolist() == [2]


def test_only_banks_of_the_measure_may_ask(asking, consortium):
    m = measure("sum")
    node = consortium.nodes["gamma"]
    assert set(
        asking("gamma").ask(m.part("gamma", "bank"), IDS[:1], purpose="credit_scoring").failed.values()
    ) == {"asker"}
    assert node.store.models.has(m.id)


def test_a_rule_that_is_taken_back_holds_from_the_next_question_on(asking, consortium):
    alfa = asking("alfa")
    assert ask(alfa, "alfa", "ratio")[1] is not None
    consortium.write("tax", VALUES["tax"], measures='[{ measure = "carbon", banks = ["alfa"] }]')
    found, _, _ = ask(alfa, "alfa", "ratio")
    assert found.failed == {"tax": "asker"}


def test_no_measure_is_approved_by_rule(tmp_path):
    made = Consortium(
        tmp_path, holders=("power", "tax"), banks=BANKS, serving={"measures": RULES, "approve": '"own_parts"'}
    )
    m = measure("sum")
    part = registry.candidate(made.nodes["beta"], m.part("beta", "bank"))
    assert made.nodes["beta"].store.models.state(part.model).name == "candidate"


def test_two_sums_that_differ_by_one_bank_are_not_both_approved(consortium):
    content = {**COMMON, "kind": "sum", **MEASURES["sum"], "banks": ("alfa",)}
    fewer = Measure.model_validate({**content, "name": "exposure_fewer", "terms": AT_BANKS[1:]})
    node = consortium.nodes["beta"]
    registry.candidate(node, fewer.part("beta", "bank"))
    with pytest.raises(PolicyError, match=r"alfa, whose number may be the difference"):
        registry.approve(node, fewer.id, who="officer", follows=None)
