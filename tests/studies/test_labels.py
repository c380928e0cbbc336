"""A study about one of a bank's labels, with a threshold of warnings: what is learnt, told, kept, charged and refused."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from fedrisk.analysis.past_studies import unfit
from fedrisk.clients import own_results
from fedrisk.clients.app import app as client_app
from fedrisk.clients.own_rows import own_rows
from fedrisk.engine.check import check_study
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.engine.kept_parts import follows
from fedrisk.errors import PeerError, ProtocolError, VersionError
from fedrisk.protocol.payload import Payload, unpack
from fedrisk.recipes.scorecard import warning_node
from fedrisk.recipes.scorecard.fitting import refit
from fedrisk.recipes.scorecard.warning_node import ALIKE, NAME, warn
from fedrisk.report.operator import selection
from fedrisk.report.warning_words import own_rows as rows_of_own
from fedrisk.report.warning_words import warning_line
from fedrisk.server.desk import thresholds_missing
from fedrisk.server.exchange import Exchange
from fedrisk.server.late_warnings import WITHOUT, LateWarnings
from fedrisk.server.results import Results
from fedrisk.server.run import entry
from fedrisk.server.runs import Runs
from fedrisk.study import study_from

pytestmark = pytest.mark.study

DISTRESS = {"name": "distress", "column": "trouble", "positive": [1], "negative": [0]}
WORDS = {"horizon": "within six months", "meaning": "in distress", "meaning_zh": "陷入困境"}
LATE = {**DISTRESS, "name": "late", "column": "late_30", **WORDS}
ASKED = {
    "label": "distress",
    "outcome": {"horizon": WORDS["horizon"]},
    "warning": {"false_alarms": 0.25},
    "privacy": {"epsilon": 12.0},
}


@pytest.fixture(scope="module")
def consortium(kit, scratch):
    tables = kit.province(1500)
    for bank in ("alfa", "beta"):
        table = tables[bank]
        table["trouble"] = (table["late"] > 1).astype(int)
        table["late_30"] = (table["debt"].fillna(0) > 20_000).astype(int)
    labels = [{**DISTRESS, **WORDS}, LATE]
    return kit.build(scratch() / "labels", ("alfa", "beta"), tables=tables, labels=labels)


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


def test_its_record_says_by_which_step_weights_are_found_and_gives_the_card_again(run):
    record = run.results.record
    gram = record.find("gram")
    assert gram is not None and gram.about["weights"] == "logistic"
    assert refit(record).points == run.results.card.points


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
    assert (part.label, part.warning) == ("distress", point) and point.stated == 0.25
    assert point.false_alarms.value <= 0.25 and follows(bank)(part).warning == point
    kept = Results.load(_saved(run))
    assert kept.warning == point and json.loads(json.dumps(kept.to_dict()))["warning"]["score"] == point.score
    holder = run.nodes["tax"].store.models.parts()[0]
    assert (holder.label, holder.warning) == ("distress", None)


def _saved(run):
    folder = run.nodes["alfa"].store.path.parent / "saved"
    run.results.save(folder)
    return folder


def told_to(node, attempt):
    """The totals that a bank was told, and the other banks' signatures of them."""
    state = node.store.attempt(attempt)
    return unpack(state.message(NAME)), json.loads(state.message(ALIKE))


def test_a_bank_takes_no_totals_that_its_own_hold_out_contradicts(run, bank):
    told, _ = told_to(bank, run.attempt)
    bank = bank.opened()
    request = Payload({"attempt": run.attempt}, dict(told.blobs))
    assert warn(bank, request).body["kept"] is False
    (name,) = told.blobs
    for less in (-400.0, 400.0):
        wrong = Payload({"attempt": run.attempt}, {name: told.array(name) + less})
        with pytest.raises(ProtocolError, match="other totals of the evaluation before"):
            warn(bank, wrong)
    plain = unpack(bank.store.attempt(run.attempt).message(NAME))
    assert np.array_equal(plain.array(name), told.array(name))
    (bank.store.attempt(run.attempt).folder / f"{NAME}.message").rename(bank.store.path / "aside")
    try:
        # As many in all, and all of them in one bin: the bank's own rows are in others.
        moved = np.zeros_like(told.array(name))
        moved[0] = told.array(name).sum(axis=0)
        wrong = Payload({"attempt": run.attempt}, {name: moved})
        with pytest.raises(ProtocolError, match="own hold-out contradicts"):
            warn(bank, wrong)
        assert bank.store.attempt(run.attempt).message(NAME) is None
    finally:
        (bank.store.path / "aside").rename(bank.store.attempt(run.attempt).folder / f"{NAME}.message")


def test_a_bank_takes_totals_that_every_other_bank_signed_and_no_others(run, bank):
    """A hub that tells each bank other totals, within what its own hold-out allows, gets no threshold anywhere."""
    told, signed = told_to(bank, run.attempt)
    assert set(signed) == {"alfa", "beta"}
    bank, (name,) = bank.opened(), told.blobs
    other = bytearray.fromhex(signed["beta"])
    other[5] ^= 1
    for wrong in (other.hex(), signed["alfa"]):
        request = Payload({"attempt": run.attempt, "signed": {**signed, "beta": wrong}}, dict(told.blobs))
        with pytest.raises(ProtocolError, match="beta did not sign the totals"):
            warn(bank, request)
    beta = run.nodes["beta"].opened()
    moved = Payload({"attempt": run.attempt}, {name: told.array(name) + 1.0})
    # What beta would sign if it had been told these instead, at alfa's pin of beta's key.
    attempt = beta.attempt(moved)
    lie = beta.store.identity.sign(warning_node._statement(attempt, "beta", Payload({}, dict(moved.blobs))))
    request = Payload({"attempt": run.attempt, "signed": {**signed, "beta": lie.hex()}}, dict(told.blobs))
    with pytest.raises(ProtocolError, match="beta did not sign the totals"):
        warn(bank, request)
    some = Payload({"attempt": run.attempt, "signed": {"alfa": signed["alfa"]}}, dict(told.blobs))
    with pytest.raises(ProtocolError, match="one signature of the totals for each bank"):
        warn(bank, some)


def test_a_hub_that_tells_banks_different_totals_leaves_no_threshold_at_any(run, bank):
    """Both sign what they were told, and neither takes what the other did not sign."""
    told, _ = told_to(bank, run.attempt)
    (name,), kept = told.blobs, {}
    nodes = [run.nodes[n].opened() for n in ("alfa", "beta")]
    try:
        for node in nodes:
            kept[node.name] = told_to_none(node, run.attempt)
        asked = {n.name: Payload({}, {name: told.array(name) + k}) for k, n in enumerate(nodes)}
        signed = {}
        for node in nodes:
            answer = warn(node, Payload({"attempt": run.attempt}, dict(asked[node.name].blobs)))
            signed[node.name] = answer.body["signature"]
        for node in nodes:
            request = Payload({"attempt": run.attempt, "signed": signed}, dict(asked[node.name].blobs))
            with pytest.raises(ProtocolError, match="did not sign the totals"):
                warn(node, request)
            assert warning_node.threshold(node.attempt(request)) is None
    finally:
        for node in nodes:
            for message, content in kept[node.name].items():
                node.store.attempt(run.attempt).put_message(message, content)


def told_to_none(node, attempt):
    """Forget that a bank was told totals; what was kept."""
    state = node.store.attempt(attempt)
    kept = {name: state.message(name) for name in (NAME, ALIKE)}
    for name in kept:
        (state.folder / f"{name}.message").unlink()
    return kept


def test_pages_and_the_bank_s_own_rows_say_it(run, bank):
    ((_banks, said),) = selection(run.results)
    assert (said["label"], said["meaning"], said["horizon"]) == ("distress", "in distress", WORDS["horizon"])
    assert f"score of {run.results.warning.score} and below" in warning_line(run.results.warning)
    entry = own_results.find(bank, run.attempt)
    rows = own_rows(bank, entry, own_results.Said(language="en", external="external data"))
    assert rows.warning == run.results.warning
    (alarms, *_), (recall, *_), (alerts, *_) = rows_of_own(rows)
    assert "own hold-out" in alarms and "own hold-out" in recall and "all own enterprises" in alerts


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
    with pytest.raises(PeerError, match="no agreement from alfa, beta"):
        consortium.run(consortium.with_study(name="none", label="gone"))
    assert len(list(bank.ledger.entries())) == before


def test_a_bank_that_was_away_gets_the_threshold_later_and_until_then_nobody_has_one(consortium, monkeypatch):
    def away(self, action, **how):
        answers = afterwards(self, action, **how)
        return {n: a for n, a in answers.items() if (action, n) != ("warn", "beta")}

    afterwards = Exchange.afterwards
    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "afterwards", away)
        run = consortium.run(consortium.with_study(name="away", **ASKED))
    (finding,) = (f for f in run.results.findings if f.code == WITHOUT)
    assert finding.values == {"institutions": "alfa, beta"} and run.results.warning is not None
    assert {points(run, bank) for bank in ("alfa", "beta")} == {None}
    runs = Runs(consortium.hub)
    with runs.begin(
        entry(run.study, run.study, run.attempt, engine="deployment", research=False, out=None)
    ) as one:
        assert one.finish(run.results)
    grid = InProcessGrid(client_app, consortium.paths)
    nodes = {n.name: n.node_id for n in grid.get_nodes()}
    now = [datetime.now(UTC)]
    late = LateWarnings(grid, consortium.hub, clock=lambda: now[0])
    late.turn(nodes)
    assert points(run, "alfa") is None  # the study has only just ended
    now[0] += timedelta(minutes=5)
    late.turn({name: node for name, node in nodes.items() if name != "beta"})
    now[0] += timedelta(minutes=5)
    assert thresholds_missing(consortium.hub, now[0])
    for _ in range(3):
        late.turn(nodes)
    assert {points(run, bank) for bank in ("alfa", "beta")} == {run.results.warning}
    kept = runs.results(runs.find(run.attempt))
    assert not [f for f in kept.findings if f.code == WITHOUT]
    assert not thresholds_missing(consortium.hub, now[0])


def points(run, bank):
    """The threshold that a bank's model of a run serves with."""
    (part,) = (p for p in run.nodes[bank].opened().store.models.parts() if p.attempt == run.attempt)
    return part.warning
