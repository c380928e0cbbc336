"""A study that remembers another: no edges are released again, all have the same card, and no member takes another past.

What is tested holds for any statistics of memory: who tells what, who holds it against what, and what is refused.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.analysis.card_sums import CardSums, columns_of, knowledge_of
from fedrisk.analysis.past_studies import past_study
from fedrisk.engine.check import check_study
from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, PeerError
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.knowledge_file import digest_of, from_bytes, same_sums, to_bytes
from fedrisk.models.memory import remember_counts
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import recipe_of, study_from
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.recipes.scorecard.remembering import stated
from fedrisk.server import knowledge
from fedrisk.server.runs import Runs, entry, refuse_again

pytestmark = pytest.mark.study

MEMBERS = ("alfa", "tax")


def enter(run):
    """The hub's entry of a run, as run_study makes it."""
    begun = entry(run.study, run.study, run.attempt, engine="in-process", research=False, out=None)
    with Runs(run.hub).begin(begun) as log:
        log.finish(run.results)


def later(consortium, name, memory, **settings):
    return consortium.with_study(name=name, scorecard={"memory": memory, **settings})


def charged(consortium):
    return {name: len(list(node.ledger.entries())) for name, node in consortium.nodes.items()}


@pytest.fixture(scope="module")
def consortium(kit, scratch):
    return kit.build(scratch() / "memory")


@pytest.fixture(scope="module")
def first(consortium):
    run = consortium.run(consortium.with_study(name="january"))
    enter(run)
    return run


@pytest.fixture(scope="module")
def second(consortium, first):
    run = consortium.run(later(consortium, "february", "auto", second="recount"))
    enter(run)
    return run


def test_the_second_study_states_the_first(first, second):
    known = second.study.settings["known"]
    (past,) = known["memory"]
    assert (past["study"], past["attempt"]) == ("january", first.attempt)
    assert past["record"] == first.results.record.digest()
    assert past["members"] == list(MEMBERS)
    kept = knowledge.load(second.hub, known["digest"])
    assert digest_of(kept) == known["digest"]
    assert kept.memory[0].digest == past["record"]


def test_bins_are_taken_over_and_no_edges_are_released(first, second):
    assert first.plan.find("edges") is not None and second.plan.find("edges") is None
    assert first.results.record.find("edges") is not None and second.results.record.find("edges") is None
    assert second.plan.mu("counts") > first.plan.mu("counts")
    edges = [[b.edges for b in run.results.card.bins] for run in (first, second)]
    assert edges[0] == edges[1]
    assert first.plan.price == second.plan.price


def test_hub_and_members_have_the_same_card_and_it_follows_from_the_record(second):
    card, record = second.results.card, second.results.record
    kept = json.loads((second.nodes["alfa"].store.results(second.attempt) / "scorecard.json").read_text())
    assert kept == json.loads(card.to_json())
    assert refit(record).to_json() == card.to_json()
    assert digest_of(knowledge_of(record)) == second.study.settings["known"]["digest"]


def test_each_member_keeps_what_was_released_and_not_what_was_remembered(first, second):
    for run in (first, second):
        there = past_study(run.results.record, "")
        for name in MEMBERS:
            own = run.nodes[name].store.past.find(run.attempt)
            assert same_sums(own, there)
            assert (own.digest, own.ended) == ("", "")
    assert (
        past_study(second.results.record, "").counts.n1[0]
        == CardSums.released(second.results.record).counts.n1[0]
    ).all()


def test_the_report_says_what_was_remembered(second):
    (said,) = [f for f in second.results.findings if f.code == "memory_used"]
    assert said.values["studies"] == 1 and said.values["names"] == "january"
    assert said.values["epsilon"] == second.study.privacy.epsilon
    own = CardSums.released(second.results.record)
    known = knowledge_of(second.results.record)
    whole = remember_counts(known.memory, columns_of(own.bins), own.counts)
    assert second.results.record.find("recount") is not None
    assert said.values["worth"] == pytest.approx(whole.studies)


def test_the_same_study_is_noticed_though_more_would_be_remembered_now(second, consortium):
    again = later(consortium, "february", "auto", second="recount")
    with pytest.raises(ConfigError, match="february was run"):
        refuse_again(Runs(second.hub), again, research=False, again=False)
    found = knowledge.look_up(recipe_of(again), again, second.hub, research=False)
    assert [past.study for past in found.knowledge.memory] == ["january"]


def test_a_part_that_was_changed_is_refused_before_anything_is_charged(kit, consortium, second):
    before = charged(consortium)

    def more(content):
        past = from_bytes(content.array("file").tobytes())
        one = past.memory[0]
        counts = replace(one.counts, n1=(one.counts.n1[0] + 1, *one.counts.n1[1:]))
        raw = to_bytes(Knowledge(memory=(replace(one, counts=counts), *past.memory[1:])))
        return Payload({}, {"file": np.frombuffer(raw, np.uint8)})

    def change(record, step):
        kit.retold(step, "knowledge", more)

    with pytest.raises(PeerError, match="edges"):
        consortium.run(later(consortium, "march", ["january"]), change=change)
    assert charged(consortium) == before
    said = [consortium.nodes[n].store.errors.of(consortium.last.attempt)[-1]["text"] for n in MEMBERS]
    assert all("not what the study states" in text for text in said)


@pytest.mark.parametrize("what", ["counts", "bins", "attempt"])
def test_a_past_that_members_did_not_see_is_refused_though_all_approved_it(consortium, first, what):
    before = charged(consortium)
    past = past_study(first.results.record, Runs(first.hub).find(first.attempt).ended)
    if what == "counts":
        past = replace(past, counts=replace(past.counts, n1=(past.counts.n1[0] + 1, *past.counts.n1[1:])))
    elif what == "bins":
        j = next(j for j, b in enumerate(past.bins) if b.feature.private_edges)
        moved = replace(past.bins[j], edges=tuple(e + 1 for e in past.bins[j].edges))
        past = replace(past, bins=(*past.bins[:j], moved, *past.bins[j + 1 :]))
    else:
        past = replace(past, attempt="0" * 32)
    false = Knowledge(memory=(past,))
    knowledge.keep(first.hub, false)
    study = later(consortium, "april", ["january"], known=stated(false).model_dump(mode="json"))
    with pytest.raises(PeerError, match="edges"):
        consortium.run(study_from(study.model_dump(mode="json")))
    assert charged(consortium) == before
    said = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert ("keeps nothing of it" if what == "attempt" else "saw released then") in said


@pytest.mark.parametrize(
    ("what", "said"), [("holdout", "trained on enterprises"), ("strangers", "were never told")]
)
def test_a_past_that_does_not_go_with_the_study_is_refused_though_the_hub_has_it_approved(
    consortium, first, what, said
):
    before = charged(consortium)
    past = past_study(first.results.record, Runs(first.hub).find(first.attempt).ended)
    if what == "strangers":
        past = replace(past, members=("alfa", "gone"))
    told = Knowledge(memory=(past,))
    knowledge.keep(first.hub, told)
    known = stated(told).model_dump(mode="json")
    changes = {"holdout": {"percent": 40}} if what == "holdout" else {}
    study = later(consortium, "may", ["january"], known=known)
    with pytest.raises(PeerError, match="edges"):
        consortium.run(study_from({**study.model_dump(mode="json"), **changes}))
    assert charged(consortium) == before
    assert said in consortium.nodes["tax"].store.errors.of(consortium.last.attempt)[-1]["text"]


def test_a_member_keeps_the_study_too_and_goes_by_its_own_account(first):
    for name in MEMBERS:
        kept = first.nodes[name].store.past.study(first.attempt)
        assert kept == first.study.model_dump(mode="json")


def test_a_whole_run_looks_up_states_and_is_entered_as_it_was_asked_for(consortium, first):
    study = later(consortium, "may", ["january"])
    found = check_study(study, consortium.paths, hub=consortium.hub)
    assert found.plan.find("edges") is None and not found.refused
    assert "memory_studies" in [f.code for f in found.expectations]
    results = run_local(study, consortium.paths, hub=consortium.hub)
    run = Runs(consortium.hub).find(results.attempt)
    assert run.asked == study.as_asked.digest() == recipe_of(study).checked(study).digest()
    assert run.digest == results.digest != run.asked
    assert run.content["settings"]["known"]["memory"][0]["attempt"] == first.attempt
    kept = consortium.nodes["alfa"].store.results(results.attempt) / "knowledge.npz"
    assert digest_of(from_bytes(kept.read_bytes())) == run.content["settings"]["known"]["digest"]
