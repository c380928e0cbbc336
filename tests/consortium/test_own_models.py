"""A bank's own models between machines: made by a process of the node once the study is over, also after a kill."""

import pytest

from fedrisk.clients.own_results import entry_of
from sim_institutions.processes import wait_until
from support.deployed import Deployed

pytestmark = [pytest.mark.study, pytest.mark.long]


def finished(consortium: Deployed, *, again: bool = False) -> str:
    proposal = consortium.submit(again=again)
    consortium.approve(proposal)
    return consortium.finished(proposal).name


def settled(consortium: Deployed, attempt: str) -> None:
    """Wait until the bank's own models are there; nothing is kept any more of what they were made from."""
    node = consortium.joined.node("bank")
    folder = node.store.path / "attempts" / attempt

    def made() -> bool:
        entry = entry_of(node, attempt)
        return not entry.owed and "champion" in entry.models

    wait_until("own models are there", made, consortium.serving["bank"], 300)
    assert not (folder / "secrets").exists() and not list(folder.glob("*.npy")), list(folder.iterdir())
    assert (node.store.path / "results" / attempt / "own_figures.json").exists()
    assert [part.attempt for part in node.store.models.parts() if part.attempt == attempt] == [attempt]
    assert not [e for e in node.store.errors.of(attempt) if e["action"] == "own_models"]


def test_a_node_makes_them_by_itself_and_again_after_a_kill(start):
    consortium: Deployed = start()
    consortium.serve()
    settled(consortium, finished(consortium))

    attempt = finished(consortium, again=True)
    # As if the machine lost its power: the node and the process that fits, if it has begun.
    fitting = [pid for pid, words in consortium.children("bank") if " fetch " in words]
    consortium.kill("bank")
    assert len(fitting) <= 1
    consortium.serve("bank")
    settled(consortium, attempt)
    assert set(consortium.stop().values()) == {0}
