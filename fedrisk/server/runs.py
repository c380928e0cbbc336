"""What the hub remembers of its runs: an entry for each, from its beginning, and its results as soon as there are any.

    runs/ATTEMPT/run.json     what was run, when, where its results went, how it ended
    runs/ATTEMPT/lock         held while it runs: a run whose process was killed holds it no longer
    runs/ATTEMPT/reserve      room for the results, taken at the beginning
    runs/ATTEMPT/journal/     what it needs to go on after a stop (server/journal), until it has ended
    runs/ATTEMPT/...          its results (server/results), before they go to any other folder

Results that cannot be written elsewhere are written again from here, at no charge. All of it is what the hub knows
anyway: the study, released numbers, what follows from them.
"""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from fedrisk.attempt_id import LEAST_PREFIX, meant, short
from fedrisk.errors import ConfigError, FedriskError, StoreError, code_of
from fedrisk.files import private_append, private_folder, reserve, write_atomic
from fedrisk.server.hub import Hub
from fedrisk.server.journal import Journal
from fedrisk.server.results import METRICS, Results
from fedrisk.study import Study
from fedrisk.tracebacks import redacted

RESERVE = 4 << 20
"""Bytes kept free for a run's results."""

State = Literal["running", "finished", "failed", "stopped", "killed", "damaged"]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a study, as its entry has it.

    asked: digest of the study as it was asked for; digest: as it was run, with what the hub looked up for it, and
    where optional institutions were left out.
    content: that study. state: "killed" where the process is gone and said nothing. code: of the error that ended it.
    charged: institutions of which priced answers came. goes_on: whether it was stopped and can go on where it was
    (server/journal). results: what lies beside the entry; "before_evaluation" where
    the run ended before the hold-out was evaluated.
    """

    attempt: str
    study: str
    recipe: str
    digest: str
    asked: str
    engine: str
    research: bool
    begun: str
    content: dict[str, Any]
    epsilon: float | None
    out: str | None = None
    state: State = "running"
    ended: str | None = None
    code: str | None = None
    exchanges: int = 0
    charged: tuple[str, ...] = ()
    results: Literal["none", "before_evaluation", "whole"] = "none"
    auc: float | None = None
    auc_standard_error: float | None = None
    seconds: float | None = None
    goes_on: bool = False

    @property
    def can_export(self) -> bool:
        """Whether there are results that can be written again."""
        return self.results != "none"

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, without the study's content."""
        plain: dict[str, Any] = _adapter().dump_python(self, mode="json")
        del plain["content"]
        return plain


@cache
def _adapter() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


class Runs:
    """The hub's runs."""

    def __init__(self, hub: Hub) -> None:
        self.path = hub.path / "runs"

    def all(self) -> list[Run]:
        """All runs, the newest last; an entry that cannot be read is there as damaged. Makes no folder."""
        found = [self._read(file.parent) for file in self.path.glob("*/run.json")]
        return sorted(found, key=lambda run: (run.begun, run.attempt))

    def attempts(self) -> frozenset[str]:
        """Ids of all runs."""
        return frozenset(file.parent.name for file in self.path.glob("*/run.json"))

    def find(self, name: str) -> Run:
        """The run of an attempt, by its id or the beginning of it; ConfigError where none fits, or several do."""
        fits = meant(name, self.attempts())
        if len(fits) == 1:
            return self._read(self.path / fits[0])
        what = f"{len(fits)} runs begin with {name}" if fits else f"no run is called {name}"
        raise ConfigError(
            f"{what} in {self.path}; `fedrisk runs` lists them, and {LEAST_PREFIX} letters or more of an id will do "
            "where they fit one run alone"
        )

    def finished(self, study: Study) -> Run | None:
        """The last run of exactly this study that was finished and charged, research runs left out; or None."""
        fits = [r for r in self.of(study) if r.state == "finished" and not r.research]
        return fits[-1] if fits else None

    def of(self, study: Study) -> list[Run]:
        """All runs of exactly this study, the newest last."""
        digests = {study.digest(), study.as_asked.digest()}
        return [run for run in self.all() if digests & {run.asked, run.digest}]

    def results(self, run: Run) -> Results:
        """The results that were kept of a run; ConfigError where there are none."""
        if not run.can_export:
            raise ConfigError(
                f"run {run.attempt} of study {run.study} left no results (it is {run.state}); "
                "what it was charged stays charged"
            )
        return Results.load(self.path / run.attempt)

    def save(self, results: Results) -> None:
        """Write a run's results again, with what was found out since; StoreError."""
        results.save(self.path / results.attempt, private=True)

    def note(self, attempt: str, what: str, error: BaseException) -> None:
        """Keep the whole text of an error that did not end a run."""
        _note(self.path / attempt, what, error)

    def charged(self, run: Run, names: Iterable[str]) -> None:
        """Enter who else was charged by a run that has ended: ledgers on this machine know more than answers say."""
        every = tuple(sorted({*run.charged, *names}))
        if every != run.charged:
            with contextlib.suppress(StoreError):
                Log(self.path / run.attempt, replace(run, charged=every)).write()

    @contextlib.contextmanager
    def begin(self, run: Run) -> Iterator["Log"]:
        """Enter a run at its beginning, and how it ended; StoreError, before anything is paid, where it cannot be.

        What goes wrong with the entry after that never fails the run.
        """
        folder = self.path / run.attempt
        try:
            private_folder(folder)
        except OSError as error:
            raise StoreError(f"the hub's store {folder} cannot be made: {error.strerror}") from None
        with contextlib.ExitStack() as stack:
            if not run.research:
                self._alone(stack.enter_context(private_append(self.path / f".{run.asked}.lock")), run)
            _hold(stack.enter_context(private_append(folder / "lock")), run)
            before = self._read(folder) if (folder / "run.json").exists() else None
            if before is not None and before.state != "damaged":
                # A run that goes on after a stop.
                run = replace(run, begun=before.begun, charged=before.charged)
            log = Log(folder, run)
            log.write()
            try:
                reserve(folder / "reserve", RESERVE)
                yield log
            except BaseException as error:
                log.end(error)
                raise
            finally:
                log.give_back()

    def _alone(self, lock: int, run: Run) -> None:
        """Take the lock of a study for a run that is charged; ConfigError where another run of it is under way."""
        if _taken(lock):
            return
        others = [r for r in self.all() if r.asked == run.asked and r.state == "running" and not r.research]
        which = f" (run {short(others[-1].attempt)})" if others else ""
        raise ConfigError(
            f"study {run.study} is running in another process{which}, and every member would be charged for both; wait "
            "for it, or stop it first: fedrisk runs lists all runs"
        )

    def _read(self, folder: Path) -> Run:
        try:
            run = _adapter().validate_python(json.loads((folder / "run.json").read_bytes()))
        except (ValidationError, OSError, ValueError):
            return Run(
                attempt=folder.name,
                study="",
                recipe="",
                digest="",
                asked="",
                engine="",
                research=False,
                begun="",
                content={},
                epsilon=None,
                state="damaged",
                results="whole" if (folder / METRICS).is_file() else "none",
            )
        if run.state == "running" and not _held(folder / "lock"):
            run = replace(run, state="killed")
        stopped = run.state in ("failed", "stopped", "killed")
        return replace(run, goes_on=stopped and Journal(folder / "journal").can_go_on)


class Log:
    """The entry of a run while it runs."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.folder, self.run = folder, run

    def write(self) -> None:
        """Write the entry; StoreError."""
        # Python's JSON has infinity, as the epsilon of a research run.
        content = json.dumps(_adapter().dump_python(self.run, mode="json"), indent=1)
        write_atomic(self.folder / "run.json", content.encode())

    def so_far(self, results: Results) -> None:
        """Keep what there is before the last exchange; where that cannot be, there is still the end."""
        self._keep(results, "before_evaluation")

    def finish(self, results: Results) -> bool:
        """Keep the results of a run that came to its end; whether that could be done."""
        kept = self._keep(results, "whole")
        state = replace(self.run, state="finished", ended=now())
        self.run = state if kept else replace(state, code=StoreError.code)
        with contextlib.suppress(StoreError):
            self.write()
        return kept

    def end(self, error: BaseException) -> None:
        """Enter that the run failed, or was stopped by hand."""
        stopped = not isinstance(error, Exception)
        code = None if stopped else code_of(error)
        self.run = replace(self.run, state="stopped" if stopped else "failed", code=code, ended=now())
        with contextlib.suppress(StoreError):
            self.write()
        if not isinstance(error, FedriskError) and not stopped:
            self.note("run", error)

    def went(self, exchanges: int, charged: tuple[str, ...]) -> None:
        """Enter how far the run came, and who was charged: at once, for a run that is killed says nothing later."""
        self.run = replace(self.run, exchanges=exchanges, charged=charged)
        with contextlib.suppress(StoreError):
            self.write()

    def note(self, what: str, error: BaseException) -> None:
        """Keep the whole text of an error that did not end the run, or that nobody foresaw."""
        _note(self.folder, what, error)

    def give_back(self) -> None:
        """Let go of the room that was kept for the results."""
        with contextlib.suppress(OSError):
            (self.folder / "reserve").unlink(missing_ok=True)

    def _keep(self, results: Results, what: Literal["before_evaluation", "whole"]) -> bool:
        self.give_back()
        try:
            results.save(self.folder, private=True)
        except Exception as error:
            self.note("results", error)
            return False
        self.run = replace(
            self.run,
            results=what,
            auc=results.auc,
            auc_standard_error=results.auc_standard_error,
            seconds=results.seconds,
            exchanges=results.exchanges,
        )
        with contextlib.suppress(StoreError):
            self.write()
            if what == "before_evaluation":
                reserve(self.folder / "reserve", RESERVE)
        return True


def entry(study: Study, asked: Study, attempt: str, *, engine: str, research: bool, out: Path | None) -> Run:
    """The entry of a run that begins now."""
    return Run(
        attempt=attempt,
        study=study.name,
        recipe=study.recipe,
        digest=study.digest(),
        asked=asked.as_asked.digest(),
        engine=engine,
        research=research,
        begun=now(),
        content=study.model_dump(mode="json"),
        epsilon=None if research else study.privacy.epsilon,
        out=None if out is None else str(out.resolve()),
    )


def refuse_again(runs: Runs, study: Study, *, research: bool, again: bool) -> None:
    """ConfigError where exactly this study was run and charged before, unless ``again`` asks for it."""
    before = None if research or again else runs.finished(study)
    if before is None:
        return
    where, name = "" if before.out is None else f", results in {before.out}", short(before.attempt)
    raise ConfigError(
        f"study {study.name} was run {before.begun[:10]} at epsilon {before.epsilon:g} (run {before.attempt}{where}), "
        "and every member would be charged once more. See that run: fedrisk runs show "
        f"{name}. Its results once more, at no charge: fedrisk runs export {name} --out FOLDER. To run and charge it "
        "again: --again"
    )


def lies_in(run: Run, folder: Path) -> bool:
    """Whether a folder holds the results of a run."""
    return _whose(folder) == run.attempt


def save(results: Results, folder: Path, runs: Runs, *, again: bool = True) -> None:
    """Write results to a folder and look that they are there; StoreError says how to get them at no charge.

    again: whether results of another run in it may be overwritten. Where neither the folder nor the hub could take
    them, they go to a folder for temporary files.
    """
    try:
        other = None if again else _whose(folder)
        if other not in (None, results.attempt):
            raise StoreError(f"{folder} has got the results of run {other} since this run began")
        results.save(folder)
        if Results.load(folder).attempt != results.attempt:
            raise StoreError(f"{folder} holds another run's results, written at the same time")
    except FedriskError as error:
        raise StoreError(
            f"{error}. The run is finished and charged, and {_elsewhere(results, runs)}"
        ) from None


def _whose(folder: Path) -> str | None:
    """Attempt of the results that lie in a folder."""
    try:
        return str(json.loads((folder / METRICS).read_bytes())["attempt"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _elsewhere(results: Results, runs: Runs) -> str:
    """Where results are that the folder did not take: looked up, not taken for granted."""
    export = f"fedrisk runs export {short(results.attempt)} --out FOLDER writes them to another folder, at no charge"
    with contextlib.suppress(FedriskError):
        kept = runs.find(results.attempt)
        if kept.results == "whole" and runs.results(kept).attempt == results.attempt:
            return f"its results are kept at the hub: {export}"
    for place in (tempfile.gettempdir(), Path.home()):
        with contextlib.suppress(FedriskError, OSError, RuntimeError):
            spare = Path(tempfile.mkdtemp(prefix=f"fedrisk-{short(results.attempt)}-", dir=place))
            results.save(spare)
            if Results.load(spare).attempt == results.attempt:
                return f"the hub's own store has no room for its results either. They are in {spare}: take them away"
    return (
        "its results could be written neither at the hub nor elsewhere: the disks are full. Banks have their scores "
        "(fedrisk results); what else the hub had before its last exchange: " + export
    )


def now() -> str:
    """The time, as entries have it: UTC, to the microsecond, so that they can be put in order."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _note(folder: Path, what: str, error: BaseException) -> None:
    with contextlib.suppress(OSError), private_append(folder / "errors.log") as log:
        os.write(log, f"{now()} {what}\n{redacted(error)}\n".encode("utf-8", "backslashreplace"))


def _hold(lock: int, run: Run) -> None:
    """Take a run's lock; ConfigError where another process has it. Whoever lists runs holds it for a moment."""
    if _taken(lock):
        return
    raise ConfigError(
        f"run {run.attempt} of study {run.study} is running in another process; wait for it, or stop it first"
    )


def _taken(lock: int) -> bool:
    """Whether a lock could be taken within a second."""
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def _held(lock: Path) -> bool:
    """Whether a process holds the lock of a run."""
    try:
        with lock.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
