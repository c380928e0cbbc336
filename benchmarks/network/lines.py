"""Network namespaces for machines on one, each on a line of its own with a bandwidth and a delay.

Where the kernel has netem, ``tc netem`` makes the line. Where it has not, packets of a tun device at each end are carried
by a process of this file, which gives each its time: behind the one before it at the line's rate, then the delay. TCP runs
over it as over a real line; the queue has 1,000 packets, as netem's has.

    python benchmarks/network/lines.py       # what this machine can do, and a ping and a download over such a line
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
NEW_NETWORK = 0x40000000
TUN = (0x400454CA, 0x0001 | 0x1000)
"""TUNSETIFF, and a device of packets without a header."""
MTU, QUEUE = 1500, 1000
_libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """What this machine lacks for network namespaces, with the remedy."""


@dataclass(frozen=True)
class Line:
    """Megabits a second each way, and milliseconds there and back together; 0 of both: nothing is held up."""

    megabits: float
    milliseconds: float


def own_namespace() -> None:
    """Give this process, before it has threads, a network and mounts of its own: nothing is left when it ends."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Missing(
            "network namespaces need root on Linux; run it as root, or in a container that may (CAP_SYS_ADMIN)"
        )
    if _libc.unshare(NEW_NETWORK | 0x00020000):
        raise Missing(
            f"this machine gives no namespaces ({os.strerror(ctypes.get_errno())}); allow CAP_SYS_ADMIN"
        )
    for words in (
        "mount --make-rprivate /",
        "mkdir -p /run/netns",
        "mount -t tmpfs none /run/netns",
        "ip link set lo up",
    ):
        ip(words)


def ip(words: str) -> str:
    """Run a command of a few words; Missing where it fails."""
    try:
        done = subprocess.run(words.split(), capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Missing(f"{words.split()[0]} is not installed; install iproute2") from error
    if done.returncode:
        raise Missing(f"{words}: {done.stderr.strip()}")
    return done.stdout


def inside(name: str, do: Callable[[], T]) -> T:
    """Do something in a thread of a named namespace."""
    found: list[Any] = []

    def work() -> None:
        with open(f"/run/netns/{name}") as handle:
            if _libc.setns(handle.fileno(), NEW_NETWORK):
                found.append(Missing(f"namespace {name} cannot be entered"))
                return
        try:
            found.append(do())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]  # type: ignore[no-any-return]


def has_netem() -> bool:
    """Whether the kernel has netem; tried on a device of this process's own network."""
    try:
        ip("tc qdisc add dev lo root netem delay 1ms")
    except Missing:
        return False
    ip("tc qdisc del dev lo root")
    return True


class Lines:
    """Namespaces by name, each with a line to this process's network. Use it in a ``with`` block.

    The hub's side of line k is 10.93.k.1, and that of the namespace 10.93.k.2; the hub's address for all is 10.93.0.1.
    """

    HUB = "10.93.0.1"

    def __init__(self, names: list[str], line: Line) -> None:
        self.names, self.line = names, line
        self.by = "netem" if has_netem() else "tun"
        self._carrier: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Lines:
        ip(f"ip addr add {self.HUB}/32 dev lo")
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
        for name in self.names:
            ip(f"ip netns add {name}")
        if self.by == "netem":
            self._veth()
        else:
            self._tun()
        for k, name in enumerate(self.names, 1):
            ip(f"ip addr add 10.93.{k}.1 peer 10.93.{k}.2 dev line{k}")
            ip(f"ip link set line{k} mtu {MTU} txqueuelen {QUEUE} up")
            within = f"ip netns exec {name} "
            for words in (
                "ip link set lo up",
                f"ip addr add 10.93.{k}.2 peer 10.93.{k}.1 dev up{k}",
                f"ip link set up{k} mtu {MTU} txqueuelen {QUEUE} up",
                f"ip route add {self.HUB} via 10.93.{k}.1 dev up{k}",
            ):
                ip(within + words)
        return self

    def __exit__(self, *_: object) -> None:
        if self._carrier is not None:
            self._carrier.terminate()
            self._carrier.wait()
        ip(f"ip addr del {self.HUB}/32 dev lo")
        for k, name in enumerate(self.names, 1):
            subprocess.run(["ip", "link", "del", f"line{k}"], capture_output=True)
            ip(f"ip netns del {name}")

    def change(self, line: Line) -> None:
        """Another bandwidth and delay from now on."""
        self.line = line
        if self.by == "netem":
            for k, name in enumerate(self.names, 1):
                ip(f"tc qdisc replace dev line{k} root {self._netem()}")
                ip(f"ip netns exec {name} tc qdisc replace dev up{k} root {self._netem()}")
        else:
            assert self._carrier is not None and self._carrier.stdin is not None
            self._carrier.stdin.write(f"{line.megabits} {line.milliseconds}\n".encode())
            self._carrier.stdin.flush()
            time.sleep(0.2)

    def moved(self) -> dict[str, tuple[int, int]]:
        """Bytes to the hub and from the hub so far, by namespace, packets' heads included."""
        out = {}
        for k, name in enumerate(self.names, 1):
            (about,) = json.loads(ip(f"ip -s -j link show line{k}"))
            out[name] = (about["stats64"]["rx"]["bytes"], about["stats64"]["tx"]["bytes"])
        return out

    def _netem(self) -> str:
        if not (self.line.megabits or self.line.milliseconds):
            return "pfifo limit 1000"
        return f"netem delay {self.line.milliseconds / 2}ms rate {self.line.megabits}mbit limit {QUEUE}"

    def _veth(self) -> None:
        for k, name in enumerate(self.names, 1):
            ip(f"ip link add line{k} type veth peer name up{k} netns {name}")
            ip(f"tc qdisc add dev line{k} root {self._netem()}")
            ip(f"ip netns exec {name} tc qdisc add dev up{k} root {self._netem()}")

    def _tun(self) -> None:
        pairs = []
        for k, name in enumerate(self.names, 1):
            pairs += [tun(f"line{k}"), inside(name, lambda k=k: tun(f"up{k}"))]  # type: ignore[misc]
        words = [sys.executable, __file__, "--carry", *map(str, pairs)]
        self._carrier = subprocess.Popen(words, pass_fds=pairs, stdin=subprocess.PIPE)
        for one in pairs:
            os.close(one)
        self.change(self.line)


def tun(name: str) -> int:
    """A device in the network of this thread; a descriptor that gives and takes its packets."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUN[0], struct.pack("16sH", name.encode(), TUN[1]))
    return descriptor


class _Way:
    """One direction of one line: packets that wait, with the moments at which they are due."""

    def __init__(self, source: int, target: int) -> None:
        self.source, self.target = source, target
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.free = 0.0

    def take(self, now: float, second_a_byte: float, delay: float) -> None:
        """Take what came, each behind the one before; a full queue loses it."""
        for _ in range(64):
            try:
                packet = os.read(self.source, 2 * MTU)
            except BlockingIOError:
                return
            except OSError:
                return
            if len(self.waiting) < QUEUE or not second_a_byte:
                self.free = max(now, self.free) + len(packet) * second_a_byte
                self.waiting.append((self.free + delay, packet))

    def give(self, now: float) -> float:
        """Hand on what is due; the moment at which the next one is."""
        while self.waiting and self.waiting[0][0] <= now:
            try:
                os.write(self.target, self.waiting.popleft()[1])
            except OSError:
                continue
        return self.waiting[0][0] if self.waiting else float("inf")


def carry(descriptors: list[int]) -> None:
    """Carry packets between pairs of devices until the end; standard input says bandwidth and delay."""
    ways = [
        _Way(a, b)
        for k in range(0, len(descriptors), 2)
        for a, b in (descriptors[k : k + 2], descriptors[k : k + 2][::-1])
    ]
    by_source = {way.source: way for way in ways}
    second_a_byte = delay = 0.0
    while True:
        now = time.monotonic()
        due = min(way.give(now) for way in ways)
        ready, _, _ = select.select([*by_source, 0], [], [], max(0.0, min(due - time.monotonic(), 1.0)))
        now = time.monotonic()
        for one in ready:
            if one == 0:
                said = sys.stdin.readline().split()
                if not said:
                    return
                megabits, milliseconds = map(float, said)
                second_a_byte, delay = (8e-6 / megabits if megabits else 0.0), milliseconds / 2000
            else:
                by_source[one].take(now, second_a_byte, delay)


def tried(lines: Lines, name: str, megabytes: int = 20) -> dict[str, float]:
    """What a line is like: milliseconds of a handshake, megabits a second of one download over TCP."""
    with socket.create_server((Lines.HUB, 0)) as server:

        def serve() -> None:
            for _ in range(2):
                taken, _ = server.accept()
                with taken:
                    taken.sendall(bytes(megabytes << 20))

        def ask() -> dict[str, float]:
            began = time.monotonic()
            with socket.create_connection((Lines.HUB, server.getsockname()[1])) as s:
                shaken = time.monotonic() - began
                while s.recv(1 << 16):
                    pass
            seconds = time.monotonic() - began
            return {
                "handshake_ms": round(1000 * shaken, 1),
                "megabits": round(megabytes * 8.389 / seconds, 1),
            }

        threading.Thread(target=serve, daemon=True).start()
        inside(name, ask)
        return inside(name, ask)


def main() -> int:
    """Try it."""
    if sys.argv[1:2] == ["--carry"]:
        carry([int(word) for word in sys.argv[2:]])
        return 0
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    try:
        own_namespace()
        with Lines(["one"], Line(100, 50)) as lines:
            for megabits, milliseconds in ((0, 0), (100, 50), (20, 200)):
                lines.change(Line(megabits, milliseconds))
                print(f"{lines.by}, {megabits} Mb/s and {milliseconds} ms: {tried(lines, 'one')}")
    except Missing as why:
        print(f"not here: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
