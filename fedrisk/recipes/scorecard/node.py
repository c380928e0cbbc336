"""The scorecard recipe at an institution: edges, masked matrices, releases, partial scores.

The hub sends what a release needs (the order of rows, bins, curves, mask secrets); the institution makes its plan and
its noise itself, from the study and from what was declared.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.describe import allowed_features, described
from fedrisk.clients.edges import release_edges
from fedrisk.clients.node import Node
from fedrisk.clients.outlet import RingArray
from fedrisk.clients.row_order import (
    RowOrder,
    all_training_rows,
    own_features,
    take_order,
    training_rows,
)
from fedrisk.errors import DataError, ProtocolError
from fedrisk.models.binning import Bins
from fedrisk.models.shape_rows import shape_rows
from fedrisk.protocol.actions import Action, Disclosure, named, partner
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Brought
from fedrisk.recipes.scorecard import matrices
from fedrisk.recipes.scorecard.delivery import deliver
from fedrisk.recipes.scorecard.forms import counts_release, gram_release
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.scoring import (
    check_versions,
    received_protection,
    score,
    score_protection,
)
from fedrisk.recipes.scorecard.state import GramState, RecountState, ScorecardState
from fedrisk.releases.release import Block, Product, Release, product_label, products
from fedrisk.secure.envelope import Context, open_sealed, seal
from fedrisk.secure.product import Shape, left_share, mask, right_share, with_last
from fedrisk.secure.product import unpack as unpack_blocks
from fedrisk.secure.ring import check_bound, from_signed
from fedrisk.study import Study


def brings(node: Node, study: Study, research_seed: int | None) -> Brought:
    """All columns that the policy allows; PolicyError where one is of an encoder trained without privacy."""
    node.institution.check_encoders(research=research_seed is not None)
    return Brought(features=allowed_features(node, described(node)))


def edges(node: Node, request: Payload) -> Payload:
    """Order of rows and all public features -> noisy histograms of the columns without public bins."""
    attempt = node.attempt(request)
    take_order(attempt, request, make_plan)
    check_versions(attempt)
    return release_edges(attempt, request)


def mask_matrices(node: Node, request: Payload) -> Payload:
    """Bins or curves, mask secrets and corrections -> masked matrices, each sealed for its counterpart."""
    attempt = node.attempt(request)
    inputs = Inputs(attempt, prepared(attempt, request))
    release = inputs.release
    attempt.begin_once(f"mask_{release.name}", request)
    dealt = request.get("secrets")
    attempt.state.put_secret(f"masks_{release.name}", json.dumps(dealt).encode())
    answers = {}
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
    return outlet.release(
        attempt,
        inputs.release,
        request,
        lambda block, noise: noise.add(block, inputs.part(block, request)),
    )


SUMS = ("counts", "recount", "gram")
"""Releases that the actions mask and release make."""


@dataclass
class Inputs:
    """What one release is computed on at this institution, for the time of one message."""

    attempt: Attempt
    release: Release

    def __post_init__(self) -> None:
        self._shape_rows: dict[str, NDArray[np.int64]] = {}
        self._gram = self.release.name == "gram"

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
        radii = tuple(self.attempt.state.load(GramState).radii.values()) if self._gram else ()
        return Context(
            study=self.attempt.study.digest(),
            release=f"{self.release.name}|{product.id}",
            attempt=self.attempt.state.id,
            direction=f"{sender}>{receiver}",
            sender=sender,
            receiver=receiver,
            radii=radii,
        )

    def rows(self, bank: str) -> NDArray[np.int64]:
        """Row numbers of a list's places on which the release is computed."""
        return training_rows(self.attempt, bank, sample=self._gram)

    def left(self, product: Product, shape: Shape) -> Iterator[RingArray]:
        """The institution's matrix as the left one of a product."""
        if self._gram:
            return matrices.blocks_of(self.shapes(product.bank_list), shape)
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
            return self._shares(block, request)
        if block.with_noise_of is not None:
            return self._histogram(block)
        if self._gram:
            owners = self.attempt.state.load(GramState).owners[self.attempt.role]
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
        return matrices.label_matrix(table.label[rows], weight, self.release.scale_bits, binary=binary)

    def label_columns(self, product: Product) -> RingArray:
        """The bank's matrix in a product of label counts: y, or y and 1 - y, (training rows, 1 or 2) in the ring."""
        columns, ring = self.release.columns_of(product)[1], self.release.block(product.block)
        return from_signed(self.labels()[:, :columns], self.release.ring_of(ring))

    def shapes(self, bank: str) -> NDArray[np.int64]:
        """Shape rows of a list in fixed point, each of norm at most this role's radius; made once for a message."""
        if bank not in self._shape_rows:
            state = self.attempt.state.load(GramState)
            codes = self.attempt.state.get("codes")[self.rows(bank)]
            bases = [np.asarray(b, float) for b in state.bases]
            radius = float(state.radii[self.attempt.role])
            self._shape_rows[bank] = shape_rows(list(codes.T), bases, radius, self.release.scale_bits // 2)
        return self._shape_rows[bank]

    def _histogram(self, block: Block) -> NDArray[np.int64]:
        """(bins, 1) rows per bin of a holder's columns; zeros at a bank, which only adds noise."""
        if block.left != self.attempt.role:
            return np.zeros(block.shape, np.int64)
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
        if self._gram:
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
        bits = None if self._gram else self.release.scale_bits + 1
        theirs = unpack_blocks(blocks, "left", shape)
        return right_share(secret, label, self.right(product, shape), theirs, shape, own_bits=bits)

    def _chosen(self, role: str) -> list[int]:
        """Features of a role that a release of label counts is about."""
        if self.release.name == "recount":
            return self.attempt.state.load(RecountState).chosen[role]
        return list(range(len(self.attempt.state.load(ScorecardState).sizes[role])))


# --- the plan, filled in with what earlier releases decided --------------------------------------------------


def prepared(attempt: Attempt, request: Payload) -> Release:
    """The release that a request is about; what it needs is checked and kept when it comes for the first time."""
    name = str(request.get("release"))
    if name not in SUMS:
        # Edges and evaluation are in the plan too, and are made by handlers of their own: computed here, they would
        # leave with another release's numbers under their price.
        raise ProtocolError(f"release {name} is unknown here; hub and institution must run the same version")
    if "begin" in request.body:
        _begin(attempt, name, request.get("begin"))
    if not attempt.begun(f"begin_{name}"):
        raise ProtocolError(f"release {name} was never prepared here; run the study again")
    return attempt.plan.release(name)


def _begin(attempt: Attempt, name: str, content: Mapping[str, Any]) -> None:
    """Keep bins, the chosen features, or curves, and complete the plan; refused if they came before and differ."""
    attempt.begin_once(f"begin_{name}", Payload(content))
    if attempt.plan.prepared(name):
        return
    release = begin(name, attempt, content, attempt.state.load(RowOrder))
    attempt.state.save(attempt.plan.with_released(release))


def begin(name: str, attempt: Attempt, content: Mapping[str, Any], order: RowOrder) -> Release:
    """The form of one release, from what the hub sent; what it needs is kept.

    name: one of ``SUMS``. Errors: ProtocolError where the content does not fit the columns of all roles, DataError
    where sums could leave the ring.
    """
    if name == "counts":
        return _begin_counts(attempt, content, order)
    if attempt.plan.prepared("gram" if name == "recount" else "recount"):
        raise ProtocolError(
            "a study releases a Gram matrix or a second count, never both; run the study again"
        )
    make = _begin_recount if name == "recount" else _begin_gram
    return make(attempt, content, order)


def _begin_counts(attempt: Attempt, content: Mapping[str, Any], order: RowOrder) -> Release:
    bins = [Bins.from_dict(b) for b in content["bins"]]
    if [b.feature for b in bins] != own_features(attempt.plan.features, attempt.role):
        raise ProtocolError("the bins are not those of this institution's columns; run the study again")
    _check_sizes(attempt, content["sizes"], [b.size for b in bins])
    attempt.state.put("codes", matrices.table_codes(attempt.read().frame, bins))
    state = ScorecardState(
        bins=list(content["bins"]), sizes=content["sizes"], binary_labels=bool(content["binary_labels"])
    )
    attempt.state.save(state)
    mu = attempt.plan.mu("counts")
    release = counts_release(
        attempt.study, state.sizes, mu, binary_labels=state.binary_labels, rows=order.training
    )
    _check_reach(release, order.training, 2**release.scale_bits)
    return release


def _check_sizes(attempt: Attempt, sizes: Mapping[str, Sequence[int]], own: Sequence[int]) -> None:
    """ProtocolError unless the numbers of bins are those of the columns of all roles: the noise follows from them."""
    features, roles = attempt.plan.features, attempt.study.roles
    expected = {role: len(own_features(features, role)) for role in roles}
    if {role: len(of_role) for role, of_role in sizes.items()} != expected or list(
        sizes[attempt.role]
    ) != list(own):
        raise ProtocolError("the numbers of bins are not those of the study's columns; run the study again")


def _check_chosen(chosen: Mapping[str, Sequence[int]], sizes: Mapping[str, Sequence[int]]) -> None:
    """ProtocolError unless each feature that is counted a second time is one of its role's, and named once."""
    fits = set(chosen) == set(sizes) and all(
        len(set(picked)) == len(picked) and set(picked) <= set(range(len(sizes[role])))
        for role, picked in chosen.items()
    )
    if not fits:
        raise ProtocolError("the features to count again are not the study's; run the study again")


def _begin_recount(attempt: Attempt, content: Mapping[str, Any], order: RowOrder) -> Release:
    state = attempt.state.load(ScorecardState)
    recount = RecountState(chosen=content["chosen"])
    _check_chosen(recount.chosen, state.sizes)
    sizes = {role: [state.sizes[role][j] for j in chosen] for role, chosen in recount.chosen.items()}
    attempt.state.save(recount)
    mu, binary = attempt.plan.mu("recount"), state.binary_labels
    release = counts_release(attempt.study, sizes, mu, "recount", binary_labels=binary, rows=order.training)
    _check_reach(release, order.training, 2**release.scale_bits)
    return release


def _begin_gram(attempt: Attempt, content: Mapping[str, Any], order: RowOrder) -> Release:
    state = GramState(bases=content["bases"], owners=content["owners"], radii=content["radii"])
    attempt.state.save(state)
    mu = attempt.plan.mu("gram")
    release = gram_release(attempt.study, state.owners, state.radii, order.sampled, mu)
    squares = sum(r * r for r in state.radii.values())
    _check_reach(release, order.sampled, int(np.ldexp(squares, release.scale_bits)))
    return release


def _check_reach(release: Release, rows: int, largest: int) -> None:
    """DataError where sums with all noise could leave the ring."""
    noise = 12 * max(sum(b.sigma.values()) for b in release.blocks) * 2
    check_bound(rows, 1, largest + 1, int(noise) + 1, release.ring)


MASKED = Disclosure("masked_matrix", "masked_sealed", partner)

ACTIONS: tuple[Action, ...] = (
    Action(name="edges", serve=edges),
    Action(name="mask", serve=mask_matrices, sends=MASKED),
    Action(name="release", serve=release_sums, receives=MASKED),
    Action(
        name="score",
        serve=score,
        sends=Disclosure("partial_scores", score_protection, named),
        scores="given",
    ),
    Action(
        name="deliver",
        serve=deliver,
        receives=Disclosure("partial_scores", received_protection, named),
        scores="taken",
    ),
)
