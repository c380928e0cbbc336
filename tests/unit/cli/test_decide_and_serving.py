"""``fedrisk decide`` and ``fedrisk policy serving``: what people read, for programs, and exit codes."""

import json
from pathlib import Path

import pytest

import fedrisk as package
from support.serving import Consortium

CONFIGS = Path(package.__file__).parents[1] / "configs"
TABLE = CONFIGS / "decisions.toml"
KEY = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"


def test_the_table_as_people_read_it(fedrisk):
    code, out, err = fedrisk("decide", "check", TABLE, "--institution", CONFIGS / "templates" / "bank.toml")
    assert (code, err) == (0, "")
    row = next(line for line in out.splitlines() if line.startswith("C"))
    # .018 + .009 + 2 x .45 x (1 - .95^.5) + .014 at six months
    assert row.split() == [
        "C",
        "2.5",
        "to",
        "5",
        "%",
        "accept",
        "1,000,000",
        "20",
        "%",
        "1.40",
        "%",
        "5.24",
        "%",
        "6.38",
        "%",
    ]
    assert "Nothing is decided by it." in out


def test_columns_without_words(fedrisk, tmp_path):
    cut = TABLE.read_text(encoding="utf-8").replace("days_late = ", "days_late_ = ")
    (tmp_path / "table.toml").write_text(cut, encoding="utf-8")
    code, _, err = fedrisk(
        "decide", "check", tmp_path / "table.toml", "--institution", CONFIGS / "templates" / "bank.toml"
    )
    assert code == 1
    assert "no words for days_late;" in err


def test_a_broken_table(fedrisk, tmp_path):
    (tmp_path / "table.toml").write_text(
        TABLE.read_text(encoding="utf-8").replace("cap = 0.1240", "cap = 0.04")
    )
    code, out, err = fedrisk("decide", "check", tmp_path / "table.toml")
    assert (code, out) == (3, "")
    assert "the rate would be below cost" in " ".join(err.split())


def test_a_case_by_hand(fedrisk):
    """.018 + .009 + .03 x .45 + .014 - .003; a fifth of four millions."""
    arguments = (
        "--product",
        "working_capital",
        "--probability",
        "0.03",
        "--months",
        "12",
        "--turnover",
        "4e6",
    )
    code, out, _ = fedrisk(
        "decide", "try", TABLE, *arguments, "--green", "--amount", "900000", "--reason", "limit_used"
    )
    assert code == 0
    assert "REFER: working_capital, grade C, 12 months" in out
    assert "limit: 800,000 CNY" in out
    assert (
        "rate: 5.15 % a year = funding 1.80 % + operating 0.90 % + expected_loss 1.35 % + margin 1.40 % - green 0.30 %"
        in out
    )
    assert "2. high use of existing credit limits" in out
    code, out, _ = fedrisk("decide", "try", TABLE, *arguments, "--json")
    found = json.loads(out)
    assert (found["decision"], found["limit"], found["rate"]) == ("accept", 800_000, 0.0545)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--product", "working_capitol"), 3, 'did you mean "working_capital"'),
        (("--product", "equipment", "--probability", "1.5"), 4, "probability"),
        (("--product", "equipment", "--measure", "owed"), 2, "NAME=VALUE"),
    ],
)
def test_cases_that_cannot_be(fedrisk, arguments, code, says):
    found, _, err = fedrisk("decide", "try", TABLE, *arguments)
    assert found == code
    assert says in err


def holder(folder, serving):
    text = (CONFIGS / "templates" / "holder.toml").read_text(encoding="utf-8")
    file = folder / "tax.toml"
    file.write_text(text.replace("[dictionary]", f"{serving}\n[dictionary]", 1), encoding="utf-8")
    return file


def test_serving_rules_in_words(fedrisk, tmp_path):
    file = holder(
        tmp_path,
        f'[policy.serving]\nregisters = [{{ name = "consents", key = "{KEY}", until = 2999-12-31 }}]',
    )
    code, out, _ = fedrisk("policy", "serving", file)
    assert code == 0
    assert f"consents: key {KEY} (kid kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k), until 2999-12-31" in out
    code, out, _ = fedrisk("policy", "serving", file, "--json")
    assert json.loads(out)["serving"]["registers"][0]["kid"].startswith("kPrK")


def test_a_holder_that_would_refuse_every_question_is_told(fedrisk, tmp_path):
    code, out, _ = fedrisk("policy", "serving", holder(tmp_path, ""))
    assert code == 1
    assert "no register is pinned: every question about scores would be refused" in out
    code, out, _ = fedrisk("policy", "serving", holder(tmp_path, '[policy.serving]\nconsent = "none"'))
    assert code == 0
    assert "NONE IS ASKED FOR" in out


def test_a_check_of_a_study_tells_it(fedrisk, consortium):
    """Only where the institution's file says something of serving: others have not come to that yet."""
    file = consortium.paths["tax"]
    asked = ("check", consortium.study_file, "--institution", file)
    assert "answer nothing" not in "".join(fedrisk(*asked)[1:])
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace("[dictionary]", "[policy.serving]\nmodels = 1\n\n[dictionary]", 1), encoding="utf-8"
    )
    told = " ".join("".join(fedrisk(*asked)[1:]).split())
    assert "models would be approved here and answer nothing: policy.serving.consent is" in told


def test_who_approves_a_model_is_told_it(fedrisk, tmp_path):
    made = Consortium(tmp_path / "c", serving={"consent": '"token"'})
    code, out, _ = fedrisk("model", "show", made.paths["tax"], "0123")
    assert code == 0
    assert "consent: a token of a pinned register, valid for at most 366 days" in out
    assert "no register is pinned: every question about scores would be refused" in out
    made.write("tax", (0.0,), consent='"none"')
    _, out, _ = fedrisk("model", "show", made.paths["tax"], "0123")
    assert "consent: NONE IS ASKED FOR" in out
    assert "would be refused" not in out
