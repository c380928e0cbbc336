"""``fedrisk hub scoring`` and ``node scoring``, and that ``serve`` starts and ends them."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.serving import SCORING, is_served, read, serving
from support.consortium import joined
from support.hub_process import free_port, hub_home, wait_for
from support.hub_process import serving as hub_serving
from support.scoring import scoring_consortium


@pytest.fixture
def made(fedrisk, tmp_path):
    return joined(tmp_path / "c", {"bank": "bank"}, address=f"127.0.0.1:{free_port()}")


def test_where_no_scores_are_relayed_it_is_said_what_to_set(fedrisk, made):
    code, _, err = fedrisk("hub", "scoring", made.home.path)
    assert code == 3
    assert "relays no scores; set scoring" in err
    code, _, err = fedrisk("node", "scoring", made.nodes["bank"].path)
    assert code == 3
    assert "knows no relay of scores; set scoring" in err


def test_a_folder_has_one_process_for_scores(fedrisk, made):
    for group, folder in (("hub", made.home.path), ("node", made.nodes["bank"].path)):
        with serving(folder, SCORING):
            code, _, err = fedrisk(group, "scoring", folder)
        assert code == 9
        assert "is served already by process" in err
        assert not is_served(folder)


def test_a_port_that_is_taken_is_named(fedrisk, tmp_path):
    own = scoring_consortium(tmp_path / "s", {"bank": "bank"})
    host, port = own.home.scoring_listen.split(":")
    with socket.create_server((host, int(port))):
        code, _, err = fedrisk("hub", "scoring", own.home.path)
    assert code == 3
    assert f"the port for scores {own.home.scoring_listen} cannot be opened" in err
    (own.home.path / "server.pem").write_bytes(b"damaged")
    code, _, err = fedrisk("hub", "scoring", own.home.path)
    assert code == 3
    assert "cannot be used" in err or "cannot be opened" in err


def test_the_kit_tells_a_node_its_relay_and_init_the_ports_of_a_bank(fedrisk, tmp_path):
    own = scoring_consortium(tmp_path / "s", {"bank": "bank"})
    from support.consortium import institution_file

    file = institution_file(tmp_path / "i", "tax", "holder")
    assert fedrisk("hub", "invite", own.home.path, "tax", "--role", "holder")[0] == 0
    kit = json.loads((tmp_path / "tax.kit.json").read_text())
    assert kit["scoring"] == own.home.scoring
    given = ("--service", 9485, "--service-grpc", 9486, "--yes")
    assert (
        fedrisk("node", "init", tmp_path / "n", tmp_path / "tax.kit.json", "--institution", file, *given)[0]
        == 0
    )
    text = (tmp_path / "n" / "node.toml").read_text()
    assert f'scoring = "{own.home.scoring}"' in text
    assert "service = 9485\nservice_grpc = 9486\n" in text


def test_a_kit_of_a_hub_without_scores_is_as_it_was(made):
    kit = made.kit("tax", "holder")
    assert "scoring" not in kit.to_dict()
    kit.verify()


def test_status_says_how_scores_are_served(fedrisk, tmp_path):
    own = scoring_consortium(tmp_path / "s", {"bank": "bank"})
    node = own.nodes["bank"].path
    assert f"at {own.home.scoring}: not running" in fedrisk("node", "status", node)[1]
    with serving(node, SCORING) as status:
        status.say(connected=False, reason="the relay is away")
        assert "the relay is away" in fedrisk("node", "status", node)[1]
        status.say(connected=True, reason=None)
        about = json.loads(fedrisk("node", "status", node, "--json")[1])
        assert about["scoring"] == {
            "relay": own.home.scoring,
            "running": True,
            "connected": True,
            "reason": None,
        }


@pytest.mark.slow
def test_serve_starts_the_relay_again_when_it_dies_and_ends_it(tmp_path):
    home = hub_home(tmp_path / "hub")
    address = f"127.0.0.1:{free_port()}"
    file = home.path / "hub.toml"
    file.write_text(file.read_text() + f'scoring = "{address}"\nscoring_listen = "{address}"\n')
    home = HubHome.load(home.path)
    with hub_serving(home):
        wait_for(lambda: is_served(home.path, SCORING) and answers(address), 60)
        first = read(home.path, SCORING)["pid"]
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: read(home.path, SCORING)["pid"] != first and answers(address), 60)
        second = read(home.path, SCORING)["pid"]
    assert not os.path.exists(f"/proc/{second}")
    assert not is_served(home.path, SCORING)


def answers(address):
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.slow
def test_a_node_that_serves_serves_scores_as_well_and_both_end(tmp_path, fedrisk_home):
    own = scoring_consortium(tmp_path / "s", {"tax": "holder"})
    node = own.nodes["tax"].path
    process = subprocess.Popen(
        [sys.executable, "-m", "fedrisk.cli", "node", "serve", str(node)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: "does not answer" in (read(node, SCORING).get("reason") or ""), 60)
        assert is_served(node) and is_served(node, SCORING)
    finally:
        process.terminate()
        process.wait(60)
    assert not is_served(node, SCORING)
