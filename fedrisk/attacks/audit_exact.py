"""What a record moves in what is released, over the noise that hides it: mu as it is really spent, release by release.

Every release is a Gaussian mechanism: exact parts of several institutions and their noise, added up in a ring. Between
two runs on one transcript the sum of exact parts differs by D. Whoever sees the total, and knows the noise of all those
who may be on its side, learns as much of the record as from one draw of a Gaussian whose mean is moved by |D| / sigma,
with sigma the noise that is left (Dong, Roth & Su 2022). That is the mu spent; no more than that was charged.

Noise that is left for a record of an institution: its own, and that of others of its kind without the observer and so
many colluders as the study tolerates. For a record of an institution that adds no noise to the block, that of the
contributors without these. How much noise there really is, is looked at as well: draws that vary too little for their
sigma count as what they are.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from fedrisk.attacks.audit_rows import SINGLED_OUT, Row
from fedrisk.attacks.audit_trial import Trial, Tried
from fedrisk.attacks.exact_parts import Heard
from fedrisk.privacy.accounting import LABEL_IN_COUNTS, LABEL_IN_VECTORS
from fedrisk.releases.gradient_sums import STEP
from fedrisk.releases.release import Block, Release
from fedrisk.secure.ring import to_signed
from fedrisk.study import Study
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]

FALSE_ALARM = 1e-9
"""Chance that noise as it should be counts as too little, for one release."""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What one change of a record at one institution spends.

    relation: zeroed, flipped, replaced, or absent (a data holder has no record of the enterprise). mu: by release, of
    which all steps of a training are one. claimed: the same, as charged, times what is promised for the relation.
    composed: (population, mu, claimed) of all releases together.
    """

    party: str
    relation: str
    mu: Mapping[str, float]
    claimed: Mapping[str, float]
    composed: tuple[tuple[str, float, float], ...]


def audited(trial: Trial, variants: int) -> Iterator[Spent]:
    """Run a setting again and again, and say what each change between two of its runs spends."""
    _run_all(trial, variants)
    yield from (spent for _, _, spent in every_change(trial, NoiseLeft(trial)))


def every_change(trial: Trial, noise: "NoiseLeft") -> Iterator[tuple[Tried, Tried, Spent]]:
    """Each change between two runs of a setting, and what it spends."""
    for one in trial.runs:
        for other in trial.runs:
            for party, relation in changes(trial, one, other):
                yield one, other, spent_between(trial, noise, one.heard, other.heard, party, relation)


def _run_all(trial: Trial, variants: int) -> None:
    """The enterprises gone; records that stand out everywhere; then others at one institution after the other.

    Beside other records of a data holder the host's stay as they are, but for a label: with a score at its end, no
    record of others would move it from cell to cell.
    """
    rows = {name: trial.variants(name, variants) for name in trial.parties}
    worst = {name: tried[0] for name, tried in rows.items()}
    trial.tried({**worst, trial.host: nothing_of(trial, worst)})
    trial.tried(worst)
    if trial.host in trial.run.study.banks:
        trial.tried({**worst, trial.host: {**worst[trial.host], "bad": 0.0}})
    # What is longest in products of all columns is not what has most points: those rows at all institutions at once.
    if len(rows) > 1:
        for k in range(1, min(SINGLED_OUT, variants)):
            trial.tried({name: tried[k] for name, tried in rows.items()})
    for row in rows[trial.host][1:]:
        trial.tried({**worst, trial.host: row})
    usual = {**worst, trial.host: trial.labelled(trial.host, {})}
    for name in trial.parties[1:]:
        for other in (*rows[name], None):
            trial.tried({**usual, name: other})


EVERYWHERE = ""
"""In place of a party: the enterprise's records at all institutions together."""


def nothing_of(trial: Trial, worst: Mapping[str, Row]) -> Row | None:
    """A record of the host that contributes nothing, with the columns of its worst one."""
    return None if trial.null is None else {**worst[trial.host], **trial.null}


def changes(trial: Trial, one: Tried, other: Tried) -> Iterator[tuple[str, str]]:
    """Whose record differs between two runs, and how; nothing where several institutions' do."""
    empty = [t.rows == trial.runs[0].rows for t in (one, other)]
    if one is other or empty[1]:
        return
    if empty[0]:
        # Without the enterprise on the list, or its label, every party's contribution is zero.
        yield trial.host, "zeroed"
        if trial.null is None:
            yield from ((party, "zeroed") for party in trial.parties[1:])
            yield EVERYWHERE, "zeroed"
        return
    differ = [p for p in trial.parties if one.rows[p] != other.rows[p]]
    if len(differ) == 1:
        before, after = one.rows[differ[0]], other.rows[differ[0]]
        if before is None or after is None:
            yield differ[0], "absent"
            return
        same = before.keys() == after.keys()
        label = same and {c for c in before if not _same(before[c], after[c])} <= {"bad"}
        yield differ[0], "flipped" if label else "replaced"


def _same(one: Any, other: Any) -> bool:
    return one is other or one == other or (one != one and other != other)


def spent_between(
    trial: Trial, noise: "NoiseLeft", one: Heard, other: Heard, party: str, relation: str
) -> Spent:
    """What the change from one run to another spends, where it is of one institution's record."""
    square, study = defaultdict[str, float](float), trial.run.study
    population: dict[str, str] = {}
    for (name, block, _), moved in moves(one, other).items():
        release = trial.base.releases[name]
        population[kind_of(name)] = release.population
        if relation == "zeroed" and party and not takes_part(study, party, release.block(block)):
            continue
        if moved.any():
            variance = noise.variance(party or trial.host, name, block)
            square[kind_of(name)] += float(moved @ moved) / variance if variance else math.inf
    charged = charges(trial, party or trial.host)
    factor = {k: _factor(trial, party or trial.host, relation, k) for k in {*population, *charged}}
    claimed = {k: factor[k] * mu for k, (_, mu) in charged.items()}
    mu = {k: math.sqrt(square[k]) for k in population}
    composed = tuple(
        (
            p,
            math.hypot(*(mu[k] for k in mu if population[k] == p)),
            math.hypot(*(claimed[k] for k, (of, _) in charged.items() if of == p)),
        )
        for p in sorted(set(population.values()))
    )
    return Spent(party=party, relation=relation, mu=mu, claimed=claimed, composed=composed)


def moves(one: Heard, other: Heard) -> dict[tuple[str, str, int], Floats]:
    """By release, block and draw, by how much two runs differ in what has noise of its own, flat, in ring units.

    A block that has the very noise of another one beside its own is taken as its difference from that.
    """
    total: dict[tuple[str, str, int], Any] = {}
    for place, part in other.parts.items():
        (_, *key), k = place[:3], place[3]
        name, block = key
        change = part.exact - one.parts[place].exact
        there = total.get((name, block, k))
        total[name, block, k] = change if there is None else there + change
    signed = {key: to_signed(change).astype(np.float64).ravel() for key, change in total.items()}
    out = {}
    for (name, block, k), moved in signed.items():
        shared = other.releases[name].block(block).with_noise_of
        out[name, block, k] = moved if shared is None else moved - signed[name, shared, k]
    return out


def kind_of(release: str) -> str:
    """Name of a release; all steps of a training, and what is charged for behind it, are one."""
    return "training" if release.startswith(STEP) or release == "external" else release


def takes_part(study: Study, party: str, block: Block) -> bool:
    """Whether an institution's record is a factor of a block's sums."""
    role = BANK if party in study.banks else party
    return role in (block.left, block.right) or party in block.contributors


def charges(trial: Trial, party: str) -> dict[str, tuple[str, float]]:
    """By release, population and mu that the institution's ledger has of the run."""
    squares, population = defaultdict[str, float](float), {}
    for entry in trial.run.nodes[party].ledger.entries():
        spend = entry.spend
        if spend.attempt == trial.run.attempt:
            squares[kind_of(spend.release)] += spend.mu**2
            population[kind_of(spend.release)] = spend.population
    return {kind: (population[kind], math.sqrt(square)) for kind, square in squares.items()}


def _factor(trial: Trial, party: str, relation: str, kind: str) -> float:
    """What is promised of a release's price; one that the institution adds nothing to is priced for any move."""
    blocks = [b for name, r in trial.base.releases.items() if kind_of(name) == kind for b in r.blocks]
    contributes = any(party in b.contributors for b in blocks)
    if not contributes or trial.setting.moves:
        return 1.0
    if relation == "flipped":
        return LABEL_IN_VECTORS if kind == "training" else LABEL_IN_COUNTS
    return {"zeroed": 1.0, "absent": LABEL_IN_COUNTS, "replaced": 2.0}[relation]


class NoiseLeft:
    """The noise in a total that is left against others, by what institutions really drew."""

    def __init__(self, trial: Trial) -> None:
        self._study, self._trial = trial.run.study, trial
        heard = [trial.base, *(t.heard for t in trial.runs)]
        self._ratio = {name: drawn_ratio(heard, name) for name in trial.base.releases}

    def variance(self, party: str, release: str, block: str) -> float:
        """Of each number of a block, in ring units, as it really is; 0 where there is none."""
        return self._ratio[release] * self.planned(party, release, block)

    def planned(self, party: str, release: str, block: str) -> float:
        """The same, as the plan says."""
        found = self._trial.base.releases[release]
        honest = self.honest(party, found, found.block(block))
        return sum(found.block(block).sigma[name] ** 2 for name in honest)

    def honest(self, party: str, release: Release, block: Block) -> tuple[str, ...]:
        """Whose noise hides a record of the party in a block, at the least."""
        study, plan = self._study, self._trial.run.plan.training
        peers = block.contributors
        if party in peers:
            bank = party in study.banks
            peers = (party, *(p for p in peers if p != party and (p in study.banks) == bank))
        there = len(peers)
        if release.name.startswith(STEP) and plan is not None:
            there = min(there, plan.threshold) if plan.distributed else 1
        return peers[: max(1, there - 1 - study.privacy.colluders)]


def drawn_ratio(heard: list[Heard], release: str) -> float:
    """Variance of what was drawn for a release over what its sigmas say; 1 unless it is surely less.

    All draws of all runs together follow chi squared; below its quantile at FALSE_ALARM they count as what they are.
    """
    square, count = 0.0, 0
    for one in heard:
        for place, part in one.parts.items():
            if place[1] != release:
                continue
            sigma = one.releases[release].block(place[2]).sigma[place[0]]
            if part.noise is None:
                return 0.0
            square += float(np.square(part.noise / sigma).sum())
            count += part.noise.size
    return square / count if square < chi2.ppf(FALSE_ALARM, count) else 1.0
