"""What members state: form, features of all roles, and what follows for labels and evaluation."""

import json

import pytest

from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.protocol.statements import (
    LabelFacts,
    Statement,
    binary_labels,
    evaluated,
    features_of_roles,
    same_labels,
    statements_from,
    trainer_rows,
    weighted,
)
from fedrisk.study import study_from
from support.studies import features, study

PLAIN = LabelFacts(horizon="a year", weighted=False, binary=True)


def columns(role):
    """The example features as if this role had them."""
    return [
        {**f, "institution": role}
        for f in json.loads(json.dumps([vars(f) for f in features()]))
        if f["institution"] == "tax"
    ]


def stated(**change):
    """Statements of two banks, the tax office and the power utility; ``change`` by member."""
    said = {
        "b0": {"role": "bank", "rows": 400, "features": columns("bank"), "label": PLAIN.model_dump()},
        "b1": {"role": "bank", "rows": 300, "features": columns("bank"), "label": PLAIN.model_dump()},
        "tax": {"role": "holder", "rows": 500, "features": columns("tax")},
        "power": {"role": "holder", "rows": 200, "features": columns("power")[:1]},
    }
    for name, values in change.items():
        said[name] = {**said[name], **values}
    return said


def test_statements_are_read_back_as_they_were_made():
    said = statements_from(stated())
    assert statements_from({n: s.model_dump(mode="json") for n, s in said.items()}) == said
    assert (said["tax"].scores, said["tax"].score_values, said["tax"].evaluation) == ("bands", 512, True)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "hub"},
        {"rows": -1},
        {"rows": "400"},
        {"rows": 400.0},
        {"rows": 1 << 40},
        {"features": {}},
        {"label": {"horizon": "a year"}},
        {"label": {**PLAIN.model_dump(), "binary": 1}},
        {"label": {**PLAIN.model_dump(), "more": 1}},
        {"scores": "all"},
        {"score_values": 15},
        {"score_values": (1 << 16) + 1},
        {"evaluation": 1},
        {"encoder": "x"},
        {"evaluation_key": "0"},
        {"policy": {}},
    ],
)
def test_a_malformed_statement_is_refused(change):
    with pytest.raises(ProtocolError, match="statement is malformed"):
        statements_from(stated(b0=change))


@pytest.mark.parametrize("said", [{"b0": None}, {"b0": []}, {"b0": {}}])
def test_something_else_than_a_statement_is_refused(said):
    with pytest.raises(ProtocolError, match="statement is malformed"):
        statements_from(said)


def test_rows_of_trainers_are_those_of_the_banks():
    assert trainer_rows(study(banks=2), statements_from(stated())) == 700


def test_a_columns_strength_is_stated_and_may_be_left_out():
    """Members of an older version state none."""
    own = columns("bank")
    assert {f["strength"] for f in own} == {None}
    old = [{k: v for k, v in f.items() if k != "strength"} for f in own]
    both = {name: {"features": old} for name in ("b0", "b1")}
    assert roles(**both) == roles()
    weak = [{**f, "strength": "weak"} for f in own]
    assert {f.strength for f in roles(b0={"features": weak}, b1={"features": weak})[:3]} == {"weak"}
    with pytest.raises(ConfigError, match="disagree on x, y, late|disagree on late, x, y"):
        roles(b0={"features": weak})
    with pytest.raises(ProtocolError, match="statement is malformed"):
        statements_from(stated(b0={"features": [{**own[0], "strength": "huge"}]}))


def roles(**change):
    return features_of_roles(study(banks=2), statements_from(stated(**change)))


def test_features_are_the_banks_once_and_then_each_holders_in_the_studys_order():
    assert [f.name for f in roles()] == [
        *("bank.x", "bank.y", "bank.late"),
        *("tax.x", "tax.y", "tax.late"),
        "power.x",
    ]


@pytest.mark.parametrize("change", ["bounds", "fewer", "order"])
def test_banks_state_the_same_columns(change):
    own = columns("bank")
    told = {"bounds": [{**own[0], "high": 9.0}, *own[1:]], "fewer": own[:2], "order": own[::-1]}[change]
    says = {
        "bounds": "disagree on x;",
        "fewer": "disagree on late;",
        "order": "disagree on the order of columns",
    }
    with pytest.raises(ConfigError, match=f"b0 and b1 {says[change]}"):
        roles(b1={"features": told})


@pytest.mark.parametrize(("member", "role"), [("tax", "bank"), ("tax", "power"), ("b0", "tax"), ("b0", "b0")])
def test_columns_of_another_role_are_refused(member, role):
    with pytest.raises(ConfigError, match=f"{member} states columns of another institution"):
        roles(**{member: {"features": columns(role)}})


@pytest.mark.parametrize("change", [{"bins": 3}, {"shiny": 1}, {"kind": None}, {"low": "x"}])
def test_malformed_features_are_refused(change):
    broken = columns("tax")
    broken[0] = {**broken[0], **change}
    with pytest.raises((ConfigError, ProtocolError)):
        roles(tax={"features": broken})


def test_a_missing_key_of_a_feature_is_refused():
    broken = columns("tax")
    del broken[0]["bins"]
    with pytest.raises(ProtocolError, match="malformed"):
        roles(tax={"features": broken})


def facts(**change):
    return {"label": {**PLAIN.model_dump(), **change}}


@pytest.mark.parametrize(
    ("change", "weighs", "binary"),
    [
        ({}, False, True),
        ({"b1": facts(weighted=True, binary=False)}, True, False),
        ({"b1": facts(binary=False)}, False, False),
        ({"b1": {"label": None}}, False, False),
        ({"tax": facts(weighted=True, binary=False)}, False, True),  # a holder's label is nobody's
    ],
)
def test_labels_are_plain_where_every_banks_are(change, weighs, binary):
    said = statements_from(stated(**change))
    assert weighted(study(banks=2), said) is weighs
    assert binary_labels(study(banks=2), said) is binary


@pytest.mark.parametrize("name", ["b0", "b1", "tax", "power"])
def test_one_member_that_lets_no_evaluation_out_is_enough(name):
    assert evaluated(study(banks=2), statements_from(stated()))
    assert not evaluated(study(banks=2), statements_from(stated(**{name: {"evaluation": False}})))


def test_an_authority_has_no_say_in_the_evaluation():
    said = statements_from({**stated(), "office": {"role": "authority", "evaluation": False}})
    assert evaluated(study(banks=2), said)


def _label(**said):
    return LabelFacts(**{"horizon": "a year", "weighted": False, "binary": True, **said})


def test_banks_of_a_study_state_its_label_and_mean_the_same_by_it():
    content = {"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1}}
    banks = [{"name": name, "role": "bank"} for name in ("a", "b")]
    asked = study_from({**content, "institutions": banks, "label": "distress"})
    plain = study_from({**content, "institutions": banks})

    def said(*labels):
        return {n: Statement(role="bank", label=label) for n, label in zip("ab", labels, strict=True)}

    one, other = _label(name="distress"), _label(name="distress", horizon="ten years")
    same_labels(asked, said(one, one))
    with pytest.raises(ConfigError, match='a and b state another horizon of label "distress"'):
        same_labels(asked, said(one, other))
    with pytest.raises(ConfigError, match='b states label "default"'):
        same_labels(asked, said(one, _label()))
    # Where a study names none, horizons are the banks' own words.
    same_labels(plain, said(_label(), _label(horizon="ten years")))
    with pytest.raises(ConfigError, match='a states label "distress"'):
        same_labels(plain, said(one, _label()))


def test_facts_of_a_label_from_before_names_keep_their_bytes():
    assert set(_label().model_dump()) == {"horizon", "selection", "weighted", "binary"}
