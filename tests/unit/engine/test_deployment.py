"""A study over a hub, as whoever proposes it sees it: checked first, followed, and told how it ended."""

import threading
import time

import pytest

from fedrisk.engine import deployment
from fedrisk.engine.deployment import follow, propose, results_of, run_deployed, why
from fedrisk.engine.hub_figures import Progress
from fedrisk.engine.superlink_clients import NotServing
from fedrisk.errors import BudgetError, ConfigError, PeerError, Stopped
from fedrisk.recipes import study_from
from fedrisk.server.proposals import Answer, Proposals
from support.consortium import joined

ROLES = {"bank": "bank", "tax": "holder", "power": "holder"}


def a_study(*names, **changes):
    members = [{"name": n, "role": ROLES.get(n, "holder")} for n in names or ROLES]
    content = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}, "institutions": members}
    return study_from({**content, "alignment": {"authority": "tax"}, **changes})


@pytest.fixture
def consortium(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "stores"))
    monkeypatch.setattr(deployment, "EVERY", 0.01)
    return joined(tmp_path / "c", ROLES)


def test_a_study_of_members_becomes_a_proposal(consortium):
    made = propose(a_study(), consortium.home, research_seed=4, days=2)
    assert Proposals(consortium.hub).find(made.id) == made
    assert (made.state, made.research_seed, made.digest) == ("open", 4, a_study().digest())


def test_a_study_with_somebody_who_is_not_in_the_roster_is_not_proposed(consortium):
    with pytest.raises(ConfigError, match="water is not in the roster"):
        propose(a_study("bank", "tax", "water"), consortium.home)
    assert Proposals(consortium.hub).all() == []


def test_a_study_that_gives_a_member_another_role_is_not_proposed(consortium):
    members = [
        {"name": "bank", "role": "bank"},
        {"name": "power", "role": "bureau"},
        {"name": "tax", "role": "holder"},
    ]
    with pytest.raises(ConfigError, match=r"calls power a bureau"):
        propose(a_study(institutions=members), consortium.home)


def test_without_a_hub_that_serves_nothing_is_proposed(consortium):
    with pytest.raises(NotServing, match="fedrisk hub serve"):
        run_deployed(a_study(), consortium.home)
    assert Proposals(consortium.hub).all() == []


def test_whoever_waits_hears_each_word_and_each_exchange(consortium):
    proposals, made = Proposals(consortium.hub), propose(a_study(), consortium.home)
    seen, exchanges = [], []

    def hub():
        wait_until(lambda: len(seen) == 1)
        proposals.answered(made.id, "bank", Answer(state="agreed", at=made.submitted))
        wait_until(lambda: len(seen) == 2)
        proposals.update(made.id, state="running")
        for number in (1, 2):
            Progress(consortium.hub, made.id).write(exchange=number, action="a", what="b")
            wait_until(lambda n=number: len(exchanges) == n)
        proposals.update(made.id, state="failed", code="budget")

    thread = threading.Thread(target=hub)
    thread.start()
    ended = follow(
        consortium.home,
        made,
        said=lambda p: seen.append(p.state),
        report=lambda *exchange: exchanges.append(exchange),
    )
    thread.join()
    assert ended.state == "failed"
    assert [*dict.fromkeys(seen)] == ["open", "running", "failed"]
    assert exchanges == [(1, "a", "b"), (2, "a", "b")]


def wait_until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_whoever_stops_waiting_stops_nothing(consortium):
    made = propose(a_study(), consortium.home)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(Stopped, match="goes on at the hub: fedrisk hub show"):
        follow(consortium.home, made, said=stop)
    assert Proposals(consortium.hub).find(made.id).state == "open"


def ended(consortium, **how):
    proposals, made = Proposals(consortium.hub), propose(a_study(), consortium.home)
    for name, (state, code) in how.pop("answers", {}).items():
        proposals.answered(made.id, name, Answer(state=state, code=code, at=made.submitted))
    return proposals.update(made.id, **how)


def test_how_a_proposal_ended_is_an_error_with_a_remedy(consortium):
    refused = ended(
        consortium, state="refused", answers={"tax": ("refused", "budget"), "bank": ("agreed", None)}
    )
    with pytest.raises(PeerError, match=r"refused by tax \(budget\); nothing was released"):
        results_of(consortium.home, refused)
    lapsed = ended(consortium, state="lapsed", answers={"tax": ("agreed", None)})
    assert "without the word of bank, power" in str(why(consortium.home, lapsed))
    assert "withdrawn" in str(why(consortium.home, ended(consortium, state="withdrawn")))


def test_a_run_that_failed_keeps_its_kind_its_words_and_who_was_charged(consortium):
    failed = ended(consortium, state="failed", code="budget", attempt="a" * 32)
    Progress(consortium.hub, failed.id).write(said="bank has no budget left", charged=["tax"])
    error = why(consortium.home, failed)
    assert type(error) is BudgetError
    assert "bank has no budget left" in str(error)
    assert "Charged, as far as the hub heard: tax" in str(error)
    unknown = why(consortium.home, ended(consortium, state="failed", code="killed"))
    assert isinstance(unknown, PeerError)
    assert "code killed" in str(unknown)
