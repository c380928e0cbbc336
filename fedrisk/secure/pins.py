"""Pinned keys: the public keys that a node or the hub trusts because they were compared at registration.

A key that arrives in a message proves nothing by itself. Every signature and envelope is therefore checked
against a key that the institutions compared by another channel when they registered with each other. A pinned
key never changes silently: a different key under a pinned name is refused.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import EnvelopeError, StoreError


@dataclass(frozen=True)
class Pins:
    """Keys that were checked when the institutions registered with each other, never taken from a message.

    Attributes:
        hub: Ed25519 public key of the hub's identity; None where an older version pinned none.
        institutions: Ed25519 public keys by institution.
        former: earlier keys of institutions that changed theirs by a rotation which the old key signed, oldest first.
    """

    hub: bytes | None
    institutions: Mapping[str, bytes]
    former: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

    def of(self, name: str) -> bytes:
        """Pinned key of an institution; EnvelopeError where none is pinned.

        >>> Pins(b"h" * 32, {"bank": b"b" * 32}).of("bank") == b"b" * 32
        True
        """
        try:
            return self.institutions[name]
        except KeyError:
            raise EnvelopeError(
                f"no key is pinned for {name}; register the institutions with each other first"
            ) from None

    def first_of(self, name: str) -> bytes:
        """The first key that was pinned for an institution: what is counted by it goes on when its key changes."""
        key = self.of(name)
        return next(iter(self.former.get(name, ())), key)

    def changed(self, rotated: Mapping[str, Sequence[bytes]], gone: Collection[str] = ()) -> Pins:
        """These pins after changes that were verified (deploy/roster).

        rotated: by institution its earlier keys, oldest first, and its present one. gone: institutions that are no
        longer known.
        """
        kept = {name: key for name, key in self.institutions.items() if name not in gone}
        former = {name: keys for name, keys in self.former.items() if name not in gone}
        kept |= {name: keys[-1] for name, keys in rotated.items()}
        former |= {name: tuple(keys[:-1]) for name, keys in rotated.items()}
        return replace(self, institutions=kept, former={name: keys for name, keys in former.items() if keys})

    def of_hub(self) -> bytes:
        """Pinned identity of the hub; EnvelopeError where none is pinned."""
        if self.hub is None:
            raise EnvelopeError(
                "no identity of the hub is pinned (an older version pinned another key of it); compare the hub's "
                "key by another channel and register again"
            )
        return self.hub

    def with_new(self, hub: bytes, institutions: Mapping[str, bytes], where: Path | str) -> Pins:
        """These pins and the given ones together; keys that are pinned already stay.

        Where no identity of the hub is pinned yet, the given one is, this once.

        Args:
            hub: Ed25519 public key of the hub's identity.
            institutions: public keys by institution.
            where: the file of the pins, for the error's text.

        Raises:
            EnvelopeError: a given key differs from the pinned one, or is weak; the error names its owners.
        """
        refuse_weak({"the hub": hub, **institutions})
        changed = [name for name, key in institutions.items() if self.institutions.get(name, key) != key]
        if self.hub not in (None, hub):
            changed.append("the hub")
        refuse_changed(changed, where)
        return replace(self, hub=hub, institutions={**self.institutions, **institutions})

    def to_json(self) -> str:
        """The content of a ``pins.json``: keys in hexadecimal, institutions sorted by name.

        >>> Pins(bytes(2), {"tax": b"t", "bank": b"b"}).to_json()
        '{"hub_identity": "0000", "institutions": {"bank": "62", "tax": "74"}}'
        """
        institutions = {name: key.hex() for name, key in sorted(self.institutions.items())}
        hub = {} if self.hub is None else {"hub_identity": self.hub.hex()}
        former = {name: [key.hex() for key in keys] for name, keys in sorted(self.former.items())}
        return json.dumps({**hub, "institutions": institutions, **({"former": former} if former else {})})

    @classmethod
    def from_json(cls, text: str | bytes) -> Pins:
        """Inverse of ``to_json``; StoreError if the text is damaged.

        A file of an older version has an entry ``hub``, the static X25519 key to which pseudonyms were sealed
        then. It says nothing about the hub's identity and is left out: the identity is pinned when the
        institution registers again (``with_new``), and until then nothing is answered to the hub (``of_hub``).
        """
        try:
            content = json.loads(text)
            institutions = {str(name): bytes.fromhex(key) for name, key in content["institutions"].items()}
            if "hub_identity" not in content:
                bytes.fromhex(content["hub"])
                return cls(None, institutions)
            former = {
                str(n): tuple(map(bytes.fromhex, keys)) for n, keys in content.get("former", {}).items()
            }
            return cls(bytes.fromhex(content["hub_identity"]), institutions, former)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise StoreError("the file of pinned keys is damaged; restore it from its copy") from None


def refuse_changed(changed: Sequence[str], where: Path | str) -> None:
    """EnvelopeError that names whose key is not the pinned one, where there is any.

    Args:
        changed: names whose key differs from the one pinned before.
        where: the file of the pins.
    """
    if changed:
        raise EnvelopeError(
            f"the key of {', '.join(changed)} is not the one pinned in {where}; ask its owner whether it "
            "was renewed, and remove the pin by hand only then. Another consortium with the same names needs stores of "
            "its own: another FEDRISK_HOME, for its hub and its institutions"
        )
