import pandas as pd
import pytest

import fedrisk
from fedrisk.clients.node import Node
from fedrisk.engine.given import Given
from fedrisk.errors import ConfigError, DataError
from fedrisk.recipes import load_study

COLUMN = {"name": "x", "kind": "number", "meaning": "x", "low": 0, "high": 4, "bins": [1, 2]}
DICTIONARY = {"id": "id", "id_scheme": "opaque", "columns": [COLUMN]}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def bank(**changed):
    frame = pd.DataFrame({"id": ["a", "b", "c"], "x": [0.5, None, 3.0], "bad": [0, 1, 0]})
    label = {"column": "bad", "positive": [1], "negative": [0], "horizon": "12 months"}
    made = {"name": "alfa", "kind": "bank", "table": frame, "dictionary": {**DICTIONARY, "label": label}}
    return fedrisk.Institution(**{**made, **changed})


def study(**changed):
    made = {"name": "small", "purpose": "credit_scoring", "privacy": {"epsilon": 2}, "institutions": [bank()]}
    return fedrisk.Study(**{**made, **changed})


def test_a_study_made_in_code_is_that_of_its_file(tmp_path):
    made = study(holdout={"percent": 20}, scorecard={"gram_rows": 100_000})
    read = load_study(made.save(tmp_path / "study.toml"))
    assert read.digest() == made.digest()
    assert isinstance(read, fedrisk.Study)
    assert study().digest() == study(institutions={"alfa": "bank"}).digest()


def test_what_a_study_breaks_is_said_as_of_a_file():
    with pytest.raises(ConfigError, match=r'epsilom: is not a known key; did you mean "epsilon"'):
        study(privacy={"epsilom": 1})
    with pytest.raises(ConfigError, match=r"section \[scorecard\]"):
        study(scorecard={"gram_row": 1})
    with pytest.raises(ConfigError, match="column breaks 1 rule"):
        fedrisk.Column(name="x", kind="number", meaning="x", low=2, high=1)


def test_an_institution_with_a_frame_reads_and_saves_it(tmp_path):
    made = bank()
    table = made.read()
    assert table.frame["x"].tolist()[0] == 0.5 and table.label.tolist() == [0, 1, 0]
    read = fedrisk.load_institution(made.save(tmp_path / "institutions"))
    assert read.read().digest == table.digest
    assert read.dictionary == made.dictionary
    assert (tmp_path / "institutions" / "alfa.parquet").stat().st_mode & 0o077 == 0


def test_a_file_that_moves_keeps_its_table(tmp_path):
    read = fedrisk.load_institution(bank().save(tmp_path / "one"))
    assert read.as_file == tmp_path / "one" / "alfa.toml"
    moved = fedrisk.load_institution(read.save(tmp_path / "two"))
    assert moved.read().digest == read.read().digest
    assert read.model_copy(update={"store": "elsewhere"}).as_file is None


def test_a_column_that_no_file_can_hold_is_named_and_its_values_are_not():
    frame = pd.DataFrame({"id": ["a", "b"], "x": [1.0, "secret"], "bad": [0, 1]})
    with pytest.raises(DataError, match="column x has values of several kinds") as error:
        bank(table=frame).read()
    assert "secret" not in str(error.value)


def test_institutions_of_a_study_made_in_code(home, tmp_path):
    given = Given.of(study())
    paths = given.paths([bank()])
    assert paths == {"alfa": home / "in_code" / "institutions" / "alfa.toml"}
    assert load_study(home / "in_code" / "small" / "study.toml").digest() == given.study.digest()
    file = bank().save(tmp_path)
    assert (
        given.paths({"alfa": file}) == given.paths({"alfa": fedrisk.load_institution(file)}) == {"alfa": file}
    )
    assert given.paths(tmp_path) == {"alfa": file}


def test_an_institution_has_one_store_and_ledger_in_all_studies_that_are_made_in_code(home):
    stores = []
    for name in ("first", "second"):
        node = Node.open(Given.of(study(name=name)).paths([bank()])["alfa"])
        assert node.ledger.entries() == ()
        stores.append(node.store.path)
    assert stores == [home / "institutions" / "alfa"] * 2


def test_an_institution_that_is_changed_in_code_keeps_its_store(tmp_path):
    """Its paths begin at its file; from another folder the ledger would be a new one."""
    file = bank().save(tmp_path / "one")
    file.write_text('store = "own"\ndecisions = "table.csv"\n' + file.read_text())
    read = fedrisk.load_institution(file)
    changed = read.model_copy(update={"policy": fedrisk.Policy(purposes=("other",))})
    moved = fedrisk.load_institution(Given.of(study()).paths([changed])["alfa"])
    assert moved.store_path == read.store_path == tmp_path / "one" / "own"
    assert moved.decisions_path == tmp_path / "one" / "table.csv"
    assert moved.read().digest == read.read().digest


@pytest.mark.parametrize(
    ("institutions", "said"),
    [
        (None, "no folder beside it"),
        ([], "no institution is given for alfa"),
        ([bank, bank], "given more than once"),
        ({"beta": bank}, "no institution is given for alfa"),
        (["alfa.toml"], "as a dictionary"),
    ],
)
def test_institutions_that_do_not_fit_are_named(institutions, said):
    if isinstance(institutions, dict):
        institutions = {name: make() for name, make in institutions.items()}
    elif institutions is not None:
        institutions = [each() if callable(each) else each for each in institutions]
    with pytest.raises(ConfigError, match=said):
        Given.of(study()).paths(institutions)


def test_check_takes_objects():
    found = fedrisk.check(study(), institutions=[bank()])
    assert found.content.digest() == study().digest()
    assert [line.name for line in found.institutions] == ["alfa"]
    assert fedrisk.check(study(), alone=bank()).alone


def test_overrides_are_for_files():
    with pytest.raises(ConfigError, match="overrides are for study files"):
        fedrisk.check(study(), ["privacy.epsilon=3"], institutions=[bank()])
