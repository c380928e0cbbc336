"""Names that somebody made up to get out of their place in an export: a card's file comes from another machine."""

import ast
import json

import numpy as np
import onnxruntime
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.exports.card_part import CardPart, free_name
from fedrisk.exports.export import export_card
from fedrisk.models.binning import Bins
from fedrisk.models.scorecard import Scorecard

EVIL = 'x""" + __import__("os").system("id") + """\\N{x}\n; DROP TABLE t; --\r\u2028&v ${v} \x1b[31m'


def number(name):
    return Bins.public(Feature(institution="bank", column=name, bins=(1.0, 2.0)))


def category(*texts):
    return Bins.public(Feature(institution="bank", column="sector", kind="category", bins=texts))


def card(*bins, **said):
    points = tuple(tuple(range(b.size)) for b in bins)
    base = {
        "study": "s",
        "intercept": -3.0,
        "rate": 0.05,
        "sd": 20.0,
        "gap": 20.0,
        "partial_sd": {"bank": 20.0},
    }
    averages = (1.5,) * len(bins)
    return Scorecard(bins=bins, points=points, base_points=600, averages=averages, **{**base, **said})


def test_what_a_study_or_notice_says_stays_in_its_comment():
    found = card(number("age"), study=EVIL, notice=EVIL)
    tree = ast.parse(export_card(found, "python", file='a"""b.py'))
    plain = ast.parse(export_card(card(number("age")), "python"))
    assert [type(n) for n in ast.walk(tree)] == [type(n) for n in ast.walk(plain)]
    for dialect in ("postgresql", "oracle", "hive"):
        text, other = (export_card(c, "sql", dialect=dialect).decode() for c in (found, card(number("age"))))
        said = [line for line in text.splitlines() if not line.startswith("-- ")]
        assert said == [line for line in other.splitlines() if not line.startswith("-- ")]
        assert not any(mark in line for line in text.splitlines() if line[:3] == "-- " for mark in ";'\"&$")


@pytest.mark.parametrize("text", ["", "a\nb", "a\x00", "a\x1b[31m", "a\u2028b", "\ud800", "a\u202eb"])
def test_names_that_no_file_takes_are_refused_by_name(text):
    for bins in ([number(text)], [category("a", text)]):
        with pytest.raises(ConfigError, match="which is empty or has characters"):
            CardPart.of(card(*bins))


def test_texts_of_hive_have_no_variables_and_names_neither():
    sql = export_card(card(category("${env:HOME}", "b; c")), "sql", dialect="hive").decode()
    assert "'\\u0024{env:HOME}'" in sql and "${" not in sql
    assert [line for line in sql.splitlines() if line.endswith("-- b  c")]
    with pytest.raises(ConfigError, match="which this database does not take"):
        export_card(card(number("${x}")), "sql", dialect="hive")


@pytest.mark.parametrize("name", ["score", "probability", "points", "reasons", "#0", "@1", "reason_1"])
def test_an_input_that_is_called_like_an_output_is_another(name):
    found = card(number(name), number("age"))
    session = onnxruntime.InferenceSession(export_card(found, "onnx"), providers=["CPUExecutionProvider"])
    score = free_name("score", [name])
    feeds = {n: np.array([[v]]) for n, v in ((name, 1.5), ("age", 2.5))}
    assert session.run([score], feeds)[0].tolist() == [[603.0]]
    pmml = export_card(found, "pmml").decode()
    assert f'<OutputField name="{score}" feature="predictedValue"' in pmml
    names = [part.split('"')[0] for part in pmml.split('Field name="')[1:]]
    listed = [n for n in names if n == name]
    # In the dictionary, and in the schema of the model.
    assert len(listed) == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_points", "__import__('os')"),
        ("base_points", 1.5),
        ("base_points", 10**400),
        ("points", [[1e999, 0, 0, 0]]),
        ("averages", [float("nan")]),
        ("rate", "0.05"),
        ("sd", float("inf")),
        ("study", 7),
        ("partial_sd", {"bank": None}),
        ("notice", ["x"]),
    ],
)
def test_a_file_whose_parts_are_not_of_their_types_is_no_card(key, value):
    stored = json.loads(card(number("age")).to_json())
    assert Scorecard.from_json(json.dumps(stored)) == card(number("age"))
    with pytest.raises(ConfigError, match="malformed"):
        Scorecard.from_json(json.dumps({**stored, key: value}))


def test_a_card_of_deep_brackets_is_no_card():
    with pytest.raises(ConfigError, match="not a stored scorecard"):
        Scorecard.from_json("[" * 100_000)
    column = json.loads(card(number("age")).to_json())
    column["bins"][0]["column"] = {"a": 1}
    with pytest.raises(ConfigError, match="malformed"):
        Scorecard.from_json(json.dumps(column))
