"""How far a figure is from what is usual in its cell, with everything that is known of the errors.

For one indicator, the figure z of cell c in quarter s is taken as

    z_cs = m_c + p_gs + u_cs + e_cs

m_c: the cell's own level, of variance tau^2 between cells of a group; p_gs: what moved in all cells of a group g (the
province, or a sector) alike; u_cs: the usual move of the cell alone, of variance a + b / rows of the cell; e_cs: noise
and estimation error, of known variance. p is found by median polish (Tukey 1977), m by Huber's middle of the earlier
quarters, shrunk toward the group's as a random effect (DerSimonian & Laird 1986), and a, b, tau^2 by subtracting the
known errors (`random_effects`). So a shock in an earlier quarter, in this cell or another, hardly moves what is usual.

Each earlier quarter is also held against the others. That gives what the deviation is where nothing happened.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from fedrisk.analysis.random_effects import Floats, excess_variance, huber_weights, weighted_median

ROUNDS = 3
SIZE_GROUPS = 5
"""Groups of cells by rows, in each of which the usual variance is estimated before the line a + b / rows is fitted."""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One indicator's figures.

    values, errors: (quarters, cells), errors as variances; NaN where there is no figure. change: (quarters, quarters),
    the transformation as a matrix on quarters; NaN rows where it has none. rows: (cells,) enterprises, about. group:
    (cells,) number of the group that moves alike.
    """

    values: Floats
    errors: Floats
    change: Floats
    rows: Floats
    group: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """Deviations of each held quarter (the earlier ones, this one last) from what is usual: (held, cells) each.

    value: NaN where there is none. noise: variance of what was released. past: variance of what is taken as usual.
    usual: variance of the cell's own usual moves. moved: (held, groups) what moved in all cells alike. moved_error: its
    variance. typical: usual standard deviation of a cell of middle size, or the most that noise could hide.
    """

    value: Floats
    noise: Floats
    past: Floats
    usual: Floats
    moved: Floats
    moved_error: Floats
    typical: float


def change_matrix(quarters: int, lag: int) -> Floats:
    """The change on the quarter ``lag`` before, as a matrix on quarters; lag 0 is the level itself.

    >>> change_matrix(2, 1).tolist()
    [[nan, nan], [-1.0, 1.0]]
    """
    if not lag:
        return np.eye(quarters)
    matrix = np.eye(quarters) - np.eye(quarters, k=-lag)
    matrix[:lag] = np.nan
    return matrix


def deviations(figures: Figures, held: list[int]) -> Deviations:
    """Deviations of the quarters ``held`` (the earlier ones, the judged one last), each against the earlier others."""
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(figures.change).all(axis=1))
    change = np.where(np.isfinite(figures.change), figures.change, 0.0)[held]
    filled = np.nan_to_num(figures.values)
    seen = np.isfinite(figures.values) & np.isfinite(figures.errors) & (figures.errors >= 0)
    # A figure is there where all quarters that it is made of are.
    there = ((change != 0).astype(float) @ (~seen).astype(float) == 0) & usable[held][:, None]
    errors = np.where(seen, figures.errors, 0.0)
    state = _State(
        z=np.where(there, change @ filled, np.nan),
        noise=np.where(there, change**2 @ errors, np.nan),
        change=change,
        errors=errors,
        rows=figures.rows,
        group=figures.group,
    )
    return state.solve()


@dataclass(kw_only=True)
class _State:
    """Arrays of one computation: z, noise (held, cells); change (held, quarters); errors (quarters, cells)."""

    z: Floats
    noise: Floats
    change: Floats
    errors: Floats
    rows: Floats
    group: NDArray[np.int64]

    def solve(self) -> Deviations:
        usual = np.full(self.z.shape[1], self._first_guess())
        between = np.inf
        for _ in range(ROUNDS):
            moved, moved_error = self._moves(usual)
            x = self.z - moved[:, self.group]
            weights = self._weights(x, usual)
            middle, own, spread = self._middles(x, weights)
            pull = self._pull(spread, own, usual, between)
            value, noise = self._against(x, weights, middle, pull)
            # The error of what is usual: one part grows with the usual variance, one does not.
            share = pull**2 * spread
            fixed = moved_error[:, self.group]
            if np.isfinite(between):
                fixed = fixed + (1 - pull) ** 2 * between
            usual = self._usual(value[:-1], (noise + fixed)[:-1], 1.0 + share[:-1])
            between = self._between(x, usual)
        return Deviations(
            value=value,
            noise=noise,
            past=share * usual + fixed,
            usual=np.broadcast_to(usual, value.shape).copy(),
            moved=moved,
            moved_error=moved_error,
            typical=self._typical(usual),
        )

    def _typical(self, usual: Floats) -> float:
        """Usual standard deviation of a cell of middle size; where noise hides it, the most that noise could hide."""
        seen = int(np.isfinite(self.z[:-1]).sum())
        total = float(np.nanmedian(self.noise[:-1])) if seen else 0.0
        hidden = 2.0 * total * np.sqrt(np.pi / max(seen, 1))
        return float(np.sqrt(max(float(np.median(usual)), hidden, 1e-300)))

    def _first_guess(self) -> float:
        """Variance of changes between held quarters, half of it; noise subtracted."""
        steps, errors = np.diff(self.z, axis=0), self.noise[1:] + self.noise[:-1]
        some = np.isfinite(steps).any(axis=1, keepdims=True)
        middle = np.nanmedian(np.where(some, steps, 0.0), axis=1, keepdims=True)
        return excess_variance(steps - middle, errors, 2.0)

    def _moves(self, usual: Floats) -> tuple[Floats, Floats]:
        """Median polish: what moved in all cells of each group, and the variance of that."""
        groups = int(self.group.max()) + 1
        moved, errors = np.zeros((len(self.z), groups)), np.zeros((len(self.z), groups))
        weight = 1.0 / np.maximum(self.noise + usual, 1e-300)
        middle = np.zeros(self.z.shape[1])
        for _ in range(ROUNDS):
            for g in range(groups):
                cells = self.group == g
                moved[:, g] = weighted_median((self.z - middle)[:, cells], weight[:, cells])
                known = np.nansum(weight[:, cells], axis=1)
                # A group without any figure did not move, as far as anybody knows; its cells have none either.
                errors[:, g] = np.where(known > 0, 0.5 * np.pi / np.maximum(known, 1e-300), 0.0)
            earlier = (self.z - moved[:, self.group])[:-1]
            some = np.isfinite(earlier).any(axis=0)
            middle = np.where(some, np.nanmedian(np.where(some, earlier, 0.0), axis=0), 0.0)
        return moved, errors

    def _weights(self, x: Floats, usual: Floats) -> Floats:
        """(held, earlier, cells): weights of earlier quarters in what is usual, without the held one itself."""
        count = len(x) - 1
        others = ~np.eye(count + 1, count, dtype=bool)
        use = others[:, :, None] & np.isfinite(x[:-1])[None]
        return huber_weights(x[None, :-1], np.broadcast_to((self.noise + usual)[None, :-1], use.shape), use)

    def _middles(self, x: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """The cell's own level without each held quarter, its noise variance, and the sum of squared weights."""
        middle = np.einsum("src,rc->sc", weights, np.nan_to_num(x[:-1]))
        on_quarters = np.einsum("src,rq->sqc", weights, self.change[:-1])
        return middle, np.einsum("sqc,qc->sc", on_quarters**2, self.errors), (weights**2).sum(axis=1)

    def _pull(self, spread: Floats, own: Floats, usual: Floats, between: float) -> Floats:
        """How much of the cell's own level is believed: 1 all of it, 0 that of its group."""
        error = own + spread * usual
        none = spread == 0
        pull = np.ones_like(error) if np.isinf(between) else between / np.maximum(between + error, 1e-300)
        return np.where(none, 0.0, pull)

    def _against(self, x: Floats, weights: Floats, middle: Floats, pull: Floats) -> tuple[Floats, Floats]:
        """Deviation and its noise variance, with the noise that it shares with the earlier quarters."""
        on_quarters = np.einsum("src,rq->sqc", weights, self.change[:-1])
        coefficients = self.change[:, :, None] - pull[:, None] * on_quarters
        noise = np.einsum("sqc,qc->sc", coefficients**2, self.errors)
        return x - pull * middle, np.where(np.isfinite(x), noise, np.nan)

    def _usual(self, value: Floats, errors: Floats, share: Floats) -> Floats:
        """Variance of the cells' own usual moves, a + b / rows, by groups of cells of like size."""
        order = np.argsort(self.rows)
        sizes, found, precision = [], [], []
        for cells in np.array_split(order, min(SIZE_GROUPS, max(1, len(order) // 20))):
            sizes.append(float(np.mean(1.0 / np.maximum(self.rows[cells], 1.0))))
            found.append(excess_variance(value[:, cells], errors[:, cells], share[:, cells]))
            # Noise hides more where cells are small: there the variance itself is known less well.
            hidden = np.nanmedian(errors[:, cells]) if np.isfinite(errors[:, cells]).any() else 0.0
            precision.append(1.0 / max(found[-1] + float(hidden), 1e-300))
        inverse, scale = np.array(sizes), np.array(precision) / max(precision)
        design = np.column_stack([np.ones(len(inverse)), inverse / inverse.max()])
        (a, b), _ = nnls(design * scale[:, None], np.array(found) * scale)
        line: Floats = a + b / inverse.max() / np.maximum(self.rows, 1.0)
        return np.asarray(np.maximum(line, 1e-12 * max(max(found), 1e-300)))

    def _between(self, x: Floats, usual: Floats) -> float:
        """Variance of the cells' own levels between cells."""
        weights = self._weights(x, usual)[-1:]
        middle, own, spread = self._middles(x, weights)
        there = spread[0] > 0
        return excess_variance(middle[0][there], (own + spread * usual)[0][there])
