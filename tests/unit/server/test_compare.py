"""Two runs side by side: keys that differ, and figures with the error of their difference."""

import math
from dataclasses import replace

import pytest

from fedrisk.server.compare import Side, compare, differing


def side(results, **changes):
    content = None if results.record is None else results.record.study
    return Side(name="x", results=replace(results, **changes), content=content)


def test_the_same_run_differs_in_nothing(finished):
    found = compare(side(finished["private"]), side(finished["private"]))
    assert found.same_study is True and found.keys == ()
    figures = {f.code: f for f in found.figures}
    assert figures["auc"].difference == 0.0 and figures["auc"].more_than_noise is False
    assert figures["ks"].error is None and figures["ks"].more_than_noise is None


@pytest.mark.parametrize(("step", "more"), [(1.64, False), (1.65, True), (-1.65, True)])
def test_more_than_noise_is_beyond_nine_in_ten(finished, step, more):
    one = side(finished["private"], auc=0.7, auc_standard_error=0.03)
    width = math.hypot(0.03, 0.04)
    other = side(finished["private"], auc=0.7 + step * width, auc_standard_error=0.04)
    auc = next(f for f in compare(one, other).figures if f.code == "auc")
    assert auc.error == pytest.approx(width)
    assert auc.more_than_noise is more


def test_keys_are_named_with_their_section_and_institution():
    one = {"a": 1, "institutions": [{"name": "b1", "role": "bank"}, {"name": "t", "role": "holder"}]}
    other = {"a": 1, "institutions": [{"name": "b1", "role": "bank"}], "new": [1, 2]}
    assert [(k.key, k.one, k.other) for k in differing(one, other)] == [
        ("institutions.t.role", "holder", None),
        ("new", None, [1, 2]),
    ]


def test_a_study_that_is_not_known_is_said_to_be(finished):
    bare = Side(name="y", results=finished["private"], content=None)
    assert compare(bare, side(finished["private"])).same_study is None
