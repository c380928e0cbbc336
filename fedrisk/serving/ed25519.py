"""Whether a key signed a text (Ed25519; Bernstein et al. 2012; RFC 8032), for many signatures on few processors.

libsodium (Denis et al.) verifies in less than half the time of OpenSSL, and is here for alignment already. Where it is
not there, OpenSSL verifies. Holders of one model may have different libraries, and take the same signatures: keys and
points of small order, of which OpenSSL takes some, are refused before either is asked (`secure.weak_points`). For all
else both check the equation without the cofactor, as RFC 8032 allows (seen with libsodium 1.0.18 and OpenSSL 4.0). One
that checked it with the cofactor would take more signatures, which the owner of the key alone can make.

The interpreter is held during a call: one of 50 microseconds that lets go of it waits for its turn afterwards
(`alignment.ristretto.libsodium`).
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedrisk.alignment.ristretto import libsodium
from fedrisk.errors import ConfigError
from fedrisk.secure.weak_points import weak

KEY: Final = 32
SIGNATURE: Final = 64
"""Bytes of a public key and of a signature."""

Verify = Callable[[bytes, bytes, bytes], bool]


def signed(key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether the key's owner signed the text; never of a key or signature of another length, or with a weak point."""
    if len(key) != KEY or len(signature) != SIGNATURE or weak(key) or weak(signature[:KEY]):
        return False
    return _verifier()(key, signature, text)


@cache
def _verifier() -> Verify:
    try:
        return by_libsodium()
    except (ConfigError, AttributeError):
        return by_openssl


def by_libsodium() -> Verify:
    """The verification of libsodium, of keys and signatures of the right length; ConfigError where it is not there."""
    kind = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulonglong, ctypes.c_char_p
    )
    function = kind(("crypto_sign_ed25519_verify_detached", libsodium()))
    return lambda key, signature, text: function(signature, text, len(text), key) == 0


def by_openssl(key: bytes, signature: bytes, text: bytes) -> bool:
    """The verification of OpenSSL."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True
