"""A page of answers made at once, held against its answers made one by one: every field, in every kind of row."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature
from fedrisk.serving.ages import AGES
from fedrisk.serving.answer_table import answer_table, table_of, with_bins
from fedrisk.serving.answering import Answering
from fedrisk.serving.consulting import advised
from fedrisk.serving.decision_table import Decisions
from fedrisk.serving.own_columns import OwnRows
from fedrisk.serving.score_forms import ScoreRequest
from fedrisk.serving.sums import Sums
from support.serving import HOLDERS, part_of

UP_TO = (0.0025, 0.02, 0.3, 1.0)
CHANCES = np.array([0.0, *UP_TO, *(np.nextafter(p, 0) for p in UP_TO), *(np.nextafter(p, 1) for p in UP_TO)])
"""At each edge of a grade, and beside it by the smallest step, of the bank's own table and of the public scale."""

GRADES = [{"name": f"g{k}", "up_to": up_to} for k, up_to in enumerate(UP_TO)]
PRODUCT = {
    "name": "loan",
    "currency": "CNY",
    "most": 1000,
    "lgd": 0.4,
    "funding": 0.02,
    "operating": 0.01,
    "cap": 0.3,
    "grades": [{"grade": g["name"], "decision": "decline"} for g in GRADES],
}
PART = part_of("bank", HOLDERS)
TABLE = Decisions.model_validate({"grades": GRADES, "products": [PRODUCT]})


class Model:
    """In place of a card: each score is the points of a row, and has one of the probabilities above."""

    def __init__(self, own_model):
        self.part, self.own_model = PART, own_model
        self.card = SimpleNamespace(notice="look", probability=lambda total: CHANCES[total % len(CHANCES)])
        self.features = [Feature(institution="bank", column="use", low=0, high=9, bins=(1.0,))]

    def codes(self, columns):
        return [np.asarray(columns["use"], np.int64) % 3]

    def own_points(self, codes, n):
        return codes[0] * 7

    def external(self, points):
        return points + 1

    def totals(self, own, external):
        return own if external is None else own + external

    def reasons(self, codes, external, n):
        return [tuple(f"reason {k}" for k in range(1 + int(code))) for code in codes[0]]

    def own_probability(self, columns, codes, external, themes):
        return CHANCES[codes[0]] if self.own_model else None


ROW = st.fixed_dictionaries(
    {
        "use": st.integers(0, 9),
        "points": st.integers(0, 12),
        "own": st.sampled_from([None, None, None, ("columns", ("use",)), ("own_table", ())]),
        "members": st.dictionaries(
            st.sampled_from(HOLDERS), st.sampled_from(["consent_used", "id"]), max_size=2
        )
        | st.just({}),
        "ages": st.permutations([0, 1, 2, 0]),
        "day": st.sampled_from([None, "2026-11-01"]),
        "missing": st.sampled_from([(), ("use",), ("use", "term")]),
    }
)
HOW = st.fixed_dictionaries(
    {
        "alone": st.booleans(),
        "aged": st.booleans(),
        "own_model": st.booleans(),
        "failed": st.sampled_from([{}] * 5 + [{"tax": "away"}]),
        "failure": st.sampled_from([""] * 5 + ["hub"]),
    }
)


def answering_of(rows, how):
    model = Model(how["own_model"])
    own = OwnRows(
        {"use": np.array([row["use"] for row in rows])},
        {k: row["own"] for k, row in enumerate(rows) if row["own"]},
        {k: row["missing"] for k, row in enumerate(rows) if row["missing"]},
        {k: row["day"] for k, row in enumerate(rows) if row["day"]},
    )
    asked = () if how["alone"] else [k for k in range(len(rows)) if k not in own.refused]
    sums = None
    if asked and not how["failure"]:
        names = {"points": lambda row: row["points"]}
        if how["aged"]:
            names |= {name: lambda row, k=k: row["ages"][k] for k, name in enumerate(AGES)}
        columns = {name: np.array([of(rows[k]) for k in asked], np.int64) for name, of in names.items()}
        refused = {place: rows[k]["members"] for place, k in enumerate(asked) if rows[k]["members"]}
        sums = Sums("0" * 32, columns, refused, how["failed"])
    request = ScoreRequest(ids=[f"E{k}" for k in range(len(rows))])
    return Answering(request, model, "champion", own, asked, sums, how["failure"] if asked else "")


@settings(max_examples=60, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=12), HOW)
@pytest.mark.parametrize("table", [None, TABLE], ids=["public", "own"])
def test_a_page_has_the_values_of_single_answers(table, rows, how):
    """Scored, without a column, unknown to a member, refused; ties, and probabilities at a grade's very edge."""
    answering = answering_of(rows, how)
    singles = answering.answers()
    if table is None:
        made = answer_table(answering, ["use"])
    else:
        singles = [advised(table, answering.request, k, answer) for k, answer in enumerate(singles)]
        made = answer_table(answering, ["use"], lambda p: table.grade(p).name)
    expected = with_bins(table_of(singles), answering, ["use"]).drop_columns(["made"])
    assert made.drop_columns(["made"]).equals(expected)
    bins = [-1 if single.code else row["use"] % 3 for single, row in zip(singles, rows, strict=True)]
    assert made["bin_use"].to_pylist() == bins
