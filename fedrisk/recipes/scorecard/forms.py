"""Forms of the releases of a scorecard study that follow from earlier ones: label counts, Gram matrix.

Hub and institutions derive them by the same code from what was released, and complete their plans with them.
"""

import math
from collections.abc import Mapping, Sequence

from fedrisk.analysis.card_sums import own_pairs
from fedrisk.errors import ConfigError
from fedrisk.models.shape_rows import gram_sensitivity, radius_units
from fedrisk.releases.budget import LABEL_BITS, NOISE_REACH, noise_reach, ring_sigma, scaled, sigmas
from fedrisk.releases.release import Block, Release
from fedrisk.study import Study
from fedrisk.study_members import BANK

CALIBRATION_BINS = 12
"""Score bins of the calibration histogram: few, as each brings noise of its own."""

RATE_REACH = 2.0
"""How many times the study's expected default rate the 16-bit ring of label counts has room for."""


def counts_release(
    study: Study,
    sizes: Mapping[str, Sequence[int]],
    mu: float,
    name: str = "counts",
    *,
    binary_labels: bool = False,
    rows: int = 0,
) -> Release:
    """Label counts per bin: for each role the array (bins of all its features, 2) of X'[y, 1 - y].

    sizes: bins of each released feature by role. Sensitivity sqrt(features) for both columns together, since
    y^2 + (1 - y)^2 <= 1.

    binary_labels: all labels are 0 or 1 and none is weighted. Then a holder's array comes in two blocks. Its own block
    holds N1 + zh + zb, from products with the single column y, with noise zh of the holder and zb of the banks. The
    block ``HOLDER.all`` holds N + zh + z0 from the holder alone, with N its own histogram, which needs no product, zh
    the very noise of the first block and z0 noise of its own. The difference is N0 + z0 - zb. What a record costs:

    - a holder's record, made zero, takes (y, 1 - y) from (N1, N0). To a bank, which knows zb, the noises zh and z0 are
      independent: sensitivity 1 a feature, as for the one array;
    - a bank's record, made zero, changes N1 alone, by 1 a feature. The holder knows N, zh and z0, and sees N1 + zb: the
      banks' noise is whole. (With noise of the banks in ``HOLDER.all`` it would see N1 twice, at half the variance.)
    - to the hub the noise is larger in both cases.

    The gain: without N0, which is large, counts fit a ring of 16 bits, where it is safe
    (:func:`fits_16_bits`), and the masked one-hot matrices take half the bytes.

    In all cases the last bin of each feature is left out of the product; see ``product.with_last``.
    """
    features = sum(len(s) for s in sizes.values())
    least_bits = 0 if binary_labels else LABEL_BITS
    bits, sigma = scaled(math.sqrt(features), mu, len(study.banks), study.privacy.colluders, least_bits)
    blocks: list[Block] = []
    for role in study.roles:
        if not sizes.get(role):
            continue
        bins, noise = sum(sizes[role]), sigmas(study, sigma, role, BANK)
        held = bins - len(sizes[role])
        if role == BANK or not binary_labels:
            columns = None if role == BANK else (held, 2)
            blocks.append(
                Block(name=role, left=role, right=BANK, shape=(bins, 2), sigma=noise, columns=columns)
            )
            continue
        reach = noise_reach(noise)
        narrow = fits_16_bits(study, rows, bits, reach, checked=bool(sizes.get(BANK)))
        blocks += _holder_blocks(role, bins, held, noise, reach if narrow else None)
    return Release(
        name=name, population="training", mu=mu, ring="uint32", scale_bits=bits, blocks=tuple(blocks)
    )


def _holder_blocks(
    role: str, bins: int, held: int, noise: Mapping[str, float], reach: int | None
) -> tuple[Block, Block]:
    """A holder's two blocks for binary labels. reach: of the noise, where the counts fit a ring of 16 bits."""
    positives = Block(
        name=role,
        left=role,
        right=BANK,
        shape=(bins, 1),
        sigma=noise,
        columns=(held, 1),
        ring=None if reach is None else "uint16",
        least=None if reach is None else -reach,
    )
    everybody = Block(
        name=f"{role}.all",
        left=role,
        right=role,
        shape=(bins, 1),
        sigma={role: noise[role]},
        with_noise_of=role,
    )
    return positives, everybody


def calibration_release(study: Study, mu: float) -> Release:
    """Histogram of the banks' training rows, (score bins, 2), all banks together.

    A bank's record is in one cell or in none, with labels (y, 1 - y) and a weight of at most 1: sensitivity 1. A
    holder's record, made zero or another, moves an enterprise from one cell to another of the same labels: sqrt(2)
    wherever holders stand behind the scores.
    """
    sensitivity = math.sqrt(2) if study.holders else 1.0
    bits, sigma = scaled(sensitivity, mu, len(study.banks), study.privacy.colluders, LABEL_BITS)
    block = Block(
        name=BANK, left=BANK, right=BANK, shape=(CALIBRATION_BINS, 2), sigma=sigmas(study, sigma, BANK)
    )
    return Release(
        name="calibration", population="training", mu=mu, ring="uint32", scale_bits=bits, blocks=(block,)
    )


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
            f"expected.default_rate says, and holders' counts hold up to {room} only; state the rate as it is, or "
            "leave it out, and run the study again. What was released stays charged"
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
    Sensitivity: :func:`fedrisk.models.shape_rows.gram_sensitivity` of the integer radii, to which institutions clip.
    """
    bits = gram_fraction_bits(rows, sum(r * r for r in radii.values()))
    sigma = ring_sigma(gram_sensitivity([radius_units(r, bits) for r in radii.values()]), mu)
    roles = [role for role in study.roles if owners.get(role)]
    blocks = []
    for i, left in enumerate(roles):
        pairs = len(own_pairs(owners[left])[0])
        if pairs:
            blocks.append(
                Block(name=left, left=left, right=left, shape=(pairs,), sigma=sigmas(study, sigma, left))
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
                    sigma=sigmas(study, sigma, a, b),
                )
            )
    return Release(
        name="gram", population="training", mu=mu, ring="uint64", scale_bits=2 * bits, blocks=tuple(blocks)
    )
