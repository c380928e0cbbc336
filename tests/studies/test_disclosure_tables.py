"""Who saw what, from tables that each member signs: complete, compared, and nobody can bend them unseen."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

import fedrisk as package
from fedrisk.audit.crosscheck import crosscheck, disclosures
from fedrisk.audit.table import SignedTable, lines_of
from fedrisk.clients import hand_over
from fedrisk.clients.app import app as client_app
from fedrisk.engine.handed_over import compare
from fedrisk.engine.in_process import load_nodes
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.findings import Finding
from fedrisk.protocol.payload import Payload
from fedrisk.report.text import main_figures
from fedrisk.server.hub import Hub
from fedrisk.server.late_tables import LateTables
from fedrisk.server.results import TABLES_FILE, Results
from fedrisk.server.runs import Runs
from fedrisk.server.tables import PATIENCE
from support.long import sampled

pytestmark = [pytest.mark.study, pytest.mark.usefixtures("unplotted")]


def run(consortium, tmp_path):
    return package.run(consortium.study_file, out=tmp_path / "out")


def serving(monkeypatch, change):
    """Whoever serves a message on this machine is asked first: (institution, action, serve) -> answer."""
    serve = InProcessGrid._serve

    def other(grid, message):
        context = grid._contexts[message.metadata.dst_node_id]
        name = context.node_config["institution"].rpartition("/")[2].removesuffix(".toml")
        return change(
            name, message.metadata.message_type.rpartition(".")[2], message, lambda m: serve(grid, m)
        )

    monkeypatch.setattr(InProcessGrid, "_serve", other)


def away(monkeypatch, who, *actions):
    """A node that is not there when it is asked for these actions."""

    def change(name, action, message, serve):
        if name == who and action in actions:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE, "away"), reply_to=message)
        return serve(message)

    serving(monkeypatch, change)


def lying(monkeypatch, who, change):
    """A node that signs other lines than its trail has."""

    def other(entries, attempt):
        lines = lines_of(entries, attempt)
        return change(lines) if lines and lines[0].institution == who else lines

    monkeypatch.setattr(hand_over, "lines_of", other)


def test_tables_say_what_the_trails_say_and_lie_with_the_results(consortium, tmp_path):
    results = run(consortium, tmp_path)
    nodes = load_nodes(consortium.paths)
    trails = {name: list(node.trail.entries()) for name, node in nodes.items()}
    rows = [r for r in disclosures(chain(*trails.values()), results.attempt) if r.kind != "disclosure_table"]
    assert [(d.institution, d.kind, d.bytes, d.count) for d in results.disclosures] == [
        (r.institution, r.kind, r.bytes, r.count) for r in rows
    ]
    assert results.disagreements == () == tuple(crosscheck(trails, results.attempt))
    for folder in (tmp_path / "out", Runs(Hub.default()).path / results.attempt):
        back = Results.load(folder)
        assert back.tables == results.tables and len(back.tables) == 3
        assert all(t.holds(nodes[t.institution].store.identity.public) for t in back.tables)
        found = compare(folder)
        assert found.ok and found.attempts == (results.attempt,) and not found.absent
    # Every part in the attempt is over, and each trail says that the table was handed over.
    for node in nodes.values():
        assert not list((node.store.path / "attempts").glob("*/secrets/*"))
        (told,) = node.trail.entries(event="answer", kind="disclosure_table")
        assert told.attempt == results.attempt and told.counterparty == "hub"


@pytest.mark.long
def test_tables_are_no_exchange_of_the_study(consortium, tmp_path):
    asked = []
    results = package.run(consortium.study_file, out=tmp_path / "out", report=lambda n, a, w: asked.append(a))
    assert "disclosures" not in asked and len(asked) == results.exchanges


def test_a_node_whose_table_is_not_its_trail_is_found_by_the_others(consortium, tmp_path, monkeypatch):
    def other(lines):
        k = next(k for k, line in enumerate(lines) if line.event == "sent" and line.counterparty == "bank")
        return (*lines[:k], replace(lines[k], bytes=lines[k].bytes + 1), *lines[k + 1 :])

    lying(monkeypatch, "tax", other)
    results = run(consortium, tmp_path)
    (found,) = results.disagreements
    assert found.code == "trails_different" and found.values["differs"] == "bytes"
    assert (found.values["sender"], found.values["receiver"]) == ("tax", "bank")
    assert "differ in bytes" in str(main_figures(results).renderables[-1])
    assert results.auc is not None
    assert not compare(tmp_path / "out").ok
    # Its own trail, once it is handed over, says so of it alone.
    folder = tmp_path / "handed"
    hand(consortium, "tax", folder)
    (folder / TABLES_FILE).write_bytes((tmp_path / "out" / TABLES_FILE).read_bytes())
    told = compare(folder)
    assert [f for _, f in told.disagreements] == [Finding("table_not_of_trail", {"institution": "tax"})]


def hand(consortium, name, folder):
    """``fedrisk audit export`` at one institution."""
    from typer.testing import CliRunner

    from fedrisk.cli import app

    done = CliRunner().invoke(app, ["audit", "export", str(consortium.paths[name]), "--to", str(folder)])
    assert done.exit_code == 0, done.output


@pytest.mark.long
def test_a_node_that_leaves_a_line_out_is_found(consortium, tmp_path, monkeypatch):
    lying(monkeypatch, "power", lambda lines: tuple(e for e in lines if e.event != "received"))
    found = run(consortium, tmp_path).disagreements
    assert found and {f.code for f in found} == {"trails_missing"}
    assert {f.values["receiver"] for f in found} == {"power"}


def test_a_node_that_is_away_at_the_end_costs_nothing_but_its_table(consortium, tmp_path, monkeypatch):
    away(monkeypatch, "tax", "close", "disclosures")
    results = run(consortium, tmp_path)
    assert results.findings[-1] == Finding("table_missing", {"institution": "tax", "code": "peer"})
    assert {t.institution for t in results.tables} == {"bank", "power"}
    assert results.auc is not None and results.disagreements == ()
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.search(r"not compared, as there is no table</th><td[^>]*>tax</td>", page)
    found = compare(tmp_path / "out")
    assert found.ok and found.absent == ((results.attempt, "tax"),)
    assert PATIENCE <= 60


def answers(monkeypatch, who, change):
    """A node whose answer with its table is changed on its way."""

    def other(name, action, message, serve):
        answer = serve(message)
        if name == who and action == "disclosures":
            body = json.loads(str(answer.content.config_records["body"]["json"]))
            answer.content.config_records["body"]["json"] = json.dumps(change(body))
        return answer

    serving(monkeypatch, other)


FOREIGN = {
    "malformed": lambda body: {"table": {**body["table"], "lines": [["x"]]}},
    "no table": lambda body: {},
    "no object": lambda body: {"table": [1, 2]},
    "of no member": lambda body: {
        "table": {**body["table"], "lines": [[0, "sent", "<b>court", *body["table"]["lines"][0][3:]]]}
    },
    "changed on its way": lambda body: {"table": {**body["table"], "study": "another"}},
}


@pytest.mark.parametrize("what", sampled(FOREIGN, 3))
def test_a_table_that_is_no_table_of_its_member_is_a_finding(consortium, tmp_path, monkeypatch, what):
    answers(monkeypatch, "tax", FOREIGN[what])
    results = run(consortium, tmp_path)
    assert results.findings[-1] == Finding("table_missing", {"institution": "tax", "code": "envelope"})
    assert "court" not in (tmp_path / "out" / "metrics.json").read_text()
    assert results.auc is not None


def test_nobody_hands_over_another_ones_table(consortium, tmp_path, monkeypatch):
    seen = []

    def change(name, action, message, serve):
        if action == "disclosures" and name in ("bank", "tax"):
            answer = serve(message)
            seen.append(answer)
            if name == "tax":
                answer.content.config_records["body"]["json"] = seen[0].content.config_records["body"]["json"]
            return answer
        return serve(message)

    serving(monkeypatch, change)
    results = run(consortium, tmp_path)
    assert results.not_compared == ("tax",)


# --- a hub that lies ----------------------------------------------------------------------------------------


def drop_table(folder):
    """And no word of it."""
    file = folder / TABLES_FILE
    content = json.loads(file.read_bytes())
    content["tables"] = [t for t in content["tables"] if t["institution"] != "tax"]
    file.write_text(json.dumps(content))


def alter_results(folder):
    file = folder / "metrics.json"
    content = json.loads(file.read_bytes())
    content["disclosures"] = [d for d in content["disclosures"] if d["kind"] != "partial_scores"]
    file.write_text(json.dumps(content))


def alter_table(folder):
    file = folder / TABLES_FILE
    content = json.loads(file.read_bytes())
    content["tables"][0]["lines"].pop()
    file.write_text(json.dumps(content))


def sign_anew(folder):
    """A whole table of the hub's own making, for a member."""
    from fedrisk.audit.log import AuditLog
    from fedrisk.audit.signed_head import Stated
    from fedrisk.secure.identity import IdentityKey

    file = folder / TABLES_FILE
    content = json.loads(file.read_bytes())
    (k,) = [k for k, t in enumerate(content["tables"]) if t["institution"] == "tax"]
    old, key = SignedTable.from_dict(content["tables"][k]), IdentityKey.generate()
    log = AuditLog(folder / "made" / "audit.jsonl", key, "tax")
    log.append([{"action": "x", "event": "request", "counterparty": "hub"}] * old.head.count)
    head = log.signed_head(Stated(entries=1, lifetime_mu=1.0, attempt=old.attempt))
    content["tables"][k] = SignedTable.sign(old.study, old.attempt, head, old.lines, key).to_dict()
    file.write_text(json.dumps(content))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("lie", "code"),
    [
        (drop_table, "results_not_of_tables"),
        (alter_results, "results_not_of_tables"),
        (alter_table, "table_broken"),
        (sign_anew, "key_not_pinned"),
    ],
)
def test_a_hub_that_bends_what_was_signed_is_found_by_whoever_compares(
    consortium, tmp_path, lie, code, fedrisk
):
    run(consortium, tmp_path)
    out = tmp_path / "out"
    check = ("audit", "compare", out, "--institution", consortium.paths["bank"])
    assert fedrisk(*check)[0] == 0
    lie(out)
    node = load_nodes(consortium.paths)["bank"]
    found = compare(out, node.store.pins)
    assert code in {f.code for f in [*found.broken, *(f for _, f in found.disagreements)]}
    assert fedrisk(*check)[0] == 1


def test_a_folder_with_neither_is_said_to_hold_nothing(fedrisk, tmp_path):
    code, _, err = fedrisk("audit", "compare", tmp_path)
    assert code == 3 and "neither a trail" in err
    (tmp_path / TABLES_FILE).write_text('{"tables": [{"lines": 3}]}')
    code, _, err = fedrisk("audit", "compare", tmp_path)
    assert code == 3 and "is damaged" in err


@pytest.mark.long
def test_who_had_no_part_hands_over_nothing(consortium, tmp_path):
    from fedrisk.clients.hand_over import hand_over as serve
    from fedrisk.errors import ProtocolError
    from fedrisk.protocol.payload import Payload

    run(consortium, tmp_path)
    with pytest.raises(ProtocolError, match="had no part"):
        serve(load_nodes(consortium.paths)["tax"], Payload({"attempt": "ab" * 16}))


@pytest.mark.long
def test_an_answer_that_cannot_be_read_costs_no_other_members_table(consortium, tmp_path, monkeypatch):
    def change(name, action, message, serve):
        answer = serve(message)
        if name == "tax" and action == "disclosures":
            answer.content.config_records["body"]["json"] = "[1, 2"
        return answer

    serving(monkeypatch, change)
    results = run(consortium, tmp_path)
    assert results.findings[-1] == Finding("table_missing", {"institution": "tax", "code": "protocol"})
    assert {t.institution for t in results.tables} == {"bank", "power"}


# --- a member that was away is asked again -------------------------------------------------------------------


class Clock:
    """A time that a test moves."""

    def __init__(self):
        self.now = datetime.now(UTC)

    def __call__(self):
        return self.now


def late(consortium, clock):
    """The hub's rounds over a grid of this machine, and the nodes by name."""
    hub = Hub.default()
    grid = InProcessGrid(client_app, consortium.paths)
    nodes = {n.name: n.node_id for n in grid.get_nodes()}
    return LateTables(grid, hub, clock=clock), nodes


def kept(attempt):
    runs = Runs(Hub.default())
    return runs.results(runs.find(attempt))


def test_a_table_that_was_missing_comes_late(consortium, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        away(patch, "tax", "close", "disclosures")
        first = run(consortium, tmp_path)
    clock = Clock()
    rounds, nodes = late(consortium, clock)
    rounds.turn(nodes)
    rounds.turn(nodes)
    assert kept(first.attempt).not_compared == ("tax",)  # the study has only just ended
    for _ in range(2):
        clock.now += timedelta(minutes=5)
        rounds.turn({name: node for name, node in nodes.items() if name != "tax"})
        rounds.turn(nodes)
    clock.now += timedelta(minutes=5)
    rounds.turn(nodes)
    rounds.turn(nodes)
    whole = kept(first.attempt)
    assert whole.not_compared == () == whole.disagreements and whole.findings == first.findings[:-1]
    assert len(whole.tables) == 3 and whole.auc == first.auc
    assert compare(Runs(Hub.default()).path / first.attempt).ok
    # And nobody is asked once more.
    before = [len(list(node.trail.entries())) for node in load_nodes(consortium.paths).values()]
    clock.now += timedelta(minutes=5)
    rounds.turn(nodes)
    assert before == [len(list(node.trail.entries())) for node in load_nodes(consortium.paths).values()]


@pytest.mark.long
def test_a_late_table_that_is_no_table_of_its_member_is_not_taken(consortium, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        away(patch, "tax", "close", "disclosures")
        first = run(consortium, tmp_path)
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        answers(patch, "tax", FOREIGN["changed on its way"])
        rounds, nodes = late(consortium, clock)
        clock.now += timedelta(minutes=5)
        rounds.turn(nodes)
        rounds.turn(nodes)
        before = asked_of("tax", consortium)
        for _ in range(12 * 60):  # twelve hours, a round a minute
            clock.now += timedelta(minutes=1)
            rounds.turn(nodes)
        assert 1 <= before < asked_of("tax", consortium) <= 12
    assert kept(first.attempt).not_compared == ("tax",)


def asked_of(name, consortium):
    """How often a node was asked for its table, by its own trail."""
    return len([*load_nodes(consortium.paths)[name].trail.entries(action="disclosures", event="request")])


@pytest.mark.long
def test_a_table_that_is_asked_for_again_is_the_same(consortium, tmp_path):
    """A hub that asks every day must not learn how the institution's trail and ledger go on."""
    results = run(consortium, tmp_path)
    node = load_nodes(consortium.paths)["tax"]
    (given,) = [table for table in results.tables if table.institution == "tax"]
    node.trail.note("budget_restored", counterparty="tax", digest="0" * 64)
    asked = Payload({"attempt": results.attempt})
    assert SignedTable.from_dict(hand_over.hand_over(node, asked).get("table")) == given
    # A key that was lost or changed cannot speak for what an older one signed: the table is then signed anew.
    file = node.store.path / "attempts" / results.attempt / "disclosures.message"
    file.write_bytes(b"{")
    again = SignedTable.from_dict(hand_over.hand_over(node, asked).get("table"))
    assert again.lines == given.lines and again.head.count > given.head.count
