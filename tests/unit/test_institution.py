"""Institution files: what a bank, a holder and an authority need, stores, and finding the files of a study."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedrisk.errors import ConfigError, DataError
from fedrisk.institution import find_institutions, home, load_institution
from fedrisk.models import encoder as en
from fedrisk.models.trainable import TrainedModel
from fedrisk.report.words import sentence

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
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
        ("authority", 'polcy = "x"\n', 'polcy: is not a known key; did you mean "policy"?'),
        (
            "authority",
            "[policy]\nmax_epsilom = 3\n",
            '[policy] max_epsilom: is not a known key; did you mean "max_epsilon"?',
        ),
        ("authority", "[policy]\nmax_epsilon = 0\n", "[policy] max_epsilon: is 0, and must be above 0"),
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


# --- encoders -----------------------------------------------------------------------------------------------

ENCODER = """
[[encoders]]
name = "load"
months = 6
histories = { source = "../data/histories.parquet" }
series = [{ name = "kwh", unit = "kWh", low = 0, high = 10 }]
"""


@pytest.fixture
def power(write, tmp_path, fedrisk_home):
    """A holder of six enterprises, five of them with histories."""
    (tmp_path / "data").mkdir()
    rows = "".join(f"e{i},{i % 4}\n" for i in range(6))
    (tmp_path / "data" / "own.csv").write_text("id,x\n" + rows, encoding="utf-8")
    content = {"id": [f"e{i}" for i in (4, 3, 2, 1, 0)]}
    content |= {f"kwh_m{m:02d}": [float((i * m) % 7) for i in (4, 3, 2, 1, 0)] for m in range(1, 7)}
    pd.DataFrame(content).to_parquet(tmp_path / "data" / "histories.parquet")
    return load_institution(write("holder", TABLE, DICTIONARY, ENCODER))


def trained(institution, **about):
    design = en.EncoderDesign(series=1, months=6, window=3, horizon=2, hidden=4, outputs=2)
    facts = {"study": "s", "digest": "d", "mu": 0.6, "delta": 1e-6, "research": False, **about}
    institution.installed.save("load", TrainedModel(en.initial_weights(design, 1), design.to_dict(), facts))


def test_an_encoder_that_is_not_trained_adds_nothing(power):
    assert list(power.read().frame) == ["x"]
    assert power.described() == power.dictionary
    (status,) = power.installed.states()
    assert not status.trained
    assert "not trained yet: load_1 to load_2 come with" in sentence(status.finding)
    power.installed.refuse_without_privacy(research=False)


def test_a_trained_encoder_is_columns_like_any_other(power):
    before = power.read().digest
    trained(power)
    table = power.read()
    assert list(table.frame) == ["x", "load_1", "load_2"]
    assert [c.name for c in power.described().features] == ["x", "load_1", "load_2"]
    assert [c.name for c in power.dictionary.features] == ["x"]  # what is read off the table itself
    model = power.installed.load("load")
    want = en.encode(
        en.EncoderDesign.from_dict(model.design), model.weights, power.encoder_histories("load", table.ids)
    )
    assert np.array_equal(table.frame[["load_1", "load_2"]].to_numpy(), want, equal_nan=True)
    assert table.frame["load_1"].isna().tolist() == [False] * 5 + [True]  # the sixth has no history
    assert table.digest not in (before, "")
    assert power.read().digest == table.digest
    assert "trained by study s at mu 0.6" in sentence(power.installed.states()[0].finding)
    assert len(power.files) == 3


def test_histories_come_in_the_order_of_the_ids(power):
    got = power.encoder_histories("load", np.array(["E1", "none", "E3"], dtype=object))
    same = power.encoder_histories("load", np.array(["e1", "none", "e3"], dtype=object))
    got = got if not np.isnan(got[0]).all() else same
    assert np.isnan(got[1]).all()
    assert (np.diff(got[0, :, 0]) > 0).all()  # 1, 2, .. 6 on the log scale
    with pytest.raises(ConfigError, match=r"no encoder lod \(it has: load\)"):
        power.encoder_histories("lod", np.array(["e1"], dtype=object))


def test_new_weights_make_another_table(power):
    trained(power)
    first = power.read().digest
    model = power.installed.load("load")
    power.installed.save("load", TrainedModel(model.weights + 1, model.design, model.about))
    assert power.read().digest != first


def test_a_trained_encoder_belongs_to_the_bounds_it_was_trained_under(power, write):
    trained(power)
    other = load_institution(write("holder", TABLE, DICTIONARY, ENCODER.replace("high = 10", "high = 20")))
    with pytest.raises(ConfigError, match="trained for other series, bounds, months or outputs"):
        other.read()
    assert not other.installed.states()[0].trained


def test_histories_that_are_not_there_are_named(power, tmp_path):
    trained(power)
    (tmp_path / "data" / "histories.parquet").unlink()
    with pytest.raises(ConfigError, match=r"encoder load of own: .*histories\.parquet"):
        power.read()


def test_encoders_are_for_holders(write):
    with pytest.raises(ConfigError, match=r"\[\[encoders\]\] are for holders"):
        load_institution(write("bank", TABLE, DICTIONARY, LABEL, ENCODER))
    clash = ENCODER.replace('name = "load"', 'name = "x"')
    with pytest.raises(ConfigError, match="x is used twice"):
        load_institution(write("holder", TABLE, DICTIONARY, clash))


def test_templates_are_valid_and_made_for_real_data():
    templates = sorted((CONFIGS / "templates").glob("*.toml"))
    assert {load_institution(file).kind for file in templates} == {"bank", "holder"}
    for file in templates:
        policy = load_institution(file).policy
        assert (policy.research, policy.scores, policy.out_of_time) == (False, "bands", False)


def test_only_examples_on_public_data_allow_research_runs_and_say_so():
    for file in CONFIGS.rglob("*.toml"):
        text = file.read_text(encoding="utf-8")
        if "research = true" in text:
            assert "research = true  # public data" in text, file
            assert "${FEDRISK_DATA}" in text, file
