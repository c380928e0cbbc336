"""Memory that a long-lived process has freed goes back to the system at once."""

import contextlib
import ctypes

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
_LARGE = 1 << 20


def return_memory() -> None:
    """Have the C library map large blocks by themselves and keep few arenas (mallopt(3)); nothing where it cannot.

    Chunks of 5 MB that several threads allocate and free stay in the process otherwise, a multiple of a message.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_ARENA_MAX, 2)
