"""The hub or a node is killed at every exchange and comes back: the same scorecard, one charge, trails that agree."""

import json

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from fedrisk.audit.crosscheck import crosscheck
from fedrisk.audit.usage import attempt_rows
from fedrisk.clients.app import app as client_app
from fedrisk.clients.resend import Incoming
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.engine.in_process import register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ConfigError
from fedrisk.recipes import recipe_of
from fedrisk.server import post
from fedrisk.server.run import run_study
from support.long import sampled

pytestmark = pytest.mark.study

EXCHANGES = 12
SEED = 5
HUB = ["before", "some", "all"]
NODE = ["before", "middle", "after"]


class Killed(BaseException):
    """What a killed process does next: nothing."""


class Grid(InProcessGrid):
    """Kills the hub, or the node of ``victim``, once, in exchange ``at``."""

    def __init__(self, institutions, who=None, how=None, at=0, victim=""):
        super().__init__(client_app, institutions)
        self.who, self.how, self.at, self.victim = who, how, at, victim
        self.number, self.dead, self.lost, self.pushed, self.hits = 0, False, False, 0, 0
        self.activated = "first"

    def report(self, number, action, what):
        self.number, self.pushed = number, 0

    def _kill(self):
        self.dead = True
        raise Killed

    def _here(self, who):
        return self.who == who and self.number == self.at

    def push_messages(self, messages):
        if self.dead or (
            self._here("hub") and (self.how == "before" or (self.how == "some" and self.pushed))
        ):
            self._kill()
        self.pushed += 1
        ids = super().push_messages(messages)
        if self.lost:
            self.lost = False
            self._replies.pop(ids[-1])
        return ids

    def pull_messages(self, message_ids):
        # The last answer of the exchange, or the only one, never arrives.
        last = self._here("hub") and self.pushed >= self.asked()
        if self.dead or (last and (self.how == "all" or self.asked() == 1)):
            self._kill()
        return super().pull_messages(message_ids)

    def asked(self):
        return 1 if self.number in (3, 10, 11, 12) else 2

    def get_nodes(self):
        if self.dead:
            self._kill()
        nodes = super().get_nodes()
        for node in nodes:
            node.last_activated_at = self.activated
        return nodes

    def _serve(self, message):
        mine = self._names.get(message.metadata.dst_node_id) == self.victim
        closing = message.metadata.message_type == "query.close"
        if not mine or closing or not self._here("node") or self.hits >= 2:
            return super()._serve(message)
        self.hits += 1
        AttemptStore._arrays.clear()
        AttemptStore._cached.clear()
        if self.how == "before":
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "lost"), reply_to=message)
        if self.how == "middle":
            return self._cut_off(message)
        answer = super()._serve(message)
        if self.hits == 1:
            # Delivered, answered, and lost on the way.
            self.activated, self.lost = "again", True
        return answer

    def _cut_off(self, message):
        """The process ends when the handler is through, before its answer is kept."""
        if self.hits > 1:
            return super()._serve(message)
        with pytest.MonkeyPatch.context() as patched:

            def keep(self, answer):
                raise Killed

            patched.setattr(Incoming, "keep", keep)
            try:
                return super()._serve(message)
            except Killed:
                return Message(Error(ErrorCode.NODE_UNAVAILABLE, "lost"), reply_to=message)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(post, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(post, "FIRST_PAUSE", 0.01)


def built(kit, folder):
    return kit.build(folder, ("alfa",), ("tax",), enterprises=500)


def study_of(own, grid, *, resume=False):
    register(own.nodes, own.hub)
    return run_study(
        grid,
        own.study,
        recipe_of(own.study),
        own.hub,
        engine="in-process",
        research_seed=SEED,
        report=grid.report,
        resume=resume,
    )


def card(results):
    return json.loads(results.card.to_json())


def charges(own):
    return {
        name: sorted(e.spend.release for e in node.ledger.entries() if not e.cancelled)
        for name, node in own.nodes.items()
    }


def traffic(own, attempt):
    """What the meter counts of an attempt by institution, without bytes, which differ with the lengths of numbers."""
    out = {}
    for name, node in own.nodes.items():
        (row,) = attempt_rows(node.trail.entries(attempt=attempt))
        out[name] = (row.requests, row.releases, row.mu)
    return out


@pytest.fixture(scope="module")
def whole(kit, scratch):
    """The study as it is when nobody is killed."""
    own = built(kit, scratch())
    grid = Grid(own.paths)
    results = study_of(own, grid)
    assert results.exchanges == EXCHANGES
    return own, results


def holds(own, results, whole):
    """The same scorecard, each release charged once, trails that agree, and nothing kept that opens anything."""
    plain, expected = whole
    assert card(results) == card(expected)
    assert charges(own) == charges(plain)
    trails = {name: list(node.trail.entries(attempt=results.attempt)) for name, node in own.nodes.items()}
    assert crosscheck(trails, results.attempt) == []
    assert not list((own.hub.path / "runs").glob("*/journal"))
    for node in own.nodes.values():
        folder = node.store.path / "attempts" / results.attempt
        assert not (folder / "last.answer").exists() and not (folder / "secrets").exists()


CASES = [(how, number) for number in range(1, EXCHANGES + 1) for how in HUB]


@pytest.mark.parametrize(("how", "number"), sampled(CASES, 13))
def test_a_hub_that_is_killed_goes_on(kit, tmp_path, whole, how, number):
    own = built(kit, tmp_path)
    grid = Grid(own.paths, "hub", how, number)
    with pytest.raises(Killed):
        study_of(own, grid)
    results = study_of(own, Grid(own.paths), resume=True)
    holds(own, results, whole)
    if number > 4:
        assert results.exchanges == whole[1].exchanges
        (journalled,) = [run for run in (own.hub.path / "runs").iterdir() if run.is_dir()]
        assert journalled.name == results.attempt  # the same attempt
    with pytest.raises(ConfigError, match="without --resume"):
        study_of(own, Grid(own.paths), resume=True)


CASES = [
    (how, number, victim)
    for number in range(1, EXCHANGES + 1)
    for how in NODE
    for victim in ("alfa", "tax")
    if victim == "alfa" or number not in (11, 12)
]


@pytest.mark.parametrize(("how", "number", "victim"), sampled(CASES, 17))
def test_a_node_that_is_killed_is_asked_again(kit, tmp_path, whole, how, number, victim):
    own = built(kit, tmp_path)
    grid = Grid(own.paths, "node", how, number, victim)
    results = study_of(own, grid)
    holds(own, results, whole)
    assert traffic(own, results.attempt) == traffic(whole[0], whole[1].attempt)


class WithoutAlignment(Grid):
    """Two institutions in each of the four exchanges of a statistics study."""

    def asked(self):
        return 2


def counting(kit, folder):
    """Two banks that count into cells, without alignment."""
    rules = {"recipes": ["statistics"], "statistics": ["grade", "late"]}
    measures = [{"kind": "count"}, {"kind": "mean", "column": "bank.late"}]
    study = {"recipe": "statistics", "statistics": {"by": ["bank.grade"], "measures": measures}}
    return kit.build(folder, ("alfa", "beta"), (), enterprises=300, policy=rules, study=study)


def numbers(results):
    return {b.name: b.total.tolist() for b in results.record.release("statistics").blocks}


@pytest.fixture(scope="module")
def counted(kit, scratch):
    """The statistics study as it is when nobody is killed."""
    own = counting(kit, scratch())
    results = study_of(own, WithoutAlignment(own.paths))
    assert results.exchanges == 4
    return own, results


def same_numbers(own, results, counted):
    plain, expected = counted
    assert numbers(results) == numbers(expected)
    assert charges(own) == charges(plain) == {"alfa": ["statistics"], "beta": ["statistics"]}
    trails = {name: list(node.trail.entries(attempt=results.attempt)) for name, node in own.nodes.items()}
    assert crosscheck(trails, results.attempt) == []
    assert not list((own.hub.path / "runs").glob("*/journal"))


@pytest.mark.parametrize(("how", "number"), sampled([(h, n) for n in (2, 4, 1, 3) for h in HUB], 4))
def test_a_hub_that_is_killed_goes_on_without_alignment(kit, tmp_path, counted, how, number):
    own = counting(kit, tmp_path)
    with pytest.raises(Killed):
        study_of(own, WithoutAlignment(own.paths, "hub", how, number))
    results = study_of(own, WithoutAlignment(own.paths), resume=True)
    same_numbers(own, results, counted)
    if number > 1:
        (journalled,) = [run for run in (own.hub.path / "runs").iterdir() if run.is_dir()]
        assert journalled.name == results.attempt


@pytest.mark.parametrize(("how", "number"), sampled([(h, n) for n in (2, 4, 1, 3) for h in NODE], 4))
def test_a_node_that_is_killed_is_asked_again_without_alignment(kit, tmp_path, counted, how, number):
    own = counting(kit, tmp_path)
    results = study_of(own, WithoutAlignment(own.paths, "node", how, number, "beta"))
    same_numbers(own, results, counted)


class Grouped(Grid):
    """Two institutions, of which the authority alone is asked to evaluate."""

    def asked(self):
        return 1 if self.number == 3 else 2


GROUPED = 10


def grouping(kit, folder):
    """A holder's cells by a bank's measure: rows are aligned and grouped."""
    rules = {"recipes": ["statistics"]}
    measures = [{"kind": "count"}, {"kind": "mean", "column": "bank.late"}]
    study = {"recipe": "statistics", "statistics": {"by": ["tax.audited"], "measures": measures}}
    made = kit.build(folder, ("alfa",), ("tax",), enterprises=300, policy=rules, study=study)
    for name, column in (("alfa", "late"), ("tax", "audited")):
        made.content[name]["policy"] = {**made.content[name]["policy"], "statistics": [column]}
        made.write(name)
    return made


@pytest.fixture(scope="module")
def grouped(kit, scratch):
    """The joined study as it is when nobody is killed."""
    own = grouping(kit, scratch())
    results = study_of(own, Grouped(own.paths))
    assert results.exchanges == GROUPED
    return own, results


def same_sums(own, results, grouped):
    assert numbers(results) == numbers(grouped[1])
    assert charges(own) == {"alfa": ["statistics"], "tax": ["statistics"]}
    trails = {name: list(node.trail.entries(attempt=results.attempt)) for name, node in own.nodes.items()}
    assert crosscheck(trails, results.attempt) == []


ORDERED = (6, 7, 8, 9, 10, 5)


@pytest.mark.parametrize(("how", "number"), sampled([(h, n) for n in ORDERED for h in HUB], 10))
def test_a_hub_that_is_killed_goes_on_with_a_grouping(kit, tmp_path, grouped, how, number):
    own = grouping(kit, tmp_path)
    with pytest.raises(Killed):
        study_of(own, Grouped(own.paths, "hub", how, number))
    same_sums(own, study_of(own, Grouped(own.paths), resume=True), grouped)


VICTIMS = [(h, n, v) for n in ORDERED for h in NODE for v in ("alfa", "tax")]


@pytest.mark.parametrize(("how", "number", "victim"), sampled(VICTIMS, 21))
def test_a_node_that_is_killed_is_asked_again_with_a_grouping(kit, tmp_path, grouped, how, number, victim):
    own = grouping(kit, tmp_path)
    same_sums(own, study_of(own, Grouped(own.paths, "node", how, number, victim)), grouped)
