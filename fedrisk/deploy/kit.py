"""An invitation (the kit) and the answer to it (the request): two files, with no private key in either.

The hub's operator sends the kit, the institution makes its keys at home and sends the request. Both are compared by
eight words over another channel: the hub's words by the institution, the request's words by the operator.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints

from fedrisk.deploy.documents import Document, Key, Moment, NodeKey, NodeSignature, Signature, now
from fedrisk.deploy.hub_home import Address, ConsortiumName
from fedrisk.deploy.keys import node_public, node_sign, node_signed
from fedrisk.deploy.pki import check_authority
from fedrisk.deploy.words import hub_words, words_of
from fedrisk.elliptic.ed25519 import signed_in_hex
from fedrisk.elliptic.weak_points import refuse_weak
from fedrisk.errors import EnvelopeError, PolicyError
from fedrisk.secure.identity import IdentityKey
from fedrisk.study_members import DisplayName, Role
from fedrisk.study_sections import Name

Certificate = Annotated[str, StringConstraints(max_length=4000), AfterValidator(check_authority)]
Token = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
InvitationId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Protocols = Annotated[tuple[Annotated[int, Field(ge=1, le=1000)], ...], Field(min_length=1, max_length=50)]
Version = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.+!-]{1,40}$")]


class Kit(Document):
    """What an institution needs to join.

    address: of the hub. scoring: of its relay of scores, where it has one; the field is written in that case alone.
    authorities: certificates that the hub's own is signed by, now and next. fingerprint: SHA-256
    of the first. hub: the hub's identity. token: so that a request belongs to this invitation, once. expires: of the
    invitation. signature: by the hub's identity, so that a damaged file shows.
    """

    TAG: ClassVar[bytes] = b"fedrisk kit v1\n"
    WHAT: ClassVar[str] = "kit"

    format: Literal[1] = 1
    kind: Literal["kit"] = "kit"
    consortium: ConsortiumName
    address: Address
    scoring: Address | None = None
    name: Name
    role: Role
    display_name: DisplayName | None
    hub: Key
    hub_words: Annotated[str, StringConstraints(max_length=100)]
    fingerprint: Key
    authorities: Annotated[tuple[Certificate, ...], Field(min_length=1, max_length=3)]
    invitation: InvitationId
    token: Token
    made: Moment
    expires: Moment
    signature: Signature = "0" * 128

    def to_dict(self) -> dict[str, Any]:
        """The fields for JSON; earlier versions know no relay of scores, and read kits without one."""
        plain = super().to_dict()
        if self.scoring is None:
            del plain["scoring"]
        return plain

    def signed(self, hub: IdentityKey) -> "Kit":
        """This kit with the hub's signature."""
        return self.model_copy(update={"signature": hub.sign(self.statement()).hex()})

    def verify(self, moment: datetime | None = None) -> None:
        """EnvelopeError where a kit is not as the hub signed it; PolicyError where it has expired.

        It holds the key that it is checked by: that this is the hub's, the words show, not the signature.
        """
        refuse_weak({"the hub": bytes.fromhex(self.hub)})
        if not signed_in_hex(self.hub, self.signature, self.statement()):
            raise EnvelopeError(
                "the kit is not as the hub made it: it was damaged or edited. Ask the hub's operator for it again"
            )
        if self.hub_words != hub_words(self.consortium, self.hub):
            raise EnvelopeError(
                "the kit's words are not those of its key; ask the hub's operator for it again"
            )
        if expired(self.expires, moment):
            raise PolicyError(
                f"the invitation of {self.name} to {self.consortium} expired at {self.expires}; ask the hub's operator "
                f"for a new one (fedrisk hub invite HUB {self.name} --role {self.role} --renew), and look at this "
                "machine's clock"
            )


class Request(Document):
    """What an institution answers: its public keys, signed by both.

    hub: identity of the hub that it wants to join. protocols, fedrisk: what its version speaks. signature: by its
    identity. signature_flower: by its P-384 key.
    """

    TAG: ClassVar[bytes] = b"fedrisk request v1\n"
    WHAT: ClassVar[str] = "request"
    SIGNATURES: ClassVar[frozenset[str]] = frozenset({"signature", "signature_flower"})

    format: Literal[1] = 1
    kind: Literal["request"] = "request"
    consortium: ConsortiumName
    hub: Key
    invitation: InvitationId
    token: Token
    name: Name
    role: Role
    display_name: DisplayName | None
    identity: Key
    flower: NodeKey
    protocols: Protocols
    fedrisk: Version
    made: Moment
    signature: Signature = "0" * 128
    signature_flower: NodeSignature = "00"

    @classmethod
    def of(
        cls, kit: Kit, identity: IdentityKey, flower: bytes, *, protocols: tuple[int, ...], version: str
    ) -> "Request":
        """The answer to a kit, signed; flower: the private P-384 key."""
        draft = cls(
            consortium=kit.consortium,
            hub=kit.hub,
            invitation=kit.invitation,
            token=kit.token,
            name=kit.name,
            role=kit.role,
            display_name=kit.display_name,
            identity=identity.public.hex(),
            flower=node_public(flower),
            protocols=protocols,
            fedrisk=version,
            made=now(),
        )
        statement = draft.statement()
        return draft.model_copy(
            update={
                "signature": identity.sign(statement).hex(),
                "signature_flower": node_sign(flower, statement),
            }
        )

    def verify(self) -> None:
        """EnvelopeError unless both keys that it names signed it, or where its identity is weak."""
        refuse_weak({self.name: bytes.fromhex(self.identity)})
        statement = self.statement()
        if not (
            signed_in_hex(self.identity, self.signature, statement)
            and node_signed(self.flower, self.signature_flower, statement)
        ):
            raise EnvelopeError(
                f"the request of {self.name} is not signed by the two keys that it names: it was changed on its way. "
                "Ask the institution to send it again, and compare the words by telephone"
            )

    @property
    def words(self) -> str:
        """Eight words of everything in it, to be compared by another channel."""
        return words_of(b"request", self.statement())


def expired(moment: str, now: datetime | None = None) -> bool:
    """Whether a moment, as files state it, is past."""
    return datetime.fromisoformat(moment) < (now or datetime.now(UTC))
