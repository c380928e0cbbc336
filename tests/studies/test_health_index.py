"""An operating health index from end to end: a study of histories, then months of it by one question."""

import time
import tomllib
from datetime import date, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fedrisk.attacks.consortium import toml
from fedrisk.clients.node import Node
from fedrisk.language import speaking
from fedrisk.language_patterns import retold
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.serving_policy import OWN_INFORMATION
from fedrisk.report.index_page import index_page
from fedrisk.serving import registry
from fedrisk.serving.answer_store import AnswerStore
from fedrisk.serving.asking import Asking
from fedrisk.serving.deployed import meant
from fedrisk.serving.index import index_answers
from fedrisk.serving.index_file import read_index, write_index
from fedrisk.serving.index_forms import IndexBody, IndexRequest
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.score_forms import ScoreRequest, ServiceError
from fedrisk.serving.words import of_members
from sim_institutions.consent_register import ConsentRegister
from support import indexed, pages
from support.served import approve_all


class World:
    """A finished study whose index is approved everywhere and deployed at the bank."""

    def __init__(self, run):
        self.run = run
        approve_all(run)
        self.paths = {name: node.institution.file for name, node in run.nodes.items()}
        self.node = Node.open(self.paths["alfa"])
        (self.part,) = self.node.store.models.parts()
        registry.deploy(self.node, self.part.model, as_="champion", who="ann")
        self.relay = LocalRelay(self.paths, "alfa")
        self.asking = Asking(self.node, self.relay)

    def ask(self, ids, months=18, **more):
        return index_answers(self.node, self.asking, IndexRequest(ids=tuple(ids), months=months, **more))[0]


@pytest.fixture(scope="module")
def world(kit, scratch):
    with pytest.MonkeyPatch.context() as patch:
        folder = scratch()
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        found = World(indexed.consortium(kit, folder).run())
        yield found
        found.relay.close()


def test_banks_bring_labels_alone_and_the_scale_is_a_percentile_of_the_scores(world):
    card = Scorecard.from_json(world.part.card)
    assert not [b for b in card.bins if b.feature.institution == "bank"]
    assert set(world.part.index.moving) == {"tax.fall", "tax.gaps", "power.fall", "power.unsteady"}
    assert world.part.index.still == ("tax.audited",)
    scores = world.run.scores("alfa")
    base = card.base_points
    ids = scores["id"].tolist()[:600]
    found = world.ask(ids, months=1)
    index = np.array([a.index for a in found])
    assert world.part.values <= 101
    # A percentile: spread evenly over the enterprises that it was made of, within its stated error and the draw.
    shares = np.array([np.mean(index <= k) for k in (25, 50, 75)])
    assert np.abs(shares - (0.25, 0.5, 0.75)).max() < 0.08
    # The same order as the study's own scores.
    order = scores["score"].to_numpy()[:600]
    assert (np.diff(index[np.argsort(order, kind="stable")]) >= 0).all() and base == card.base_points


def test_one_question_gives_all_months_that_everybody_knows(world):
    _, months = indexed.tables(1000)
    (answer,) = world.ask([months["tax"]["id"].iloc[0]])
    # Histories of 12 months, of which columns look at 6: this month and 6 before it.
    assert [m.ago for m in answer.months] == list(range(7))
    assert answer.words.startswith("Months told: 7, of 18 asked for")
    assert all(0 <= m.index <= 100 and m.themes == {} for m in answer.months)


def test_an_earlier_month_is_what_was_said_then(world):
    """The same table cut off three months before gives now what the whole one gives of three months ago."""
    ids = world.run.scores("alfa")["id"].tolist()[:200]
    before = {a.id: a.months[3].index for a in world.ask(ids, months=4)}
    files = {name: world.paths[name].parent / f"{name}_months.parquet" for name in indexed.SERIES}
    whole = {name: file.read_bytes() for name, file in files.items()}
    for file in files.values():
        frame = pd.read_parquet(file)
        values = np.full((len(frame), indexed.HISTORY), np.nan)
        values[:, 3:] = frame.iloc[:, 1:-3]
        frame.iloc[:, 1:] = values
        frame.to_parquet(file, index=False)
    relay = LocalRelay(world.paths, "alfa")
    request = IndexRequest(ids=tuple(ids), months=1)
    now, _ = index_answers(world.node, Asking(world.node, relay), request)
    relay.close()
    for name, file in files.items():
        file.write_bytes(whole[name])
    assert {a.id: a.index for a in now} == before


def serving(world, name, **rules):
    """Write an institution's rules of [policy.serving] anew; returns a function that puts back what stood there."""
    file = world.paths[name]
    before = file.read_text("utf-8")
    found = tomllib.loads(before)
    found["policy"]["serving"] |= rules
    file.write_text("".join(f"{key} = {toml(value)}\n" for key, value in found.items()), "utf-8")
    return lambda: file.write_text(before, "utf-8")


@pytest.fixture
def rules(world):
    """Changes rules of an institution for one test, with a relay that has read them."""
    undo = []

    def change(name, **what):
        undo.append(serving(world, name, **what))

    yield change
    for back in reversed(undo):
        back()


def counted(world, name, ids):
    """Scores that a holder's book has of these enterprises, by id."""
    book = world.relay.holders[name].book
    with book.question(time.time()) as page:
        return page.scored("alfa", [book.enterprise(i) for i in ids])


def test_a_holder_that_allows_no_more_gives_the_newest_alone(world, rules):
    ids = world.run.scores("alfa")["id"].tolist()[300:320]
    wide = [a.months[0] for a in world.ask(ids)]
    rules("power", index_months=1)
    narrow = world.ask(ids)
    assert [a.months for a in narrow] == [(m,) for m in wide]
    assert narrow[0].words.startswith("Months told: 1, of 18 asked for")


def test_every_month_counts_as_a_score_at_the_holder_that_gives_it(world, rules):
    ids = world.run.scores("alfa")["id"].tolist()[400:402]
    rules("power", index_months=2)
    before = {name: counted(world, name, ids) for name in ("tax", "power")}
    world.ask(ids, months=5)
    after = {name: counted(world, name, ids) for name in ("tax", "power")}
    assert np.subtract(after["tax"], before["tax"]).tolist() == [5, 5]
    assert np.subtract(after["power"], before["power"]).tolist() == [2, 2]
    rules("tax", per_enterprise=after["tax"][0] + 6)
    assert world.ask(ids[:1], months=7)[0].code == "enterprise_quota"
    assert world.ask(ids[:1], months=6)[0].code == ""


def test_an_answer_under_a_key_is_given_again_and_asks_nobody(world):
    ids = world.run.scores("alfa")["id"].tolist()[500:503]
    store = AnswerStore(world.node.store.path / "serving", 30)
    request = IndexRequest(ids=tuple(ids), months=3, key="k1")
    first = index_answers(world.node, world.asking, request, store=store)
    before = counted(world, "tax", ids)
    assert index_answers(world.node, None, request, store=store) == first
    assert counted(world, "tax", ids) == before
    with pytest.raises(ServiceError) as raised:
        index_answers(world.node, None, request.model_copy(update={"months": 4}), store=store)
    assert raised.value.reason == "repeated_key"
    store.close()


def test_a_score_is_no_index_and_an_index_no_score(world):
    with pytest.raises(ServiceError) as raised:
        meant(world.node, ScoreRequest(ids=("x",)))
    assert raised.value.reason == "model_none"
    assert meant(world.node, IndexRequest(ids=("x",)), index=True)[0].part.model == world.part.model


class Agent:
    """An agent of enterprises beside the world, known to its members, with an index that the bank gave out."""

    def __init__(self, world, folder):
        self.register = ConsentRegister(folder / "register")
        self.pinned = [{"name": self.register.name, "key": self.register.key}]
        file = folder / "agent.toml"
        file.write_text(f'name = "agent"\nkind = "agent"\nstore = "{folder / "agent"}"\n', "utf-8")
        self.node = Node.open(file)
        nodes = {name: Node.open(path) for name, path in world.paths.items()} | {"agent": self.node}
        keys = {name: node.store.identity.public for name, node in nodes.items()}
        hub = world.node.store.pins.hub
        for name, node in nodes.items():
            node.store.pin(hub, {n: key for n, key in keys.items() if n != name})
        self.part = read_index(write_index(world.part, folder / "health.json"))
        self.relay = LocalRelay({**world.paths, "agent": file}, "agent")
        self.asking = Asking(self.node, self.relay)

    def token(self, id, to="agent", purpose=OWN_INFORMATION):
        self.register.give([id], to, purpose, date.today() + timedelta(days=9))
        return self.register.tokens([id], to, purpose, uses=9)[0]

    def ask(self, ids, consents, purpose=OWN_INFORMATION):
        request = IndexRequest(ids=tuple(ids), consents=tuple(consents), months=3, purpose=purpose)
        return [a.code or a.months for a in index_answers(self.node, self.asking, request, part=self.part)[0]]


def test_an_agent_gets_the_index_of_whose_consent_it_holds_and_of_nobody_else(world, rules, scratch):
    agent = Agent(world, scratch())
    one, other = world.run.scores("alfa")["id"].tolist()[600:602]
    token = agent.token(one)
    assert agent.ask([one], [token]) == ["asker"]
    for name in ("tax", "power"):
        rules(name, agents=["agent"], registers=agent.pinned)
    # As the bank is answered: which consents banks need does not matter here ("none").
    assert agent.ask([one], [token]) == [world.ask([one], months=3)[0].months]
    assert agent.ask([other, one], [token, ""]) == ["consent_enterprise", "consent_missing"]
    assert agent.ask([one], [agent.token(one, to="alfa")]) == ["consent_bank"]
    assert agent.ask([one], [agent.token(one, purpose="credit_scoring")]) == ["consent_purpose"]
    assert agent.ask([one], [token], purpose="credit_scoring") == ["purpose"]
    # What a bank and an agent get is counted apart: each has asked for its own months.
    for name in ("tax", "power"):
        rules(name, agents=["agent"], registers=agent.pinned, models=0)
    assert agent.ask([one], [token]) == ["approval"]
    agent.relay.close()


def test_a_holder_that_a_policy_names_as_an_agent_gets_nothing(world, rules):
    """From the sum it would take its own points away and have the other's."""
    node = Node.open(world.paths["power"])
    assert registry.served(node, world.part.model, "alfa").model == world.part.model
    for name in ("tax", "stranger"):
        with pytest.raises(registry.Unserved) as raised:
            registry.served(node, world.part.model, name)
        assert raised.value.answer == "asker"
    rules("power", agents=["tax", "stranger"])
    node = Node.open(world.paths["power"])
    with pytest.raises(
        registry.Unserved, match=r"tax is named in policy\.serving\.agents and gives points"
    ) as raised:
        registry.served(node, world.part.model, "tax")
    assert raised.value.answer == "asker"
    # Without a consortium's list nobody can say that a name is no agent's.
    assert registry.served(node, world.part.model, "stranger").model == world.part.model


def test_no_way_of_asking_gets_more_months_than_the_policy_allows(world, rules):
    """The same months again, months that overlap, and another request: all are counted, and none is above the limit."""
    one, other = world.run.scores("alfa")["id"].tolist()[700:702]
    for name in ("tax", "power"):
        rules(name, per_enterprise=9, index_months=4)
    codes = [world.ask([one], months=months)[0].code for months in (18, 4, 1, 1)]
    assert codes == ["", "", "", "enterprise_quota"]
    assert counted(world, "tax", [one]) == counted(world, "power", [one]) == [9]
    answer = world.ask([one], months=1)[0]
    assert not answer.months and "Ask for fewer months" in answer.words
    # Another spelling of the id is the same enterprise, and another enterprise has a limit of its own.
    assert world.ask([f" {one} "], months=1)[0].code == "enterprise_quota"
    assert len(world.ask([other], months=18)[0].months) == 4
    rules("tax", per_day=0)
    assert world.ask([other], months=1)[0].code == "quota"


def test_an_entry_says_that_months_were_told(world):
    one = world.run.scores("alfa")["id"].tolist()[703]
    world.ask([one], months=1)
    world.ask([one], months=2)
    kinds = [e.kind for e in Node.open(world.paths["tax"]).trail.entries() if e.event == "score"]
    assert kinds[-2:] == ["served_index", "served_index_months"]
    taken = [e.kind for e in Node.open(world.paths["alfa"]).trail.entries() if e.event == "delivery"]
    assert taken[-2:] == kinds[-2:]


@pages.NEEDS_CHROMIUM
def test_the_page_is_plain_in_both_languages_and_names_no_empty_table(world, browser, tmp_path):
    one = world.run.scores("alfa")["id"].tolist()[704]
    answers, scale = index_answers(world.node, world.asking, IndexRequest(ids=(one,), months=18))
    refused = answers[0].model_copy(
        update={"months": (), "code": "late", "members": {"tax": "late", "power": "late"}}
        | {"words": of_members({"tax": "late", "power": "late"})}
    )
    with speaking("en"):
        page = index_page("alfa", IndexBody(answers=answers, scale=scale))
        assert "tax: fall, gaps" in page and "<table" in page
        assert retold(refused.words).startswith("power and tax give nothing: it did not answer in time.")
    with speaking("zh"):
        none = index_page("alfa", IndexBody(answers=(refused,), scale=scale))
        assert "<table" not in none and "power、tax没有给出任何内容" in none
        pages.check(
            browser, tmp_path / "page.html", index_page("alfa", IndexBody(answers=answers, scale=scale))
        )


@pytest.fixture
def command(world, fedrisk):
    """Calls ``fedrisk index`` without a hub; what it gives and its exit code."""

    def call(place, *arguments, alone=False):
        others = (
            () if alone else tuple(x for n in ("tax", "power") for x in ("--members", str(world.paths[n])))
        )
        code, out, err = fedrisk("index", place, *arguments, *others)
        return SimpleNamespace(exit_code=code, output=out + err)

    return call


def test_the_command_shows_months_and_says_by_its_exit_code_that_there_are_none(world, command, rules):
    one, other = world.run.scores("alfa")["id"].tolist()[710:712]
    name, place = world.part.name, world.paths["alfa"]
    shown = command(place, name, one)
    assert shown.exit_code == 0 and f"{one}: operating health index" in shown.output
    assert "in 3 months" in shown.output and "Months told: 7, of 18" in shown.output
    rules("tax", consent="token")
    refused = command(place, name, other)
    assert refused.exit_code == 8 and "consent_missing: tax gives nothing" in refused.output


def test_the_command_says_who_asks_for_an_index_and_which_are_in_use(world, command):
    place = world.paths["alfa"]
    holder = command(world.paths["tax"], world.part.name, "x")
    assert holder.exit_code == 3 and "asked for by a bank or by an agent" in holder.output
    none = command(place, "nothing", "x")
    assert none.exit_code == 3 and "no operating health index nothing in use" in none.output
    assert "GET /v1" not in none.output
    other = command(place, world.part.name, "x", "--purpose", "marketing")
    assert other.exit_code == 3 and "in use for no purpose marketing" in other.output
    nobody = command(place, world.part.name)
    assert nobody.exit_code == 3 and "name the enterprise" in nobody.output
    away = command(place, world.part.name, "x1", alone=True)
    assert away.exit_code == 75 and "no hub to ask through" in away.output
