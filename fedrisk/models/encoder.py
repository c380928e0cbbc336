"""A small sequence encoder over monthly histories, trained without labels by private gradient descent.

From a window of months a network of one hidden layer forecasts the months that follow. What it must know for
that, whether a fall will last, whether a peak is seasonal, is what a trend or a variation coefficient does
not express. An enterprise's outputs are, for each series, the level that is expected for the coming months
relative to the enterprise's past; then, for each series, how far the latest months differ from what was
forecast for them; then the bottleneck of the network itself (contrastive and predictive coding: van den Oord,
Li & Vinyals 2018; forecasting as pretext for representations of time series: Franceschi, Dieuleveut & Jaggi
2019).

Every enterprise is first brought to its own level and variation, by a rule that uses no data of others, so
that gradients have similar lengths and the network can be small. Gaps are zeros, with a mask beside them.
Gradients are per enterprise (all its windows together), by Opacus (Yousefpour et al. 2021) with hooks on
linear layers. Ghost clipping (Li et al. 2022) finds norms without the gradients themselves. Here every
gradient is rounded separately, so that its integer norm is bounded exactly, and for that the gradient itself
is needed.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from torch import Tensor, nn

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.histories import EncoderRule, Histories
from fedrisk.secure.fixed_point import quantise_rows

Weights = NDArray[np.floating[Any]]

STEPS = 25
CLIP = 1.0
LEARNING_RATE = 0.06
"""Steps, clipping radius and rate of Adam that worked well for any size of study (benchmarks/encoders)."""

FLOOR = 0.01
"""Added to an enterprise's variation, in units of the public scale."""

REACH = 4.0
"""Deviations of more than this number of variations are cut to it."""

BLOCK = 2048
"""Enterprises whose gradients are in memory at once."""

ENCODED = 256
"""Enterprises that are encoded at once: always as many, whoever is looked up with whom.

Libraries add products up in an order that depends on how many rows there are, and a row that is looked up alone must
have the very numbers that it has in a study's table.
"""


@dataclass(frozen=True, kw_only=True)
class EncoderDesign:
    """The shape of an encoder; public, and the same at every holder and the hub.

    Attributes:
        series: number of series in a history.
        months: number of months in a history.
        window: months from which a forecast is made.
        horizon: months that are forecast.
        hidden: width of the hidden layer.
        bottleneck: numbers to which a window is reduced.
        outputs: number of columns.

    Raises:
        ConfigError: a number is too small, or the numbers do not fit together.
    """

    series: int
    months: int = 18
    window: int = 12
    horizon: int = 3
    hidden: int = 32
    bottleneck: int = 4
    outputs: int = 4

    def __post_init__(self) -> None:
        least = {"series": 1, "window": 2, "horizon": 1, "hidden": 1, "bottleneck": 1, "outputs": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"encoder: {name} is {getattr(self, name)}, must be at least {low}")
        if self.window + self.horizon > self.months:
            raise ConfigError(
                f"encoder: window {self.window} and horizon {self.horizon} do not fit in {self.months} "
                "months; shorten them"
            )
        most = 2 * self.series + self.bottleneck
        if self.outputs > most:
            raise ConfigError(f"encoder: outputs is {self.outputs}, at most {most} for {self.series} series")

    @property
    def size(self) -> int:
        """Number of weights."""
        inputs, targets = 2 * self.window * self.series, self.horizon * self.series
        h, b = self.hidden, self.bottleneck
        return (inputs + 1) * h + (h + 1) * b + (b + 1) * targets

    @property
    def origins(self) -> tuple[int, ...]:
        """Months at which forecasts start, counted from 0; the window ends just before."""
        return tuple(range(self.window, self.months - self.horizon + 1))

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> EncoderDesign:
        """Inverse of :meth:`to_dict`; ConfigError for anything else."""
        try:
            return cls(**{str(k): int(v) for k, v in content.items()})
        except (TypeError, ValueError) as error:
            raise ConfigError(f"encoder: the stored design is malformed ({type(error).__name__})") from error

    @classmethod
    def of(cls, rule: EncoderRule) -> EncoderDesign:
        """The design that belongs to a holder's rule; short histories get a shorter window."""
        return cls(
            series=len(rule.series),
            months=rule.months,
            window=min(cls.window, rule.months - cls.horizon),
            hidden=rule.hidden,
            outputs=rule.outputs,
        )


class _Forecaster(nn.Module):
    """From windows (..., 2 * window * series) over a bottleneck to forecasts (..., horizon * series)."""

    def __init__(self, d: EncoderDesign) -> None:
        super().__init__()
        self.first = nn.Linear(2 * d.window * d.series, d.hidden)
        self.second = nn.Linear(d.hidden, d.bottleneck)
        self.last = nn.Linear(d.bottleneck, d.horizon * d.series)

    def states(self, windows: Tensor) -> Tensor:
        """The bottleneck."""
        out: Tensor = torch.tanh(self.second(torch.tanh(self.first(windows))))
        return out

    def forward(self, windows: Tensor) -> Tensor:
        """The forecasts."""
        out: Tensor = self.last(self.states(windows))
        return out


def initial_weights(design: EncoderDesign, seed: int) -> NDArray[np.float32]:
    """Weights before training, (size,), by Glorot & Bengio (2010); the same bytes on every machine.

    >>> design = EncoderDesign(series=1, hidden=4)
    >>> initial_weights(design, 1).shape == (design.size,)
    True
    """
    rng = np.random.default_rng(seed)
    parts = []
    for p in _Forecaster(design).parameters():
        shape = tuple(p.shape)
        width = math.sqrt(6.0 / sum(shape)) if len(shape) == 2 else 0.0
        parts.append(rng.uniform(-width, width, shape).ravel() if width else np.zeros(math.prod(shape)))
    return np.concatenate(parts).astype(np.float32)


class EncoderTrainee:
    """A holder's histories with the encoder: gives clipped sums of gradients (models/trainable).

    It holds records, so it stays in the holder's process.

    Args:
        design: of the encoder.
        histories: (n, months, series) float32 on the public scale, NaN for gaps.
    """

    def __init__(self, design: EncoderDesign, histories: Histories) -> None:
        self._design = design
        self._values, self._known = _own_scale(design, histories)

    @property
    def size(self) -> int:
        """Number of weights."""
        return self._design.size

    @property
    def rows(self) -> int:
        """Number of enterprises."""
        return len(self._values)

    def clipped_sum(self, weights: Weights, clip: float, bits: int) -> NDArray[np.int64]:
        """Sum over enterprises of the gradient of the enterprise's loss, (d,) int64.

        Each gradient is clipped in fixed point to integer norm clip 2^bits (secure/fixed_point); an
        enterprise without any history adds zero.
        """
        model = GradSampleModule(_loaded(self._design, weights), loss_reduction="sum")
        total = np.zeros(self.size, dtype=np.int64)
        for start in range(0, self.rows, BLOCK):
            losses = self._losses(model, slice(start, start + BLOCK))
            with warnings.catch_warnings():
                # The hooks warn that inputs need no gradients.
                warnings.filterwarnings("ignore", "Full backward hook")
                losses.sum().backward()  # type: ignore[no-untyped-call]
            grads = [p.grad_sample.reshape(len(losses), -1) for p in model.parameters()]
            total += quantise_rows(torch.cat(grads, 1).numpy(), clip, bits).sum(axis=0)
            model.zero_grad()
        return total

    def _losses(self, model: nn.Module, rows: slice) -> Tensor:
        """Mean squared error of each enterprise over origins, months and series, (rows,)."""
        d = self._design
        values, known = self._values[rows], self._known[rows]
        windows, targets, weight = _windows(d, values, known, d.origins)
        error = (model(windows).unflatten(2, (d.horizon, d.series)) - targets) * weight
        out: Tensor = (error**2).mean(dim=(1, 2, 3))
        return out


def encode(design: EncoderDesign, weights: Weights, histories: Histories) -> NDArray[np.float32]:
    """An encoder's columns, (n, outputs) in [-1, 1]; NaN where an enterprise has no value at all.

    They are the first ``outputs`` of these: for each series, tanh of its expected level over the coming
    months relative to its mean; for each series, tanh of the difference of the last months' level from the
    forecast for them; the bottleneck of the latest window. Both levels are in units of the enterprise's
    variation.
    """
    model = _loaded(design, weights)
    parts = []
    with torch.no_grad():
        for start in range(0, len(histories), ENCODED):
            some = histories[start : start + ENCODED]
            full = np.full((ENCODED, *some.shape[1:]), np.nan, dtype=np.float32)
            full[: len(some)] = some
            parts.append(_outputs(design, model, full)[: len(some)])
    return np.concatenate(parts) if parts else np.zeros((0, design.outputs), dtype=np.float32)


def _outputs(d: EncoderDesign, model: _Forecaster, histories: Histories) -> NDArray[np.float32]:
    values, known = _own_scale(d, histories)
    last, level = _window(d, values, known, d.months)
    state = model.states(last)
    coming = model.last(state).unflatten(1, (d.horizon, d.series)).mean(1) + level
    windows, targets, weight = _windows(d, values, known, (d.months - d.horizon,))
    forecast = model(windows).unflatten(2, (d.horizon, d.series))
    missed = ((targets - forecast) * weight)[:, 0].mean(1)
    out = torch.cat([torch.tanh(coming), torch.tanh(missed), state], 1)[:, : d.outputs].numpy()
    out[~known.numpy().any(axis=(1, 2))] = np.nan
    return np.asarray(out, dtype=np.float32)


def _own_scale(d: EncoderDesign, histories: Histories) -> tuple[Tensor, Tensor]:
    """Values less each enterprise's mean, in units of its variation, zero in gaps; and which are known."""
    if histories.ndim != 3 or histories.shape[1:] != (d.months, d.series):
        raise DataError(
            f"histories have shape {histories.shape}; the encoder reads (enterprises, {d.months}, {d.series})"
        )
    if np.isinf(histories).any():
        raise DataError("histories: a value is infinite; scale them by their public bounds first")
    known = ~np.isnan(histories)
    x = np.where(known, histories, 0.0).astype(np.float32)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    x = np.where(known, x - x.sum(axis=1, keepdims=True) / count, 0.0)
    both = known[:, 1:] & known[:, :-1]
    steps = np.where(both, x[:, 1:] - x[:, :-1], 0.0)
    variation = np.sqrt(
        (steps**2).sum(axis=1, keepdims=True) / np.maximum(both.sum(axis=1, keepdims=True), 1)
    )
    x = np.clip(x / (variation + FLOOR), -REACH, REACH)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(known)


def _window(d: EncoderDesign, values: Tensor, known: Tensor, end: int) -> tuple[Tensor, Tensor]:
    """Inputs from the window before month ``end``, (n, 2 * window * series), and its level, (n, series)."""
    x, mask = values[:, end - d.window : end], known[:, end - d.window : end].float()
    level = (x * mask).sum(1) / mask.sum(1).clamp(min=1)
    return torch.cat([(x - level[:, None]) * mask, mask - 1], 2).flatten(1), level


def _windows(
    d: EncoderDesign, values: Tensor, known: Tensor, origins: tuple[int, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and mask for every origin.

    Inputs are (n, origins, .); targets, relative to the window's level, and their mask are (n, origins,
    horizon, series).
    """
    inputs, targets, weight = [], [], []
    for o in origins:
        x, level = _window(d, values, known, o)
        inputs.append(x)
        targets.append((values[:, o : o + d.horizon] - level[:, None]).clamp(-REACH, REACH))
        weight.append(known[:, o : o + d.horizon].float())
    return torch.stack(inputs, 1), torch.stack(targets, 1), torch.stack(weight, 1)


def _loaded(design: EncoderDesign, weights: Weights) -> _Forecaster:
    if weights.shape != (design.size,):
        raise DataError(f"weights have shape {weights.shape}, the encoder has ({design.size},)")
    model = _Forecaster(design)
    nn.utils.vector_to_parameters(torch.from_numpy(weights.astype(np.float32)), model.parameters())
    return model
