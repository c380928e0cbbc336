"""What stands before every request to a bank's local service: name, origin, size, time, number, and headers.

The service listens on this machine alone, and any page in a browser of this machine could call it. So a request has to
name the service by its own address (against DNS rebinding), must not come from another page, and needs the token, which
no other page has. Answers allow no other page to read or frame them, and the pages load nothing from elsewhere
(Content Security Policy 3).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, Final

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MOST_BYTES: Final = 8 << 20
"""Most bytes of a request: 1000 enterprises, each with a consent and values."""

MOST_AT_ONCE: Final = 64
"""Most requests that are answered at once."""

SECONDS: Final = 10.0
"""Seconds within which a request has to arrive."""

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
)

Refused = Callable[[str], tuple[int, bytes]]
"""Status and body, as JSON, for a code of codes.SERVICE."""


class Guard:
    """An ASGI application before another one."""

    def __init__(
        self,
        app: App,
        *,
        names: Collection[str],
        refused: Refused,
        signed_in: Callable[[bytes], bool],
        open_paths: Collection[str],
    ) -> None:
        """names: HOST:PORT under which the service may be asked. signed_in: whether a token is the service's.

        open_paths: below /v1/, those that need neither a token nor a free place.
        """
        self._app, self._refused, self._signed_in = app, refused, signed_in
        self._names = {name.lower().encode() for name in names}
        self._origins = {
            f"{scheme}://{name.lower()}".encode() for scheme in ("http", "https") for name in names
        }
        self._open, self._running = frozenset(open_paths), 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request; what does not fit is refused before anything else looks at it."""
        if scope["type"] != "http":
            # Start and end of the application; there are no web sockets.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = _with_headers(send)
        code = self._wrong(scope)
        if code:
            await self._refuse(code, send)
            return
        counted = scope["path"] not in self._open
        self._running += counted
        try:
            await self._served(scope, receive, send)
        finally:
            self._running -= counted

    def _wrong(self, scope: Message) -> str:
        """Code of what is wrong with a request's head; empty where nothing is."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        if self._is_foreign(scope, headers):
            return "host"
        # Before the body is read: whoever has no token learns nothing of how requests are taken.
        if scope["path"].startswith("/v1/") and scope["path"] not in self._open and not self._is_in(headers):
            return "token"
        length = headers.get(b"content-length", [b"0"])[0]
        if not length.isdigit() or int(length) > MOST_BYTES:
            return "large"
        return "busy" if self._running >= MOST_AT_ONCE and scope["path"] not in self._open else ""

    def _is_foreign(self, scope: Message, headers: dict[bytes, list[bytes]]) -> bool:
        """Whether it is asked under another name than its own, or by another page."""
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._names:
            return True
        if any(origin.lower() not in self._origins for origin in headers.get(b"origin", [])):
            return True
        # A link in another page opens this one's, which is the same for everybody and holds nothing.
        opens = scope["method"] == "GET" and headers.get(b"sec-fetch-mode") == [b"navigate"]
        return not opens and headers.get(b"sec-fetch-site", [b"none"])[0] not in (b"none", b"same-origin")

    def _is_in(self, headers: dict[bytes, list[bytes]]) -> bool:
        given = headers.get(b"authorization", [b""])
        scheme, _, token = given[0].partition(b" ")
        return len(given) == 1 and scheme.lower() == b"bearer" and self._signed_in(token.strip())

    async def _served(self, scope: Message, receive: Receive, send: Send) -> None:
        """Take the whole body first, within its limits, then let the application answer."""
        try:
            async with asyncio.timeout(SECONDS):
                body = await _body(receive)
        except TimeoutError:
            await self._refuse("slow", send)
            return
        if body is None:
            await self._refuse("large", send)
            return
        given = False

        async def again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        # An unforeseen error was answered by then, and is in the institution's own log.
        with contextlib.suppress(Exception):
            await self._app(scope, again, send)

    async def _refuse(self, code: str, send: Send) -> None:
        status, body = self._refused(code)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode()),
        ]
        if code == "token":
            headers.append((b"www-authenticate", b"Bearer"))
        if code == "busy":
            headers.append((b"retry-after", b"1"))
        if code in ("large", "slow"):
            # What is still on its way is not read.
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _with_headers(send: Send) -> Send:
    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in HEADERS} | {b"server"}
            kept = [(n, v) for n, v in message.get("headers", []) if n.lower() not in ours]
            message = {**message, "headers": [*kept, *HEADERS]}
        await send(message)

    return out
