"""What the hub knows of the secure products of a study, as it dealt their masks; and what they were really about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import sizes_of
from fedrisk.attacks.recorded import Record
from fedrisk.clients.outlet import Noise
from fedrisk.models.binning import Bins
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard import node as scorecard_node
from fedrisk.recipes.scorecard.fitting import card_bins
from fedrisk.releases.release import Block, Product, Release, product_label, products
from fedrisk.secure import product as secure_product
from fedrisk.secure.keystream import expand
from fedrisk.secure.ring import ring_product
from fedrisk.server.noisy_sums import NoisySums
from fedrisk.study import Study

Ring = NDArray[Any]


@dataclass
class Witnessed:
    """What an attack is judged by, and nothing that the hub sees but the forms of releases.

    releases: their forms, by name. matrices: by release, product and side, the matrix that really went in, (rows,
    columns) in the ring, in the order of the list.
    """

    releases: dict[str, Release] = field(default_factory=dict)
    matrices: dict[tuple[str, str, str], Ring] = field(default_factory=dict)


@contextmanager
def witnessing() -> Iterator[Witnessed]:
    """Keeps what goes into the secure products of the studies that run meanwhile in this process."""
    out, total = Witnessed(), NoisySums.total

    def seen(self: NoisySums, release: Release, *args: Any, **how: Any) -> Any:
        out.releases[release.name] = release
        return total(self, release, *args, **how)

    def masked(secret: bytes, label: Any, side: Any, blocks: Any, shape: Any) -> Iterator[Ring]:
        kept = [np.array(block) for block in blocks]
        out.matrices[label.release, f"{label.matrix}@{label.bank_list}", side] = np.concatenate(kept)
        return secure_product.mask(secret, label, side, iter(kept), shape)

    with patch.object(NoisySums, "total", seen), patch.object(scorecard_node, "mask", masked):
        yield out


@contextmanager
def noises(drawn: list[dict[str, Ring]], release: str = "counts") -> Iterator[None]:
    """Keeps each institution's noise of one release, an entry for each study that runs meanwhile."""
    draw = Noise._draw
    study: dict[str, Ring] = {}

    def kept(self: Noise, block: Block, what: str) -> Ring | None:
        noise = draw(self, block, what)
        if self._release.name == release and noise is not None:
            study[self._attempt.name] = noise
        return noise

    with patch.object(Noise, "_draw", kept):
        yield
    drawn.append(study)


@dataclass(frozen=True)
class Dealt:
    """One secure product as the hub knows it, with R, S and T of its own dealing, and what the left party sent.

    r: (rows, left). s: (rows, right). t: (left, right). received: (left, right), the left party's part of the block.
    """

    release: str
    product: Product
    r: Ring
    s: Ring
    t: Ring
    received: Ring

    def bare(self, y: Ring) -> Ring:
        """What the left party's part would be without pair masks and noise, if the right matrix were ``y``."""
        return ring_product(self.r, np.ascontiguousarray(y)) - self.t


def dealt_products(study: Study, record: Record, seen: Witnessed) -> list[Dealt]:
    """The products of a study with one bank, so that each part is the share of one product."""
    return [
        _dealt(study, record, release, product, len(seen.matrices[release.name, product.id, "right"]))
        for release in seen.releases.values()
        for product in products(study, release)
    ]


def _dealt(study: Study, record: Record, release: Release, product: Product, rows: int) -> Dealt:
    sent: dict[str, Payload] = record.step("mask", release.name).sent
    block = release.block(product.block)
    label = product_label(study.digest(), record.attempt, release, product)
    left, right = (bytes.fromhex(sent[n].body["secrets"][product.id]) for n in (product.left, product.right))
    columns, ring = release.columns_of(product), release.ring_of(block)
    received = record.step("release", release.name).answers[product.left].array(block.name)
    kept = received if len(received) == columns[0] else received[_not_last(study, record, release, block)]
    return Dealt(
        release=release.name,
        product=product,
        r=expand(left, replace(label, role="R", block=0), (rows, columns[0]), ring),
        s=expand(right, replace(label, role="S", block=0), (rows, columns[1]), ring),
        t=expand(right, replace(label, role="T", block=0), columns, ring),
        received=kept[:, : columns[1]],
    )


def _not_last(study: Study, record: Record, release: Release, block: Block) -> NDArray[np.bool_]:
    """Rows of a block of counts but those of each feature's last bin, which its own product does not have."""
    bins = card_bins([Bins.from_dict(b) for b in record.told_part("bins").get("bins")])
    sizes = sizes_of(bins, study.roles)[block.left]
    if release.name == "recount":
        sizes = [sizes[j] for j in record.told_part("counts").get("chosen")[block.left]]
    out = np.ones(sum(sizes), bool)
    out[np.cumsum(sizes) - 1] = False
    return out
