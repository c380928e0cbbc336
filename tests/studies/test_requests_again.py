"""A hub that sends requests again: later, in another order, otherwise, after the end. One answer, one charge."""

import numpy as np
import pytest

from fedrisk.clients.app import app as client_app
from fedrisk.clients.attempt import Attempt, View
from fedrisk.clients.outlet import Charges
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import ProtocolError
from fedrisk.protocol.common_view import split, with_parts
from fedrisk.protocol.payload import Payload, from_record, pack, request

pytestmark = pytest.mark.study

NOISY = {"edges", "release", "calibrate", "deliver", "step"}


class Again:
    """Asks nodes of a consortium beside its study, as a hub may."""

    def __init__(self, consortium):
        self.grid = InProcessGrid(client_app, consortium.paths)

    def ask(self, name, action, payload):
        (node,) = [n.node_id for n in self.grid.get_nodes() if n.name == name]
        (reply,) = self.grid.send_and_receive([request(payload, action, node, ttl=60)])
        return from_record(reply.content)


def ledger(consortium):
    return {name: [e.spend for e in node.ledger.entries()] for name, node in consortium.nodes.items()}


def with_codes(record, name, payload):
    """A request of before with the confirmations that the others have given since: without them it is refused."""
    own, parts, _ = split(payload)
    codes = {
        other: {"number": said["number"], "code": said["codes"][name]}
        for other, said in record._codes.items()
        if other != name and name in said["codes"]
    }
    return with_parts(own, parts, codes)


def same_numbers(one, other):
    """Whether two answers tell the hub the same: all arrays, which are what it can read."""
    arrays = [{n: b for n, b in a.blobs.items() if isinstance(b, np.ndarray)} for a in (one, other)]
    return arrays[0].keys() == arrays[1].keys() and all(
        np.array_equal(arrays[0][name], arrays[1][name]) for name in arrays[0]
    )


def test_earlier_requests_in_any_order_give_the_same_numbers_and_cost_nothing(kit, tmp_path):
    """After every exchange those of before come again, the newest first; the study then goes on."""
    consortium = kit.build(tmp_path, ["alfa", "beta"], ["tax", "power"], enterprises=700)
    there, seen = Again(consortium), []

    def change(record, step):
        before = ledger(consortium)
        for earlier in reversed(record.steps[1:-1]):
            for name, payload in earlier.sent.items():
                again = there.ask(name, earlier.action, with_codes(record, name, payload))
                assert again.refusal is None, (earlier.action, name)
                assert same_numbers(again, earlier.answers[name]), earlier.action
                seen.append(earlier.action)
            if any(split(payload)[1] for payload in earlier.sent.values()):
                # What is older was sealed before all were told this, and does not open any more.
                break
        assert ledger(consortium) == before

    run = consortium.run(change=change)
    assert {"blind", "pseudonyms", "edges", "mask", "release", "score"} <= set(seen)
    assert run.results.auc is not None
    spends = ledger(consortium)
    for made in spends.values():
        assert len({(spend.attempt, spend.release) for spend in made}) == len(made)
    # After the end: what was answered may come again, and nothing else.
    run.exchange.close()
    for step in run.steps[1:]:
        for name, payload in step.sent.items():
            again = there.ask(name, step.action, payload)
            assert again.refusal is not None or same_numbers(again, step.answers[name])
    assert ledger(consortium) == spends


@pytest.mark.parametrize("action", ["edges", "mask", "release"])
def test_a_request_with_other_content_after_a_fault_is_refused(kit, tmp_path, action, monkeypatch):
    """The answer is lost on the node's full disk, after masks and noise were drawn; the hub asks for something else."""
    from fedrisk.clients.store.attempt_store import AttemptStore

    consortium = kit.build(tmp_path, ["alfa"], ["tax"], enterprises=700)
    there, found = Again(consortium), []
    keep = AttemptStore.keep_answer

    def full(self, asked, answer):
        raise OSError(28, "No space left on device")

    def change(record, step):
        if step.action != action or found:
            return
        payload = step.sent["tax"]
        monkeypatch.setattr(AttemptStore, "keep_answer", full)
        assert there.ask("tax", action, payload).refusal == "later"
        monkeypatch.setattr(AttemptStore, "keep_answer", keep)
        before = ledger(consortium)
        name = next(n for n in payload.blobs if not n.startswith("common/"))
        blob = payload.blobs[name]
        other = (
            blob[::-1].copy() if isinstance(blob, np.ndarray) else bytes(blob[:-1]) + bytes([blob[-1] ^ 1])
        )
        if isinstance(other, np.ndarray) and np.array_equal(other, blob):
            other = blob + blob.dtype.type(1)
        bent = Payload(payload.body, {**dict(payload.blobs), name: other})
        found.append(there.ask("tax", action, bent).refusal)
        assert ledger(consortium) == before

    with pytest.raises(Exception, match="refused by"):
        consortium.run(change=change)
    assert found in (["protocol"], ["envelope"])


def test_a_part_that_was_cut_off_half_way_was_never_told(consortium):
    """It lies on the disk before the view has it: a hub could then leave it out, and tell the others another one."""
    from fedrisk.clients.node import Node
    from fedrisk.clients.store.attempt_store import Begun

    node = Node.open(consortium.paths["tax"])
    state = node.store.begin("c" * 16, Begun(study={}, research_seed=None))
    state.put_message("told_order", pack(Payload({"x": 1})))
    with pytest.raises(ProtocolError, match="never told part order"):
        Attempt(node, state).told("order")
    state.save(View(digests=("d",), names=("order",)))
    assert Attempt(node, state).told("order").get("x") == 1
    assert state.find(Charges) is None
