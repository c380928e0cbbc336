"""A member takes what is known beforehand only where it is what the study states, and what it saw itself."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fedrisk.analysis.past_studies import past_study
from fedrisk.clients.store.past_store import PastStore
from fedrisk.errors import ProtocolError
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.knowledge_file import digest_of, to_bytes
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard.remembering import stated
from fedrisk.recipes.scorecard.told_knowledge import KNOWLEDGE, check_known, known_of
from support.past_runs import bare, later

PAST = replace(past_study(bare(), "2026-01-31T00:00:00Z"), study="january")
"""Of city, town, tax, power and court."""


def attempt(tmp_path, known=None, *, told=None, name="tax", research=False, members=None):
    """A member's attempt at a study that states ``known``; told: what the hub tells, by default the same."""
    study = later(memory="auto")
    if known is not None:
        settings = {**study.settings, "known": stated(known).model_dump(mode="json")}
        study = study.model_copy(update={"settings": settings})
    if members is not None:
        content = study.model_dump(mode="json")
        content["institutions"] = members
        study = type(study).model_validate(content)
    told = known if told is None else told
    part = None if not told else Payload({}, {"file": np.frombuffer(to_bytes(told), np.uint8)})
    return SimpleNamespace(
        name=name,
        study=study,
        research=research,
        was_told=lambda what: part is not None,
        told=lambda what: part,
        node=SimpleNamespace(store=SimpleNamespace(past=PastStore(tmp_path / "past"))),
    )


def test_what_is_stated_and_told_is_taken(tmp_path):
    known = Knowledge(memory=(PAST,))
    there = attempt(tmp_path, known)
    there.node.store.past.keep(replace(PAST, digest="", ended=""), bare().study)
    assert digest_of(known_of(there)) == digest_of(known)
    plan = check_known(there)(there.study, ())
    assert plan.price == check_known(attempt(tmp_path))(there.study, ()).price


def test_nothing_stated_nothing_told(tmp_path):
    assert not known_of(attempt(tmp_path))
    assert not known_of(attempt(tmp_path, Knowledge()))
    with pytest.raises(ProtocolError, match="states none"):
        known_of(attempt(tmp_path, told=Knowledge(memory=(PAST,))))
    with pytest.raises(ProtocolError, match="tells none"):
        known_of(attempt(tmp_path, Knowledge(memory=(PAST,)), told=Knowledge()))


def test_other_content_is_refused(tmp_path):
    other = replace(PAST, digest="0" * 64)
    with pytest.raises(ProtocolError, match="not what the study states"):
        known_of(attempt(tmp_path, Knowledge(memory=(PAST,)), told=Knowledge(memory=(other,))))


def test_rubbish_is_refused(tmp_path):
    there = attempt(tmp_path, Knowledge(memory=(PAST,)))
    there.told = lambda what: Payload({}, {"file": np.zeros(10, np.uint8)})
    with pytest.raises(ProtocolError, match="not of the form"):
        known_of(there)
    with pytest.raises(ProtocolError):
        KNOWLEDGE.check(Payload({}, {"file": np.zeros(10, np.float64)}), "part knowledge")


def test_a_member_of_an_earlier_study_holds_it_against_its_own_account(tmp_path):
    there = attempt(tmp_path, Knowledge(memory=(PAST,)))
    with pytest.raises(ProtocolError, match="keeps nothing of it"):
        check_known(there)
    counts = replace(PAST.counts, variance=PAST.counts.variance / 2)
    there.node.store.past.keep(replace(PAST, counts=counts), bare().study)
    with pytest.raises(ProtocolError, match="saw released then"):
        check_known(there)


def test_a_research_run_enters_no_private_study_whatever_the_hub_calls_it(tmp_path):
    known = Knowledge(memory=(replace(PAST, research=True),))
    with pytest.raises(ProtocolError, match="research run"):
        check_known(attempt(tmp_path, known))
    called_private = attempt(tmp_path, Knowledge(memory=(PAST,)))
    called_private.node.store.past.keep(known.memory[0], bare().study)
    with pytest.raises(ProtocolError, match="saw released then"):
        check_known(called_private)
    same = attempt(tmp_path, known, research=True)
    check_known(same)


def test_whoever_joined_later_takes_the_word_of_those_who_were_there_and_of_nobody_else(tmp_path):
    new, known = {"name": "new", "role": "bank"}, Knowledge(memory=(PAST,))
    check_known(attempt(tmp_path, known, name="new", members=[*bare().study["institutions"], new]))
    some = [new, {"name": "tax", "role": "holder"}]
    with pytest.raises(ProtocolError, match="never told"):
        check_known(attempt(tmp_path, known, name="new", members=some))
    strangers = [new, {"name": "other", "role": "holder"}]
    with pytest.raises(ProtocolError, match="nobody of this study"):
        check_known(attempt(tmp_path, known, name="new", members=strangers))


@pytest.mark.parametrize(
    ("before", "why"),
    [
        ({"purpose": "marketing"}, "another purpose"),
        ({"holdout": {"percent": 20}}, "trained on enterprises"),
        ({"recipe": 7}, "another version"),
    ],
)
def test_a_member_goes_by_the_study_that_it_kept(tmp_path, before, why):
    there = attempt(tmp_path, Knowledge(memory=(PAST,)))
    there.node.store.past.keep(PAST, {**bare().study, **before})
    with pytest.raises(ProtocolError, match=why):
        check_known(there)
