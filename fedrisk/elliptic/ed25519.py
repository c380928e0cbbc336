"""Whether a key signed a text (Ed25519; Bernstein et al. 2012; RFC 8032), for many signatures on few processors.

Every signature of Ed25519 that fedrisk takes is verified here. libsodium (Denis et al.) does it in less than half the
time of OpenSSL, and is here for alignment already. Where it is not there, OpenSSL verifies, and also the first
signatures of a process, most of which verify few: to load libsodium takes longer than that. Members may have different
libraries, and take the same signatures: keys and points of small order, of which OpenSSL takes some, are refused before
either is asked (`elliptic.weak_points`); their owner could deny afterwards what it signed. For all else both check the
equation without the cofactor, as RFC 8032 allows (seen with libsodium 1.0.18 and OpenSSL 4.0). One that checked it with
the cofactor would take more signatures, which the owner of the key alone can make.

The interpreter is held during a call: one of 50 microseconds that lets go of it waits for its turn afterwards
(`elliptic.libsodium`).
"""

import ctypes
import itertools
from collections.abc import Callable
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedrisk.elliptic.libsodium import libsodium
from fedrisk.elliptic.weak_points import weak
from fedrisk.errors import ConfigError

KEY: Final = 32
SIGNATURE: Final = 64
"""Bytes of a public key and of a signature."""

FEW: Final = 800
"""Signatures after which libsodium is loaded: it takes some 45 ms to load, and .055 ms less for each of them."""

_asked = itertools.count()

Verify = Callable[[bytes, bytes, bytes], bool]


def signed(key: bytes, signature: bytes, text: bytes) -> bool:
    """Whether the key's owner signed the text; never of a key or signature of another length, or with a weak point."""
    if len(key) != KEY or len(signature) != SIGNATURE or weak(key) or weak(signature[:KEY]):
        return False
    return _verifier()(key, signature, text)


def signed_in_hex(key: bytes | str, signature: str, text: bytes) -> bool:
    """The same of a signature in hexadecimal, and of a key in bytes or hexadecimal; False where it is none."""
    try:
        raw = bytes.fromhex(key) if isinstance(key, str) else key
        return signed(raw, bytes.fromhex(signature), text)
    except ValueError:
        return False


def _verifier() -> Verify:
    if libsodium.cache_info().currsize == 0 and next(_asked) < FEW:
        return by_openssl
    return _of_many()


@cache
def _of_many() -> Verify:
    """The faster one of those that are there."""
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
