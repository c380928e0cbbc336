"""The order of rows: what is refused, whose rows belong where, and that it is taken once."""

import numpy as np
import pytest

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.clients.attempt import Agreement
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import (
    RowOrder,
    all_training_rows,
    listed,
    own_features,
    take_order,
    training_rows,
    use_of,
)
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.data.features import features_of
from fedrisk.errors import ProtocolError
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.plan import Plan

ATTEMPT = "0123456789abcdef"
STUDY = {
    "name": "s",
    "purpose": "credit_scoring",
    "privacy": {"epsilon": 1.0},
    "alignment": {"authority": "tax"},
    "institutions": [
        {"name": "alfa", "role": "bank"},
        {"name": "other", "role": "bank"},
        {"name": "tax", "role": "holder"},
    ],
}
"""Two banks, so that the tax office has rows on two lists; the files are the tiny consortium's, with the bank as alfa."""


@pytest.fixture
def begin(consortium):
    bank = consortium.paths["bank"]
    bank.with_name("alfa.toml").write_text(bank.read_text().replace('name = "bank"', 'name = "alfa"', 1))

    def begin(name, research_seed=None):
        node = Node.load(consortium.study_file.parent / "institutions" / f"{name}.toml")
        study = study_from(STUDY)
        state = node.store.begin(
            ATTEMPT, Begun(study=study.model_dump(mode="json"), research_seed=research_seed)
        )
        role = "bank" if name == "alfa" else name
        features = tuple(features_of(node.institution.dictionary, role))
        state.save(Agreement(table=None, features=features, remembered={}, key={}))
        return node.attempt(Payload({"attempt": ATTEMPT}))

    return begin


def columns(attempt):
    return [{**vars(f), "bins": None if f.bins is None else list(f.bins)} for f in attempt.agreement.features]


def order(attempt, rows, use, sample=None, **more):
    """A request: arrays by list."""
    blobs = {f"rows:{name}": np.array(r, np.int64) for name, r in rows.items()}
    blobs |= {f"use:{name}": np.array(u, np.uint8) for name, u in use.items()}
    blobs |= {f"sample:{name}": np.array(s, np.uint8) for name, s in (sample or {}).items()}
    body = {"attempt": ATTEMPT, "features": columns(attempt), "training": 3, **more}
    return Payload(body, blobs)


GOOD = (
    {"alfa": [4, -1, 2, 0], "other": [5, 4, -1]},
    {"alfa": [TRAINING, TRAINING, HOLD_OUT, TRAINING], "other": [TRAINING, UNUSED, HOLD_OUT]},
)


def test_sizes_by_hand(begin):
    """Place 1 of the bank's list is unknown here, and counts: the overlap is written nowhere."""
    attempt = begin("tax")
    taken = take_order(attempt, order(attempt, *GOOD, sampled=2), make_plan)
    assert taken == RowOrder(
        training=3, sampled=2, listed={"alfa": 4, "other": 3}, places={"training": 4, "holdout": 2}
    )
    assert (taken.rows(sampled=False), taken.rows(sampled=True)) == (3, 2)
    assert listed(attempt, "alfa").tolist() == [4, -1, 2, 0]
    assert use_of(attempt, "other").tolist() == [TRAINING, UNUSED, HOLD_OUT]
    assert training_rows(attempt, "alfa").tolist() == [4, -1, 0]
    assert all_training_rows(attempt).tolist() == [4, -1, 0, 5]
    assert attempt.state.load(Plan) == make_plan(attempt.study, attempt.agreement.features)


def test_the_sample_is_of_training_places_alone(begin):
    attempt = begin("tax")
    sample = {"alfa": [1, 0, 0, 1], "other": [0, 0, 0]}
    take_order(attempt, order(attempt, *GOOD, sample), make_plan)
    assert training_rows(attempt, "alfa", sample=True).tolist() == [4, 0]
    assert training_rows(attempt, "alfa").tolist() == [4, -1, 0]
    assert training_rows(attempt, "other", sample=True).tolist() == []


def test_without_a_sample_all_training_rows_are_it(begin):
    attempt = begin("tax")
    taken = take_order(attempt, order(attempt, *GOOD), make_plan)
    assert taken.sampled == taken.training == 3
    assert training_rows(attempt, "alfa", sample=True).tolist() == [4, -1, 0]


def test_a_bank_has_its_list_alone(begin):
    attempt = begin("alfa")
    use = [TRAINING, HOLD_OUT, UNUSED]
    taken = take_order(attempt, order(attempt, {"alfa": [2, 0, 1]}, {"alfa": use}), make_plan)
    assert (taken.listed, taken.places) == ({"alfa": 3}, {"training": 1, "holdout": 1})


BAD_ROWS = "names rows that are not there, or one twice"


@pytest.mark.parametrize(
    ("rows", "use", "says"),
    [
        ([0, 1, 1], [0, 0, 0], BAD_ROWS),
        ([0, 1], [0, 0, 0], BAD_ROWS),
        ([0, -1, 1], [0, 0, 0], BAD_ROWS),  # a bank knows everybody on its own list
        ([0, 400, 1], [0, 0, 0], BAD_ROWS),  # there are 400 rows
        ([0, -2, 1], [0, 0, 0], BAD_ROWS),
        ([0, 2, 1], [0, 3, 0], BAD_ROWS),
    ],
)
def test_rows_that_cannot_be_are_refused(begin, rows, use, says):
    attempt = begin("alfa")
    with pytest.raises(ProtocolError, match=says):
        take_order(attempt, order(attempt, {"alfa": rows}, {"alfa": use}), make_plan)
    assert attempt.state.find(RowOrder) is None
    assert attempt.state.find(Plan) is None


@pytest.mark.parametrize("row", [[-2, 1], [1, 1]])
def test_a_holder_refuses_rows_twice_in_a_list_or_below_unknown(begin, row):
    attempt = begin("tax")
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(
            attempt, order(attempt, {"alfa": row, "other": [3]}, {"alfa": [0, 0], "other": [0]}), make_plan
        )


def test_an_enterprise_contributes_through_one_bank(begin):
    attempt = begin("tax")
    with pytest.raises(ProtocolError, match="lets an enterprise contribute through two banks"):
        take_order(
            attempt,
            order(
                attempt, {"alfa": [4, 2], "other": [4]}, {"alfa": [TRAINING, TRAINING], "other": [HOLD_OUT]}
            ),
            make_plan,
        )


@pytest.mark.parametrize("sample", [[1, 1, 0], [0, 2, 0], [1, 0]])
def test_a_sample_of_others_than_training_rows_is_refused(begin, sample):
    attempt = begin("alfa")
    request = order(attempt, {"alfa": [2, 0, 1]}, {"alfa": [TRAINING, HOLD_OUT, TRAINING]}, {"alfa": sample})
    with pytest.raises(ProtocolError, match="the sample names rows that are not trained on"):
        take_order(attempt, request, make_plan)


@pytest.mark.parametrize("change", ["fewer", "more", "other bounds"])
def test_other_columns_than_declared_are_refused(begin, change):
    attempt = begin("tax")
    request, declared = order(attempt, *GOOD), columns(attempt)
    sent = {
        "fewer": declared[:1],
        "more": [*declared, {**declared[0], "column": "more"}],
        "other bounds": [{**declared[0], "high": 5.0}, *declared[1:]],
    }[change]
    request = Payload({**request.body, "features": sent}, request.blobs)
    with pytest.raises(ProtocolError, match="sends other columns of this institution than it declared"):
        take_order(attempt, request, make_plan)
    assert attempt.state.find(Plan) is None


def test_own_features_are_those_of_the_role(begin):
    features = [*begin("tax").agreement.features, *begin("alfa").agreement.features]
    assert [f.name for f in own_features(features, "bank")] == ["bank.use", "bank.term"]
    assert own_features(features, "nobody") == []


def test_the_same_order_again_goes_on_and_keeps_the_plan(begin):
    attempt = begin("tax")
    request = order(attempt, *GOOD)
    first = take_order(attempt, request, make_plan)

    def never(study, features):
        raise AssertionError("a plan was made a second time")

    assert take_order(attempt, request, never) == first
    fresh = Node.load(attempt.node.institution.folder / "tax.toml").attempt(request)
    assert take_order(fresh, request, never) == first


def test_a_second_different_order_is_refused(begin):
    attempt = begin("tax")
    take_order(attempt, order(attempt, *GOOD), make_plan)
    with pytest.raises(ProtocolError, match="order was asked for twice with different content"):
        take_order(attempt, order(attempt, *GOOD, sampled=1), make_plan)


def test_sides_are_remembered_by_id_except_in_research_runs(begin):
    attempt = begin("tax")
    take_order(attempt, order(attempt, *GOOD), make_plan)
    ids = attempt.read().ids
    held, trained = attempt.node.store.pseudonyms.earlier_split("another key", ids)
    assert np.flatnonzero(held).tolist() == [2]
    assert np.flatnonzero(trained).tolist() == [0, 4, 5]


def test_a_research_run_remembers_no_sides(begin):
    attempt = begin("tax", research_seed=1)
    take_order(attempt, order(attempt, *GOOD), make_plan)
    assert not (attempt.node.store.path / "sides").exists()
