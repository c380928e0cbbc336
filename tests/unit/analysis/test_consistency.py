"""Consistent tables: the numbers of plain dense least squares over the finest cells, and of Hay et al. on trees."""

import numpy as np
import pytest

from fedrisk.analysis.consistency import Geometry, TooLarge, derived_tables
from fedrisk.releases.statistics import UNKNOWN, Axis, CellTable, Layout, Measure


def axis(name, count, column=None, groups=None):
    categories = (*(f"{name}{k}" for k in range(count - 1)), UNKNOWN)
    return Axis(name=name, column=column or f"registry.{name}", categories=categories, groups=groups)


COUNTY = axis("county", 7)
PREFECTURE = axis("prefecture", 4, "registry.county", (0, 0, 0, 1, 1, 2, 3))
REGION = axis("region", 3, "registry.county", (0, 0, 0, 0, 0, 1, 2))
# Not made of whole prefectures.
BASIN = axis("basin", 3, "registry.county", (0, 1, 0, 1, 0, 1, 2))
SECTOR, SIZE = axis("sector", 4), axis("size", 3)


def layout_of(*tables):
    return Layout(
        owner="registry",
        axes=(COUNTY, PREFECTURE, REGION, BASIN, SECTOR, SIZE),
        tables=tuple(CellTable(name="_".join(axes) or "all", axes=axes) for axes in tables),
        measures=(Measure(name="count", kind="count"),),
    )


def dense(layout, table):
    """Incidence of a table's cells on county x sector x size."""
    at = {"registry.county": 0, "registry.sector": 1, "registry.size": 2}
    atoms = np.array(list(np.ndindex(7, 4, 3)))
    cell = np.zeros(len(atoms), dtype=int)
    for name in table.axes:
        a = layout.axis(name)
        own = atoms[:, at[a.column]]
        cell = cell * len(a.categories) + (own if a.groups is None else np.array(a.groups)[own])
    out = np.zeros((layout.cells(table), len(atoms)))
    out[cell, np.arange(len(atoms))] = 1
    return out


CASES = {
    "one table": [("county",)],
    "tree": [("county",), ("prefecture",), ("region",), ()],
    "crossed margins": [("county", "sector"), ("county",), ("sector",), ()],
    "axes in another order": [("county", "sector"), ("sector", "prefecture"), ("sector",)],
    "none is the finest": [("county", "sector"), ("county", "size"), ("prefecture",)],
    "margins alone": [("county",), ("sector",), ("size",)],
    "groups that cross": [("prefecture", "sector"), ("basin",), ("region", "size")],
    "a coarse table of a crossed one": [("county", "sector"), ("prefecture", "size"), ("size",), ()],
}


@pytest.mark.parametrize("tables", CASES.values(), ids=CASES)
def test_as_dense_least_squares(tables):
    layout = layout_of(*tables)
    rng = np.random.default_rng(3)
    relative = {t.name: rng.uniform(0.3, 3.0) for t in layout.tables}
    geometry = Geometry(layout, relative)
    base = relative[geometry.base.name]
    geometry = Geometry(layout, {n: v / base for n, v in relative.items()})
    totals = {t.name: rng.normal(size=(layout.cells(t), 2)) for t in layout.tables}
    found = geometry.fit(totals)
    a = {t.name: dense(layout, t) for t in layout.tables}
    weights = np.concatenate([np.full(len(m), base / relative[n]) for n, m in a.items()])
    whole = np.concatenate(list(a.values()))
    inverse = np.linalg.pinv(whole.T @ (weights[:, None] * whole))
    x = inverse @ whole.T @ (weights[:, None] * np.concatenate([totals[n] for n in a]))
    for table in (*layout.tables, *(t for t, _ in derived_tables(layout))):
        m = dense(layout, table)
        assert found[table.name].total == pytest.approx(m @ x, abs=1e-9)
        assert found[table.name].variance == pytest.approx(np.diag(m @ inverse @ m.T), abs=1e-9)


def test_levels_that_were_not_released_are_sums_of_cells():
    names = {t.name: s.name for t, s in derived_tables(layout_of(("county", "sector"), ("prefecture",)))}
    assert names == {
        "prefecture, sector": "county_sector",
        "region, sector": "county_sector",
        "basin, sector": "county_sector",
        "region": "prefecture",
    }


def test_numbers_agree_and_are_surer_than_before():
    layout = layout_of(("county", "sector"), ("prefecture",), ())
    geometry = Geometry(layout, {"county_sector": 1.0, "prefecture": 1.0, "all": 1.0})
    rng = np.random.default_rng(1)
    fitted = geometry.fit({t.name: rng.normal(size=(layout.cells(t), 1)) for t in layout.tables})
    by_county = fitted["county_sector"].total.reshape(7, 4).sum(1)
    by_prefecture = np.bincount(PREFECTURE.groups, by_county)
    assert fitted["prefecture"].total.ravel() == pytest.approx(by_prefecture)
    assert fitted["all"].total.item() == pytest.approx(by_prefecture.sum())
    assert all(
        (f.variance < 1).all() for n, f in fitted.items() if n in ("county_sector", "prefecture", "all")
    )


def test_too_many_cells_are_said():
    many = Axis(name="many", column="registry.many", categories=tuple(map(str, range(3000))))
    layout = Layout(
        owner="registry",
        axes=(many, SECTOR, SIZE),
        tables=(
            CellTable(name="a", axes=("many", "sector")),
            CellTable(name="b", axes=("many", "size")),
        ),
        measures=(),
    )
    with pytest.raises(TooLarge):
        Geometry(layout, {"a": 1.0, "b": 1.0}).fit({"a": np.zeros((12000, 1)), "b": np.zeros((9000, 1))})
