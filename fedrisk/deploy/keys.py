"""A node's P-384 key, by which the hub's Flower knows it, in the form that Flower reads (OpenSSH).

ECDSA on P-384 with SHA-384: FIPS 186-5.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from fedrisk.errors import StoreError

_HASH = ec.ECDSA(hashes.SHA384())


def new_node_key() -> bytes:
    """A fresh private key, as a file's content."""
    private = ec.generate_private_key(ec.SECP384R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())


def node_public(private: bytes) -> str:
    """The public half, as a line of text; StoreError where the file holds no such key."""
    return _public_text(_private(private).public_key())


def node_sign(private: bytes, message: bytes) -> str:
    """A signature (DER, hexadecimal); the caller puts a domain-separation tag in the message."""
    return _private(private).sign(message, _HASH).hex()


def node_signed(public: str, signature: str, message: bytes) -> bool:
    """Whether a signature (hexadecimal) of a message holds under a public key."""
    try:
        _public(public).verify(bytes.fromhex(signature), message, _HASH)
    except (InvalidSignature, ValueError):
        return False
    return True


def node_key(public: str) -> ec.EllipticCurvePublicKey:
    """A public key as the library has it; ValueError where it is no P-384 key in OpenSSH's form."""
    return _public(public)


def node_key_text(public: object) -> str | None:
    """A public key as OpenSSH writes it, None where it is none on P-384."""
    is_one = isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP384R1)
    return _public_text(public) if is_one else None  # type: ignore[arg-type]


def private_pem(private: bytes) -> bytes:
    """A private key in the form that TLS libraries read (PKCS 8), for memory alone; StoreError as ``node_public``."""
    return _private(private).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def check_node_key(public: str) -> str:
    """The public key itself; ValueError where it is no P-384 key, or spelt in another way than OpenSSH does."""
    if _public_text(_public(public)) != public:
        raise ValueError("a key without a comment, in one line")
    return public


def _public(public: str) -> ec.EllipticCurvePublicKey:
    try:
        found = load_ssh_public_key(public.encode("ascii"))
    except Exception:
        # What comes from outside may be damaged in any way, and the library names many.
        raise ValueError("no public key in OpenSSH's form") from None
    if not isinstance(found, ec.EllipticCurvePublicKey) or not isinstance(found.curve, ec.SECP384R1):
        raise ValueError("no key on the curve P-384")
    return found


def _public_text(public: ec.EllipticCurvePublicKey) -> str:
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def private_key_of(content: bytes) -> ec.EllipticCurvePrivateKey | None:
    """The private P-384 key in a file's content; None where it holds none."""
    try:
        found = load_ssh_private_key(content, None)
    except Exception:
        # A damaged file may be damaged in any way, and the library names many.
        return None
    is_one = isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP384R1)
    return found if is_one else None  # type: ignore[return-value]


def public_key_of(raw: bytes) -> PublicKeyTypes:
    """A public key of whatever kind, as OpenSSH or PEM has it; ValueError where it is none."""
    try:
        if raw.lstrip().startswith(b"-----"):
            return load_pem_public_key(raw)
        return load_ssh_public_key(raw.strip())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("no public key") from None


def _private(content: bytes) -> ec.EllipticCurvePrivateKey:
    found = private_key_of(content)
    if found is None:
        raise StoreError(
            "flower.key holds no P-384 key as OpenSSH writes it; put it back from its copy, or make a new one with "
            "fedrisk node rotate-keys"
        )
    return found
