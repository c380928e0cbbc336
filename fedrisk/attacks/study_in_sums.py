"""A scorecard study on real rows in the space of sums, thousands of times: who takes part is drawn anew each time.

The rows are those of a study that ran between real nodes (`Rows.of`): bins, codes and labels as its members had them.
What is simulated is the way to the totals alone: exact sums over the rows that take part (shape rows by
`models/shape_rows`, with their clipping), and noise of the sigma that the plan states for each contributor, drawn as a
normal in place of its discrete twin. The forms of the releases, the card and its calibration are made by the code that
hub and members run (`recipes/scorecard/fitting`). Secure products, masks and rings are left out:
they cancel. `tests/unit/attacks/test_study_in_sums.py` and the first figure of `membership` hold both ways together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import label_counts, own_pairs, sizes_of
from fedrisk.attacks.consortium import Run
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard
from fedrisk.models.shape_rows import shape_rows
from fedrisk.recipes.scorecard.fitting import Facts, Second, calibrate, card_bins, card_from, second_release
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS, calibration_release
from fedrisk.recipes.scorecard.matrices import table_codes
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.release import Release
from fedrisk.releases.totals import combined, released_sums
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]
Totals = dict[str, Floats]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """All enterprises that may take part, as the members of a study of one bank have them.

    bins: of all features. codes: by role, (n, its features). label: (n,) 0 or 1. ids: (n,). trained: (n,) who was a
    training row of the study that they come from. facts: public facts of studies of them, always the same, since the
    number of rows is public: who does not take part counts as a row of zeros.
    """

    bins: tuple[Bins, ...]
    codes: Mapping[str, Codes]
    label: Floats
    ids: NDArray[Any]
    trained: NDArray[np.bool_]
    facts: Facts

    @classmethod
    def of(cls, run: Run, tables: Mapping[str, Any], id_column: str = "id") -> "Rows":
        """The rows on the list of the only bank of a study that ended."""
        (bank,) = run.study.banks
        kept = run.scores(bank)
        bins = tuple(card_bins([Bins.from_dict(b) for b in run.told("bins").get("bins")]))
        ids = kept["id"].to_numpy()
        codes = {}
        for role in run.study.roles:
            mine = [b for b in bins if b.feature.institution == role]
            table = tables[bank if role == BANK else role].reset_index(drop=True)
            places = {enterprise: k for k, enterprise in enumerate(table[id_column])}
            every = table_codes(table, mine).astype(np.intp)
            codes[role] = every[[places.get(enterprise, len(table)) for enterprise in ids]]
        label = kept["label"].to_numpy(float)
        trained = (kept["split"] == "training").to_numpy()
        counted = int(trained.sum())
        facts = Facts.of_plain_labels(run.study, run.plan, counted)
        return cls(bins=bins, codes=codes, label=label, ids=ids, trained=trained, facts=facts)

    def __len__(self) -> int:
        return len(self.label)

    def taken(self, rows: NDArray[np.integer]) -> "Rows":
        """Some of the rows."""
        codes = {role: code[rows] for role, code in self.codes.items()}
        return replace(
            self, codes=codes, label=self.label[rows], ids=self.ids[rows], trained=self.trained[rows]
        )

    def at(self, epsilon: float, rows: int, plan: Any) -> "Rows":
        """The same rows in studies of another budget and number of rows. plan: of a study and so many rows."""
        privacy = self.facts.study.privacy.model_copy(update={"epsilon": epsilon})
        study = self.facts.study.model_copy(update={"privacy": privacy})
        return replace(self, facts=Facts.of_plain_labels(study, plan(study, rows), rows))

    def counted(self, role: str) -> list[int]:
        """Places among a role's features of those that are counted."""
        own = [b for b in self.bins if b.feature.institution == role]
        return [j for j, b in enumerate(own) if b.feature.is_column]

    def one_hot(self, role: str) -> Floats:
        """(n, bins) of a role's counted features."""
        sizes = sizes_of(self.bins, self.facts.study.roles)[role]
        code, starts = self.codes[role][:, self.counted(role)], np.cumsum([0, *sizes[:-1]])
        out = np.zeros((len(self), sum(sizes)))
        np.put_along_axis(out, code + starts, 1.0, axis=1)
        return out


@dataclass(frozen=True, kw_only=True)
class Study:
    """One simulated study: all that it released, and what follows from it.

    counts, gram: totals, by block, as the hub opens them before anything is subtracted. own: by holder, the noise of
    its own in its total of defaults, which it knows. second: the second release as it follows from the first. card:
    calibrated. first: the same before its calibration.
    """

    counts: Totals
    own: Totals
    gram: Totals
    calibration: Floats
    second: Second
    first: Scorecard
    card: Scorecard


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What each row adds to each block of a release, (n, numbers), by block."""

    release: Release
    rows: Totals

    def exact(self, weight: Floats) -> Totals:
        """Sums over rows with these weights, (n,)."""
        return {name: weight @ part for name, part in self.rows.items()}


@dataclass
class Simulator:
    """Studies of the same rows, by which of them take part. noise: False is the negative control."""

    rows: Rows
    noise: bool = True
    _hot: Totals = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles = self.rows.facts.study.roles
        self._hot = {role: self.rows.one_hot(role) for role in roles if self.rows.counted(role)}
        self.first = Parts(release=self.rows.facts.counts(self.rows.bins), rows=self._count_parts())

    def study(self, part: NDArray[np.bool_], rng: np.random.Generator) -> Study:
        """One study of the rows that take part, (n,)."""
        facts, bins = self.rows.facts, self.rows.bins
        weight = part.astype(float)
        raw, own = self._drawn(self.first.release, self.first.exact(weight), rng)
        released = _as_told(self.first.release, raw)
        counts = label_counts(released, sizes_of(bins, facts.study.roles))
        second = self.second_of(released)
        again = self.second_parts(second)
        raw_again = self.noisy(again.release, again.exact(weight), rng)
        card = card_from(facts, bins, counts, second, _as_told(again.release, raw_again))
        release = calibration_release(facts.study, facts.plan.mu("calibration"))
        cells = self.calibration_cells(card)
        exact = np.bincount(cells, weight, 2 * CALIBRATION_BINS).astype(float)
        total = self.noisy(release, {BANK: exact}, rng)
        calibrated = calibrate(card, _as_told(release, total))
        return Study(
            counts=raw,
            own={name: noise[name] for name, noise in own.items() if name in noise},
            gram=raw_again,
            calibration=total[BANK],
            second=second,
            first=card,
            card=calibrated,
        )

    def second_of(self, released: ReleasedSums) -> Second:
        """The second release as it follows from the first."""
        facts, bins = self.rows.facts, self.rows.bins
        counts = label_counts(released, sizes_of(bins, facts.study.roles))
        return second_release(facts, bins, counts, facts.curves(bins, counts))

    def noisy(self, release: Release, exact: Totals, rng: np.random.Generator) -> Totals:
        """Sums with every contributor's noise, by block; a block with another's noise has it too."""
        return self._drawn(release, exact, rng)[0]

    def _drawn(
        self, release: Release, exact: Totals, rng: np.random.Generator
    ) -> tuple[Totals, dict[str, dict[str, Floats]]]:
        """The same, and the noise of each contributor by block."""
        unit = 2.0**release.scale_bits
        drawn: dict[str, dict[str, Floats]] = {}
        out = {}
        for block in release.blocks:
            value = np.asarray(exact[block.name], float)
            drawn[block.name] = {
                name: (rng.normal(0, sigma / unit, value.shape) if self.noise else np.zeros_like(value))
                for name, sigma in block.sigma.items()
            }
            total = value + sum(drawn[block.name].values())
            if block.with_noise_of is not None:
                total = total + sum(drawn[block.with_noise_of][name] for name in block.sigma)
            out[block.name] = total
        return out, drawn

    def second_parts(self, second: Second) -> Parts:
        """What each row adds to the second release, whichever it is."""
        if second.chosen is not None:
            return Parts(release=second.release, rows=self._count_parts(second.chosen, second.release))
        bits = second.release.scale_bits // 2
        owner = [b.feature.institution for b in self.rows.bins]
        shapes, owners = {}, {}
        for role, codes in self.rows.codes.items():
            places = [j for j, o in enumerate(owner) if o == role]
            if not places:
                continue
            bases = [second.bases[j] for j in places]
            shapes[role] = shape_rows(list(codes.T), bases, second.radii[role], bits) / 2.0**bits
            owners[role] = [j for j, b in zip(places, bases, strict=True) for _ in range(b.shape[1])]
        parts = {}
        for block in second.release.blocks:
            left, right = shapes[block.left], shapes[block.right]
            if block.left == block.right:
                i, j = own_pairs(owners[block.left])
                parts[block.name] = left[:, list(i)] * left[:, list(j)]
            else:
                parts[block.name] = (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)
        return Parts(release=second.release, rows=parts)

    def scores(self, card: Scorecard) -> NDArray[np.int64]:
        """Scores of all rows by a card, (n,)."""
        total = np.full(len(self.rows), card.base_points, np.int64)
        for role, codes in self.rows.codes.items():
            if codes.shape[1]:
                total += card.institution_points(role, list(codes.T))
        return total

    def calibration_cells(self, first: Scorecard) -> NDArray[np.intp]:
        """The cell of each row in the calibration histogram of (score bins, 2), row by row, (n,)."""
        edges = first.calibration_bins(CALIBRATION_BINS)
        place = np.searchsorted(edges, self.scores(first), side="right")
        return np.asarray(2 * place + (self.rows.label == 0), np.intp)

    def _count_parts(
        self, chosen: Mapping[str, list[int]] | None = None, release: Release | None = None
    ) -> Totals:
        release = self.rows.facts.counts(self.rows.bins) if release is None else release
        y, out = self.rows.label, {}
        sizes = sizes_of(self.rows.bins, self.rows.facts.study.roles)
        for block in release.blocks:
            role, hot = block.left, self._hot[block.left]
            if chosen is not None:
                ends = np.cumsum([0, *sizes[role]])
                hot = np.concatenate([hot[:, ends[j] : ends[j + 1]] for j in chosen[role]], 1)
            if block.with_noise_of is not None:
                out[block.name] = hot
            elif block.shape[1] == 1:
                out[block.name] = hot * y[:, None]
            else:
                both = np.stack([hot * y[:, None], hot * (1 - y)[:, None]], 2)
                out[block.name] = both.reshape(len(y), -1)
        return out


def _as_told(release: Release, totals: Mapping[str, Floats]) -> ReleasedSums:
    shaped = {b.name: totals[b.name].reshape(b.shape) for b in release.blocks}
    return released_sums(release, combined(release, shaped))
