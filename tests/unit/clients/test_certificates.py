"""The certificate of a node for scores: how it comes with the roster, and what is not kept."""

from datetime import UTC, datetime, timedelta

import pytest

from fedrisk.clients.certificates import held, take
from fedrisk.clients.joining import rotate
from fedrisk.clients.roster import accept, told
from fedrisk.deploy import pki
from fedrisk.deploy.keys import new_node_key, node_public
from fedrisk.errors import EnvelopeError
from fedrisk.protocol.payload import Payload
from fedrisk.server.certificates import certificate_of
from fedrisk.server.membership import admit_rotation
from support.consortium import joined


@pytest.fixture
def pilot(tmp_path):
    return joined(tmp_path, {"bank": "bank", "tax": "holder"})


def said(pilot, name, **more):
    """What a node answers about its certificate, where it is told the roster."""
    node = pilot.node(name)
    with node.store.one_at_a_time():
        return told(node, Payload({"roster": pilot.roster.to_dict(), **more})).body["certificate"]


def public(pilot, name):
    return node_public(pilot.nodes[name].key.read_bytes())


def test_a_certificate_comes_with_the_roster_and_is_kept(pilot):
    assert said(pilot, "tax") == {"key": public(pilot, "tax"), "until": None}
    pem = certificate_of(pilot.home, "tax", public(pilot, "tax"))
    found = said(pilot, "tax", certificate=pem)
    assert pilot.nodes["tax"].certificate.read_text() == pem
    ends = datetime.fromisoformat(found["until"]) - datetime.now(UTC)
    assert ends == pytest.approx(timedelta(days=90), abs=timedelta(minutes=1))


@pytest.mark.parametrize("whose", ["name", "key", "authority", "rubbish"])
def test_another_certificate_is_refused_and_the_one_before_stays(pilot, whose):
    pem = certificate_of(pilot.home, "tax", public(pilot, "tax"))
    said(pilot, "tax", certificate=pem)
    other = pki.new_authority("pilot")
    wrong = {
        "name": lambda: certificate_of(pilot.home, "bank", public(pilot, "tax")),
        "key": lambda: certificate_of(pilot.home, "tax", node_public(new_node_key())),
        "authority": lambda: pki.new_client(*other, "tax", public(pilot, "tax")).decode(),
        "rubbish": lambda: "-----BEGIN",
    }[whose]()
    with pytest.raises(EnvelopeError, match="nothing was kept"):
        said(pilot, "tax", certificate=wrong)
    assert pilot.nodes["tax"].certificate.read_text() == pem


def test_a_node_whose_key_changes_needs_another(pilot):
    take(pilot.node("tax"), pilot.nodes["tax"], certificate_of(pilot.home, "tax", public(pilot, "tax")))
    before = public(pilot, "tax")
    rotation = rotate(pilot.nodes["tax"], pilot.node("tax"), pilot.roster.member("tax"))
    admit_rotation(pilot.home, rotation, pilot.register)
    pilot.tell("tax")
    assert held(pilot.node("tax"), pilot.nodes["tax"])["until"] is not None, "until its people accept"
    accept(pilot.node("tax"), pilot.rosters("tax"))
    found = held(pilot.node("tax"), pilot.nodes["tax"])
    assert found == {"key": rotation.flower, "until": None}
    assert rotation.flower != before
    take(pilot.node("tax"), pilot.nodes["tax"], certificate_of(pilot.home, "tax", rotation.flower))
    assert held(pilot.node("tax"), pilot.nodes["tax"])["until"] is not None
