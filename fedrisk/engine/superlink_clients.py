"""Talking to the hub's SuperLink from the hub's own programs: Control and Runtime over the socket file."""

import contextlib
import functools
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
from flwr.supercore.control.control_http_client import ControlHttpClient
from flwr.supercore.interceptors import RuntimeTokenHttpInterceptor, RuntimeVersionHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient

from fedrisk.errors import ConfigError, PeerError

SOCKET = "control.sock"
"""The socket file of Control and Runtime, in the hub's folder."""

PATIENCE = 60.0
"""Seconds for which a request to the hub's own SuperLink is tried again, while that starts anew."""

# To a socket file nothing goes over TLS: no authority is trusted, and none is read from the disk for each client.
_NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

T = TypeVar("T")


@functools.cache
def socket_path(folder: Path) -> str:
    """The socket's path, short enough for the system (107 bytes) wherever the hub's folder lies."""
    path = folder / SOCKET
    if len(os.fsencode(path)) <= 100:
        return str(path)
    # Stays open: the path goes through this process's handle of the folder.
    return f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)}/{SOCKET}"


def _http(folder: Path, timeout: float = 30.0) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=socket_path(folder), verify=_NO_AUTHORITIES)
    return httpx.Client(transport=transport, timeout=timeout, trust_env=False, verify=_NO_AUTHORITIES)


class _Control(ControlHttpClient):
    def __init__(self, folder: Path) -> None:
        version = RuntimeVersionHttpInterceptor(component_name="flwr CLI")
        super().__init__("http://hub", interceptors=[version], verify=_NO_AUTHORITIES)
        self._client.close()
        self._client = _http(folder)


class Runtime(RuntimeHttpClient):
    """Tries again while the SuperLink is not there, for `PATIENCE` seconds; then PeerError."""

    def __init__(self, folder: Path, token: str = "") -> None:
        version = RuntimeVersionHttpInterceptor(component_name="flwr-serverapp")
        secret = [RuntimeTokenHttpInterceptor(token=token)] if token else []
        super().__init__("http://hub", interceptors=[version, *secret], verify=_NO_AUTHORITIES)
        self._client.close()
        self._client = _http(folder)

    def _unary_unary(self, **arguments: Any) -> Any:
        deadline, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            try:
                return super()._unary_unary(**arguments)
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status < 500 or time.monotonic() > deadline:
                    raise PeerError(_LOST.format(f"{status} at {arguments['path']}")) from None
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise PeerError(_LOST.format(type(error).__name__)) from None
            time.sleep(pause)
            pause = min(pause * 2, 2.0)


_LOST = (
    "the hub's own Flower service gave up this run ({}): it was stopped, or hub serve was away for too long. What was "
    "released before stays charged"
)


class NotServing(ConfigError):
    """The hub's SuperLink does not run."""


def told(folder: Path, what: Callable[[ControlHttpClient], T]) -> T:
    """What Control answers; NotServing, or ConfigError with Flower's own words."""
    client = _Control(folder)
    try:
        return what(client)
    except httpx.TransportError:
        raise NotServing(
            f"no hub serves in {folder}; start it with fedrisk hub serve {folder}, and see its log where that fails"
        ) from None
    except httpx.HTTPStatusError as error:
        raise ConfigError(f"the hub's Flower service refused: {_words(error.response)}") from None
    finally:
        client.close()


def _words(response: httpx.Response) -> str:
    with contextlib.suppress(ValueError, AttributeError):
        said = response.json()
        return str(said.get("public_message") or said.get("message") or said.get("detail") or said)[:300]
    return f"status {response.status_code}"
