"""Where a bank's alerts go: a file of its own, an address of its own, a program of its own.

What a sink has not taken is kept, and given again at the next run: each alert comes at least once, under the same id.
Nothing of an alert stands in an error or a log.

A webhook gets one request for each alert, with the headers and signature of Standard Webhooks (standardwebhooks.com,
2023): ``webhook-id`` is the alert's id, by which the receiver drops what it has; ``webhook-timestamp`` the seconds
since 1970; ``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 (RFC 2104) over ``id.timestamp.body`` under
the key in the bank's file.
"""

import base64
import binascii
import contextlib
import hmac
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol
from urllib.parse import urlsplit

from fedrisk.data.place import expand
from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import private_append, private_file, read_kept
from fedrisk.institution import Institution
from fedrisk.watch_rules import WatchRules, Webhook
from fedrisk.watching.alerts import Alert

FORMAT: Final = 1
"""Version of what receivers get."""

TRIES: Final = 5
PAUSES: Final = (0.5, 8.0)
"""Tries of one request, and shortest and longest seconds between two."""

PASSING: Final = (408, 425, 429)
"""Statuses below 500 after which a request is tried again."""

TOGETHER: Final = 50
"""Alerts that are entered as delivered at a time."""

OF_THE_WAY = (401, 403, 404, 405, 407, 410, 421)
"""Statuses that speak of address or credentials, and not of the alert: it waits, as where the receiver is away."""

MOST_OF_THE_WAY = 20
"""So many of them in a row, and the receiver is asked no further in this run."""

Took = Callable[[Sequence[Alert]], None]
"""Called once a sink has taken alerts for good."""

Refused = Callable[[Alert, str], None]
"""Called where a sink refuses one alert, with the reason; nothing of the alert is in it."""


@dataclass(frozen=True)
class Undelivered:
    """Alerts that a sink has not taken. waiting: until the next run. refused: in this run, until somebody sends them.

    reason: why, without anything of them.
    """

    waiting: int
    refused: int
    reason: str


class Sink(Protocol):
    """Takes alerts."""

    @property
    def name(self) -> str:
        """file, webhook or command."""
        ...

    def give(self, alerts: Sequence[Alert], *, bank: str, watch: str, took: Took, refused: Refused) -> str:
        """Take alerts in their order; why it did not take all. Never raises for the other side's faults.

        Those that are told neither as taken nor as refused wait.
        """
        ...


def sinks_of(institution: Institution, rules: WatchRules) -> list[Sink]:
    """The sinks of a bank; relative paths begin at its file's folder. ConfigError where a named file is not there."""
    out: list[Sink] = []
    if rules.file is not None:
        out.append(FileSink(_path(institution, rules.file)))
    if rules.webhook is not None:
        out.append(WebhookSink.of(institution, rules.webhook))
    if rules.command:
        out.append(CommandSink(rules.command, institution.folder, rules.seconds))
    return out


def message(alert: Alert, bank: str, watch: str) -> bytes:
    """What a receiver gets of one alert: JSON, UTF-8."""
    said = {"format": FORMAT, "bank": bank, "watch": watch, **alert.to_dict()}
    return json.dumps(said, sort_keys=True, ensure_ascii=False).encode()


@dataclass(frozen=True)
class FileSink:
    """Appends a line of JSON for each alert to a file for its owner alone; one that it has is not written again."""

    path: Path
    name: str = "file"

    def give(self, alerts: Sequence[Alert], *, bank: str, watch: str, took: Took, refused: Refused) -> str:
        """All of them, or none."""
        if self.path.is_symlink() or (self.path.exists() and not self.path.is_file()):
            return f"watch.file: {self.path} is a link or no plain file; name the file itself"
        try:
            there = self._ids()
            lines = [message(a, bank, watch) + b"\n" for a in alerts if a.id not in there]
            private_file(self.path)
            with private_append(self.path) as handle:
                if self.path.stat().st_size and not self.path.read_bytes().endswith(b"\n"):
                    os.write(handle, b"\n")
                left = memoryview(b"".join(lines))
                while left:
                    left = left[os.write(handle, left) :]
                os.fsync(handle)
        except OSError as error:
            return f"{self.path} cannot be written: {error.strerror}; check space and permissions"
        except StoreError as error:
            return str(error)
        took(alerts)
        return ""

    def _ids(self) -> set[str]:
        if not self.path.exists():
            return set()
        found = set()
        for line in self.path.read_bytes().splitlines():
            try:
                found.add(str(json.loads(line)["id"]))
            except (ValueError, TypeError, KeyError):
                # Cut off when a process was killed, or of the bank's own making.
                continue
        return found


@dataclass(frozen=True)
class CommandSink:
    """Runs a program of the bank's own, without a shell, with ``{"alerts": [...]}`` on its standard input."""

    command: Sequence[str]
    folder: Path
    seconds: float
    name: str = "command"

    def give(self, alerts: Sequence[Alert], *, bank: str, watch: str, took: Took, refused: Refused) -> str:
        """All of them where it ends with 0, else none. What it prints is not kept: it may hold ids."""
        content = b'{"alerts": [' + b", ".join(message(a, bank, watch) for a in alerts) + b"]}\n"
        program = self.command[0]
        try:
            ended = self._ran(content)
        except subprocess.TimeoutExpired:
            return f"watch.command: {program} did not end within {self.seconds:g} seconds and was ended"
        except OSError as error:
            return f"watch.command: {program} cannot be started: {error.strerror}; check the path"
        if ended:
            return f"watch.command: {program} ended with {ended}; it takes alerts by ending with 0"
        took(alerts)
        return ""

    def _ran(self, content: bytes) -> int:
        """With which status the program ended. What it started ends with it where it takes too long."""
        quiet = subprocess.DEVNULL
        command, pipe = list(self.command), subprocess.PIPE
        with subprocess.Popen(
            command, stdin=pipe, stdout=quiet, stderr=quiet, cwd=self.folder, process_group=0
        ) as child:
            try:
                child.communicate(content, timeout=self.seconds)
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                raise
            return child.returncode


@dataclass(frozen=True)
class _Answer:
    """taken; refused, this alert alone; way: of address or credentials; away: nothing more can be told in this run."""

    kind: Literal["taken", "refused", "way", "away"]
    reason: str


@dataclass(frozen=True)
class WebhookSink:
    """Posts alerts to an address, over TLS that is verified, or in the clear on this machine."""

    host: str
    port: int
    path: str
    context: ssl.SSLContext | None
    token: str
    key: bytes
    seconds: float
    name: str = "webhook"
    pauses: tuple[float, float] = PAUSES

    @classmethod
    def of(cls, institution: Institution, said: Webhook) -> "WebhookSink":
        """The webhook of a bank's file; ConfigError where a file that it names cannot be used."""
        parts = urlsplit(said.url)
        context = None
        if parts.scheme == "https":
            ca = None if said.ca is None else _path(institution, said.ca)
            try:
                context = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError):
                raise ConfigError(
                    f"watch.webhook.ca: {ca} cannot be read as certificates; name a PEM file"
                ) from None
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        port = parts.port or (443 if context is not None else 80)
        token = "" if said.token is None else _token(institution, said.token)
        key = b"" if said.key is None else _hmac_key(_secret(institution, said.key, "key"))
        return cls(parts.hostname or "", port, path, context, token, key, said.seconds)

    def give(self, alerts: Sequence[Alert], *, bank: str, watch: str, took: Took, refused: Refused) -> str:
        """One request for each, until the receiver is away; one that it refuses holds back no other."""
        done: list[Alert] = []
        reason, of_the_way = "", 0
        with self._connection() as connection:
            for alert in alerts:
                answer = self._posted(connection, alert.id, message(alert, bank, watch))
                reason = answer.reason or reason
                of_the_way = of_the_way + 1 if answer.kind == "way" else 0
                if answer.kind == "refused":
                    refused(alert, answer.reason)
                elif answer.kind == "away" or of_the_way >= MOST_OF_THE_WAY:
                    break
                elif answer.kind == "taken":
                    done.append(alert)
                if len(done) >= TOGETHER:
                    took(done)
                    done = []
        took(done)
        return reason

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        made: http.client.HTTPConnection
        if self.context is None:
            made = http.client.HTTPConnection(self.host, self.port, timeout=self.seconds)
        else:
            made = http.client.HTTPSConnection(
                self.host, self.port, timeout=self.seconds, context=self.context
            )
        with closing(made):
            yield made

    def _posted(self, connection: http.client.HTTPConnection, id: str, body: bytes) -> "_Answer":
        """Post one alert, with patience."""
        where, pause, reason = f"watch.webhook: {self.host}:{self.port}", self.pauses[0], ""
        for tried in range(TRIES):
            if tried:
                time.sleep(pause)
                pause = min(2 * pause, self.pauses[1])
            try:
                status = self._once(connection, id, body)
            except ssl.SSLCertVerificationError as error:
                reason = f"has a certificate that does not hold ({error.verify_message}); nothing was sent"
                return _Answer("away", f"{where} {reason}")
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                reason = (
                    f"{where} cannot be reached ({type(error).__name__}); see that it runs and is allowed out"
                )
                continue
            if 200 <= status < 300:
                return _Answer("taken", "")
            if status in OF_THE_WAY:
                return _Answer("way", f"{where} answered {status}; check watch.webhook, its url and token")
            reason = f"{where} answered {status}; see what its own log says"
            if status < 500 and status not in PASSING:
                return _Answer("refused" if status >= 400 else "away", reason)
        return _Answer("away", reason)

    def _once(self, connection: http.client.HTTPConnection, id: str, body: bytes) -> int:
        now = str(int(time.time()))
        headers = {"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": now}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.key:
            headers["webhook-signature"] = signature(self.key, id, now, body)
        if connection.sock is None:
            connection.connect()
        with _within(connection.sock, self.seconds):
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            # Read to its end, so that the connection serves the next request; redirections are not followed.
            answer.read(1 << 20)
        if not answer.isclosed():
            connection.close()
        return answer.status


@contextmanager
def _within(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Cut a connection off after so many seconds: its own limit is of one read, and an answer may come by the byte."""
    late = threading.Event()

    def cut() -> None:
        late.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if late.is_set():
        # Half an answer may read as a whole one.
        raise TimeoutError


def signature(key: bytes, id: str, timestamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` of a request.

    >>> signature(b"secret", "msg_1", "1700000000", b"{}")[:3]
    'v1,'
    """
    mac = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}"


def _hmac_key(raw: bytes) -> bytes:
    """A key as Standard Webhooks writes it (``whsec_`` and base64), or the file's bytes as they are."""
    if raw.startswith(b"whsec_"):
        try:
            raw = base64.b64decode(raw[6:], validate=True)
        except binascii.Error:
            raise ConfigError("watch.webhook.key: after whsec_ comes no base64; write the key anew") from None
    if len(raw) < 24:
        raise ConfigError(
            "watch.webhook.key is shorter than 24 bytes, and could be guessed; write a random one"
        )
    return raw


def _token(institution: Institution, said: str) -> str:
    raw = _secret(institution, said, "token")
    if not raw.isascii() or not raw.decode("ascii").isprintable():
        raise ConfigError(f"watch.webhook.token: {said} holds more than plain letters; write the token anew")
    return raw.decode("ascii")


def _secret(institution: Institution, said: str, key: str) -> bytes:
    try:
        raw = read_kept(_path(institution, said), "name the file that the receiver's people gave you").strip()
    except StoreError as error:
        raise ConfigError(f"watch.webhook.{key}: {error}") from None
    if not raw or b"\n" in raw or b"\r" in raw:
        raise ConfigError(f"watch.webhook.{key}: {said} holds not one line; write it alone into the file")
    return raw


def _path(institution: Institution, said: str) -> Path:
    return institution.folder / Path(expand(said)).expanduser()
