"""What a study may choose, how it is stated, and how a planner tries it."""

import numpy as np
import pytest

from fedrisk.cli.plan import write_choices
from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard import choices
from fedrisk.recipes.scorecard import planner as planner_module
from fedrisk.recipes.scorecard.choices import Choice, Chosen, choose, toml_of
from fedrisk.recipes.scorecard.plan import make_plan
from fedrisk.recipes.scorecard.planner import Expected, Planner, expected_auc, planned_bins, rising
from fedrisk.report.words import sentence
from support.studies import study

SHARES = {"edges": 0.05, "counts": 0.75, "gram": 0.15, "calibration": 0.05}


def features() -> list[Feature]:
    return [
        Feature(institution="bank", column=f"c{k}", low=0, high=8, missing=False, direction="increasing")
        for k in range(4)
    ]


def sized(**settings):  # type: ignore[no-untyped-def]
    content = study(epsilon=1.0).model_dump(mode="json")
    content["expected"] = {"default_rate": 0.05, "enterprises": 4000}
    content.pop("settings")
    content["institutions"] = [m for m in content["institutions"] if m["role"] == "bank"]
    content["alignment"]["authority"] = None
    return study_from({**content, "scorecard": settings})


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"shares": {**SHARES, "counts": 0.7}}, "must sum to 1"),
        ({"shares": {**SHARES, "counts": 0.1}}, "at least 0.2"),
        ({"second": "none"}, "second"),
        ({"left_out": {"c0": "weak"}}, "left_out"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(stated, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=said):
        sized(**stated)


def test_a_plan_follows_what_is_stated() -> None:
    plain = make_plan(sized(), features())
    asked = make_plan(sized(shares=SHARES, second="gram", left_out={"bank.c3": "weak"}), features())
    assert asked.mu("counts") ** 2 / plain.mu("counts") ** 2 == pytest.approx(0.75 / 0.62)
    assert asked.find("recount") is None and asked.find("gram") is not None
    assert [f.column for f in asked.features] == ["c0", "c1", "c2"]
    assert asked.price == plain.price


def test_choices_that_are_not_made_are_in_no_digest() -> None:
    assert sized().settings == {"gram_rows": 200_000}
    assert sized(second="auto").digest() == sized().digest() != sized(second="gram").digest()


def test_a_study_without_evaluation_plans_none() -> None:
    asked = sized()
    without = asked.model_copy(update={"evaluation": asked.evaluation.model_copy(update={"release": False})})
    assert make_plan(without, features()).find("evaluation") is None
    assert "release" not in asked.model_dump()["evaluation"] and without.digest() != asked.digest()


def test_the_same_worlds_are_expected_alike_and_more_budget_brings_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(planner_module, "EPSILONS", (8.0,))
    monkeypatch.setattr(planner_module, "DRAWN", 4)
    asked = sized()
    found = expected_auc(Planner(asked, features(), None))
    assert found == expected_auc(Planner(asked, features(), None))
    assert 0.5 <= found[0].values["auc"] < found[1].values["auc"] < 0.95
    assert [f.code for f in found] == ["auc_expected", "auc_expected", "auc_unknown"]
    assert all(sentence(f) for f in found)


def test_columns_have_as_many_bins_as_the_study_says() -> None:
    asked = sized()
    asked = asked.model_copy(update={"bins": asked.bins.model_copy(update={"count": 8})})
    bins = planned_bins(asked, make_plan(asked, features()), 2800, Planner(asked, features(), None).knowledge)
    assert [b.size for b in bins] == [8] * 4


def test_what_gains_beyond_chance_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are better by .01 with a second count, with an error of nothing; all else changes nothing."""
    planner = Planner(sized(), features(), None)

    def found(asked, worlds=None):  # type: ignore[no-untyped-def]
        return np.full(worlds or 4, 0.7 + 0.01 * (asked.settings.get("second") == "recount"))

    monkeypatch.setattr(planner, "found", found)
    monkeypatch.setattr(planner, "expected", lambda asked: Expected(epsilon=1.0, auc=0.7, low=0.6, high=0.8))
    monkeypatch.setattr(choices, "COUNTS", ())
    chosen = choose(planner)
    assert [c.second for c in chosen.choices] == ["recount"]
    assert toml_of(chosen) == '[scorecard]\nsecond = "recount"\n'
    assert chosen.study.settings["second"] == "recount"


def test_a_study_of_unknown_size_cannot_be_planned() -> None:
    unsized = sized().model_copy(update={"expected": type(sized().expected)()})
    with pytest.raises(ConfigError, match=r"expected\.enterprises"):
        choose(Planner(unsized, features(), None))


def stated(*made: Choice) -> str:
    e = Expected(epsilon=1.0, auc=0.7, low=0.6, high=0.8)
    return toml_of(Chosen(study=sized(), before=e, after=e, choices=made))


def test_choices_are_written_into_a_study_once(tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "study.toml"
    file.write_text('name = "s"\n\n[scorecard]\nmemory = "auto"\n')
    lines = stated(Choice(name="a", second="gram", shares=SHARES), Choice(name="b", bins=8))
    write_choices(file, lines)
    text = file.read_text()
    assert 'second = "gram"' in text and 'memory = "auto"' in text and "[bins]\n" in text
    with pytest.raises(ConfigError, match="write these lines into it by hand"):
        write_choices(file, lines)
    assert file.read_text() == text


def test_beside_pairs_only_a_gram_matrix_is_tried() -> None:
    found = list(choices._spending(None, sized(pairs="auto")))  # type: ignore[arg-type]
    assert {c.second for c in found} == {"gram"} and len(found) == 3
    assert {c.second for c in choices._spending(None, sized())} == {"gram", "recount"}  # type: ignore[arg-type]


def test_more_budget_is_never_expected_to_be_worse():
    each = [
        Expected(epsilon=e, auc=a, low=a - 0.1, high=a + 0.1) for e, a in ((0.5, 0.74), (1, 0.73), (3, 0.76))
    ]
    found = rising(each)
    assert [round(e.auc, 3) for e in found] == [0.735, 0.735, 0.76]
    assert [round(e.high - e.auc, 3) for e in found] == [0.1, 0.1, 0.1]
    assert [round(e.auc, 3) for e in rising(found)] == [0.735, 0.735, 0.76] and rising([]) == []
