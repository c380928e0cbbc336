"""Master scales and rules of a validation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrisk.analysis.validation.master_scale import DEFAULT_SCALE, MasterScale
from fedrisk.analysis.validation.rules import ValidationRules, load_rules
from fedrisk.errors import ConfigError
from fedrisk.serving import grades


def test_the_default_scale_is_that_of_the_scores_that_are_served():
    assert DEFAULT_SCALE.edges == pytest.approx(grades.EDGES)
    assert DEFAULT_SCALE.names == grades.GRADES


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=20), st.integers(2, 40))
def test_a_higher_probability_never_gets_a_safer_grade(probabilities, count):
    scale = MasterScale.geometric(count, 0.001, 0.5)
    codes = scale.codes(sorted(probabilities))
    assert (np.diff(codes) >= 0).all() and scale.size == count == len(scale.spans())
    for p, code in zip(sorted(probabilities), codes, strict=True):
        low, high = scale.spans()[code]
        assert low <= p and (p < high or high == 1.0)


@pytest.mark.parametrize(
    ("edges", "names", "said"),
    [
        ((), ("A",), "one edge"),
        ((0.1, 0.1), ("A", "B", "C"), "must rise"),
        ((0.1, 1.2), ("A", "B", "C"), "between 0 and 1"),
        ((0.1,), ("A", "A"), "name of its own"),
        ((0.1,), ("A", "B", "C"), "2 grades"),
    ],
)
def test_scales_that_are_none_are_refused(edges, names, said):
    with pytest.raises(ConfigError, match=said):
        MasterScale(names, edges)


def test_rules_of_a_file(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(
        'level = 0.01\n[scale]\ngrades = 3\nfrom = 0.01\nto = 0.1\nnames = ["good", "fair", "poor"]\n'
        "[limits]\nlargest_grade = 0.3\n[conservatism]\ndata = 0.1\npoints = false\n[low_default]\nconfidence = [0.9]\n"
    )
    rules = load_rules(file)
    assert rules.level == 0.01 and rules.scale.scale() == MasterScale(("good", "fair", "poor"), (0.01, 0.1))
    assert rules.conservatism.data == 0.1 and not rules.conservatism.points
    assert load_rules(None) == ValidationRules() and ValidationRules().scale.scale() == DEFAULT_SCALE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[scale]\nedges = [0.1]\ngrades = 3", "not both"),
        ("[scale]\ngrades = 3", "needs grades, from and to"),
        ("[scale]\nedges = [0.2, 0.1]", "must rise"),
        ("[limits]\nstable = 0.3", "above stable"),
        ("levle = 0.1", "levle"),
    ],
)
def test_rules_that_contradict_each_other_are_named(tmp_path, text, said):
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_rules(file)
