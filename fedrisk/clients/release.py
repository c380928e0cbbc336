"""Exchanges 5 to 9: edges, mask and release. Here numbers leave an institution, noisy and masked.

The hub sends what a release needs (the order of rows, bins, curves, mask secrets); the institution makes its
plan and its noise itself, from the study and from what was declared. A release is debited in the ledger
before noise is drawn, and the answer is on the disk before it is sent: asked again, the same bytes return.
"""

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.clients.matrices import (
    RingArray,
    all_features,
    edge_counts,
    label_columns,
    lists_of,
    matrix_blocks,
    own_counts,
    own_features,
    own_gram,
    own_histogram,
    release_rows,
    table_codes,
)
from fedrisk.clients.node import Attempt, Node, digest_of
from fedrisk.clients.score import check_versions
from fedrisk.data.features import features_from
from fedrisk.errors import BudgetError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.plan import (
    Block,
    Product,
    Release,
    budget,
    counts_release,
    edges_release,
    gram_release,
    participant_mu,
    product_label,
    products,
)
from fedrisk.privacy.accounting import compose
from fedrisk.privacy.noise import discrete_gaussian
from fedrisk.privacy.spend import Spend
from fedrisk.protocol import Payload, pack, unpack
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask
from fedrisk.secure.product import Shape, Side, left_share, mask, right_share, with_last
from fedrisk.secure.product import unpack as unpack_blocks
from fedrisk.secure.ring import check_bound, from_signed

# --- exchange 5: the order of rows, and edges ---------------------------------------------------------------


def edges(node: Node, request: Payload) -> Payload:
    """Order of rows (``rows:BANK``, ``use:BANK``) and all public features -> noisy edge histograms."""
    attempt = node.attempt(request)
    take_order(attempt, request)
    check_versions(attempt)
    release = edges_release(attempt.study, all_features(attempt))
    behind = attempt.study.recipe == "neural" and attempt.name not in attempt.study.trainers
    if release is None or behind:  # whose earlier score is an input is charged for the whole at once, later
        return Payload()
    return _released(attempt, release, request, lambda _: edge_counts(attempt, release))


def take_order(attempt: Attempt, request: Payload) -> None:
    """Keep the order of rows and the features of all roles; a second, different order is refused."""
    attempt.begin_once("order", request)
    table = attempt.read()
    seen = np.zeros(len(table), bool)
    for bank in lists_of(attempt):
        rows, use = request.array(f"rows:{bank}"), request.array(f"use:{bank}")
        known = rows[rows >= 0]
        # A trainer knows everybody on its own list: -1 there would be its last row, over and over.
        least = 0 if bank == attempt.name else -1
        there = len(rows) == len(use) and rows.min(initial=0) >= least and rows.max(initial=-1) < len(table)
        if not there or use.max(initial=0) > UNUSED or np.bincount(known, minlength=1).max() > 1:
            raise ProtocolError(
                "the order of rows names rows that are not there, or one twice; run the study anew"
            )
        used = rows[(use != UNUSED) & (rows >= 0)]
        if seen[used].any():
            raise ProtocolError(
                "the order of rows lets an enterprise contribute through two banks; run the study anew"
            )
        seen[used] = True
        attempt.state.put(f"rows_{bank}", rows)
        attempt.state.put(f"use_{bank}", use)
        if f"sample:{bank}" in request.blobs:
            sample = request.array(f"sample:{bank}")
            if len(sample) != len(use) or sample.max(initial=0) > 1 or (use[sample == 1] != TRAINING).any():
                raise ProtocolError(
                    "the sample for the Gram matrix names rows that are not trained on; run the study anew"
                )
            attempt.state.put(f"sample_{bank}", sample)
    listed = {bank: len(attempt.state.get(f"rows_{bank}")) for bank in lists_of(attempt)}
    attempt.state.update(features=request.get("features"), training=request.get("training"), listed=listed)
    attempt.state.update(sampled=request.body.get("sampled", request.get("training")))
    if own_features(attempt) != features_from(attempt.state["declared"]):
        raise ProtocolError(
            "the hub tells other columns of this institution than it declared; run the study anew"
        )
    _keep_sides(attempt, table.ids)
    own = dict.fromkeys(("training", "holdout"), 0)
    for bank in lists_of(attempt):
        rows, use = attempt.state.get(f"rows_{bank}"), attempt.state.get(f"use_{bank}")
        own["training"] += int(((use == TRAINING) & (rows >= 0)).sum())
        own["holdout"] += int(((use == HOLD_OUT) & (rows >= 0)).sum())
    attempt.state.update(own_rows=own)


def _keep_sides(attempt: Attempt, ids: NDArray[Any]) -> None:
    """Remember who was trained on and who held out, so that sides stay when the epoch's key is renewed."""
    if attempt.research_seed is not None:
        return
    side = np.full(len(ids), UNUSED, np.uint8)
    for bank in lists_of(attempt):
        rows, use = attempt.state.get(f"rows_{bank}"), attempt.state.get(f"use_{bank}")
        for value in (TRAINING, HOLD_OUT):
            side[rows[(use == value) & (rows >= 0)]] = value
    attempt.node.store.keep_sides(attempt.key_tag, ids[side != UNUSED], side[side != UNUSED])


# --- exchanges 6 and 8: masks -------------------------------------------------------------------------------


def mask_matrices(node: Node, request: Payload) -> Payload:
    """Bins or curves, mask secrets and corrections -> own masked matrices, each sealed for its counterpart."""
    attempt = node.attempt(request)
    release = _plan(attempt, request)
    attempt.begin_once(f"mask_{release.name}", request)
    answers = {}
    dealt = request.get("secrets")
    attempt.state.put_secret(f"masks_{release.name}", json.dumps(dealt).encode())
    for product in products(attempt.study, release):
        if attempt.name not in (product.left, product.right):
            continue
        secret = bytes.fromhex(dealt[product.id])
        if attempt.name == product.left:
            attempt.state.put(f"correction_{_file(release, product)}", request.array(product.id))
        shape = _shape(attempt, release, product)
        side: Side = "left" if attempt.name == product.left else "right"
        masked = mask(
            secret,
            product_label(attempt.study.digest(), attempt.state.id, release, product),
            side,
            matrix_blocks(attempt, release, product, side, shape),
            shape,
        )
        partner = product.partner(attempt.name)
        context = _context(attempt, release, product, attempt.name, partner)
        answers[product.id] = seal(attempt.key, attempt.peers[partner], context, masked)
    return Payload({}, answers)


# --- exchanges 7 and 9: releases ----------------------------------------------------------------------------


def release_sums(node: Node, request: Payload) -> Payload:
    """Envelopes of the counterparts -> own part of every block: shares, pair masks, noise."""
    attempt = node.attempt(request)
    release = _plan(attempt, request)
    return _released(attempt, release, request, lambda block: _part(attempt, release, request, block))


def _part(attempt: Attempt, release: Release, request: Payload, block: Block) -> RingArray:
    """Own part of one block before masks and noise: an exact sum for an own block, else the sum of shares."""
    if block.left == block.right:
        if block.with_noise_of is not None:
            return own_histogram(attempt, release, block)
        return own_gram(attempt, release) if release.name == "gram" else own_counts(attempt, release)
    mine = [
        p
        for p in products(attempt.study, release)
        if p.block == block.name and attempt.name in (p.left, p.right)
    ]
    dealt = json.loads(attempt.state.secret(f"masks_{release.name}"))
    total = np.zeros(release.columns_of(mine[0]), release.ring_of(block))
    for product in mine:
        shape = _shape(attempt, release, product)
        label = product_label(attempt.study.digest(), attempt.state.id, release, product)
        secret = bytes.fromhex(dealt[product.id])
        partner = product.partner(attempt.name)
        context = _context(attempt, release, product, partner, attempt.name)
        blocks = open_sealed(attempt.key, attempt.peers[partner], context, request.raw(product.id))
        if attempt.name == product.left:
            correction = attempt.state.get(f"correction_{_file(release, product)}")
            total += left_share(secret, label, correction, unpack_blocks(blocks, "right", shape), shape)
        else:
            own = matrix_blocks(attempt, release, product, "right", shape)
            bits = release.scale_bits + 1 if release.name != "gram" else None
            total += right_share(
                secret, label, own, unpack_blocks(blocks, "left", shape), shape, own_bits=bits
            )
    if release.name == "gram":
        return total
    sizes = [attempt.state["sizes"][block.left][j] for j in _chosen(attempt, release)[block.left]]
    owner = attempt.role == block.right
    return with_last(total, sizes, label_columns(attempt, release, mine[0]).sum(0) if owner else None)


# --- what a release leaves with -----------------------------------------------------------------------------


def _released(
    attempt: Attempt, release: Release, request: Payload, part: Callable[[Block], RingArray]
) -> Payload:
    """Debit, compute, add masks and noise, store, answer. ``part(block)`` is the exact own part."""
    answer = spend_once(attempt, release, request)
    if answer is not None:
        return answer
    drawn: dict[str, NDArray[Any]] = {}
    blobs = {
        block.name: protect(attempt, release, block, part(block), drawn)
        for block in release.blocks
        if attempt.name in block.contributors
    }
    return commit(attempt, release, Payload({}, blobs))


def spend_once(attempt: Attempt, release: Release, request: Payload) -> Payload | None:
    """Debit the release; the stored answer where it was made before, else None."""
    ledger = attempt.node.ledger
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
        research=attempt.research_seed is not None,
    )
    _within_budget(attempt, spend)
    policy = attempt.node.institution.policy
    policy.check(attempt.study, institution=attempt.name, research=attempt.research_seed is not None)
    ledger.debit(release_id, spend, digest_of(request), purpose=attempt.study.purpose)
    stored = ledger.answer(release_id)
    if stored is not None:
        return unpack(stored)
    attempt.state.update(**{f"spend_{release.name}": spend.to_dict()})
    return None


def _within_budget(attempt: Attempt, spend: Spend) -> None:
    """The study's own budget, population by population: the ledger's cap may allow more, the study does not."""
    made = [Spend.from_dict(v) for k, v in attempt.state.facts.items() if k.startswith("spend_")]
    others = [s for s in made if s.population == spend.population and s.release != spend.release]
    mu, most = compose(s.mu for s in [*others, spend]), participant_mu(attempt.study, attempt.name)
    if mu > most * (1 + 1e-9):
        raise BudgetError(
            f"release {spend.release} would bring this attempt to mu {mu:.4f} and the study has {most:.4f}; "
            "the hub asks for more than was agreed. Nothing more is released"
        )


def commit(attempt: Attempt, release: Release, answer: Payload) -> Payload:
    """Put the answer with its Spend on the disk, then hand it out."""
    answer = Payload({**answer.body, "spend": attempt.state[f"spend_{release.name}"]}, answer.blobs)
    attempt.node.ledger.commit(f"{attempt.state.id}:{release.name}", pack(answer))
    return answer


def own_noise(attempt: Attempt, sigma: float, shape: int | tuple[int, ...], what: str) -> NDArray[Any] | None:
    """The institution's noise for one array, in ring units; None for none, which is for research runs alone.

    what: names the array within the attempt, so that a research seed gives each its own noise.
    """
    if sigma > 0:
        seed = None
        if attempt.research_seed is not None:
            text = f"{attempt.research_seed}|{attempt.name}|{what}"
            seed = hashlib.sha256(text.encode()).digest()
        return discrete_gaussian(sigma, shape, research_seed=seed)
    if attempt.research_seed is None:
        raise ProtocolError("a release without noise is for research runs only; set a finite privacy.epsilon")
    return None


def protect(
    attempt: Attempt,
    release: Release,
    block: Block,
    exact: RingArray,
    drawn: dict[str, NDArray[Any]] | None = None,
) -> RingArray:
    """Add own noise and, where others contribute to the block as well, the masks shared with each of them.

    drawn: the noise of the release's blocks so far, for a block that holds the noise of another one too.
    """
    drawn = {} if drawn is None else drawn
    ring = release.ring_of(block)
    exact = np.asarray(exact).reshape(block.shape)
    out = from_signed(exact, ring) if exact.dtype.kind == "i" else exact.astype(ring)
    noise = own_noise(attempt, block.sigma[attempt.name], block.shape, f"{release.name}|{block.name}")
    if noise is not None:
        drawn[block.name] = noise
        out = out + from_signed(noise, ring)
        if block.with_noise_of is not None:
            out = out + from_signed(drawn[block.with_noise_of], ring)
    if len(block.contributors) > 1:
        label = Label(
            study=attempt.study.digest(),
            attempt=attempt.state.id,
            release=release.name,
            sender="",
            counterparty="",
            bank_list=",".join(attempt.study.banks),
            matrix=block.name,
        )
        secrets = attempt.pair_secrets(*block.contributors)
        out = out + pair_mask(secrets, attempt.name, label, block.shape, ring)
    return out


# --- the plan as this institution makes it ------------------------------------------------------------------


def _plan(attempt: Attempt, request: Payload) -> Release:
    """The release that a request is about; what it needs is kept when it comes for the first time."""
    name = str(request.get("release"))
    if "begin" in request.body:
        _begin(attempt, name, request.get("begin"))
    if f"begun_{name}" not in attempt.state:
        raise ProtocolError(f"release {name} was never prepared here; run the study anew")
    state, study = attempt.state, attempt.study
    mus = budget(study, edges=edges_release(study, all_features(attempt)) is not None)
    rows = int(state["sampled" if name == "gram" else "training"])
    whole = bool(state.facts.get("whole"))
    if name == "counts":
        release = counts_release(study, state["sizes"], mus["counts"], whole=whole, rows=rows)
    elif name == "recount":
        sizes = {r: [state["sizes"][r][j] for j in chosen] for r, chosen in state["chosen_all"].items()}
        release = counts_release(study, sizes, mus["gram"], "recount", whole=whole, rows=rows)
    elif name == "gram":
        release = gram_release(study, state["owners"], state["radii"], rows, mus["gram"])
    else:
        raise ProtocolError(f"release {name} is unknown here; hub and institution must run the same version")
    noise = 12 * max(sum(b.sigma.values()) for b in release.blocks) * 2
    largest = 2**release.scale_bits if name != "gram" else _gram_reach(state["radii"], release)
    check_bound(rows, 1, int(largest) + 1, int(noise) + 1, release.ring)
    return release


def _gram_reach(radii: dict[str, float], release: Release) -> float:
    return math.ldexp(sum(r * r for r in radii.values()), release.scale_bits)


def _begin(attempt: Attempt, name: str, content: dict[str, Any]) -> None:
    """Keep bins, the chosen features, or curves; refused if they came before and differ."""
    state = attempt.state
    again = f"begun_{name}" in state
    attempt.begin_once(f"begun_{name}", Payload(content))
    if again:
        return
    if name in ("recount", "gram") and f"begun_{'gram' if name == 'recount' else 'recount'}" in state:
        raise ProtocolError(
            "a study releases a Gram matrix or a second count, never both; run the study anew"
        )
    if name == "counts":
        bins = [Bins.from_dict(b) for b in content["bins"]]
        own = own_features(attempt)
        if [b.feature for b in bins] != own:
            raise ProtocolError("the bins are not those of this institution's columns; run the study anew")
        state.put("codes", table_codes(attempt, bins))
        state.update(own_bins=content["bins"], sizes=content["sizes"], chosen=list(range(len(own))))
        state.update(whole=bool(content["whole"]))
    elif name == "recount":
        state.update(chosen=content["chosen"][attempt.role], chosen_all=content["chosen"])
    elif name == "gram":
        state.update(bases=content["bases"], owners=content["owners"], radii=content["radii"])
    else:
        raise ProtocolError(f"release {name} is unknown here; hub and institution must run the same version")


def _chosen(attempt: Attempt, release: Release) -> dict[str, list[int]]:
    """Features that a release of label counts is about, by role."""
    if release.name == "recount":
        chosen: dict[str, list[int]] = attempt.state["chosen_all"]
        return chosen
    return {role: list(range(len(sizes))) for role, sizes in attempt.state["sizes"].items()}


def _shape(attempt: Attempt, release: Release, product: Product) -> Shape:
    left, right = release.columns_of(product)
    rows = len(release_rows(attempt, release, product.bank_list))
    return Shape(rows, left, right, release.ring_of(release.block(product.block)))


def _context(attempt: Attempt, release: Release, product: Product, sender: str, receiver: str) -> Context:
    radii = tuple(attempt.state["radii"].values()) if release.name == "gram" else ()
    return Context(
        study=attempt.study.digest(),
        release=f"{release.name}|{product.id}",
        attempt=attempt.state.id,
        direction=f"{sender}>{receiver}",
        sender=sender,
        receiver=receiver,
        radii=radii,
    )


def _file(release: Release, product: Product) -> str:
    return f"{release.name}_{product.id}"
