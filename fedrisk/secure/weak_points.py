"""Which 32 bytes are no honest signer's key of Ed25519, nor the first half of a signature (RFC 8032).

Under a key of small order anybody can sign, and one signature may hold for many texts. Libraries do not agree about
these, nor about a point that is written in a second way (Chalkias, Garillot, Nikolaenko 2020, "Taming the many
EdDSAs"). Those who verify one text with different ones have to agree, so neither is taken here, whatever a library
says.
"""

from typing import Final

_PRIME: Final = 2**255 - 19
# Height of the four points of order 8 with one sign; the other four have its negative.
_EIGHTH: Final = int.from_bytes(
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
)
# Orders 4, 1, 2 and 8; the sign of the other coordinate does not matter.
_SMALL: Final = frozenset({0, 1, _PRIME - 1, _EIGHTH, _PRIME - _EIGHTH})


def weak(point: bytes) -> bool:
    """Whether a point of 32 bytes has small order, or is not written in the one way.

    It is not asked whether there is such a point: whoever verifies finds that out.

    >>> weak(bytes(32)), weak(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    (True, False)
    """
    height = int.from_bytes(point, "little") & ((1 << 255) - 1)
    return height in _SMALL or height >= _PRIME
