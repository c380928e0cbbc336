"""The certificate by which the hub's relay of scores lets a node in: what it holds, said to the hub, and taken from it.

It comes with the roster, beside it. A hub that sent another's, or one that holds longer than it should, gains nothing:
it says which key calls, and who that is the relay takes from the roster.
"""

from typing import Any

from fedrisk.clients.node import Node
from fedrisk.deploy.documents import at
from fedrisk.deploy.keys import node_public
from fedrisk.deploy.node_home import NodeHome
from fedrisk.deploy.pki import check_client
from fedrisk.errors import EnvelopeError
from fedrisk.files import PUT_BACK, read_kept, write_atomic


def held(node: Node, home: NodeHome) -> dict[str, Any]:
    """The node's present key, and until when the certificate here holds for it; None where there is none that does."""
    public, until = node_public(read_kept(home.key, PUT_BACK)), None
    if home.certificate.exists():
        try:
            until = at(check_client(*_files(home), node.name, public))
        except EnvelopeError:
            until = None
    return {"key": public, "until": until}


def take(node: Node, home: NodeHome, certificate: str) -> None:
    """Keep a new certificate; EnvelopeError where it is not for this node's key and name, or of no known authority."""
    public = node_public(read_kept(home.key, PUT_BACK))
    raw = certificate.encode()
    check_client(raw, read_kept(home.ca, PUT_BACK), node.name, public)
    write_atomic(home.certificate, raw)


def _files(home: NodeHome) -> tuple[bytes, bytes]:
    return read_kept(home.certificate, PUT_BACK), read_kept(home.ca, PUT_BACK)
