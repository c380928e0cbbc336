"""The banks' risk network: a logistic regression on the encoded columns plus a small part that is not additive.

The log-odds of default are the sum of both (wide and deep, Cheng et al. 2016). The other part is a residual network
(mlp), or the products of two columns each (products; models/network_products). It is zero at the start, so that
training begins with the regression and, where privacy noise leaves no more to be learnt, hardly leaves it. The
regression may begin at a scorecard's curves (models/network_start). Categories of many levels are embedded for the
residual network (Guo & Berkhahn 2016). Every part
is scaled so that an enterprise's gradient is about as long as its error, |p - y|, whatever the number of
columns and neurons. One clipping radius and one learning rate then fit every study, and neither has to be
tuned on data.

Per-enterprise gradients come from Opacus (Yousefpour et al. 2021), whose hooks on the layers compute them in
one backward pass. They are clipped in fixed point, row by row, so that the bound on one enterprise is exact
in the integers to which noise is added (secure/fixed_point). Opacus' ghost mode clips by norms computed in
floating point and never makes the rows; it cannot give that bound, and is not used. Blocks of rows keep the
memory flat instead.

This module loads PyTorch and is imported only where a network is trained or applied.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from fedrisk.errors import ConfigError, DataError
from fedrisk.models.binning import Bins
from fedrisk.models.network_defaults import BIAS, HIDDEN, default_hidden
from fedrisk.models.network_inputs import Coding, InputColumn, from_dict, input_columns, to_dict
from fedrisk.models.network_products import Products
from fedrisk.models.personal import LinearModel
from fedrisk.secure.fixed_point import quantise_rows

Floats = NDArray[np.float64]

Kind = Literal["mlp", "logistic", "products"]

VERSION, SINCE_PRODUCTS = 1, 2
"""Of the stored design: the second where it has products, which programs that read the first alone do not know."""

BLOCKS = 0
"""Residual layers unless the study asks for some."""

EMBED_LEVELS = 12
"""Categories with more inputs than this are embedded."""

EMBED_SIZE = 8
"""Dimensions of an embedding."""

BLOCK_NUMBERS = 1 << 22
"""Numbers of all gradients that are in memory at once."""


class NetworkRule(Protocol):
    """What a study states about its network (study.Network)."""

    @property
    def kind(self) -> Kind:
        """Logistic regression alone, or with the deep part or products beside it."""

    @property
    def hidden(self) -> int | None:
        """Neurons; None leaves the number to the noise."""

    @property
    def blocks(self) -> int | None:
        """Residual layers after the first; None for the default."""


@dataclass(frozen=True, kw_only=True)
class NetworkDesign:
    """Everything public about a network except its weights; equal designs make equal networks anywhere.

    Attributes:
        kind: "logistic", "mlp" with the deep part beside it, or "products" with products of columns.
        columns: inputs of every column.
        hidden: number of neurons.
        blocks: number of residual layers after the first.
        products: which columns are multiplied, where the kind is products.

    Raises:
        ConfigError: no column, an unknown kind, or a part out of range.
    """

    kind: Kind = "mlp"
    columns: tuple[InputColumn, ...]
    hidden: int = HIDDEN
    blocks: int = BLOCKS
    products: Products | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("mlp", "logistic", "products"):
            raise ConfigError(f"network: kind is {self.kind!r}; use mlp, logistic or products")
        if (self.kind == "products") != (self.products is not None):
            raise ConfigError("network: products belong to the kind products, and to it alone")
        if not self.columns:
            raise ConfigError("network: no column to learn from; name features in the dictionaries")
        if not (1 <= self.hidden <= 1024 and 0 <= self.blocks <= 8):
            raise ConfigError(
                f"network: hidden is {self.hidden} and blocks {self.blocks}; allowed are 1 to 1024 and 0 to 8"
            )

    @classmethod
    def of(
        cls,
        bins: Sequence[Bins],
        rule: NetworkRule | None = None,
        *,
        noise: float = 0.0,
        coding: Coding = "steps",
        curves: Sequence[Floats | None] = (),
    ) -> NetworkDesign:
        """Design for these bins; ``rule`` may set kind, hidden and blocks.

        ``curves`` are known ones of the columns on their bins (models/network_start), by which categories are put in
        order and strong columns found for products.

        ``noise`` is that of `default_hidden`, which chooses the neurons where the rule does not. Where it
        leaves no room for neurons, the network is the logistic regression.
        """
        columns = input_columns(bins, coding)
        hidden = None if rule is None else rule.hidden
        if hidden is None:
            hidden = default_hidden(sum(c.width for c in columns), noise)
        kind = "mlp" if rule is None else rule.kind
        if kind == "products":
            return cls(kind=kind, columns=columns, products=Products.of(columns, noise, curves))
        blocks = None if rule is None else rule.blocks
        return cls(
            kind=kind if hidden else "logistic",
            columns=columns,
            hidden=hidden or HIDDEN,
            blocks=BLOCKS if blocks is None else blocks,
        )

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(c.width for c in self.columns)

    @property
    def size(self) -> int:
        """Number d of weights."""
        return sum(math.prod(shape) for _, shape, _ in _layout(self))

    @property
    def embedded(self) -> tuple[tuple[int, int], ...]:
        """First input, and the one after the last, of every embedded category."""
        out, at = [], 0
        for c in self.columns:
            if c.kind == "category" and c.width > EMBED_LEVELS:
                out.append((at, at + c.width))
            at += c.width
        return tuple(out)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        content = {
            "version": VERSION,
            "kind": self.kind,
            "columns": to_dict(self.columns),
            "hidden": self.hidden,
            "blocks": self.blocks,
        }
        if self.products is None:
            return content
        return content | {"version": SINCE_PRODUCTS, "products": self.products.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> NetworkDesign:
        """Inverse of `to_dict`.

        Raises:
            ConfigError: the content is malformed, or of a newer version.
        """
        parts = dict(content)
        try:
            version = int(parts.pop("version"))
            if version <= SINCE_PRODUCTS:
                columns, products = from_dict(parts.pop("columns")), parts.pop("products", None)
                multiplied = None if products is None else Products.from_dict(products, columns)
                return cls(columns=columns, products=multiplied, **parts)
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"network: the stored design is malformed ({type(error).__name__})") from error
        raise ConfigError(
            f"network: design version is {version}, this program reads up to {SINCE_PRODUCTS}; upgrade it"
        )


def initial_weights(
    design: NetworkDesign, seed: int = 0, regression: Floats | None = None
) -> NDArray[np.float32]:
    """Weights before training, float32 (d,): random first layers, zeros in the layers that make an output.

    The same design and seed give the same bytes. NumPy draws them, so that they do not depend on PyTorch's
    version. ``regression``, (width + 1,), takes the place of zeros there (models/network_start).

    Raises:
        DataError: it is of another design.
    """
    rng = np.random.default_rng([VERSION, seed])
    parts = [rng.standard_normal(math.prod(shape)) * scale for _, shape, scale in _layout(design)]
    if regression is not None:
        if regression.shape != parts[0].shape:
            raise DataError("network: the weights to begin with are of another design; make them again")
        parts[0] = regression
    return np.concatenate(parts).astype(np.float32)


def logits(design: NetworkDesign, weights: NDArray[Any], inputs: NDArray[Any]) -> Floats:
    """Log-odds of default, float64 (n,), of rows from `network_inputs.encode`.

    Raises:
        DataError: the inputs or the weights are of another design.
    """
    net = _loaded(design, weights)
    x = _matrix(design, inputs)
    with torch.no_grad():
        parts = [net(x[rows].to(_device())).cpu().numpy() for rows in _row_blocks(len(x), 1 << 15)]
    return np.concatenate([np.zeros(0), *parts]).astype(np.float64)


def shared_curves(
    design: NetworkDesign, weights: NDArray[Any], inputs: NDArray[Any]
) -> tuple[Floats, tuple[tuple[int, int], ...]]:
    """What each column and the deep part contribute to the log-odds, for `personal.personal_models`.

    Returns:
        Curves (n, columns), with one more for what is not additive in an mlp or in products; and of each column its
        first input and the one after its last.
    """
    x = np.asarray(inputs, dtype=np.float64)
    wide = named_weights(design, weights)["wide.weight"][0].astype(np.float64)
    ends = np.cumsum([0, *(c.width for c in design.columns)]).tolist()
    spans = tuple(pairwise(ends))
    curves = [x[:, a:b] @ wide[a:b] for a, b in spans]
    if design.kind != "logistic":
        curves.append(logits(design, weights, inputs) - x @ wide[:-1] - wide[-1] * BIAS)
    return np.stack(curves, 1), spans


def personal_weights(design: NetworkDesign, weights: NDArray[Any], model: LinearModel) -> NDArray[np.float32]:
    """A bank's personal model (models/personal) as weights of the same design, for the bank's export."""
    named = {name: value.copy() for name, value in named_weights(design, weights).items()}
    ends = np.cumsum([0, *(c.width for c in design.columns)]).tolist()
    wide = named["wide.weight"][0].astype(np.float64)
    for slope, (a, b) in zip(model.slopes, pairwise(ends), strict=False):
        wide[a:b] *= slope
    wide[:-1] += model.weights
    wide[-1] = model.intercept / BIAS
    named["wide.weight"] = wide[None].astype(np.float32)
    if design.kind != "logistic":
        named["last.weight"] = named["last.weight"] * np.float32(model.slopes[-1])
    return np.concatenate([value.ravel() for value in named.values()])


class NetworkTrainee:
    """A bank's training rows with the network: gives clipped sums of gradients (models/trainable).

    Args:
        design: of the network.
        inputs: float (n, width).
        label: (n,) in [0, 1]; NaN where a row has none: its gradient is zeros, whatever the weights.

    Raises:
        DataError: shapes differ, or a label lies outside [0, 1].
    """

    def __init__(self, design: NetworkDesign, inputs: NDArray[Any], label: NDArray[Any]) -> None:
        y = np.asarray(label, dtype=np.float64)
        there = ~np.isnan(y)
        if y.shape != (len(inputs),) or not ((y[there] >= 0) & (y[there] <= 1)).all():
            raise DataError(
                "network: every row of inputs needs one label in [0, 1]; correct the table's label"
            )
        self.design = design
        self._inputs = _matrix(design, inputs)
        # Rows without a label keep their places: if they were left out, blocks would shift, and with them the last bits
        # of the gradients of other rows.
        self._there: NDArray[np.bool_] = there
        self._label = torch.from_numpy(np.where(there, y, 0.0).astype(np.float32))

    @property
    def size(self) -> int:
        """Number d of weights."""
        return self.design.size

    @property
    def rows(self) -> int:
        """Number n of enterprises, those without a label among them."""
        return len(self._label)

    def clipped_sum(
        self, weights: NDArray[Any], clip: float, bits: int, rows: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """Sum of the enterprises' gradients, (d,) int64, each of integer norm at most floor(clip 2^bits).

        Guarantee: replacing an enterprise's contribution by zeros changes the sum by a vector of at most that
        L2 norm, exactly, whatever the weights. The row count, and hence the blocks, are public, and a row's
        gradient is computed from that row alone. (If a row were left out, blocks would shift, and with them
        the last bits of other rows.) A gradient that is not finite counts as zeros.

        Args:
            weights: (d,).
            clip: clipping radius.
            bits: fractional bits of the sum.
            rows: positions of the rows to take; None for all.

        Raises:
            DataError: the weights are of another design.
        """
        total = np.zeros(self.size, dtype=np.int64)
        for part in self.clipped_rows(weights, clip, bits, rows):
            total += part.sum(0)
        return total

    def clipped_rows(
        self, weights: NDArray[Any], clip: float, bits: int, rows: NDArray[np.int64] | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """What each enterprise adds to :meth:`clipped_sum`, one block of rows after the other, (block, d) each."""
        there, at = self._there if rows is None else self._there[rows], 0
        for part in self._gradients(weights, rows):
            # Zeros before anything is added up: what a row's gradient would be without its label is nobody's business.
            part[~there[at : at + len(part)]] = 0.0
            yield quantise_rows(part, clip, bits)
            at += len(part)

    def _gradients(
        self, weights: NDArray[Any], rows: NDArray[np.int64] | None
    ) -> Iterator[NDArray[np.float32]]:
        """The enterprises' gradients, one block after the other, each (block, d)."""
        x, y = self._inputs, self._label
        if rows is not None:
            x, y = x[torch.from_numpy(rows)], y[torch.from_numpy(rows)]
        hooked = _hooked(self.design)
        net = hooked._module
        _load(net, self.design, weights)
        for block in _row_blocks(len(y), max(1, BLOCK_NUMBERS // self.size)):
            hooked.zero_grad(set_to_none=True)
            try:
                loss = _loss(hooked(x[block].to(_device())), y[block].to(_device()))
                with warnings.catch_warnings():
                    # The hooks warn at every block that inputs need no gradients.
                    warnings.filterwarnings("ignore", message="Full backward hook")
                    loss.backward()  # type: ignore[no-untyped-call]
            except Exception:
                # Half a pass leaves the hooks' counters in a state that no later pass can use.
                _hooked.cache_clear()
                raise
            parts = [p.grad_sample.reshape(p.grad_sample.shape[0], -1) for p in net.parameters()]
            yield torch.cat(parts, 1).cpu().numpy()
        hooked.zero_grad(set_to_none=True)


class RiskNetwork(nn.Module):
    """The network itself; its parameters are in the order of the flat weights."""

    def __init__(self, design: NetworkDesign) -> None:
        super().__init__()
        self.deep = design.kind == "mlp"
        self.spans = design.embedded if self.deep else ()
        self.wide = nn.Linear(design.width + 1, 1, bias=False)
        self.products = design.products
        self.scores: torch.Tensor
        self.left: torch.Tensor
        self.right: torch.Tensor
        if self.products is not None:
            left, right = self.products.pairs
            self.register_buffer("scores", torch.from_numpy(self.products.matrix.astype(np.float32)))
            self.register_buffer("left", torch.from_numpy(left))
            self.register_buffer("right", torch.from_numpy(right))
            self.last = nn.Linear(len(left), 1, bias=False)
        if self.deep:
            plain = design.width - sum(b - a for a, b in self.spans)
            self.embeddings = nn.ModuleList(nn.Linear(b - a, EMBED_SIZE, bias=False) for a, b in self.spans)
            self.first = nn.Linear(plain + EMBED_SIZE * len(self.spans), design.hidden)
            self.middle = nn.ModuleList(nn.Linear(design.hidden, design.hidden) for _ in range(design.blocks))
            self.last = nn.Linear(design.hidden, 1, bias=False)
            self.gain = math.sqrt(2 / design.hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log-odds, (n,), of inputs (n, width)."""
        out: torch.Tensor = self.wide(torch.cat([x, torch.full_like(x[:, :1], BIAS)], 1))
        if self.deep:
            h = torch.relu(self.first(self._embedded(x)))
            for layer in self.middle:
                h = h + torch.relu(layer(h))
            out = out + self.gain * self.last(h)
        if self.products is not None:
            out = out + self.products.gain * self.last(self._multiplied(x))
        return out[:, 0]

    def _multiplied(self, x: torch.Tensor) -> torch.Tensor:
        """Products of every two scores, (n, pairs), each row of length at most 1."""
        t = x @ self.scores
        made: torch.Tensor = t[:, self.left] * t[:, self.right] / math.sqrt(len(self.left))
        length: torch.Tensor = torch.linalg.vector_norm(made, dim=1, keepdim=True)
        return made / length.clamp(min=1.0)

    def _embedded(self, x: torch.Tensor) -> torch.Tensor:
        parts, at = [], 0
        for (start, stop), layer in zip(self.spans, self.embeddings, strict=True):
            parts += [x[:, at:start], layer(x[:, start:stop])]
            at = stop
        return torch.cat([*parts, x[:, at:]], 1)


def named_weights(design: NetworkDesign, weights: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """The flat weights by parameter name, each in its shape (out, in); views, in order."""
    flat = np.asarray(weights, dtype=np.float32)
    if flat.shape != (design.size,):
        raise DataError(f"network: {flat.size} weights, the design has {design.size}; they belong together")
    out, at = {}, 0
    for name, shape, _ in _layout(design):
        out[name] = flat[at : at + math.prod(shape)].reshape(shape)
        at += math.prod(shape)
    return out


def _layout(design: NetworkDesign) -> list[tuple[str, tuple[int, ...], float]]:
    """Name, shape and initial standard deviation of every parameter, in the module's order."""
    out: list[tuple[str, tuple[int, ...], float]] = [("wide.weight", (1, design.width + 1), 0.0)]
    if design.kind == "mlp":
        h, spans = design.hidden, design.embedded
        for k, (a, b) in enumerate(spans):
            out.append((f"embeddings.{k}.weight", (EMBED_SIZE, b - a), 1 / math.sqrt(EMBED_SIZE)))
        plain = design.width - sum(b - a for a, b in spans) + EMBED_SIZE * len(spans)
        out += [("first.weight", (h, plain), 1.0), ("first.bias", (h,), 0.0)]
        for k in range(design.blocks):
            out += [(f"middle.{k}.weight", (h, h), 0.5 * math.sqrt(2 / h)), (f"middle.{k}.bias", (h,), 0.0)]
        out.append(("last.weight", (1, h), 0.0))
    if design.products is not None:
        out.append(("last.weight", (1, len(design.products.pairs[0])), 0.0))
    return out


@lru_cache(maxsize=1)
def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@lru_cache(maxsize=4)
def _hooked(design: NetworkDesign) -> Any:
    """The network with Opacus' hooks for gradients; cached, since hooking costs more than a step."""
    with warnings.catch_warnings():
        # Opacus' imports cause warnings.
        warnings.simplefilter("ignore")
        from opacus import GradSampleModule
    return GradSampleModule(RiskNetwork(design).to(_device()), loss_reduction="sum")


def _loaded(design: NetworkDesign, weights: NDArray[Any]) -> RiskNetwork:
    net = RiskNetwork(design).to(_device())
    _load(net, design, weights)
    return net


def _load(net: nn.Module, design: NetworkDesign, weights: NDArray[Any]) -> None:
    with torch.no_grad():
        for p, value in zip(net.parameters(), named_weights(design, weights).values(), strict=True):
            p.copy_(torch.from_numpy(value.copy()))


def _loss(out: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(out, label, reduction="sum")


def _matrix(design: NetworkDesign, inputs: NDArray[Any]) -> torch.Tensor:
    x = np.ascontiguousarray(inputs, dtype=np.float32)
    if x.ndim != 2 or x.shape[1] != design.width:
        raise DataError(
            f"network: inputs have shape {x.shape}, the design has {design.width} inputs; encode the table "
            "with the design's bins"
        )
    return torch.from_numpy(x)


def _row_blocks(n: int, rows: int) -> Iterator[slice]:
    return (slice(k, min(k + rows, n)) for k in range(0, n, rows))
