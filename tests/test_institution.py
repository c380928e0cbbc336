"""Institution files: what a bank, a holder and an authority need, stores, and finding the files of a study."""

from pathlib import Path

import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.institution import find_institutions, home, load_institution

DICTIONARY = """
[dictionary]
id = "id"
id_scheme = "opaque"

[[dictionary.columns]]
name = "x"
kind = "number"
meaning = "a number"
low = 0.0
high = 4.0
bins = [1.0, 2.0]
"""
LABEL = """
[dictionary.label]
column = "bad"
positive = [1]
negative = [0]
horizon = "a year"
selection = "borrowers only"
"""
TABLE = """
[table]
source = "../data/own.csv"
"""
HEAD = 'name = "own"\nkind = "{kind}"\n{more}'


@pytest.fixture
def write(tmp_path):
    def file(kind, *parts, more="", name="own"):
        folder = tmp_path / "institutions"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.toml"
        path.write_text(HEAD.format(kind=kind, more=more) + "".join(parts), encoding="utf-8")
        return path

    return file


def test_a_bank_is_read(write):
    bank = load_institution(write("bank", TABLE, DICTIONARY, LABEL))
    assert (bank.name, bank.kind) == ("own", "bank")
    assert bank.folder.name == "institutions"
    assert bank.folder.is_absolute()
    assert bank.policy.research is False  # nothing is allowed that the file does not say


def test_its_table_is_found_from_the_folder_of_the_file(write, tmp_path, monkeypatch):
    bank = load_institution(write("bank", TABLE, DICTIONARY, LABEL))
    (tmp_path / "data").mkdir()
    rows = "".join(f"e{i},{i % 4},{i % 2}\n" for i in range(12))
    (tmp_path / "data" / "own.csv").write_text("id,x,bad\n" + rows, encoding="utf-8")
    monkeypatch.chdir("/")
    table = bank.read()
    assert len(table) == 12
    assert table.label.tolist() == [i % 2 for i in range(12)]


def test_a_missing_table_file_is_named(write):
    with pytest.raises((ConfigError, DataError), match=r"own\.csv"):
        load_institution(write("bank", TABLE, DICTIONARY, LABEL)).read()


@pytest.mark.parametrize("kind", ["bank", "holder"])
@pytest.mark.parametrize("parts", [(), (TABLE,), (DICTIONARY, LABEL)])
def test_a_bank_or_holder_needs_table_and_dictionary(write, kind, parts):
    with pytest.raises(ConfigError, match=rf"a {kind} needs \[table\] and \[dictionary\]; only an authority"):
        load_institution(write(kind, *parts))


def test_a_bank_needs_a_label(write):
    with pytest.raises(ConfigError, match=r"a bank needs \[dictionary\.label\]"):
        load_institution(write("bank", TABLE, DICTIONARY))


def test_a_holder_needs_none(write):
    assert load_institution(write("holder", TABLE, DICTIONARY)).dictionary.label is None


def test_an_authority_needs_nothing_and_has_no_table_to_read(write):
    authority = load_institution(write("authority"))
    with pytest.raises(ConfigError, match="institution own is an authority and has no table to read"):
        authority.read()


@pytest.mark.parametrize(
    ("kind", "more", "says"),
    [
        ("spy", "", "kind: "),
        ("authority", 'polcy = "x"\n', "polcy: unknown key; look for a misspelling or remove it"),
        ("authority", "[policy]\nmax_epsilom = 3\n", "policy.max_epsilom: unknown key"),
        ("authority", "[policy]\nmax_epsilon = 0\n", "policy.max_epsilon: Input should be greater than 0"),
    ],
)
def test_broken_rules_name_file_and_key(write, kind, more, says):
    path = write(kind, more=more)
    with pytest.raises(ConfigError) as caught:
        load_institution(path)
    assert f"institution file {path} breaks 1 rule(s)" in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"institution file .*none\.toml does not exist"):
        load_institution(tmp_path / "none.toml")


# --- stores -------------------------------------------------------------------------------------------------


def test_the_store_is_below_the_home_folder(write, fedrisk_home):
    assert load_institution(write("authority")).store_path == fedrisk_home / "institutions" / "own"


def test_the_home_folder_by_default(monkeypatch):
    monkeypatch.delenv("FEDRISK_HOME", raising=False)
    assert home() == Path.home() / ".fedrisk"
    monkeypatch.setenv("FEDRISK_HOME", "")  # empty is not set: never the root of a disk
    assert home() == Path.home() / ".fedrisk"


def test_a_store_of_its_own_may_name_environment_variables(write, tmp_path, monkeypatch):
    monkeypatch.setenv("OWN_STORE", str(tmp_path / "vault"))
    assert load_institution(write("authority", more='store = "${OWN_STORE}/a"\n')).store_path == (
        tmp_path / "vault" / "a"
    )


def test_a_relative_store_is_beside_the_file(write, tmp_path):
    store = load_institution(write("authority", more='store = "store"\n')).store_path
    assert store == tmp_path / "institutions" / "store"


def test_a_table_may_name_environment_variables(write, tmp_path, monkeypatch):
    (tmp_path / "elsewhere.csv").write_text("id,x\n" + "".join(f"e{i},1\n" for i in range(5)))
    table = '\n[table]\nsource = "${OWN_DATA}/elsewhere.csv"\n'
    holder = load_institution(write("holder", table, DICTIONARY))
    monkeypatch.delenv("OWN_DATA", raising=False)
    with pytest.raises(ConfigError, match="OWN_DATA"):
        holder.read()
    monkeypatch.setenv("OWN_DATA", str(tmp_path))
    assert len(holder.read()) == 5


# --- files of a study ---------------------------------------------------------------------------------------


def test_files_are_found_beside_the_study(write, tmp_path):
    path = write("authority")
    assert find_institutions(tmp_path / "study.toml", ("own",)) == {"own": path}
    assert find_institutions(Path("/elsewhere/study.toml"), ("own",), path.parent) == {"own": path}


def test_missing_files_are_all_named_with_the_folder(write, tmp_path):
    write("authority")
    with pytest.raises(ConfigError) as caught:
        find_institutions(tmp_path / "study.toml", ("own", "tax", "power"))
    text = str(caught.value)
    assert "no institution file for tax, power in" in text
    assert str(tmp_path / "institutions") in text
    assert "--institutions" in text


def test_a_folder_of_that_name_is_no_file(tmp_path):
    (tmp_path / "institutions" / "own.toml").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no institution file for own"):
        find_institutions(tmp_path / "study.toml", ("own",))
