"""Files of sweeps: grids become cells, and what is wrong with a file is told, all of it."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.lab.baselines import baselines
from fedrisk.lab.data_set import load_data_set
from fedrisk.lab.sweep import Sweep, chosen, load_sweep
from support.sweeps import write_sweep

ROOT = Path(__file__).resolve().parents[3]
NAMES = {"a": "a", "b": "b"}


def sweep(**grid):
    return Sweep(name="s", grid={"data_set": ["a"], "epsilon": [1.0], **grid})


def test_cells_stand_in_the_order_of_the_lists():
    cells = sweep(data_set=["b", "a"], epsilon=[3.0, 1.0], seed=[2, 1]).cells(NAMES)
    assert [(c.data_set, c.epsilon, c.seed) for c in cells] == [
        *[("b", 3.0, 2), ("b", 3.0, 1), ("b", 1.0, 2), ("b", 1.0, 1)],
        *[("a", 3.0, 2), ("a", 3.0, 1), ("a", 1.0, 2), ("a", 1.0, 1)],
    ]


def test_a_list_that_is_left_out_is_the_data_sets_own():
    (cell,) = sweep().cells(NAMES)
    assert (cell.recipe, cell.bins, cell.institutions, cell.seed, dict(cell.settings)) == (
        "scorecard",
        None,
        None,
        1,
        {},
    )


@settings(max_examples=30, deadline=None)
@given(
    epsilon=st.lists(st.floats(0.01, 100), min_size=1, max_size=4, unique=True),
    seed=st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    bins=st.lists(st.integers(2, 64), max_size=3, unique=True),
)
def test_every_combination_is_one_cell_with_a_name_of_its_own(epsilon, seed, bins):
    cells = sweep(epsilon=epsilon, seed=seed, bins=bins).cells(NAMES)
    assert len(cells) == len(epsilon) * len(seed) * max(1, len(bins))
    assert len({c.digest for c in cells}) == len(cells)


def test_settings_are_variants_on_top_of_the_studys_keys():
    found = Sweep(
        name="s",
        grid={"data_set": ["a"], "epsilon": [1.0], "settings": [{}, {"holdout": {"percent": 40}}]},
        study={"holdout": {"percent": 20}, "privacy.delta": 1e-5},
    )
    assert [dict(c.settings) for c in found.cells(NAMES)] == [
        {"holdout.percent": 20, "privacy.delta": 1e-5},
        {"holdout.percent": 40, "privacy.delta": 1e-5},
    ]


def test_a_section_of_one_recipe_says_nothing_of_another():
    found = sweep(recipe=["scorecard", "network"], settings=[{}, {"scorecard": {"gram_rows": 1000}}])
    cells = [(c.recipe, dict(c.settings)) for c in found.cells(NAMES)]
    assert cells == [("scorecard", {}), ("scorecard", {"scorecard.gram_rows": 1000}), ("network", {})]


def test_all_rules_that_a_file_breaks_are_told(tmp_path):
    file = write_sweep(
        tmp_path, "time_limit = 0\nbaseline = 1", "epsilon = [0, 200, nan]\nseeds = [1]\nbins = [1]"
    )
    with pytest.raises(ConfigError) as error:
        load_sweep(file)
    text = str(error.value)
    for part in ("time_limit", 'did you mean "baselines"', "above 0", "200.0 is out of range"):
        assert part in text, text
    assert 'did you mean "seed"' in text
    assert "at least 2" in text


@pytest.mark.parametrize(
    ("study", "said"),
    [
        ({"privacy": {"epsilon": 2}}, "write it as grid.epsilon"),
        ({"holdout.seed": 3}, "write it as grid.seed"),
        ({"bins": {"count": 4}}, "write it as grid.bins"),
        ({"institutions": []}, "write it as grid.institutions"),
        ({"purpose": "x"}, "the data set's own"),
    ],
)
def test_keys_that_the_grid_sets_stand_in_the_grid(study, said):
    with pytest.raises(ConfigError, match=said):
        Sweep(name="s", grid={"data_set": ["a"], "epsilon": [1.0]}, study=study)


def test_a_value_stands_once():
    with pytest.raises(ConfigError, match=r"names 1\.0 twice"):
        sweep(epsilon=[1.0, 1.0])


def test_an_unknown_recipe_is_told_with_those_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match='did you mean recipe = "network"'):
        load_sweep(write_sweep(tmp_path, grid='epsilon = [1.0]\nrecipe = ["networks"]'))


def test_no_noise_is_an_epsilon(tmp_path):
    found = load_sweep(write_sweep(tmp_path))
    assert [math.isinf(c.epsilon) for c in found.cells({"tiny.toml": "tiny"})] == [False, True]


def test_comments_and_order_do_not_change_the_digest(tmp_path):
    one = load_sweep(write_sweep(tmp_path, grid="epsilon = [1.0]\nseed = [1, 2]"))
    two = load_sweep(write_sweep(tmp_path, grid="# more\nseed = [1, 2]\nepsilon = [1.0]"))
    assert one.digest == two.digest
    assert one.digest != load_sweep(write_sweep(tmp_path, grid="epsilon = [1.0]\nseed = [1, 3]")).digest


def test_baselines_by_name():
    assert chosen("none", ["x"]) == ()
    assert Sweep(name="s", grid={"data_set": ["a"], "epsilon": [1.0]}, baselines="DP-EBM").baselines == (
        "DP-EBM",
    )
    with pytest.raises(
        ConfigError, match='there are "bank alone", or write "all"; did you mean "bank alone"'
    ):
        chosen(["bank alon"], ["bank alone"])


@pytest.mark.parametrize("name", ["smoke", "sweep"])
def test_the_sweeps_of_the_project_can_be_read(name):
    found = load_sweep(ROOT / "benchmarks" / f"{name}.toml")
    assert chosen(found.baselines, list(baselines()))
    cells = found.cells({said: load_data_set(said).name for said in found.grid.data_set})
    assert len(cells) == {"smoke": 4, "sweep": 60}[name]
