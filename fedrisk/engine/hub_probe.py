"""What a node sees of its hub before it speaks to it: who answers, how long its certificate holds, what time it is.

One request without content over TLS. Whoever looks learns the cause in words while it is still known: Flower reports a
clock that is wrong, a foreign key and an unregistered one all as 401, and a certificate as a broken connection.
"""

import contextlib
import email.utils
import http.client
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fedrisk.errors import ConfigError, EnvelopeError, FedriskError, LaterError, StoreError

MOST_AHEAD, MOST_BEHIND = 5.0, 300.0
"""Seconds by which a node's clock may differ from the hub's: Flower refuses signatures that are further off."""

_EXPIRED, _NOT_YET = 10, 9
_WRONG_NAME = (62, 64)


class ClockError(LaterError):
    """This machine's clock, or the hub's, is wrong: waiting here does not help."""


@dataclass(frozen=True)
class Seen:
    """A hub that answers. ahead: seconds by which this machine's clock is before the hub's, to about a second.

    certificate_until: when the hub's certificate expires.
    """

    ahead: float
    certificate_until: datetime


def trusted(ca: Path) -> ssl.SSLContext:
    """TLS that takes the certificate authorities of one file alone, be they one or two.

    ConfigError where the file holds none; StoreError where it cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=ca.read_text(encoding="ascii"))
    except (ssl.SSLError, ValueError):
        raise ConfigError(
            f"{ca} holds no certificate; put the consortium's CA there, as its kit or operator gives it"
        ) from None
    except OSError as error:
        raise StoreError(f"{ca} cannot be read: {error.strerror}; put it back from its copy") from None
    return context


def probe(address: str, ca: Path, *, timeout: float = 10.0) -> Seen:
    """Look at the hub at HOST:PORT.

    EnvelopeError where its certificate does not hold here; LaterError where nobody answers.
    """
    host, _, port = address.rpartition(":")
    context = trusted(ca)
    connection = http.client.HTTPSConnection(host.strip("[]"), int(port), timeout=timeout, context=context)
    began = time.time()
    try:
        connection.connect()
        until = _until(connection)
        connection.request("HEAD", "/", headers={"user-agent": "fedrisk"})
        date = connection.getresponse().headers.get("date")
    except (OSError, http.client.HTTPException) as error:
        raise in_words(error, address, ca) from None
    finally:
        connection.close()
    # The hub's time lies between the two moments, and its header is cut to whole seconds.
    ahead = seconds_ahead(date, at=(began + time.time()) / 2)
    if ahead is None:
        raise LaterError(f"what answers at {address} does not say what time it is; it is no hub of fedrisk")
    return Seen(ahead, until)


def seconds_ahead(date: str | None, *, at: float | None = None) -> float | None:
    """By how much this machine's clock is ahead of a ``Date`` header; None where the header says nothing.

    >>> seconds_ahead("Thu, 01 Jan 1970 00:01:00 GMT", at=65.5)
    5.0
    """
    with contextlib.suppress(ValueError, TypeError):
        said = email.utils.parsedate_to_datetime(str(date)).timestamp()
        return (time.time() if at is None else at) - said - 0.5
    return None


def check_clock(ahead: float, address: str, *, slack: float = 0.0) -> None:
    """ClockError where this machine's clock is too far from the hub's; ``slack``: so many seconds earlier."""
    if -MOST_BEHIND + slack <= ahead <= MOST_AHEAD - slack:
        return
    way = "ahead of" if ahead > 0 else "behind"
    raise ClockError(
        f"this machine's clock is {abs(ahead):.0f} s {way} that of the hub at {address}; at most {MOST_AHEAD:g} s "
        f"ahead and {MOST_BEHIND:g} s behind are taken. Set it (systemctl status systemd-timesyncd, chronyc tracking), "
        "or, where this one is right, tell the hub's operator"
    )


def in_words(error: BaseException, address: str, ca: Path) -> FedriskError:
    """A connection that failed, as cause and remedy: EnvelopeError for certificates, LaterError for the rest."""
    found = _certificate_error(error)
    if found is not None:
        return EnvelopeError(_certificate_in_words(found, address, ca))
    if isinstance(error, ssl.SSLError):
        return EnvelopeError(
            f"what answers at {address} speaks no TLS that this node could use; check address and port of the hub in "
            "node.toml, and that no proxy is in between"
        )
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return LaterError(
        f"the hub at {address} does not answer ({reason}); check the network and the address in node.toml, or ask the "
        "hub's operator whether it runs"
    )


def not_admitted(address: str) -> EnvelopeError:
    """The hub knows no such key."""
    return EnvelopeError(
        f"the hub at {address} does not take this node's key: it was never admitted there, or was expelled. Send the "
        "hub's operator the request of fedrisk node init, and compare the words by another channel"
    )


def not_taken(address: str) -> EnvelopeError:
    """The hub does not say why it does not take the key of a node that it never took before."""
    return EnvelopeError(
        f"the hub at {address} does not take this node's key: it was not admitted there, or another process serves it "
        "already. Send the hub's operator the request of fedrisk node init and compare the words by another channel; "
        "or end the other process"
    )


def two_with_one_key(address: str) -> EnvelopeError:
    """Another process is connected under the key."""
    return EnvelopeError(
        f"another process serves this node's key at the hub at {address}, on this machine or on another one with a "
        "copy of the folder. An institution has one node and one ledger: end the other one, or this copy"
    )


def _certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _certificate_in_words(error: ssl.SSLCertVerificationError, address: str, ca: Path) -> str:
    if error.verify_code in (_EXPIRED, _NOT_YET):
        state = "has expired" if error.verify_code == _EXPIRED else "is not valid yet"
        return (
            f"the certificate of the hub at {address} {state}: have its operator make a new one. Where this machine's "
            f"clock is wrong (it says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC), set that first"
        )
    if error.verify_code in _WRONG_NAME:
        return (
            f"the certificate of what answers at {address} is for another name; put the hub's address into node.toml "
            "as the kit has it, or have the hub's operator make a certificate for this one"
        )
    return (
        f"the certificate of what answers at {address} comes from a foreign authority: none of those in {ca} signed "
        "it. It is another server, or the consortium has a new CA: compare its fingerprint with the hub's operator by "
        "another channel, and nothing else"
    )


def _until(connection: http.client.HTTPSConnection) -> datetime:
    certificate = connection.sock.getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
