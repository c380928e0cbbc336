"""A bank's boosting committee as plain arrays: kept without pickle, loaded in a moment, applied to one row at once.

The trees are those of scikit-learn's HistGradientBoostingClassifier (Ke et al. 2017), and so is every number: leaves
are added up in its order, so that probabilities are the same to the last digit. All trees of all members are walked
together, a step of each in one operation; scikit-learn would check and copy a table for every member, which takes
longer than a score may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from fedrisk.errors import DataError
from fedrisk.models.row_sums import added_up

if TYPE_CHECKING:
    from fedrisk.models.champion import Champion

Floats = NDArray[np.float64]

SURE = 1e-6
"""Probabilities of a member count as at least this far from 0 and 1, as in models/champion."""

AT_ONCE = 1 << 16
"""Rows times trees that are walked at once."""


@dataclass(frozen=True)
class Forest:
    """Trees of a committee, and how raw columns become what they split.

    Attributes:
        columns: the bank's columns, in order. categories: of each categorical one, the texts that splits know.
        consortium: number of the consortium's columns behind them.
        layout: of each member, the positions of the columns as its trees number them.
        codes: of each member, by position of a categorical column, the code of each text that it saw.
        feature, threshold, left, right, value, gone_left, leaf, by_category, bits: of each node, (nodes,): what it
            splits, where to, what a leaf adds, whether missing values go left, and the row of ``bitsets`` of the
            categories that go left. bitsets: (sets, 8) uint32.
        roots, member: of each tree, (trees,). start: of each member, (members,): the log-odds before any tree.
        depth: most steps to a leaf.
    """

    columns: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    consortium: int
    layout: tuple[tuple[int, ...], ...]
    codes: tuple[Mapping[str, Mapping[str, int]], ...]
    feature: NDArray[np.int32]
    threshold: Floats
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Floats
    gone_left: NDArray[np.bool_]
    leaf: NDArray[np.bool_]
    by_category: NDArray[np.bool_]
    bits: NDArray[np.int32]
    bitsets: NDArray[np.uint32]
    roots: NDArray[np.int32]
    member: NDArray[np.int32]
    start: Floats
    depth: int

    @classmethod
    def of(cls, champion: Champion) -> Forest:
        """The arrays of a fitted committee."""
        members = [_Member.of(m, len(champion.columns) + champion.consortium) for m in champion.members]
        nodes = [n for m in members for n in m.nodes]
        sizes = [len(n) for n in nodes]
        roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
        sets = [s for m in members for s in m.bitsets]
        before = np.concatenate([[0], np.cumsum([len(s) for s in sets])[:-1]]).astype(np.int32)
        every, offset, first = np.concatenate(nodes), np.repeat(roots, sizes), np.repeat(before, sizes)
        return cls(
            columns=champion.columns,
            categories={c: tuple(v) for c, v in champion.categories.items()},
            consortium=champion.consortium,
            layout=tuple(m.layout for m in members),
            codes=tuple(m.codes for m in members),
            feature=every["feature_idx"].astype(np.int32),
            threshold=every["num_threshold"].astype(np.float64),
            left=every["left"].astype(np.int32) + offset,
            right=every["right"].astype(np.int32) + offset,
            value=every["value"].astype(np.float64),
            gone_left=every["missing_go_to_left"].astype(bool),
            leaf=every["is_leaf"].astype(bool),
            by_category=every["is_categorical"].astype(bool) & ~every["is_leaf"].astype(bool),
            bits=every["bitset_idx"].astype(np.int32) + first,
            bitsets=np.concatenate([np.zeros((0, 8), np.uint32), *sets]).astype(np.uint32),
            roots=roots,
            member=np.repeat(np.arange(len(members)), [len(m.nodes) for m in members]).astype(np.int32),
            start=np.array([m.start for m in members], np.float64),
            depth=int(every["depth"].max(initial=0)),
        )

    def log_odds(self, x: Mapping[str, Any], consortium: Any = None) -> Floats:
        """Log-odds of default per row, (n,): the members' mean, as `Champion.log_odds` gives it.

        x: the bank's columns by name, (n,) each; consortium: (n,) or (n, m), what the consortium says of each row.
        DataError where a column is absent.
        """
        inputs = self._inputs(x, consortium)
        rows = inputs.shape[1]
        step = max(1, AT_ONCE // max(1, len(self.roots)))
        raw = [self._raw(inputs[:, k : k + step]) for k in range(0, rows, step)]
        found = np.concatenate(raw, 1) if raw else np.zeros((len(self.start), 0))
        sure = np.clip(expit(found), SURE, 1 - SURE)
        return added_up(logit(sure)) / len(sure)

    def _raw(self, inputs: Floats) -> Floats:
        """Log-odds of each member, (members, n), for inputs (members, n, columns)."""
        members, rows, width = inputs.shape
        values, kids = np.ascontiguousarray(inputs).ravel(), self._kids()
        begin = (np.arange(rows)[:, None] + rows * self.member[None, :].astype(np.int64)) * width
        node = np.broadcast_to(self.roots, begin.shape).copy()
        some_gone = bool(np.isnan(values).any())
        for _ in range(self.depth):
            v = values.take(begin + self.feature.take(node))
            to_left = v <= self.threshold.take(node)
            gone = np.isnan(v) if some_gone else np.zeros((), np.bool_)
            if len(self.bitsets):
                to_left = np.where(self.by_category.take(node), self._in_set(node, v, gone), to_left)
            if some_gone:
                to_left[gone] = self.gone_left.take(node[gone])
            node = kids.take(2 * node + to_left)
        leaves = self.value.take(node)
        # One after the other, as scikit-learn adds them: another order is another last digit.
        first = np.broadcast_to(self.start[:, None], (members, rows))
        return np.stack(
            [
                np.cumsum(np.column_stack([first[m], leaves[:, self.member == m]]), axis=1)[:, -1]
                for m in range(members)
            ]
        )

    def _kids(self) -> NDArray[np.int32]:
        """Where a step leads from each node, (2 * nodes,): to the right, to the left; a leaf leads to itself."""
        own = np.arange(len(self.leaf), dtype=np.int32)
        right, left = np.where(self.leaf, own, self.right), np.where(self.leaf, own, self.left)
        return np.stack([right, left], 1).astype(np.int32).ravel()

    def _in_set(self, node: NDArray[np.int32], v: Floats, gone: NDArray[np.bool_]) -> NDArray[np.bool_]:
        code = np.where(gone | ~self.by_category[node], 0.0, v).astype(np.int64)
        word = self.bitsets[np.where(self.by_category[node], self.bits[node], 0), code >> 5]
        out: NDArray[np.bool_] = ((word >> (code & 31).astype(np.uint32)) & 1).astype(bool)
        return out

    def _inputs(self, x: Mapping[str, Any], consortium: Any) -> Floats:
        """What each member's trees split, (members, n, columns)."""
        absent = [c for c in self.columns if c not in x]
        if absent:
            raise DataError(
                f"own model: column {absent[0]} is absent ({len(absent)} in all); give all of its columns"
            )
        numbers = [None if self.categories.get(c) else self._numbers(c, x[c]) for c in self.columns]
        texts = {
            k: _texts(x[c], self.categories[c]) for k, c in enumerate(self.columns) if self.categories.get(c)
        }
        if self.consortium:
            given = np.asarray(consortium, np.float64)
            numbers += list((given[:, None] if given.ndim == 1 else given).T)
        rows = len(texts[min(texts)]) if texts else len(numbers[0]) if numbers[0] is not None else 0
        out = np.empty((len(self.start), rows, len(numbers)))
        for m, layout in enumerate(self.layout):
            for place, column in enumerate(layout):
                if column in texts:
                    codes = self.codes[m].get(str(column), {})
                    out[m, :, place] = [np.nan if t is None else codes.get(t, np.nan) for t in texts[column]]
                else:
                    out[m, :, place] = numbers[column]
        return out

    def _numbers(self, column: str, values: Any) -> Floats:
        if column in self.categories:
            # Categorical without a category that was seen: nothing of it is known.
            return np.full(len(values), np.nan)
        return pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name in _ARRAYS}

    def plain(self) -> dict[str, Any]:
        """Everything else, as plain values for JSON."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _ARRAYS}

    @classmethod
    def from_parts(cls, arrays: Mapping[str, NDArray[Any]], plain: Mapping[str, Any]) -> Forest:
        """Inverse of `arrays` and `plain`."""
        told: dict[str, Any] = dict(plain) | {
            "columns": tuple(plain["columns"]),
            "categories": {c: tuple(v) for c, v in plain["categories"].items()},
            "layout": tuple(tuple(m) for m in plain["layout"]),
            "codes": tuple(plain["codes"]),
        }
        told |= {name: arrays[name] for name in _ARRAYS}
        return cls(**told)


_ARRAYS = (
    *("feature", "threshold", "left", "right", "value", "gone_left", "leaf", "by_category"),
    *("bits", "bitsets", "roots", "member", "start"),
)


@dataclass(frozen=True)
class _Member:
    """One fitted model of the committee, taken apart."""

    nodes: list[NDArray[Any]]
    bitsets: list[NDArray[np.uint32]]
    layout: tuple[int, ...]
    codes: dict[str, dict[str, int]]
    start: float

    @classmethod
    def of(cls, model: Any, columns: int) -> _Member:
        """Takes a HistGradientBoostingClassifier apart; names that are private to it, as of scikit-learn 1.9."""
        trees = [one for (one,) in model._predictors]
        layout, codes = tuple(range(columns)), {}
        if model._preprocessor is not None:
            there = np.asarray(model.is_categorical_, bool)
            layout = (*map(int, np.flatnonzero(there)), *map(int, np.flatnonzero(~there)))
            encoder = model._preprocessor.named_transformers_["encoder"]
            known = model._bin_mapper.make_known_categories_bitsets()[0]
            for place, (column, seen) in enumerate(zip(layout, encoder.categories_, strict=False)):
                codes[str(column)] = {
                    str(text): code
                    for code, text in enumerate(seen)
                    if not _is_gone(text) and known[place, code >> 5] >> (code & 31) & 1
                }
        return cls(
            nodes=[np.asarray(tree.nodes) for tree in trees],
            bitsets=[np.asarray(tree.raw_left_cat_bitsets, np.uint32).reshape(-1, 8) for tree in trees],
            layout=layout,
            codes=codes,
            start=float(np.asarray(model._baseline_prediction).ravel()[0]),
        )


def _is_gone(text: Any) -> bool:
    return text is None or (isinstance(text, float) and text != text)


def _texts(values: Any, known: Sequence[str]) -> list[str | None]:
    """A categorical column as texts, None where it is missing or of no category that training knew."""
    column, there = pd.Series(values), set(known)
    text = column.astype(str)
    return [t if ok and t in there else None for t, ok in zip(text, column.notna(), strict=True)]
