"""``fedrisk measure``: a file becomes a measure at each member, says what it tells, and is asked from a list."""

import json

import pandas as pd
import pytest

from fedrisk.serving import registry
from fedrisk.serving.measures import load_measure
from support.serving import Consortium

BANKS = ("alfa", "beta", "gamma", "delta")
VALUES = {
    "alfa": (9.0,) * 6,
    "beta": (1.0, 2.0, None, 0.0),
    "gamma": (0.0, 4.0, 8.5),
    "delta": (3.0, None, 1.0, 0.0),
}
RULES = '[{ measure = "exposure*", banks = ["alfa"], per_month = 6 }]'
HEAD = """\
name = "exposure_elsewhere"
kind = "{kind}"
meaning = "credit in use at other banks"
unit = "million yuan"
purpose = "credit_scoring"
banks = ["alfa"]
high = 8.0
step = 0.5
"""
TERMS = "".join(f'[[terms]]\nmember = "{b}"\ncolumn = "value"\n' for b in BANKS)


@pytest.fixture
def consortium(tmp_path):
    """Four banks, nothing added yet."""
    return Consortium(
        tmp_path / "members", holders=("tax",), banks=BANKS, values=VALUES, serving={"measures": RULES}
    )


@pytest.fixture
def measure_file(tmp_path):
    """Writes the measure's file."""

    def write(kind="sum", more=""):
        file = tmp_path / f"{kind}.toml"
        file.write_text(HEAD.format(kind=kind) + more + TERMS)
        return file

    return write


def agreed(consortium, fedrisk, file, approve=BANKS):
    for name in BANKS:
        code, out, err = fedrisk("measure", "add", consortium.paths[name], file)
        assert code == 0, err
        assert "has the id" in out
    for name in approve:
        registry.approve(consortium.nodes[name], load_measure(file).id, who="officer", follows=None)


def asked(consortium, fedrisk, measure, rows, *more):
    pd.DataFrame(rows).to_csv("ids.csv", index=False)
    members = [a for name in BANKS[1:] for a in ("--members", consortium.paths[name])]
    return fedrisk("measure", "ask", consortium.paths["alfa"], measure, "ids.csv", *members, *more)


def test_a_sum_is_asked_from_a_list(consortium, fedrisk, measure_file):
    agreed(consortium, fedrisk, measure_file())
    code, out, err = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0", "E2", "E9"]}, "--json")
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert [(r["row"], r["value"], r["known"], r["code"]) for r in rows] == [
        ("E0", 4.0, 2, ""),
        ("E2", 9.0, 2, ""),
        ("E9", 0.0, 0, ""),
    ]
    code, out, err = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0"]})
    assert "credit in use at other banks (million yuan)" in out
    # Four were asked about; six a month are allowed.
    code, out, err = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0", "E1", "E2"]}, "--json")
    assert {r["code"] for r in json.loads(out)["rows"]} == {"quota"}


def test_related_enterprises_by_group(consortium, fedrisk, measure_file):
    agreed(consortium, fedrisk, measure_file("related", "most_related = 3\n"))
    listed = {"id": ["E0", "E1", "E2", "E1"], "owner": ["a", "a", "b", "b"]}
    code, out, err = asked(consortium, fedrisk, "exposure", listed, "--group", "owner")
    assert code == 3
    assert "exposure_elsewhere" in err
    code, out, err = asked(consortium, fedrisk, "exposure_elsewhere", listed, "--group", "owner", "--json")
    assert code == 0, err
    assert [(r["row"], r["value"], r["known"]) for r in json.loads(out)["rows"]] == [
        ("a", 10.0, 4),
        ("b", 15.0, 4),
    ]
    code, _, err = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0", "E1", "E2", "E3"]})
    assert code == 3
    assert "at most 3 enterprises" in err


def test_a_measure_says_what_it_tells(consortium, fedrisk, measure_file):
    agreed(consortium, fedrisk, measure_file(), approve=())
    code, out, err = fedrisk("measure", "show", consortium.paths["beta"])
    assert code == 0
    assert "candidate: credit in use at other banks" in out
    assert "value, 0 to 8, to 0.5" in out
    assert "from beta, delta, gamma" in err
    assert "where one lends alone, its figure" in err
    code, out, _ = fedrisk("measure", "show", consortium.paths["beta"], "exposure_elsewhere", "--json")
    (told,) = json.loads(out)["measures"]
    assert told["bits"] == {"alfa": 7.6}
    assert told["bits_of_member"]["gamma"] == 4.1


def test_nobody_is_asked_before_all_have_approved(consortium, fedrisk, measure_file):
    agreed(consortium, fedrisk, measure_file(), approve=("beta", "gamma"))
    code, _, err = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0"]})
    assert code == 5
    assert "approve it" in err
    registry.approve(consortium.nodes["alfa"], load_measure(measure_file()).id, who="officer", follows=None)
    code, out, _ = asked(consortium, fedrisk, "exposure_elsewhere", {"id": ["E0"]}, "--json")
    assert json.loads(out)["rows"][0]["members"] == {"delta": "approval"}


def test_what_stands_against_it_is_said_when_it_is_added(consortium, fedrisk, measure_file):
    consortium.write("beta", VALUES["beta"], measures="[]")
    code, _, err = fedrisk("measure", "add", consortium.paths["beta"], measure_file())
    assert code == 0
    assert "no rule of policy.serving.measures allows alfa" in err


def test_an_institution_that_has_no_part_is_refused(consortium, fedrisk, measure_file, tmp_path):
    other = Consortium(tmp_path / "others", holders=("tax",), banks=("omega",))
    code, _, err = fedrisk("measure", "add", other.paths["omega"], measure_file())
    assert code == 3
    assert "neither asked nor asks" in err
