"""A bank's service on a real study's model, through real holders in this process."""

import dataclasses
import json
import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrisk.clients.store.model_store import Change
from fedrisk.errors import ConfigError
from fedrisk.models.scorecard import Scorecard
from fedrisk.serving.answer_table import table_of
from fedrisk.serving.bank import BankService
from fedrisk.serving.grades import grade
from fedrisk.serving.relay import Reply
from fedrisk.serving.score_forms import ScoreRequest, ServiceError
from support.deployed_bank import BANK, HOLDERS, Place, Wire

DECISIONS = """
grades = [{ name = "good", up_to = 0.2 }, { name = "bad", up_to = 1 }]

[[products]]
name = "loan"
currency = "CNY"
most = 1_000_000
lgd = 0.45
funding = 0.02
operating = 0.01
cap = 0.30
grades = [
    { grade = "good", decision = "accept", most = 500_000, margin = 0.01 },
    { grade = "bad", decision = "decline" },
]
"""


@pytest.fixture(scope="module")
def wire(bank_place: Place) -> Iterator[Wire]:
    relay = bank_place.relay()
    yield Wire(relay)
    relay.close()


@pytest.fixture
def service(bank_place: Place, wire: Wire) -> Iterator[BankService]:
    wire.lost.clear()
    service = BankService(bank_place.node(), wire, seconds=5.0)
    yield service
    service.close()


@pytest.fixture
def changed(bank_place: Place) -> Iterator[Any]:
    """Changes an institution's file, and puts it back."""
    before = {name: path.read_text(encoding="utf-8") for name, path in bank_place.paths.items()}

    def change(name: str, old: str, new: str) -> None:
        assert old in before[name]
        bank_place.paths[name].write_text(before[name].replace(old, new), encoding="utf-8")

    yield change
    for name, text in before.items():
        bank_place.paths[name].write_text(text, encoding="utf-8")


def ids_of(place: Place, count: int, start: int = 0) -> tuple[str, ...]:
    return tuple(place.scores["id"][start : start + count])


def score(service: BankService, *ids: str, **how: Any) -> Any:
    return service.score(ScoreRequest(ids=ids, **how))


# --- the scores of the study --------------------------------------------------------------------------------


def test_scores_are_those_of_the_study_integer_for_integer(bank_place: Place, service: BankService) -> None:
    study = bank_place.scores
    answers = score(service, *study["id"])
    assert [a.code for a in answers] == [""] * len(study)
    assert [a.score for a in answers] == study["score"].tolist()
    assert [a.external_points for a in answers] == study["external_points"].tolist()
    assert [", ".join(a.reasons) for a in answers] == study["reasons"].tolist()
    assert np.abs(np.array([a.probability for a in answers]) - study["probability"]).max() < 1e-12
    assert {a.grade for a in answers} == {grade(p) for p in study["probability"]}
    assert answers[0].model.id == bank_place.model
    assert answers[0].ages is not None
    assert (
        sum((answers[0].ages.fresh, answers[0].ages.aging, answers[0].ages.old, answers[0].ages.missing)) == 2
    )


def test_one_by_one_is_as_in_a_list(bank_place: Place, service: BankService) -> None:
    for row in range(3):
        (answer,) = score(service, bank_place.scores["id"][row])
        assert answer.score == bank_place.scores["score"][row]


def test_a_table_has_the_values_of_single_answers_bit_for_bit(
    bank_place: Place, service: BankService
) -> None:
    ids = ("nobody", *ids_of(bank_place, 40), "enterprise-99999")
    made = service.table(ScoreRequest(ids=ids), bins=("use",))
    singles = table_of([score(service, id)[0] for id in ids])
    for name in singles.column_names:
        if name != "made":
            assert made[name].to_pylist() == singles[name].to_pylist(), name
    assert made["code"].to_pylist() == ["own_row", *[""] * 40, "own_row"]
    bins = made["bin_use"].to_pylist()
    assert bins[0] == bins[-1] == -1 and set(bins[1:-1]) <= set(range(40))


def test_many_threads_get_their_own_rows(bank_place: Place, service: BankService, wire: Wire) -> None:
    ids, before = ids_of(bank_place, 40), len(wire.asked)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda i: score(service, i)[0], ids))
    assert [a.id for a in found] == list(ids)
    assert [a.score for a in found] == bank_place.scores["score"][:40].tolist()
    assert len(wire.asked) - before < 40


# --- own columns --------------------------------------------------------------------------------------------


def test_values_of_an_applicant_stand_for_the_table(bank_place: Place, service: BankService) -> None:
    id = bank_place.scores["id"][0]
    (same,) = score(service, id, values={0: bank_place.values(id)})
    assert same.score == bank_place.scores["score"][0]
    assert same.own_day is None
    (other,) = score(service, id, values={0: {"use": "-4", "term": None}})
    assert other.missing == ("term",)
    assert other.external_points == same.external_points
    # Points are noisy, and those of two bins may happen to be equal: never those of all.
    others = [score(service, id, values={0: {"use": use, "term": 2}})[0] for use in ("-4", "0", "4")]
    assert {o.own_points for o in [other, *others]} != {same.own_points}


def test_who_is_no_customer_needs_values(service: BankService) -> None:
    (answer,) = score(service, "enterprise-99999")
    assert (answer.code, answer.score) == ("own_row", None)
    (answer,) = score(service, "enterprise-99999", values={0: {"use": 0.5, "term": 0.5}})
    assert answer.code == ""
    assert answer.ages is not None and answer.ages.missing == 2
    assert answer.ages.words.startswith("None of 2 members knows it")


def test_a_wrong_value_is_named_by_its_column_alone(bank_place: Place, service: BankService) -> None:
    ids = ids_of(bank_place, 2)
    wrong, right = score(service, *ids, values={0: {"use": "S3CRET", "S3CRET": 1}, 1: {"use": 1, "term": 2}})
    assert wrong.code == "own_value"
    assert "use" in wrong.words and "S3CRET" not in wrong.words
    assert right.code == ""


def test_beyond_its_bounds_a_value_counts_as_the_bound(bank_place: Place, service: BankService) -> None:
    id = bank_place.scores["id"][0]
    (at,) = score(service, id, values={0: {"use": 4.0, "term": 0}})
    (beyond,) = score(service, id, values={0: {"use": 400.0, "term": 0}})
    assert at.score == beyond.score


def test_a_table_that_is_away_is_a_code(bank_place: Place, service: BankService) -> None:
    table = bank_place.folder / "c" / "data" / "bank.csv"
    hidden = table.rename(table.with_suffix(".away"))
    try:
        # What was indexed before is as it was; nothing else is.
        fresh = BankService(bank_place.node(), None, table=_Away())
        (answer,) = score(fresh, bank_place.scores["id"][0])
        fresh.close()
    finally:
        hidden.rename(table)
    assert answer.code == "own_table"
    assert bank_place.scores["id"][0] not in (bank_place.node().store.path / "errors.log").read_text()


class _Away:
    def rows(self, ids: Any) -> Any:
        raise ConfigError("the table is not there")


# --- codes --------------------------------------------------------------------------------------------------


def test_a_refused_row_says_who_and_what_to_do(bank_place: Place, service: BankService, changed: Any) -> None:
    changed("tax", 'consent = "none"', 'consent = "reference"')
    ids = ids_of(bank_place, 2)
    without, given = score(service, *ids, consents=("", "contract 17"))
    assert (without.code, dict(without.members)) == ("consent_missing", {"tax": "consent_missing"})
    assert without.words.startswith("tax gives nothing: it answers only with the enterprise's consent")
    assert ids[0] not in without.words
    assert without.score is without.probability is without.grade is None
    assert given.score == bank_place.scores["score"][1]


def test_no_score_comes_from_fewer_holders(bank_place: Place) -> None:
    relay = bank_place.relay(BANK, "tax")
    service = BankService(bank_place.node(), relay, seconds=0.3)
    answers = score(service, *ids_of(bank_place, 2))
    service.close()
    relay.close()
    assert {a.code for a in answers} == {"away"}
    assert {tuple(a.members.items()) for a in answers} == {(("power", "away"),)}
    assert all(a.score is None and a.external_points is None for a in answers)


def test_without_a_hub_a_model_with_holders_has_a_code(bank_place: Place) -> None:
    service = BankService(bank_place.node(), None)
    (answer,) = score(service, bank_place.scores["id"][0])
    service.close()
    assert answer.code == "hub"


def test_a_model_without_holders_is_scored_at_once(bank_place: Place) -> None:
    part = bank_place.part()
    card = Scorecard.from_json(part.calibrated or "")
    own = [j for j, b in enumerate(card.bins) if b.feature.institution == "bank"]
    alone = dataclasses.replace(
        card,
        bins=tuple(card.bins[j] for j in own),
        points=tuple(card.points[j] for j in own),
        averages=tuple(card.averages[j] for j in own),
        errors=None,
    )
    node = bank_place.node()
    with node.store.models.changing():
        kept = node.store.models.put(
            part.model_copy(
                update={"model": "a" * 16, "name": "alone", "holders": (), "calibrated": alone.to_json()}
            )
        )
        _deploy(node, kept.model, "challenger")
    service = BankService(node, None)
    try:
        (answer,) = score(service, bank_place.scores["id"][0], model="alone")
    finally:
        service.close()
        _retire(node, kept.model)
    assert answer.score == card.base_points + bank_place.scores["own_points"][0]
    assert answer.ages is None and answer.external_points is None


def _deploy(node: Any, model: str, as_: Any) -> None:
    now = datetime.now(UTC).isoformat()
    node.store.models.change(model, Change(time=now, state="approved", who="a test"))
    node.store.models.change(model, Change(time=now, state="deployed", as_=as_, who="a test"))


def _retire(node: Any, model: str) -> None:
    node.store.models.change(model, Change(time=datetime.now(UTC).isoformat(), state="retired", who="a test"))


def test_only_a_bank_serves(bank_place: Place) -> None:
    with pytest.raises(ConfigError, match="tax is a holder"):
        BankService(bank_place.node("tax"), None)


# --- which model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "code"), [("nothing", "model_unknown"), ("zzzz", "model_unknown")])
def test_a_model_that_is_not_there(service: BankService, said: str, code: str) -> None:
    with pytest.raises(ServiceError) as stopped:
        score(service, "x", model=said)
    assert stopped.value.reason == code
    assert said not in str(stopped.value)


def test_a_model_is_named_by_its_first_digits_or_its_study(bank_place: Place, service: BankService) -> None:
    id = bank_place.scores["id"][0]
    for said in (bank_place.model[:6], "tiny"):
        assert score(service, id, model=said)[0].score == bank_place.scores["score"][0]


def test_another_purpose_has_no_champion(service: BankService) -> None:
    with pytest.raises(ServiceError) as stopped:
        score(service, "x", purpose="marketing")
    assert stopped.value.reason == "model_none"


def test_challengers_are_kept_beside_and_never_answer(bank_place: Place, service: BankService) -> None:
    other, nodes = "b" * 16, [bank_place.node(name) for name in (BANK, *HOLDERS)]
    for node in nodes:
        (part,) = [p for p in node.store.models.parts() if p.model == bank_place.model]
        with node.store.models.changing():
            node.store.models.put(part.model_copy(update={"model": other}))
            _deploy(node, other, "challenger" if node.name == BANK else None)
    try:
        ids = ids_of(bank_place, 3, start=50)
        answers = score(service, *ids)
        service._later.settle()
    finally:
        for node in nodes:
            _retire(node, other)
    assert {a.model.id for a in answers} == {bank_place.model}
    kept = service._answers.scores(other)
    assert sorted((id, score) for id, _, score, _ in kept) == sorted((a.id, a.score) for a in answers)


# --- the same request again ---------------------------------------------------------------------------------


def test_the_same_request_is_answered_from_the_store(
    bank_place: Place, wire: Wire, service: BankService
) -> None:
    ids = ids_of(bank_place, 2)
    first = score(service, *ids, key="k-1")
    asked = len(wire.asked)
    assert score(service, *ids, key="k-1") == first
    service.close()
    again = BankService(bank_place.node(), wire)
    assert score(again, *ids, key="k-1") == first
    assert len(wire.asked) == asked
    with pytest.raises(ServiceError) as stopped:
        score(again, ids[0], key="k-1")
    assert stopped.value.reason == "repeated_key"
    again.close()


def test_many_times_at_once_is_asked_once(bank_place: Place, wire: Wire, service: BankService) -> None:
    id, asked = bank_place.scores["id"][5], len(wire.asked)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: score(service, id, key="k-2")[0].made, range(8)))
    assert len(found) == 1
    assert len(wire.asked) - asked == 1


def test_a_lost_answer_is_asked_for_by_the_same_question(bank_place: Place, wire: Wire, changed: Any) -> None:
    """One holder answered and counted, the other's answer was lost: asked once more, nobody counts again."""
    service = BankService(bank_place.node(), wire, seconds=0.4)
    ids = ids_of(bank_place, 2, start=20)
    wire.lost.add("power")
    before = {name: bank_place.counted(name) for name in HOLDERS}
    lost = score(service, *ids, key="k-3")
    assert {a.code for a in lost} == {"late"}
    wire.lost.clear()
    service.close()
    service = BankService(bank_place.node(), wire)
    found = score(service, *ids, key="k-3")
    service.close()
    assert [a.score for a in found] == bank_place.scores["score"][20:22].tolist()
    assert {name: bank_place.counted(name) - n for name, n in before.items()} == dict.fromkeys(HOLDERS, 2)


@pytest.mark.parametrize("code", ["internal", "envelope", "quota", "form"])
def test_what_a_hub_says_in_a_members_place_ends_no_request(
    bank_place: Place, wire: Wire, service: BankService, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """The others have answered and used consents: the same request goes out by the same bytes, counted once."""
    start = 40 + len(code)
    ids, real = ids_of(bank_place, 1, start=start), wire.ask
    before = {name: bank_place.counted(name) for name in HOLDERS}
    with monkeypatch.context() as patch:
        patch.setattr(wire, "ask", lambda *a: {**real(*a), "power": Reply(code)})
        assert score(service, *ids, key=f"k-{code}")[0].code == code
    found = score(service, *ids, key=f"k-{code}")
    assert [a.score for a in found] == bank_place.scores["score"][start : start + 1].tolist()
    assert {name: bank_place.counted(name) - n for name, n in before.items()} == dict.fromkeys(HOLDERS, 1)


def test_a_question_that_a_member_takes_no_more_is_asked_anew_in_its_place(
    bank_place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that answered the first hear of which one it is in place, so that no consent is used twice for it."""
    ids, said = ids_of(bank_place, 1, start=30), []
    wire.lost.add("power")
    service = BankService(bank_place.node(), wire, seconds=0.4)
    assert score(service, *ids, key="k-old")[0].code == "late"
    wire.lost.clear()
    service._seconds = 5.0
    first, real, ask = wire.asked[-1], wire.ask, service._asking.ask

    def too_late(id: str, *args: Any) -> dict[str, Reply]:
        return dict.fromkeys(args[1], Reply("old")) if id == first else real(id, *args)

    monkeypatch.setattr(wire, "ask", too_late)
    monkeypatch.setattr(service._asking, "ask", lambda *a, **how: said.append(how) or ask(*a, **how))
    assert score(service, *ids, key="k-old")[0].code == ""
    service.close()
    assert [how.get("repeats", "") for how in said] == ["", first]
    assert wire.asked[-1] != first


def test_the_store_is_for_its_owner_alone(bank_place: Place, service: BankService) -> None:
    score(service, bank_place.scores["id"][0])
    file = bank_place.node().store.path / "serving" / "answers.sqlite"
    assert file.stat().st_mode & 0o777 == 0o600


# --- advice -------------------------------------------------------------------------------------------------


def test_the_banks_own_table_advises(bank_place: Place, service: BankService, changed: Any) -> None:
    id = bank_place.scores.sort_values("probability")["id"].iloc[0]
    plain = score(service, id)[0]
    (bank_place.paths[BANK].parent / "decisions.toml").write_text(DECISIONS)
    changed(BANK, "store = ", 'decisions = "decisions.toml"\nstore = ')
    asked = {"product": "loan", "applications": {0: {"amount": 300000, "months": 12}}}
    (answer,) = score(service, id, **asked)
    assert (answer.grade, answer.grade_scale) == ("good", "bank")
    assert answer.decision is not None
    assert answer.decision["decision"] in ("accept", "refer")
    assert answer.score == plain.score
    assert score(service, id)[0].decision is None
    # A page of a list is graded at once, by the same table.
    ids = (*ids_of(bank_place, 40), "enterprise-99999")
    made, singles = (
        service.table(ScoreRequest(ids=ids), bins=("use",)),
        table_of(score(service, *ids)),
    )
    assert made.drop_columns(["made", "bin_use"]).equals(singles.drop_columns(["made"]))
    assert {"good", None} <= set(made["grade"].to_pylist())
    assert service.products() == ("loan",)
    (none,) = score(service, "enterprise-99999", **asked)
    assert none.decision is not None and none.decision["rule"] == "no_score"


def test_a_broken_table_takes_no_score_away(bank_place: Place, service: BankService, changed: Any) -> None:
    (bank_place.paths[BANK].parent / "broken.toml").write_text("grades = []")
    changed(BANK, "store = ", 'decisions = "broken.toml"\nstore = ')
    (answer,) = score(service, bank_place.scores["id"][0], product="loan")
    assert answer.score == bank_place.scores["score"][0]
    assert answer.notice is not None and "table of decisions cannot be used" in answer.notice
    assert service.products() == ()


def test_models_are_shown_with_scale_and_columns(bank_place: Place, service: BankService) -> None:
    shown = {m.id: m for m in service.models()}[bank_place.model]
    assert (shown.name, shown.deployed_as, shown.state) == ("tiny", "champion", "deployed")
    assert [c["name"] for c in shown.columns] == ["use", "term"]
    assert shown.low < shown.mean < shown.high
    assert shown.horizon == "default within a year"


# --- the forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": ()},
        {"ids": ("a", "a")},
        {"ids": ("a",), "consents": ("x", "y")},
        {"ids": ("a",), "values": {1: {}}},
        {"ids": ("a",), "values": {0: {"x": math.nan}}},
        {"ids": ("a",), "key": "a b"},
        {"ids": tuple(map(str, range(1001)))},
        {"ids": ("a",), "applications": {0: {"amount": -1}}},
    ],
)
def test_a_malformed_request_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ScoreRequest(**wrong)


def test_logs_hold_no_id(bank_place: Place, service: BankService, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", "fedrisk"):
        score(service, bank_place.scores["id"][0])
        score(service, "enterprise-99999")
    assert caplog.records
    assert "enterprise-" not in json.dumps([vars(r) for r in caplog.records], default=str)


def test_what_was_answered_long_ago_is_forgotten(
    bank_place: Place, service: BankService, tmp_path: Path
) -> None:
    score(service, bank_place.scores["id"][0], key="k-4")
    assert service._answers.scores(bank_place.model)
    service._answers.forget(4e9)
    assert service._answers.scores(bank_place.model) == []
    assert service._answers.kept(ScoreRequest(ids=("x",), key="k-4")) is None


def test_threads_end(service: BankService) -> None:
    service.close()
    assert "challengers" not in {t.name for t in threading.enumerate() if t.is_alive()}
