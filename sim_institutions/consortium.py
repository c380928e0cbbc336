"""``python -m sim_institutions.consortium --out build/consortium``: a hub and three nodes on this machine, at once.

A bank (on PostgreSQL, where Debian's package is there), the tax office and the power utility join an operator's hub,
agree to a study and run it, each in processes, folders and stores of its own, over TLS on loopback. Every step is shown
with the command that a person would type, and on whose machine. Whatever was started is stopped at the end, also after
Ctrl-C or a failure. Nothing here is secret or real: the province is simulated.
"""

import argparse
import contextlib
import dataclasses
import json
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim_institutions.files import institution, study, write
from sim_institutions.institutions import Office, offices
from sim_institutions.postgresql import Server, Unavailable, running
from sim_institutions.processes import Failed, Machine, Service, answers, free_ports, wait_until
from sim_institutions.profiles import CITY, PROFILES, Profile

BANK, TAX, POWER = "city_bank", "tax_office", "power_utility"
MEMBERS = (BANK, TAX, POWER)
PROFILE = dataclasses.replace(PROFILES["demo"], banks=(CITY,), holders=(TAX, POWER))


def standing(*counterparties: str) -> str:
    """A rule for an institution's file, by which it agrees beforehand to studies like this one with these others."""
    return f"""
[[policy.standing]]
study = "demo*"
recipe = "scorecard"
purpose = "credit_scoring"
counterparties = {json.dumps(counterparties)}
max_epsilon = 1.0
every = "28d"
until = 2030-12-31
"""


MADE = ".made-by-make-consortium"

RULES = {TAX: standing(BANK, POWER)}
"""The tax office agrees beforehand; the two others decide by hand."""


class Screen:
    """What a person sees: numbered steps, the command of each with its machine, and what it says."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet, self.begun, self.number = quiet, time.monotonic(), 0

    def step(self, title: str) -> None:
        """Begin the next step."""
        self.number += 1
        self.say(f"\n{self.number:>2}  {title}  ({time.monotonic() - self.begun:.0f} s)")

    def command(self, machine: Machine, text: str) -> None:
        """Show a command as it is typed on a machine."""
        self.say(f"    {machine.name} $ {text}")

    def said(self, text: str, most: int = 12) -> None:
        """Show the first lines of what a command said."""
        lines = [line for line in text.rstrip().splitlines() if line.strip()]
        for line in lines[:most]:
            self.say(f"      {line}")
        if len(lines) > most:
            self.say(f"      ... {len(lines) - most} more lines")

    def say(self, text: str) -> None:
        """Show a line."""
        if not self.quiet:
            print(text, flush=True)


@dataclass
class Consortium:
    """An operator's machine and one for each member. Make it with `built`, which also ends what it started.

    files: of the institutions, by name. ports: by what listens there; those that are not given are chosen.
    """

    folder: Path
    screen: Screen
    files: dict[str, Path]
    ports: dict[str, int] = field(default_factory=dict)
    hub: Machine = field(init=False)
    members: dict[str, Machine] = field(init=False)
    serving: dict[str, Service] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hub = Machine("operator", self.folder / "operator", show=self.screen.command)
        self.members = {n: Machine(n, self.folder / n, show=self.screen.command) for n in self.files}
        wanted = [name for name in ("public", "operator", *self.files) if name not in self.ports]
        self.ports |= dict(zip(wanted, free_ports(len(wanted)), strict=True))

    @property
    def machines(self) -> dict[str, Machine]:
        """All machines by name."""
        return {"operator": self.hub, **self.members}

    def make_hub(self, name: str = "Pilot", *options: str) -> None:
        """The operator makes the hub's folder: authority, certificate, identity, an empty roster."""
        address = f"127.0.0.1:{self.ports['public']}"
        done = self.hub.run(
            *("hub", "init", "hub", f"--name={name}", f"--address={address}", f"--listen={address}"),
            *(f"--health={self.ports['operator']}", *options),
        )
        self.screen.said(done.out, most=2)

    def serve_hub(self) -> None:
        """Start the hub, and wait until it is ready."""
        self.serving[self.hub.name] = self.hub.start("hub", "serve", "hub")
        self.wait_ready(self.hub.name)

    def serve_nodes(self) -> None:
        """Start all members' nodes, and wait until they are connected."""
        for name, member in self.members.items():
            self.serving[name] = member.start("node", "serve", "node")
        for name in self.members:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until a machine's service says that it is ready."""
        port = self.ports[name]
        wait_until(f"{name} is ready", lambda: answers(port), self.serving[name])

    def join(self, name: str, role: str, *options: str) -> None:
        """Invitation, both sides' words compared as if over the telephone, admission."""
        member, kit, request = self.members[name], f"{name}.kit.json", f"{name}.request.json"
        said = self.hub.run("hub", "invite", "hub", name, f"--role={role}").out
        self.carry(kit, self.hub, member)
        made = member.run(
            *("node", "init", "node", kit, f"--institution={self.files[name]}"),
            *(f"--words={words_in(said, 'of the hub')}", f"--health={self.ports[name]}", *options),
        )
        self.screen.said(made.out, most=1)
        self.carry(request, member, self.hub)
        done = self.hub.run(
            "hub", "admit", "hub", request, f"--words={words_in(made.out, 'of this request')}"
        )
        self.screen.said(done.out, most=1)

    def accept(self, name: str) -> None:
        """A member's people accept the roster, once the others told them their words."""
        member = self.members[name]
        told = [f"--words={other}: {words}" for other, words in self.words.items() if other != name]
        done = member.run("node", "roster", "node", "--accept", *told)
        self.screen.said(done.out, most=2)

    def carry(self, file: str, source: Machine, target: Machine) -> None:
        """A file goes from machine to machine, by mail or on a stick."""
        shutil.copyfile(source.folder / file, target.folder / file)
        self.screen.say(f"      ({file} goes from {source.name} to {target.name})")

    def stop(self, patience: float = 30.0) -> None:
        """End everything: nodes first and together, so that they can take their leave of the hub."""
        for member in self.members.values():
            member.end()
        for machine in [*self.members.values(), self.hub]:
            machine.stop(patience)
        self.serving.clear()


def words_in(text: str, whose: str) -> str:
    """The eight words that a command said, by which people recognise a key."""
    found = re.search(rf"words {whose}: +((?:[a-z]+ ){{7}}[a-z]+)", text)
    if found is None:
        raise Failed(f"no words {whose} in: {text}")
    return found[1]


@contextlib.contextmanager
def built(
    folder: Path,
    files: dict[str, Path],
    screen: Screen | None = None,
    ports: Mapping[str, int] | None = None,
) -> Iterator[Consortium]:
    """A consortium whose processes end with the block, whatever happens in it."""
    consortium = Consortium(folder, screen or Screen(quiet=True), files, dict(ports or {}))
    try:
        yield consortium
    finally:
        consortium.stop()


def prepare(
    folder: Path,
    enterprises: int,
    seed: int,
    database: Server | None,
    *,
    research: bool = False,
    profile: Profile = PROFILE,
    rules: Mapping[str, str] = RULES,
) -> Path:
    """Simulate the province, and put each member's table and file on its own machine; the study file of the operator.

    database: gets the bank's table, in place of a Parquet file. profile: with the members. rules: what is added to
    institutions' files, by name.
    """
    province = folder / "province"
    rows = write(enterprises, seed, province, research=research)
    members = offices(profile)
    for office in members:
        home = folder / office.name
        home.mkdir(parents=True, exist_ok=True)
        table = province / "data" / f"{office.name}.parquet"
        if office.name == BANK and database is not None:
            source = into_database(table, database, home)
        else:
            source = {"source": f"{office.name}.parquet"}
            shutil.copyfile(table, home / f"{office.name}.parquet")
        text = _file_of(office, source, research) + rules.get(office.name, "")
        (home / "institution.toml").write_text(text, encoding="utf-8")
    operator = folder / "operator"
    operator.mkdir(exist_ok=True)
    largest = max(rows[office.name] for office in members)
    text = study(profile, round(rows[BANK] / profile.borrowers), largest)
    (operator / "study.toml").write_text(text, encoding="utf-8")
    shutil.rmtree(province)
    return operator / "study.toml"


def _file_of(office: Office, source: dict[str, Any], research: bool) -> str:
    """The institution's file; without the encoder's histories, which stay where they were simulated."""
    return institution(dataclasses.replace(office, series=()), source, research=research)


def into_database(table: Path, database: Server, home: Path) -> dict[str, Any]:
    """Copy a table into the bank's database; the [table] section that reads it, the password in a file beside."""
    import pandas as pd
    import sqlalchemy

    frame = pd.read_parquet(table)
    engine = sqlalchemy.create_engine(database.url)
    with engine.begin() as connection:
        cells = frame.astype(object).where(frame.notna(), None).infer_objects()
        cells.to_sql("loans", connection, index=False, if_exists="replace", chunksize=2000, method="multi")
    engine.dispose()
    password = home / "database.password"
    password.touch(mode=0o600)
    password.write_text(database.password)
    return {"source": database.address, "query": "SELECT * FROM loans", "password_file": password.name}


def show_all(folder: Path, enterprises: int, seed: int, screen: Screen) -> None:
    """From nothing to a report."""
    with contextlib.ExitStack() as stack:
        screen.step(
            "Simulate a city bank, the tax office and the power utility, each on a machine of its own"
        )
        database = _database(stack, screen)
        prepare(folder, enterprises, seed, database)
        files = {name: Path("institution.toml") for name in MEMBERS}
        consortium = stack.enter_context(built(folder, files, screen))
        screen.step("The operator makes the hub and serves it")
        consortium.make_hub()
        consortium.serve_hub()
        screen.step(
            "Each institution is invited, makes its keys at home, and is admitted once the words were compared"
        )
        for name in MEMBERS:
            consortium.join(name, "bank" if name == BANK else "holder")
        screen.step(
            "Each institution accepts the roster, by words compared with the others, and serves its node"
        )
        accept_all(consortium)
        screen.step(
            "The operator proposes a study; the tax office agrees by its standing rule, two people decide"
        )
        consortium.hub.run("hub", "submit", "hub", "study.toml")
        approve(consortium, BANK)
        approve(consortium, POWER)
        screen.step("The study runs")
        proposal = wait_for_run(consortium)
        screen.said(consortium.hub.run("hub", "show", "hub", proposal, "--out=results").out, most=60)
        screen.step("What each institution sees")
        for member in consortium.members.values():
            screen.said(member.run("node", "status", "node").out, most=20)
        screen.say(f"\nreport: {consortium.hub.folder / 'results' / 'report.html'}")
        screen.step("Everything that was started is stopped")
    screen.say(f"\ndone in {time.monotonic() - screen.begun:.0f} s")


def _database(stack: contextlib.ExitStack, screen: Screen) -> Server | None:
    try:
        server = stack.enter_context(running())
    except Unavailable as why:
        screen.say(f"    the bank's table is a file: {why}")
        return None
    screen.say(f"    the bank's table is in PostgreSQL on loopback port {server.port}")
    return server


def accept_all(consortium: Consortium) -> None:
    """Serve every node, and accept the roster that it holds as pending."""
    consortium.serve_nodes()
    for name, member in consortium.members.items():
        wait_until(f"{name} has a roster", lambda m=member: pending(m), consortium.serving[name])
        # What its own node shows of itself is what its people read to the others.
        changes = json.loads(quiet(member, "node", "roster", "node", "--json"))["changes"]
        consortium.words[name] = next(change["words"] for change in changes if change["name"] == name)
    for name in consortium.members:
        consortium.accept(name)


def pending(member: Machine) -> bool:
    """Whether a roster waits to be accepted."""
    return (member.folder / "node" / "roster-pending.json").exists()


def approve(consortium: Consortium, name: str) -> None:
    """Wait for the one proposal, look at it, approve it."""
    member = consortium.members[name]
    # Looked at in place of asked for: each command would take a second of a processor that the nodes need.
    kept = member.folder / "home" / "institutions" / name / "proposals"
    wait_until(f"{name} has heard of it", lambda: any(kept.glob("*.json")), consortium.serving[name])
    found = [file.stem for file in kept.glob("*.json")]
    consortium.screen.said(member.run("node", "proposals", "node", found[0]).out, most=30)
    consortium.screen.said(member.run("node", "approve", "node", found[0]).out, most=2)


def quiet(machine: Machine, *words: str) -> str:
    """What a command says, without showing it."""
    return dataclasses.replace(machine, show=None).run(*words).out


def wait_for_run(consortium: Consortium, seconds: float = 900.0) -> str:
    """Wait until the one proposal is over; its id. Failed where it did not finish."""
    ended: dict[str, Any] = {}

    def over() -> bool:
        (file,) = (consortium.hub.folder / "hub" / "proposals").glob("*.json")
        proposal = json.loads(file.read_text(encoding="utf-8"))
        ended.update(proposal)
        return proposal["state"] not in ("open", "ready", "running")

    wait_until("the study is over", over, consortium.serving["operator"], seconds)
    if ended["state"] != "finished":
        raise Failed(f"the study ended as {ended['state']} ({ended.get('code')})")
    return str(ended["id"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Show a whole consortium; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.consortium", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Path("build/consortium"), help="a folder that is made anew"
    )
    parser.add_argument("--enterprises", type=int, default=8_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    folder = own_folder(parser, given.out, MADE, anew=True)
    return in_order(lambda: show_all(folder, given.enterprises, given.seed, Screen()))


def own_folder(parser: argparse.ArgumentParser, out: Path, mark: str, *, anew: bool) -> Path:
    """The folder of a demonstration, which it alone writes to; made anew where it is asked for, or not there.

    mark: name of a file by which the folder is known to be the demonstration's own.
    """
    folder = out.resolve()
    if folder.exists() and not (folder / mark).exists() and any(folder.iterdir()):
        parser.error(f"{folder} holds something else; choose another --out")
    if anew:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / mark).touch()
    return folder


def in_order(show: Callable[[], object]) -> int:
    """Run a demonstration to its end, or until it is stopped; its exit code."""
    # Whoever ends this script otherwise than by Ctrl-C wants the same: everything stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        show()
    except KeyboardInterrupt:
        print("\nstopped by hand; everything that was started has been stopped", file=sys.stderr)
        return 130
    except Failed as error:
        print(f"\n{error}\neverything that was started has been stopped", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
