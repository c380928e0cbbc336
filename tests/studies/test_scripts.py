"""fedrisk from scripts as people write them: no main guard, from standard input, in a thread, in a console."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fedrisk
from support.long import sampled

pytestmark = pytest.mark.study

ROOT = str(Path(fedrisk.__file__).parents[1])

# Few enterprises, and workers for them all the same.
SCRIPT = """
import fedrisk
from fedrisk.alignment import oprf
oprf.POOL_FROM, oprf.CHUNK = 50, 50
print("BEGINS", flush=True)
results = fedrisk.run("study.toml", out="results", research_seed=1)
print("ENDS", len(oprf.shared_pool().processes), flush=True)
"""
THREAD = f"""
import threading
def work():
    exec({SCRIPT!r}, {{}})
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""
CONSOLE = SCRIPT.replace("\n", "\n\n")


@pytest.mark.parametrize("way", sampled(["stdin", "file", "thread", "console"], 4))
def test_a_study_from_a_script_without_a_guard(write_consortium, fedrisk_home, way):
    """It runs once, with workers, and ends."""
    consortium = write_consortium()
    text = THREAD if way == "thread" else CONSOLE if way == "console" else SCRIPT
    command = [sys.executable, "-"] if way == "stdin" else [sys.executable, "-i", "-q"]
    if way in ("file", "thread"):
        (consortium.folder / "script.py").write_text(text)
        command, text = [sys.executable, "script.py"], ""
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=consortium.folder,
        env={**os.environ, "PYTHONPATH": ROOT, "FEDRISK_HOME": str(fedrisk_home)},
    )
    assert done.returncode == 0, done.stderr
    said = [line.split() for line in done.stdout.splitlines() if line.startswith(("BEGINS", "ENDS"))]
    assert [words[0] for words in said] == ["BEGINS", "ENDS"]
    assert int(said[1][1]) >= 1
    assert (consortium.folder / "results" / "metrics.json").exists()
