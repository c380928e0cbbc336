import json
import subprocess
import sys

import onnx
import pytest
from typer.testing import CliRunner

from fedrisk.cli import app
from fedrisk.data.features import Feature, known_feature
from fedrisk.engine.exported_card import find_exported
from fedrisk.errors import ConfigError
from fedrisk.exports.export import export_card
from fedrisk.models.binning import Bins
from fedrisk.models.card_edit import CardEdit
from fedrisk.models.edited_card import EditedCard, EditEntry
from fedrisk.models.scorecard import Scorecard


@pytest.fixture(scope="module")
def card():
    age = Feature(institution="bank", column="age", low=18, high=80, special=(("-9", "no record"),))
    debt = Feature(institution="tax", column="debt", low=0, high=9)
    bins = (
        Bins(age, edges=(30.0,)),
        Bins(debt, edges=(2.0,), unknown=True),
        Bins.public(known_feature("tax")),
    )
    return Scorecard(
        study="may",
        bins=bins,
        points=((-9, 7, 3, 0), (5, -5, 0, -2), (0, -4)),
        base_points=600,
        averages=(0.5, 0.25, -0.1),
        intercept=-3.0,
        rate=0.05,
        sd=20.0,
        gap=30.0,
        partial_sd={"bank": 9.0, "tax": 5.0},
        notice="research run: no privacy",
    )


@pytest.fixture
def folder(card, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "scorecard.json").write_text(card.to_json() + "\n")
    return tmp_path


def called(*words):
    return CliRunner().invoke(app, ["card", "export", *map(str, words)])


def test_each_form_is_written_and_says_which_card_it_is(folder):
    for form in ("sql", "pmml", "onnx", "python"):
        out = folder / f"card.{form}"
        found = called(folder / "results", "--as", form, "--out", out, "--json")
        assert found.exit_code == 0, found.output
        facts = json.loads(found.output)
        content = out.read_bytes()
        for said in (facts["card_digest"], "may", "no privacy"):
            assert said.encode() in content
    assert onnx.load(folder / "card.onnx").doc_string.startswith("Scorecard of study may")


def test_the_python_file_scores_a_csv_by_itself(folder):
    out = folder / "card.py"
    assert called(folder / "results" / "scorecard.json", "--as", "python", "--out", out).exit_code == 0
    rows = "age,external_points\n20,5\n-9,\n,0\n"
    command = [sys.executable, "-S", str(out)]
    scored = subprocess.run(
        command, input=rows, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(",")[0] for line in scored] == ["score", "596", "603", "600"]
    assert scored[1].endswith("age,,,") or "age" in scored[1]


def test_parts(folder):
    tax = folder / "tax.py"
    assert called(folder / "results", "--as", "python", "--part", "tax", "--out", tax).exit_code == 0
    space = {"__name__": "card"}
    exec(tax.read_text(), space)
    assert space["score"]({"debt": 1}) == 5
    whole = folder / "whole.py"
    assert called(folder / "results", "--as", "python", "--part", "whole", "--out", whole).exit_code == 0
    exec(whole.read_text(), space)
    assert space["score"]({"age": 40, "tax_debt": None, "tax_known": 0}) == 600 + 7 - 2 - 4


def test_what_cannot_be_exported_is_said(folder, card):
    there = folder / "card.sql"
    there.write_text("")
    assert called(folder / "results", "--as", "sql", "--out", there).exit_code == 3
    assert there.read_text() == ""
    with pytest.raises(ConfigError, match="no feature in it"):
        export_card(card, "sql", part="court")
    with pytest.raises(ConfigError, match="is no table's name"):
        export_card(card, "sql", table="a; drop table b")
    with pytest.raises(ConfigError, match="key and an input"):
        export_card(card, "sql", keys=["AGE"])
    with pytest.raises(ConfigError, match="use sql, pmml, onnx, python"):
        export_card(card, "excel")
    with pytest.raises(ConfigError, match="has no scorecard"):
        find_exported(folder)
    with pytest.raises(ConfigError, match="leave --attempt out"):
        find_exported(folder / "results", attempt="1f")


def test_edits_are_listed(card):
    edit = CardEdit(drop=("bank.loan_term",), reason='few """rows', author="A. Officer")
    entry = EditEntry(
        number=1, edit=edit, time="2026-05-01T10:00:00Z", record="r", before="b", after="a", given="g"
    )
    edited = EditedCard(study="may", attempt="1", first=card, card=card, history=(entry,))
    text = export_card(edited, "python").decode()
    assert "Edit 1: 2026-05-01, A. Officer: drop bank.loan_term; reason: few '''rows" in text
    compile(text, "card.py", "exec")
