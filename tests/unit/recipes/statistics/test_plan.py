"""Settings of a statistics study, and the plan that follows from public things alone."""

import json
import math

import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.privacy.accounting import contributor_sigma, mu_for, sigma_for
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics.plan import BITS, check_members, layout_of, make_plan, sensitivity
from fedrisk.releases.statistics import UNKNOWN, Layout

MEMBERS = [
    {"name": "alfa", "role": "bank"},
    {"name": "beta", "role": "bank"},
    {"name": "gama", "role": "bank"},
    {"name": "north", "role": "holder"},
    {"name": "south", "role": "holder"},
    {"name": "watch", "role": "regulator"},
]


def study(members=MEMBERS, **statistics):
    settings = {"by": ["north.county"], "measures": [{"kind": "count"}], **statistics}
    return study_from(
        {
            "name": "cells",
            "purpose": "p",
            "recipe": "statistics",
            "privacy": {"epsilon": 1.0},
            "institutions": members,
            "statistics": settings,
        }
    )


def features(owner="north", **changes):
    county = {"kind": "category", "bins": ("a", "b", "c"), **changes}
    return [
        Feature(institution=owner, column="county", **county),
        Feature(institution=owner, column="sales", low=-10, high=100, unit="yuan"),
        Feature(institution=owner, column="age", low=0, high=90, bins=(20.0, 40.0)),
        Feature(institution=owner, column="edges", bins=(20.0, 40.0)),
        Feature(institution=owner, column="late", kind="flag"),
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"by": ["north.county", "south.county"]}, "by: columns of north and south"),
        ({"by": ["north.county", "north.county"]}, "by: north.county is there more than once"),
        ({"by": ["elsewhere.county"]}, "names columns of elsewhere"),
        ({"by": ["watch.county"]}, "names columns of watch"),
        ({"measures": []}, "measures"),
        ({"measures": [{"kind": "count", "column": "north.sales"}]}, "a count is of enterprises"),
        ({"measures": [{"kind": "mean"}]}, "every other measure has one"),
        (
            {"measures": [{"kind": "mean", "column": "north.sales", "values": ["a"]}]},
            "values are the categories",
        ),
        (
            {"measures": [{"kind": "mean", "column": "north.sales", "bins": [1.0]}]},
            "bins are edges of quantiles",
        ),
        ({"measures": [{"kind": "share", "column": "north.late", "low": 0.0}]}, "low and high are for"),
        ({"measures": [{"kind": "mean", "column": "north.sales", "low": 2.0, "high": 1.0}]}, "must be below"),
        ({"measures": [{"kind": "mean", "column": "north.sales", "low": math.inf}]}, "finite"),
        ({"measures": [{"kind": "quantiles", "column": "north.sales", "bins": [2.0, 1.0]}]}, "rising order"),
        ({"measures": [{"kind": "count", "weight": 0.0}]}, "weight"),
        ({"measures": [{"kind": "count", "weight": math.nan}]}, "weight"),
        ({"measures": [{"kind": "count"}, {"kind": "count"}]}, "give each a name"),
        ({"tables": [{"by": ["sector"]}]}, "there is no axis sector; known are county"),
        ({"tables": [{"by": ["county"]}, {"by": ["county"]}]}, "tables: county is there more than once"),
        ({"levels": {"region": {"axis": "sector", "groups": {"N": ["a"]}}}}, "there is no axis sector"),
        ({"levels": {"county": {"axis": "county", "groups": {"N": ["a"]}}}}, "called so already"),
        ({"levels": {"region": {"axis": "county", "groups": {}}}}, "every group needs categories"),
        ({"levels": {"region": {"axis": "county", "groups": {"N": ["a"], "S": ["a"]}}}}, "one group each"),
        ({"offices": {"tax": ["north", "elsewhere"]}}, "lists elsewhere, which is no data holder"),
        ({"offices": {"tax": ["alfa"]}}, "lists alfa, which is no data holder"),
        ({"offices": {"north": ["north", "south"]}}, "called as an institution is"),
        ({"offices": {"tax": []}}, "offices.tax is empty"),
        ({"offices": {"tax": ["north"], "power": ["north"]}}, "one office of one kind"),
        ({"listed": "south"}, "where banks take part"),
        ({"by": [], "measures": [{"kind": "count"}]}, "does not say whose enterprises are counted"),
        ({"cells": 3}, "cells"),
    ],
)
def test_settings_that_mean_nothing_are_refused_with_a_reason(changes, said):
    with pytest.raises(ConfigError, match=said):
        study(**changes)


def test_two_levels_of_one_column_make_no_table():
    levels = {"region": {"axis": "county", "groups": {"N": ["a", "b"], "S": ["c"]}}}
    with pytest.raises(ConfigError, match="two levels of one column"):
        study(levels=levels, tables=[{"by": ["county", "region"]}])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"by": ["north.sales"]}, "north.sales is a number without public bins"),
        ({"by": ["north.nothing"]}, "north.nothing is stated by no institution"),
        ({"measures": [{"kind": "mean", "column": "north.county"}]}, "is a category, which has no mean"),
        ({"measures": [{"kind": "mean", "column": "north.edges"}]}, "north.edges has no public bounds"),
        (
            {"measures": [{"kind": "mean", "column": "north.sales", "high": 101.0}]},
            "wider than the public bounds",
        ),
        ({"measures": [{"kind": "mean", "column": "north.sales", "low": 100.0}]}, "must be below high"),
        ({"measures": [{"kind": "share", "column": "north.sales"}]}, "and north.sales is a number"),
        ({"measures": [{"kind": "share", "column": "north.county"}]}, "values lists none"),
        ({"measures": [{"kind": "share", "column": "north.county", "values": ["z"]}]}, "z is none of them"),
        ({"measures": [{"kind": "share", "column": "north.late", "values": ["1"]}]}, "is a flag, whose ones"),
        ({"measures": [{"kind": "quantiles", "column": "north.sales"}]}, "north.sales has no public bins"),
        ({"measures": [{"kind": "quantiles", "column": "north.late"}]}, "is a flag, whose mean says all"),
        (
            {"measures": [{"kind": "quantiles", "column": "north.sales", "bins": [1.0, 100.0]}]},
            "edge 100 is not",
        ),
        (
            {"levels": {"region": {"axis": "county", "groups": {"N": ["a", "z"]}}}},
            "z is no category of county",
        ),
        ({"levels": {"region": {"axis": "county", "groups": {"N": ["a"]}}}}, "b of county is in no group"),
        (
            {"levels": {"region": {"axis": "county", "groups": {UNKNOWN: ["a", "b", "c"]}}}},
            "a category of its own",
        ),
    ],
)
def test_columns_that_do_not_fit_are_refused_with_a_reason(changes, said):
    with pytest.raises(ConfigError, match=said):
        layout_of(study(**changes), features())


def test_a_category_called_as_the_unknown_is_refused():
    with pytest.raises(ConfigError, match="called alike"):
        layout_of(study(), features(bins=("a", UNKNOWN)))


def test_too_many_cells_are_refused():
    wide = [
        Feature(institution="north", column=c, kind="category", bins=tuple(f"{c}{k}" for k in range(600)))
        for c in ("county", "town")
    ]
    with pytest.raises(ConfigError, match="361,201 cells together, and a study may have 200,000"):
        layout_of(study(by=["north.county", "north.town"]), wide)
    many = [{"kind": "variance", "column": "north.sales", "name": f"m{k}"} for k in range(64)]
    wide[1] = features()[1]
    wide[0] = Feature(
        institution="north", column="county", kind="category", bins=tuple(map(str, range(20_000)))
    )
    with pytest.raises(ConfigError, match="3,840,192 numbers"):
        layout_of(study(measures=many), wide)


def test_a_layout_goes_through_json_and_has_one_digest():
    changes = {
        "measures": [{"kind": "quantiles", "column": "north.age"}, {"kind": "mean", "column": "north.sales"}],
        "levels": {"region": {"axis": "county", "groups": {"N": ["a", "c"], "S": ["b"]}}},
        "tables": [{"by": ["region"]}, {"by": ["county"], "weight": 3.0}],
    }
    layout = layout_of(study(**changes), features())
    again = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert (again, again.digest()) == (layout, layout.digest())
    assert layout.axis("region").groups == (0, 1, 0, 2)
    assert layout.measure("mean_sales").unit == "yuan"
    assert [t.share for t in layout.tables] == [0.25, 0.75]
    assert layout.own_axis(layout.axis("region")) is layout.axis("county")


def test_the_budget_is_shared_by_weights_and_all_of_it_is_charged_to_who_counts():
    asked = study(
        measures=[{"kind": "count", "weight": 3.0}, {"kind": "mean", "column": "north.sales"}],
        tables=[{"by": ["county"]}, {"by": [], "weight": 4.0}],
    )
    plan, mu = make_plan(asked, features()), mu_for(1.0, 1e-6)
    release = plan.release("statistics")
    assert (release.population, release.mu, release.scale_bits) == ("all", mu, BITS)
    assert plan.price == {name: mu if name == "north" else 0.0 for name in asked.members}
    parts = {"county|count": 0.2 * 0.75, "county|mean_sales": 0.2 * 0.25, "(all)|count": 0.8 * 0.75}
    for name, part in parts.items():
        sigma = sigma_for(sensitivity(joined=False), mu * math.sqrt(part))
        assert release.block(name).sigma == {"north": sigma}
    assert [b.shape for b in release.blocks] == [(4, 1), (4, 2), (1, 1), (1, 2)]
    spent = [sensitivity(joined=False) / b.sigma["north"] for b in release.blocks]
    assert 0.9999 * mu < math.sqrt(sum(s * s for s in spent)) <= mu


def test_without_columns_the_price_is_known_and_the_form_is_not():
    plan = make_plan(study(), ())
    assert not plan.prepared("statistics")
    assert plan.price == make_plan(study(), features()).price
    assert plan.mu("statistics") == make_plan(study(), features()).mu("statistics")


def test_institutions_of_one_owner_share_the_noise_against_who_colludes():
    offices = {"tax": ["north", "south"]}
    asked = study(by=["tax.county"], offices=offices)
    both = [*features("north"), *features("south")]
    check_members(asked, both)
    block = make_plan(asked, both).release("statistics").block("county|count")
    whole = sigma_for(sensitivity(joined=False), mu_for(1.0, 1e-6))
    assert block.sigma == dict.fromkeys(offices["tax"], contributor_sigma(whole, 2, 1))
    banks = study(by=["bank.county"])
    block = make_plan(banks, features("bank")).release("statistics").block("county|count")
    assert block.sigma == dict.fromkeys(("alfa", "beta", "gama"), contributor_sigma(whole, 3, 1))


def test_offices_have_to_state_the_same():
    asked = study(by=["tax.county"], offices={"tax": ["north", "south"]})
    with pytest.raises(ConfigError, match="dictionaries of north and south disagree on county"):
        check_members(asked, [*features("north"), *features("south", bins=("a", "b"))])
    with pytest.raises(ConfigError, match="south states no column county"):
        check_members(asked, features("north"))


def test_weights_whose_noise_no_ring_holds_is_refused():
    measures = [{"kind": "count"}, {"kind": "mean", "column": "north.sales", "weight": 1e-30}]
    with pytest.raises(ConfigError, match="beyond all numbers"):
        make_plan(study(measures=measures), features())


def test_two_blocks_of_one_name_would_have_one_mask_and_are_refused():
    columns = [
        *(
            Feature(institution="north", column=c, kind="category", bins=("x", "y"))
            for c in ("a", "a|mean_b")
        ),
        *(Feature(institution="north", column=c, low=0, high=1) for c in ("c", "b|c")),
    ]
    both = {
        "measures": [
            {"kind": "mean", "column": "north.b|c"},
            {"kind": "sum", "column": "north.c", "name": "c"},
        ]
    }
    asked = study(by=["north.a", "north.a|mean_b"], tables=[{"by": ["a"]}, {"by": ["a|mean_b"]}], **both)
    with pytest.raises(ConfigError, match=r"would be called a\|mean_b\|c; give the measure a name"):
        layout_of(asked, columns)
