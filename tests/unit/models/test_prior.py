import json
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior import Prior, PriorCurve, alike, moved


def number(column="debt", institution="bank", edges=(1.0, 2.0, 3.0), **more):
    return Bins(Feature(institution=institution, column=column, low=0, high=10, **more), edges=edges)


def prior_of(*bins, shift=None):
    curves = [PriorCurve(bins=b, shift=shift or tuple(np.linspace(-1, 1, b.size))) for b in bins]
    return Prior(source="test", curves=tuple(curves))


def test_a_curve_on_its_own_bins_is_the_same():
    b = number()
    np.testing.assert_allclose(prior_of(b).on([b])[0], np.linspace(-1, 1, 5))


def test_a_curve_is_interpolated_between_the_middles_of_bins():
    # There: middles .5, 1.5, 2.5, 3.5 with 0, 1, 2, 3. Here: edges 2 and 3, middles 1.5, 2.5, 3.5.
    there, here = number(), number(edges=(2.0, 3.0))
    np.testing.assert_allclose(moved(there, [0, 1, 2, 3, -1], here), [1, 2, 3, -1])


def test_special_codes_go_by_meaning_and_missing_to_missing():
    there = number(special=(("-9", "no record"), ("-8", "not used")))
    here = number(special=(("-1", "not used"),))
    np.testing.assert_allclose(moved(there, [0, 0, 0, 0, 7, 8, 9], here), [0, 0, 0, 0, 8, 9])


def test_categories_go_by_name_and_new_ones_are_not_known():
    there, here = (
        Bins.public(Feature(institution="bank", column="sector", kind="category", bins=names))
        for names in (("a", "b"), ("b", "c"))
    )
    np.testing.assert_allclose(moved(there, [1, 2, 3, 4], here), [2, 0, 3, 4])


def test_unknown_enterprises_have_no_curve_of_a_column():
    b = replace(number(institution="tax"), unknown=True)
    assert moved(b, [1, 1, 1, 1, 1, 1], b)[-1] == 0
    known = Bins.public(known_feature("tax"))
    np.testing.assert_allclose(moved(known, [-0.1, 0.4], known), [-0.1, 0.4])


def test_a_column_of_another_holder_is_found_by_its_name_where_only_one_is_called_so():
    one, two = number(institution="tax_north"), number(institution="tax_south")
    here = number(institution="tax")
    assert prior_of(one).matched([here]) == ("tax_north.debt",)
    assert prior_of(one, two).matched([here]) == (None,)
    assert prior_of(one, two).matched([one]) == ("tax_north.debt",)
    # A bank's column is another thing than a holder's of the same name.
    assert prior_of(one).matched([number()]) == (None,)


def test_curves_of_other_kinds_units_or_directions_do_not_match():
    f = number().feature
    assert alike(f, replace(f, direction="increasing"))
    assert not alike(replace(f, direction="decreasing"), replace(f, monotone="increasing"))
    assert not alike(f, replace(f, low=100, high=1000))
    assert not alike(f, replace(f, low=None, high=None, kind="flag"))


def test_the_stored_form_is_json_and_comes_back_the_same():
    prior = prior_of(number(), number("age"))
    again = Prior.from_dict(json.loads(json.dumps(prior.to_dict())))
    assert again == prior
    assert len(prior.digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"digest": "0" * 64},
        {"source": "another"},
        {"more": 1},
        {"curves": [{"shift": []}]},
        {"curves": 3},
    ],
)
def test_a_file_that_was_changed_is_refused(change):
    with pytest.raises(ConfigError, match="prior"):
        Prior.from_dict({**prior_of(number()).to_dict(), **change})


@pytest.mark.parametrize("value", [float("nan"), 1e9, True, "1", None])
def test_a_number_that_is_none_is_refused(value):
    data = prior_of(number()).to_dict()
    data["curves"][0]["shift"][0] = value
    with pytest.raises(ConfigError, match="prior"):
        Prior.from_dict({**data, "digest": ""})


def test_counts_give_marginal_curves():
    b = number(missing=False)
    counts = LabelCounts((np.array([10.0, 20, 40, 80]),), (np.full(4, 1000.0),), np.zeros(1))
    (curve,) = Prior.from_sums([b], counts).on([b])
    assert (np.diff(curve) > 0.4).all()


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_curve_whose_edges_are_beyond_all_measure_is_still_numbers():
    there = Feature(institution="tax", column="c", low=1e-300, high=1e-290, grid="log")
    here = Feature(institution="tax", column="c", low=-5.0, high=1e100)
    curve = PriorCurve(bins=Bins(there, edges=(-1e99, 7.0)), shift=(1.0, 0.0, -1.0, 0.0))
    (found,) = Prior(source="s", curves=(curve,)).on([Bins(here, edges=(1.0,))])
    assert np.isfinite(found).all()


def test_the_generic_library_says_where_it_comes_from_and_knows_the_classes_of_indicators():
    prior = Prior.generic()
    assert "not from real data" in prior.source
    names = {c.bins.feature.institution for c in prior.curves}
    assert {"bank", "tax_office", "power_utility", "social_insurance"} < names and len(prior.curves) > 60
    debt = next(c for c in prior.curves if c.bins.feature.name == "bank.debt_to_assets")
    assert debt.shift[0] < -0.3 < 0.3 < debt.shift[debt.bins.ordered - 1]
    assert not debt.joint
