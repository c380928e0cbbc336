"""Who counts, what is asked of whom, and what a policy keeps closed."""

import pytest

from fedrisk.errors import ConfigError
from fedrisk.privacy.policy import Policy
from fedrisk.recipes import study_from
from fedrisk.recipes.statistics import RECIPE
from fedrisk.recipes.statistics.members import asks, closed_columns, contributors, own_columns

OFFICES = {"tax": ["north", "south", "east"]}


def study(**changes):
    settings = {
        "by": ["tax.county"],
        "measures": [{"kind": "count"}, {"kind": "mean", "column": "tax.sales"}],
        "offices": OFFICES,
        **changes,
    }
    members = [{"name": n, "role": "holder", "optional": n == "east"} for n in (*OFFICES["tax"], "power")]
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


def test_offices_contribute_and_others_hold_nothing():
    assert contributors(study()) == ("north", "south", "east")
    assert own_columns(study(), "south") == ("county", "sales")
    assert own_columns(study(), "power") == ()


def test_a_policy_is_closed_until_it_lists_every_column():
    assert closed_columns(study(), Policy(), "north") == [
        "the study counts county, sales, and policy.statistics does not open them"
    ]
    assert closed_columns(study(), Policy(statistics=("sales",)), "north")[0].startswith(
        "the study counts county,"
    )
    assert closed_columns(study(), Policy(statistics=("sales", "county")), "north") == []
    # What models may use is another question.
    assert closed_columns(study(), Policy(columns=("sales", "county")), "north")
    assert closed_columns(study(), Policy(), "power") == []


def test_who_decides_reads_what_is_counted():
    asked = study(tables=[{"by": ["county"]}, {"by": []}])
    assert asks(asked) == (
        "counts count, mean of tax.sales",
        "by county; one number for all, cells by tax.county",
        "of all enterprises of tax, held out or not",
    )
    joined = study(by=["power.county"], measures=[{"kind": "count"}], listed="north")
    assert asks(joined)[-1] == "of all enterprises on the list of north, held out or not"


def test_a_study_without_an_optional_office_is_one_of_the_others():
    smaller = RECIPE.without(study(), {"east"})
    assert smaller.settings["offices"] == {"tax": ["north", "south"]}
    assert smaller.digest() == RECIPE.checked(smaller).digest()
    assert contributors(smaller) == ("north", "south")
    with pytest.raises(ConfigError, match="names columns of tax"):
        RECIPE.without(study(), set(OFFICES["tax"]))


def test_offices_share_noise_against_as_many_colluders_as_the_policy_says():
    # Without banks a list makes one office the only trainer, and the rule about trainers says nothing.
    shared = study(by=["power.county"], measures=[{"kind": "mean", "column": "tax.sales"}], listed="power")
    open_ = Policy(statistics=("county", "sales"), least_colluders=2)
    (said,) = closed_columns(shared, open_, "south")
    assert "privacy.colluders = 1 is below policy.least_colluders = 2" in said
    assert closed_columns(shared, open_, "power") == []
    assert closed_columns(shared, open_.model_copy(update={"least_colluders": 1}), "south") == []


@pytest.mark.parametrize("by", ["south.county", "power.county"])
def test_an_institution_counts_under_one_name_alone(by):
    # Two groupings between the same two institutions would have one name, and the figures of one be those of both.
    measures = [{"kind": "mean", "column": "tax.sales"}, {"kind": "mean", "column": "south.age"}]
    with pytest.raises(ConfigError, match="south is behind both"):
        RECIPE.members(study(by=[by], measures=measures, listed="power"), None)
