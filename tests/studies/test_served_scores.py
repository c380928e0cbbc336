"""Scores that are served are those of the study, integer for integer, for every enterprise that it scored."""

import numpy as np
import pytest

from fedrisk.models.scorecard import Scorecard
from fedrisk.serving.asking import Asking
from fedrisk.serving.local_relay import LocalRelay
from fedrisk.serving.messages import MOST_ROWS
from support.served import approve_all

SERVING = {"approve": "own_parts", "consent": "none", "per_day": 100_000, "ages": "always"}


@pytest.mark.parametrize(
    ("banks", "holders", "policy"),
    [
        (("alfa",), ("tax", "power"), {}),
        pytest.param(
            ("alfa", "beta", "gama"), ("tax", "power"), {"score_values": 64}, marks=pytest.mark.long
        ),
        (("alfa",), ("tax",), {"scores": "bands"}),
    ],
)
def test_served_scores_are_those_of_the_study(kit, tmp_path, banks, holders, policy):
    run = kit.build(tmp_path, banks, holders, enterprises=1200, policy={"serving": SERVING, **policy}).run()
    approve_all(run)
    paths = {name: node.institution.file for name, node in run.nodes.items()}
    relay = LocalRelay(paths, "none")
    for bank in banks:
        node = run.nodes[bank]
        (part,) = node.store.models.parts()
        study = run.scores(bank)
        ids = study["id"].tolist()
        asking = Asking(node, relay.of(bank))
        sums = [
            asking.ask(part, ids[k : k + MOST_ROWS], purpose=part.purpose)
            for k in range(0, len(ids), MOST_ROWS)
        ]
        assert all((s.failed, s.refused) == ({}, {}) for s in sums)
        points = np.concatenate([s.columns["points"] for s in sums])
        missing = np.concatenate([s.columns["missing"] for s in sums])
        card = Scorecard.from_json(part.calibrated)
        external = card.scaled_points(card.calibration, points)
        assert external.tolist() == study["external_points"].tolist()
        assert (card.base_points + study["own_points"] + external).tolist() == study["score"].tolist()
        # Enterprises that all, some or none of the holders know are among them.
        assert set(range(len(holders) + 1)) == set(missing.tolist())
        assert len(np.unique(points)) > 3
    relay.close()
