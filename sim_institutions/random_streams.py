"""Random streams, and arithmetic on time series in float32.

Every part of every block draws from a separate stream. So a new column never shifts another one, and the
bytes written do not depend on which process generates which block.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

# Months of history; column m18 is the last month before the observation date.
MONTHS = 18
# Enterprises that are generated together; links between enterprises stay within a block.
BLOCK_SIZE = 1 << 16


def stream(seed: int, *name: str | int) -> np.random.Generator:
    """The generator of one part, for example ``stream(seed, "tax_office", 3)`` for the office's block 3."""
    return np.random.default_rng([seed, *"/".join(map(str, name)).encode()])


def moving(rng: np.random.Generator) -> np.random.Generator:
    """The same generator, for what an institution counts or reads anew over time.

    It matters only where one enterprise is observed at several dates (`rolling.Rolling`): what is drawn without it
    belongs to the enterprise and stays.
    """
    found: np.random.Generator = getattr(rng, "moving", rng)
    return found


def observing(rng: np.random.Generator, rows: Ints) -> None:
    """What is drawn from now on is for these enterprises of a block; matters to `rolling.Rolling` alone."""
    observe = getattr(rng, "observe", None)
    if observe is not None:
        observe(rows)


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    """Standard normal numbers."""
    return rng.standard_normal(shape, dtype=np.float32)


def uniform(rng: np.random.Generator, *shape: int) -> Floats:
    """Numbers between 0 and 1."""
    return rng.random(shape, dtype=np.float32)


def autoregressive(noise: Floats, memory: float) -> Floats:
    """Stationary first-order series along the last axis, variance 1, from independent standard noise."""
    out = noise.copy()
    fresh = np.float32(np.sqrt(1 - memory**2))
    for t in range(1, noise.shape[-1]):
        out[..., t] = np.float32(memory) * out[..., t - 1] + fresh * noise[..., t]
    return out


def lagged(path: Floats, months: int) -> Floats:
    """The path moved ``months`` later, zero before it begins.

    >>> lagged(np.array([[1, 2, 3]], dtype=np.float32), 1).tolist()
    [[0.0, 1.0, 2.0]]
    """
    out = np.zeros_like(path)
    out[:, months:] = path[:, : path.shape[1] - months]
    return out


def noisy(level: Floats, share: float, rng: np.random.Generator) -> Floats:
    """A noisy reading of ``level``, both of variance about 1; their correlation is ``share``."""
    return np.float32(share) * level + np.float32(np.sqrt(1 - share**2)) * normal(moving(rng), *level.shape)


def logistic(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), computed and returned in float32."""
    return (1 / (1 + np.exp(-np.clip(x, -30, 30)))).astype(np.float32)


def significant(x: Floats, digits: int) -> Floats:
    """Rounded to so many significant digits: nobody reports more, and files shrink.

    >>> significant(np.array([123456.0, 0.0], dtype=np.float32), 3).tolist()
    [123000.0, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = 10.0 ** (np.floor(np.log10(np.abs(x), dtype=np.float64)) - digits + 1)
        out = np.round(x / unit) * unit
    return np.where(x == 0, np.float32(0), out).astype(np.float32)


def coarse(x: Floats) -> Floats:
    """Rounded to 11 binary digits, about three decimal ones; whole numbers up to 2,048 do not change.

    >>> coarse(np.array([17.0, 1234.5678], dtype=np.float32)).tolist()
    [17.0, 1235.0]
    """
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(1 << 12)) & np.uint32(0xFFFFE000)).view(np.float32)
    return np.where(np.isnan(x), np.float32(np.nan), rounded)
