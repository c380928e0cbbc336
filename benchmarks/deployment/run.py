"""A consortium in real processes: seconds an exchange and a study take, and the memory of hub and nodes.

A hub and three nodes (default_credit in three parts) on loopback, over TLS, with keys made on the spot. The study is run
twice: the second time pseudonyms are kept. Then one message of 320 MB goes to a node, and an answer of that size comes back.
Prints a table, writes results.json next to this file, and exits with status 1 if a claim does not hold. Needs
FEDRISK_DATA and a quiet machine.

    FEDRISK_DATA=... python benchmarks/deployment/run.py [--rows N] [--megabytes N] [--out FILE]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sim_institutions.consortium import Consortium, Screen, accept_all, built, quiet
from sim_institutions.processes import wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
STUDY = ROOT / "configs" / "default_credit_three.toml"
ROLES = {"card3_bank": "bank", "card3_bureau": "holder", "card3_registry": "holder"}
SMALL = 1 << 20
"""Bytes up to which the messages of an exchange count as small."""

CLAIMS = {
    "small_exchange_s": 2.0,
    "study_s": 40.0,
    "node_rest_mb": 240.0,
    "node_after_mb": 400.0,
    "hub_rest_mb": 300.0,
    "envelope_times": 2.5,
}


def memory(pid: int, key: str = "VmRSS") -> float:
    """Megabytes of a process: resident now, or at most so far ("VmHWM")."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


def forget_peak(pid: int) -> None:
    """Begin the peak of a process anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def below(pid: int) -> list[int]:
    """A process and all that it started."""
    found, parents = [pid], {pid}
    while parents:
        children = set()
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            if parent in parents and entry.name.isdecimal():
                children.add(int(entry.name))
        found += children
        parents = children
    return found


def hub_memory(consortium: Consortium) -> float:
    """Megabytes of the hub's processes together; what they share is counted for each."""
    return sum(memory(pid) for pid in below(consortium.serving["operator"].process.pid))


def data_of(folder: Path, rows: int | None) -> str:
    """FEDRISK_DATA, or a folder with its first rows."""
    data = Path(os.environ["FEDRISK_DATA"])
    if rows is None:
        return str(data)
    lines = (
        (data / "default_credit" / "uci_credit_card.csv")
        .read_text(encoding="utf-8")
        .splitlines(keepends=True)
    )
    (folder / "default_credit").mkdir(parents=True)
    (folder / "default_credit" / "uci_credit_card.csv").write_text(
        "".join(lines[: rows + 1]), encoding="utf-8"
    )
    return str(folder)


def study_once(consortium: Consortium, study: Path, name: str) -> dict[str, Any]:
    """Propose, approve everywhere, wait; seconds from the last approval to the end, and what the run said."""
    out = consortium.hub.run(
        "hub", "submit", "hub", study, "--research-seed=1", *(["--again"] if name != "first" else [])
    ).out
    proposal = out.split()[1]
    for name_of, member in consortium.members.items():
        kept = member.folder / "home" / "institutions" / name_of / "proposals" / f"{proposal}.json"
        wait_until("a proposal", kept.exists, seconds=300)
        member.run("node", "approve", "node", proposal)
    began = time.monotonic()
    state: dict[str, Any] = {}

    def over() -> bool:
        found = json.loads((consortium.hub.folder / "hub" / "proposals" / f"{proposal}.json").read_text())
        state.update(found)
        return found["state"] not in ("open", "ready", "running")

    wait_until("the study's end", over, consortium.serving["operator"], 3600)
    seconds = time.monotonic() - began
    assert state["state"] == "finished", state
    run = consortium.hub.folder / "hub" / "runs" / state["attempt"]
    found = json.loads((run / "metrics.json").read_text())
    return {
        "name": name,
        "waited_s": seconds,
        "study_s": found["seconds"],
        **exchanges(consortium, state["attempt"]),
    }


def exchanges(consortium: Consortium, attempt: str) -> dict[str, Any]:
    """Seconds of the exchanges of an attempt, from the hub's log; small ones are those with little to carry."""
    lines = [
        json.loads(line) for line in (consortium.hub.folder / "hub" / "hub.jsonl").read_text().splitlines()
    ]
    mine = [line for line in lines if line.get("attempt") == attempt]
    came: dict[str, int] = {}
    for line in mine:
        if line["event"] == "received":
            came[line["action"]] = max(came.get(line["action"], 0), line.get("bytes", 0))
    all_of = [
        (e["action"], e["seconds"], max(e.get("bytes", 0), came.get(e["action"], 0)))
        for e in mine
        if e["event"] == "exchange"
    ]
    small = [seconds for _, seconds, size in all_of if size <= SMALL]
    return {"exchanges": all_of, "small_exchange_s": statistics.median(small) if small else None}


# --- one message of 320 MB: a node that takes and gives bytes, and a process that asks it ---


def large_node(folder: Path, address: str) -> None:
    """Serve as the node of ``folder``, with an app that answers as many megabytes as it is asked for."""
    import signal
    import threading

    from fedrisk.clients import resident
    from fedrisk.engine import fleet
    from fedrisk.protocol.payload import Payload, from_record, reply

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def app(message: Any, context: Any) -> Any:
        give = int(from_record(message.content).body["give"])
        return reply(Payload({}, {"x": os.urandom(give << 20)} if give else {}), message)

    where = fleet.Fleet(hub=address, ca=folder / "ca.pem", key=folder / "flower.key", claim=folder / "claim")
    with fleet.connect(where, stop=stop) as link:
        resident.serve(link, app, resident.context_of(folder), stop=stop)


def large_ask(hub: Path, name: str, megabytes: int) -> None:
    """Send a node so many megabytes, and then ask for as many; prints seconds and this process's peak."""
    from fedrisk.engine import superlink_nodes, superlink_runs
    from fedrisk.protocol.payload import Payload, request

    run = superlink_runs.start_run(hub, "large")
    with superlink_runs.task_grid(hub, superlink_runs.take_task(hub, run)) as grid:
        (number,) = [n.number for n in superlink_nodes.nodes(hub) if n.name == name and n.online]

        def ask(what: str, payload: Payload) -> None:
            forget_peak(os.getpid())
            began = time.monotonic()
            (sent,) = grid.push_messages([request(payload, "describe", number, ttl=1800)])
            del payload
            while not (found := list(grid.pull_messages([sent]))):
                time.sleep(0.1)
            assert found[0].has_content(), found[0].error
            print(
                json.dumps(
                    {
                        "what": what,
                        "seconds": time.monotonic() - began,
                        "peak_mb": memory(os.getpid(), "VmHWM"),
                    }
                ),
                flush=True,
            )
            sys.stdin.readline()

        ask("to the node", Payload({"give": 0}, {"x": os.urandom(megabytes << 20)}))
        ask("to the hub", Payload({"give": megabytes}))


def is_online(consortium: Consortium, name: str) -> bool:
    """Whether the hub sees a node."""
    nodes = json.loads(quiet(consortium.hub, "hub", "show", "hub", "--json"))
    return any(n["name"] == name and n["online"] for n in nodes or ())


def large(consortium: Consortium, megabytes: int) -> list[dict[str, Any]]:
    """Peaks of hub, node and the process that asks, for one message there and one back, over what they had before."""
    name = "card3_registry"
    member = consortium.members[name]
    consortium.serving[name].stop()
    hub, node = consortium.hub.folder / "hub", member.folder / "node"
    environment, here = member.environment, [sys.executable, str(Path(__file__).resolve())]
    address = f"127.0.0.1:{consortium.ports['public']}"
    serving = subprocess.Popen([*here, "--as-node", str(node), address], env=environment)
    rows = []
    try:
        wait_until("the node", lambda: is_online(consortium, name), seconds=300)
        hub_pid = consortium.serving["operator"].process.pid
        for pid in (hub_pid, serving.pid):
            forget_peak(pid)
        before = {"hub": memory(hub_pid), "node": memory(serving.pid)}
        asking = subprocess.Popen(
            [*here, "--as-asker", str(hub), name, str(megabytes)],
            env=consortium.hub.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert asking.stdout is not None and asking.stdin is not None
        for line in asking.stdout:
            row = json.loads(line)
            row |= {"hub_peak_mb": memory(hub_pid, "VmHWM"), "node_peak_mb": memory(serving.pid, "VmHWM")}
            row |= {"hub_before_mb": before["hub"], "node_before_mb": before["node"]}
            grown = [row["hub_peak_mb"] - before["hub"], row["node_peak_mb"] - before["node"]]
            row["times"] = max(grown) / megabytes
            rows.append(row)
            for pid in (hub_pid, serving.pid):
                forget_peak(pid)
            asking.stdin.write("\n")
            asking.stdin.flush()
        assert asking.wait(60) == 0
    finally:
        serving.terminate()
        serving.wait(60)
    return rows


def measure(folder: Path, rows: int | None, megabytes: int) -> dict[str, Any]:
    """All figures."""
    data = data_of(folder / "data", rows)
    files = {name: ROOT / "configs" / "institutions" / f"{name}.toml" for name in ROLES}
    with built(folder / "c", files, Screen(quiet=True)) as consortium:
        for machine in consortium.machines.values():
            machine.variables = {"FEDRISK_DATA": data}
        consortium.make_hub()
        consortium.serve_hub()
        for name, role in ROLES.items():
            consortium.join(name, role)
        accept_all(consortium)
        time.sleep(5)
        rest = {name: memory(consortium.serving[name].process.pid) for name in ROLES}
        found: dict[str, Any] = {"rows": rows, "node_rest_mb": rest, "hub_rest_mb": hub_memory(consortium)}
        found["studies"] = [study_once(consortium, STUDY, name) for name in ("first", "pseudonyms kept")]
        time.sleep(5)
        found["node_after_mb"] = {name: memory(consortium.serving[name].process.pid) for name in ROLES}
        found["hub_after_mb"] = hub_memory(consortium)
        found["large"] = large(consortium, megabytes)
    return found


def main() -> int:
    """Measure, print, write; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="first rows of the data alone, to try the script")
    parser.add_argument("--megabytes", type=int, default=320)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results.json"))
    parser.add_argument("--as-node", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--as-asker", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.as_node:
        large_node(Path(given.as_node[0]), given.as_node[1])
        return 0
    if given.as_asker:
        large_ask(Path(given.as_asker[0]), given.as_asker[1], int(given.as_asker[2]))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), given.rows, given.megabytes)
    kept = found["studies"][-1]
    figures = {
        "small_exchange_s": kept["small_exchange_s"],
        "study_s": kept["waited_s"],
        "node_rest_mb": max(found["node_rest_mb"].values()),
        "node_after_mb": max(found["node_after_mb"].values()),
        "hub_rest_mb": found["hub_rest_mb"],
        "envelope_times": max(row["times"] for row in found["large"]),
    }
    found["figures"] = figures
    for name, most in CLAIMS.items():
        print(f"{name:>18} {figures[name]:8.2f}   at most {most}")
    for study in found["studies"]:
        print(f"{study['name']:>18} {study['waited_s']:8.1f} s, {len(study['exchanges'])} exchanges")
    for row in found["large"]:
        print(
            f"{row['what']:>18} {row['seconds']:8.1f} s, hub {row['hub_peak_mb']:.0f} MB, node {row['node_peak_mb']:.0f} MB, {row['times']:.2f} times"
        )
    given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(figures[name] > most for name, most in CLAIMS.items()))


if __name__ == "__main__":
    sys.exit(main())
