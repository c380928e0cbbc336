"""The connection from a node to the hub's relay of scores: its files, its credentials, and its errors in words."""

from dataclasses import dataclass
from pathlib import Path

import grpc

from fedrisk.deploy.keys import node_public, private_pem
from fedrisk.deploy.node_home import NodeHome
from fedrisk.deploy.pki import check_client
from fedrisk.errors import ConfigError, EnvelopeError, FedriskError, LaterError, VersionError
from fedrisk.files import PUT_BACK, mark_of, read_kept
from fedrisk.protocol import scoring as rules

OPTIONS = (
    ("grpc.max_receive_message_length", rules.MOST_MESSAGE),
    ("grpc.max_send_message_length", rules.MOST_MESSAGE),
    # A connection that is dead is noticed within ten seconds.
    ("grpc.keepalive_time_ms", 5000),
    ("grpc.keepalive_timeout_ms", 4000),
    # Without this one a lost ping is waited for a minute.
    ("grpc.http2.ping_timeout_ms", 4000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # A hub that was restarted is found again soon; min is how long one try to connect may take.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 4000),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # Each stream begins with the files as they are now, so no connection is shared.
    ("grpc.use_local_subchannel_pool", 1),
)

Read = tuple[int, ...]
"""How files were when they were read (`files.mark_of`)."""


@dataclass(frozen=True, kw_only=True)
class Files:
    """What a node shows and trusts. address: HOST:PORT of the relay. name: of the institution.

    ca: certificates of the authorities. key: the node's P-384 key. certificate: the hub's certificate for it.
    """

    address: str
    name: str
    ca: Path
    key: Path
    certificate: Path

    @classmethod
    def of(cls, home: NodeHome, name: str) -> "Files":
        """Those of a node's folder; ConfigError where it knows no relay."""
        if home.scoring is None:
            raise ConfigError(
                f'node {home.path} knows no relay of scores; set scoring = "HOST:PORT" in its node.toml, as the hub\'s '
                "operator says it"
            )
        return cls(address=home.scoring, name=name, ca=home.ca, key=home.key, certificate=home.certificate)

    def read(self) -> Read:
        """How the files are now."""
        return mark_of(self.ca, self.key, self.certificate)

    def changed(self, read: Read) -> bool:
        """Whether they are others than they were, and can be used."""
        if self.read() == read:
            return False
        try:
            self.credentials()
        except FedriskError:
            # Half written, or a certificate that is still to come: the connection that stands is kept.
            return False
        return True

    def credentials(self) -> grpc.ChannelCredentials:
        """TLS with this node's certificate, for a server of one of the authorities alone.

        LaterError where there is no certificate for the present key yet; StoreError or EnvelopeError where a file is
        damaged.
        """
        if not self.certificate.exists():
            raise not_certified(self.name)
        ca, key, certificate = (read_kept(f, PUT_BACK) for f in (self.ca, self.key, self.certificate))
        try:
            check_client(certificate, ca, self.name, node_public(key))
        except EnvelopeError:
            raise not_certified(self.name) from None
        return grpc.ssl_channel_credentials(ca, private_pem(key), certificate)

    def channel(self) -> grpc.Channel:
        """A connection, made when it is used; errors as :meth:`credentials`."""
        return grpc.secure_channel(self.address, self.credentials(), OPTIONS)


def not_certified(name: str) -> LaterError:
    """There is no certificate for this node's key, or none that holds."""
    return LaterError(
        f"{name} has no certificate for scores that holds: the hub sends it with the roster while fedrisk node serve "
        "is connected, where its hub.toml says scoring; wait, or ask the hub's operator"
    )


def in_words(error: grpc.RpcError, files: Files) -> FedriskError:
    """A call that failed, as cause and remedy; LaterError for what passes."""
    status = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    if status == grpc.StatusCode.PERMISSION_DENIED:
        return EnvelopeError(
            f"the hub's relay of scores at {files.address} does not take {files.name}: it is not in the roster with "
            "this key, or was expelled; ask the hub's operator"
        )
    if status == grpc.StatusCode.FAILED_PRECONDITION:
        return VersionError(
            f"the hub's relay of scores at {files.address} speaks another version of the messages than this node "
            f"({rules.PROTOCOL}); run the same release of fedrisk on both sides"
        )
    if status == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return LaterError(
            f"the hub's relay of scores at {files.address} takes no more questions of {files.name} just now; ask fewer "
            "at a time"
        )
    if status == grpc.StatusCode.ABORTED:
        return LaterError(
            f"another process attends for {files.name} at the hub's relay of scores, on this machine or on another one "
            "with a copy of the folder; end one of them"
        )
    return LaterError(
        f"the hub's relay of scores at {files.address} does not answer ({status.name.lower()}); check the network and "
        "scoring in node.toml, or ask the hub's operator whether it runs"
    )
