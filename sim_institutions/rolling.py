"""Random numbers of one institution that observes the same enterprises month after month.

What is drawn belongs to an enterprise, and to a month where a series is drawn, so that a later date sees the same
numbers of the months it shares with an earlier one. Whatever the views draw falls into one of three kinds:

- by month (shape (n, months)): one number for each enterprise and month of the window;
- lasting (n numbers): what the enterprise keeps, such as its usual amount of an invoice;
- moving (n numbers, `random_streams.moving`): what is counted or read anew over 12 months; a quarter later the number
  shares three of the four quarters that it is made of, so the two have a correlation of .75.

Every draw of every month or quarter has a stream of its own, so a date needs no earlier one, and months can be added
for ever; dates need not be ends of quarters.
"""

from typing import Any

import numpy as np
from scipy.special import betaincinv, ndtr
from scipy.stats import binom

from sim_institutions.random_streams import MONTHS, Floats, Ints, normal, stream, uniform

YEAR = 12
# Above this mean a Poisson number is found from a normal one (Cornish & Fisher 1938), which is exact within about 1.
MANY = 8.0


class Rolling(np.random.Generator):
    """Takes the place of a generator in a view; ``month`` is the first one after the window of so many ``months``.

    size: enterprises of the block. `observe` says whose rows the following draws are for. Methods that the views do not
    use are not there: a generator's own would draw numbers that belong to nobody.
    """

    def __init__(
        self, seed: int, office: str, number: int, size: int, month: int, *more: str, months: int = MONTHS
    ) -> None:
        super().__init__(np.random.PCG64(0))
        self._seed: int = seed
        self._name: tuple[str | int, ...] = ("rolling", office, number, *more)
        self._size, self._month, self._months = size, month, months
        self._calls = 0
        self._rows: Ints | None = None
        self._parent: Rolling | None = None

    def observe(self, rows: Ints) -> None:
        """The following draws are for these enterprises, in this order."""
        self._rows = rows

    @property
    def moving(self) -> "Rolling":
        """The same, for what is counted or read anew over 12 months."""
        return _Moving(self)

    def standard_normal(self, size: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Standard normal numbers."""
        return self._drawn(size, normal)

    def random(self, size: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Numbers between 0 and 1."""
        return self._drawn(size, uniform)

    def poisson(self, lam: Any = 1.0, size: Any = None) -> Any:
        """Poisson numbers; those that are not by month are counts of a period, and move."""
        mean = np.asarray(lam, dtype=np.float32)
        shape = mean.shape if size is None else (size,)
        source = self if len(shape) > 1 else self.moving
        return poisson_quantile(np.broadcast_to(mean, shape), source._drawn(shape, normal))

    def binomial(self, n: Any, p: Any, size: Any = None) -> Any:
        """Binomial numbers, which move."""
        return binom.ppf(self.moving._drawn(np.shape(n), uniform), n, p).astype(np.int64)

    def beta(self, a: Any, b: Any, size: Any = None) -> Any:
        """Beta numbers, which last."""
        shape = np.shape(a) if size is None else (size,)
        return betaincinv(a, b, np.clip(self._drawn(shape, uniform), 1e-6, 1 - 1e-6))

    def permutation(self, x: Any, axis: int = 0) -> Any:
        """A random order, another one in every month; the following draws are for these rows."""
        rows = stream(self._seed, *self._name, "order", self._month).permutation(x)
        self.observe(rows)
        return rows

    def integers(self, *_: Any, **__: Any) -> Any:
        """Not there."""
        raise NotImplementedError(
            "whole numbers of a view that observes month after month; draw uniform ones"
        )

    def _drawn(self, size: Any, draw: Any) -> Any:
        shape = (size,) if isinstance(size, int) else tuple(size)
        main = self._parent or self
        call, main._calls = main._calls, main._calls + 1
        rows: Ints | slice = slice(None)
        if main._rows is not None and shape[0] == len(main._rows):
            rows = main._rows
        elif shape[0] != main._size:
            raise ValueError(f"{shape[0]} numbers belong neither to the block nor to the rows observed")
        if len(shape) == 2 and shape[1] == main._months:
            months = range(main._month - main._months, main._month)
            return np.stack([main._vector(call, m, draw)[rows] for m in months], axis=1)
        if self._parent is not None:
            total = np.zeros(shape[0], dtype=np.float32)
            for quarter, weight in quarters_of_year(main._month):
                total += np.float32(weight) * main._vector(call, f"q{quarter}", normal)[rows]
            return (total if draw is normal else ndtr(total)).astype(np.float32).reshape(shape)
        return main._vector(call, "lasting", draw)[rows].reshape(shape)

    def _vector(self, call: int, when: int | str, draw: Any) -> Floats:
        """One number for each enterprise of the block."""
        found: Floats = draw(stream(self._seed, *self._name, call, when), self._size)
        return found


class _Moving(Rolling):
    def __init__(self, parent: Rolling) -> None:
        np.random.Generator.__init__(self, np.random.PCG64(0))
        self._parent = parent._parent or parent


def quarters_of_year(month: int) -> list[tuple[int, float]]:
    """Calendar quarters of the 12 months before ``month``, each with its weight in a number of variance 1.

    >>> quarters_of_year(18)
    [(2, 0.5), (3, 0.5), (4, 0.5), (5, 0.5)]
    """
    quarters = np.arange(month - YEAR, month) // 3
    found, months = np.unique(quarters, return_counts=True)
    weights = months / np.sqrt((months**2).sum())
    return list(zip(found.tolist(), weights.tolist(), strict=True))


def poisson_quantile(mean: Floats, z: Floats) -> Floats:
    """Poisson numbers that stand where ``z`` stands among standard normal ones.

    >>> poisson_quantile(np.array([0.1, 100.0]), np.array([-1.0, 2.0])).tolist()
    [0.0, 121.0]
    """
    out = np.floor(np.maximum(mean + np.sqrt(mean) * z + (z * z - 1) / 6 + 0.5, 0)).astype(np.float32)
    few = mean < MANY
    left, place = mean[few].astype(np.float64), ndtr(z[few].astype(np.float64))
    count, part = np.zeros(len(left), dtype=np.float32), np.exp(-left)
    total = part.copy()
    for k in range(1, 60):
        over = place > total
        if not over.any():
            break
        count += over
        part *= left / k
        total += part
    out[few] = count
    return out
