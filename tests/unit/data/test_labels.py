"""Several labels in one dictionary: which is read, what others see, what is refused, and what stays as it was."""

import pytest

from fedrisk.data.dictionary import load_dictionary
from fedrisk.data.dictionary_file import confirmed, declared, entries
from fedrisk.data.source import TableSource
from fedrisk.data.table import read_table
from fedrisk.errors import ConfigError
from fedrisk.institution import Institution
from fedrisk.toml_file import toml_text

COLUMN = {"name": "debt", "kind": "number", "meaning": "m", "low": 0, "high": 9}
DEFAULT = {"column": "bad", "positive": [1], "negative": [0], "horizon": "a year"}
DISTRESS = {**DEFAULT, "name": "distress", "column": "trouble", "horizon": "now", "meaning": "in distress"}
ONE = {"id": "id", "id_scheme": "opaque", "columns": [COLUMN], "label": DEFAULT}
TWO = {**ONE, "labels": [DISTRESS]}
TABLE = "id,debt,bad,trouble\na,1,0,1\nb,2,1,0\nc,3,0,0\n"


def test_the_first_label_is_the_one_that_is_read():
    two = load_dictionary(TWO)
    assert [label.name for label in two.labels] == ["default", "distress"]
    assert two.label.column == "bad" and two.with_label("default") == load_dictionary(ONE)
    listed = load_dictionary({k: v for k, v in TWO.items() if k != "label"})
    assert listed.label.name == "distress" and listed.labels == (listed.label,)


def test_a_dictionary_of_one_label_keeps_its_bytes():
    one = load_dictionary(ONE)
    assert not {"name", "meaning", "meaning_zh"} & one.model_dump()["label"].keys()
    assert "further_labels" not in one.model_dump() and "labels" not in one.public()
    assert one.public()["label"].keys() == {"horizon", "selection", "weighted"}
    assert (
        one.public_digest()
        == load_dictionary({**ONE, "label": {**DEFAULT, "name": "default"}}).public_digest()
    )


def test_with_label_leaves_one_and_the_table_has_that(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    source = TableSource(source="t.csv")
    for name, expected in (("default", [0, 1, 0]), ("distress", [1, 0, 0])):
        narrowed = load_dictionary(TWO).with_label(name)
        assert len(narrowed.labels) == 1
        assert read_table(source, narrowed, base=tmp_path).label.tolist() == expected


def test_public_facts_hold_no_column_and_no_code():
    said = load_dictionary(TWO).public()["labels"]
    assert said == [
        {"name": "distress", "meaning": "in distress", "horizon": "now", "weighted": False}
        | {"selection": "labels exist for approved borrowers only"}
    ]


@pytest.mark.parametrize(
    "content", [ONE, TWO, {**TWO, "label": None}, {**ONE, "label": None, "labels": [DISTRESS]}]
)
def test_a_dictionary_that_is_written_reads_the_same(content):
    made = load_dictionary({k: v for k, v in content.items() if v is not None})
    for d in (made, *(made.with_label(label.name) for label in made.labels)):
        assert load_dictionary(d.stated()) == d
        assert type(d).model_validate(d.model_dump()) == d


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": [{**DISTRESS, "name": "default"}]}, 'labels: the name "default" is used 2 times'),
        ({"labels": [DISTRESS, DISTRESS]}, 'the name "distress" is used 2 times'),
        (
            {"labels": [{**DISTRESS, "column": "debt"}]},
            'reads the label "distress" as a feature, which leaks it',
        ),
        (
            {"labels": [{**DISTRESS, "positive": []}]},
            'label "distress": positive and negative are given together',
        ),
        ({"labels": [{**DISTRESS, "horizon": "FILL IN"}]}, 'label "distress": horizon says "FILL IN"'),
        ({"labels": [{**DISTRESS, "drafted": True}]}, 'confirmed by nobody \\(the label "distress"\\)'),
        ({"labels": [{**DISTRESS, "name": "In distress"}]}, 'label "In distress": name'),
    ],
)
def test_problems_name_the_label(changes, said):
    with pytest.raises(ConfigError, match=said):
        load_dictionary({**ONE, **changes})


def test_a_label_that_is_not_there_names_those_that_are():
    with pytest.raises(ConfigError, match=r'no label "late" \(it has: default, distress\)'):
        load_dictionary(TWO).with_label("late")


def bank(**dictionary):
    content = {"name": "b", "kind": "bank", "table": {"source": "t.csv"}, "dictionary": dictionary}
    return Institution.model_validate(content)


def test_an_institution_is_narrowed_to_the_study_s_label():
    two = bank(**TWO)
    assert (
        two.about(None).dictionary.labels
        == two.about("default").dictionary.labels
        == two.dictionary.labels[:1]
    )
    assert two.about("distress").dictionary.label.column == "trouble"
    one = bank(**ONE)
    assert one.about(None) is one
    with pytest.raises(ConfigError, match='^b: the dictionary has no label "late"'):
        two.about("late")


def test_labels_are_declared_and_confirmed_in_a_file():
    text = toml_text({"dictionary": {**TWO, "labels": [{**DISTRESS, "drafted": True}]}})
    assert [e.name for e in entries(text)] == ["debt", "label", "distress"]
    who = {"by": "me", "day": "2026-01-01"}
    assert not any(e.drafted for e in entries(confirmed(text, None, **who)))
    changed = declared(text, "distress", {"horizon": "within 6 months"}, **who)
    assert entries(changed)[-1].settings["horizon"] == "within 6 months"
    assert entries(changed)[1].settings["horizon"] == "a year"
