"""Gram matrices of earlier studies in new shape columns: exact where columns are turned, honest where they say less."""

from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.models.binning import Bins
from fedrisk.models.curves import Curves
from fedrisk.models.gram_memory import remember_gram
from fedrisk.models.knowledge import GramMatrix, PastStudy
from fedrisk.models.label_counts import LabelCounts

ROWS = 5000
SIZES = (4, 5, 3)


def column(name: str, size: int) -> Bins:
    edges = tuple(float(k) for k in range(1, size))
    return Bins(
        Feature(institution="bank", column=name, low=0, high=9, bins=edges, missing=False), edges=edges
    )


BINS = tuple(column(f"c{j}", size) for j, size in enumerate(SIZES))


class World:
    """Rows of three columns that go together, and shape columns by which they are seen."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        common = self.rng.normal(size=ROWS)
        self.codes = [
            np.clip(np.digitize(common + self.rng.normal(size=ROWS), np.linspace(-1.5, 1.5, s - 1)), 0, s - 1)
            for s in SIZES
        ]
        weight = tuple(np.bincount(c, minlength=s) / ROWS for c, s in zip(self.codes, SIZES, strict=True))
        zero, one = np.zeros(3), np.ones(3)
        self.curves = Curves(
            0.05, float(ROWS), tuple(np.zeros(s) for s in SIZES), one, weight, zero, SIZES, (0, 0, 0)
        )

    def bases(self, columns: int = 2) -> tuple[np.ndarray, ...]:
        return tuple(self.rng.normal(size=(s, columns)) for s in SIZES)

    def gram(self, bases: tuple[np.ndarray, ...]) -> np.ndarray:
        rows = np.concatenate([b[c] for b, c in zip(bases, self.codes, strict=True)], 1)
        return rows.T @ rows

    def past(
        self, bases: tuple[np.ndarray, ...], variance: float = 1e-6, bins: tuple[Bins, ...] = BINS
    ) -> PastStudy:
        gram = self.gram(bases)
        noise = np.triu(self.rng.normal(0, np.sqrt(variance), gram.shape))
        counts = LabelCounts(
            tuple(0.05 * ROWS * w for w in self.curves.weight),
            tuple(0.95 * ROWS * w for w in self.curves.weight),
            np.zeros(3),
        )
        second = GramMatrix(gram + noise + np.triu(noise, 1).T, np.full(gram.shape, variance))
        return PastStudy(study="s", digest="", ended="", bins=bins, counts=counts, bases=bases, second=second)


def across(bases: tuple[np.ndarray, ...]) -> np.ndarray:
    feature = np.repeat(np.arange(len(bases)), [b.shape[1] for b in bases])
    return feature[:, None] != feature


def test_without_earlier_matrices_a_study_has_its_own():
    world = World(1)
    bases = world.bases()
    own = GramMatrix(world.gram(bases), np.ones((6, 6)))
    assert remember_gram((), BINS, bases, world.curves, own) is own
    bare = replace(world.past(bases), second=None, bases=())
    assert remember_gram([bare], BINS, bases, world.curves, own) is own
    assert remember_gram([bare], BINS, bases, world.curves, None) is None


def test_columns_that_are_turned_take_their_matrix_along():
    world = World(2)
    old = world.bases()
    new = tuple(b @ world.rng.normal(size=(2, 2)) for b in old)
    found = remember_gram([world.past(old)], BINS, new, world.curves, None)
    here = across(new)
    assert found is not None
    assert found.gram[here] == pytest.approx(world.gram(new)[here], rel=1e-4, abs=0.5)
    assert (found.gram == found.gram.T).all()


def test_matrices_of_equal_noise_are_averaged():
    world = World(3)
    bases = world.bases()
    memory = [world.past(bases, 4e4) for _ in range(3)]
    own = memory.pop().second
    found = remember_gram(memory, BINS, bases, world.curves, own)
    here = across(bases)
    assert found is not None
    assert found.variance[here].mean() == pytest.approx(4e4 / 3, rel=0.5)
    error = (found.gram - world.gram(bases))[here]
    assert error.std() < 4e4**0.5


def test_what_old_columns_cannot_say_is_in_the_variance():
    z = []
    for seed in range(20):
        world = World(seed)
        old, new = world.bases(3), world.bases(2)
        found = remember_gram([world.past(old, 100.0)], BINS, new, world.curves, None)
        assert found is not None
        z.append(((found.gram - world.gram(new)) / np.sqrt(np.maximum(found.variance, 1e-9)))[across(new)])
    # What is unknown goes by the usual correlation, so this is rough.
    assert 0.4 < np.sqrt(np.mean(np.concatenate(z) ** 2)) < 2.0


def test_a_column_that_is_new_has_zeros_with_the_usual_variance():
    world = World(5)
    bases = world.bases()
    here = (*BINS[:2], column("new", SIZES[2]))
    found = remember_gram([world.past(bases)], here, bases, world.curves, None)
    assert found is not None
    assert found.gram[:4, 4:] == pytest.approx(np.zeros((4, 2)))
    # Correlations are known to .01 or so where they were counted.
    assert (found.variance[:4, 4:] > 2 * found.variance[0, 2]).all()


def test_a_matrix_of_much_noise_weighs_little():
    world = World(6)
    bases = world.bases()
    own = GramMatrix(world.gram(bases), np.full((6, 6), 1.0))
    found = remember_gram([world.past(bases, 1e8)], BINS, bases, world.curves, own)
    assert found is not None
    assert found.gram[across(bases)] == pytest.approx(own.gram[across(bases)], abs=1.0)


def test_research_runs_without_noise_are_no_trouble():
    world = World(7)
    bases = world.bases()
    memory = [world.past(bases, 0.0), world.past(bases, 0.0)]
    found = remember_gram(memory, BINS, bases, world.curves, GramMatrix(world.gram(bases), np.zeros((6, 6))))
    assert found is not None
    assert np.isfinite(found.gram).all()
    assert found.gram[across(bases)] == pytest.approx(world.gram(bases)[across(bases)])
