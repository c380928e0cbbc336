"""A study leaves a model: each member's own part under one id, made without a message or a charge."""

import numpy as np
import pytest

from fedrisk.analysis.watch.column_months import together
from fedrisk.cli.model_drift import counted_features
from fedrisk.clients.attempt import Attempt
from fedrisk.models.binning import Bins
from fedrisk.models.model_part import ModelPart
from fedrisk.models.own_model import FILE, OwnModel
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.matrices import table_codes
from fedrisk.recipes.scorecard.model_parts import part_of
from fedrisk.serving import registry
from fedrisk.serving.current import CurrentData
from fedrisk.serving.drift import read_drift

POLICY = {"serving": {"approve": "own_parts"}}


@pytest.fixture(scope="module")
def run(kit, scratch):
    """Two banks and two holders; holders approve their own parts by rule."""
    return kit.build(scratch(), ("alfa", "beta"), ("tax", "power"), policy=POLICY).run()


def parts(run):
    return {name: node.store.models.parts() for name, node in run.nodes.items()}


def test_all_members_have_their_part_of_one_model(run):
    found = parts(run)
    assert {name: len(each) for name, each in found.items()} == dict.fromkeys(run.nodes, 1)
    assert len({each[0].model for each in found.values()}) == 1
    for name, (part,) in found.items():
        assert (part.institution, part.name, part.version) == (name, "whole", 1)
        assert (part.banks, part.holders) == (("alfa", "beta"), ("tax", "power"))
        assert part.study == run.study.digest() and part.attempt == run.attempt


def test_a_holder_keeps_what_it_gave_and_a_bank_its_cards(run):
    found = {name: each[0] for name, each in parts(run).items()}
    for name in ("tax", "power"):
        part = found[name]
        assert part.bins and len(part.bins) == len(part.points)
        assert {b["institution"] for b in part.bins} == {name} == {part.role}
        assert part.given is not None and (part.card, part.calibrated) == (None, None)
        assert 1 < part.values <= 512
    for name in ("alfa", "beta"):
        part = found[name]
        assert part.role == "bank" and not part.points and part.given is None
        assert part.calibrated == run.results.card.to_json() != part.card


def test_rows_that_are_looked_up_have_the_codes_of_the_study_and_are_as_its_training_rows(run, tmp_path):
    for name in ("tax", "power"):
        node = run.nodes[name]
        (part,) = node.store.models.parts()
        bins = [Bins.from_dict(dict(b)) for b in part.bins]
        assert [len(s) for s in part.shares] == [b.size for b in bins]
        assert [sum(s) for s in part.shares] == pytest.approx([1.0] * len(bins))
        table, data = node.institution.read(), CurrentData.open(node.institution, tmp_path / name)
        found = data.rows([*table.ids, "unknown"])
        codes, usable = found.codes(bins, found.known)
        data.close()
        assert (codes == table_codes(table.frame, bins)).all() and usable[:-1].all() and not usable[-1]
        counted = read_drift(tmp_path / name).bins
        assert {s.rows for s in together(*counted_features(part), counted)} == {len(codes)}


def test_a_part_follows_from_what_the_attempt_kept(run):
    """Also after the study, when its secrets are gone: this is what an approval looks at."""
    for node in run.nodes.values():
        (part,) = node.store.models.parts()
        again = part_of(Attempt(node, node.store.attempt(run.attempt)))
        assert ModelPart.from_bytes(again.to_bytes()) == part


def test_own_parts_are_approved_by_rule(run):
    for name, node in run.nodes.items():
        (part,) = node.store.models.parts()
        assert node.store.models.state(part.model).name == "approved"
        (entry,) = [e for e in node.trail.entries() if e.kind.startswith("model")]
        assert (entry.kind, entry.study, entry.counterparty) == ("model_approved_by_rule", "whole", name)
    tax = run.nodes["tax"]
    assert registry.served(tax, part.model, "alfa").institution == "tax"


def test_own_models_are_kept_and_say_the_same_of_a_row(run):
    """Champion, best, personal and alone, for all rows and for one, as in the study's own file of scores."""
    for name in ("alfa", "beta"):
        node = run.nodes[name]
        (part,) = node.store.models.parts()
        kept = OwnModel.from_bytes(node.store.models.file(part.model, FILE))
        scores = run.scores(name)
        table = node.institution.read()
        assert table.ids.tolist() == scores["id"].tolist()
        card = Scorecard.from_json(part.calibrated)
        mine = [b for b in card.bins if b.feature.institution == "bank"]
        codes = [b.codes(table.frame[b.feature.column]) for b in mine]
        external = scores["external_points"].to_numpy()
        every = kept.probability(card, table.frame, codes, external)
        assert set(every) == {"alone", "personal", "champion", "best"}
        for model, probability in every.items():
            assert np.abs(probability - scores[f"{model}_probability"]).max() < 1e-12
        for row in (0, 7):
            some = slice(row, row + 1)
            one = kept.probability(card, table.frame.iloc[some], [c[some] for c in codes], external[some])
            assert all(abs(p[0] - every[model][row]) < 1e-12 for model, p in one.items())
