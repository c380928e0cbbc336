"""Processes of several machines on one: commands that end, services that stay, and the sure end of all of them."""

import contextlib
import ctypes
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROGRAM = (sys.executable, "-m", "fedrisk.cli")
"""What stands behind the word fedrisk: the code of this environment, whatever is on PATH."""

_PR_SET_PDEATHSIG = 1
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def die_with_parent() -> None:
    """In a child before its program begins: SIGTERM when its parent ends, however it ends (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_ports(count: int) -> list[int]:
    """So many loopback ports that nobody uses at this moment."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in taken:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in taken]


class Failed(Exception):
    """A command ended otherwise than it should have; holds what it said."""

    def __init__(self, text: str, code: int | None = None, said: str = "") -> None:
        super().__init__(text)
        self.code, self.said = code, said


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit code, standard output and standard error, without colours."""

    code: int
    out: str
    err: str


@dataclass
class Service:
    """A process that stays, with what it prints in a file."""

    name: str
    words: Sequence[str]
    process: "subprocess.Popen[bytes]"
    screen: Path

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def said(self) -> str:
        """What it printed so far."""
        return _ESCAPES.sub("", self.screen.read_text(encoding="utf-8", errors="replace"))

    def stop(self, patience: float = 30.0) -> int:
        """SIGTERM, then after ``patience`` seconds SIGKILL to all of its group; its exit code."""
        if self.running:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=patience)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL to it and to all that it started; its exit code."""
        # Its own group and session: nothing that others started is in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


@dataclass
class Machine:
    """What stands for a machine: a folder that its commands run in, with an environment of its own.

    show: is told each command, as a person would type it, before it runs. within: words before each command, such as
    those that run it in a network namespace.
    """

    name: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    show: Callable[["Machine", str], None] | None = None
    services: list[Service] = field(default_factory=list)
    within: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of other machines' stores or of this one's settings of fedrisk."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FEDRISK_", "FLWR_", "NOTIFY_"))}
        here = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
        return {
            **kept,
            "PYTHONPATH": path,
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "110",
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "FEDRISK_HOME": str(self.folder / "home"),
            "FLWR_HOME": str(self.folder / "home" / "flwr"),
            **self.variables,
        }

    def run(
        self, *words: object, codes: Sequence[int] = (0,), typed: str = "", timeout: float = 300.0
    ) -> Done:
        """Run ``fedrisk WORDS`` to its end; Failed where its exit code is none of ``codes``.

        typed: what a person types when it asks.
        """
        command = [str(w) for w in words]
        if self.show is not None:
            self.show(self, "fedrisk " + shlex.join(command))
        made = subprocess.run(
            [*self.within, *PROGRAM, *command],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        done = Done(made.returncode, *(_ESCAPES.sub("", text) for text in (made.stdout, made.stderr)))
        if done.code not in codes:
            said = (done.out + done.err).strip()
            raise Failed(
                f"{self.name}: fedrisk {shlex.join(command)} ended with exit code {done.code}\n{said}",
                done.code,
                said,
            )
        return done

    def shell(self, line: str, *, timeout: float = 60.0) -> Done:
        """Run a line of shell to its end, for commands that are not fedrisk's; Failed where it fails."""
        if self.show is not None:
            self.show(self, line)
        made = subprocess.run(
            [*self.within, "/bin/sh", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if made.returncode:
            raise Failed(f"{self.name}: {line}\n{made.stderr.strip()}", made.returncode, made.stderr)
        return Done(made.returncode, made.stdout, made.stderr)

    def start(self, *words: object, program: Sequence[str] = ()) -> Service:
        """Start ``fedrisk WORDS``, or another program, which stays; it ends with this process at the latest."""
        command = [str(w) for w in words]
        name = shlex.join(["python", *program[1:]]) if program else "fedrisk"
        if self.show is not None:
            self.show(self, f"{name} {shlex.join(command)} &")
        screen = self.folder / f"screen-{len(self.services)}.txt"
        with screen.open("wb") as handle:
            process = subprocess.Popen(
                [*self.within, *(program or PROGRAM), *command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                # A group of its own: Ctrl-C goes to whoever started it, who ends it in order.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        service = Service(f"{self.name}: {name} {shlex.join(command)}", command, process, screen)
        self.services.append(service)
        return service

    def end(self) -> None:
        """Ask all services that it started to end; `stop` waits for them."""
        for service in self.services:
            if service.running:
                service.process.terminate()

    def stop(self, patience: float = 30.0) -> None:
        """End all services that it started, the last first."""
        for service in reversed(self.services):
            service.stop(patience)
        self.services.clear()


def answers(port: int, path: str = "/ready") -> bool:
    """Whether the health port of a service says yes."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def wait_until(
    what: str, true: Callable[[], bool], service: Service | None = None, seconds: float = 300.0
) -> None:
    """Look again every .1 s; Failed after so many seconds, or where the service has ended meanwhile."""
    end = time.monotonic() + seconds
    while not true():
        if service is not None and not service.running:
            code = service.process.returncode
            raise Failed(
                f"{service.name} ended with exit code {code}\n{service.said()}", code, service.said()
            )
        if time.monotonic() > end:
            said = "" if service is None else f"\n{service.said()}"
            raise Failed(f"{what}: not within {seconds:.0f} seconds{said}")
        time.sleep(0.1)
