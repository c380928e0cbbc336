"""A study about one of a bank's labels, with a threshold of warnings: what is learnt, told, kept, charged and refused."""

import json
import math

import numpy as np
import pytest

from fedrisk.analysis.past_studies import unfit
from fedrisk.clients import own_results
from fedrisk.clients.own_rows import own_rows
from fedrisk.engine.check import check_study
from fedrisk.engine.kept_parts import follows
from fedrisk.errors import PeerError, ProtocolError, VersionError
from fedrisk.protocol.payload import Payload, unpack
from fedrisk.recipes.scorecard.warning_node import NAME, warn
from fedrisk.report.operator import selection
from fedrisk.report.warning_words import own_rows as rows_of_own
from fedrisk.report.warning_words import warning_line
from fedrisk.server.results import Results
from fedrisk.study import study_from

pytestmark = pytest.mark.study

DISTRESS = {"name": "distress", "column": "trouble", "positive": [1], "negative": [0]}
WORDS = {"horizon": "within six months", "meaning": "in distress", "meaning_zh": "陷入困境"}
LATE = {**DISTRESS, "name": "late", "column": "late_30", **WORDS}
ASKED = {
    "label": "distress",
    "outcome": {"horizon": WORDS["horizon"]},
    "warning": {"false_alarms": 0.1},
    "privacy": {"epsilon": 12.0},
}


@pytest.fixture(scope="module")
def consortium(kit, scratch):
    tables = kit.province(1500)
    for bank in ("alfa", "beta"):
        table = tables[bank]
        table["trouble"] = (table["late"] > 1).astype(int)
        table["late_30"] = (table["debt"].fillna(0) > 20_000).astype(int)
    return kit.build(scratch() / "labels", tables=tables, labels=[{**DISTRESS, **WORDS}, LATE])


@pytest.fixture(scope="module")
def run(consortium):
    return consortium.run(consortium.with_study(name="warned", **ASKED))


@pytest.fixture
def bank(consortium):
    return consortium.nodes["alfa"]


def test_the_study_is_about_its_label_and_no_other(consortium, run):
    scores, table = run.scores("alfa").set_index("id"), consortium.tables["alfa"].set_index("id")
    assert (scores["label"] == table["trouble"].reindex(scores.index)).all()
    assert run.study.format == 3 and run.study.evaluation.bins == 40
    facts = run.results.institutions["alfa"].label
    assert {k: facts[k] for k in ("name", *WORDS)} == {"name": "distress", **WORDS}


def test_earlier_versions_refuse_such_a_study(run, monkeypatch):
    monkeypatch.setattr("fedrisk.study.FORMAT", 2)
    with pytest.raises(VersionError, match="format 3"):
        study_from(run.study.model_dump(mode="json"))


def test_it_is_charged_as_any_study_and_hold_outs_are_shared(consortium, run, bank):
    spent = [e.spend for e in bank.ledger.entries() if e.spend.attempt == run.attempt]
    assert {s.population for s in spent} == {"training", "holdout"}
    for side in ("training", "holdout"):
        mu = math.hypot(*(s.mu for s in spent if s.population == side))
        assert mu <= run.results.mu * (1 + 1e-6)
    assert bank.ledger.left() < bank.ledger.report().cap.mu
    other = consortium.with_study(name="plain")
    assert unfit(run.study, other, research=False) == "label"
    assert unfit(other, other.model_copy(update={"label": "default"}), research=False) is None


def test_hub_and_bank_find_the_same_threshold_and_the_model_keeps_it(run, bank):
    point = run.results.warning
    (part,) = bank.store.models.parts()
    assert (part.label, part.warning) == ("distress", point) and point.stated == 0.1
    assert point.false_alarms.value <= 0.1 and follows(bank)(part).warning == point
    kept = Results.load(_saved(run))
    assert kept.warning == point and json.loads(json.dumps(kept.to_dict()))["warning"]["score"] == point.score
    holder = run.nodes["tax"].store.models.parts()[0]
    assert (holder.label, holder.warning) == ("distress", None)


def _saved(run):
    folder = run.nodes["alfa"].store.path.parent / "saved"
    run.results.save(folder)
    return folder


def test_a_bank_takes_no_totals_that_its_own_hold_out_contradicts(run, bank):
    told = unpack(bank.store.attempt(run.attempt).message(NAME))
    bank, request = bank.opened(), Payload({"attempt": run.attempt}, dict(told.blobs))
    assert warn(bank, request).body == {}
    (name,) = told.blobs
    for less in (-400.0, 400.0):
        wrong = Payload({"attempt": run.attempt}, {name: told.array(name) + less})
        with pytest.raises(ProtocolError):
            warn(bank, wrong)
    plain = unpack(bank.store.attempt(run.attempt).message(NAME))
    assert np.array_equal(plain.array(name), told.array(name))


def test_pages_and_the_bank_s_own_rows_say_it(run, bank):
    ((_banks, said),) = selection(run.results)
    assert (said["label"], said["meaning"], said["horizon"]) == ("distress", "in distress", WORDS["horizon"])
    assert f"score of {run.results.warning.score} and below" in warning_line(run.results.warning)
    entry = own_results.find(bank, run.attempt)
    rows = own_rows(bank, entry, own_results.Said(language="en", external="external data"))
    assert rows.warning == run.results.warning
    (alarms, *_), (recall, *_) = rows_of_own(rows)
    assert "own hold-out" in alarms and "own hold-out" in recall


def test_check_reads_the_study_s_label_and_words_have_to_agree(consortium):
    good = check_study(consortium.with_study(name="late", label="late"), consortium.paths, hub=consortium.hub)
    assert not good.broken and good.institutions[0].labels.rate != pytest.approx(0.18, abs=0.01)
    wrong = consortium.with_study(name="wrong", label="late", outcome={"horizon": "ten years"})
    assert any("another horizon" in t for t in _refused(consortium, wrong))
    missing = consortium.with_study(name="none", label="gone")
    assert any('no label "gone"' in t for t in _refused(consortium, missing))


def _refused(consortium, study):
    found = check_study(study, consortium.paths, hub=consortium.hub)
    return [text for line in found.institutions for text in line.refused]


def test_a_label_that_a_bank_lacks_refuses_the_study_before_anything_is_charged(consortium, bank):
    before = len(list(bank.ledger.entries()))
    with pytest.raises(PeerError, match="no agreement from alfa"):
        consortium.run(consortium.with_study(name="none", label="gone"))
    assert len(list(bank.ledger.entries())) == before
