"""An operating health index from end to end: a study of histories, then months of it by one question."""

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.node import Node
from fedrisk.models.scorecard import Scorecard
from fedrisk.serving import registry
from fedrisk.serving.asking import Asking
from fedrisk.serving.index import index_answers
from fedrisk.serving.index_forms import IndexRequest
from fedrisk.serving.local_relay import LocalRelay
from support import indexed
from support.served import approve_all


class World:
    """A finished study whose index is approved everywhere and deployed at the bank."""

    def __init__(self, run):
        self.run = run
        approve_all(run)
        self.paths = {name: node.institution.file for name, node in run.nodes.items()}
        self.node = Node.open(self.paths["alfa"])
        (self.part,) = self.node.store.models.parts()
        registry.deploy(self.node, self.part.model, as_="champion", who="ann")
        self.relay = LocalRelay(self.paths, "alfa")
        self.asking = Asking(self.node, self.relay)

    def ask(self, ids, months=18, **more):
        return index_answers(self.node, self.asking, IndexRequest(ids=tuple(ids), months=months, **more))[0]


@pytest.fixture(scope="module")
def world(kit, scratch):
    with pytest.MonkeyPatch.context() as patch:
        folder = scratch()
        patch.setenv("FEDRISK_HOME", str(folder / "home"))
        found = World(indexed.consortium(kit, folder).run())
        yield found
        found.relay.close()


def test_banks_bring_labels_alone_and_the_scale_is_a_percentile_of_the_scores(world):
    card = Scorecard.from_json(world.part.card)
    assert not [b for b in card.bins if b.feature.institution == "bank"]
    assert set(world.part.index.moving) == {"tax.fall", "tax.gaps", "power.fall", "power.unsteady"}
    assert world.part.index.still == ("tax.audited",)
    scores = world.run.scores("alfa")
    base = card.base_points
    ids = scores["id"].tolist()[:600]
    found = world.ask(ids, months=1)
    index = np.array([a.index for a in found])
    assert world.part.values <= 101
    # A percentile: spread evenly over the enterprises that it was made of, within its stated error and the draw.
    shares = np.array([np.mean(index <= k) for k in (25, 50, 75)])
    assert np.abs(shares - (0.25, 0.5, 0.75)).max() < 0.08
    # The same order as the study's own scores.
    order = scores["score"].to_numpy()[:600]
    assert (np.diff(index[np.argsort(order, kind="stable")]) >= 0).all() and base == card.base_points


def test_one_question_gives_all_months_that_everybody_knows(world):
    _, months = indexed.tables(1500)
    (answer,) = world.ask([months["tax"]["id"].iloc[0]])
    # Histories of 12 months, of which columns look at 6: this month and 6 before it.
    assert [m.ago for m in answer.months] == list(range(7))
    assert answer.words.startswith("7 months are told, of 18")
    assert all(0 <= m.index <= 100 and m.themes == {} for m in answer.months)


def test_an_earlier_month_is_what_was_said_then(world):
    """The same table cut off three months before gives now what the whole one gives of three months ago."""
    ids = world.run.scores("alfa")["id"].tolist()[:200]
    before = {a.id: a.months[3].index for a in world.ask(ids, months=4)}
    files = {name: world.paths[name].parent / f"{name}_months.parquet" for name in indexed.SERIES}
    whole = {name: file.read_bytes() for name, file in files.items()}
    for file in files.values():
        frame = pd.read_parquet(file)
        values = np.full((len(frame), indexed.HISTORY), np.nan)
        values[:, 3:] = frame.iloc[:, 1:-3]
        frame.iloc[:, 1:] = values
        frame.to_parquet(file, index=False)
    relay = LocalRelay(world.paths, "alfa")
    request = IndexRequest(ids=tuple(ids), months=1)
    now, _ = index_answers(world.node, Asking(world.node, relay), request)
    relay.close()
    for name, file in files.items():
        file.write_bytes(whole[name])
    assert {a.id: a.index for a in now} == before
