"""What the workers of the benchmark run: they import functions by name, from any module but the main script."""

from __future__ import annotations

import ctypes
import os
import time

from fedrisk.alignment import ristretto
from fedrisk.elliptic.libsodium import libsodium


def bare_calls(n: int) -> tuple[float, float]:
    """Seconds of one bare hash to the group and of one bare multiplication."""
    sodium = libsodium()
    buffer = ctypes.create_string_buffer(64)
    point, product = ctypes.addressof(buffer), ctypes.addressof(buffer) + 32
    key, uniform = ristretto.random_scalars(1), os.urandom(64)
    start = time.process_time()
    for _ in range(n):
        sodium.crypto_core_ristretto255_from_hash(point, uniform)
    middle = time.process_time()
    for _ in range(n):
        sodium.crypto_scalarmult_ristretto255(product, key, point)
    return (middle - start) / n, (time.process_time() - middle) / n


def worker_time(_: int) -> tuple[int, float]:
    """Process id and processor seconds of the worker that runs this.

    It sleeps, so that each worker runs one.
    """
    time.sleep(0.2)
    return os.getpid(), time.process_time()
