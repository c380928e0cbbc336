"""Hub and nodes of different versions in one study: it runs in a common protocol, or nothing is charged."""

import re
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from fedrisk.clients.app import app as client_app
from fedrisk.clients.node import Node
from fedrisk.engine.in_process import register
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import recipe_of
from fedrisk.server.desk import Desk
from fedrisk.server.exchange import Exchange
from fedrisk.server.proposals import Proposals
from fedrisk.server.roster import agree
from fedrisk.server.run import new_attempt, run_study
from fedrisk.study import FORMAT
from support.consortium import joined


@contextmanager
def of_version(protocol):
    """A side that speaks a protocol and the one before."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(versions, "PROTOCOL", protocol))
        supported = frozenset(range(max(1, protocol - 1), protocol + 1))
        stack.enter_context(patch.object(versions, "SUPPORTED", supported))
        yield


class Asked(list):
    """Protocols in which nodes were asked, in order, each once."""

    def add(self, protocol):
        if protocol not in self:
            self.append(protocol)


def grid_of(consortium, nodes, *, joined=False):
    """Nodes of versions by name (`nodes[""]` for all else), and the protocols in which they are asked."""
    asked = Asked()
    if not joined:
        register(consortium.nodes, consortium.hub)

    def answer(message, context):
        name = Node.load(context.node_config["institution"]).name
        asked.add(message.content.config_records["body"]["protocol"])
        with of_version(nodes.get(name, nodes[""])):
            return client_app(message, context)

    return InProcessGrid(answer, consortium.paths), asked


def run(consortium, study, *, hub, nodes):
    """The study with a hub of one version, and nodes of others by name."""
    grid, asked = grid_of(consortium, nodes)
    with of_version(hub):
        results = run_study(grid, study, recipe_of(study), consortium.hub, engine="in-process", timeout=60.0)
    return results, asked


def charged(consortium):
    return {
        name: node.ledger.figures()[0]
        for name, node in consortium.nodes.items()
        if node.store.ledger_path.exists()
    }


@pytest.fixture
def consortium(kit, tmp_path):
    return kit.build(tmp_path, ["alfa"], ["tax"], enterprises=1200)


@pytest.mark.sampled(2)
@pytest.mark.study
@pytest.mark.parametrize(
    ("hub", "nodes", "protocols"),
    [
        (2, {"": 1}, [2, 1]),  # the hub was upgraded first
        (1, {"": 2}, [1]),  # the nodes were, as it should be
        (3, {"": 3, "tax": 2}, [3, 2]),  # one node is behind
        (2, {"": 2, "tax": 3}, [2]),  # one node is ahead
        (3, {"": 2, "tax": 4}, None),  # each speaks with the hub, and not with each other
    ],
)
def test_versions_next_to_each_other_work_together(consortium, hub, nodes, protocols):
    if protocols is None:
        with pytest.raises(VersionError, match="the members speak no common protocol"):
            run(consortium, consortium.study, hub=hub, nodes=nodes)
        assert not any(charged(consortium).values())
        return
    results, asked = run(consortium, consortium.study, hub=hub, nodes=nodes)
    assert results.auc is not None
    assert asked == protocols


@pytest.mark.parametrize(
    ("hub", "nodes", "said", "at_home"),
    [
        (
            3,
            {"": 3, "tax": 1},
            "tax .* speaks protocol 1 only, .* 2 and 3; upgrade fedrisk at tax",
            "upgrade fedrisk here",
        ),
        (
            1,
            {"": 1, "tax": 3},
            "tax .* speaks protocol 2 and 3, .* 1 only; upgrade fedrisk at the hub",
            "at the hub has to",
        ),
    ],
)
def test_versions_further_apart_are_refused_before_anything_is_charged(consortium, hub, nodes, said, at_home):
    with pytest.raises(VersionError, match=said):
        run(consortium, consortium.study, hub=hub, nodes=nodes)
    assert not any(charged(consortium).values())
    (log,) = [node.store.errors.of("none") for name, node in consortium.nodes.items() if name == "tax"]
    assert re.search(at_home, log[-1]["text"])


@pytest.mark.study
def test_the_study_goes_on_without_an_optional_member_of_another_version(kit, tmp_path):
    consortium = kit.build(tmp_path, ["alfa"], ["tax", "power"], enterprises=1200)
    members = [{"name": n, "role": "bank" if n == "alfa" else "holder"} for n in ("alfa", "tax", "power")]
    study = consortium.with_study(institutions=[{**m, "optional": m["name"] == "power"} for m in members])
    results, _ = run(consortium, study, hub=3, nodes={"": 3, "power": 1})
    assert results.left_out == ("power",)


def test_a_study_of_a_later_format_is_refused_by_nodes_that_do_not_read_it(consortium):
    register(consortium.nodes, consortium.hub)
    later = consortium.study.model_copy(update={"format": FORMAT + 1})
    exchange = Exchange(InProcessGrid(client_app, consortium.paths), new_attempt(), timeout=60.0)
    with pytest.raises(
        VersionError,
        match=f"up to format {FORMAT}, and this one has format {FORMAT + 1}; upgrade fedrisk at",
    ):
        agree(exchange, later, consortium.hub, None)
    assert not any(charged(consortium).values())
    for node in consortium.nodes.values():
        assert (
            f"study has format {FORMAT + 1}, and this version"
            in node.store.errors.of(exchange.attempt)[-1]["text"]
        )


@pytest.mark.study
def test_a_hub_that_changes_the_protocol_within_an_attempt_is_refused(consortium):
    """Members were told one protocol alike; one of them is then asked in another."""

    def change(record, step):
        if step.action == "pseudonyms":
            record.post.protocol = 1

    with of_version(2), pytest.raises(VersionError, match="in exchange 4, pseudonyms"):
        consortium.run(change=change)
    assert not any(charged(consortium).values())
    said = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)[-1]["text"]
    assert "asks in protocol 1, and all were told that this attempt runs in protocol 2" in said


def test_a_hub_that_tells_another_protocol_than_it_writes_is_refused(kit, consortium):
    def change(record, step):
        kit.retold(step, "members", lambda p: Payload({**p.body, "protocol": 2}, p.blobs))

    with pytest.raises(VersionError, match="in exchange 2, blind"):
        consortium.run(change=change)


@pytest.mark.parametrize(("hub", "state", "code"), [(2, "waiting", None), (3, "refused", "version")])
def test_a_proposal_is_told_in_a_protocol_that_the_node_speaks(consortium, tmp_path, hub, state, code):
    grid, _ = grid_of(consortium, {"": 1}, joined=True)
    roles = {member.name: member.role for member in consortium.study.institutions}
    pilot = joined(tmp_path / "joined", roles, institutions=consortium.paths)
    now = datetime.now(UTC)
    proposals = Proposals(pilot.hub)
    told = proposals.submit(consortium.study, now=now)
    with of_version(hub):
        desk = Desk(grid, pilot.hub, proposals, None, clock=lambda: now)
        for _ in range(3):
            now += timedelta(seconds=5)
            desk.turn()
    answer = proposals.find(told.id).answers["tax"]
    assert (answer.state, answer.code) == (state, code)
