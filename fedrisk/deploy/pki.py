"""The consortium's own certificate authority, the hub's certificate and those of nodes: X.509 (RFC 5280) on P-384.

Nodes trust this authority alone, none of the system's. Its key stays at the hub. It signs the certificate of the hub's
server, and one for each node's key, by which the hub's relay of scores knows who calls (server/score_members). An
authority is renewed one period ahead: the next one is handed out (``ca.pem`` then holds two) long before the server's
certificate is signed by it.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedrisk.deploy.keys import node_key
from fedrisk.errors import ConfigError, EnvelopeError, StoreError

AUTHORITY_DAYS = 1826
"""Five years."""

SERVER_DAYS = 397
"""A year and a month, as browsers allow."""

CLIENT_DAYS = 90
"""Of a node's certificate: what is lost with it is lost for a season, and who is expelled is out at once anyway."""

CLIENT_AHEAD_DAYS = 30
"""A node whose certificate holds for less gets the next one."""

AHEAD_DAYS = 30
"""How long the next authority is handed out before the server's certificate is signed by it."""

_EARLIER = timedelta(days=1)
"""Certificates begin so much before they are made: clocks of nodes may be behind."""


def new_authority(
    consortium: str, *, days: float = AUTHORITY_DAYS, begin: datetime | None = None
) -> tuple[bytes, bytes]:
    """A fresh authority: private key and certificate, both PEM. It signs the hub's server and the keys of nodes."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"fedrisk {consortium}"[:64])])
    built = (
        _builder(name, name, key, days, begin)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _private_pem(key), built.sign(key, hashes.SHA384()).public_bytes(Encoding.PEM)


def new_server(
    authority_key: bytes,
    authority: bytes,
    address: str,
    *,
    also: Sequence[str] = (),
    days: float = SERVER_DAYS,
    begin: datetime | None = None,
) -> tuple[bytes, bytes]:
    """A server's key and certificate, both PEM, signed by an authority.

    It holds for the public address HOST:PORT, for those of ``also`` (the relay of scores may have another host), and
    for the loopback of its own machine, where a port may be forwarded. Never longer than the authority.
    """
    signer, above = _authority_key(authority_key), certificates(authority)[0]
    key = ec.generate_private_key(ec.SECP384R1())
    hosts = [one.rpartition(":")[0].strip("[]") for one in (address, *also)]
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fedrisk hub")])
    known = dict.fromkeys(_general_name(host) for host in (*hosts, "localhost", "127.0.0.1"))
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    built = (
        _builder(own, above.subject, key, days, begin, until=above.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(known), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(issuer, critical=False)
    )
    return _private_pem(key), built.sign(signer, hashes.SHA384()).public_bytes(Encoding.PEM)


def new_client(
    authority_key: bytes,
    authority: bytes,
    name: str,
    public: str,
    *,
    days: float = CLIENT_DAYS,
    begin: datetime | None = None,
) -> bytes:
    """A certificate (PEM) for a node's public P-384 key, as OpenSSH writes it; its common name is the member's.

    For calling alone (clientAuth), never longer than the authority. Whether its bearer is a member says the roster, not
    the certificate. ValueError where it is no such key.
    """
    signer, above = _authority_key(authority_key), certificates(authority)[0]
    key = node_key(public)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    built = (
        _builder(own, above.subject, key, days, begin, until=above.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    return built.sign(signer, hashes.SHA384()).public_bytes(Encoding.PEM)


def check_client(pem: bytes, authorities: bytes, name: str, public: str) -> datetime:
    """Until when a node's certificate holds.

    EnvelopeError unless it is one certificate, signed by one of these authorities, for this key and name, for calling,
    and holds now.
    """
    try:
        (found,) = x509.load_pem_x509_certificates(pem)
        usage = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        fits = (
            ExtendedKeyUsageOID.CLIENT_AUTH in usage
            and [one.value for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [name]
            and found.public_key() == node_key(public)
            and found.not_valid_before_utc <= datetime.now(UTC) < found.not_valid_after_utc
            and any(_signed_by(found, above) for above in certificates(authorities))
        )
    except Exception:
        # What comes from outside may be damaged in any way, and the library names many.
        fits = False
    if not fits:
        raise EnvelopeError(
            f"the certificate that the hub made for {name} is not for its key and name, is signed by no authority of "
            "ca.pem, or does not hold now; nothing was kept of it. Ask the hub's operator, and look at this clock"
        )
    return found.not_valid_after_utc


def _signed_by(found: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        found.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def certificates(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a file, in their order; ConfigError where it holds none."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError:
        found = []
    if not found:
        raise ConfigError("a file of certificates is empty or damaged; put it back from its copy")
    return found


def check_authority(pem: str) -> str:
    """One authority's certificate as it is; ValueError unless it is exactly that."""
    try:
        (found,) = x509.load_pem_x509_certificates(pem.encode("ascii"))
        is_one = found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        is_one = is_one and found.public_bytes(Encoding.PEM).decode() == pem
        found.public_key()
    except Exception:
        # What comes from outside may be damaged in any way, and the library names many.
        is_one = False
    if not is_one:
        raise ValueError("one certificate of an authority")
    return pem


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate of a file, hexadecimal, as ``openssl x509 -fingerprint -sha256`` computes it."""
    return certificates(pem)[0].fingerprint(hashes.SHA256()).hex()


def days_left(pem: bytes, now: datetime | None = None) -> float:
    """Days until the first of a file's certificates expires; negative once it has."""
    ends = min(found.not_valid_after_utc for found in certificates(pem))
    return (ends - (now or datetime.now(UTC))) / timedelta(days=1)


def in_time(pem: bytes, now: datetime | None = None) -> bytes:
    """Those certificates of a file that have not expired, all of them where each has."""
    moment = now or datetime.now(UTC)
    found = certificates(pem)
    kept = [one for one in found if one.not_valid_after_utc > moment] or found
    return b"".join(one.public_bytes(Encoding.PEM) for one in kept)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey,
    days: float,
    begin: datetime | None,
    until: datetime | None = None,
) -> x509.CertificateBuilder:
    moment = begin or datetime.now(UTC)
    end = moment + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - _EARLIER)
        .not_valid_after(end if until is None else min(end, until))
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        found = load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        found = None
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise StoreError("a private key of the hub is damaged; put ca.key or server.key back from its copy")
    return found


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
