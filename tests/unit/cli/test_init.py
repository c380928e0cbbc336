"""``fedrisk init`` and ``fedrisk dictionary`` on the command line."""

import json
import tomllib

import pytest
import sqlalchemy

from fedrisk.institution import load_institution
from fedrisk.recipes import load_study
from support.random_tables import random_table


@pytest.fixture
def table(tmp_path):
    random_table(3).to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_files_of_all_kinds_are_toml_and_say_what_to_fill_in(fedrisk, tmp_path):
    for kind in ("bank", "holder", "authority"):
        code, out, _ = fedrisk("init", kind, f"my_{kind}")
        assert code == 0 and f"my_{kind}.toml is written" in out
        text = (tmp_path / "institutions" / f"my_{kind}.toml").read_text(encoding="utf-8")
        content = tomllib.loads(text)
        assert content["kind"] == kind
        assert ("FILL IN" in text) == (kind != "authority")
    assert load_institution(tmp_path / "institutions" / "my_authority.toml").kind == "authority"
    code, out, err = fedrisk("budget", tmp_path / "institutions" / "my_bank.toml")
    assert code != 0 and "FILL IN" in out + err


def test_a_file_that_is_there_stays_without_force(fedrisk, tmp_path, table):
    file = tmp_path / "institutions" / "a.toml"
    assert fedrisk("init", "holder", "a")[0] == 0
    before = file.read_bytes()
    for again in (("init", "holder", "a"), ("init", "bank", "a", "--table", table)):
        code, _, err = fedrisk(*again)
        assert code != 0 and "--force" in err
        assert file.read_bytes() == before
    assert fedrisk("init", "bank", "a", "--table", table, "--force")[0] == 0
    assert file.read_bytes() != before
    assert fedrisk("init", "study", "--bank", "a")[0] == 0
    code, _, err = fedrisk("init", "study", "--bank", "a")
    assert code != 0 and "study.toml is there already" in err


def test_a_study_is_valid_as_it_stands(fedrisk, tmp_path):
    arguments = [
        "--bank",
        "a=甲银行",
        "--bank",
        "b",
        "--holder",
        "tax",
        "--authority",
        "regulator",
        "--epsilon",
        "2",
    ]
    code, out, _ = fedrisk("init", "study", *arguments, "--default-rate", "0.05", "--to", "s.toml")
    assert code == 0 and "a has no file" in out
    study = load_study(tmp_path / "s.toml")
    assert (study.banks, study.holders, study.authority) == (("a", "b"), ("tax",), "regulator")
    assert study.display_names == {"a": "甲银行"}
    assert (study.privacy.epsilon, study.expected.default_rate) == (2.0, 0.05)


def test_a_study_with_a_guarantor_a_bureau_and_a_regulator(fedrisk, tmp_path):
    others = ["--guarantor", "fund", "--bureau", "scores", "--regulator", "office", "--authority", "fund"]
    code, *_ = fedrisk("init", "study", "--bank", "a", *others, "--to", "s.toml")
    assert code == 0
    study = load_study(tmp_path / "s.toml")
    assert [(m.name, m.role) for m in study.institutions] == [
        ("a", "bank"),
        ("fund", "guarantor"),
        ("scores", "bureau"),
        ("office", "regulator"),
    ]
    assert (study.holders, study.authority, study.observers) == (("fund", "scores"), "fund", ("office",))


@pytest.mark.parametrize(
    ("command", "role"), [("holder", "guarantor"), ("holder", "bureau"), ("authority", "regulator")]
)
def test_files_of_further_roles(fedrisk, tmp_path, command, role):
    code, out, _ = fedrisk("init", command, "it", "--role", role)
    text = (tmp_path / "institutions" / "it.toml").read_text()
    assert code == 0 and f'kind = "{role}"' in text and "[policy]" in text
    assert ("[dictionary]" in text) == (command == "holder")
    if command == "holder":
        assert f"fedrisk init holder --role {role} it --table" in out
    code, _, err = fedrisk("init", command, "other", "--role", "bank")
    assert code == 2 and "choose" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["study"], "needs members"),
        (["study", "--bank", "Bank A"], "no name for files"),
        (["study", "--bank", "a=x\u202ey"], "turns the text around"),
        (["study", "--bank", "a", "--epsilon", "-1"], "epsilon"),
        (["study", "--holder", "a"], "no bank"),
        (["bank", "甲银行"], "display_name"),
        (["bank", "a", "--table", "none.csv"], "no file"),
        (["bank", "a", "--table", "none.xlsx"], "source"),
    ],
)
def test_wrong_calls_write_nothing_and_say_why(fedrisk, tmp_path, arguments, says):
    code, out, err = fedrisk("init", *arguments)
    assert code != 0
    assert says in " ".join((out + err).replace("│", " ").split())
    assert not list(tmp_path.rglob("*.toml"))


def test_draft_prints_a_dictionary_alone_to_standard_output(fedrisk, table):
    code, out, err = fedrisk("dictionary", "draft", table.name)
    assert code == 0
    assert tomllib.loads(out)["dictionary"]["id"] == "uscc"
    assert "400 rows" in err and "400 rows;" not in out


def test_draft_into_an_institution_file_keeps_the_rest(fedrisk, tmp_path, table):
    fedrisk("init", "bank", "a", "--table", table.name, "--horizon", "h")
    file = tmp_path / "institutions" / "a.toml"
    file.write_text("# mine\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    fedrisk("dictionary", "confirm", file, "--all", "--by", "li.wei")
    assert "confirmed by li.wei" in file.read_text(encoding="utf-8")
    code, _, err = fedrisk("dictionary", "draft", table.name, "--institution", file)
    assert code != 0 and "--force" in err
    assert (
        fedrisk("dictionary", "draft", table.name, "--institution", file, "--force", "--horizon", "h")[0] == 0
    )
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# mine") and "drafted = true" in text
    assert tomllib.loads(text)["table"]["source"] == "../t.csv"


def test_confirm_shows_confirms_and_leaves_nothing(fedrisk, tmp_path, table):
    fedrisk("init", "bank", "a", "--table", table.name, "--horizon", "12 months")
    file = tmp_path / "institutions" / "a.toml"
    before = file.read_bytes()
    code, out, _ = fedrisk("dictionary", "confirm", file)
    assert code == 0 and file.read_bytes() == before
    left = json.loads(fedrisk("dictionary", "confirm", file, "--json")[1])
    assert all(entry["name"] in out for entry in left)
    assert fedrisk("dictionary", "confirm", file, "--column", left[0]["name"])[0] == 0
    assert len(json.loads(fedrisk("dictionary", "confirm", file, "--json")[1])) == len(left) - 1
    code, out, _ = fedrisk("dictionary", "confirm", file, "--all")
    assert code == 0 and "0 to confirm" in out
    assert load_institution(file).dictionary.label.horizon == "12 months"


@pytest.mark.parametrize("given", ["high", "=3", "1a=3"])
def test_declare_wants_keys_with_values(fedrisk, table, given):
    fedrisk("init", "holder", "a", "--table", table.name)
    code, _, err = fedrisk("dictionary", "declare", "institutions/a.toml", "x", given)
    assert code == 2 and "KEY=VALUE" in err


def test_a_database_is_drafted_and_no_password_is_written(fedrisk, tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with sqlalchemy.create_engine(url).connect() as connection:
        random_table(5).to_sql("loans", connection, index=False)
        connection.commit()
    assert (
        fedrisk("init", "bank", "a", "--table", url, "--query", "SELECT * FROM loans", "--horizon", "h")[0]
        == 0
    )
    file = tmp_path / "institutions" / "a.toml"
    assert tomllib.loads(file.read_text(encoding="utf-8"))["table"] == {
        "source": url,
        "query": "SELECT * FROM loans",
    }
    assert fedrisk("dictionary", "confirm", file, "--all")[0] == 0
    assert len(load_institution(file).read()) == 400
    code, out, err = fedrisk(
        "init", "bank", "b", "--table", "postgresql://me:geheim@host/db", "--query", "SELECT 1"
    )
    assert code != 0 and "environment variable" in err and "geheim" not in out + err
    assert not (tmp_path / "institutions" / "b.toml").exists()


def test_ids_never_show(fedrisk, tmp_path, table):
    ids = random_table(3)["uscc"]
    _, out, err = fedrisk("init", "bank", "a", "--table", table.name)
    text = (tmp_path / "institutions" / "a.toml").read_text(encoding="utf-8")
    assert not any(i in out + err + text for i in ids)
