"""A study as a plain Flower app on Flower's own simulation engine, on one machine.

Does what a person does by hand: starts a SuperLink for simulations, submits the app in the repository's root
with ``flwr run``, waits, and stops the SuperLink. There is one simulated SuperNode for each institution file
beside the study. Slower than the in-process engine (Ray, processes), and the proof that nothing in fedrisk
needs an engine of its own.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fedrisk
from fedrisk.engine.in_process import complete_own, load_nodes, register
from fedrisk.errors import ConfigError, PeerError
from fedrisk.home import home
from fedrisk.institution import find_institutions
from fedrisk.recipes import load_study
from fedrisk.server.hub import Hub
from fedrisk.server.results import METRICS, Results

START_SECONDS = 60.0


def run_simulation(
    study_file: Path, out: Path, *, research_seed: int | None = None, timeout: float = 1800.0
) -> Results:
    """Run a study file on Flower's simulation engine and read the results back from ``out``.

    ConfigError where the app's root or Flower's commands are not to be found; PeerError with the end of the
    run's log where it failed.
    """
    root = Path(fedrisk.__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        raise ConfigError(
            "the Flower engine needs the repository (pyproject.toml); use the in-process engine"
        )
    study = load_study(study_file)
    institutions = find_institutions(study_file, study.members)
    nodes = load_nodes(institutions)
    register(nodes, Hub.default())
    files = sorted(study_file.resolve().parent.joinpath("institutions").glob("*.toml"))
    seed = -1 if research_seed is None else research_seed
    out.mkdir(parents=True, exist_ok=True)
    (out / METRICS).unlink(missing_ok=True)
    config = f"study='{study_file.resolve()}' out='{out.resolve()}' research-seed={seed} again=true"
    with tempfile.TemporaryDirectory() as folder:
        environment = _environment(Path(folder))
        with _superlink(Path(folder), environment, nodes=len(files)):
            command = [_program("flwr"), "run", str(root), "fedrisk", "--stream", "--run-config", config]
            done = subprocess.run(
                command,
                env=environment,
                cwd=root,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
    if not (out / METRICS).exists():
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise PeerError(f"the Flower run ended without results; the end of its log:\n{tail}")
    results = Results.load(out)
    complete_own(results, nodes, Hub.default())
    return results


def _environment(folder: Path) -> dict[str, str]:
    """Flower's home in a folder of this run; the stores stay where they are."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "FLWR_HOME": str(folder), "FEDRISK_HOME": str(home()), "PATH": path}


@contextmanager
def _superlink(folder: Path, environment: dict[str, str], *, nodes: int) -> Iterator[None]:
    """A SuperLink for simulations on a free loopback port, known to ``flwr`` as connection "fedrisk"."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "config.toml").write_text(
        '[superlink]\ndefault = "fedrisk"\n\n[superlink.fedrisk]\n'
        f'address = "127.0.0.1:{port}"\ninsecure = true\noptions.num-supernodes = {nodes}\n'
    )
    log = (folder / "superlink.log").open("w")
    options = [
        "--insecure",
        "--simulation",
        "--isolation",
        "subprocess",
        "--disable-runtime-dependency-installation",
    ]
    process = subprocess.Popen(
        [_program("flower-superlink"), *options, "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _listening(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise PeerError(
                    f"Flower's SuperLink did not start:\n{(folder / 'superlink.log').read_text()[-2000:]}"
                )
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _program(name: str) -> str:
    """Path of one of Flower's commands, beside this Python first."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise ConfigError(f"command {name} is not to be found; install fedrisk with its dependencies")
    return found
