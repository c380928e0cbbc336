"""The hold-out by groups: what leaves, what it costs, and who may refuse it, on whole studies through the real handlers."""

import hashlib
import json
import math
import re
from dataclasses import replace
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from fedrisk.analysis.fairness import fairness
from fedrisk.attacks.lies import retell, spends
from fedrisk.errors import ConfigError, PeerError
from fedrisk.findings import Finding
from fedrisk.language import speaking
from fedrisk.privacy.accounting import compose
from fedrisk.protocol.common_view import split
from fedrisk.protocol.payload import spends_in
from fedrisk.recipes.scorecard.delivery import deliver
from fedrisk.releases.budget import total_mu
from fedrisk.releases.groups import band_edges, block_of
from fedrisk.report.deployment import deployment_record, rounded, write_deployment
from fedrisk.report.model_card import card_facts
from fedrisk.report.model_card_page import card_page, write_card
from fedrisk.study import NO_PRIVACY
from support import pages

pytestmark = pytest.mark.study

COLUMNS = ("grade", "late")
ASKED = {"groups": list(COLUMNS), "cut_offs": [0.25], "group_bands": 4}
STUDY = {"privacy": {"epsilon": 3.0}, "expected": {"default_rate": 0.2}, "evaluation": ASKED}


def built(kit, folder, *, banks=2, groups=COLUMNS, enterprises=900, **how):
    policy = {"research": True, "scores": "points", "groups": list(groups)}
    return kit.build(
        folder, kit.BANKS[:banks], policy=policy, enterprises=enterprises, study={**STUDY, **how}
    )


@pytest.fixture(scope="module")
def run(kit, scratch):
    return built(kit, scratch(), banks=1, enterprises=2500).run()


def exact_counts(run, column, levels):
    """(levels, bands, 2) of all banks, from their own scores and tables."""
    edges, out = band_edges(run.study), np.zeros((len(levels), ASKED["group_bands"], 2))
    for bank in run.study.banks:
        scores = run.scores(bank)
        held = scores[scores["split"] == "holdout"]
        table = run.nodes[bank].institution.read()
        values = dict(zip(table.ids, table.frame[column], strict=True))
        for id, p, label in zip(held["id"], held["probability"], held["label"], strict=True):
            level = levels.index(values[id]) if values[id] in levels else len(levels) - 1
            out[level, np.searchsorted(edges, p, side="right"), 0 if label else 1] += 1
    return out


def by_grade(run):
    released = run.results.record.release("groups")
    return released.block(block_of("grade")), list(released.about["columns"][0]["categories"])


def test_counts_by_group_leave_with_the_noise_that_was_paid_for(run):
    block, levels = by_grade(run)
    noise = (block.total - exact_counts(run, "grade", levels)).ravel()
    assert list(levels) == ["A", "B", "C", "(unknown)"]
    assert len(noise) == 4 * 4 * 2
    # Chi squared with 32 degrees lies beyond these bounds with a chance below 1e-6 each way.
    assert 6 < float(noise @ noise) / block.variance < 90


def test_the_release_spends_what_it_is_charged_and_no_less(run):
    """A holder's record moves an enterprise from band to band of the same level and label, in every column at once."""
    edges, scores = band_edges(run.study), run.scores("alfa")
    held = scores[scores["split"] == "holdout"]
    card, every = run.results.card, np.unique(scores["external_points"])
    moved = 0.0
    for score, own in zip(held["score"], held["external_points"], strict=True):
        before, after = (
            np.searchsorted(edges, card.probability(s), side="right") for s in (score, score - own + every)
        )
        # One cell less and one more in each column.
        moved = max(moved, math.sqrt(2 * len(COLUMNS)) if (after != before).any() else 0.0)
    block, _ = by_grade(run)
    charged = {s["institution"]: s["mu"] for s in run.results.record.release("groups").spends}
    audited = moved / math.sqrt(block.variance)
    assert set(charged) == {"alfa", "tax"}
    assert 0.95 * charged["tax"] < audited <= charged["tax"] * (1 + 1e-9)


def test_evaluation_and_groups_are_the_budget_of_the_hold_out_together(run):
    for node in run.nodes.values():
        made = {e.spend.release: e.spend for e in node.ledger.entries() if e.spend.population == "holdout"}
        assert set(made) == {"evaluation", "groups"}
        assert compose(s.mu for s in made.values()) == pytest.approx(total_mu(run.study))


def test_the_trail_has_both_releases_of_the_hold_out(run):
    for name, behind in (("alfa", "noisy_sums"), ("tax", "charged_behind")):
        kinds = [entry.kind for entry in run.nodes[name].trail.entries()]
        assert {f"{behind}.evaluation", f"{behind}.groups"} <= set(kinds), name


def test_asked_again_a_bank_gives_the_bytes_that_it_gave(run):
    step = run.step("deliver")
    again = deliver(run.nodes["alfa"], split(step.sent["alfa"])[0])
    assert {s["release"] for s in spends_in(again)} == {"evaluation", "groups"}
    for name, blob in again.blobs.items():
        assert np.array_equal(blob, step.answers["alfa"].blobs[name]), name


def test_figures_of_fairness_follow_from_the_record(run):
    found = fairness(run.results.record)
    assert [c.name for c in found.columns] == list(COLUMNS)
    assert found.cut_offs == (0.25,)
    exact = exact_counts(run, "grade", by_grade(run)[1])
    grade = found.columns[0]
    told = [(g, n) for g, n in zip(grade.groups, exact.sum((1, 2)), strict=True) if g.says]
    assert told
    for group, n in told:
        # Six deviations.
        assert abs(group.size.value - n) < 6 * group.size.error


# --- what is written of it ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(run, scratch):
    """Model card and deployment record as the command writes them."""
    folder = scratch()
    write_card(run.results, folder)
    write_deployment(run.results, folder)
    return folder


@pytest.mark.parametrize("language", ["en", "zh"])
@pages.NEEDS_CHROMIUM
def test_the_model_card_is_a_page_for_screens_phones_and_print(run, browser, tmp_path, language):
    with speaking(language):
        page = card_page(run.results)
    pages.check(browser, tmp_path / "card.html", page, axe=language == "en")


def test_the_model_card_says_what_the_record_says(run, written):
    facts = json.loads((written / "model_card.json").read_text())
    assert facts["versions"]["record_sha256"] == run.results.record.digest()
    assert (
        facts["versions"]["model_sha256"]
        == hashlib.sha256((run.results.card.to_json() + "\n").encode()).hexdigest()
    )
    assert facts["privacy"]["mu"] == pytest.approx(total_mu(run.study))
    assert facts["privacy"]["highest_mu"] == pytest.approx(total_mu(run.study))
    assert [c["name"] for c in facts["fairness"]["columns"]] == list(COLUMNS)
    assert facts["edits"] is None


def test_nothing_in_them_is_of_one_institution(run, written):
    """No number of rows, no budget and no column's meaning: figures are of all, and prices are what the study says."""
    content = "".join((written / name).read_text() for name in ("model_card.json", "deployment.json"))
    for facts in run.results.institutions.values():
        assert f"{facts.rows}" not in json.dumps(
            json.loads((written / "model_card.json").read_text())["populations"]
        )
        assert "budget_left" not in content and "meanings" not in content
    # Of one bank the numbers of all are its own: two digits of them are told.
    rows = run.results.rows
    told = re.findall(r"≈ ([\d,]+)", (written / "model_card.html").read_text())
    assert {f"{rounded(rows.training['alfa']):,}", f"{rounded(rows.holdout['alfa']):,}"} <= set(told)
    # One number in ten is round by itself.
    exact = {n for n in (rows.training["alfa"], rows.holdout["alfa"]) if n != rounded(n)}
    assert not {f"{n:,}" for n in exact} & set(told)
    facts = json.loads((written / "model_card.json").read_text())["populations"]
    assert facts["training"] == rounded(rows.training["alfa"])
    deployment = (written / "deployment.json").read_text()
    assert not any(name in deployment for name in (*run.nodes, str(run.nodes["alfa"].store.path)))


def test_how_members_machines_fared_is_not_in_the_card(run):
    """Whose table is missing and why, and what the hub could not do, is the operator's."""
    told = [
        Finding("table_missing", {"institution": "marker_member", "code": "marker_code"}),
        Finding("left_undone", {"part": "marker_part", "code": "marker_code"}),
        Finding("memory_left_out_damaged", {"study": "marker_study", "run": "marker_run"}),
        Finding("columns_left_out", {"names": "tax.sales"}),
    ]
    facts = card_facts(replace(run.results, findings=tuple(told)))
    assert "marker" not in json.dumps(facts)
    assert [f["code"] for f in facts["model"]["findings"]] == ["columns_left_out"]


def test_what_is_not_protected_is_said_where_the_public_reads_it(run, written):
    """As docs/threat-model.md has it: who is on a bank's list, and on which side of a date, is exact to holders."""

    def said(results):
        return deployment_record(results)["deployment"]["dp_variant"]["unprotected_quantities"]

    assert "Which of its own enterprises are on a bank's list, to each data holder." in said(run.results)
    assert "whether its date" not in said(run.results)
    assert "on which side of the date" not in (written / "model_card.html").read_text()
    study = run.results.record.study
    by_date = {**study, "holdout": {**study["holdout"], "kind": "out_of_time", "from_date": "2024-01-01"}}
    other = replace(run.results, record=replace(run.results.record, study=by_date))
    assert "whether its date is before the date from which enterprises are held out" in said(other)
    assert "on which side of the date" in card_page(other)


def test_withheld_figures_are_nowhere(run, written):
    found = fairness(run.results.record)
    facts = json.loads((written / "model_card.json").read_text())
    for column, plain in zip(found.columns, facts["fairness"]["columns"], strict=True):
        for group, told in zip(column.groups, plain["groups"], strict=True):
            assert told["says"] == group.says
            for name in ("size", "observed", "calibration", "auc"):
                assert (told[name] is None) == (getattr(group, name) is None)


def test_the_deployment_record_keeps_to_the_schema_of_the_registry(written):
    schema = json.loads((files("fedrisk.report") / "schemas" / "dp_deployment.schema.json").read_text())
    check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)
    check.check_schema(schema)
    record = json.loads((written / "deployment.json").read_text())
    check.validate(record)
    loss = record["deployment"]["privacy_loss"]["privacy_parameters"]
    # Rounded up, so that a promise is never made to look better.
    assert 3.0 <= loss["epsilon"] < 3.0001
    assert loss["rho"] == pytest.approx(facts_mu(written) ** 2 / 2)
    del record["deployment"]["basic"]["name"]
    with pytest.raises(jsonschema.ValidationError, match="'name' is a required property"):
        check.validate(record)


def facts_mu(written):
    return json.loads((written / "model_card.json").read_text())["privacy"]["mu"]


def test_a_run_without_privacy_is_not_registered(run):
    with pytest.raises(ConfigError, match="nothing to register"):
        deployment_record(replace(run.results, research=True))


def test_without_a_model_there_is_no_model_card(run):
    with pytest.raises(ConfigError, match="--record-only"):
        write_card(replace(run.results, recipe="statistics"), run.hub.path)


def test_without_privacy_counts_are_exact(kit, tmp_path):
    study = {"privacy": {"epsilon": math.inf}}
    run = built(kit, tmp_path, **study).run(research_seed=1)
    block, levels = by_grade(run)
    assert block.variance == 0
    assert np.array_equal(block.total, exact_counts(run, "grade", levels))
    found = fairness(run.results.record)
    assert found.research
    about = run.results.record.release("groups").about
    held = np.concatenate([run.scores(b).query("split == 'holdout'")["probability"] for b in run.study.banks])
    band = np.searchsorted(band_edges(run.study), held, side="right")
    means = [held[band == k].mean() for k in range(4)]
    assert about["predicted"] == pytest.approx(means, rel=1e-6)
    # Exact figures never go without the word that there is no privacy.
    page, file = write_card(run.results, tmp_path / "card")
    assert json.loads(file.read_text())["model"]["notice"] == NO_PRIVACY
    text = page.read_text()
    assert "There is no privacy in this run" in text and "Counts by group are exact" in text
    assert "noise of their own" not in text


def test_a_bank_whose_policy_does_not_list_a_column_refuses_the_study(kit, tmp_path):
    consortium = built(kit, tmp_path, banks=1, groups=["grade"])
    with pytest.raises(PeerError, match="refused"):
        consortium.run()
    log = (consortium.nodes["alfa"].store.path / "errors.log").read_text()
    assert "late (evaluation.groups), which policy.groups does not list" in log
    assert not any(spends(consortium).values())


def test_banks_with_other_levels_stop_before_anything_is_charged(kit, tmp_path):
    consortium = built(kit, tmp_path)
    columns = consortium.content["beta"]["dictionary"]["columns"]
    other = [{**c, "special": [["-1", "none"]]} if c["name"] == "late" else c for c in columns]
    consortium.content["beta"]["dictionary"] = {**consortium.content["beta"]["dictionary"], "columns": other}
    consortium.write("beta")
    with pytest.raises(Exception, match="late"):
        consortium.run()
    assert not any(spends(consortium).values())


def test_levels_that_the_hub_tells_one_member_otherwise_stop_the_study(kit, tmp_path):
    """Another order of levels at one bank would put its enterprises into other groups' cells."""
    consortium = built(kit, tmp_path)

    def lie(run, step):
        def change(content):
            stated = content["statements"]["beta"]["groups"][0]
            stated["bins"] = stated["bins"][::-1]

        if step.action == "blind":
            retell(step, "members", change, members=["alfa"])

    with pytest.raises(PeerError):
        consortium.run(change=lie)
    assert not any(spends(consortium).values())


def test_a_study_without_groups_is_what_it_was(kit, tmp_path):
    consortium = built(kit, tmp_path, banks=1, evaluation={})
    assert consortium.study.model_dump(mode="json")["evaluation"] == {"bins": 24, "by_bank": False}


@pytest.mark.long
def test_a_network_is_evaluated_by_groups_too(kit, tmp_path):
    policy = {"research": True, "groups": list(COLUMNS), "recipes": ["network"]}
    study = {**STUDY, "recipe": "network", "training": {"steps": 4}}
    run = kit.build(tmp_path, kit.BANKS[:2], (), policy=policy, enterprises=1200, study=study).run()
    block, levels = by_grade(run)
    noise = (block.total - exact_counts(run, "grade", levels)).ravel()
    assert 6 < float(noise @ noise) / block.variance < 90
    for node in run.nodes.values():
        made = [e.spend.mu for e in node.ledger.entries() if e.spend.population == "holdout"]
        assert compose(made) == pytest.approx(total_mu(run.study))
