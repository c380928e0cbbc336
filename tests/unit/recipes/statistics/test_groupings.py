"""What a joined study groups: which tables, between whom, and how coarser cells are made of finer ones."""

import math

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError, VersionError
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics import RECIPE
from fedrisk.recipes.statistics.columns import table_sums
from fedrisk.recipes.statistics.groupings import coarser, finer_of, grouped_tables, groupings
from fedrisk.recipes.statistics.plan import JOINED_BITS, LEAST_BITS, layout_of, release_of
from fedrisk.releases.release import parties

FEATURES = (
    Feature(institution="bank", column="debt", low=0, high=100),
    Feature(institution="reg", column="county", kind="category", bins=("a", "b", "c")),
    Feature(institution="reg", column="sector", kind="category", bins=("x", "y")),
    Feature(institution="reg", column="age", low=0, high=9),
    Feature(institution="tax", column="sales", low=-5, high=5),
    Feature(institution="north", column="load", low=0, high=1),
    Feature(institution="south", column="load", low=0, high=1),
)


def study(members=("b1", "b2", "reg", "tax"), epsilon=1.0, **changes):
    content = {
        "by": ["reg.county", "reg.sector"],
        "measures": [
            {"kind": "count"},
            {"kind": "sum", "column": "bank.debt"},
            {"kind": "mean", "column": "tax.sales"},
        ],
    }
    return study_from(
        {
            "name": "cells",
            "purpose": "p",
            "recipe": "statistics",
            "privacy": {"epsilon": epsilon},
            "institutions": [{"name": n, "role": "bank" if n in ("b1", "b2") else "holder"} for n in members],
            "statistics": content | changes,
        }
    )


def test_a_table_of_coarser_cells_is_not_grouped_itself():
    levels = {"region": {"axis": "county", "groups": {"west": ["a", "c"], "east": ["b"]}}}
    tables = [
        {"by": ["region"]},
        {"by": ["sector"]},
        {"by": []},
        {"by": ["sector", "county"]},
        {"by": ["region", "sector"]},
    ]
    layout = layout_of(study(levels=levels, tables=tables), FEATURES)
    assert [t.name for t in grouped_tables(layout)] == ["sector, county"]
    finer, groups = finer_of(layout, layout.table("region"))
    # sector (x, y, unknown) by county (a, b, c, unknown): a and c are west, b is east.
    assert finer.name == "sector, county"
    assert groups.reshape(3, 4).tolist() == [[0, 1, 0, 2]] * 3
    assert finer_of(layout, layout.table("(all)"))[1].tolist() == [0] * 12
    assert finer_of(layout, layout.table("region, sector"))[1].reshape(3, 4)[1].tolist() == [1, 4, 1, 7]


def test_tables_that_are_no_sums_of_others_are_grouped_each():
    layout = layout_of(study(tables=[{"by": ["county"]}, {"by": ["sector"]}]), FEATURES)
    assert [t.name for t in grouped_tables(layout)] == ["county", "sector"]
    assert coarser(layout, layout.table("county"), layout.table("sector")) is None
    levels = {"region": {"axis": "county", "groups": {"west": ["a", "c"], "east": ["b"]}}}
    coarse = layout_of(study(levels=levels, tables=[{"by": ["county"]}, {"by": ["region"]}]), FEATURES)
    # Counties are no sums of regions.
    assert coarser(coarse, coarse.table("county"), coarse.table("region")) is None


def test_groupings_are_between_the_cells_owner_and_every_other_on_each_list():
    made = study()
    found = groupings(made, layout_of(made, FEATURES))
    assert [(g.listed, g.left, g.right) for g in found] == [
        ("b1", "reg", "b1"),
        ("b2", "reg", "b2"),
        ("b1", "reg", "tax"),
        ("b2", "reg", "tax"),
    ]
    assert all(parties(g.id) == (g.left, g.right) for g in found)
    assert len({g.id for g in found}) == 4


def test_offices_are_a_right_party_each_and_no_cells_owner():
    offices = {"power": ["north", "south"]}
    members = ("b1", "reg", "north", "south")
    measures = [{"kind": "mean", "column": "power.load"}]
    made = study(members, offices=offices, measures=measures)
    found = groupings(made, layout_of(made, FEATURES))
    assert [(g.left, g.right) for g in found] == [("reg", "north"), ("reg", "south")]
    with pytest.raises(ConfigError, match="several offices"):
        study(members, by=["power.load"], offices=offices, measures=[{"kind": "sum", "column": "bank.debt"}])


def test_whose_rows_are_counted_has_to_be_said_where_no_bank_takes_part():
    measures = [{"kind": "mean", "column": "tax.sales"}]
    with pytest.raises(ConfigError, match="on whose list"):
        study(("reg", "tax"), measures=measures)
    made = study(("reg", "tax"), measures=measures, listed="tax")
    assert made.trainers == ("tax",)
    assert [(g.listed, g.left, g.right) for g in groupings(made, layout_of(made, FEATURES))] == [
        ("tax", "reg", "tax")
    ]
    with pytest.raises(ConfigError, match="where banks take part"):
        study(listed="tax")
    with pytest.raises(ConfigError, match="no data holder"):
        study(("reg", "tax"), measures=measures, listed="power")


def test_both_owners_of_a_block_carry_the_whole_noise_for_a_move_between_cells():
    made = study()
    layout = layout_of(made, FEATURES)
    release = release_of(made, layout, rows=1000)
    one = release.block("county, sector|sum_debt")
    assert set(one.sigma) == {"b1", "b2", "reg"}
    assert set(release.block("county, sector|mean_sales").sigma) == {"reg", "tax"}
    assert set(release.block("county, sector|count").sigma) == {"reg"}
    unit = 2.0**release.scale_bits
    exact = np.sqrt(2) / (release.mu * np.sqrt(1 / 3))
    assert one.sigma["reg"] / unit == pytest.approx(exact, rel=1e-4)


def test_the_cells_owner_hides_an_enterprise_that_every_office_knows():
    """Its cell moves what all offices have of it, in one number: k sqrt 2. Each office's own record moves by its part."""
    members, offices = ("b1", "reg", "north", "south"), {"power": ["north", "south"]}
    measures = [{"kind": "mean", "column": "power.load"}, {"kind": "sum", "column": "bank.debt"}]
    made = study(members, offices=offices, measures=measures)
    layout = layout_of(made, FEATURES)
    release = release_of(made, layout, rows=1000)
    unit, part = 2**release.scale_bits, release.mu * math.sqrt(1 / 2)
    for name, known in (("county, sector|mean_load", 2), ("county, sector|sum_debt", 1)):
        # Both offices, or the bank, have the most of the enterprise that there may be, and its county changes.
        rows = np.zeros((2, release.block(name).shape[1]), np.int64)
        rows[:, 0] = known * unit
        before, after = (table_sums(np.array(c), rows[:1], 12) for c in ([0], [5]))
        moved = math.sqrt(int(((before - after) ** 2).sum()))
        assert moved == pytest.approx(known * math.sqrt(2) * unit)
        assert moved / release.block(name).sigma["reg"] <= part
        assert moved / release.block(name).sigma["reg"] == pytest.approx(part, rel=1e-3)
    assert release.block("county, sector|mean_load").sigma["north"] == pytest.approx(
        release.block("county, sector|mean_load").sigma["reg"] / 2, rel=1e-6
    )


def test_a_version_that_draws_less_noise_beside_several_offices_takes_part_in_no_such_study(monkeypatch):
    """Nobody can see how much noise another one draws, so the study itself is one that such a version does not read."""
    members, offices = ("b1", "reg", "north", "south"), {"power": ["north", "south"]}
    measures = [{"kind": "mean", "column": "power.load"}]
    of_two = study(members, offices=offices, measures=measures)
    of_one = study(members[:3], offices={"power": ["north"]}, measures=measures)
    assert (of_two.format, of_one.format, study().format) == (2, 1, 1)
    assert RECIPE.without(of_two, ["south"]).format == 2
    said = of_two.model_dump(mode="json")
    assert study_from(said).digest() == of_two.digest()
    with monkeypatch.context() as older:
        older.setattr("fedrisk.study.FORMAT", 1)
        assert study_from(of_one.model_dump(mode="json")) == of_one
        with pytest.raises(VersionError, match="has format 2"):
            study_from(said)


@pytest.mark.parametrize("rows", [1, 1000, 1_000_000, 20_000_000])
def test_sums_of_all_rows_with_their_noise_stay_in_the_ring(rows):
    made = study()
    release = release_of(made, layout_of(made, FEATURES), rows)
    assert release.ring == "uint32"
    assert LEAST_BITS <= release.scale_bits <= JOINED_BITS
    assert rows << release.scale_bits < 1 << 31
    assert rows > 1000 or release.scale_bits == JOINED_BITS


def test_more_rows_than_a_ring_holds_are_refused():
    with pytest.raises(ConfigError, match="ask for fewer"):
        release_of(study(), layout_of(study(), FEATURES), 1 << 26)


def test_the_price_does_not_depend_on_the_rows():
    made = study()
    layout = layout_of(made, FEATURES)
    assert {release_of(made, layout, rows).mu for rows in (None, 10, 1 << 24)} == {
        release_of(made, layout).mu
    }
