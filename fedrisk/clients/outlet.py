"""The outlet: the only door through which a number computed on records leaves an institution for the hub.

Budget of the study, policy, debit, noise, masks, commit, in this order, for every recipe. Noise is made by the debit
and by nothing else: a :class:`Noise` exists only after its release was paid, and gives out no more vectors than the
price covers. The answer with its price is on the disk before it is sent: asked again, the same bytes return. The audit
trail enters it when the answer leaves (clients/trail).
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients.attempt import Attempt
from fedrisk.errors import BudgetError, ProtocolError
from fedrisk.privacy.accounting import compose
from fedrisk.privacy.noise import discrete_gaussian
from fedrisk.privacy.spend import SIDES, Spend
from fedrisk.protocol.payload import Payload, pack, unpack
from fedrisk.releases.release import Block, Release
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.ring import from_signed, to_signed

RingArray = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Charges:
    """What an attempt was charged: the Spend of each release, as a dictionary, and the releases in the audit trail."""

    spends: dict[str, dict[str, Any]] = field(default_factory=dict)
    entered: tuple[str, ...] = ()


class Noise:
    """The institution's noise for one paid release; ProtocolError where it was not paid for."""

    def __init__(self, attempt: Attempt, release: Release) -> None:
        if not charged(attempt, release.name):
            raise ProtocolError(f"noise of release {release.name} was asked for before it was paid")
        self._attempt, self._release = attempt, release
        self._drawn: dict[str, list[NDArray[Any] | None]] = {}

    def add(self, block: Block, exact: RingArray, what: str | None = None) -> RingArray:
        """Exact numbers of a block with this institution's noise added, as elements of the block's ring.

        exact: signed integers, or elements of the ring. what: names the array within the attempt where a block
        draws several, so that a research seed gives each its own noise. ProtocolError where the price covers no
        further draw.
        """
        drawn = self._drawn.setdefault(block.name, [])
        if len(drawn) >= self._release.draws:
            raise ProtocolError(
                f"release {self._release.name} was paid for {self._release.draws} draw(s) of noise"
            )
        exact = np.asarray(exact)
        if exact.size != math.prod(block.shape):
            raise ProtocolError(
                f"block {block.name} has {exact.size} numbers and is planned with {block.shape}"
            )
        exact = exact.reshape(block.shape)
        noise = self._draw(block, what or f"{self._release.name}|{block.name}")
        drawn.append(noise)
        ring = self._release.ring_of(block)
        out = from_signed(exact, ring) if exact.dtype.kind == "i" else exact.astype(ring)
        also = [] if block.with_noise_of is None else self._drawn[block.with_noise_of][:1]
        for vector in (noise, *also):
            if vector is not None:
                out = out + from_signed(vector, ring)
        return out

    def complete(self, block: Block) -> bool:
        """Whether noise was drawn for a block as often as its price says."""
        return len(self._drawn.get(block.name, ())) == self._release.draws

    def _draw(self, block: Block, what: str) -> NDArray[Any] | None:
        """None for no noise, which is for research runs alone."""
        sigma, attempt = block.sigma[self._attempt.name], self._attempt
        if sigma > 0:
            seed = None
            if attempt.research_seed is not None:
                text = f"{attempt.research_seed}|{attempt.name}|{what}"
                seed = hashlib.sha256(text.encode()).digest()
            return discrete_gaussian(sigma, block.shape, research_seed=seed)
        if not attempt.research:
            raise ProtocolError(
                "a release without noise is for research runs only; set a finite privacy.epsilon"
            )
        return None


Part = Callable[[Block, Noise], RingArray]
"""The institution's part of a block, noise included (:meth:`Noise.add`), as signed integers or ring elements."""

Mask = Callable[[Block, RingArray], RingArray]


def release(
    attempt: Attempt, release: Release, request: Payload, part: Part, mask: Mask | None = None
) -> Payload:
    """Let one release leave: paid, noisy, masked, committed; the stored answer where it was made before.

    mask: masks a block's part, where that is not by the pair secrets of all its contributors.

    Errors: PolicyError, BudgetError before anything is computed; ProtocolError where ``part`` draws less noise or more
    than was paid for.
    """
    stored = _debit(attempt, release, request)
    if stored is not None:
        return stored
    noise = Noise(attempt, release)
    blobs = {}
    for block in release.blocks:
        if attempt.name not in block.contributors:
            continue
        noisy = part(block, noise)
        if not noise.complete(block):
            raise ProtocolError(
                f"block {block.name} of release {release.name} has not all its noise; nothing is sent"
            )
        ring = release.ring_of(block)
        noisy = np.asarray(noisy).reshape(block.shape)
        inside = from_signed(noisy, ring) if noisy.dtype.kind == "i" else noisy.astype(ring)
        blobs[block.name] = (mask or _pair_mask(attempt, release))(block, inside)
    return _commit(attempt, release, Payload({}, blobs))


def release_exact(
    attempt: Attempt, release: Release, request: Payload, answer: Callable[[], Payload]
) -> Payload:
    """Let exact figures leave in a research run, which has no privacy; priced at infinity in the ledger.

    ProtocolError in any other run.
    """
    if not attempt.research:
        raise ProtocolError("exact figures are for research runs only")
    stored = _debit(attempt, release, request)
    return stored if stored is not None else _commit(attempt, release, answer())


def charge(attempt: Attempt, release: Release, request: Payload) -> Payload:
    """Charge for what others release of this institution's records: a release without blocks, nothing leaves here."""
    stored = _debit(attempt, release, request)
    return stored if stored is not None else _commit(attempt, release, Payload())


def pair_masked(
    attempt: Attempt, numbers: RingArray, names: tuple[str, ...], *, release: str, bank_list: str, matrix: str
) -> RingArray:
    """Ring elements under masks that cancel in the sum over the institutions ``names``.

    They cancel only where all of these were told the same (the masks are drawn for the common view): a hub that tells
    them different rows, radii or kinds of run gets a sum of random numbers.
    """
    label = Label(
        study=attempt.view,
        attempt=attempt.state.id,
        release=release,
        sender="",
        counterparty="",
        bank_list=bank_list,
        matrix=matrix,
    )
    masks = pair_mask(attempt.pair_secrets(*names), attempt.name, label, numbers.shape, numbers.dtype.name)
    masked: RingArray = numbers + masks
    return masked


def sent_alone(attempt: Attempt, release: Release) -> dict[str, NDArray[np.float64]]:
    """Totals of a release that are this institution's numbers alone, in plain units, by block, as it sent them.

    ProtocolError where there should be one and nothing was sent.
    """
    alone = [b for b in release.blocks if b.contributors == (attempt.name,) and b.least is None]
    stored = attempt.node.ledger.answer(f"{attempt.state.id}:{release.name}") if alone else None
    if alone and stored is None:
        raise ProtocolError(f"release {release.name} is told before it was made; run the study again")
    answer = Payload() if stored is None else unpack(stored)
    return {b.name: to_signed(answer.array(b.name)) / 2.0**release.scale_bits for b in alone}


def charged(attempt: Attempt, name: str) -> bool:
    """Whether a release of the attempt was paid for."""
    return name in (attempt.state.find(Charges) or Charges()).spends


def _pair_mask(attempt: Attempt, release: Release) -> Mask:
    def mask(block: Block, part: RingArray) -> RingArray:
        if len(block.contributors) == 1:
            return part
        banks = ",".join(attempt.study.banks)
        return pair_masked(
            attempt, part, block.contributors, release=release.name, bank_list=banks, matrix=block.name
        )

    return mask


def _debit(attempt: Attempt, release: Release, request: Payload) -> Payload | None:
    """Pay for the release; the stored answer where it was made before, else None."""
    ledger, node = attempt.node.ledger, attempt.node
    release_id = f"{attempt.state.id}:{release.name}"
    spend = Spend(
        study=attempt.study.name,
        attempt=attempt.state.id,
        release=release.name,
        population=release.population,
        mu=release.mu,
        delta=attempt.study.privacy.delta,
        what=f"{len(release.blocks)} noisy block(s)",
        institution=attempt.name,
        counterparty="hub",
        research=attempt.research,
    )
    _within_budget(attempt, spend)
    node.institution.policy.check(attempt.study, institution=attempt.name, research=attempt.research)
    stored = ledger.answer(release_id)
    if stored is None:
        # Asked again, the same bytes return; but nothing more is paid for once the attempt is over.
        attempt.state.still_runs()
    # Also for a stored answer: the same release asked for with other content is refused.
    trail = node.trail.head()
    ledger.debit(release_id, spend, request.digest(), purpose=attempt.study.purpose, trail=trail)
    if stored is not None:
        return unpack(stored)
    before = attempt.state.find(Charges) or Charges()
    spends = {**before.spends, release.name: spend.to_dict()}
    attempt.state.save(Charges(spends=spends, entered=before.entered))
    return None


def _within_budget(attempt: Attempt, spend: Spend) -> None:
    """The study's budget, population by population: the ledger's cap may allow more, the study does not."""
    made = (attempt.state.find(Charges) or Charges()).spends.values()
    others = [Spend.from_dict(s) for s in made if s["release"] != spend.release]
    mu = max(
        compose(s.mu for s in [*others, spend] if side in SIDES[s.population])
        for side in SIDES[spend.population]
    )
    most = attempt.plan.price[attempt.name]
    if mu > most * (1 + 1e-9):
        raise BudgetError(
            f"release {spend.release} would bring this attempt to mu {mu:.4f} and the study has {most:.4f}; "
            "the hub asks for more than was agreed. Nothing more is released"
        )


def _commit(attempt: Attempt, release: Release, answer: Payload) -> Payload:
    """Put the answer with its Spend on the disk, then hand it out."""
    spend = attempt.state.load(Charges).spends[release.name]
    answer = Payload({**answer.body, "spend": spend}, answer.blobs)
    attempt.node.ledger.commit(f"{attempt.state.id}:{release.name}", pack(answer))
    return answer
