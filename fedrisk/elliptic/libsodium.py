"""The library libsodium (Denis et al.), loaded once in a process, when it is first asked for.

This module imports nothing heavy, so that a worker process starts quickly.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from pathlib import Path

from fedrisk.errors import ConfigError

_FUNCTIONS = {
    "crypto_core_ristretto255_from_hash": 2,
    "crypto_scalarmult_ristretto255": 3,
    "crypto_scalarmult_ristretto255_base": 2,
    "crypto_core_ristretto255_add": 3,
    "crypto_core_ristretto255_is_valid_point": 1,
    "crypto_core_ristretto255_scalar_mul": 3,
    "crypto_core_ristretto255_scalar_sub": 3,
    # Of the curve under the group, for sums of many products.
    "crypto_core_ed25519_add": 3,
}


@functools.cache
def libsodium() -> ctypes.PyDLL:
    """The library libsodium through ctypes; no other code touches another package's private parts.

    The wheel ``rbcl`` carries a libsodium with ristretto255, but its public functions make new objects for
    every point, and offer no way to work inside one buffer. It keeps the loaded library in the private
    ``rbcl._sodium``. Where a version of rbcl keeps it elsewhere, the distribution's ``libsodium.so.23``
    (1.0.18 or later) is used instead. rbcl unpacks the library into a temporary file at every import and
    leaves it there; once loaded the file is not needed, so it is removed.

    It is loaded by ``PyDLL`` instead of rbcl's ``CDLL``: a call of 50 microseconds need not release the
    interpreter lock, and a thread that releases it at every call gets it back only after another thread's
    time slice.

    Raises:
        ConfigError: no libsodium with ristretto255 on this machine.
    """
    for load in (_from_rbcl, _from_distribution):
        with contextlib.suppress(ImportError, AttributeError, OSError):
            library = load()
            for name, count in _FUNCTIONS.items():
                function = getattr(library, name)
                function.argtypes = (ctypes.c_void_p,) * count
                function.restype = ctypes.c_int
            # A result of 1 means that the library was initialised before.
            if library.sodium_init() >= 0:
                return library
    raise ConfigError(
        "no libsodium with ristretto255 found; install the wheel rbcl, or the distribution's libsodium23"
    )


def _from_rbcl() -> ctypes.PyDLL:
    # Slow to load, both: the one brings a debugger with it.
    import tempfile

    import rbcl

    loaded = rbcl._sodium
    if not isinstance(loaded, ctypes.CDLL):
        # It is the module of that name, which rbcl has not rebound to the library.
        loaded = loaded._sodium
    library = ctypes.PyDLL(loaded._name, handle=loaded._handle)
    unpacked = Path(loaded._name)
    if os.name == "posix" and unpacked.parent == Path(tempfile.gettempdir()):
        with contextlib.suppress(OSError):
            unpacked.unlink()
    return library


def _from_distribution() -> ctypes.PyDLL:
    return ctypes.PyDLL("libsodium.so.23")
