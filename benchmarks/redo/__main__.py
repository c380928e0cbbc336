"""Redo the claims of benchmarks/, show what moved, keep a history.

    python -m benchmarks.redo                    # all, in build/benchmarks; goes on where it was stopped
    python -m benchmarks.redo --quick            # those of a few minutes
    python -m benchmarks.redo --only noise memory.honesty
    python -m benchmarks.redo list               # what there is, minutes, what it needs
    python -m benchmarks.redo moved              # what the round so far moved
    python -m benchmarks.redo adopt              # take over the round's results, and renew the table of claims
    python -m benchmarks.redo table              # renew the table of claims alone, and the page that quotes claims
    python -m benchmarks.redo history            # figures over versions; --from-git: take in the commits' results

Exit code 1: a claim that held does not hold any more, or a run failed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.privacy_accuracy import page
from benchmarks.redo import history, rounds
from benchmarks.redo.manifest import BENCHMARKS, Manifest, load_all, values
from benchmarks.redo.moved import BAD, Move, as_table, moves
from benchmarks.redo.table import renewed, table

WORK = rounds.ROOT / "build" / "benchmarks"
QUICK = 4.0
"""Minutes up to which a run is redone by --quick."""


def chosen(manifests: Mapping[str, Manifest], only: Sequence[str], quick: bool) -> dict[str, Manifest]:
    """Manifests with the runs that are asked for, the shortest first; ValueError where a name is unknown.

    only: folders, or FOLDER.RUN for one of several runs.
    """
    known = {*manifests, *(f"{name}.{run.name}" for name, m in manifests.items() for run in m.runs)}
    if unknown := set(only) - known:
        raise ValueError(
            f"--only: nothing is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    out = []
    for name, made in manifests.items():
        runs = [r for r in made.runs if not only or name in only or f"{name}.{r.name}" in only]
        runs = [r for r in runs if not quick or r.minutes <= QUICK]
        out += [made.model_copy(update={"runs": tuple(runs)})] if runs else []
    return {m.folder: m for m in sorted(out, key=lambda m: m.minutes)}


def redo(asked: Mapping[str, Manifest], work: Path, *, anew: bool) -> int:
    """Redo folders one by one; a failure does not stop the others."""
    made = rounds.begun(work, rounds.source_digest(), history.commit(rounds.ROOT), anew=anew)
    failed, left = [], []
    for name, manifest in asked.items():
        seconds, load, ran = 0.0, 0.0, False
        for run in manifest.runs:
            key = f"{name}.{run.name}"
            if key not in made.done:
                if (why := rounds.lacking(run)) is not None:
                    left.append(f"{key}: {why}")
                    continue
                print(f"{key}: about {run.minutes:g} min on two idle cores ...", flush=True)
                try:
                    why = rounds.redo(made, manifest, run)
                except rounds.LeftOut as reason:
                    left.append(f"{key}: {reason}")
                    continue
                if why is not None:
                    failed.append(f"{key}: {why}; see {made.log(name, run)}")
                    continue
                ran = True
            seconds, load = seconds + made.done[key]["seconds"], max(load, made.done[key]["load"])
        if ran:
            figures = values(manifest, made.tree / "benchmarks" / name, _written(manifest, made))
            history.add([history.entry(manifest, figures, seconds=seconds, load=load, source=made.commit)])
            print(f"{name}: {seconds:.0f} s", flush=True)
    found = compared(asked, made)
    print("\n" + as_table(found, only_moved=True))
    for title, lines in (("left out", left), ("failed", failed)):
        for line in lines:
            print(f"{title}: {line}")
    return 1 if failed or any(m.state in BAD for m in found) else 0


def compared(asked: Mapping[str, Manifest], made: rounds.Round) -> list[Move]:
    """What moved, of the figures that runs of the round have written; others in the copy are kept ones."""
    out: list[Move] = []
    for name, manifest in asked.items():
        if files := _written(manifest, made):
            old, new = (
                values(manifest, folder / name, files) for folder in (BENCHMARKS, made.tree / "benchmarks")
            )
            out += moves(manifest, old, new, _busy(manifest, made))
    return out


def _written(manifest: Manifest, made: rounds.Round) -> set[str]:
    """Results files that runs of the round have written."""
    return {file for r in manifest.runs if f"{manifest.folder}.{r.name}" in made.done for file in r.writes}


def _busy(manifest: Manifest, made: rounds.Round) -> set[str]:
    """Results files that were made while the machine had other work."""
    loads = {
        run.name: made.done.get(f"{manifest.folder}.{run.name}", {}).get("load", 0.0) for run in manifest.runs
    }
    return {file for run in manifest.runs if loads[run.name] > rounds.QUIET for file in run.writes}


def adopt(asked: Mapping[str, Manifest], work: Path) -> int:
    """Take over the results of a round, and renew the table."""
    made = rounds.kept(work)
    if made is None:
        print(f"{work} holds no round; begin one with python -m benchmarks.redo", file=sys.stderr)
        return 2
    for name, manifest in asked.items():
        for run in manifest.runs:
            if f"{name}.{run.name}" in made.done:
                for file in (*run.writes, *run.fresh):
                    source = made.tree / "benchmarks" / name / file
                    if source.exists():
                        shutil.copyfile(source, BENCHMARKS / name / file)
                        print(f"benchmarks/{name}/{file}")
    renew()
    return 0


def renew() -> None:
    """Write the table of claims into benchmarks/README.md, and the page of docs that quotes some of them."""
    file = BENCHMARKS / "README.md"
    file.write_text(renewed(file.read_text(encoding="utf-8"), table(load_all())), encoding="utf-8")
    page.write()


def show_history(asked: Mapping[str, Manifest], *, from_git: bool) -> None:
    """Print figures over versions; from_git: take in what earlier commits say first."""
    lines = history.read()
    if from_git:
        there = {(line["folder"], line["commit"]) for line in lines}
        new = [e for m in asked.values() for e in history.from_git(m, rounds.ROOT)]
        history.add([e for e in new if (e["folder"], e["commit"]) not in there])
        lines = history.read()
    for manifest in asked.values():
        if any(line["folder"] == manifest.folder for line in lines):
            print(history.as_table(manifest, lines) + "\n")


def show_list(asked: Mapping[str, Manifest]) -> None:
    """Print what there is."""
    for name, manifest in asked.items():
        needs = ", ".join(sorted({need for run in manifest.runs for need in run.needs}))
        print(f"{name:<16} {manifest.minutes:6.1f} min  {len(manifest.figures):3} figures  {needs}")
    print(f"{'':<16} {sum(m.minutes for m in asked.values()):6.1f} min")


def main(arguments: Sequence[str] | None = None) -> int:
    """What is asked for; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.redo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what", nargs="?", default="run", choices=["run", "list", "moved", "adopt", "table", "history"]
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="FOLDER", help="for example --only noise memory.honesty"
    )
    parser.add_argument("--quick", action="store_true", help=f"runs of at most {QUICK:g} minutes")
    parser.add_argument("--anew", action="store_true", help="forget a round that was stopped")
    parser.add_argument(
        "--work", type=Path, default=WORK, help="folder of the round, for example --work /tmp/round"
    )
    parser.add_argument("--from-git", action="store_true", help="history: take in results of earlier commits")
    given = parser.parse_args(arguments)
    try:
        asked = chosen(load_all(), given.only, given.quick)
    except ValueError as error:
        parser.error(str(error))
    if given.what == "run":
        return redo(asked, given.work, anew=given.anew)
    if given.what == "adopt":
        return adopt(asked, given.work)
    if given.what == "moved":
        made = rounds.kept(given.work)
        print(as_table(compared(asked, made)) if made else "no round was begun")
    elif given.what == "history":
        show_history(asked, from_git=given.from_git)
    elif given.what == "list":
        show_list(asked)
    else:
        renew()
    return 0


if __name__ == "__main__":
    sys.exit(main())
