"""What a service tells systemd: that it is ready, that it is alive, that it stops (sd_notify(3), a datagram a state).

Nothing happens where ``$NOTIFY_SOCKET`` is not set: outside systemd all functions return False.

    notify.ready("12 institutions")       once, when the first connection stands
    notify.alive("a study is running")    in the main loop, at least every `notify.every()` seconds
    notify.stopping()                     when SIGTERM came, before the message in hand is finished
"""

import os
import socket
from typing import Final

VARIABLE: Final = "NOTIFY_SOCKET"


def send(*states: str) -> bool:
    """Send states such as "READY=1" to the supervisor; whether there is one that took them."""
    address = os.environ.get(VARIABLE, "")
    if not address.startswith(("/", "@")):
        return False
    # A leading @ stands for the zero byte of an abstract socket.
    path = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.setblocking(False)
        try:
            s.sendto("\n".join(states).encode(), path)
        except OSError:
            return False
    return True


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())


def ready(status: str = "") -> bool:
    """Ready to work; ``status`` is shown by systemctl status."""
    return send("READY=1", _status(status))


def alive(status: str | None = None) -> bool:
    """Still at work: resets the watchdog."""
    return send("WATCHDOG=1", *([] if status is None else [_status(status)]))


def stopping() -> bool:
    """About to end, after what is in hand."""
    return send("STOPPING=1")


def every() -> float | None:
    """Seconds between two calls of :func:`alive`, half of what the watchdog waits; None without a watchdog."""
    text, owner = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(text) / 2e6
