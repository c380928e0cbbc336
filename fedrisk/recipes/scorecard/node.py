"""The scorecard recipe at an institution: edges, masked matrices, releases, partial scores.

The hub sends the order of rows, secrets of masks, and the totals of what was released. Plan, noise, bins, curves, radii
and points the institution works out itself, from the study, from what members state, and from these totals.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints

from fedrisk.clients import outlet, row_check
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.describe import allowed_features, described
from fedrisk.clients.edges import release_edges
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import RingArray
from fedrisk.clients.row_order import (
    all_training_rows,
    take_order,
    teaching,
    training_rows,
)
from fedrisk.data.table import Table
from fedrisk.errors import DataError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.shape_rows import shape_rows
from fedrisk.protocol.actions import Action, Disclosure, named, partner
from fedrisk.protocol.form import SEALED, BlobForm, Form, OfAttempt
from fedrisk.protocol.order import ORDER, ROWS
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.row_check import CHECKED
from fedrisk.recipe import Brought
from fedrisk.recipes.bins import BINS
from fedrisk.recipes.scorecard import matrices
from fedrisk.recipes.scorecard.delivery import calibration, deliver, owed
from fedrisk.recipes.scorecard.pairing import GRAM, LABEL_BITS, PAIRS, own_columns, own_expected, own_products
from fedrisk.recipes.scorecard.prepared import CALIBRATED, CARD, COUNTS, GRAM_TOLD, prepared, told_designs
from fedrisk.recipes.scorecard.remembering import PART
from fedrisk.recipes.scorecard.scoring import (
    check_versions,
    received_protection,
    score,
    score_protection,
    versions_left,
)
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.recipes.scorecard.state import ScorecardState, SecondState
from fedrisk.recipes.scorecard.told_knowledge import KNOWLEDGE, check_known
from fedrisk.recipes.scorecard.warning_node import WARN
from fedrisk.releases.release import Block, Product, Release, product_label, products
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.product import Shape, left_share, mask, right_share, with_last
from fedrisk.secure.product import unpack as unpack_blocks
from fedrisk.secure.ring import from_signed
from fedrisk.study import Study
from fedrisk.study_members import BANK


def brings(node: Node, study: Study, research_seed: int | None) -> Brought:
    """All columns that the policy allows; PolicyError where one is of an encoder trained without privacy."""
    node.institution.installed.refuse_without_privacy(research=research_seed is not None)
    policy = node.institution.policy
    # Said where it is asked for alone: other studies' statements are as before there were themes.
    themes = {"score_themes": policy.score_themes, "band_columns": policy.band_columns}
    stated = {} if ScorecardSettings.of(study).themes is None else themes
    return Brought(features=allowed_features(node, described(node)), stated=stated)


def beforehand(node: Node, study: Study, table: Table, research_seed: int | None) -> None:
    """PolicyError at a holder that would give a bank more versions of scores than it allows."""
    if research_seed is None:
        versions_left(node, study, table.ids)


def edges(node: Node, request: Payload) -> Payload:
    """Order of rows and all public features -> noisy histograms of the columns without public bins."""
    attempt = node.attempt(request)
    take_order(attempt, request, check_known(attempt))
    check_versions(attempt)
    owed(attempt)
    return release_edges(attempt, request)


def mask_matrices(node: Node, request: Payload) -> Payload:
    """Bins or curves, mask secrets and corrections -> masked matrices, each sealed for its counterpart."""
    attempt = node.attempt(request)
    inputs = Inputs(attempt, prepared(attempt, request))
    release = inputs.release
    attempt.begin_once(f"mask_{release.name}", request)
    dealt = request.get("secrets")
    _check_dealt(attempt, inputs, request)
    first = release_of_counts(inputs.release)
    if not first:
        row_check.verify(attempt, request)
    attempt.state.put_secret(f"masks_{release.name}", json.dumps(dealt).encode())
    answers = row_check.take_dealt(attempt, dealt, request) if first else {}
    for product in inputs.products:
        secret, left = bytes.fromhex(dealt[product.id]), attempt.name == product.left
        if left:
            attempt.state.put(f"correction_{release.name}_{product.id}", request.array(product.id))
        shape = inputs.shape(product)
        blocks = inputs.left(product, shape) if left else inputs.right(product, shape)
        masked = mask(secret, inputs.label(product), "left" if left else "right", blocks, shape)
        receiver = product.partner(attempt.name)
        context = inputs.context(product, attempt.name, receiver)
        answers[product.id] = seal(attempt.key, attempt.peers[receiver], context, masked)
    return Payload({}, answers)


def release_sums(node: Node, request: Payload) -> Payload:
    """Envelopes of the counterparts -> this institution's part of every block: shares, pair masks, noise."""
    attempt = node.attempt(request)
    inputs = Inputs(attempt, prepared(attempt, request))
    request.only(_envelopes(attempt, inputs))
    exact = cache(lambda block: inputs.part(inputs.release.block(block), request))
    checked: dict[str, bytes] = {}
    if not outlet.charged(attempt, inputs.release.name):
        # Before anything is paid: what does not open, or has another size, costs no budget.
        for block in inputs.release.blocks:
            if attempt.name in block.contributors:
                exact(block.name)
    if release_of_counts(inputs.release) and not attempt.state.over:
        checked = row_check.share(attempt, request)
    answer = outlet.release(
        attempt,
        inputs.release,
        request,
        lambda block, noise: noise.add(block, exact(block.name)),
    )
    return Payload(answer.body, {**answer.blobs, **checked})


def _envelopes(attempt: Attempt, inputs: "Inputs") -> set[str]:
    """Names of the envelopes that come with the request for a release."""
    checks = row_check.own_checks(attempt) if release_of_counts(inputs.release) else []
    return {p.id for p in inputs.products} | {c.id for c in checks}


def release_of_counts(release: Release) -> bool:
    """Whether it is the first release of a study, beside which rows are checked."""
    return release.name == "counts"


class OfRelease(OfAttempt):
    """Which release a message is about."""

    release: Literal["counts", "recount", "gram", "pairs"]


class ToMask(OfRelease):
    """Secrets of the masks, by product."""

    secrets: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]]


def _check_dealt(attempt: Attempt, inputs: "Inputs", request: Payload) -> None:
    """ProtocolError unless there is a secret for each product, and a correction of its size for each left side."""
    products_here = {p.id: p for p in inputs.products}
    lefts = {name for name, p in products_here.items() if p.left == attempt.name}
    wanted, checks = set(products_here), row_check.own_checks(attempt)
    beside = {c.checked for c in checks if c.holder == attempt.name}
    if release_of_counts(inputs.release):
        wanted |= {c.id for c in checks}
        beside = {c.id for c in checks if c.holder == attempt.name}
    fits = set(request.get("secrets")) == wanted and set(request.blobs) == lefts | beside
    for name in lefts if fits else ():
        shape = inputs.shape(products_here[name])
        correction = request.array(name)
        fits &= correction.shape == (shape.left, shape.right) and correction.dtype == np.dtype(shape.dtype)
    if not fits:
        raise ProtocolError(
            "the secrets dealt for the secure products are not those of the release; run the study again"
        )


@dataclass
class Inputs:
    """What one release is computed on at this institution, for the time of one message."""

    attempt: Attempt
    release: Release

    def __post_init__(self) -> None:
        self._shape_rows: dict[str, NDArray[np.int64]] = {}
        self._products: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._gram = self.release.name == "gram"
        self._pairs = self.release.name == PAIRS

    @property
    def products(self) -> list[Product]:
        """The secure products of the release in which this institution takes part."""
        name = self.attempt.name
        return [p for p in products(self.attempt.study, self.release) if name in (p.left, p.right)]

    def label(self, product: Product) -> Any:
        """Label of the product's streams."""
        return product_label(self.attempt.study.digest(), self.attempt.state.id, self.release, product)

    def shape(self, product: Product) -> Shape:
        """Public sizes of the product."""
        left, right = self.release.columns_of(product)
        rows = len(self.rows(product.bank_list))
        return Shape(rows, left, right, self.release.ring_of(self.release.block(product.block)))

    def context(self, product: Product, sender: str, receiver: str) -> Context:
        """Where the envelope with a masked matrix belongs."""
        return Context(
            study=self.attempt.view,
            release=f"{self.release.name}|{product.id}",
            attempt=self.attempt.state.id,
            direction=f"{sender}>{receiver}",
            sender=sender,
            receiver=receiver,
        )

    def rows(self, bank: str) -> NDArray[np.int64]:
        """Row numbers of a list's places on which the release is computed."""
        return training_rows(self.attempt, bank, sample=self._gram)

    def left(self, product: Product, shape: Shape) -> Iterator[RingArray]:
        """The institution's matrix as the left one of a product."""
        if self._gram:
            return matrices.blocks_of(self.shapes(product.bank_list), shape)
        if self._pairs:
            return matrices.blocks_of(self.products_of(product.bank_list)[0], shape)
        codes, sizes = self.codes()
        return matrices.one_hot_blocks(codes, self.rows(product.bank_list), sizes, shape)

    def right(self, product: Product, shape: Shape) -> Iterator[RingArray]:
        """The institution's matrix as the right one of a product."""
        if self._gram:
            return matrices.blocks_of(self.shapes(product.bank_list), shape)
        return matrices.blocks_of(self.label_columns(product), shape)

    def part(self, block: Block, request: Payload) -> RingArray:
        """The exact part of one block: a sum for a role's block with itself, else the sum of shares."""
        if block.left != block.right:
            shares = self._shares(block, request)
            if self._pairs and self.attempt.role == block.left:
                shares = np.subtract(shares, from_signed(self._expected(), self.release.ring_of(block)))
            return shares
        if self._pairs:
            rows, expected = self.products_of(self.attempt.name)
            return (rows.T @ (self.labels()[:, 0] - expected))[:, None]
        if block.with_noise_of is not None:
            return self._histogram()
        if self._gram:
            owners = self.attempt.state.load(SecondState).owners[self.attempt.role]
            return matrices.gram_vector([self.shapes(name) for name in self.attempt.lists], owners)
        codes, sizes = self.codes()
        return matrices.label_counts(codes[self.rows(self.attempt.name)], sizes, self.labels())

    def codes(self) -> tuple[NDArray[Any], list[int]]:
        """(rows + 1, features) bin codes of the release's features, and their sizes."""
        role, codes = self.attempt.role, self.attempt.state.get("codes")
        chosen, sizes = self._chosen(role), self.attempt.state.load(ScorecardState).sizes[role]
        if chosen != list(range(codes.shape[1])):
            codes = codes[:, chosen]
        return codes, [sizes[j] for j in chosen]

    def labels(self) -> NDArray[np.int64]:
        """(training rows, 2) label matrix of the bank's own list."""
        attempt, table = self.attempt, self.attempt.read()
        if table.label is None:
            raise DataError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
        rows = training_rows(attempt, attempt.name)
        weight = None if table.weight is None else table.weight[rows]
        binary = attempt.state.load(ScorecardState).binary_labels
        bits = LABEL_BITS if self._pairs else self.release.scale_bits
        return matrices.label_matrix(table.label[rows], weight, bits, binary=binary or self._pairs)

    def label_columns(self, product: Product) -> RingArray:
        """The bank's matrix in a product of label counts: y, or y and 1 - y, (training rows, 1 or 2) in the ring."""
        columns, ring = self.release.columns_of(product)[1], self.release.block(product.block)
        return from_signed(self.labels()[:, :columns], self.release.ring_of(ring))

    def shapes(self, bank: str) -> NDArray[np.int64]:
        """Shape rows of a list in fixed point, each of norm at most this role's radius; made once for a message.

        A bank's rows without a label are zeros: nothing of them enters a product or a sum.
        """
        if bank not in self._shape_rows:
            state = self.attempt.state.load(SecondState)
            codes = self.attempt.state.get("codes")[self.rows(bank)]
            bases = [np.asarray(b, float) for b in state.own]
            radius = float(state.radii[self.attempt.role])
            made = shape_rows(list(codes.T), bases, radius, self.release.scale_bits // 2)
            if self.attempt.role == BANK:
                made[~teaching(self.attempt, self.rows(bank))] = 0
            self._shape_rows[bank] = made
        return self._shape_rows[bank]

    def products_of(self, bank: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Products of pairs, (rows, pairs), and how likely the own columns make a default, (rows,), of a list's rows.

        Both follow from what was told, in fixed point; made once for a message.
        """
        if bank not in self._products:
            design = told_designs(self.attempt)[self.attempt.role]
            bins = [Bins.from_dict(b) for b in self.attempt.state.load(ScorecardState).bins]
            columns = own_columns(bins, design, self.attempt.role)
            codes = self.attempt.state.get("codes")[self.rows(bank)][:, columns]
            self._products[bank] = own_products(codes, design), own_expected(codes, design)
        return self._products[bank]

    def _expected(self) -> NDArray[np.int64]:
        """(pairs, 1) what this holder's sums would be, if defaults were as likely as its columns make them."""
        parts = [self.products_of(name) for name in self.attempt.lists]
        sums: NDArray[np.int64] = np.sum([rows.T @ expected for rows, expected in parts], axis=0)
        return sums[:, None]

    def _histogram(self) -> NDArray[np.int64]:
        """(bins, 1) rows per bin of this holder's columns."""
        codes, sizes = self.codes()
        return matrices.histogram(codes[all_training_rows(self.attempt)], sizes, self.release.scale_bits)

    def _shares(self, block: Block, request: Payload) -> RingArray:
        """Sum of this institution's shares of the block's products."""
        attempt, release = self.attempt, self.release
        mine = [p for p in self.products if p.block == block.name]
        dealt = json.loads(attempt.state.secret(f"masks_{release.name}"))
        total = np.zeros(release.columns_of(mine[0]), release.ring_of(block))
        for product in mine:
            total += self._share(product, request, bytes.fromhex(dealt[product.id]))
        if self._gram or self._pairs:
            return total
        sizes = attempt.state.load(ScorecardState).sizes[block.left]
        own = self.label_columns(mine[0]).sum(0) if attempt.role == block.right else None
        return with_last(total, [sizes[j] for j in self._chosen(block.left)], own)

    def _share(self, product: Product, request: Payload, secret: bytes) -> RingArray:
        attempt, shape, label = self.attempt, self.shape(product), self.label(product)
        sender = product.partner(attempt.name)
        context = self.context(product, sender, attempt.name)
        blocks = open_sealed(attempt.key, attempt.peers[sender], context, request.raw(product.id))
        if attempt.name == product.left:
            correction = attempt.state.get(f"correction_{self.release.name}_{product.id}")
            return left_share(secret, label, correction, unpack_blocks(blocks, "right", shape), shape)
        bits = None if self._gram else (LABEL_BITS if self._pairs else self.release.scale_bits) + 1
        theirs = unpack_blocks(blocks, "left", shape)
        return right_share(secret, label, self.right(product, shape), theirs, shape, own_bits=bits)

    def _chosen(self, role: str) -> list[int]:
        """Features of a role that a release of label counts is about."""
        if self.release.name == "recount":
            return self.attempt.state.load(SecondState).chosen[role]
        return list(range(len(self.attempt.state.load(ScorecardState).sizes[role])))


MASKED = Disclosure("masked_matrix", "masked_sealed", partner)

CORRECTION = BlobForm(dtype=("uint16", "uint32", "uint64"), ndim=(2,))
SUMS_TOLD = {"bins": BINS, "counts": COUNTS, GRAM: GRAM_TOLD}
SCORED_BY = {GRAM: GRAM_TOLD, "card": CARD}

ACTIONS: tuple[Action, ...] = (
    Action(name="edges", serve=edges, form=ROWS, tells={PART: KNOWLEDGE, "order": ORDER}),
    Action(
        name="mask",
        serve=mask_matrices,
        form=Form(body=ToMask, blobs={f"{CHECKED}*": SEALED, "*@*": CORRECTION}),
        tells=SUMS_TOLD,
        receives=row_check.SHARE,
        sends=MASKED,
    ),
    Action(
        name="release",
        serve=release_sums,
        form=Form(body=OfRelease, blobs={"*": SEALED}),
        tells=SUMS_TOLD,
        receives=MASKED,
        sends=row_check.SHARE,
    ),
    Action(
        name="score",
        serve=score,
        tells=SCORED_BY,
        sends=Disclosure("partial_scores", score_protection, named),
        scores="given",
        last=True,
    ),
    Action(
        name="calibrate",
        serve=calibration,
        form=Form(blobs={"*": SEALED}),
        tells=SCORED_BY,
        receives=Disclosure("partial_scores", received_protection, named),
        scores="taken",
    ),
    Action(name="deliver", serve=deliver, tells={"calibration": CALIBRATED}, last=True),
    WARN,
)
