"""Which protocol the hub takes from answers to describe, and which refusals it says by name."""

import pytest

from fedrisk.protocol import versions
from fedrisk.protocol.payload import Payload, refused
from fedrisk.protocol.versions import Spoken
from fedrisk.server.spoken import checked_answer, common_protocol, refused_late, version_error


@pytest.fixture(autouse=True)
def _third(monkeypatch):
    """A hub that speaks protocols 3 and 2."""
    monkeypatch.setattr(versions, "PROTOCOL", 3)
    monkeypatch.setattr(versions, "SUPPORTED", frozenset({2, 3}))


def spoken(*protocols):
    return Spoken(protocols=protocols, fedrisk="9.9", study_format=1).to_dict()


def agrees(name, *protocols):
    return Payload({"name": name, "member": True, **spoken(*protocols)})


def refuses(*protocols):
    return Payload({"refused": "version", **spoken(*protocols)})


MEMBERS = ("bank", "tax")


def test_the_highest_common_protocol_of_those_that_speak_with_this_hub():
    assert common_protocol({"bank": agrees("bank", 2, 3), "tax": agrees("tax", 2, 3)}) == 3
    assert common_protocol({"bank": agrees("bank", 2, 3), "tax": refuses(1, 2)}) == 2
    # One that speaks none of them is left out, or the study fails by it.
    assert common_protocol({"bank": agrees("bank", 2, 3), "tax": refuses(1)}) == 3
    assert common_protocol({"bank": agrees("bank", 3, 4), "tax": refuses(1, 2)}) is None
    # What a stranger speaks, or one that refuses for another reason, says nothing.
    stranger = Payload({"name": "other", "member": False, **spoken(2)})
    assert common_protocol({"1": stranger, "2": Payload({"refused": "budget", **spoken(2)})}) == 3


def test_a_refusal_is_said_by_name_where_the_member_has_to_be_there():
    replies = {"bank": agrees("bank", 2, 3), "tax": refuses(1)}
    found = version_error(replies, MEMBERS, {"tax"}, 1)
    assert str(found).startswith("tax (fedrisk 9.9) speaks protocol 1 only")
    assert str(found).endswith("Nothing was charged")
    assert version_error(replies, MEMBERS, set(), 1) is None
    assert version_error({"tax": refused("budget")}, MEMBERS, {"tax"}, 1) is None


def test_a_node_that_has_no_name_is_one_of_those_that_are_missing():
    found = version_error({"17": agrees("bank", 2, 3), "18": refuses(1)}, MEMBERS, {"tax"}, 1)
    assert str(found).startswith("tax runs") or str(found).startswith("tax (fedrisk 9.9) speaks")


def test_members_that_speak_with_the_hub_and_not_with_each_other():
    replies = {"bank": agrees("bank", 3, 4), "tax": refuses(1, 2)}
    assert "the members speak no common protocol" in str(version_error(replies, MEMBERS, {"tax"}, 1))


def test_an_answer_counts_in_the_protocol_in_which_was_asked():
    def came(body, protocol):
        return Payload(body, protocol=protocol)

    fine = came({"name": "tax"}, 3)
    assert checked_answer(fine, 3) is fine
    assert checked_answer(came({"name": "tax"}, 2), 3).refusal == "version"
    later = came({"refused": "version", **spoken(4)}, 4)
    assert checked_answer(later, 3) is later
    # A node from before protocols had numbers does not understand the message, and calls it malformed.
    assert checked_answer(came({"refused": "protocol"}, 0), 3).body == {"refused": "version"}


def test_a_late_refusal_is_said_by_name():
    assert refused_late({"bank": Payload(), "tax": refused("budget")}) == ""
    assert refused_late({"bank": Payload(), "tax": refuses(2, 3)}).startswith(
        "tax (fedrisk 9.9) does not know"
    )
