"""Scores over the whole way, loan system to holders and back: those of the study, and codes where there are none."""

import json
import re
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from support.served import BANK, PURPOSE

pytestmark = pytest.mark.study


@pytest.fixture(scope="module")
def system(serving):
    made = serving.loan_system()
    yield made
    made.close()


def answers_of(heard):
    assert heard.status == 200, heard.body
    return {a["id"]: a for a in heard.answers}


def test_scores_are_those_of_the_study_integer_for_integer(serving, system, scores):
    """All of the bank's list at once, among them enterprises that one or both holders do not know."""
    ids = scores.index.tolist()
    got = answers_of(system.ask(ids, serving.tokens(ids)))
    assert list(got) == ids and {a["code"] for a in got.values()} == {""}
    for column in ("score", "external_points", "own_points"):
        assert [got[i][column] for i in ids] == scores[column].tolist(), column
    assert [got[i]["probability"] for i in ids] == pytest.approx(scores["probability"].tolist())
    assert [", ".join(got[i]["reasons"]) for i in ids] == scores["reasons"].tolist()
    best = pytest.approx(scores["best_probability"].tolist(), abs=1e-12)
    assert [got[i]["own_probability"] for i in ids] == best


def test_one_by_one_they_are_the_same_and_the_same_key_asks_nobody_again(serving, system, scores):
    ids = scores.index.tolist()[:5]
    tokens = serving.tokens(ids)
    before = serving.book("tax")
    for i in ids:
        first = system.ask([i], tokens, key=f"one-{i}")
        assert first.answers[0]["score"] == scores.loc[i, "score"]
        assert system.ask([i], tokens, key=f"one-{i}").answers == first.answers
    after = serving.book("tax")
    assert after["questions"] - before["questions"] == len(ids) == after["scores"] - before["scores"]
    other = system.ask([ids[0]], tokens, key=f"one-{ids[1]}")
    assert (other.status, other.codes) == (422, ["repeated_key"])


def test_a_consent_that_is_not_for_this_has_its_code_and_the_others_their_scores(serving, system, scores):
    ids = scores.index.tolist()[:8]
    good = serving.tokens(ids)
    until = (datetime.now(UTC) + timedelta(days=5)).date()
    serving.register.give(ids[:2], BANK, "marketing", until)
    serving.register.give(ids[:1], "other_bank", PURPOSE, until)
    used = serving.tokens([ids[4]], uses=1)
    assert system.ask([ids[4]], used).codes == [""]
    wrong = {
        ids[0]: "",
        ids[1]: serving.tokens([ids[1]], purpose="marketing")[ids[1]],
        ids[2]: good[ids[3]],
        ids[3]: good[ids[3]][:-6] + "AAAAAA",
        ids[4]: used[ids[4]],
        ids[5]: "a reference",
    }
    got = answers_of(system.ask(ids, {**good, **wrong}))
    expected = [
        "consent_missing",
        "consent_purpose",
        "consent_enterprise",
        "consent_register",
        "consent_used",
    ]
    assert [got[i]["code"] for i in ids] == [*expected, "consent_form", "", ""]
    assert [set(got[i]["members"].values()) for i in ids[:6]] == [{got[i]["code"]} for i in ids[:6]]
    assert [got[i]["score"] for i in ids[:6]] == [None] * 6
    assert [got[i]["score"] for i in ids[6:]] == scores.loc[ids[6:], "score"].tolist()
    foreign = serving.tokens(ids[:1], bank="other_bank")
    assert system.ask(ids[:1], foreign).codes == ["consent_bank"]


def test_what_is_no_customer_and_who_has_no_token_are_told_so(serving, system, scores):
    heard = system.ask(["Quetzalnobody"], {"Quetzalnobody": "x"})
    assert heard.codes == ["own_row"] and "Quetzal" not in json.dumps({**heard.answers[0], "id": ""})
    request = urllib.request.Request(
        f"http://127.0.0.1:{serving.service_port}/v1/models", headers={"Authorization": "Bearer wrong"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 401
    (model,) = system.get("/v1/models")["models"]
    assert (model["id"], model["deployed_as"]) == (serving.model, "champion")


def test_no_id_consent_or_value_reaches_the_hub_or_a_log(serving, system, scores):
    """Every id of the tables has a word of its own (support.deployed.canaries); a search for what is there finds it."""
    ids = scores.index.tolist()[:20]
    tokens = serving.tokens(ids)
    system.ask(ids, tokens)
    searched = [word for words in serving.secret.values() for word in words]
    searched += [token.encode() for token in tokens.values()] + [serving.token.read_bytes().strip()]
    hub = [f for f in serving.place.home.rglob("*") if f.is_file()]
    logs = [*serving.place.folder.rglob("*.jsonl"), *serving.place.folder.rglob("screen-*.txt")]
    logs += [*serving.place.folder.rglob("*errors*"), *serving.place.folder.rglob("scoring-status.json")]
    # Six digits of an amount are found in long hexadecimal digests by chance: words are searched for as words.
    words = re.compile(rb"(?<![0-9A-Za-z])(?:" + b"|".join(map(re.escape, searched)) + rb")(?![0-9A-Za-z])")
    found = {f.name: words.search(f.read_bytes()) for f in {*hub, *logs} if f.is_file()}
    found = {name: hit.group() for name, hit in found.items() if hit}
    assert found == {} and len(logs) >= 4
    assert any(b"question" in f.read_bytes() for f in logs), "the holders' logs have events of questions"
    trails = [serving.node(name).store.path / "audit.jsonl" for name in ("tax", BANK)]
    assert not [w for t in trails if t.exists() for w in searched if w in t.read_bytes()]
