"""Processes that die, keys that are foreign or used twice, and a hub that would run its own code at the nodes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sim_institutions.processes import free_ports
from support.deployed import Deployed, settings

pytestmark = pytest.mark.study
SEED = 3


def same_card_and_one_charge(consortium: Deployed, run, one) -> None:
    assert (run / "scorecard.json").read_text() == one.card.to_json() + "\n"
    attempt = run.name
    for name in consortium.joined.nodes:
        entries = consortium.joined.node(name).ledger.entries()
        spends = [e.spend for e in entries if e.spend.attempt == attempt and not e.cancelled]
        # A release is charged once, however often it was asked for.
        assert len({s.release for s in spends}) == len(spends), name


def work_of(consortium: Deployed) -> int:
    (found,) = [pid for pid, words in consortium.children("hub") if " hub work " in words]
    return found


@pytest.mark.long
def test_a_killed_node_and_killed_work_of_the_hub_cost_nothing(start, on_one_machine):
    one = on_one_machine()
    consortium: Deployed = start()
    consortium.serve()
    proposal = consortium.submit(research_seed=SEED)
    consortium.approve(proposal)
    # A node dies in the middle as if it lost its power, and is started again as a supervisor would.
    consortium.wait_for_action(proposal, "pseudonyms", 300)
    consortium.kill("tax")
    consortium.serve("tax")
    # The hub's work dies with the study that it runs; the part that serves starts it again.
    consortium.wait_for_action(proposal, "mask", 300)
    os.kill(work_of(consortium), signal.SIGKILL)
    same_card_and_one_charge(consortium, consortium.finished(proposal), one)
    events = [line["event"] for line in consortium.logs("hub")]
    assert "work" in events
    assert set(consortium.stop().values()) == {0}


@pytest.mark.long
@pytest.mark.parametrize("action", ["describe", "evaluate", "edges", "release", "score", "deliver"])
@pytest.mark.parametrize("who", ["bank", "tax", "work", "hub"])
def test_whoever_dies_in_whatever_exchange_the_card_is_the_same(start, on_one_machine, action, who):
    one = on_one_machine()
    consortium: Deployed = start()
    consortium.serve()
    proposal = consortium.submit(research_seed=SEED)
    consortium.approve(proposal)
    consortium.wait_for_action(proposal, action, 300)
    if who == "work":
        os.kill(work_of(consortium), signal.SIGKILL)
    else:
        below = [pid for pid, _ in consortium.children(who)]
        consortium.kill(who)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        consortium.serve(who)
    same_card_and_one_charge(consortium, consortium.finished(proposal), one)
    assert set(consortium.stop().values()) == {0}


BUNDLE = """
import io, json, sys, time, zipfile
from pathlib import Path
from fedrisk.engine import superlink_nodes, superlink_runs
from fedrisk.protocol.payload import Payload, from_record, request

folder, mark = Path(sys.argv[1]), sys.argv[2]
project = superlink_runs._STUB
writer = f"open({mark!r}, 'w').write('the code of the hub ran here')"
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("pyproject.toml", project)
    for module in ("client", "fedrisk/clients/app", "fedrisk/__init__", "sitecustomize"):
        archive.writestr(f"{module}.py", writer)
superlink_runs.stub = buffer.getvalue
run = superlink_runs.start_run(folder, "bundle")
with superlink_runs.task_grid(folder, superlink_runs.take_task(folder, run)) as grid:
    nodes = [n.number for n in superlink_nodes.nodes(folder) if n.online]
    asked = list(grid.push_messages([request(Payload({"attempt": "none"}), "mask", n, ttl=300) for n in nodes]))
    got = {}
    while waiting := [m for m in asked if m not in got]:
        for m in grid.pull_messages(waiting):
            said = from_record(m.content).refusal if m.has_content() else str(m.error)
            got[m.metadata.reply_to_message_id] = said
        time.sleep(0.1)
print(json.dumps(sorted(got.values())))
"""


@pytest.mark.long
def test_foreign_keys_second_nodes_and_bundles(start, tmp_path):
    consortium: Deployed = start()
    consortium.serve()
    machine, node = consortium.machines["power"], consortium.joined.nodes["power"]

    # A second node with a copy of the folder: told what it is, and the first one goes on.
    consortium.serving["power"].stop()
    consortium.serve("power")
    copy = tmp_path / "copy"
    shutil.copytree(node.path, copy, ignore=shutil.ignore_patterns("serving.lock"))
    settings(copy / "node.toml", health=free_ports(1)[0])
    second = machine.run("node", "serve", copy, codes=range(80))
    assert second.code in (3, 7), second.err
    assert str(node.path) in second.err or "another process serves this node's key" in second.err

    # A key that nobody admitted.
    consortium.serving["power"].stop()
    own = node.key.read_bytes()
    key = ec.generate_private_key(ec.SECP384R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    node.key.write_bytes(key.private_bytes(*form))
    foreign = machine.run("node", "serve", node.path, codes=(7,))
    assert "does not take this node's key" in foreign.err and "Send the hub's operator" in foreign.err
    node.key.write_bytes(own)
    consortium.serve("power")

    # A hub that ships a bundle which would write a file: nodes answer with their installed code and never fetch it.
    mark = tmp_path / "written"
    done = subprocess.run(
        [sys.executable, "-c", BUNDLE, str(consortium.home), str(mark)],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["protocol"] * 3
    assert not mark.exists()
    found = [f for name in consortium.machines for f in consortium.machines[name].folder.rglob("*.py")]
    assert found == []
