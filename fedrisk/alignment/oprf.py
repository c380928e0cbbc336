"""Pseudonyms by a verifiable oblivious pseudo-random function: RFC 9497, VOPRF(ristretto255, SHA-512), mode 0x01.

Ids of enterprises are public and can be listed, so any hash that its readers can compute themselves can be
reversed by trying all ids. An oblivious pseudo-random function F_k splits that power (Freedman, Ishai, Pinkas
& Reingold 2005; Davidson, Faz-Hernandez, Sullivan & Wood 2023, RFC 9497): an institution *blinds* its ids,
the key authority *evaluates* the blinded points under its key k and learns nothing but their number, and the
institution *finalises* them to F_k(id). Without k nobody can compute F_k of another id.

    institution                               key authority, which has stated public_key(key)
    blinds, points = blind(ids)          -->  evaluated, proofs = evaluate(points, key)
    finalise(ids, blinds, points, evaluated, proofs, public)  <--

The authority proves that it used the key behind its public key for every single id (``dleq``), so it can
neither lose nor mark one of them by another key; ``finalise`` uses no point before the proofs hold. A proof is
for one batch of ``BATCH`` points, longer requests have several. A blind is for one list and one request: never
keep it for another one.

Work is spread over processes, not threads: most of it is arithmetic of tens of microseconds at a time, during
which Python can do nothing else in the same process.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fedrisk.alignment import dleq, ristretto
from fedrisk.alignment.ristretto import ORDER, POINT
from fedrisk.alignment.worker_pool import WorkerPool
from fedrisk.errors import ConfigError, FedriskError, ProtocolError
from fedrisk.progress import counted

CHUNK = 4096
"""Ids per task: a few tenths of a second of work, 128 kB of points."""

TERMS = 7680
"""Points per task of a proof: with fewer, sums of products take longer per point; with more, cores wait."""

BATCH = 8 * TERMS
"""Points per proof, at most 65,535."""

POOL_FROM = 4096
"""Shorter lists are done in this process: a worker takes as long to start."""

Pseudonyms = npt.NDArray[np.uint8]
"""Shape (n, 32): the first 32 bytes of the 64-byte outputs."""

T = TypeVar("T")


def new_key() -> bytes:
    """A fresh key for an epoch: a random scalar in [1, ORDER - 1], 32 bytes, little endian."""
    return ristretto.random_scalars(1)


def derive_key(seed: bytes, info: bytes) -> bytes:
    r"""The key that RFC 9497 (section 3.2.1, DeriveKeyPair) derives from a seed, for research runs and tests.

    Args:
        seed: 32 bytes; whoever knows them knows the key.
        info: public text of at most 65,535 bytes.

    Raises:
        ConfigError: seed or info has a wrong length.

    >>> derive_key(b"\xa3" * 32, b"test key").hex()[:16]
    'e6f73f344b79b379'
    """
    if len(seed) != 32:
        raise ConfigError(f"the seed of a key has {len(seed)} bytes; give exactly 32")
    if len(info) > ristretto.LONGEST_INPUT:
        raise ConfigError(f"the info of a key has {len(info)} bytes; give at most {ristretto.LONGEST_INPUT}")
    return ristretto.derive_scalar(seed, info)


@contextmanager
def workers(n: int | None = None) -> Iterator[Executor]:
    """A pool of worker processes to pass as ``pool``; its processes start with the first long list.

    A worker imports nothing of the program that uses it (``alignment.worker_pool``), so that scripts need no
    ``if __name__ == "__main__"``.

    Args:
        n: number of processes, by default the number of processors that this process may use.

    Raises:
        ConfigError: n is below 1.
    """
    count = processors() if n is None else n
    if count < 1:
        raise ConfigError(f"the number of workers is {count}; give at least 1, or none for all processors")
    with WorkerPool(count) as pool:
        yield pool


_shared: list[WorkerPool] = []
_shared_lock = threading.Lock()


def shared_pool() -> Executor:
    """One pool for the life of this process, for callers that need it again and again; made on first use.

    A fork of the process makes its own, and so does a process whose pool has lost a worker.
    """
    with _shared_lock:
        if not (_shared and _shared[0].usable):
            _shared[:] = [WorkerPool(processors())]
        return _shared[0]


def blind(ids: Sequence[bytes], *, pool: Executor | None = None) -> tuple[bytes, bytes]:
    """Blind ids, each with a fresh blind from the operating system's randomness.

    Args:
        ids: n distinct normalised ids as UTF-8 bytes, at most 65,535 bytes each.
        pool: from ``workers``; without it, or below 4,096 ids, the work is done in this process.

    Returns:
        ``(blinds, points)`` of 32 n bytes each. The blinds are secret and may be used once, with the same ids
        in the same order; the points are uniform in the group, whatever the ids.

    Raises:
        DataError: an id that cannot be hashed.
    """
    parts = _spread(ristretto.blind_chunk, [(ids[a:b],) for a, b in _chunks(len(ids))], len(ids), pool)
    return b"".join(p[0] for p in parts), b"".join(p[1] for p in parts)


def public_key(key: bytes) -> bytes:
    """The public key of an epoch's key, 32 bytes: what the authority states before it evaluates anything.

    Raises:
        ConfigError: ``key`` is not a key.
    """
    _check_key(key)
    return ristretto.times_generator(key)


def evaluate(points: bytes, key: bytes, *, pool: Executor | None = None) -> tuple[bytes, bytes]:
    """Multiply blinded points by the key and prove it; all that the authority does for another institution.

    Args:
        points: 32 n bytes from ``blind``.
        key: the epoch's key, from ``new_key`` or ``derive_key``.
        pool: as in ``blind``.

    Returns:
        ``(evaluated, proofs)``: 32 n bytes in the same order, and 64 bytes for every batch.

    Raises:
        ProtocolError: ``points`` is not a whole number of points, or one of them is the identity or not
            canonically encoded; no result is given for any of them.
        ConfigError: ``key`` is not a key.
    """
    seed = dleq.seed_of(public_key(key))
    n = _count(points, "blinded points")
    jobs = [(points[POINT * a : POINT * b], key) for a, b in _chunks(n)]
    evaluated = b"".join(_spread(ristretto.evaluate_chunk, jobs, n, pool))
    parts = _spread(dleq.fold_blinded, _terms(seed, points, evaluated), n, pool)
    return evaluated, b"".join(dleq.prove(key, _sum(batch)) for batch in _by_batch(parts))


def verify(
    points: bytes, evaluated: bytes, proofs: bytes, public: bytes, *, pool: Executor | None = None
) -> None:
    """Check that all points were evaluated under the key behind ``public``.

    Args:
        points: blinded points, 32 n bytes.
        evaluated: the authority's answer, 32 n bytes.
        proofs: the authority's proofs, 64 bytes for every batch.
        public: the authority's public key, as it was stated before.
        pool: as in ``blind``.

    Raises:
        ProtocolError: a proof does not hold, or the lists do not belong together.
    """
    n = _count(points, "blinded points")
    if len(evaluated) != len(points) or len(proofs) != dleq.PROOF * -(-n // BATCH):
        raise ProtocolError(
            f"{n} blinded points came back with {len(evaluated) // POINT} evaluated points and {len(proofs)} "
            f"bytes of proofs; there must be one point for each, and {dleq.PROOF} bytes for every {BATCH} of them"
        )
    parts = _spread(dleq.fold, _terms(dleq.seed_of(public), points, evaluated), n, pool)
    for number, batch in enumerate(_by_batch(parts)):
        m, z = _sum([part[0] for part in batch]), _sum([part[1] for part in batch])
        if not dleq.holds(public, m, z, proofs[dleq.PROOF * number : dleq.PROOF * (number + 1)]):
            raise ProtocolError(
                "the key authority did not evaluate every id under the key that it stated (the proof of RFC "
                "9497 does not hold); nothing of its answer was used. Tell the consortium's operator, and run "
                "no study with this authority before it is explained"
            )


def finalise(
    ids: Sequence[bytes],
    blinds: bytes,
    points: bytes,
    evaluated: bytes,
    proofs: bytes,
    public: bytes,
    *,
    pool: Executor | None = None,
) -> Pseudonyms:
    """Verify the authority's answer, take the blinds off, and hash to pseudonyms.

    Args:
        ids: the n ids that were blinded, in the same order.
        blinds: the blinds of these ids, 32 n bytes.
        points: the blinded points of these ids, 32 n bytes.
        evaluated: the authority's answer, 32 n bytes.
        proofs: the authority's proofs.
        public: the authority's public key, as it was stated before.
        pool: as in ``blind``.

    Returns:
        uint8 array of shape (n, 32), equal to the authority's ``pseudonyms(ids, key)``.

    Raises:
        ProtocolError: the lists do not belong together, a point is the identity or not canonical, or a proof
            does not hold.
    """
    n = len(ids)
    if any(_count(part, "points and blinds") != n for part in (blinds, points, evaluated)):
        raise ProtocolError(
            f"{n} ids came back with {len(blinds) // POINT} blinds, {len(points) // POINT} blinded and "
            f"{len(evaluated) // POINT} evaluated points; all must belong to one request"
        )
    verify(points, evaluated, proofs, public, pool=pool)
    jobs = [
        (ids[a:b], blinds[POINT * a : POINT * b], evaluated[POINT * a : POINT * b]) for a, b in _chunks(n)
    ]
    return _array(_spread(ristretto.blind_pseudonyms, jobs, n, pool))


def pseudonyms(ids: Sequence[bytes], key: bytes, *, pool: Executor | None = None) -> Pseudonyms:
    """Pseudonyms of ids that the key authority itself has, without blinding: F_k(id) for each.

    Args:
        ids: n normalised ids as UTF-8 bytes.
        key: the epoch's key.
        pool: as in ``blind``.

    Returns:
        uint8 array of shape (n, 32).

    Raises:
        ConfigError: ``key`` is not a key.
        DataError: an id that cannot be hashed.
    """
    _check_key(key)
    jobs = [(ids[a:b], key) for a, b in _chunks(len(ids))]
    return _array(_spread(ristretto.key_pseudonyms, jobs, len(ids), pool))


def processors() -> int:
    """Processors that this process may use; in a container they are fewer than the machine has."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([there, *_limit])


_limit: list[int] = []


def limit_processors(count: int) -> None:
    """Let this process use at most so many from now on; for one of several that share a machine.

    It holds for pools that are made afterwards. ConfigError where ``count`` is below 1.
    """
    if count < 1:
        raise ConfigError(f"the number of processors is {count}; give at least 1")
    _limit[:] = [count]


def _chunks(n: int) -> list[tuple[int, int]]:
    return [(a, min(a + CHUNK, n)) for a in range(0, n, CHUNK)]


def _terms(seed: bytes, points: bytes, evaluated: bytes) -> list[tuple[bytes, int, bytes, bytes]]:
    """Tasks of the proofs: seed, index of the first point in its batch, blinded and evaluated points."""
    step = POINT * TERMS
    return [
        (seed, i // POINT % BATCH, points[i : i + step], evaluated[i : i + step])
        for i in range(0, len(points), step)
    ]


def _by_batch(parts: Sequence[T]) -> list[Sequence[T]]:
    """Results of the tasks of ``_terms``, those of one proof together."""
    per = BATCH // TERMS
    return [parts[i : i + per] for i in range(0, len(parts), per)]


def _sum(points: Sequence[bytes]) -> bytes:
    return functools.reduce(ristretto.add, points)


_WORK = "pseudonyms, in parts"


def _spread(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], n: int, pool: Executor | None
) -> list[T]:
    """``function`` on every job, in order: in this process, or in the pool if there is enough to do."""
    if pool is None or n < POOL_FROM:
        return [function(*job) for job in counted(_WORK, jobs)]
    futures = []
    try:
        futures = [pool.submit(function, *job) for job in jobs]
        return [future.result() for future in counted(_WORK, futures)]
    except BrokenExecutor as error:
        raise FedriskError(
            "a worker process of the alignment was lost, perhaps because memory ran out; free memory, or use "
            "fewer workers, and run the study again"
        ) from error
    finally:
        # After a refused point the rest is not worth computing.
        for future in futures:
            future.cancel()


def _array(parts: Sequence[bytes]) -> Pseudonyms:
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, 32)


def _count(points: bytes, what: str) -> int:
    if len(points) % POINT:
        raise ProtocolError(f"the {what} have {len(points)} bytes; it must be a multiple of {POINT}")
    return len(points) // POINT


def _check_key(key: bytes) -> None:
    if len(key) != POINT or not 0 < int.from_bytes(key, "little") < ORDER:
        raise ConfigError(
            f"the key of the epoch ({len(key)} bytes) is not a scalar in [1, order - 1] of {POINT} bytes; "
            "make one with new_key()"
        )
