import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.exports.card_part import CardPart
from fedrisk.exports.onnx_file import to_onnx
from support import exported_cards as made


def scored(part, frame):
    session = onnxruntime.InferenceSession(to_onnx(part), providers=["CPUExecutionProvider"])
    feeds = {}
    for c in part.columns:
        values = frame[c.name]
        feeds[c.name] = (
            values.fillna("").to_numpy(dtype=object) if c.is_text else values.to_numpy(dtype=np.float64)
        )[:, None]
    if part.external is not None:
        feeds["external_points"] = frame["external_points"].to_numpy(dtype=np.float64)[:, None]
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_a_bank_scores_as_by_the_card(data):
    card = data.draw(made.cards())
    table = data.draw(made.tables(card))
    part, codes = CardPart.of(card), made.own_codes(card, "bank", table)
    expected, external = card.base_points + card.institution_points("bank", list(codes.T)), None
    if part.external is not None:
        external = data.draw(st.lists(st.integers(-200, 200), min_size=len(codes), max_size=len(codes)))
        expected = expected + np.array(external)
    found = scored(part, made.frame_of(part, table, external))
    assert found["score"][:, 0].tolist() == expected.tolist()
    np.testing.assert_allclose(found["probability"][:, 0], card.probability(expected), rtol=0, atol=1e-12)
    said = [tuple(r for r in row if r) for row in found["reasons"]]
    assert said == card.reasons(list(codes.T), external)
