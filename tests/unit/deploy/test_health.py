"""Alive, ready, and figures that follow from what is logged; never an institution's budget at the hub."""

import http.client
import logging
import multiprocessing
import socket
import stat
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fedrisk.deploy import logs
from fedrisk.deploy.health import Health, expiry, forward, served
from fedrisk.errors import ConfigError

LOG = logging.getLogger("fedrisk")


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def figures(health):
    pairs = [line.rsplit(" ", 1) for line in health.metrics().decode().splitlines() if line[0] != "#"]
    return {name: float(value) for name, value in pairs if "_created" not in name}


@pytest.fixture
def logged(tmp_path):
    logs.start(tmp_path / "log", "hub")
    yield
    logs.stop()


def test_alive_and_ready_are_told_apart():
    health = Health("node", patience=0.2)
    with served(health, 0) as port:
        assert get(port, "/live") == (200, "live\n")
        assert get(port, "/ready") == (503, "starting\n")
        health.state(True)
        assert get(port, "/ready") == (200, "ready\n")
        health.state(False, "hub away")
        assert get(port, "/ready") == (503, "hub away\n")
        time.sleep(0.3)
        assert get(port, "/live") == (503, "stuck\n")
        health.beat()
        assert get(port, "/live")[0] == 200
        assert get(port, "/")[0] == get(port, "/metrics?x")[0] == 404
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("POST", "/metrics", b"x")
        assert connection.getresponse().status == 501
        connection.close()
    with pytest.raises(ConnectionRefusedError):
        get(port, "/live")


def test_only_this_machine_is_served():
    health = Health("node")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no other address than loopback")
        other = s.getsockname()[0]
    with served(health, 0) as port, socket.socket() as s:
        s.settimeout(2)
        assert s.connect_ex((other, port)) != 0


def test_a_port_that_is_taken_is_named():
    with served(Health("node"), 0) as port, pytest.raises(ConfigError, match=f"health = {port}: .* in use"):  # noqa: SIM117
        with served(Health("node"), port):
            pass
    with served(Health("node"), None) as nothing:
        assert nothing is None


def test_a_socket_is_its_owners_alone(tmp_path):
    path = tmp_path / "h"
    with served(Health("hub"), path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(b"GET /live HTTP/1.0\r\n\r\n")
            assert s.recv(99).startswith(b"HTTP/1.0 200")
    assert not path.exists()


def test_figures_follow_from_the_log(logged):
    health = Health("hub")
    health.follow()
    before = time.time()
    LOG.info(
        "an exchange is complete",
        extra={"event": "exchange", "action": "blind", "seconds": 0.3, "bytes": 100},
    )
    LOG.info("an answer came", extra={"event": "received", "bytes": 7})
    LOG.info(
        "served", extra={"event": "served", "action": "blind", "seconds": 3.0, "bytes": 5, "code": "budget"}
    )
    health.close()
    LOG.info("later", extra={"event": "received", "bytes": 7})
    found = figures(health)
    assert found['fedrisk_exchange_seconds_count{action="blind"}'] == 2
    assert found['fedrisk_exchange_seconds_sum{action="blind"}'] == pytest.approx(3.3)
    assert found['fedrisk_exchange_seconds_bucket{action="blind",le="0.5"}'] == 1
    assert found['fedrisk_bytes_total{direction="sent"}'] == 105
    assert found['fedrisk_bytes_total{direction="received"}'] == 7
    assert found['fedrisk_refusals_total{code="budget"}'] == 1
    assert before <= found["fedrisk_last_message_timestamp"] <= time.time()


def child(inbox):
    logs.start(inbox.with_name("child.jsonl"), "study")
    forward(inbox)
    LOG.info("an exchange is complete", extra={"event": "exchange", "action": "mask", "seconds": 0.1})


def test_a_child_process_is_counted_too(logged, tmp_path):
    health, inbox = Health("hub"), tmp_path / "health.sock"
    health.follow(inbox)
    assert stat.S_IMODE(inbox.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"rubbish", str(inbox))
        s.sendto(b"[]", str(inbox))
    process = multiprocessing.get_context("fork").Process(target=child, args=(inbox,))
    process.start()
    process.join()
    for _ in range(100):
        if 'fedrisk_exchange_seconds_count{action="mask"}' in figures(health):
            break
        time.sleep(0.02)
    health.close()
    assert figures(health)['fedrisk_exchange_seconds_count{action="mask"}'] == 1
    assert not inbox.exists()


def test_words_that_others_choose_become_no_figures_of_their_own():
    health = Health("hub")
    for k in range(300):
        health.refusal("x" * (k % 35 + 1) + "abcdefghij"[k % 10])
        health.refusal(f'4711" canary {k}')
    found = [name for name in figures(health) if name.startswith("fedrisk_refusals_total")]
    assert len(found) <= 201 and not any("4711" in name for name in found)
    assert figures(health)['fedrisk_refusals_total{code="other"}'] >= 300


def test_a_budget_is_shown_at_the_node_alone():
    node, hub = Health("node"), Health("hub")
    node.epsilon_left(2.5)
    assert figures(node)["fedrisk_epsilon_left"] == 2.5
    assert b"epsilon" not in hub.metrics()
    with pytest.raises(ValueError, match="no institution's budget"):
        hub.epsilon_left(2.5)
    with pytest.raises(ValueError):
        node.nodes({"a": True})


def test_who_is_connected_and_who_left_the_roster():
    hub = Health("hub")
    hub.nodes({"city_bank": True, "tax": False})
    assert figures(hub)['fedrisk_node_online{name="city_bank"}'] == 1
    assert figures(hub)['fedrisk_node_online{name="tax"}'] == 0
    hub.nodes({"tax": True})
    assert "city_bank" not in hub.metrics().decode()


def certificate(days):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(9)).not_valid_after(now + timedelta(days))
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_the_first_certificate_to_expire_is_told(tmp_path):
    one, two = tmp_path / "ca.pem", tmp_path / "server.pem"
    one.write_bytes(certificate(3) + certificate(400))
    two.write_bytes(certificate(30))
    assert expiry([one, two]) == pytest.approx(30 * 86400, abs=60)
    health = Health("node", certificates=[one, two])
    two.write_bytes(certificate(-1))  # renewed, or worse, while the process runs
    assert figures(health)["fedrisk_certificate_expiry_seconds"] == pytest.approx(-86400, abs=60)
    assert expiry([tmp_path / "none.pem"]) != expiry([tmp_path / "none.pem"])  # nan


def test_questions_about_scores_are_counted_by_code_and_time(tmp_path):
    hub, node = Health("hub"), Health("node")
    for health in (hub, node):
        health.count({"event": "question", "peer": "bank", "seconds": 0.03, "code": ""})
        health.count({"event": "question", "peer": "bank", "seconds": 6.0, "code": "late"})
        health.count({"event": "question", "seconds": "x"})
    for said in (hub.metrics().decode(), node.metrics().decode()):
        assert 'fedrisk_questions_total{code="ok"} 1.0' in said
        assert 'fedrisk_questions_total{code="late"} 1.0' in said
        assert 'fedrisk_question_seconds_bucket{le="0.03"} 1.0' in said
        assert 'fedrisk_refusals_total{code="late"}' not in said


def test_who_attends_at_the_relay_is_shown_at_the_hub_alone():
    hub, node = Health("hub"), Health("node")
    for health in (hub, node):
        health.count({"event": "attends", "peer": "tax"})
        health.count({"event": "attends", "peer": "power"})
        health.count({"event": "left", "peer": "power"})
        health.count({"event": "attends", "peer": "a name\nwith a line"})
    assert 'fedrisk_scoring_online{name="tax"} 1.0' in hub.metrics().decode()
    assert 'fedrisk_scoring_online{name="power"} 0.0' in hub.metrics().decode()
    assert "fedrisk_scoring_online" not in node.metrics().decode()
    hub.count({"event": "scoring_begins"})
    assert "fedrisk_scoring_online{" not in hub.metrics().decode()
