"""The order of rows: what is refused, whose rows belong where, and that it is taken once."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.clients.attempt import Agreement, View
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
from fedrisk.errors import ConfigError, PolicyError, ProtocolError
from fedrisk.protocol.order import SALT_BYTES, uses_digest
from fedrisk.protocol.payload import Payload, pack
from fedrisk.protocol.statements import Statement
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.releases.plan import Plan

ATTEMPT = "0123456789abcdef"
LEAST_ROWS = 3
STUDY = {
    "name": "s",
    "purpose": "credit_scoring",
    "privacy": {"epsilon": 1.0},
    "alignment": {"authority": "tax", "least_overlap": 0},
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
    for path in consortium.paths.values():
        path.write_text(path.read_text().replace("[policy]", f"[policy]\nleast_rows = {LEAST_ROWS}", 1))
    bank.with_name("alfa.toml").write_text(bank.read_text().replace('name = "bank"', 'name = "alfa"', 1))

    def begin(name, research_seed=None):
        node = Node.open(consortium.study_file.parent / "institutions" / f"{name}.toml")
        study = study_from(STUDY)
        state = node.store.begin(
            ATTEMPT, Begun(study=study.model_dump(mode="json"), research_seed=research_seed)
        )
        features = tuple(features_of(node.institution.dictionary, role_of(name)))
        agreement = {"table": None, "remembered": {}, "key": {}, "statement": {}}
        state.save(Agreement(features=features, **agreement))
        tell(state, statements(node.institution.folder))
        return node.attempt(Payload({"attempt": ATTEMPT}))

    return begin


def role_of(name):
    return name if name == "tax" else "bank"


def statements(folder, rows=None):
    """What the three state: the banks have the tiny bank's columns."""
    rows = {"alfa": 400, "other": 3, "tax": 333, **(rows or {})}
    out = {}
    for name, count in rows.items():
        dictionary = Node.open(folder / f"{'tax' if name == 'tax' else 'bank'}.toml").institution.dictionary
        columns = [vars(f) for f in features_of(dictionary, role_of(name))]
        role = "holder" if name == "tax" else "bank"
        said = Statement(role=role, rows=count, features=json.loads(json.dumps(columns)))
        out[name] = said.model_dump(mode="json")
    return out


def tell(state, said):
    """The part ``members`` of the view, as far as the order needs it."""
    state.put_message("told_members", pack(Payload({"statements": said})))
    # That both parts are in the common view: what is not was never told.
    state.save(View(digests=("0" * 64, "1" * 64), names=("members", "order")))


SALT = np.arange(SALT_BYTES, dtype=np.uint8)


def order(attempt, rows, use, sample=None, *, telling=None, salts=None):
    """A request: arrays by list; the part ``order`` that fits is told to the attempt, with these changes."""
    blobs = {f"rows:{name}": np.array(r, np.int64) for name, r in rows.items()}
    blobs |= {f"use:{name}": np.array(u, np.uint8) for name, u in use.items()}
    blobs |= {f"sample:{name}": np.array(s, np.uint8) for name, s in (sample or {}).items()}
    blobs |= {f"salt:{name}": SALT for name in use}
    told = counts(attempt, use, sample)
    for key, of_list in (telling or {}).items():
        told[key] = {**told[key], **of_list}
    attempt.state.put_message("told_order", pack(Payload(told)))
    return Payload({"attempt": ATTEMPT}, blobs)


def counts(attempt, use, sample):
    """The part ``order`` by hand; lists that are not this institution's have two training rows and one held out."""
    told = {"training": {}, "holdout": {}, "sampled": {}, "labelled": {}, "uses": {}}
    for name in attempt.study.banks:
        u = np.array(use.get(name, [TRAINING, TRAINING, HOLD_OUT]), np.uint8)
        s = None if sample is None or name not in sample else np.array(sample[name], np.uint8)
        told["training"][name] = int((u == TRAINING).sum())
        told["holdout"][name] = int((u == HOLD_OUT).sum())
        told["sampled"][name] = told["training"][name] if s is None else int(s.sum())
        there = statements(attempt.node.institution.folder)[name]["rows"]
        told["labelled"][name] = {"training": [there, there], "holdout": [there, there]}
        told["uses"][name] = uses_digest(SALT, u, s)
    return told


def whole(first, use, rest=TRAINING):
    """A bank's own list of 400: these rows and uses first, then all its other rows."""
    rows = [*first, *sorted(set(range(400)) - set(first))]
    return {"alfa": rows}, {"alfa": [*use, *[rest] * (len(rows) - len(use))]}


GOOD = (
    {"alfa": [4, -1, 2, 0, *[-1] * 396], "other": [5, 3, -1]},
    {
        "alfa": [TRAINING, TRAINING, HOLD_OUT, TRAINING, *[UNUSED] * 396],
        "other": [TRAINING, UNUSED, HOLD_OUT],
    },
)


def test_sizes_by_hand(begin):
    """Place 1 of the bank's list is unknown here; row 3 is on a list and not used."""
    attempt = begin("tax")
    taken = take_order(attempt, order(attempt, *GOOD), make_plan)
    assert taken == RowOrder(
        training=4,
        sampled=4,
        labelled=4,
        listed={"alfa": 400, "other": 3},
        places={"training": 4, "holdout": 2, "all": 6},
    )
    assert (taken.rows(sampled=False), taken.rows(sampled=True)) == (4, 4)
    assert listed(attempt, "alfa")[:5].tolist() == [4, -1, 2, 0, -1]
    assert use_of(attempt, "other").tolist() == [TRAINING, UNUSED, HOLD_OUT]
    assert training_rows(attempt, "alfa").tolist() == [4, -1, 0]
    assert all_training_rows(attempt).tolist() == [4, -1, 0, 5]


def test_the_plan_follows_from_what_all_members_state(begin):
    attempt = begin("tax")
    take_order(attempt, order(attempt, *GOOD), make_plan)
    features = (*begin("alfa").agreement.features, *attempt.agreement.features)
    assert attempt.state.load(Plan) == make_plan(attempt.study, features, 403)
    assert {f.institution for f in features} == {"bank", "tax"}


def sampling(rows):
    """A plan with a release that is computed on so many rows."""
    return lambda study, features, stated: replace(make_plan(study, features, stated), sample_rows=rows)


SAMPLE = {"alfa": [1, 0, 0, 1, *[0] * 396], "other": [1, 0, 0]}
"""Three of the four training rows of GOOD."""


def test_the_sample_is_of_training_places_alone(begin):
    attempt = begin("tax")
    taken = take_order(attempt, order(attempt, *GOOD, SAMPLE), sampling(2))
    assert (taken.rows(sampled=False), taken.rows(sampled=True)) == (4, 3)
    assert training_rows(attempt, "alfa", sample=True).tolist() == [4, 0]
    assert training_rows(attempt, "alfa").tolist() == [4, -1, 0]
    assert training_rows(attempt, "other", sample=True).tolist() == [5]


def test_without_a_sample_all_training_rows_are_it(begin):
    attempt = begin("tax")
    taken = take_order(attempt, order(attempt, *GOOD), make_plan)
    assert taken.sampled == taken.training == 4
    assert training_rows(attempt, "alfa", sample=True).tolist() == [4, -1, 0]


@pytest.mark.parametrize("planned", [None, 1, 3, 4, 5])
def test_a_sample_of_another_size_than_the_studys_is_refused(begin, planned):
    """Three rows where the study has no sample, asks for others, or for more than there are."""
    attempt = begin("tax")
    with pytest.raises(ProtocolError, match="the sample of rows is not as large as the study says"):
        take_order(attempt, order(attempt, *GOOD, SAMPLE), sampling(planned))
    assert attempt.state.find(RowOrder) is None


@pytest.mark.parametrize(
    ("alfa", "other", "refused"), [(40, 1, False), (41, 1, True), (40, 0, True), (1, 1, True)]
)
def test_each_list_has_its_part_of_the_sample(begin, alfa, other, refused):
    """By hand: 40 of 399 + 2 training rows are 39.8 and .2, rounded up."""
    attempt = begin("alfa")
    sample = {"alfa": [0, *[1] * alfa, *[0] * (399 - alfa)]}
    request = order(attempt, *whole([0], [HOLD_OUT]), sample, telling={"sampled": {"other": other}})
    if not refused:
        assert take_order(attempt, request, sampling(40)).sampled == alfa + other
        return
    with pytest.raises(ProtocolError, match="the sample of rows is not as large as the study says"):
        take_order(attempt, request, sampling(40))


def test_a_list_has_no_more_rows_in_the_sample_than_are_trained_on(begin):
    """Told of another bank's list, which this bank does not see: 38 of its own and two of these would be right."""
    attempt = begin("alfa")
    sample = {"alfa": [0, *[1] * 37, *[0] * 362]}
    request = order(attempt, *whole([0], [HOLD_OUT]), sample, telling={"sampled": {"other": 3}})
    with pytest.raises(ProtocolError, match="the sample of rows is not as large as the study says"):
        take_order(attempt, request, sampling(40))


def test_a_bank_has_its_list_alone(begin):
    attempt = begin("alfa")
    rows, use = whole([2, 0, 1], [TRAINING, HOLD_OUT, UNUSED])
    taken = take_order(attempt, order(attempt, rows, use), make_plan)
    assert (taken.listed, taken.places) == ({"alfa": 400}, {"training": 398, "holdout": 1, "all": 399})
    assert taken.training == 398 + 2


BAD_ROWS = "names rows that are not there, one twice, or not all"


@pytest.mark.parametrize("first", [[0, 1, 1], [0, -1, 1], [0, 400, 1]])
@pytest.mark.parametrize("complete", [True, False])
def test_rows_that_cannot_be_are_refused(begin, first, complete):
    """One twice, one that a bank does not know on its own list, one beyond the last; also where it is one too many."""
    attempt = begin("alfa")
    rows, use = whole([], [])
    rows = {"alfa": [*first, *rows["alfa"][3 if complete else 2 :]]}
    use = {"alfa": [TRAINING] * len(rows["alfa"])}
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(attempt, order(attempt, rows, use), make_plan)
    assert attempt.state.find(RowOrder) is None
    assert attempt.state.find(Plan) is None


def test_a_bank_refuses_a_list_of_some_of_its_rows(begin):
    """A hub that leaves a bank's rows out, and tells so to all: sums of few rows would be of few enterprises."""
    attempt = begin("alfa")
    tell(attempt.state, statements(attempt.node.institution.folder, {"alfa": 200}))
    rows, use = {"alfa": list(range(200))}, {"alfa": [TRAINING] * 200}
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(attempt, order(attempt, rows, use), make_plan)


@pytest.mark.parametrize("length", [2, 4])
def test_a_list_has_as_many_places_as_its_bank_stated_rows(begin, length):
    attempt = begin("tax")
    rows = {**GOOD[0], "other": [*range(5, 5 + length)]}
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(attempt, order(attempt, rows, {**GOOD[1], "other": [TRAINING] * length}), make_plan)


@pytest.mark.parametrize("which", ["use", "rows"])
def test_rows_and_uses_are_of_one_length(begin, which):
    attempt = begin("tax")
    request = order(attempt, *GOOD)
    blobs = {**request.blobs, f"{which}:other": request.array(f"{which}:other")[:2]}
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(attempt, Payload(request.body, blobs), make_plan)


def test_a_holder_refuses_a_row_twice_in_a_list(begin):
    attempt = begin("tax")
    with pytest.raises(ProtocolError, match=BAD_ROWS):
        take_order(attempt, order(attempt, {**GOOD[0], "other": [1, 1, -1]}, GOOD[1]), make_plan)


def test_an_enterprise_contributes_through_one_bank(begin):
    attempt = begin("tax")
    with pytest.raises(ProtocolError, match="lets an enterprise contribute through two banks"):
        take_order(attempt, order(attempt, {**GOOD[0], "other": [5, 3, 4]}, GOOD[1]), make_plan)


@pytest.mark.parametrize("lists", [("alfa",), ("alfa", "other", "third")])
def test_other_lists_than_the_studys_are_refused(begin, lists):
    attempt = begin("tax")
    rows, use = ({n: part.get(n, part["other"]) for n in lists} for part in GOOD)
    with pytest.raises(ProtocolError, match="not about the lists of this study"):
        take_order(attempt, order(attempt, rows, use), make_plan)


@pytest.mark.parametrize("sample", [[1, 1, 0], [0, 1, 0], [1, 0]])
def test_a_sample_of_others_than_training_rows_is_refused(begin, sample):
    attempt = begin("alfa")
    rows, use = whole([2, 0, 1], [TRAINING, HOLD_OUT, TRAINING])
    request = order(attempt, rows, use, {"alfa": [*sample, *[1] * 397]})
    with pytest.raises(ProtocolError, match="the sample names rows that are not trained on"):
        take_order(attempt, request, make_plan)


@pytest.mark.parametrize("key", ["training", "holdout", "sampled", "uses"])
@pytest.mark.parametrize("name", ["alfa", "tax"])
def test_what_rows_are_used_for_is_what_all_were_told(begin, name, key):
    """Bank and holder compare by digest: another use for one of them is another digest, or another count."""
    attempt = begin(name)
    rows, use = whole([], []) if name == "alfa" else GOOD
    told = {key: {"alfa": "0" * 64 if key == "uses" else 4}}
    with pytest.raises(ProtocolError, match="is not what the hub tells all members"):
        take_order(attempt, order(attempt, rows, use, telling=told), make_plan)
    assert attempt.state.find(RowOrder) is None


def test_another_salt_is_another_digest(begin):
    attempt = begin("tax")
    request = order(attempt, *GOOD)
    blobs = {**request.blobs, "salt:other": SALT[::-1].copy()}
    with pytest.raises(ProtocolError, match="is not what the hub tells all members"):
        take_order(attempt, Payload(request.body, blobs), make_plan)


def test_two_uses_that_change_places_are_noticed(begin):
    """The counts are the same, the digest is not."""
    attempt = begin("tax")
    request = order(attempt, *GOOD)
    use = request.array("use:other")[::-1].copy()
    with pytest.raises(ProtocolError, match="is not what the hub tells all members"):
        take_order(attempt, Payload(request.body, {**request.blobs, "use:other": use}), make_plan)


def fewest(rows, share):
    """Half of what a fair draw of so many rows leaves but once in a million times, rounded up."""
    return math.ceil(0.5 * binom.ppf(1e-6, rows, share))


@pytest.mark.parametrize("few", ["training", "holdout", None])
def test_everybody_asks_for_half_of_what_a_fair_draw_leaves_a_list(begin, few):
    """Least rows 300; four in five take part, through one of two banks: 28 % trained on, 12 % held out."""
    file = begin("alfa").node.institution.folder / "alfa.toml"
    file.write_text(file.read_text().replace(f"least_rows = {LEAST_ROWS}", "least_rows = 300"))
    attempt = begin("alfa")
    wanted = {"training": fewest(300, 0.28), "holdout": fewest(300, 0.12)}
    there = {what: n - (what == few) for what, n in wanted.items()}
    use = [*[TRAINING] * there["training"], *[HOLD_OUT] * there["holdout"]]
    request = order(attempt, *whole(list(range(len(use))), use, UNUSED))
    if few is None:
        assert take_order(attempt, request, make_plan).training == there["training"] + 2
        return
    text = rf"too few rows of alfa: {few} \({wanted[few]} are wanted, as policy.least_rows = 300\)"
    with pytest.raises(PolicyError, match=text):
        take_order(attempt, request, make_plan)
    assert attempt.state.find(RowOrder) is None
    assert not (attempt.node.store.path / "sides").exists()


@pytest.mark.parametrize("what", ["training", "holdout"])
def test_lists_that_an_institution_does_not_see_have_their_least_size_too(begin, what):
    """A bank sees its own list alone; what all are told of the others has to be enough."""
    file = begin("alfa").node.institution.folder / "alfa.toml"
    file.write_text(file.read_text().replace(f"least_rows = {LEAST_ROWS}", "least_rows = 300"))
    attempt = begin("alfa")
    tell(attempt.state, statements(attempt.node.institution.folder, {"other": 400}))
    enough = {"training": {"other": 200}, "holdout": {"other": 80}, "sampled": {"other": 200}}
    told = {**enough, what: {"other": 2}} | ({"sampled": {"other": 2}} if what == "training" else {})
    uses = [*[TRAINING] * 250, *[HOLD_OUT] * 100]
    request = order(attempt, *whole(list(range(350)), uses), telling=told)
    with pytest.raises(PolicyError, match=f"too few rows of other: {what}"):
        take_order(attempt, request, make_plan)


def test_a_holder_that_would_train_on_few_of_its_rows_refuses(begin):
    """Places there are enough; but this institution knows next to none of them."""
    file = begin("tax").node.institution.folder / "tax.toml"
    file.write_text(file.read_text().replace(f"least_rows = {LEAST_ROWS}", "least_rows = 300"))
    attempt = begin("tax")
    rows = {"alfa": [-1, -1, 2, -1, *[-1] * 396], "other": [-1, 3, 5]}
    use = {"alfa": [*[TRAINING] * 200, *[HOLD_OUT] * 200], "other": GOOD[1]["other"]}
    with pytest.raises(PolicyError, match="too few own rows: training"):
        take_order(attempt, order(attempt, rows, use), make_plan)
    assert attempt.state.find(RowOrder) is None


def test_banks_that_state_other_columns_make_no_plan(begin):
    attempt = begin("tax")
    said = statements(attempt.node.institution.folder)
    said["other"]["features"][0]["high"] = 5.0
    tell(attempt.state, said)
    with pytest.raises(ConfigError, match="alfa and other disagree on use"):
        take_order(attempt, order(attempt, *GOOD), make_plan)
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
    fresh = Node.open(attempt.node.institution.folder / "tax.toml").attempt(request)
    assert take_order(fresh, request, never) == first


def test_a_second_different_order_is_refused(begin):
    attempt = begin("tax")
    take_order(attempt, order(attempt, *GOOD), make_plan)
    other = {**GOOD[1], "other": [UNUSED, UNUSED, HOLD_OUT]}
    with pytest.raises(ProtocolError, match="order was asked for twice with different content"):
        take_order(attempt, order(attempt, GOOD[0], other), make_plan)


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
