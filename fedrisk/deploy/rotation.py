"""An institution's change of keys, signed by the old ones.

A new key that the old one vouches for needs no second comparison of words: whoever has the old key is the institution
that everybody pinned. So a rotation is signed by the old identity, by the new one and by the new P-384 key; the roster
keeps it, and every node checks it by itself before it changes a pin.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fedrisk.deploy.documents import Document, Key, Moment, NodeKey, NodeSignature, Signature
from fedrisk.deploy.hub_home import ConsortiumName
from fedrisk.deploy.keys import node_sign, node_signed
from fedrisk.deploy.words import words_of
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import EnvelopeError
from fedrisk.secure.identity import IdentityKey
from fedrisk.study_sections import Name


class Rotation(Document):
    """One institution's old and new keys; one of the two pairs may stay as it is.

    number: 1 for the institution's first rotation, 2 for the next. signature: by the old identity. signature_new: by
    the new one. signature_flower: by the new P-384 key.
    """

    TAG: ClassVar[bytes] = b"fedrisk rotation of keys v1\n"
    WHAT: ClassVar[str] = "rotation of keys"
    SIGNATURES: ClassVar[frozenset[str]] = frozenset({"signature", "signature_new", "signature_flower"})

    format: Literal[1] = 1
    kind: Literal["rotation"] = "rotation"
    consortium: ConsortiumName
    hub: Key
    name: Name
    number: Annotated[int, Field(ge=1, le=1000)]
    made: Moment
    old_identity: Key
    identity: Key
    old_flower: NodeKey
    flower: NodeKey
    signature: Signature = "0" * 128
    signature_new: Signature = "0" * 128
    signature_flower: NodeSignature = "00"

    def signed(self, old: IdentityKey, new: IdentityKey, flower: bytes) -> "Rotation":
        """This rotation with its signatures; flower: the new P-384 key, or the one that stays."""
        statement = self.statement()
        return self.model_copy(
            update={
                "signature": old.sign(statement).hex(),
                "signature_new": new.sign(statement).hex(),
                "signature_flower": node_sign(flower, statement),
            }
        )

    def verify(self) -> None:
        """EnvelopeError unless all three keys signed it, none is weak, and it changes something."""
        statement = self.statement()
        if (self.old_identity, self.old_flower) == (self.identity, self.flower):
            raise EnvelopeError(f"the rotation of {self.name} changes no key; make it again with rotate-keys")
        for key in (self.old_identity, self.identity):
            refuse_weak({self.name: bytes.fromhex(key)})
        holds = (
            signed_in_hex(self.old_identity, self.signature, statement)
            and signed_in_hex(self.identity, self.signature_new, statement)
            and node_signed(self.flower, self.signature_flower, statement)
        )
        if not holds:
            raise EnvelopeError(
                f"the rotation of {self.name} is not signed by its old and its new keys: the file was changed, or "
                "somebody else made it. Nothing was changed; ask the institution by another channel"
            )

    @property
    def words(self) -> str:
        """Eight words of it, to be compared by another channel."""
        return words_of(b"rotation", self.statement())
