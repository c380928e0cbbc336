"""The index's file: what it takes, and how it says what is wrong."""

import pytest

from fedrisk.analysis.fragility_settings import load_settings
from fedrisk.errors import ConfigError
from support import quarters

FILE = """\
cells = ["county", "sector"]
quarters = [{quarters}]
[[indicators]]
name = "growth"
measure = "growth"
fragile = "low"
"""
NAMES = ("2024Q3", "2024Q4", "2025Q1", "2025Q2", "2025Q3")


def file(tmp_path, names=NAMES, more=""):
    listed = ", ".join(f'{{ name = "{n}", records = ["r"] }}' for n in names)
    path = tmp_path / "index.toml"
    path.write_text(more + FILE.replace("{quarters}", listed))
    return path


def test_a_file(tmp_path):
    found = load_settings(file(tmp_path))
    assert found.false_alarms == 0.05
    assert [q.number - found.quarters[0].number for q in found.quarters] == [0, 1, 2, 3, 4]
    assert found.indicators[0].transformation == "level"


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (
            ("2024Q3", "2025Q1", "2025Q2", "2025Q3", "2025Q4"),
            "",
            "2025Q1 follows 2024Q3; list consecutive quarters",
        ),
        (("2024-3", *NAMES[1:]), "", "such as 2025Q3"),
        (NAMES[:3], "", "quarters: 3 are listed, and an index needs 5"),
        (NAMES, 'common = ["size"]\n', "common: size is no axis of cells"),
        (NAMES, 'map = { file = "m", axis = "size" }\n', "axis size is none of cells"),
        (NAMES, "false_alarm = 0.1\n", "false_alarms"),
    ],
)
def test_what_is_wrong(tmp_path, names, more, said):
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        load_settings(file(tmp_path, names, more))


def test_two_indicators_of_one_name():
    with pytest.raises(ValueError, match="two have the same name"):
        quarters.settings(5, indicators=[i.model_dump() for i in quarters.settings(5).indicators[:1]] * 2)
