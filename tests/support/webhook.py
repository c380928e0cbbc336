"""A receiver of alerts that is real: HTTP or HTTPS on loopback, with a certificate of its own authority."""

import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedrisk.deploy.pki import new_authority, new_server


@dataclass
class Receiver:
    """statuses: that the next requests are answered with, 204 after these; what came is kept in order."""

    url: str
    ca: Path
    statuses: list[int] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.heard]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.heard]


@contextlib.contextmanager
def receiving(folder: Path, *, tls: bool = True, at: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver for as long as the block runs, whose certificate names 127.0.0.1. at: where it listens."""
    ca_key, ca = new_authority("a receiver")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.pem").write_bytes(ca)
    heard: Receiver

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = heard.statuses.pop(0) if heard.statuses else 204
            if 200 <= status < 300:
                heard.heard.append(({k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer((at, 0), Handler)
    if tls:
        key, certificate = new_server(ca_key, ca, "127.0.0.1:0")
        (folder / "server.pem").write_bytes(certificate + b"\n" + key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    heard = Receiver(f"{scheme}://{at}:{server.server_address[1]}/alerts?bank=1", folder / "ca.pem")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
