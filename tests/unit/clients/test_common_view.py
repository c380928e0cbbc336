"""A member's side of the common view: nothing is answered that the others do not confirm.

A hub of the test's own asks three institutions, or four with a key authority of its own, for actions of the test's own.
"""

from typing import Any

import numpy as np
import pytest

from fedrisk.clients import common_view
from fedrisk.clients.attempt import Peers, View
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import Begun
from fedrisk.errors import ProtocolError
from fedrisk.protocol.actions import Action
from fedrisk.protocol.common_view import Part, confirmation, first_digest, next_digest, with_parts
from fedrisk.protocol.form import BlobForm, Body, Form
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import study_from
from fedrisk.secure.identity import EphemeralKey

ATTEMPT, OTHER = "0123456789abcdef", "fedcba9876543210"
DIFFERENT = "does not confirm that it was told the same"


class Said(Body):
    text: str


PART = Form(body=Said, blobs={"numbers": BlobForm(dtype="float64")})
FIRST = Action(name="first", serve=lambda node, request: Payload(), tells={"one": PART})
NEXT = Action(name="next", serve=lambda node, request: Payload(), tells={"two": PART, "three": PART})
PLAIN = Action(name="plain", serve=lambda node, request: Payload())
OUTSIDE = Action(name="outside", serve=lambda node, request: Payload(), in_attempt=False)


def part(number: int, name: str, text: str = "x", **blobs: Any) -> Part:
    return Part(number, name, Payload({"text": text}, blobs))


class Members:
    """Institutions that know one another's keys in an attempt, and a hub that relays codes as a test wants."""

    def __init__(self, consortium, names, attempt=ATTEMPT):
        self.attempt = attempt
        self.nodes = {name: Node.open(consortium.paths[name]) for name in ("bank", "tax", "power")}
        if "office" in names:
            path = consortium.paths["tax"].with_name("office.toml")
            path.write_text('name = "office"\nkind = "authority"\n')
            self.nodes["office"] = Node.open(path)
        roles = {"bank": "bank", "office": "authority"}
        self.study = study_from(
            {
                "name": "s",
                "purpose": "credit_scoring",
                "privacy": {"epsilon": 1.0},
                "alignment": {"authority": "office"} if "office" in names else {},
                "institutions": [{"name": n, "role": roles.get(n, "holder")} for n in self.nodes],
            }
        )
        keys = {}
        for name, node in self.nodes.items():
            state = node.store.begin(
                attempt, Begun(study=self.study.model_dump(mode="json"), research_seed=None)
            )
            own, signed = EphemeralKey.generate(node.store.identity, name, self.study.digest(), attempt)
            state.put_secret("ephemeral", own.to_bytes())
            keys[name] = signed.to_dict()
        for name in self.nodes:
            self.state(name).save(Peers(keys=keys, hub=next(iter(keys.values()))))
        self.said: dict[str, dict[str, Any]] = {}

    def state(self, name):
        return self.nodes[name].store.attempt(self.attempt)

    def of(self, name):
        return self.nodes[name].attempt(Payload({"attempt": self.attempt}))

    def codes(self, name):
        """The others' latest codes for a member."""
        return {
            sender: {"number": said["number"], "code": said["codes"][name]}
            for sender, said in self.said.items()
            if sender != name and name in said["codes"]
        }

    def request(self, name, parts=(), codes=None):
        request = Payload({"attempt": self.attempt})
        return with_parts(request, list(parts), self.codes(name) if codes is None else codes)

    def send(self, name, action, request):
        """One message to one member: its answer without the codes, which the hub keeps."""
        node = self.nodes[name]
        own = common_view.take(node, request, action)
        answer = common_view.confirmed(node, request, action, action.serve(node, own))
        if "confirm" in answer.body:
            self.said[name] = answer.get("confirm")
        return own

    def all(self, action, *parts, names=None, changed=None):
        """An exchange with all members; ``changed``: parts for the bank in place of ``parts``."""
        requests = {n: self.request(n, parts) for n in names or self.nodes}
        if changed is not None:
            requests["bank"] = self.request("bank", changed)
        return {name: self.send(name, action, request) for name, request in requests.items()}

    def secret(self, one, other):
        return self.of(one).pair_secrets(other)[other]


@pytest.fixture
def members(consortium):
    return Members(consortium, ("bank", "tax", "power"))


@pytest.fixture
def with_office(consortium):
    return Members(consortium, ("bank", "tax", "power", "office"))


def view(members, name="bank"):
    return members.state(name).find(View) or View()


# --- what all are told alike --------------------------------------------------------------------------------


def test_members_that_were_told_the_same_go_on(members):
    numbers = np.arange(3.0)
    members.all(FIRST, part(1, "one"))
    asked = members.all(NEXT, part(2, "two", numbers=numbers))
    members.all(PLAIN)
    for name in members.nodes:
        seen = view(members, name)
        assert (seen.digests, seen.names) == (view(members).digests, ("one", "two"))
        assert seen.confirmed == {other: 2 for other in members.nodes if other != name}
        assert members.of(name).told("two").array("numbers").tolist() == [0, 1, 2]
        assert asked[name] == Payload({"attempt": ATTEMPT})  # what belongs to the view is taken out


def test_the_view_is_the_digest_of_what_was_told(members):
    start = first_digest(members.study.digest(), ATTEMPT)
    assert members.of("tax").view == start
    members.all(FIRST, part(1, "one"))
    assert members.of("tax").view == next_digest(start, part(1, "one"))
    assert len({members.of(n).view for n in members.nodes}) == 1


@pytest.mark.parametrize("changed", [part(1, "one", "y"), part(1, "one", numbers=np.ones(1))])
def test_a_part_that_is_another_for_one_member_stops_all_members(members, changed):
    members.all(FIRST, part(1, "one"), changed=[changed])
    for name in members.nodes:
        with pytest.raises(ProtocolError, match=DIFFERENT):
            members.send(name, PLAIN, members.request(name))


def test_a_member_that_was_told_less_stops_all_others(members):
    members.all(FIRST, part(1, "one"))
    members.all(NEXT, part(2, "two"), changed=[])
    for name in ("tax", "power"):
        with pytest.raises(ProtocolError, match=f"bank {DIFFERENT}"):
            members.send(name, PLAIN, members.request(name))


def test_parts_that_change_places_are_another_view(members):
    members.all(FIRST, part(1, "one"))
    members.all(NEXT, part(2, "two"), part(3, "three"), changed=[part(2, "three"), part(3, "two")])
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("tax", PLAIN, members.request("tax"))


def test_two_parts_may_come_with_one_message(members):
    members.all(FIRST, part(1, "one"))
    members.all(NEXT, part(2, "two"), part(3, "three"))
    members.all(PLAIN)
    assert view(members).confirmed == {"tax": 3, "power": 3}


# --- codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["tax", "power"])
def test_a_code_that_is_missing_stops_the_answer(members, missing):
    members.all(FIRST, part(1, "one"))
    codes = members.codes("bank")
    del codes[missing]
    with pytest.raises(ProtocolError, match=f"{missing} {DIFFERENT}"):
        members.send("bank", PLAIN, members.request("bank", codes=codes))
    members.send("bank", PLAIN, members.request("bank"))


def test_without_any_code_nothing_is_answered(members):
    members.all(FIRST, part(1, "one"))
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", PLAIN, members.request("bank", codes={}))


def test_new_parts_do_not_help_where_earlier_ones_are_not_confirmed(members):
    members.all(FIRST, part(1, "one"))
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", NEXT, members.request("bank", [part(2, "two")], codes={}))
    assert view(members).names == ("one",)
    assert members.state("bank").message("told_two") is None


def test_a_wrong_code_is_refused(members):
    members.all(FIRST, part(1, "one"))
    codes = members.codes("bank")
    code = codes["tax"]["code"]
    codes["tax"]["code"] = code[:-1] + ("0" if code[-1] != "0" else "1")
    with pytest.raises(ProtocolError, match=f"tax {DIFFERENT}"):
        members.send("bank", PLAIN, members.request("bank", codes=codes))


def test_a_code_of_another_member_or_for_another_one_is_refused(members):
    members.all(FIRST, part(1, "one"))
    good = members.codes("bank")
    for stolen in (good["power"], members.codes("power")["tax"], members.codes("tax")["bank"]):
        with pytest.raises(ProtocolError, match=f"tax {DIFFERENT}"):
            members.send("bank", PLAIN, members.request("bank", codes={**good, "tax": stolen}))


def test_a_member_own_code_does_not_come_back_as_the_others(members):
    """A code says who speaks and who listens: what the bank told the tax office is no word of the tax office."""
    members.all(FIRST, part(1, "one"))
    reflected = members.codes("tax")["bank"]
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send(
            "bank", PLAIN, members.request("bank", codes={**members.codes("bank"), "tax": reflected})
        )


def test_a_code_of_another_attempt_is_refused(members, consortium):
    """Keys are of one attempt; even under the same key the digest begins with the attempt."""
    other = Members(consortium, ("bank", "tax", "power"), OTHER)
    for hub in (members, other):
        hub.all(FIRST, part(1, "one"))
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", PLAIN, members.request("bank", codes=other.codes("bank")))
    digest = next_digest(first_digest(members.study.digest(), OTHER), part(1, "one"))
    code = confirmation(members.secret("tax", "bank"), sender="tax", receiver="bank", number=1, digest=digest)
    codes = {**members.codes("bank"), "tax": {"number": 1, "code": code}}
    with pytest.raises(ProtocolError, match=f"tax {DIFFERENT}"):
        members.send("bank", PLAIN, members.request("bank", codes=codes))


def test_a_code_for_one_number_is_none_for_another(members):
    members.all(FIRST, part(1, "one"))
    old = members.codes("bank")
    members.all(NEXT, part(2, "two"))
    replayed = {name: {**code, "number": 2} for name, code in old.items()}
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", PLAIN, members.request("bank", codes=replayed))
    # Under its own number it says what it said before, which is not enough.
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", PLAIN, members.request("bank", codes=old))
    members.send("bank", PLAIN, members.request("bank"))


def test_a_confirmation_is_remembered_and_an_older_one_does_not_undo_it(members):
    members.all(FIRST, part(1, "one"))
    old = members.codes("bank")
    members.all(NEXT, part(2, "two"))
    members.send("bank", PLAIN, members.request("bank"))
    members.send("bank", PLAIN, members.request("bank", codes={}))
    members.send("bank", PLAIN, members.request("bank", codes=old))
    assert view(members).confirmed == {"tax": 2, "power": 2}


@pytest.mark.parametrize(
    "codes",
    [
        {"stranger": {"number": 1, "code": "0" * 64}},
        {"bank": {"number": 1, "code": "0" * 64}},  # its own
        {"tax": {"number": 2, "code": "0" * 64}},  # of a part that was never told
        {"tax": {"number": 0, "code": "0" * 64}},
        {"tax": {"number": 1}},
        {"tax": "0" * 64},
    ],
)
def test_codes_that_cannot_be_are_refused(members, codes):
    members.all(FIRST, part(1, "one"))
    request = members.request("bank")
    request = Payload({**request.body, "confirmed": {**request.body["confirmed"], **codes}})
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", PLAIN, request)


def test_the_hub_cannot_make_a_code_from_what_it_sees(members):
    """All that travels is public but the pair's secret: with any other key the code is another."""
    members.all(FIRST, part(1, "one"))
    code = confirmation(bytes(32), sender="tax", receiver="bank", number=1, digest=members.of("bank").view)
    codes = {**members.codes("bank"), "tax": {"number": 1, "code": code}}
    with pytest.raises(ProtocolError, match=f"tax {DIFFERENT}"):
        members.send("bank", PLAIN, members.request("bank", codes=codes))


# --- parts --------------------------------------------------------------------------------------------------


def test_a_part_told_twice_with_other_content_is_refused(members):
    members.all(FIRST, part(1, "one"))
    with pytest.raises(ProtocolError, match="told part one before, with other content"):
        members.send("bank", FIRST, members.request("bank", [part(1, "one", "y")]))
    assert members.of("bank").told("one").get("text") == "x"


def test_a_message_tells_a_part_once(members):
    one = part(1, "one")
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", FIRST, members.request("bank", [one, one]))
    assert view(members) == View()


def test_a_name_told_under_a_second_number_is_refused(members):
    members.all(FIRST, part(1, "one"))
    members.all(NEXT, part(2, "two"))
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", NEXT, members.request("bank", [part(3, "two", "y")]))
    assert members.of("bank").told("two").get("text") == "x"


@pytest.mark.parametrize("number", [0, -1, 3, 64])
def test_numbers_are_told_one_after_the_other(members, number):
    members.all(FIRST, part(1, "one"))
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", NEXT, members.request("bank", [part(number, "two")]))


def test_a_part_comes_with_its_action_alone(members):
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", PLAIN, members.request("bank", [part(1, "one")]))
    with pytest.raises(ProtocolError, match="malformed"):
        members.send("bank", FIRST, members.request("bank", [part(1, "two")]))
    assert view(members) == View()


@pytest.mark.parametrize(
    "content",
    [
        Payload({"text": 1}),
        Payload({"text": "x", "more": 1}),
        Payload({"text": "x"}, {"other": b""}),
        Payload({"text": "x"}, {"numbers": np.array([np.nan])}),
        Payload(),
    ],
)
def test_the_form_of_a_part_is_checked_before_it_is_kept(members, content):
    with pytest.raises(ProtocolError, match="part one"):
        members.send("bank", FIRST, members.request("bank", [Part(1, "one", content)]))
    assert view(members) == View()
    assert members.state("bank").message("told_one") is None


def test_the_form_of_the_request_is_checked(members):
    request = members.request("bank", [part(1, "one")])
    with pytest.raises(ProtocolError, match="request first: .* does not know field more"):
        members.send("bank", FIRST, Payload({**request.body, "more": 1}, request.blobs))
    with pytest.raises(ProtocolError, match="request first: .* does not know an array"):
        members.send("bank", FIRST, Payload(request.body, {**request.blobs, "more": b""}))


def test_an_action_outside_of_attempts_brings_no_view(members):
    assert common_view.take(members.nodes["bank"], members.request("bank"), OUTSIDE)
    with pytest.raises(ProtocolError, match="malformed"):
        common_view.take(members.nodes["bank"], members.request("bank", [part(1, "one")]), OUTSIDE)
    codes = {"tax": {"number": 1, "code": "0" * 64}}
    with pytest.raises(ProtocolError, match="malformed"):
        common_view.take(members.nodes["bank"], members.request("bank", codes=codes), OUTSIDE)


# --- repeated messages --------------------------------------------------------------------------------------


def test_the_same_message_again_goes_on(members):
    """Whether before the others have confirmed what it told, or after."""
    members.all(FIRST, part(1, "one"))
    requests = {n: members.request(n, [part(2, "two")]) for n in members.nodes}
    for _ in range(2):
        for name, request in requests.items():
            members.send(name, NEXT, request)
    kept = view(members)
    members.all(PLAIN)
    members.send("bank", NEXT, requests["bank"])
    assert (view(members).digests, view(members).names) == (kept.digests, kept.names)


def test_other_requests_with_the_same_part_do_not_go_on_before_it_is_confirmed(members):
    """Or the hub would ask for all releases with a part that nobody ever confirms."""
    members.all(FIRST, part(1, "one"))
    request = members.request("bank", [part(2, "two")])
    members.send("bank", NEXT, request)
    another = Action(name="another", serve=NEXT.serve, tells=NEXT.tells)
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", another, request)
    with pytest.raises(ProtocolError, match=DIFFERENT):
        members.send("bank", NEXT, members.request("bank"))


def test_the_first_message_again_goes_on(members):
    request = members.request("bank", [part(1, "one")])
    for _ in range(2):
        members.send("bank", FIRST, request)
    assert view(members).names == ("one",)


def test_after_the_end_what_was_asked_before_may_come_again_and_nothing_new(members):
    """The keys are gone, so no code can be checked: what a handler has on the disk it may give again."""
    members.all(FIRST, part(1, "one"))
    requests = [members.request("bank", [part(2, "two")]), members.request("bank")]
    members.send("bank", NEXT, requests[0])
    members.state("bank").forget_secrets()
    for request in requests:
        assert members.send("bank", NEXT, request) == Payload({"attempt": ATTEMPT})
    with pytest.raises(ProtocolError, match="an attempt that is over"):
        members.send("bank", NEXT, members.request("bank", [part(3, "three")]))
    with pytest.raises(ProtocolError, match="told part two before, with other content"):
        members.send("bank", NEXT, members.request("bank", [part(2, "two", "y")]))
    assert view(members).names == ("one", "two")


# --- answers ------------------------------------------------------------------------------------------------


def test_before_anything_was_told_an_answer_brings_no_codes(members):
    own = members.send("bank", PLAIN, members.request("bank"))
    assert common_view.confirmed(members.nodes["bank"], own, PLAIN, Payload({"x": 1})) == Payload({"x": 1})


def test_an_answer_keeps_what_it_says(members):
    members.all(FIRST, part(1, "one"))
    node, request = members.nodes["bank"], Payload({"attempt": ATTEMPT})
    answer = common_view.confirmed(node, request, PLAIN, Payload({"x": 1}, {"y": b"z"}))
    assert answer.get("x") == 1 and answer.raw("y") == b"z"
    assert answer.get("confirm")["number"] == 1 and set(answer.get("confirm")["codes"]) == {"tax", "power"}


def test_an_attempt_that_is_over_or_unknown_confirms_nothing(members):
    members.all(FIRST, part(1, "one"))
    node, answer = members.nodes["bank"], Payload({"x": 1})
    assert common_view.confirmed(node, Payload({"attempt": OTHER}), PLAIN, answer) == answer
    assert common_view.confirmed(node, Payload(), PLAIN, answer) == answer
    members.state("bank").forget_secrets()
    assert common_view.confirmed(node, Payload({"attempt": ATTEMPT}), PLAIN, answer) == answer


# --- an institution that is the key authority alone ---------------------------------------------------------


def test_an_authority_is_told_the_first_part_alone(with_office):
    members, others = with_office, ("bank", "tax", "power")
    members.all(FIRST, part(1, "one"))
    members.all(PLAIN)
    assert view(members, "office").confirmed == {"bank": 1, "tax": 1, "power": 1}
    members.all(NEXT, part(2, "two"), names=others)
    assert "office" not in members.said["bank"]["codes"]
    members.all(PLAIN, names=others)
    assert view(members).confirmed == {"tax": 2, "power": 2, "office": 1}


def test_an_authority_that_was_told_other_members_stops_all(with_office):
    members = with_office
    for name in members.nodes:
        text = "y" if name == "office" else "x"
        members.send(name, FIRST, members.request(name, [part(1, "one", text)], codes={}))
    for name in members.nodes:
        with pytest.raises(ProtocolError, match=DIFFERENT):
            members.send(name, PLAIN, members.request(name))
    without = {n: c for n, c in members.codes("bank").items() if n != "office"}
    with pytest.raises(ProtocolError, match=f"office {DIFFERENT}"):
        members.send("bank", PLAIN, members.request("bank", codes=without))


def test_what_was_told_with_a_message_that_failed_is_never_confirmed(members):
    """A charge may go with such a message: no other message, and no replay, gives a code for it."""
    members.all(FIRST, part(1, "one"))
    node = members.nodes["bank"]
    # Taken, and never answered: the handler refused, or the process died.
    common_view.take(node, members.request("bank", [part(2, "two")]), NEXT)
    assert len(view(members).digests) == 2
    for name in ("tax", "power"):
        members.send(name, NEXT, members.request(name, [part(2, "two")]))
    members.said.pop("bank")
    members.send("bank", PLAIN, members.request("bank"))
    assert members.said["bank"]["number"] == 1
    with pytest.raises(ProtocolError, match="bank does not confirm"):
        members.send("tax", PLAIN, members.request("tax"))
    # The very message again, answered this time.
    members.send("bank", NEXT, members.request("bank", [part(2, "two")]))
