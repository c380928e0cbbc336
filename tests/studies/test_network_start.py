"""A network that begins at an earlier study's scorecard: nothing is released twice, and no member takes another start."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from fedrisk.clients import own_results
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.own_rows import own_rows
from fedrisk.errors import ConfigError, PeerError
from fedrisk.models.knowledge_file import from_bytes, to_bytes
from fedrisk.models.network import NetworkDesign, logits
from fedrisk.models.network_inputs import encode
from fedrisk.models.prior import Prior
from fedrisk.models.scorecard import FACTOR
from fedrisk.models.trainable import TrainedModel
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.network.node import own_bins
from fedrisk.report.bank import bank_figures, bank_page

pytestmark = pytest.mark.study

BANKS = ("alfa", "beta")
POLICY = {"recipes": ["scorecard", "network"]}


@pytest.fixture(scope="module")
def consortium(kit, scratch):
    study = {"expected": {"default_rate": 0.2}, "training": {}}
    return kit.build(scratch() / "start", BANKS, (), enterprises=900, policy=POLICY, study=study)


@pytest.fixture(scope="module")
def card(consortium):
    return consortium.run(consortium.with_study(name="first_card")).results.card


@pytest.fixture(scope="module")
def file(card, scratch):
    path = scratch() / "scorecard.json"
    path.write_text(card.to_json())
    return path


def begun_at(consortium, file, name="begun", **network):
    return consortium.with_study(
        name=name, recipe="network", network={"start": str(file), **network}, training={"steps": 2}
    )


def charged(consortium):
    return {name: len(list(node.ledger.entries())) for name, node in consortium.nodes.items()}


@pytest.fixture(scope="module")
def run(consortium, file):
    return consortium.run(begun_at(consortium, file))


def test_the_study_states_the_start_and_edges_are_taken_over(run, card):
    known = run.study.settings["known"]
    assert run.study.settings["kind"] == "products"
    assert known["source"] == "scorecard of study first_card (scorecard.json)"
    assert known["intercept"] == card.intercept
    assert run.plan.find("edges") is None and run.results.record.find("edges") is None
    (said,) = [f for f in run.results.findings if f.code == "start_used"]
    assert said.values["fit"] == said.values["features"] == len(card.bins)


def test_the_first_weights_are_the_card(run, card):
    """Points are whole numbers, so both are the same but for single precision."""
    design = NetworkDesign.from_dict(TrainedModel.from_bytes(run.results.network).design)
    assert design.products is not None
    first = next(s for s in run.steps if s.action == "step")
    weights = next(iter(first.sent.values())).array("weights")
    node = run.nodes["alfa"]
    attempt = Attempt(node, node.store.attempt(run.attempt))
    frame, bins = attempt.read().frame, own_bins(attempt)
    columns = [b.feature.column for b in card.bins]
    assert [b.feature.column for b in bins] == columns
    codes = [b.codes(frame[b.feature.column]) for b in card.bins]
    expected = card.intercept + sum(
        (average - np.asarray(points)[c]) / FACTOR
        for points, average, c in zip(card.points, card.averages, codes, strict=True)
    )
    got = logits(design, weights, encode(frame, bins))
    np.testing.assert_allclose(expit(got), expit(expected), atol=1e-4)


def test_a_banks_page_of_a_network_has_probabilities_alone(run):
    node = run.nodes["alfa"]
    rows = own_rows(node, own_results.find(node, run.attempt), own_results.Said())
    page = bank_page(rows, figures=bank_figures(rows))
    assert rows.main == "shared" and "probabilities alone" in page and "Points by bin" not in page


def test_another_start_than_the_study_states_is_refused_before_anything_is_charged(kit, consortium, file):
    before = charged(consortium)

    def other(content):
        known = from_bytes(content.array("file").tobytes())
        first, *rest = known.prior.curves
        moved = replace(first, shift=tuple(v + 0.1 for v in first.shift))
        changed = replace(known, prior=Prior(source=known.prior.source, curves=(moved, *rest)))
        return Payload({}, {"file": np.frombuffer(to_bytes(changed), np.uint8)})

    with pytest.raises(PeerError, match="edges"):
        consortium.run(
            begun_at(consortium, file, "other_start"),
            change=lambda record, step: kit.retold(step, "start", other),
        )
    assert charged(consortium) == before
    said = consortium.nodes["alfa"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert "not what the study states of it" in said


def test_a_card_without_privacy_is_no_start(consortium, card, tmp_path):
    path = tmp_path / "research.json"
    path.write_text(replace(card, notice="no privacy").to_json())
    with pytest.raises(ConfigError, match="research run"):
        consortium.run(begun_at(consortium, path, "of_research"))
