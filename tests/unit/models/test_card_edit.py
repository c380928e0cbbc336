"""Edits: what people write, and what becomes of bins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.data.features import Feature, known_feature
from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.card_edit import CardEdit, as_released, edited_bins, merged_places

AGE = Bins.public(
    Feature(institution="bank", column="age", bins=(1.0, 2.0, 3.0, 4.0), special=(("-9", "none"),))
)
SECTOR = Bins.public(Feature(institution="tax", column="sector", kind="category", bins=("a", "b", "c", "d")))
CARD = [AGE, SECTOR, Bins.public(known_feature("tax"))]


def after(*edits):
    features = as_released(CARD)
    for edit in edits:
        features = edited_bins(features, CardEdit(**edit))
    return features


def test_numbers_merge_by_hand():
    (bins, origin), *_ = after({"merge": ("bank.age:2-4",)})
    assert bins.labels() == ["< 1", "1 to < 4", ">= 4", "none", "missing"]
    assert origin.codes.tolist() == [0, 1, 1, 1, 2, 3, 4]
    assert origin.changed


@given(st.lists(st.floats(-1, 6), min_size=1, max_size=20), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_codes_of_values_are_those_of_the_old_bins(values, first, more):
    """Whatever is merged, a value's new code is the new code of its old one."""
    last = min(first + more, 5)
    if last - first in (0, 4):
        return
    (bins, origin), *_ = after({"merge": (f"bank.age:{first}-{last}",)})
    x = np.array([*values, -9.0, np.nan])
    assert bins.codes(x).tolist() == origin.codes[AGE.codes(x)].tolist()


def test_categories_merge_and_keep_their_texts():
    features = after({"merge": ("tax.sector:1,3",)}, {"merge": ("tax.sector:1-2",)})
    bins, origin = features[1]
    assert bins.labels() == ["a + c + b", "d", "other", "missing"]
    values = np.array(["c", "d", "b", "x", None], dtype=object)
    assert bins.codes(values).tolist() == [0, 1, 0, 2, 3]
    assert origin.codes.tolist() == [0, 0, 0, 1, 2, 3]
    assert Bins.from_dict(bins.to_dict()) == bins


def test_a_category_merged_with_other_is_no_category_any_more():
    bins, origin = after({"merge": ("tax.sector:2,5",)})[1]
    assert bins.categories == ("a", "c", "d") and not bins.same
    assert origin.codes.tolist() == [0, 3, 1, 2, 3, 4]
    values = np.array(["b", "x"], dtype=object)
    assert bins.codes(values).tolist() == [3, 3]


def test_a_holder_leaves_with_its_last_column():
    assert [b.feature.name for b, _ in after({"drop": ("tax.sector",)})] == ["bank.age"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"merge": ("bank.age:1,3",)}, "beside each other"),
        ({"merge": ("bank.age:1-5",)}, "drop it instead"),
        ({"merge": ("bank.age:5-6",)}, "levels of their own"),
        ({"merge": ("bank.age",)}, "no feature with bins"),
        ({"merge": ("bank.age:2",)}, "no two bins"),
        ({"merge": ("bank.agee:1-2",)}, "did you mean bank.age"),
        ({"monotone": {"tax.sector": "rising"}}, "no bins in an order"),
        ({"monotone": {"bank.age": "up"}}, "rising or falling"),
        ({"monotone": {"bank.age": "rising"}, "sign": {"bank.age": "rising"}}, "both"),
        ({"drop": ("tax.(known)",)}, "drop the holder's columns"),
        ({"drop": ("bank.age", "tax.sector")}, "no column would be left"),
        ({"long_run_rate": 4.1}, r"4.1% is 0\.041"),
        ({"points_to_double": 1}, "must lie between"),
        ({"reason": "two\nlines"}, "one line"),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(edit, said):
    with pytest.raises(ConfigError, match=said):
        after(edit)


def test_an_edit_is_read_back_as_it_was_written():
    edit = CardEdit(
        merge=("bank.age:1-2",), sign={"bank.age": "rising"}, points_to_double=40, reason="r", author="a"
    )
    assert CardEdit.from_dict(edit.to_dict()) == edit
    assert edit.to_dict()["points_to_double"] == 40.0
    with pytest.raises(ConfigError, match="did you mean merge"):
        CardEdit.from_dict({"merges": []})
    with pytest.raises(ConfigError, match="lists of texts"):
        CardEdit.from_dict({"merge": "bank.age:1-2"})


def test_places_are_counted_from_one():
    assert merged_places("tax.a:b:3-4") == ("tax.a:b", (2, 3))
