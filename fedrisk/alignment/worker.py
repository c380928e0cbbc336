"""What a worker process of ``alignment.worker_pool`` runs: tasks from its standard input, results to its output.

A frame is its length (8 bytes, little endian) and as many bytes. A task is a pickled function with its arguments, and
a result a pickled pair: whether it is a value, and the value or the exception. Both ends of the pipes belong to one
program, and nothing else can write to them.

This module imports nothing heavy, so that a worker starts quickly.
"""

from __future__ import annotations

import os
import pickle
import signal
import struct
import sys
import threading
import time
from typing import BinaryIO

READY = b"ready"
"""A worker's first frame."""

WATCH_SECONDS = 0.5
"""How often a worker looks whether the process that started it is still there."""

_LENGTH = struct.Struct("<Q")


def write_frame(stream: BinaryIO, content: bytes) -> None:
    """Write one frame and flush; OSError where the other end is gone."""
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next frame; None where the stream ends before or in it.

    >>> import io
    >>> file = io.BytesIO()
    >>> write_frame(file, b"abc")
    >>> read_frame(io.BytesIO(file.getvalue())), read_frame(io.BytesIO(file.getvalue()[:9]))
    (b'abc', None)
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = stream.read(length)
    return content if len(content) == length else None


def main(parent: int) -> None:
    """Serve tasks until there are no more; ``parent`` is the process that started this one."""
    # Ctrl-C is for the parent, which ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Whatever else prints here must not come between frames.
    os.dup2(2, 1)
    write_frame(results, READY)
    while (task := read_frame(tasks)) is not None:
        write_frame(results, _answer(task))


def _answer(task: bytes) -> bytes:
    try:
        function, arguments = pickle.loads(task)
        return pickle.dumps((True, function(*arguments)))
    except Exception as error:
        return pickle.dumps((False, error))


def _watch(parent: int) -> None:
    """End at once when the parent is gone: a queue holds keys, and a pipe may stay open in a fork of the parent."""
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os._exit(1)
