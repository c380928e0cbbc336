"""Do the rows of bank and holder belong to the same enterprises? Found out with the hub's help, without its word.

The hub tells bank and holder which of their rows stand at each place of a list. It could name rows of other
enterprises: then a bank would get scores of enterprises that are not its customers. Both know the pseudonyms of
their own rows, and must not see each other's (the key authority could name them). So they compute one random linear
combination: the holder draws a secret 64-bit factor for each place where it has a row, 0 elsewhere; the bank's
numbers are 64-bit hashes of its pseudonyms under a key of the two (BLAKE2, RFC 7693). Their product comes from the
same secure product as the sums of a study (secure/product); the bank hands its share to the holder, sealed. The
holder compares with the combination of its own pseudonyms' hashes (a random linear check, Freivalds 1979).

Guarantee: a hub that names other rows, or changes what it deals, passes with probability 2^-58 at most, as it knows
neither factors nor hashes (a difference of hashes that 2^v divides passes with probability 2^(v-64)). Bank and hub
learn nothing; the holder learns a number that it could compute itself, or, where the hub lied, one random combination.

The masks are dealt and exchanged with those of the label counts; the holder checks before it goes on.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fedrisk.alignment.keyed_hash import keyed_hashes
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import listed
from fedrisk.errors import ProtocolError
from fedrisk.protocol.actions import Disclosure
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.row_check import RowCheck, row_checks
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.keystream import Label, expand
from fedrisk.secure.product import left_share, mask, right_share, unpack
from fedrisk.study import Study

_KEY = b"fedrisk row check key v1"


@dataclass(frozen=True, kw_only=True)
class RowsChecked:
    """Left shares of this holder, by check, and the checks that came out right."""

    shares: dict[str, int]
    right: tuple[str, ...] = ()


def counterparty(study: Study, institution: str, blob: str) -> str | None:
    """The other side of a check, for the audit trail."""
    check = next((c for c in row_checks(study) if blob == c.checked), None)
    return None if check is None else check.partner(institution)


SHARE = Disclosure("row_check", "random_combination", counterparty)


def own_checks(attempt: Attempt) -> list[RowCheck]:
    """The checks in which the institution takes part."""
    return [c for c in row_checks(attempt.study) if attempt.name in (c.holder, c.bank)]


def take_dealt(attempt: Attempt, dealt: Mapping[str, str], request: Payload) -> dict[str, bytes]:
    """Secrets and corrections dealt for the checks -> masked factors or hashes, sealed for the other side."""
    answers = {}
    values = cache(lambda: _pseudonyms(attempt))
    for check in own_checks(attempt):
        secret, shape = bytes.fromhex(dealt[check.id]), check.shape(len(listed(attempt, check.bank)))
        attempt.state.put_secret(f"mask_{check.id}", secret)
        if attempt.name == check.holder:
            correction = request.array(check.id)
            if correction.shape != (1, 1) or correction.dtype != np.uint64:
                raise ProtocolError(
                    "what was dealt for the check of rows has another size; run the study again"
                )
            attempt.state.put(f"correction_{check.id}", correction)
            if not attempt.state.has_secret(f"factors_{check.id}"):
                attempt.state.put_secret(f"factors_{check.id}", secrets.token_bytes(32))
        left = attempt.name == check.holder
        own = _factors(attempt, check) if left else _own_hashes(attempt, check, values)
        blocks = (own[slice(*shape.span(k)), None] for k in range(shape.blocks))
        masked = mask(
            secret, check.label(attempt.study, attempt.state.id), "left" if left else "right", blocks, shape
        )
        receiver = check.partner(attempt.name)
        answers[check.id] = seal(
            attempt.key, attempt.peers[receiver], _context(attempt, check, "masked", attempt.name), masked
        )
    return answers


def share(attempt: Attempt, request: Payload) -> dict[str, bytes]:
    """The other side's masked numbers -> at a bank, its shares, sealed for the holders; a holder keeps its own."""
    answers, kept = {}, {}
    values = cache(lambda: _pseudonyms(attempt))
    for check in own_checks(attempt):
        shape = check.shape(len(listed(attempt, check.bank)))
        label, secret = check.label(attempt.study, attempt.state.id), attempt.state.secret(f"mask_{check.id}")
        sender = check.partner(attempt.name)
        context = _context(attempt, check, "masked", sender)
        blocks = open_sealed(attempt.key, attempt.peers[sender], context, request.raw(check.id))
        if attempt.name == check.holder:
            correction = attempt.state.get(f"correction_{check.id}")
            part = left_share(secret, label, correction, unpack(blocks, "right", shape), shape)
            kept[check.id] = int(part[0, 0])
            continue
        own = _own_hashes(attempt, check, values)
        mine = (own[slice(*shape.span(k)), None] for k in range(shape.blocks))
        part = right_share(secret, label, mine, unpack(blocks, "left", shape), shape)
        there = _context(attempt, check, "share", attempt.name)
        answers[check.checked] = seal(attempt.key, attempt.peers[check.holder], there, [part])
    if kept:
        attempt.state.save(RowsChecked(shares=kept))
    return answers


def verify(attempt: Attempt, request: Payload) -> None:
    """The banks' shares, at a holder: ProtocolError unless every list names rows of the enterprises that it says."""
    checks = [c for c in own_checks(attempt) if c.holder == attempt.name]
    if not checks:
        return
    state, values = attempt.state.load(RowsChecked), _pseudonyms(attempt)
    for check in checks:
        context = _context(attempt, check, "share", check.bank)
        (block,) = open_sealed(attempt.key, attempt.peers[check.bank], context, request.raw(check.checked))
        theirs = int.from_bytes(block, "little")
        with np.errstate(over="ignore"):
            expected = int((_factors(attempt, check) * _hashes(attempt, check, values)).sum(dtype=np.uint64))
        if (state.shares[check.id] + theirs) % (1 << 64) != expected:
            raise ProtocolError(
                f"the rows that the hub names on the list of {check.bank} are not those of the same enterprises here; "
                "no score is given, and nothing more is released. Ask the consortium's operator"
            )
    attempt.state.save(RowsChecked(shares=state.shares, right=tuple(c.id for c in checks)))


def check_passed(attempt: Attempt) -> None:
    """ProtocolError at a holder whose rows were not checked against all banks' yet."""
    wanted = {c.id for c in own_checks(attempt) if c.holder == attempt.name}
    state = attempt.state.find(RowsChecked)
    if wanted - set(() if state is None else state.right):
        raise ProtocolError("rows were not checked against those of the banks; run the study again")


def _factors(attempt: Attempt, check: RowCheck) -> NDArray[np.uint64]:
    """(n,) secret factors of the places of a list; 0 where the holder has no row."""
    rows, seed = listed(attempt, check.bank), attempt.state.secret(f"factors_{check.id}")
    label: Label = check.label(attempt.study, attempt.state.id)
    drawn: NDArray[np.uint64] = expand(seed, label, (len(rows),), np.uint64)
    drawn[rows < 0] = 0
    return drawn


def _pseudonyms(attempt: Attempt) -> NDArray[np.uint8]:
    """(rows, 32) pseudonyms of all own rows; ProtocolError where one has none."""
    values, known = attempt.node.store.pseudonyms.of(attempt.key_tag, attempt.read().ids)
    if not known.all():
        # Rows without a pseudonym would all have one hash, and any rows would fit any others.
        raise ProtocolError(
            "rows have no pseudonyms yet; the hub left the alignment out. Run the study again"
        )
    return np.ascontiguousarray(values)


def _own_hashes(
    attempt: Attempt, check: RowCheck, values: Callable[[], NDArray[np.uint8]]
) -> NDArray[np.uint64]:
    """The hashes of a bank's own list, which two messages of an attempt need: made once, and kept in memory."""
    return attempt.state.cached(f"row hashes {check.id}", None, lambda: _hashes(attempt, check, values()))


def _hashes(attempt: Attempt, check: RowCheck, values: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n,) keyed hashes of the pseudonyms of a list's rows; 0 for unknown enterprises. values: of all own rows."""
    partner, rows = check.partner(attempt.name), listed(attempt, check.bank)
    pair = attempt.pair_secrets(partner)[partner]
    key = HKDF(hashes.SHA256(), 32, salt=None, info=_KEY).derive(pair)
    known = np.flatnonzero(rows >= 0)
    out = np.zeros(len(rows), np.uint64)
    out[known] = keyed_hashes(values[rows[known]], key)
    return out


def _context(attempt: Attempt, check: RowCheck, what: str, sender: str) -> Context:
    return Context(
        study=attempt.view if what == "masked" else attempt.study.digest(),
        release=check.id,
        attempt=attempt.state.id,
        direction=what,
        sender=sender,
        receiver=check.partner(sender),
    )
