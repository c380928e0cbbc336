import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.exports.card_part import CardPart
from fedrisk.exports.python_file import to_python
from support import exported_cards as made


def module(part):
    space = {"__name__": "card"}
    exec(compile(to_python(part), "card.py", "exec"), space)
    return space


def rows_of(frame):
    return frame.astype(object).to_dict("records")


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_bank_scores_as_by_the_card(data):
    card = data.draw(made.cards())
    table = data.draw(made.tables(card))
    part = CardPart.of(card)
    codes = made.own_codes(card, "bank", table)
    external = data.draw(st.lists(st.integers(-200, 200), min_size=len(codes), max_size=len(codes)))
    rows = rows_of(made.frame_of(part, table, external))
    own = module(part)
    expected = card.base_points + card.institution_points("bank", list(codes.T))
    if part.external is not None:
        expected = expected + np.array(external)
    found = [own["score"](row) for row in rows]
    assert found == expected.tolist()
    probability = np.array([own["probability"](s) for s in found])
    np.testing.assert_allclose(probability, card.probability(expected), rtol=0, atol=1e-12)
    said = card.reasons(list(codes.T), None if part.external is None else external)
    assert [tuple(own["reasons"](row)) for row in rows] == said


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_whole_card_and_a_holder_score_as_by_the_card(data):
    card = data.draw(made.cards(holder=st.just(True)))
    table = data.draw(made.tables(card))
    whole = module(CardPart.of(card, None))
    rows = rows_of(made.frame_of(CardPart.of(card, None), table))
    assert [whole["score"](row) for row in rows] == made.whole_points(card, table).tolist()
    table["tax", "(known)"][:] = 1.0
    part = CardPart.of(card, "tax")
    holder, codes = module(part), made.own_codes(card, "tax", table)
    assert "probability" not in holder
    expected = card.institution_points("tax", list(codes.T))
    assert [holder["score"](row) for row in rows_of(made.frame_of(part, table))] == expected.tolist()
