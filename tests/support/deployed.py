"""A whole consortium in real processes on loopback, over TLS, with keys made on the spot; torn down surely.

Folders are made by the functions that the commands call (`support.consortium`); what stays, hub and nodes, are processes of
the installed command line, each on a `Machine` of its own.
"""

import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fedrisk.clients.approvals import approve, refuse
from fedrisk.clients.node import Node
from fedrisk.deploy.hub_home import HubHome
from fedrisk.engine.deployment import propose
from fedrisk.engine.superlink_nodes import register
from fedrisk.recipes import find_recipe, load_study
from fedrisk.server.hub import Hub
from fedrisk.server.proposals import Proposal, Proposals
from sim_institutions.processes import Machine, Service, answers, free_ports, wait_until
from support.consortium import Joined, joined

LEFT_BEHIND = 40.0


@dataclass
class Deployed:
    """A consortium on the disk, and its processes while they run."""

    folder: Path
    study_file: Path
    joined: Joined
    ports: Mapping[str, int]
    machines: dict[str, Machine] = field(init=False)
    serving: dict[str, Service] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = ["hub", *self.joined.nodes]
        self.machines = {name: Machine(name, self.folder / "machines" / name) for name in names}

    @property
    def home(self) -> Path:
        """The hub's folder."""
        return self.joined.home.path

    @property
    def proposals(self) -> Proposals:
        return Proposals(Hub(self.home))

    def serve(self, *names: str) -> None:
        """Start the hub ("hub") or nodes, by default all, and wait until they are ready."""
        for name in names or self.machines:
            words = (
                ("hub", "serve", self.home)
                if name == "hub"
                else ("node", "serve", self.joined.nodes[name].path)
            )
            self.serving[name] = self.machines[name].start(*words)
            if name == "hub":
                self.ready(name)
        for name in names or self.machines:
            self.ready(name)

    def ready(self, name: str, seconds: float = 300.0) -> None:
        wait_until(f"{name} is ready", lambda: answers(self.ports[name]), self.serving[name], seconds)

    def kill(self, name: str) -> None:
        """SIGKILL to a node's process, as if its machine lost its power; nothing is cleaned up."""
        os.kill(self.serving[name].process.pid, signal.SIGKILL)
        self.serving[name].process.wait()

    def children(self, name: str) -> list[tuple[int, str]]:
        """Process ids and command lines of what a service started, at any depth."""
        found, parents = [], {self.serving[name].process.pid}
        while parents:
            pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdecimal()]
            below = set()
            for pid in pids:
                with contextlib.suppress(OSError, IndexError, ValueError):
                    parent = int(
                        (Path("/proc") / str(pid) / "stat").read_text().rsplit(") ", 1)[1].split()[1]
                    )
                    if parent in parents:
                        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
                        found.append((pid, b" ".join(words).decode()))
                        below.add(pid)
            parents = below
        return found

    def submit(self, *overrides: str, research_seed: int | None = None, again: bool = False) -> Proposal:
        study = load_study(self.study_file, overrides)
        return propose(study, self.joined.home, research_seed=research_seed, again=again)

    def approve(self, proposal: Proposal, *names: str) -> None:
        """Wait until nodes have heard of a proposal, and approve it at each as its people would."""
        for name in names or self.joined.nodes:
            node = self.hears(name, proposal)
            with node.store.one_at_a_time():
                approve(node, proposal.id, who="tester", find=find_recipe)

    def refuse(self, proposal: Proposal, name: str, reason: str) -> None:
        node = self.hears(name, proposal)
        with node.store.one_at_a_time():
            refuse(node, proposal.id, reason=reason, who="tester")

    def hears(self, name: str, proposal: Proposal) -> Node:
        """Wait until a node has heard of a proposal; the institution."""
        node = self.joined.node(name)
        wait_until(
            f"{name} hears of it",
            lambda: any(asked.id == proposal.id for asked in node.store.proposals.all()),
            self.serving.get(name),
        )
        return node

    def progress(self, proposal: Proposal) -> dict[str, Any]:
        """How far a study is, as its process writes it down."""
        from fedrisk.engine.hub_figures import Progress

        found: dict[str, Any] = Progress(Hub(self.home), proposal.id).read()
        return found

    def wait_for_action(self, proposal: Proposal, action: str, seconds: float = 300.0) -> None:
        wait_until(
            f"the study is at {action}",
            lambda: self.progress(proposal).get("action") == action,
            self.serving["hub"],
            seconds,
        )

    def wait(self, proposal: Proposal, seconds: float = 600.0) -> Proposal:
        """Wait until a proposal is over; as it is then."""
        over = ("finished", "failed", "lapsed", "refused", "withdrawn")
        wait_until(
            f"proposal {proposal.id} is over",
            lambda: self.proposals.find(proposal.id).state in over,
            self.serving["hub"],
            seconds,
        )
        return self.proposals.find(proposal.id)

    def finished(self, proposal: Proposal, seconds: float = 600.0) -> Path:
        """Wait until a proposal has finished; the folder of its run at the hub."""
        ended = self.wait(proposal, seconds)
        assert ended.state == "finished", (ended.state, ended.code, self.progress(proposal), self.said())
        return self.home / "runs" / str(ended.attempt)

    def said(self) -> str:
        """What all processes printed, and their logs: for a failed assertion."""
        files = [*self.folder.rglob("screen-*.txt"), *self.folder.rglob("*.jsonl")]
        return "\n".join(
            f"== {f}\n{f.read_text(errors='replace')[-3000:]}" for f in files if f.stat().st_size
        )

    def logs(self, name: str) -> list[dict[str, Any]]:
        file = self.home / "hub.jsonl" if name == "hub" else self.joined.nodes[name].log
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def stop(self) -> dict[str, int]:
        """End all, nodes first; exit codes by name. Afterwards no process is left that any of them started."""
        below = [pid for name in self.serving for pid, _ in self.children(name)]
        order = [n for n in self.serving if n != "hub"] + [n for n in self.serving if n == "hub"]
        codes = {name: self.serving[name].stop() for name in order}
        self.serving.clear()
        for _ in range(50):
            left = [pid for pid in below if (Path("/proc") / str(pid)).exists() and not zombie(pid)]
            if not left:
                return codes
            time.sleep(0.1)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise AssertionError(f"processes were left behind: {left}")


def zombie(pid: int) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(") ", 1)[1][0] == "Z"
    return True


@contextlib.contextmanager
def deployed(
    folder: Path,
    tables: Path,
    roles: Mapping[str, str],
    before: Callable[[HubHome], object] = lambda home: None,
) -> Iterator[Deployed]:
    """A consortium of the institution files in ``tables``/institutions, all joined and the roster accepted, not served.

    before: called with the hub's folder, as long as nobody has joined it. Whatever is served then ends with the block.
    """
    names = ["public", "hub", *roles]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    files = {}
    for name in roles:
        file = tables / "institutions" / f"{name}.toml"
        # Each store is on its own machine, wherever the commands of this test look.
        text = f'store = "{folder}/machines/{name}/store"\n' + file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        files[name] = file
    address = f"127.0.0.1:{ports['public']}"
    made = joined(folder, roles, institutions=files, address=address, before=before)
    settings(made.home.path / "hub.toml", health=ports["hub"], listen=f'"127.0.0.1:{ports["public"]}"')
    for name, public in made.registered:
        register(made.home, name, public)
    for name, node in made.nodes.items():
        settings(node.path / "node.toml", health=ports[name])
    result = Deployed(folder, tables / "study.toml", made, ports)
    try:
        yield result
    finally:
        result.stop()


def settings(file: Path, **keys: object) -> None:
    """Set keys of a TOML file without sections."""
    text = file.read_text(encoding="utf-8")
    for key, value in keys.items():
        text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE) + f"{key} = {value}\n"
    file.write_text(text, encoding="utf-8")


def canaries(tables: Path, seed: int = 3) -> dict[str, list[bytes]]:
    """Put values into the tables of a tiny consortium that nothing else would ever show; what to search for, by kind.

    Ids get a word of their own, labels become words, and one cell in ten of the numbers a value with eight digits.
    """
    rng, found = np.random.default_rng(seed), {"id": [], "label": [], "value": []}
    import pandas as pd

    for file in sorted((tables / "data").glob("*.csv")):
        table = pd.read_csv(file)
        table["id"] = "Quetzal" + table["id"].astype(str)
        for column in table.columns[1:]:
            if column == "bad":
                table["bad"] = table["bad"].map({1: "Wendigo", 0: "Basilisk"})
                continue
            value = float(np.round(rng.uniform(0.1, 0.9), 8))
            table.loc[rng.random(len(table)) < 0.1, column] = value
            # As text, and as a double in either order of bytes.
            found["value"] += [
                repr(value)[2:8].encode(),
                np.float64(value).tobytes(),
                np.array(value, ">f8").tobytes(),
            ]
        table.to_csv(file, index=False)
    for file in (tables / "institutions").glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("positive = [1]", 'positive = ["Wendigo"]').replace(
            "negative = [0]", 'negative = ["Basilisk"]'
        )
        file.write_text(text, encoding="utf-8")
    found["id"] = [b"Quetzal", "Quetzal".encode("utf-16-le")]
    found["label"] = [b"Wendigo", b"Basilisk"]
    return found
