"""Which earlier studies a hub finds for a study, and which it refuses."""

import json
from dataclasses import replace

import pytest

from fedrisk.analysis.past_studies import holds_out_the_same
from fedrisk.errors import ConfigError, StoreError
from fedrisk.models.knowledge_file import digest_of
from fedrisk.recipes import study_from
from fedrisk.recipes.scorecard import RECIPE
from fedrisk.recipes.scorecard.settings import ScorecardSettings, asks
from fedrisk.secure.identity import IdentityKey
from fedrisk.server import knowledge
from fedrisk.server.hub import Hub
from fedrisk.server.runs import Runs
from support.past_runs import bare, finished, later

LATE = {"kind": "out_of_time", "from_date": "2025-07-01"}


@pytest.fixture
def hub(tmp_path):
    return Hub(tmp_path / "hub")


def look(study, hub, *, research=False):
    return knowledge.look_up(RECIPE, study, hub, research=research)


def names(found):
    return [past.study for past in found.knowledge.memory]


def codes(found):
    return [f.code for f in found.findings]


def test_none_is_the_default_and_looks_for_nothing(hub):
    finished(hub, "january", 1)
    found = look(later(), hub)
    assert not found.knowledge and found.study == later() and "known" not in found.study.settings
    assert "memory" not in found.study.settings


def test_auto_finds_what_fits_oldest_first_and_states_it(hub):
    first, second = finished(hub, "january", 1), finished(hub, "february", 2)
    found = look(later(memory="auto"), hub)
    assert names(found) == ["january", "february"]
    known = ScorecardSettings.of(found.study).known
    assert known.digest == digest_of(found.knowledge)
    assert [p.record for p in known.memory] == [first.digest(), second.digest()]
    assert codes(found) == ["memory_studies"]
    assert (
        found.study.as_asked == later(memory="auto") and found.study.digest() != later(memory="auto").digest()
    )
    said = asks(found.study)
    assert "january" in said[0] and known.digest in said[-1]


def test_auto_with_nothing_is_stated_too_so_that_it_stays_nothing(hub):
    found = look(later(memory="auto"), hub)
    assert not found.knowledge and codes(found) == ["memory_empty"]
    finished(hub, "january", 1)
    assert not look(found.study, hub).knowledge
    assert asks(found.study) == ()


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"purpose": "marketing"}, None),
        ({"research": True}, None),
        ({"name": "later", "settings": {"memory": "auto"}}, None),
        ({"holdout": {"percent": 20}}, "memory_left_out_holdout"),
        ({"kept": False}, "memory_left_out_early"),
        ({"institutions": [{"name": "x", "role": "bank"}, {"name": "y", "role": "holder"}]}, None),
    ],
)
def test_auto_leaves_out_what_does_not_fit(hub, how, code):
    finished(hub, "january", 1)
    how = {"name": "other", **how}
    finished(hub, how.pop("name"), 2, **how)
    found = look(later(memory="auto"), hub)
    assert names(found) == ["january"]
    assert [c for c in codes(found) if c != "memory_studies"] == ([] if code is None else [code])


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"purpose": "marketing"}, "another purpose"),
        ({"research": True}, "research run"),
        ({"holdout": {"percent": 20}}, "holds out"),
        ({"kept": False}, "earlier version"),
    ],
)
def test_what_is_named_and_may_not_be_used_is_refused(hub, how, why):
    finished(hub, "other", 2, **how)
    for name in ("other", "other020000", str(Runs(hub).path / "other0200000")):
        with pytest.raises(ConfigError, match=why):
            look(later(memory=[name]), hub)


def test_a_larger_hold_out_before_is_no_harm(hub):
    finished(hub, "january", 1, holdout={"percent": 40})
    assert names(look(later(memory="auto"), hub)) == ["january"]


def test_research_remembers_research_of_the_same_draws_alone(hub):
    finished(hub, "private", 1)
    finished(hub, "january", 2, research=True)
    finished(hub, "seeded", 3, research=True, holdout={"seed": 5})
    assert names(look(later(memory="auto"), hub, research=True)) == ["january"]
    with pytest.raises(ConfigError, match="had privacy"):
        look(later(memory=["private"]), hub, research=True)
    with pytest.raises(ConfigError, match="holds out"):
        look(later(memory=["seeded"]), hub, research=True)


def test_names_runs_and_records(hub, tmp_path):
    record = finished(hub, "january", 1)
    record.save(tmp_path)
    for name in ("january", "january01", str(tmp_path), str(tmp_path / "release_record.npz")):
        assert names(look(later(memory=[name]), hub)) == ["january"]
    with pytest.raises(ConfigError, match="twice"):
        look(later(memory=["january", str(tmp_path)]), hub)
    with pytest.raises(ConfigError, match="no finished study"):
        look(later(memory=["december"]), hub)


def test_a_record_of_another_hub_or_a_changed_one_is_refused(hub, tmp_path):
    record = finished(hub, "january", 1)
    record.signed(IdentityKey.generate()).save(tmp_path)
    with pytest.raises(ConfigError, match="another hub.*prior"):
        look(later(memory=[str(tmp_path)]), hub)
    folder = Runs(hub).path / record.attempt
    replace(record, notice="changed").save(folder)
    with pytest.raises(ConfigError, match="not what the hub signed"):
        look(later(memory=["january"]), hub)
    assert codes(look(later(memory="auto"), hub)) == ["memory_left_out_damaged", "memory_empty"]


def test_a_run_that_did_not_finish_is_refused(hub):
    record = finished(hub, "january", 1)
    file = Runs(hub).path / record.attempt / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "failed"}))
    with pytest.raises(ConfigError, match="failed"):
        look(later(memory=[record.attempt]), hub)
    assert not look(later(memory="auto"), hub).knowledge


def test_what_is_stated_is_what_the_hub_keeps(hub):
    finished(hub, "january", 1)
    study = knowledge.kept(RECIPE, later(memory="auto"), hub, research=False)
    digest = study.settings["known"]["digest"]
    assert names(look(study, hub)) == ["january"]
    file = hub.path / "knowledge" / f"{digest}.npz"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(StoreError, match="damaged"):
        look(study, hub)
    file.unlink()
    with pytest.raises(StoreError, match="cannot be read"):
        look(study, hub)


def test_a_statement_that_is_not_of_the_content_is_refused(hub):
    finished(hub, "january", 1)
    study = knowledge.kept(RECIPE, later(memory="auto"), hub, research=False)
    settings = json.loads(json.dumps(dict(study.settings)))
    settings["known"]["memory"][0]["study"] = "other"
    with pytest.raises(ConfigError, match="propose"):
        look(study.model_copy(update={"settings": settings}), hub)


def test_settings():
    assert ScorecardSettings.model_validate({"memory": "january"}).memory == ("january",)
    assert ScorecardSettings().model_dump(mode="json") == {"gram_rows": 200_000}
    for wrong in (
        {"memory": []},
        {"memory": [str(k) for k in range(25)]},
        {"known": {}},
        {"memory": "auto", "known": {"digest": "0" * 64}},
        {"memory": "auto", "known": {"digest": "x"}},
    ):
        with pytest.raises(ValueError):
            ScorecardSettings.model_validate(wrong)


def test_a_prior_of_a_record_and_of_a_card(hub, tmp_path):
    from fedrisk.recipes.scorecard.fitting import refit

    record = finished(Hub(tmp_path / "elsewhere"), "january", 1)
    record.save(tmp_path)
    (tmp_path / "card.json").write_text(refit(record).to_json())
    for name in ("release_record.npz", "card.json"):
        found = look(later(prior=str(tmp_path / name)), hub)
        prior = found.knowledge.prior
        assert "january" in prior.source and name in prior.source
        assert len(prior.curves) == len(refit(record).bins)
        assert codes(found) == ["prior_known"]
        strong = next(c for c in prior.curves if c.bins.feature.name == "tax.c0")
        assert strong.shift[4] > 0.3 and strong.shift[0] < 0


def test_a_study_of_the_same_institutions_is_remembered_and_no_prior(hub, tmp_path):
    """Beside the memory of it, its evidence would count twice."""
    from fedrisk.recipes.scorecard.fitting import refit

    record = finished(hub, "january", 1)
    record.save(tmp_path)
    card = refit(record).to_json()
    (Runs(hub).path / record.attempt / "scorecard.json").write_text(card)
    (tmp_path / "card.json").write_text(card)
    for name in ("release_record.npz", "card.json"):
        for memory in ("auto", "none"):
            with pytest.raises(ConfigError, match='memory = "january"'):
                look(later(prior=str(tmp_path / name), memory=memory), hub)
    # Another consortium of the same hub is another province.
    away = [{"name": f"far_{m['name']}", "role": m["role"]} for m in record.study["institutions"]]
    other = later(prior=str(tmp_path / "release_record.npz"), changes={"institutions": away})
    assert look(other, hub).knowledge.prior


def test_no_prior_of_a_research_run_or_of_rubbish(hub, tmp_path):
    finished(Hub(tmp_path / "elsewhere"), "january", 1, research=True).save(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    for name, why in (
        ("release_record.npz", "research"),
        ("x.json", "neither"),
        ("none.json", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=why):
            look(later(prior=str(tmp_path / name)), hub)
    assert look(later(prior=str(tmp_path / "release_record.npz")), hub, research=True).knowledge


def test_nobody_new_is_told_what_an_institution_released_that_is_gone(hub):
    """Who stays may remember with those who were there, and newcomers with all who were."""
    own = bare().study["institutions"]
    gone, new = ({"name": name, "role": "holder"} for name in ("gone", "new"))
    finished(hub, "more", 1, institutions=[*own, gone])
    finished(hub, "fewer", 2)
    assert names(look(later(memory="auto"), hub)) == ["more", "fewer"]
    joined = {"institutions": [*own, new]}
    found = look(later(memory="auto", changes=joined), hub)
    assert names(found) == ["fewer"] and "memory_left_out_strangers" in codes(found)
    with pytest.raises(ConfigError, match="never told"):
        look(later(memory=["more"], changes=joined), hub)


def two_banks(*more):
    return [{"name": n, "role": "bank"} for n in ("first", "second", *more)]


@pytest.mark.parametrize(
    ("before", "changes", "fits"),
    [
        # By date the bank decides through which an enterprise contributes, drawn for each roster of banks and epoch.
        ({"holdout": LATE}, {"holdout": LATE}, True),
        ({"holdout": LATE}, {"holdout": LATE, "alignment": {"epoch": "next"}}, False),
        ({"holdout": LATE}, {"holdout": LATE, "institutions": two_banks("third")}, False),
        # By hash, sides outlive the key where a bank remembers them.
        ({}, {"alignment": {"epoch": "next"}}, True),
        ({}, {"institutions": two_banks()[:1]}, True),
        ({}, {"institutions": two_banks()[:1], "alignment": {"epoch": "next"}}, False),
    ],
)
def test_nobody_is_remembered_as_trained_on_who_is_held_out_now(before, changes, fits):
    def study(**content):
        about = {"name": "s", "purpose": "credit_scoring", "privacy": {"epsilon": 1}}
        alignment = {"authority": "first", **content.pop("alignment", {})}
        return study_from({**about, "institutions": two_banks(), **content, "alignment": alignment})

    assert holds_out_the_same(study(**before), study(**changes), research=False) is fits
