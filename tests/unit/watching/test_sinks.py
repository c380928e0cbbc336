"""Sinks: each alert at least once under one id, the webhook over TLS that is verified, nothing of it in an error."""

import base64
import contextlib
import hmac
import json
import os
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from fedrisk.errors import ConfigError
from fedrisk.watch_rules import WatchRules, Webhook
from fedrisk.watching.alerts import Alert
from fedrisk.watching.sinks import CommandSink, FileSink, WebhookSink, sinks_of
from support.webhook import receiving

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def alert(number):
    return Alert(
        id=f"{number:032x}",
        enterprise=f"Quetzal{number}",
        month="2026-05",
        rules=("fall",),
        model="0123456789abcdef",
        score=76540 + number,
        probability=0.1,
        reasons=("负债率", "external data"),
    )


ALERTS = [alert(k) for k in range(3)]


def give(sink, alerts=ALERTS, *, refused_too=False):
    took, refused = [], []
    reason = sink.give(
        alerts,
        bank="alfa",
        watch="demo",
        took=took.extend,
        refused=lambda alert, why: refused.append((alert.enterprise, why)),
    )
    assert "Quetzal" not in reason and "7654" not in reason
    if refused_too:
        return [a.enterprise[-1] for a in took], [id[-1] for id, _why in refused], reason
    assert not refused
    return len(took), reason


def webhook(folder, receiver, **how):
    (folder / "token").write_text("secret-token\n")
    (folder / "key").write_text(SECRET + "\n")
    said = {"url": receiver.url, "ca": str(receiver.ca), "token": "token", "key": "key", "seconds": 5, **how}
    made = WebhookSink.of(SimpleNamespace(folder=folder), Webhook(**said))
    return WebhookSink(**{**vars(made), "pauses": (0.01, 0.02)})


# --- the file -----------------------------------------------------------------------------------------------


def test_a_file_gets_a_line_for_each_alert_once(tmp_path):
    sink = FileSink(tmp_path / "alerts.jsonl")
    assert give(sink, ALERTS[:2]) == (2, "")
    assert give(sink) == (3, "")
    lines = [json.loads(line) for line in sink.path.read_text("utf-8").splitlines()]
    assert [line["enterprise"] for line in lines] == ["Quetzal0", "Quetzal1", "Quetzal2"]
    assert lines[0]["bank"] == "alfa" and lines[0]["watch"] == "demo" and lines[0]["format"] == 1
    assert lines[0]["reasons"] == ["负债率", "external data"]
    assert stat.S_IMODE(sink.path.stat().st_mode) == 0o600


def test_a_line_that_was_cut_off_does_not_spoil_the_next(tmp_path):
    sink = FileSink(tmp_path / "alerts.jsonl")
    give(sink, ALERTS[:2])
    whole = sink.path.read_bytes()
    sink.path.write_bytes(whole[:-20])
    give(sink)
    found = []
    for line in sink.path.read_bytes().splitlines():
        if line.endswith(b"}"):
            found.append(json.loads(line)["enterprise"])
    assert found == ["Quetzal0", "Quetzal1", "Quetzal2"]


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    count, reason = give(FileSink(tmp_path / "nowhere" / "alerts.jsonl"))
    assert count == 0
    assert "cannot be written: No such file" in reason


def test_a_link_or_a_pipe_is_no_file_for_alerts(tmp_path):
    target = tmp_path / "target"
    target.write_text("of others")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        count, reason = give(FileSink(tmp_path / name))
        assert count == 0
        assert "is a link or no plain file" in reason
    assert target.read_text() == "of others"


# --- the command --------------------------------------------------------------------------------------------


def test_a_command_gets_json_and_no_shell(tmp_path):
    code = "import json, sys; open('got', 'w').write(json.dumps([json.load(sys.stdin), sys.argv[1]]))"
    sink = CommandSink((sys.executable, "-c", code, "$HOME; *"), tmp_path, 30)
    assert give(sink) == (3, "")
    said, argument = json.loads((tmp_path / "got").read_text())
    assert [a["id"] for a in said["alerts"]] == [a.id for a in ALERTS]
    assert argument == "$HOME; *"


@pytest.mark.parametrize(
    ("command", "seconds", "said"),
    [
        ((sys.executable, "-c", "raise SystemExit(4)"), 30, "ended with 4"),
        ((sys.executable, "-c", "import time; time.sleep(9)"), 0.2, "did not end within 0.2 seconds"),
        (("./no-such-program",), 30, "cannot be started: No such file"),
    ],
)
def test_a_command_that_fails_takes_nothing(tmp_path, command, seconds, said, capfd):
    count, reason = give(CommandSink(command, tmp_path, seconds))
    assert count == 0
    assert said in reason
    assert "Quetzal" not in "".join(capfd.readouterr())


def test_what_a_command_started_ends_with_it(tmp_path):
    started = "import subprocess, sys, time; p = subprocess.Popen(['sleep', '60']); open('pid', 'w').write(str(p.pid));"
    sink = CommandSink((sys.executable, "-c", f"{started} sys.stdout.flush(); time.sleep(60)"), tmp_path, 1)
    assert "was ended" in give(sink)[1]
    state = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    # Gone, or dead and not yet collected by whoever adopted it.
    for _ in range(50):
        if not state.exists() or state.read_text().rsplit(") ", 1)[1][0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("what the command started runs on")


# --- the webhook --------------------------------------------------------------------------------------------


def test_a_webhook_posts_signed_alerts_over_tls(tmp_path):
    with receiving(tmp_path / "r") as receiver:
        assert give(webhook(tmp_path, receiver)) == (3, "")
    assert receiver.ids == [a.id for a in ALERTS]
    headers, body = receiver.heard[0]
    assert headers["authorization"] == "Bearer secret-token"
    assert json.loads(body)["enterprise"] == "Quetzal0"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.digest(b"k" * 32, signed, "sha256")
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_in_the_clear_on_this_machine_alone(tmp_path):
    with receiving(tmp_path / "r", tls=False) as receiver:
        assert give(webhook(tmp_path, receiver, ca=None)) == (3, "")
    for url in (
        "http://alerts.bank.example/x",
        "http://10.0.0.5/x",
        "ftp://a/x",
        "https://u:p@a/x",
        "https://a:99999/",
        "https://a/b c",
        "https://a/ü",
    ):
        with pytest.raises(ValidationError):
            Webhook(url=url)


def test_a_receiver_that_is_busy_is_tried_again(tmp_path):
    with receiving(tmp_path / "r", tls=False) as receiver:
        receiver.statuses = [503, 429, 204, 500]
        assert give(webhook(tmp_path, receiver, ca=None)) == (3, "")
        assert receiver.ids == [a.id for a in ALERTS]


def test_an_alert_that_a_receiver_refuses_holds_back_no_other(tmp_path):
    with receiving(tmp_path / "r", tls=False) as receiver:
        receiver.statuses = [422, 204, 400]
        took, refused, reason = give(webhook(tmp_path, receiver, ca=None), refused_too=True)
        assert (took, refused) == (["1"], ["0", "2"]) and "answered 400" in reason
        # Of address or credentials: it waits, as where the receiver is away, and the others go on.
        receiver.statuses = [404, 204, 401]
        took, refused, reason = give(webhook(tmp_path, receiver, ca=None), refused_too=True)
        assert (took, refused) == (["1"], []) and "answered 401; check watch.webhook" in reason
        receiver.statuses = [401] * 30
        assert give(webhook(tmp_path, receiver, ca=None), [alert(k) for k in range(30)])[0] == 0
        assert len(receiver.statuses) == 10


def test_a_receiver_that_answers_otherwise_is_asked_no_further(tmp_path):
    with receiving(tmp_path / "r", tls=False) as receiver:
        # Nobody is sent elsewhere: a redirection could lead out of the bank.
        receiver.statuses = [302]
        count, reason = give(webhook(tmp_path, receiver, ca=None))
        assert (count, "answered 302" in reason) == (0, True)
        receiver.statuses = [500] * 9
        count, reason = give(webhook(tmp_path, receiver, ca=None))
        assert (count, "answered 500" in reason) == (0, True)


def test_a_receiver_that_is_away_gets_nothing(tmp_path):
    with receiving(tmp_path / "r", tls=False) as receiver:
        sink = webhook(tmp_path, receiver, ca=None)
    count, reason = give(sink)
    assert count == 0
    assert "cannot be reached (ConnectionRefusedError)" in reason


def test_an_answer_that_comes_by_the_byte_is_cut_off(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def drip():
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
                        while not ended.wait(0.02):
                            connection.sendall(b"x")

        thread = threading.Thread(target=drip, daemon=True)
        server.settimeout(0.1)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        made = WebhookSink.of(SimpleNamespace(folder=tmp_path), Webhook(url=url, seconds=0.1))
        began = time.monotonic()
        count, reason = give(WebhookSink(**{**vars(made), "pauses": (0.01, 0.01)}))
        ended.set()
        thread.join()
    assert count == 0
    assert "cannot be reached" in reason
    assert time.monotonic() - began < 3


def test_a_certificate_of_another_authority_or_name_gets_nothing(tmp_path):
    with receiving(tmp_path / "r") as receiver, receiving(tmp_path / "other", at="127.0.0.2") as other:
        for sink in (
            webhook(tmp_path, receiver, ca=None),
            webhook(tmp_path, receiver, ca=str(other.ca)),
            webhook(tmp_path, other),
        ):
            count, reason = give(sink)
            assert count == 0
            assert "certificate that does not hold" in reason
        assert receiver.heard == other.heard == []


def test_files_that_a_webhook_needs_are_looked_at_before(tmp_path):
    for key, content, said in (
        ("token", "", "holds not one line"),
        ("token", "a\nb", "holds not one line"),
        ("token", "pässword", "more than plain letters"),
        ("key", "short", "could be guessed"),
        ("key", "whsec_§", "no base64"),
        ("ca", "no certificate", "cannot be read as certificates"),
    ):
        (tmp_path / "file").write_text(content, "utf-8")
        with pytest.raises(ConfigError, match=said):
            WebhookSink.of(SimpleNamespace(folder=tmp_path), Webhook(url="https://a/", **{key: "file"}))
    with pytest.raises(ConfigError, match=r"watch\.webhook\.token: .*gone cannot be read"):
        WebhookSink.of(SimpleNamespace(folder=tmp_path), Webhook(url="https://a/", token="gone"))


def test_sinks_follow_from_the_file(tmp_path):
    institution = SimpleNamespace(folder=tmp_path)
    rules = WatchRules(file="a.jsonl", webhook={"url": "https://a/"}, command=("x",))
    assert [s.name for s in sinks_of(institution, rules)] == ["file", "webhook", "command"]
    assert sinks_of(institution, WatchRules()) == []
