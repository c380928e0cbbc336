"""What a worker process runs: frames in, frames out."""

import io
import os
import pickle
import subprocess
import sys
import time

import pytest

from fedrisk.alignment.worker import READY, read_frame, write_frame
from fedrisk.errors import DataError, ProtocolError

pytestmark = pytest.mark.slow

BOOT = "from fedrisk.alignment.worker import main; main({parent})"


def frames(*tasks, parent):
    """What a worker answers to these tasks, and its exit status."""
    asked = io.BytesIO()
    for task in tasks:
        write_frame(asked, pickle.dumps(task))
    done = subprocess.run(
        [sys.executable, "-c", BOOT.format(parent=parent)],
        input=asked.getvalue(),
        stdout=subprocess.PIPE,
        timeout=30,
    )
    found, answers = io.BytesIO(done.stdout), []
    while (frame := read_frame(found)) is not None:
        answers.append(frame if frame == READY else pickle.loads(frame))
    return answers, done.returncode


def test_answers_come_in_order_and_the_end_of_the_input_ends_it():
    answers, status = frames((max, (3, 4)), (print, ("between frames",)), (len, ("abc",)), parent=os.getpid())
    assert (answers, status) == ([READY, (True, 4), (True, None), (True, 3)], 0)


def test_an_exception_is_an_answer():
    answers, _ = frames((int, ("x",)), (max, (1, 2)), parent=os.getpid())
    assert [type(answers[1][1]), answers[2]] == [ValueError, (True, 2)]
    for error in (ProtocolError("a"), DataError("b")):
        assert type(pickle.loads(pickle.dumps(error))) is type(error)


def test_a_worker_of_another_parent_ends_at_once():
    with subprocess.Popen(
        [sys.executable, "-c", BOOT.format(parent=2**22 + 1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert process.poll() == 1


@pytest.mark.parametrize("content", [b"", b"a", bytes(70_000)])
def test_frames(content):
    file = io.BytesIO()
    write_frame(file, content)
    assert read_frame(io.BytesIO(file.getvalue())) == content
    for cut in (0, 7, len(content) + 7):
        assert read_frame(io.BytesIO(file.getvalue()[:cut])) is None
