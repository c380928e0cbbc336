"""``python -m sim_institutions.serve --out build/serve``: models that serve, on this machine, with everything real.

A hub, a city bank, the tax office, the power utility, social insurance and a register of consents, each in processes,
folders and stores of its own, over TLS on loopback. The first time they build a model (about two minutes); every
institution approves it and the bank deploys it. Then an enterprise consents, and the bank is told its score: by curl,
and on the page of the bank's own node, which stays until Ctrl-C. Every step is shown with the command that a person
would type, and on whose machine. Whatever was started is stopped at the end. Nothing here is secret or real.
"""

import argparse
import contextlib
import dataclasses
import json
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sim_institutions.consortium import (
    BANK,
    POWER,
    TAX,
    Consortium,
    Screen,
    accept_all,
    approve,
    built,
    in_order,
    own_folder,
    prepare,
    quiet,
    standing,
    wait_for_run,
)
from sim_institutions.institutions import TEMPLATES
from sim_institutions.loan_system import LoanSystem
from sim_institutions.processes import Failed, Machine, Service, free_ports, wait_until
from sim_institutions.profiles import CITY, PROFILES
from sim_institutions.tables import ID

SOCIAL = "social_insurance"
HOLDERS = (TAX, POWER, SOCIAL)
MEMBERS = (BANK, *HOLDERS)
PROFILE = dataclasses.replace(PROFILES["demo"], banks=(CITY,), holders=HOLDERS)
MADE = ".made-by-make-serve"
STATE = "serve.json"
REGISTER = (sys.executable, "-m", "sim_institutions.consent_register")
PURPOSE = "credit_scoring"
APPLICATION = {"amount": 300_000, "months": 12, "turnover": 2_500_000}
RULES = """
[policy.serving]
consent = "token"
per_day = 2000000
per_enterprise = 1000
screening = 2000000
ages = "several"
{register}"""
"""What each holder answers: with a consent, to as many questions as demonstrations and benchmarks have."""


@dataclass
class Stage:
    """The consortium with its register. ports: of all members, and ``scoring``, ``service`` and ``register``."""

    consortium: Consortium
    register: Machine
    model: str = ""

    @property
    def screen(self) -> Screen:
        """What people see."""
        return self.consortium.screen

    @property
    def ports(self) -> dict[str, int]:
        """Loopback ports by what listens there."""
        return self.consortium.ports

    @property
    def bank(self) -> Machine:
        """The bank's machine."""
        return self.consortium.members[BANK]

    @property
    def token(self) -> Path:
        """File of the token by which the bank's loan system is known."""
        return self.bank.folder / "node" / "service.token"

    @property
    def page(self) -> str:
        """Address of the page of the bank's node."""
        return f"http://127.0.0.1:{self.ports['service']}/"

    def loan_system(self) -> LoanSystem:
        """A connection of the bank's loan system."""
        return LoanSystem(self.ports["service"], self.token)

    def serve_register(self) -> Service:
        """Start the register of consents; it says the key that holders pin."""
        options = ["--out=register", f"--port={self.ports['register']}", "--name=register"]
        service = self.register.start(*options, program=REGISTER)
        wait_until("the register listens", lambda: "127.0.0.1" in service.said(), service)
        return service

    def scoring(self, name: str) -> bool:
        """Whether a member's node is connected to the hub's relay of scores."""
        file = self.consortium.members[name].folder / "node" / "scoring-status.json"
        try:
            return bool(json.loads(file.read_text(encoding="utf-8")).get("connected"))
        except (OSError, ValueError):
            return False

    def wait_for_scoring(self, seconds: float = 120.0) -> None:
        """Wait until all holders are connected, and the bank's service answers."""
        for name in HOLDERS:
            service = self.consortium.serving[name]
            wait_until(f"{name} answers questions", lambda n=name: self.scoring(n), service, seconds)
        self.wait_for_service(seconds)

    def wait_for_service(self, seconds: float = 120.0) -> None:
        """Wait until the bank's service answers its loan system."""
        wait_until("the bank's service answers", self._answers, self.consortium.serving[BANK], seconds)

    def _answers(self) -> bool:
        if not self.token.exists():
            return False
        with contextlib.closing(self.loan_system()) as system:
            return system.get("/v1/health").get("status") == "ok"


@contextlib.contextmanager
def staged(folder: Path, screen: Screen, ports: dict[str, int]) -> Any:
    """A stage whose processes end with the block, whatever happens in it."""
    files = {name: Path("institution.toml") for name in MEMBERS}
    wanted = [name for name in ("scoring", "service", "register") if name not in ports]
    ports = ports | dict(zip(wanted, free_ports(len(wanted)), strict=True))
    register = Machine("register", folder / "register", show=screen.command)
    with built(folder, files, screen, ports) as consortium:
        try:
            yield Stage(consortium, register)
        finally:
            register.stop()


def build(stage: Stage, enterprises: int, seed: int) -> None:
    """From nothing to a model that every member has approved and the bank has deployed."""
    folder, screen, consortium = stage.register.folder.parent, stage.screen, stage.consortium
    screen.step(
        "Simulate a city bank, tax office, power utility and social insurance; holders pin the register's key"
    )
    register = stage.serve_register()
    pinned = RULES.format(register=register.said()[register.said().index("[[policy") :].partition("\n\n")[0])
    pinned = "\n".join(line for line in pinned.splitlines() if not line.startswith("register of"))
    others = {name: [m for m in MEMBERS if m != name] for name in HOLDERS}
    prepare(
        folder,
        enterprises,
        seed,
        None,
        profile=PROFILE,
        rules={name: pinned + standing(*others[name]) for name in HOLDERS},
    )
    give_table(folder / BANK)
    screen.step(
        "The operator makes a hub that also relays scores; each institution joins and accepts the others"
    )
    scoring = f"127.0.0.1:{stage.ports['scoring']}"
    consortium.make_hub("Serving", f"--scoring={scoring}", f"--scoring-listen={scoring}")
    consortium.serve_hub()
    for name in MEMBERS:
        service = [f"--service={stage.ports['service']}"] if name == BANK else []
        consortium.join(name, "bank" if name == BANK else "holder", *service)
    accept_all(consortium)
    screen.step("A study builds a scorecard; holders agree by their standing rules, the bank by hand")
    consortium.hub.run("hub", "submit", "hub", "study.toml")
    approve(consortium, BANK)
    wait_for_run(consortium)
    screen.step("Every member looks at its own part of the model and approves it; the bank deploys it")
    stage.model = adopt(stage)


def give_table(bank: Path) -> None:
    """Give a bank a table of decisions, by which it advises beside its scores."""
    shutil.copyfile(TEMPLATES / "decisions.toml", bank / "decisions.toml")
    file = bank / "institution.toml"
    file.write_text(f'decisions = "decisions.toml"\n{file.read_text(encoding="utf-8")}', encoding="utf-8")


def adopt(stage: Stage) -> str:
    """Each member lists, looks at and approves the model at home; the bank makes it its champion. Its id."""
    consortium, screen, found = stage.consortium, stage.screen, ""
    for name in (*HOLDERS, BANK):
        member = consortium.members[name]
        listed = json.loads(quiet(member, "model", "list", "institution.toml", "--json"))
        found = str(models_in(listed)[-1]["model"])
        if name == TAX:
            screen.said(member.run("model", "show", "institution.toml", found[:8]).out, most=25)
        member.run("model", "approve", "institution.toml", found[:8])
    screen.said(consortium.members[BANK].run("model", "deploy", "institution.toml", found[:8]).out, most=3)
    return found


def models_in(listed: Any) -> list[dict[str, Any]]:
    """The models of ``fedrisk model list --json``, the oldest first."""
    return list(listed["models"] if isinstance(listed, dict) else listed)


def again(stage: Stage, kept: dict[str, Any]) -> None:
    """Serve what was built before."""
    stage.screen.step("Hub, nodes and register of the last time are served again")
    stage.model = str(kept["model"])
    stage.serve_register()
    stage.consortium.serve_hub()
    stage.consortium.serve_nodes()


def applicants(stage: Stage, count: int = 1, *, known: bool = True) -> list[str]:
    """Customers of the bank, as it writes them. known: those alone whom all holders know."""
    import pandas as pd

    from fedrisk.alignment.ids import normalise

    members = stage.consortium.members
    own = pd.read_parquet(stage.bank.folder / f"{BANK}.parquet", columns=[ID])[ID].tolist()
    spelt, refused = normalise(own, "uscc")
    fits = ~refused
    for name in HOLDERS if known else ():
        table = pd.read_parquet(members[name].folder / f"{name}.parquet", columns=[ID])
        fits &= pd.Series(spelt).isin(normalise(table[ID].tolist(), "uscc")[0]).to_numpy()
    return [str(i) for i, fit in zip(own, fits, strict=True) if fit][:count]


def consent(stage: Stage, enterprise: str, uses: int = 10) -> str:
    """An enterprise consents on the register's page, and the bank fetches a token; both by curl."""
    address = f"http://127.0.0.1:{stage.ports['register']}"
    until = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    given = {"enterprise": enterprise, "bank": BANK, "purpose": PURPOSE}
    posted(stage.register, f"{address}/consents", given | {"until": until})
    return str(posted(stage.bank, f"{address}/tokens", given | {"uses": uses})["token"])


def posted(machine: Machine, address: str, content: dict[str, Any]) -> dict[str, Any]:
    """Post JSON by curl, the command shown; what comes back."""
    line = f"curl -sS --json {shlex.quote(json.dumps(content, ensure_ascii=False))} {address}"
    return dict(json.loads(machine.shell(line).out))


def ask(stage: Stage, enterprise: str, token: str) -> dict[str, Any]:
    """The bank's loan system asks by curl, the command and its answer shown."""
    applicant = {"id": enterprise, "consent": token, "application": APPLICATION}
    question = {"enterprises": [applicant], "purpose": PURPOSE, "product": "working_capital"}
    file = stage.bank.folder / "question.json"
    file.write_text(json.dumps(question), encoding="utf-8")
    secret = stage.token.relative_to(stage.bank.folder)
    line = f'curl -sS -H "Authorization: Bearer $(cat {secret})" --json @question.json {stage.page}v1/scores'
    answer = dict(json.loads(stage.bank.shell(line).out))
    stage.screen.said(json.dumps(answer, indent=2, ensure_ascii=False), most=60)
    return answer


def show(stage: Stage) -> None:
    """An applicant is refused without a consent, and scored with one."""
    (enterprise,) = applicants(stage)
    stage.screen.step("The bank's loan system asks about an applicant who has consented to nothing")
    refused = ask(stage, enterprise, "")
    if not refused["answers"][0]["code"]:
        raise Failed("an enterprise was scored without its consent")
    stage.screen.step("The applicant consents at the register, and the bank fetches a token")
    token = consent(stage, enterprise)
    stage.screen.step("The bank asks again, with the token")
    answer = ask(stage, enterprise, token)["answers"][0]
    if answer["code"]:
        raise Failed(f"the applicant was not scored: {answer['code']}, {answer['words']}")
    again_of = stage.loan_system()
    with contextlib.closing(again_of):
        heard = [again_of.ask([enterprise], {enterprise: token}, purpose=PURPOSE) for _ in range(5)]
    best = min(h.seconds for h in heard)
    advice = answer["decision"]["decision"]
    stage.screen.say(
        f"\n    score {answer['score']}, grade {answer['grade']}; the bank's own table advises to {advice}; "
        f"the quickest of five more took {best * 1000:.0f} ms"
    )


def stay(stage: Stage) -> None:
    """Say where the page is, and wait for Ctrl-C."""
    say = stage.screen.say
    say(f"\npage of the bank's node:  {stage.page}")
    say(f"its token:                {stage.token}")
    say(f"register of consents:     http://127.0.0.1:{stage.ports['register']}/")
    say("Ctrl-C stops everything.")
    while all(service.running for service in stage.consortium.serving.values()):
        time.sleep(0.5)
    raise Failed("a process has ended; see the files screen-*.txt in the folder")


def run(folder: Path, enterprises: int, seed: int, *, once: bool, screen: Screen) -> None:
    """Build or reuse, show, and stay."""
    file = folder / STATE
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    try:
        with staged(folder, screen, dict(kept.get("ports", {}))) as stage:
            if kept:
                again(stage, kept)
            else:
                build(stage, enterprises, seed)
                file.write_text(json.dumps({"ports": stage.ports, "model": stage.model}), encoding="utf-8")
            stage.wait_for_scoring()
            show(stage)
            if not once:
                stay(stage)
            screen.step("Everything that was started is stopped")
    finally:
        screen.say(f"\ndone in {time.monotonic() - screen.begun:.0f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Show models that serve; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.serve", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/serve"), help="a folder that is used again")
    parser.add_argument("--enterprises", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--once", action="store_true", help="end after the questions, and do not stay")
    parser.add_argument("--anew", action="store_true", help="build the model anew")
    given = parser.parse_args(arguments)
    if shutil.which("curl") is None:
        parser.error("curl is not installed; this demonstration asks with it")
    folder = given.out.resolve()
    folder = own_folder(parser, given.out, MADE, anew=given.anew or not (folder / STATE).exists())
    return in_order(lambda: run(folder, given.enterprises, given.seed, once=given.once, screen=Screen()))


if __name__ == "__main__":
    sys.exit(main())
