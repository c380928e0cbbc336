"""Studies: every rule and its message, overrides from the command line, the digest."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.errors import ConfigError
from fedrisk.recipes import load_study, study_from
from fedrisk.study import Study
from fedrisk.study import study_from as generic_study_from
from fedrisk.study_file import load_study as generic_load_study
from fedrisk.study_members import BANK
from fedrisk.study_sections import Training
from fedrisk.toml_file import load_toml

PLAIN = {
    "name": "s",
    "purpose": "credit_scoring",
    "privacy": {"epsilon": 1.0},
    "institutions": [
        {"name": "b1", "role": "bank"},
        {"name": "tax", "role": "holder"},
        {"name": "power", "role": "holder"},
    ],
}


def banks(*names, **more):
    return {**PLAIN, "institutions": [{"name": n, "role": "bank"} for n in names], **more}


def message(content):
    with pytest.raises(ConfigError) as caught:
        study_from(content, where="study file x")
    text = str(caught.value)
    assert text.startswith("study file x breaks ")
    return text


def test_a_plain_study_and_its_defaults():
    study = study_from(PLAIN)
    assert study.banks == ("b1",)
    assert study.holders == ("tax", "power")
    assert study.members == ("b1", "tax", "power")
    assert study.roles == (BANK, "tax", "power")
    assert study.recipe == "scorecard"
    assert (study.privacy.delta, study.privacy.colluders) == (1e-6, 1)
    assert (study.holdout.kind, study.holdout.percent, study.holdout.seed) == ("pseudonym", 30, 0)
    assert study.role_of("tax") == "holder"


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"name": "Big Name"}, "name", "must be l"),
        ({"name": "1st"}, "name", "must be l"),
        ({"purpose": "Credit"}, "purpose", "must be l"),
        ({"recipe": "Big Forest"}, "recipe", "must be l"),
        ({"recipe": {"a": 1}}, "[recipe]", "must be a text in quotes"),
        (
            {"colour": 1},
            "colour",
            "is not a known key; remove it. Known here: name, purpose",
        ),
        (
            {"privacy": {"epsilon": 1, "coluders": 1}},
            "[privacy] coluders",
            'is not a known key; did you mean "colluders"?',
        ),
        ({"institutions": []}, "institutions", "must not be empty"),
        (
            {"institutions": [{"name": "a", "role": "spy"}]},
            '[[institutions]] "a": role',
            'is "spy", and must be one of bank, holder, guarantor, bureau, authority, regulator',
        ),
        ({"institutions": [{"name": "a"}]}, '[[institutions]] "a": role', "is missing; add it"),
        ({"privacy": {}}, "[privacy] epsilon", "is missing; add it"),
        ({"privacy": {"epsilon": 0}}, "[privacy] epsilon", "must be above 0"),
        ({"privacy": {"epsilon": -1}}, "[privacy] epsilon", "must be above 0"),
        ({"privacy": {"epsilon": math.nan}}, "[privacy] epsilon", "must be above 0"),
        ({"privacy": {"epsilon": 101}}, "[privacy]", "out of range (0, 100]: choose 0.5 to 8, or inf"),
        ({"privacy": {"epsilon": 1, "delta": 0}}, "[privacy] delta", "must be above 0"),
        ({"privacy": {"epsilon": 1, "delta": 1}}, "[privacy] delta", "must be below 1"),
        ({"privacy": {"epsilon": 1, "colluders": -1}}, "[privacy] colluders", "at least 0"),
        ({"alignment": {"epoch": "a/b"}}, "[alignment] epoch", "must be l"),
        ({"alignment": {"inclusion_probability": 0}}, "[alignment] inclusion_probability", "must be above 0"),
        ({"alignment": {"inclusion_probability": 1.1}}, "[alignment] inclusion_probability", "at most 1"),
        ({"bins": {"count": 1}}, "[bins] count", "at least 2"),
        ({"bins": {"count": 65}}, "[bins] count", "at most 64"),
        ({"bins": {"cells": 15}}, "[bins] cells", "at least 16"),
        ({"bins": {"cells": 1025}}, "[bins] cells", "at most 1024"),
        ({"holdout": {"percent": 4}}, "[holdout] percent", "at least 5"),
        ({"holdout": {"percent": 61}}, "[holdout] percent", "at most 60"),
        ({"holdout": {"seed": -1}}, "[holdout] seed", "at least 0"),
        ({"holdout": {"kind": "random"}}, "[holdout] kind", "one of pseudonym, out_of_time"),
        ({"holdout": {"kind": "out_of_time"}}, "[holdout]", "give both or neither"),
        ({"holdout": {"from_date": "2025-01-01"}}, "[holdout]", "give both or neither"),
        ({"evaluation": {"bins": 3}}, "[evaluation] bins", "at least 4"),
        ({"evaluation": {"bins": 101}}, "[evaluation] bins", "at most 100"),
        ({"expected": {"default_rate": 1}}, "[expected] default_rate", "must be below 1"),
        ({"expected": {"enterprises": 0}}, "[expected] enterprises", "must be above 0"),
        ({"windows": {"as_of": "soon"}}, "[windows] as_of", "must be a date"),
        (
            {"windows": {"as_of": "2025-06-01", "outcome_end": "2025-01-01"}},
            "[windows]",
            "observation_start <= as_of <= outcome_end is required; put them in order",
        ),
        (
            {"windows": {"as_of": "2025-06-01", "observation_start": "2025-07-01"}},
            "[windows]",
            "put them in order",
        ),
    ],
)
def test_each_rule_names_its_key_and_what_is_wanted(change, key, says):
    text = message({**PLAIN, **change})
    lines = [line for line in text.splitlines()[1:] if line.strip().startswith(f"{key}:")]
    assert lines, text
    assert says in lines[0]
    assert "http" not in text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (banks("b1", "b1"), "b1 is listed more than once; names are unique"),
        ({**PLAIN, "institutions": [{"name": "t", "role": "holder"}]}, "no bank"),
        (
            {**PLAIN, "institutions": [*PLAIN["institutions"], {"name": "bank", "role": "holder"}]},
            'the name "bank" is reserved',
        ),
        (banks("bank", "b2"), 'with several banks none may be called "bank"; rename it'),
        ({**PLAIN, "alignment": {"authority": "nobody"}}, "nobody is not among the institutions; add it"),
        (
            {
                **PLAIN,
                "institutions": [
                    *PLAIN["institutions"],
                    {"name": "r1", "role": "authority"},
                    {"name": "r2", "role": "authority"},
                ],
            },
            "more than one authority",
        ),
    ],
)
def test_rules_about_the_whole(content, says):
    assert says in message(content)


def test_an_unknown_recipe_is_refused_with_those_there_are():
    with pytest.raises(
        ConfigError,
        match=r"^recipe forest is unknown; this version has scorecard, network, encoder, statistics$",
    ):
        study_from({**PLAIN, "recipe": "forest"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scorecard": {"gram_rows": 10}}, "gram_rows: is 10, and must be at least 1000"),
        ({"scorecard": {"kind": "mlp"}}, "kind: is not a known key"),
        (
            {"network": {"kind": "mlp"}},
            r'\[network\]: is no section of a study with recipe = "scorecard"; remove it, or name its recipe',
        ),
        (
            {"training": {"steps": 3}},
            r"\[training\] is for recipes that train a model and this one is scorecard",
        ),
        ({"recipe": "network"}, "a network takes holders only for the external score of an earlier study"),
    ],
)
def test_rules_of_the_recipe(change, says):
    with pytest.raises(ConfigError, match=says) as caught:
        study_from({**PLAIN, **change}, where="study file x")
    assert str(caught.value).startswith("study file x")


def test_the_generic_half_leaves_the_recipes_section_as_it_is():
    loose = {**PLAIN, "scorecard": {"gram_rows": 5000}}
    assert generic_study_from(loose).settings == {"gram_rows": 5000} == study_from(loose).settings
    assert generic_study_from(PLAIN).settings == {}
    assert study_from(PLAIN).settings == {"gram_rows": 200_000}
    with pytest.raises(ConfigError, match="are the same; give one of them"):
        generic_study_from({**loose, "settings": {}})


def test_a_single_bank_may_be_called_bank():
    assert study_from(banks("bank")).roles == (BANK,)


def test_all_broken_rules_are_listed():
    text = message({**PLAIN, "name": "X", "privacy": {"epsilon": -1}, "bins": {"count": 1}})
    assert text.startswith("study file x breaks 3 rule(s):")


def test_infinite_epsilon_is_an_explicit_choice_and_survives_a_message():
    study = study_from({**PLAIN, "privacy": {"epsilon": math.inf}})
    sent = json.loads(json.dumps(study.model_dump(mode="json")))
    assert study_from(sent) == study
    assert study_from(sent).digest() == study.digest()
    assert study_from(sent).privacy.epsilon == math.inf


@pytest.mark.parametrize(
    ("change", "authority"),
    [
        ({}, "tax"),  # the first holder
        ({"alignment": {"authority": "power"}}, "power"),
        ({"alignment": {"authority": "b1"}}, "b1"),
        ({"institutions": [*PLAIN["institutions"], {"name": "reg", "role": "authority"}]}, "reg"),
        ({"institutions": [{"name": "b2", "role": "bank"}, {"name": "b1", "role": "bank"}]}, "b2"),
    ],
)
def test_who_keeps_the_key(change, authority):
    assert study_from({**PLAIN, **change}).authority == authority


def test_the_inclusion_probability():
    assert study_from(PLAIN).inclusion_probability == 1.0
    assert study_from(banks("a", "b")).inclusion_probability == 0.8
    assert study_from(banks("a", "b", alignment={"inclusion_probability": 1.0})).inclusion_probability == 1.0
    assert study_from({**PLAIN, "alignment": {"inclusion_probability": 0.5}}).inclusion_probability == 0.5


def test_role_of_a_stranger():
    with pytest.raises(ConfigError, match="institution nobody is not part of study s; add it"):
        study_from(PLAIN).role_of("nobody")


def test_a_study_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="frozen"):
        study_from(PLAIN).name = "other"


# --- digest -------------------------------------------------------------------------------------------------


def test_the_digest_is_that_of_the_canonical_text():
    """A fixed study has a fixed digest: a change of it breaks agreements between versions."""
    study = study_from(banks("b1"))
    assert json.loads(study.canonical())["institutions"] == [
        {"name": "b1", "role": "bank", "optional": False}
    ]
    assert study.canonical() == json.dumps(
        json.loads(study.canonical()), sort_keys=True, separators=(",", ":")
    )
    assert len(study.digest()) == 64
    assert study.digest() == study_from(json.loads(study.canonical())).digest()


def test_the_order_of_keys_and_explicit_defaults_do_not_matter():
    back = dict(reversed(PLAIN.items()))
    explicit = {**PLAIN, "recipe": "scorecard", "holdout": {"percent": 30}, "privacy": {"epsilon": 1}}
    assert study_from(back).digest() == study_from(PLAIN).digest() == study_from(explicit).digest()


CHANGES = [
    {"name": "t"},
    {"purpose": "research"},
    {"privacy": {"epsilon": 1.5}},
    {"privacy": {"epsilon": math.inf}},
    {"privacy": {"epsilon": 1.0, "delta": 1e-7}},
    {"privacy": {"epsilon": 1.0, "colluders": 2}},
    {"alignment": {"authority": "power"}},
    {"alignment": {"epoch": "2"}},
    {"alignment": {"inclusion_probability": 0.9}},
    {"bins": {"count": 8}},
    {"bins": {"cells": 128}},
    {"holdout": {"percent": 20}},
    {"holdout": {"seed": 1}},
    {"evaluation": {"by_bank": True}},
    {"evaluation": {"bins": 10}},
    {"expected": {"enterprises": 5}},
    {"windows": {"as_of": "2025-01-01"}},
    {"institutions": PLAIN["institutions"][::-1]},
]


def test_different_studies_have_different_digests():
    digests = [study_from({**PLAIN, **change}).digest() for change in [{}, *CHANGES]]
    assert len(set(digests)) == len(digests)


@settings(max_examples=60)
@given(
    st.floats(1e-6, 100),
    st.floats(1e-12, 0.99),
    st.integers(0, 5),
    st.integers(5, 60),
    st.one_of(st.none(), st.floats(0.01, 1)),
)
def test_a_study_survives_json(epsilon, delta, colluders, percent, inclusion):
    study = study_from(
        {
            **PLAIN,
            "privacy": {"epsilon": epsilon, "delta": delta, "colluders": colluders},
            "holdout": {"percent": percent},
            "alignment": {"inclusion_probability": inclusion},
        }
    )
    again = study_from(json.loads(study.canonical()))
    assert again == study
    assert again.digest() == study.digest()


# --- files and overrides ------------------------------------------------------------------------------------

TOML = """\
name = "s"
purpose = "credit_scoring"
institutions = [{ name = "b1", role = "bank" }, { name = "b2", role = "bank" }]

[privacy]
epsilon = 1.0
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(TOML, encoding="utf-8")
    return path


def test_a_file_is_read(file):
    assert load_study(file) == load_study(str(file)) == study_from(banks("b1", "b2"))
    assert generic_load_study(file) == Study.model_validate(banks("b1", "b2"))


@pytest.mark.parametrize(
    ("override", "get", "value"),
    [
        ("privacy.epsilon=3", lambda s: s.privacy.epsilon, 3.0),
        ("privacy.epsilon = 2.5", lambda s: s.privacy.epsilon, 2.5),
        ("privacy.epsilon=inf", lambda s: s.privacy.epsilon, math.inf),
        ("purpose=marketing", lambda s: s.purpose, "marketing"),
        ('purpose="marketing"', lambda s: s.purpose, "marketing"),
        ("alignment.authority=b2", lambda s: s.authority, "b2"),
        ("evaluation.by_bank=true", lambda s: s.evaluation.by_bank, True),
        ("windows.as_of=2025-01-31", lambda s: str(s.windows.as_of), "2025-01-31"),
        ("institutions=[{name='x', role='bank'}]", lambda s: s.banks, ("x",)),
        ("holdout={percent=20}", lambda s: s.holdout.percent, 20),
    ],
)
def test_overrides(file, override, get, value):
    assert get(load_study(file, [override])) == value


def test_later_overrides_win_and_the_rest_stays(file):
    study = load_study(file, ["privacy.epsilon=3", "privacy.delta=1e-7", "privacy.epsilon=2"])
    assert (study.privacy.epsilon, study.privacy.delta) == (2.0, 1e-7)


@pytest.mark.parametrize(
    "bad", ["privacy.epsilon", "", "=3", ".epsilon=3", "privacy.=3", "privacy..epsilon=1"]
)
def test_overrides_of_another_form_are_refused(file, bad):
    with pytest.raises(
        ConfigError, match=r"is not of the form key\.sub=value; for example privacy\.epsilon=3"
    ):
        load_study(file, [bad])


@pytest.mark.parametrize("bad", ["name.part=3", "institutions.0.name=x"])
def test_parts_of_what_is_no_table_cannot_be_set(file, bad):
    with pytest.raises(ConfigError, match="is not a table"):
        load_study(file, [bad])


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("privacy.epsilon=high", r'\[privacy\] epsilon: is "high", and must be a number'),
        ("privacy.epsilon=", r"\[privacy\] epsilon: .*must be a number"),
        ("privacy.epsilom=3", r'\[privacy\] epsilom: is not a known key; did you mean "epsilon"'),
    ],
)
def test_overrides_pass_the_same_checks(file, override, says):
    with pytest.raises(ConfigError, match=says):
        load_study(file, [override])


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"study .*none\.toml does not exist; check the path"):
        load_study(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("name = ?\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bad\.toml is not valid TOML: .*line 1"):
        load_study(tmp_path / "bad.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(ConfigError, match=r"latin\.toml is in WINDOWS-1252, not UTF-8 \(line 1\)"):
        load_study(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="institution file .* is a folder; name the file in it"):
        load_toml(tmp_path, what="institution file")


@pytest.mark.parametrize("rate", [1e30, 1000.1, 0.0, -3.0, math.inf, math.nan])
def test_a_learning_rate_at_which_nothing_is_learnt_is_refused_in_words(rate):
    with pytest.raises(ConfigError, match=r"learning_rate = .* is out of range \(0, 1000\].*Leave it out"):
        Training(learning_rate=rate)


def test_a_pull_without_end_is_refused():
    with pytest.raises(ConfigError, match="training.proximal must be finite"):
        Training(mode="silo", proximal=math.inf)
    assert Training(mode="silo", proximal=1e9, learning_rate=1000.0).proximal == 1e9


def test_deadlines_by_action_leave_the_digest_of_studies_without_them():
    plain = {
        "name": "s",
        "purpose": "credit_scoring",
        "privacy": {"epsilon": 1},
        "institutions": [{"name": "b1", "role": "bank"}],
    }
    study = study_from(plain)
    assert "deadlines" not in study.model_dump(mode="json")
    assert study.digest() == study_from({**plain, "deadlines": {}}).digest()
    assert (study.deadline("release"), study.deadline("pseudonyms")) == (600, 3600)
    own = study_from({**plain, "deadlines": {"release": 30, "other": 60}})
    assert [own.deadline(a) for a in ("release", "mask", "pseudonyms")] == [30, 60, 60]
    assert own.digest() != study.digest() and study_from(own.model_dump(mode="json")) == own
    with pytest.raises(ConfigError, match=r"deadlines\.relaese is of no action of recipe scorecard"):
        study_from({**plain, "deadlines": {"relaese": 30}})
    with pytest.raises(ConfigError, match="deadlines"):
        study_from({**plain, "deadlines": {"release": 0}})
