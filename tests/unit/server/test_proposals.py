"""Proposals as the hub keeps them."""

import json
import math
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context

import pytest

from fedrisk.errors import ConfigError, StoreError
from fedrisk.recipes import study_from
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Answer, Proposals

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def a_study(**changes):
    members = [
        {"name": "bank", "role": "bank"},
        {"name": "tax", "role": "holder"},
        {"name": "power", "role": "holder", "optional": True},
    ]
    return study_from(
        {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}, "institutions": members, **changes}
    )


@pytest.fixture
def proposals(tmp_path):
    return Proposals(Hub(tmp_path))


def said(state, at=NOW, code=None):
    return Answer(state=state, code=code, at=at.isoformat())


def test_a_proposal_is_kept_whole(proposals):
    made = proposals.submit(a_study(), research_seed=3, again=True, days=2, now=NOW)
    assert Proposals(Hub(proposals.path.parent)).find(made.id[:4]) == made
    assert (made.state, made.deadline, made.digest) == ("open", "2026-03-04T09:00:00Z", a_study().digest())
    assert made.whole == a_study()
    assert made.past(NOW + timedelta(days=2))
    assert not made.past(NOW + timedelta(days=1.99))
    assert (proposals.path / f"{made.id}.json").stat().st_mode & 0o077 == 0


def test_a_study_without_privacy_keeps_its_infinity(proposals):
    made = proposals.submit(a_study(privacy={"epsilon": math.inf}), research_seed=1)
    again = Proposals(Hub(proposals.path.parent)).find(made.id)
    assert again.whole.privacy.epsilon == math.inf
    assert again.whole.digest() == made.digest


def test_members_by_their_last_word(proposals):
    made = proposals.submit(a_study(), now=NOW, days=2)
    assert made.members("waiting") == ("bank", "tax", "power")
    proposals.answered(made.id, "tax", said("agreed"))
    found = proposals.answered(made.id, "bank", said("refused", code="budget"))
    assert (found.members("agreed"), found.members("refused")) == (("tax",), ("bank",))
    assert found.absent == ("power",)
    assert found.undecided(NOW) == ("power",)
    assert found.undecided(NOW + timedelta(days=3)) == ()


def test_one_study_is_proposed_once_at_a_time(proposals):
    made = proposals.submit(a_study())
    with pytest.raises(ConfigError, match=made.id):
        proposals.submit(a_study())
    proposals.submit(a_study(), research_seed=1)
    proposals.submit(a_study(name="t"))
    proposals.withdraw(made.id)
    proposals.submit(a_study())


@pytest.mark.parametrize("days", [0, -1, 61, math.nan, math.inf])
def test_days_out_of_range(proposals, days):
    with pytest.raises(ConfigError, match="days"):
        proposals.submit(a_study(), days=days)


def test_what_is_over_stays_over(proposals):
    made = proposals.submit(a_study())
    proposals.update(made.id, state="running", attempt="a" * 32)
    with pytest.raises(ConfigError, match="running"):
        proposals.withdraw(made.id)
    proposals.update(made.id, state="failed", code="peer")
    proposals.update(made.id, state="ready")
    proposals.update(made.id, state="finished")
    for state in ("open", "ready", "withdrawn"):
        with pytest.raises(ConfigError, match="for good"):
            proposals.update(made.id, state=state)
    assert proposals.update(made.id, attempt="b" * 32).attempt == "b" * 32


def test_no_word_counts_once_it_is_no_longer_open(proposals):
    made = proposals.submit(a_study())
    proposals.update(made.id, state="ready")
    assert proposals.answered(made.id, "tax", said("refused")).answers == {}


def test_what_another_process_wrote_is_seen(proposals):
    made = proposals.submit(a_study())
    other = Proposals(Hub(proposals.path.parent))
    assert other.find(made.id).state == "open"
    proposals.withdraw(made.id)
    assert other.find(made.id).state == "withdrawn"
    assert other.open() == []


def _answer(path, id, name):
    Proposals(Hub(path)).answered(id, name, said("agreed"))


def test_processes_lose_no_word_of_each_other(proposals):
    made = proposals.submit(a_study())
    names = ("bank", "tax", "power")
    context = get_context("spawn")
    running = [context.Process(target=_answer, args=(proposals.path.parent, made.id, name)) for name in names]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert proposals.find(made.id).members("agreed") == names


def test_a_damaged_file_is_named(proposals):
    made = proposals.submit(a_study())
    (proposals.path / f"{made.id}.json").write_text(json.dumps({"id": made.id}))
    with pytest.raises(StoreError, match=made.id):
        proposals.all()


def test_an_id_that_fits_none_or_several(proposals):
    with pytest.raises(ConfigError, match="no proposal"):
        proposals.find("abcd")
    assert not proposals.path.exists()


def test_what_a_member_is_told_has_no_price(proposals):
    told = proposals.submit(a_study()).to_node()
    assert set(told) == {"id", "study", "digest", "research_seed", "deadline", "over"}


def test_a_study_that_would_remember_more_by_now_is_the_same_proposal(proposals):
    study = a_study(scorecard={"memory": "auto"})
    looked_up = study.model_copy(
        update={"settings": {**study.settings, "known": {"digest": None, "memory": []}}}
    )
    proposals.submit(looked_up, now=NOW)
    with pytest.raises(ConfigError, match="proposed already"):
        proposals.submit(study, now=NOW)
