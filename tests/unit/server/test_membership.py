"""The operator's acts: what a hub's folder holds, and which requests it takes."""

import json
import ssl
import stat
import tempfile
from pathlib import Path

import pytest

from fedrisk.clients.joining import join
from fedrisk.deploy.keys import new_node_key
from fedrisk.deploy.kit import Request
from fedrisk.deploy.pki import certificates, days_left
from fedrisk.deploy.roster import Roster
from fedrisk.errors import ConfigError, EnvelopeError, PolicyError
from fedrisk.secure.identity import IdentityKey
from fedrisk.server.certificates import renew_server
from fedrisk.server.membership import admit, check_request, expel, invite, make_hub
from support.consortium import institution_file, joined, make_joined_hub


@pytest.fixture
def hub(tmp_path):
    return make_joined_hub(tmp_path)


def fits(key, certificate):
    """Whether OpenSSL takes a private key for a certificate's."""
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.pem"
        both.write_bytes(key + certificate)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(both)
    return True


def answer(kit, identity=None, flower=None):
    """A request from another machine."""
    return Request.of(
        kit, identity or IdentityKey.generate(), flower or new_node_key(), protocols=(1,), version="0.1.0"
    )


def test_a_hubs_folder_is_whole_and_private(hub):
    found = {one.name: stat.S_IMODE(one.stat().st_mode) for one in hub.home.path.iterdir()}
    assert found.keys() == {
        *("hub.toml", "identity.key", "ca.key", "ca.pem", "server.key", "server.pem"),
        *("roster", "invitations", "VERSION"),
    }
    assert all(mode & 0o077 == 0 for mode in found.values())
    assert fits((hub.home.path / "server.key").read_bytes(), (hub.home.path / "server.pem").read_bytes())
    assert json.loads((hub.home.path / "VERSION").read_text())["layout"] == 1
    roster = hub.roster
    assert (roster.epoch, roster.members, roster.previous) == (1, (), "")
    with pytest.raises(ConfigError, match="already"):
        make_hub(hub.home.path, {"name": "x", "address": "h:1"})


def test_a_hub_that_could_not_be_made_can_be_made_again(tmp_path, monkeypatch):
    from fedrisk.deploy import pki

    monkeypatch.setattr(pki, "new_authority", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make_joined_hub(tmp_path)
    monkeypatch.undo()
    make_joined_hub(tmp_path)


def test_the_hub_keeps_no_token_and_a_kit_verifies(hub):
    kit = hub.kit("bank", "bank", display_name="城市银行")
    kit.verify()
    text = (hub.home.path / "invitations" / "bank.json").read_text()
    assert kit.token not in text
    assert kit.authorities == tuple(hub.roster.authorities)


@pytest.mark.parametrize(
    ("name", "role", "why"),
    [
        ("Bank", "bank", "name"),
        ("../bank", "bank", "name"),
        ("", "bank", "name"),
        ("bank", "king", "role"),
        ("hub", "bank", "no institution may be called hub"),
    ],
)
def test_names_and_roles_that_are_none_are_refused(hub, name, role, why):
    with pytest.raises(ConfigError, match=why):
        invite(hub.home, name, role)
    assert not list((hub.home.path / "invitations").iterdir())


def test_an_invitation_is_made_once_and_renewed_on_purpose(hub):
    first = hub.kit("bank", "bank")
    with pytest.raises(ConfigError, match="--renew"):
        hub.kit("bank", "bank")
    second = hub.kit("bank", "bank", renew=True)
    with pytest.raises(EnvelopeError, match="answers no invitation"):
        check_request(hub.home, answer(first))
    check_request(hub.home, answer(second))


def test_a_request_is_taken_once(hub):
    request = answer(hub.kit("bank", "bank"))
    roster = admit(hub.home, request, hub.register)
    assert (roster.epoch, [one.name for one in roster.members]) == (2, ["bank"])
    assert hub.registered == [("bank", request.flower)]
    assert hub.hub.pins == {"bank": bytes.fromhex(request.identity)}
    with pytest.raises(ConfigError, match="admitted with this key in epoch 2 already"):
        admit(hub.home, request, hub.register)
    expel(hub.home, "bank", hub.unregister, reason="left")
    with pytest.raises(EnvelopeError, match="answers no invitation"):
        admit(hub.home, request, hub.register)
    assert Roster.latest(hub.home).epoch == 3


def test_a_request_by_nobody_with_another_token_or_of_another_hub_is_refused(hub, tmp_path):
    kit = hub.kit("bank", "bank")
    other = make_joined_hub(tmp_path / "other", name="another").kit("bank", "bank")
    with pytest.raises(EnvelopeError, match="another hub or consortium"):
        check_request(hub.home, answer(other))
    with pytest.raises(EnvelopeError, match="answers no invitation"):
        check_request(hub.home, answer(kit.model_copy(update={"token": "00" * 16})))
    with pytest.raises(EnvelopeError, match="answers no invitation"):
        check_request(hub.home, answer(kit.model_copy(update={"name": "tax"})))
    for change in ({"role": "authority"}, {"display_name": "X"}, {"invitation": "0" * 12}):
        with pytest.raises(EnvelopeError, match="another role or display name"):
            check_request(hub.home, answer(kit.model_copy(update=change)))
    assert hub.registered == []
    assert hub.roster.epoch == 1


def test_an_expired_invitation_is_refused(hub):
    kit = hub.kit("bank", "bank", days=-1)
    with pytest.raises(PolicyError, match="expired"):
        check_request(hub.home, answer(kit))


def test_keys_and_names_of_others_are_not_taken(hub):
    bank, node = IdentityKey.generate(), new_node_key()
    admit(hub.home, answer(hub.kit("bank", "bank"), bank, node), hub.register)
    for identity, flower in ((bank, None), (None, node)):
        request = answer(hub.kit("tax", "holder", renew=True), identity, flower)
        with pytest.raises(ConfigError, match="a key of tax is that of bank"):
            check_request(hub.home, request)
    with pytest.raises(ConfigError, match="is a member"):
        hub.kit("bank", "bank", renew=True)
    with pytest.raises(ConfigError, match="read alike"):
        hub.kit("tax", "holder", display_name="Bank", renew=True)
    expel(hub.home, "bank", hub.unregister, reason="left")
    request = answer(hub.kit("tax", "holder", renew=True), bank, None)
    with pytest.raises(ConfigError, match="a key of tax is that of bank"):
        check_request(hub.home, request)


def test_what_flower_refuses_changes_nothing(hub):
    def down(*_):
        raise ConfigError("the SuperLink is not there")

    request = answer(hub.kit("bank", "bank"))
    with pytest.raises(ConfigError, match="not there"):
        admit(hub.home, request, down)
    assert (hub.roster.epoch, hub.hub.pins) == (1, {})
    admit(hub.home, request, hub.register)


def test_an_expelled_institution_may_come_back_under_its_name(hub):
    bank = IdentityKey.generate()
    admit(hub.home, answer(hub.kit("bank", "bank"), bank), hub.register)
    expel(hub.home, "bank", hub.unregister, reason="left")
    roster = admit(hub.home, answer(hub.kit("bank", "bank"), bank), hub.register)
    assert roster.member("bank").since == 4
    assert [one.name for one in roster.expelled] == ["bank"]


def test_an_expulsion_needs_a_member_and_a_reason(hub):
    with pytest.raises(ConfigError, match="members: nobody"):
        expel(hub.home, "bank", hub.unregister, reason="x")
    with pytest.raises(ConfigError, match="needs a reason"):
        expel(hub.home, "bank", hub.unregister, reason=" ")


def test_acts_are_kept(tmp_path):
    pilot = joined(tmp_path, {"bank": "bank"}, accepted=False)
    expel(pilot.home, "bank", pilot.unregister, reason="contract ended")
    acts = [json.loads(line) for line in (pilot.home.path / "acts.jsonl").read_text().splitlines()]
    assert [(act["act"], act["name"]) for act in acts] == [
        ("invite", "bank"),
        ("admit", "bank"),
        ("expel", "bank"),
    ]
    assert acts[1]["words"] == pilot.requests["bank"].words
    assert acts[2]["reason"] == "contract ended"
    assert "contract ended" not in pilot.roster.to_bytes().decode(), "the reason stays at the hub"


def test_a_servers_certificate_is_renewed_with_a_new_key(hub):
    before = (hub.home.path / "server.pem").read_bytes()
    renew_server(hub.home, days=100)
    after = (hub.home.path / "server.pem").read_bytes()
    assert certificates(before)[0].serial_number != certificates(after)[0].serial_number
    assert fits((hub.home.path / "server.key").read_bytes(), after)
    assert 99 < days_left(after) <= 100


def test_a_request_from_a_real_folder_is_admitted(hub, tmp_path):
    _, request = join(
        hub.kit("tax", "bureau"), institution_file(tmp_path, "tax", "bureau"), tmp_path / "node"
    )
    assert admit(hub.home, request, hub.register).member("tax").role == "bureau"
