"""The key authority's key of an epoch: the secret half at the authority, the public half at everybody else.

The authority states the public half when a study is described to it. Its proofs (``alignment.oprf``) show that
it evaluated every id under the secret half of it. All pseudonyms of an epoch must be of one key: an institution
keeps the public key with which a proof first held, and takes no other one for the same epoch.
"""

import hashlib

from fedrisk.alignment import oprf
from fedrisk.clients.attempt import Attempt
from fedrisk.errors import ProtocolError


def secret_key(attempt: Attempt) -> bytes:
    """The epoch's key, at the authority; in a research run one that follows from the study, to repeat the run."""
    if not attempt.research:
        return attempt.node.store.authority.key(attempt.study.alignment.epoch)
    return oprf.derive_key(
        hashlib.sha256(attempt.key_tag.encode()).digest(), b"fedrisk research run, no privacy"
    )


def own_statement(attempt: Attempt) -> str:
    """What the authority states when a study is described to it: its public key in hexadecimal."""
    return oprf.public_key(secret_key(attempt)).hex()


def check_stated(attempt: Attempt) -> None:
    """Whether the key that the authority states to all members may be used in this attempt.

    Raises:
        ProtocolError: it is no key, another one than this authority's own, or another one than this
            institution's pseudonyms of the epoch were made with.
    """
    public = stated_key(attempt)
    if attempt.name == attempt.study.authority and public.hex() != own_statement(attempt):
        raise ProtocolError(
            "the hub relays another evaluation key than this authority stated; tell the consortium's operator"
        )
    attempt.node.store.pseudonyms.check_key(attempt.key_tag, public)


def stated_key(attempt: Attempt) -> bytes:
    """The public key that the authority states to all members, 32 bytes; ProtocolError where it states none."""
    stated = attempt.statements[attempt.study.authority].evaluation_key  # its form: 64 hexadecimal digits
    if stated is None:
        raise ProtocolError(
            "the key authority stated no public key for its evaluations; it runs another version of fedrisk, "
            "or the hub left the key out. Bring all to one version and run the study again"
        )
    return bytes.fromhex(stated)
