"""What a study releases: which arrays, by whom, with how much noise, at which price.

A release is a set of blocks. Every block is a sum over training rows that its contributors hold in parts:
the banks' common columns with the labels (all banks), a holder's columns with the labels (all banks and the
holder), two holders' columns with each other. Hub and institutions derive the same plan from public numbers,
so that each institution computes its own noise itself and trusts nobody for it.

Noise (all in integers of a ring): a block that several institutions compute together carries the full noise
of a holder, and of the banks together even when ``tolerated`` of them and one more subtract theirs: each bank
adds variance sigma^2 / max(1, banks - 1 - tolerated). The price in Gaussian-DP mu (Dong, Roth & Su 2022)
includes a charge for the noise being discrete; see privacy/accounting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import SIGMA_MIN, contributor_sigma, mu_for, sigma_for
from fedrisk.secure.keystream import Label
from fedrisk.study import BANK, Study

SPLIT = {"edges": 0.05, "counts": 0.65, "gram": 0.30}
"""Shares of mu^2 that did well on several data sets; without private edges theirs goes to the others."""

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
    """One release: blocks, ring, scale (ring units per unit, as a power of two) and price (mu)."""

    name: str
    population: Literal["training", "holdout"]
    mu: float
    ring: Ring
    scale_bits: int
    blocks: tuple[Block, ...]

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

    >>> parties("tax@bank_a"), parties("tax.power@bank_a"), parties("tax.bank@bank_a")
    (('tax', 'bank_a'), ('tax', 'power'), ('tax', 'bank_a'))
    """
    block, _, bank_list = product.partition("@")
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


def budget(study: Study, *, edges: bool) -> dict[str, float]:
    """mu of each release on training rows; their squares add up to the study's mu squared."""
    total = total_mu(study)
    shares = dict(SPLIT)
    if not edges:
        rest = 1 - shares.pop("edges")
        shares = {name: share / rest for name, share in shares.items()}
    return {name: total * math.sqrt(share) for name, share in shares.items()}


def total_mu(study: Study) -> float:
    """The study's budget as Gaussian-DP mu; inf where epsilon is inf."""
    return (
        math.inf if math.isinf(study.privacy.epsilon) else mu_for(study.privacy.epsilon, study.privacy.delta)
    )


def participant_mu(study: Study, name: str) -> float:
    """What an institution is charged for a whole study.

    The study's mu; twice that for a holder behind an external score that is an input of the banks' network: a
    record of its own made zero, or another, leaves the bank's part of the enterprise in place, so its clipped
    gradient goes from one vector to another instead of to zero.
    """
    behind = study.recipe == "neural" and name not in study.trainers
    return total_mu(study) * (2 if behind else 1)


def ring_sigma(sensitivity: float, mu: float) -> float:
    """Sigma in ring units at which a release of that sensitivity costs mu; 0, no noise, where mu is infinite."""
    return 0.0 if math.isinf(mu) else sigma_for(sensitivity, mu)


LABEL_BITS = 8
"""Fractional bits of soft labels and selection weights at least: a label of .1 is 26/256, not 0."""

NOISE_REACH = 12.0
"""Standard deviations beyond which no noise is expected: the chance is below 1e-31 a number."""

RATE_REACH = 2.0
"""How many times the study's expected default rate the 16-bit ring of label counts has room for."""


def _scaled(
    sensitivity: float, mu: float, banks: int, tolerated: int, least_bits: int = 0
) -> tuple[int, float]:
    """Least power of two by which sums are scaled so that every contributor's noise is fine enough."""
    if math.isinf(mu):
        return least_bits, 0.0
    finest = (
        SIGMA_MIN * math.sqrt(max(1, banks - 1 - tolerated)) * 1.01
    )  # a little more than sigma_for insists on
    bits = max(least_bits, math.ceil(math.log2(finest * mu / sensitivity)))
    return bits, sigma_for(sensitivity * 2**bits, mu)


def _sigmas(study: Study, sigma: float, *roles: str) -> dict[str, float]:
    """Noise of each contributor of a block of these roles, in the study's order."""
    bank = contributor_sigma(sigma, len(study.banks), study.privacy.tolerated) if sigma else 0.0
    owners = set(roles)
    return {
        name: bank if name in study.banks else sigma
        for name in study.members
        if name in owners or (BANK in owners and name in study.banks)
    }


def edges_release(study: Study, features: Sequence[Feature]) -> Release | None:
    """Noisy histograms of the features without public bins, or None where all bins are public.

    Sensitivity sqrt(features): an enterprise is in one cell of each. Own block of each role, (features, cells).
    """
    private = [f for f in features if f.private_edges]
    if not private:
        return None
    mu = budget(study, edges=True)["edges"]
    bits, sigma = _scaled(math.sqrt(len(private)), mu, len(study.banks), study.privacy.tolerated)
    blocks = tuple(
        Block(
            name=role,
            left=role,
            right=role,
            shape=(sum(f.institution == role for f in private), study.bins.cells),
            sigma=_sigmas(study, sigma, role),
        )
        for role in study.roles
        if any(f.institution == role for f in private)
    )
    return Release(name="edges", population="training", mu=mu, ring="uint32", scale_bits=bits, blocks=blocks)


def counts_release(
    study: Study,
    sizes: Mapping[str, Sequence[int]],
    mu: float,
    name: str = "counts",
    *,
    whole: bool = False,
    rows: int = 0,
) -> Release:
    """Label counts per bin: for each role the array (bins of all its features, 2) of X'[y, 1 - y].

    sizes: bins of each released feature by role. Sensitivity sqrt(features) for both columns together, since
    y^2 + (1 - y)^2 <= 1.

    whole: all labels are 0 or 1 and none is weighted. Then a holder's array comes in two blocks, which together
    say what the one says, no more and no less. Its own block holds N1 + z1, from products with the single column
    y; the block ``HOLDER.all`` holds N + z1 + z0, with N the holder's own histogram, which needs no product, z1
    the very noise of the first block and z0 noise of its own. So N0 + z0 is the difference, (N1 + z1, N0 + z0)
    and (N1 + z1, N + z1 + z0) determine each other, and sensitivity, price and what the hub learns are those of
    the one array. The gain: without N0, which is large, counts fit a ring of 16 bits, where it is safe
    (:func:`fits_16_bits`), and the masked one-hot matrices take half the bytes.

    In all cases the last bin of each feature is left out of the product; see ``product.with_last``.
    """
    features = sum(len(s) for s in sizes.values())
    least_bits = 0 if whole else LABEL_BITS
    bits, sigma = _scaled(math.sqrt(features), mu, len(study.banks), study.privacy.tolerated, least_bits)
    blocks = []
    for role in study.roles:
        if not sizes.get(role):
            continue
        bins, noise = sum(sizes[role]), _sigmas(study, sigma, role, BANK)
        held = bins - len(sizes[role])
        if role == BANK or not whole:
            columns = None if role == BANK else (held, 2)
            blocks.append(
                Block(name=role, left=role, right=BANK, shape=(bins, 2), sigma=noise, columns=columns)
            )
            continue
        reach = noise_reach(noise)
        narrow = fits_16_bits(study, rows, bits, reach, checked=bool(sizes.get(BANK)))
        blocks.append(
            Block(
                name=role,
                left=role,
                right=BANK,
                shape=(bins, 1),
                sigma=noise,
                columns=(held, 1),
                ring="uint16" if narrow else None,
                least=-reach if narrow else None,
            )
        )
        blocks.append(
            Block(name=f"{role}.all", left=role, right=role, shape=(bins, 1), sigma=noise, with_noise_of=role)
        )
    return Release(
        name=name, population="training", mu=mu, ring="uint32", scale_bits=bits, blocks=tuple(blocks)
    )


def noise_reach(sigma: Mapping[str, float]) -> int:
    """How far all contributors' noise together may be expected to reach, in ring units."""
    return math.ceil(NOISE_REACH * math.sqrt(sum(s * s for s in sigma.values())))


def fits_16_bits(study: Study, rows: int, scale_bits: int, reach: int, *, checked: bool) -> bool:
    """Whether sums of 0-or-1 labels over any bin fit 16 bits, by public numbers alone.

    Certainly where all rows would fit. Beyond that, where the study states an expected default rate of which
    RATE_REACH times would fit, and the banks' own counts (32 bits) will show whether it was so: ``checked``. A bin
    holds no more defaults than there are; :func:`check_16_bits` compares once the counts are there.

    >>> from fedrisk.study import study_from
    >>> members = [{"name": "b", "role": "bank"}, {"name": "h", "role": "holder"}]
    >>> plain = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1}, "institutions": members}
    >>> fits_16_bits(study_from(plain), 60_000, 0, 1000, checked=True)
    True
    >>> fits_16_bits(study_from(plain), 600_000, 0, 1000, checked=True)
    False
    >>> fits_16_bits(study_from({**plain, "expected": {"default_rate": 0.03}}), 600_000, 0, 1000, checked=True)
    True
    """
    rate = study.expected.default_rate
    most = rows if rate is None or not checked else min(rows, math.ceil(RATE_REACH * rate * rows))
    return most > 0 and (most << scale_bits) + 2 * reach < 1 << 16


def check_16_bits(release: Release, rows: int, positives: float, variance: float) -> None:
    """ConfigError where counts of a 16-bit ring may have wrapped around: there are more defaults than expected.

    positives: noisy number of all defaults, from the banks' own counts, with the variance of its noise.
    """
    narrow = [b for b in release.blocks if b.ring == "uint16"]
    if not narrow:
        return
    reach = max(-int(b.least or 0) for b in narrow)
    room = ((1 << 16) - 1 - 2 * reach) >> release.scale_bits
    if rows > room and positives + NOISE_REACH * math.sqrt(variance) > room:
        raise ConfigError(
            f"the banks count about {positives:.0f} defaults in {rows} training rows, more than twice what "
            f"expected.default_rate tells, and holders' counts hold up to {room} only; state the rate as it is, or "
            "leave it out, and run the study anew. What was released stays charged"
        )


def gram_fraction_bits(rows: int, radius2: float) -> int:
    """Fractional bits of one factor so that sums of ``rows`` products stay well inside 2^63."""
    room = 60 - math.log2(max(rows, 4096) * max(radius2, 1e-9))
    return max(4, min(20, int(room / 2)))


def gram_release(
    study: Study,
    owners: Mapping[str, Sequence[int]],
    radii: Mapping[str, float],
    rows: int,
    mu: float,
) -> Release:
    """The Gram matrix of shape rows, entries between different features, each unordered pair once.

    owners: by role, the feature number of each of its columns. radii: greatest norm of a role's part of a row.
    Own blocks are vectors over :func:`own_pairs`; blocks of two roles are (columns left, columns right).
    Sensitivity R^2 / sqrt(2) with R^2 the sum of squared radii: the squares of all entries of psi psi' sum to
    |psi|^4, and those above the diagonal to at most half of it.
    """
    radius2 = sum(r * r for r in radii.values())
    bits = gram_fraction_bits(rows, radius2)
    sigma = ring_sigma(radius2 / math.sqrt(2) * 4.0**bits, mu)
    roles = [role for role in study.roles if owners.get(role)]
    blocks = []
    for i, left in enumerate(roles):
        pairs = len(own_pairs(owners[left])[0])
        if pairs:
            blocks.append(
                Block(name=left, left=left, right=left, shape=(pairs,), sigma=_sigmas(study, sigma, left))
            )
        for right in roles[i + 1 :]:
            # The bank's part is the right one, as in label counts; between holders the study's order decides.
            a, b = (right, left) if left == BANK else (left, right)
            blocks.append(
                Block(
                    name=f"{a}.{b}",
                    left=a,
                    right=b,
                    shape=(len(owners[a]), len(owners[b])),
                    sigma=_sigmas(study, sigma, a, b),
                )
            )
    return Release(
        name="gram", population="training", mu=mu, ring="uint64", scale_bits=2 * bits, blocks=tuple(blocks)
    )


def own_pairs(features: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Columns (i, j), i < j, of one role that belong to different features.

    >>> own_pairs([0, 0, 1])
    ((0, 1), (2, 2))
    """
    pairs = [
        (i, j)
        for i in range(len(features))
        for j in range(i + 1, len(features))
        if features[i] != features[j]
    ]
    return tuple(i for i, _ in pairs), tuple(j for _, j in pairs)


def expected_gain(positives: float, mu_counts: float, features: int) -> tuple[float, str]:
    """Whether a study of this size can gain over a bank alone: (room, what to expect in words).

    room: positives times mu of the label counts by sqrt(features), the signal of all positives in units of the
    noise of one number. Measured with this recipe: 150 to 190 gained .03 to .04 AUC (130,000 and 30,000
    enterprises at epsilon 1), 19 gained nothing (640 positives, 40 features), 3 lost (150 positives, 95 features).

    >>> expected_gain(4600, 0.19, 23)[1]
    'a gain over the bank alone is to be expected'
    """
    room = positives * mu_counts / math.sqrt(max(features, 1))
    if room >= 60:
        return room, "a gain over the bank alone is to be expected"
    if room >= 20:
        return room, "a gain over the bank alone is uncertain; raise epsilon, or drop weak features"
    return room, "no gain over the bank alone is to be expected: too few positives for this epsilon"


def evaluation_release(study: Study, bins: int) -> Release:
    """Histogram of the hold-out, (score bins, 2), all banks together or one block a bank; sensitivity 1.

    Banks alone carry the full noise each, as nobody else's covers them.
    """
    mu = total_mu(study)
    if study.evaluation.by_bank:
        bits, sigma = _scaled(1.0, mu, 1, 0, LABEL_BITS)
        blocks = tuple(
            Block(name=bank, left=BANK, right=BANK, shape=(bins, 2), sigma={bank: sigma})
            for bank in study.banks
        )
    else:
        bits, sigma = _scaled(1.0, mu, len(study.banks), study.privacy.tolerated, LABEL_BITS)
        blocks = (
            Block(name=BANK, left=BANK, right=BANK, shape=(bins, 2), sigma=_sigmas(study, sigma, BANK)),
        )
    return Release(
        name="evaluation", population="holdout", mu=mu, ring="uint32", scale_bits=bits, blocks=blocks
    )
