"""``python -m sim_institutions.watch --out build/watch``: models at work, on a small province that moves on by months.

Three banks, tax office, power utility and social insurance build two models of the development month: of default, and
of distress, with the threshold of a warning. Each member approves its part of both; the city bank deploys them and
watches its active loans for thirteen months, with alerts, outcomes as they become known, and a page each month. Every
step is shown with the command that a person would type. All members' files are in one folder here, so the bank asks
them with ``--members``; between machines the hub carries the same questions. Nothing here is secret or real.
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sim_institutions.consortium import Screen, in_order, own_folder
from sim_institutions.month_files import CALENDAR
from sim_institutions.months import FOLDER
from sim_institutions.processes import Failed, Machine

BANK, HOLDERS = "city_bank", ("tax_office", "power_utility", "social_insurance")
MODELS = {"demo": "study.toml", "demo_warning": "warning.toml"}
"""Name of each study, and its file in the province: of default, which is watched, and of distress, which warns."""
MADE = ".made-by-make-watch"
LABEL = "late_90_days"
"""The bank's column of defaults, as its outcomes name it."""

MORE = """fall = 40
warning = "demo_warning"
file = "../alerts.jsonl"
"""
"""What the bank's [watch] has besides what the province writes: the warning model, and where alerts go."""


@dataclass
class Stage:
    """A folder with a province, in which commands are typed. month: whose tables they read."""

    folder: Path
    screen: Screen
    month: str = FOLDER
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        self.machine = Machine(self.folder.name, self.folder, self.variables)

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which every command runs."""
        return {"MONTH": self.month, "FEDRISK_HOME": str(self.folder / "home")}

    def run(self, *words: str, most: int = 0) -> str:
        """Run a command of fedrisk and show it, with so many lines of what it says; its output."""
        self.machine.variables = self.variables
        self.screen.say(f"    $ MONTH={self.month} fedrisk {shlex.join(words)}")
        said = self.machine.run(*words, timeout=1800.0).out
        if most:
            self.screen.said(said, most)
        return said


def file_of(name: str) -> str:
    """An institution's own file, as commands name it."""
    return f"institutions/{name}.toml"


def write_province(stage: Stage, enterprises: int, seed: int, months: int) -> None:
    """A province of so many months; each member's file says what it allows, the bank's what it watches."""
    stage.screen.step(
        "Simulate a province by months; members allow a monthly watch, the bank says what it watches"
    )
    words = [f"--months={months}", f"--enterprises={enterprises}", f"--seed={seed}"]
    stage.screen.say(f"    $ python -m sim_institutions {shlex.join(words)}")
    program = shlex.join([sys.executable, "-m", "sim_institutions", *words, f"--out={stage.folder}"])
    stage.machine.shell(program, timeout=1800.0)
    allowed = (stage.folder / file_of(HOLDERS[0])).read_text("utf-8").partition("[policy.serving]\n")[2]
    stage.screen.said("[policy.serving]\n" + allowed.partition("\n\n")[0])
    file = stage.folder / file_of(BANK)
    text = file.read_text("utf-8").rstrip("\n") + "\n" + MORE
    file.write_text(text, "utf-8")
    stage.screen.said("[watch]\n" + text.partition("[watch]\n")[2])


def make_models(stage: Stage, epsilon: float) -> None:
    """Both studies; each member approves its part of both models, and the bank deploys them."""
    for name, file in MODELS.items():
        about = "distress, with the threshold of a warning" if name == "demo_warning" else "default"
        stage.screen.step(f"A study of {about}, on the development month")
        stage.run("run", file, "--out", f"results/{name}", "--set", f"privacy.epsilon={epsilon:g}")
        stage.run("show", f"results/{name}", most=24)
    stage.screen.step("Every member approves its part of both models; the bank deploys them")
    listed = json.loads(stage.run("model", "list", file_of(BANK), "--json"))
    made = {str(one["name"]) for one in listed["models"]}
    for name in MODELS:
        if name not in made:
            raise Failed(f"the study {name} left no model: it found nothing that says more than its noise")
        for member in (*HOLDERS, BANK):
            stage.run("model", "approve", file_of(member), name)
        stage.run("model", "deploy", file_of(BANK), name, most=3)


def watch(stage: Stage, calendar: dict[str, str]) -> None:
    """The months one after the other, each with the outcomes that became known in it."""
    stage.screen.step(
        "The bank watches its active loans, month by month, and takes outcomes as they become known"
    )
    members = [word for name in HOLDERS for word in ("--members", file_of(name))]
    for folder, month in calendar.items():
        stage.month = folder
        outcomes = f"{folder}/outcomes/{BANK}.parquet"
        known = ["--outcomes", outcomes, "--label", LABEL] if (stage.folder / outcomes).exists() else []
        stage.run("watch", file_of(BANK), "demo", "--month", month, *known, *members, most=9)


def look(stage: Stage, month: str) -> None:
    """Alerts of the last month, the holder's look at its own columns, and the page with the back-test."""
    stage.screen.step("The bank looks at its alerts; the tax office at its own columns")
    stage.run("watch", "alerts", file_of(BANK), "--open", most=20)
    stage.run("watch", "columns", file_of(HOLDERS[0]), "--month", month, "--out", "columns", most=12)
    stage.screen.step("The last month's page once more, with the outcomes that became known since")
    said = stage.run("watch", "page", file_of(BANK), "--out", "pages", "--json")
    stage.screen.say(f"\npage of the last month:  {stage.folder / json.loads(said)['page']}")
    stage.screen.say(f"alerts:                  {stage.folder / 'alerts.jsonl'}")
    stage.screen.say(f"studies:                 {stage.folder / 'results' / 'demo' / 'report.html'}")
    stage.screen.say(f"                         {stage.folder / 'results' / 'demo_warning' / 'report.html'}")


def show_all(folder: Path, enterprises: int, seed: int, months: int, epsilon: float, screen: Screen) -> None:
    """From nothing to the page of the last month."""
    stage = Stage(folder, screen)
    write_province(stage, enterprises, seed, months)
    make_models(stage, epsilon)
    calendar: dict[str, str] = json.loads((folder / CALENDAR).read_text("utf-8"))
    del calendar[FOLDER]
    watch(stage, calendar)
    look(stage, list(calendar.values())[-1])
    screen.say(f"\ndone in {time.monotonic() - screen.begun:.0f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    """Show models at work; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sim_institutions.watch", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/watch"), help="a folder that is made anew")
    parser.add_argument("--enterprises", type=int, default=10_000)
    parser.add_argument(
        "--months", type=int, default=13, help="with 13, defaults of the first month are known"
    )
    parser.add_argument("--epsilon", type=float, default=3.0, help="of each of the two studies")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    folder = own_folder(parser, given.out, MADE, anew=True)
    return in_order(
        lambda: show_all(folder, given.enterprises, given.seed, given.months, given.epsilon, Screen())
    )


if __name__ == "__main__":
    sys.exit(main())
