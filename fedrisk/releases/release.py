"""A release: which arrays leave, computed by whom, with how much noise, at which price.

A release is a set of blocks. Every block is a sum over rows that its contributors hold in parts: the banks' common
columns with the labels (all banks), a holder's columns with the labels (all banks and the holder), two holders'
columns with each other. Where two institutions hold the parts, the sum is computed by secure products.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fedrisk.privacy.spend import Population
from fedrisk.secure.keystream import Label
from fedrisk.study import Study
from fedrisk.study_members import BANK

Ring = Literal["uint16", "uint32", "uint64"]


@dataclass(frozen=True, kw_only=True)
class Block:
    """One array of a release.

    left, right: owners (roles) of the two matrices whose product it is; equal for an owner's own block.
    shape: of the array in ring elements.
    sigma: standard deviation of each contributor's noise, in ring units; its keys are the contributors.
    ring: its own ring, where it is not the release's.
    columns: of the left and right matrix in its secure products, where they are not the shape.
    with_noise_of: name of a block whose very noise is in this one too, besides its own.
    least: the least number that its ring is read as; None reads signed numbers.
    """

    name: str
    left: str
    right: str
    shape: tuple[int, ...]
    sigma: Mapping[str, float]
    ring: Ring | None = None
    columns: tuple[int, int] | None = None
    with_noise_of: str | None = None
    least: int | None = None

    @property
    def contributors(self) -> tuple[str, ...]:
        """Institutions that each send a part, in the study's order."""
        return tuple(self.sigma)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One release: blocks, ring, scale (ring units per unit, as a power of two) and price (mu).

    draws: noise vectors that the price covers for each block; more than one where an institution makes several steps
    by itself before it sends their sum.
    """

    name: str
    population: Population
    mu: float
    ring: Ring
    scale_bits: int
    blocks: tuple[Block, ...]

    draws: int = 1

    def block(self, name: str) -> Block:
        """The block of that name; KeyError where there is none."""
        return {b.name: b for b in self.blocks}[name]

    def ring_of(self, block: Block) -> Ring:
        """The ring of a block."""
        return block.ring or self.ring

    def columns_of(self, product: "Product") -> tuple[int, int]:
        """Columns of the left and the right matrix of a product."""
        block = self.block(product.block)
        return block.columns or (block.shape[0], block.shape[1])

    def variance(self, name: str) -> float:
        """Variance of the noise in each number of a block once its parts are added up, in plain units."""
        return sum(s * s for s in self.block(name).sigma.values()) / 4.0**self.scale_bits

    def deviation(self) -> tuple[float, float]:
        """Least and greatest standard deviation of the noise in a number of the totals, in plain units."""
        deviations = [math.sqrt(self.variance(b.name)) for b in self.blocks]
        return min(deviations), max(deviations)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One release of a plan: its price, its noise where that is known, and its form once that is known.

    deviation: least and greatest standard deviation of the noise in a number, in plain units; None where it follows
    from earlier releases.
    """

    name: str
    population: Population
    mu: float
    deviation: tuple[float, float] | None = None
    release: Release | None = None

    @classmethod
    def of(cls, release: Release) -> "Planned":
        """A release whose form is known."""
        return cls(
            name=release.name,
            population=release.population,
            mu=release.mu,
            deviation=release.deviation(),
            release=release,
        )


@dataclass(frozen=True)
class Product:
    """One secure product: for a block of a release, on one bank's list, between two institutions."""

    block: str
    bank_list: str
    left: str
    right: str

    @property
    def id(self) -> str:
        """Name within a release."""
        return f"{self.block}@{self.bank_list}"

    def partner(self, name: str) -> str:
        """The other side."""
        return self.right if name == self.left else self.left


def parties(product: str) -> tuple[str, str]:
    """The institutions (left, right) of a product's id.

    A prefix up to a colon, of products beside those of the release, says nothing about them.

    >>> parties("tax@bank_a"), parties("tax.power@bank_a"), parties("tax.bank@bank_a")
    (('tax', 'bank_a'), ('tax', 'power'), ('tax', 'bank_a'))
    """
    block, _, bank_list = product.rpartition(":")[2].partition("@")
    left, _, right = block.partition(".")
    return left, bank_list if right in ("", BANK) else right


def products(study: Study, release: Release) -> tuple[Product, ...]:
    """The secure products of a release, one for each block of two roles and each bank's list."""

    def institution(role: str, bank: str) -> str:
        return bank if role == BANK else role

    return tuple(
        Product(block.name, bank, institution(block.left, bank), institution(block.right, bank))
        for block in release.blocks
        if block.left != block.right
        for bank in study.banks
    )


def product_label(study: str, attempt: str, release: Release, product: Product) -> Label:
    """The label under which the streams of a product are drawn; hub and both parties derive the same."""
    return Label(
        study=study,
        attempt=attempt,
        release=release.name,
        sender=product.left,
        counterparty=product.right,
        bank_list=product.bank_list,
        matrix=product.block,
    )
