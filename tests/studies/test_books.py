"""Trail and ledger are looked at before anything is charged: whatever was done to the files, nobody pays for it."""

import json
import os
import shutil
import sqlite3
import threading
from contextlib import closing

import pytest
from typer.testing import CliRunner

from fedrisk.audit.entry import DRAFT, genesis
from fedrisk.cli import app
from fedrisk.clients import outlet
from fedrisk.clients import trail as node_trail
from fedrisk.clients.books import audit_books, check_books
from fedrisk.clients.node import Node
from fedrisk.errors import FedriskError, PeerError, StoreError
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.privacy.ledger.records import next_head
from support.long import sampled

pytestmark = pytest.mark.study

ROOMY = {"cap_epsilon": 100.0}


@pytest.fixture(scope="module")
def paid(kit, scratch):
    """A consortium that made a study and a research run, and a copy of its stores as they were then."""
    folder = scratch()
    consortium = kit.build(folder, ("alfa",), ("tax",), enterprises=400, policy=ROOMY)
    consortium.run()
    consortium.run(research_seed=3)
    for node in consortium.nodes.values():
        assert audit_books(node).unentered == ()
    shutil.copytree(folder / "home", folder / "kept")
    return consortium


@pytest.fixture
def consortium(paid):
    """The same with the stores as they were."""
    shutil.rmtree(paid.folder / "home")
    shutil.copytree(paid.folder / "kept", paid.folder / "home")
    return paid


def store_of(consortium, name="tax"):
    return consortium.folder / "home" / name


def lines_of(store):
    return (store / "audit.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(store, lines):
    (store / "audit.jsonl").write_bytes(b"".join(lines))


def sql(store, *statements):
    with closing(sqlite3.connect(store / "ledger.sqlite")) as db, db:
        for statement in statements:
            db.execute(statement)


def rechain(store):
    """What somebody does who knows how the ledger is made: totals, acts and guard anew, so that the file agrees."""
    from fedrisk.privacy.ledger.accounts import rebuild
    from fedrisk.privacy.ledger.records import entry_digest
    from fedrisk.privacy.ledger.rollback_guard import Mark, write_guard

    with closing(sqlite3.connect(store / "ledger.sqlite")) as db, db:
        rebuild(db)
        names = {row[0] for row in db.execute("SELECT release_id FROM release")}
        acts = db.execute("SELECT kind, name, time, detail FROM act ORDER BY position").fetchall()
        (lifetime,) = db.execute("SELECT mu2 FROM account WHERE scope = 'lifetime'").fetchone() or (0.0,)
        db.execute("DELETE FROM act")
        head, place = "0" * 64, 0
        for kind, name, time, detail in acts:
            if name and name not in names:
                continue
            if kind == "debit":
                row = db.execute(
                    "SELECT spend, digest, purpose FROM release WHERE release_id = ?", (name,)
                ).fetchone()
                detail = entry_digest(*row)
            place += 1
            head = next_head(head, place, kind, name, time, detail, lifetime)
            db.execute(
                "INSERT INTO act VALUES (?, ?, ?, ?, ?, ?, ?)",
                (place, kind, name, time, detail, lifetime, head),
            )
        db.execute("UPDATE state SET count = ?, head = ?", (place, head))
    write_guard(store / "ledger.seal", Mark(place, head), both=True)


def forget_heads(store):
    (store / "audit.jsonl.head").unlink()
    shutil.rmtree(store / "audit.jsonl.checkpoints")


def change_an_old_entry(store):
    lines = lines_of(store)
    lines[3] = lines[3].replace(b'"bytes":', b'"bytes":1')
    write_lines(store, lines)


def change_an_old_entry_in_place(store):
    lines = lines_of(store)
    lines[3] = lines[3].replace(b'"counterparty":"hub"', b'"counterparty":"hab"')
    write_lines(store, lines)


def drop_an_old_entry(store):
    lines = lines_of(store)
    write_lines(store, lines[:5] + lines[6:])


def swap_two_entries(store):
    lines = lines_of(store)
    write_lines(store, [*lines[:5], lines[6], lines[5], *lines[7:]])


def repeat_an_entry(store):
    lines = lines_of(store)
    write_lines(store, [*lines, lines[-1]])


def cut_the_trail(store):
    write_lines(store, lines_of(store)[:6])


def cut_the_trail_and_forget(store):
    cut_the_trail(store)
    forget_heads(store)


def empty_the_trail(store):
    (store / "audit.jsonl").write_bytes(b"")


def lose_the_trail(store):
    (store / "audit.jsonl").unlink()


def lose_trail_and_heads(store):
    (store / "audit.jsonl").unlink()
    forget_heads(store)


def lose_all_of_the_trail(store):
    for file in store.glob("audit.jsonl*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()


def lose_the_trail_and_the_attempts(store):
    lose_all_of_the_trail(store)
    shutil.rmtree(store / "attempts")


def change_a_daily_head(store):
    (file,) = (store / "audit.jsonl.checkpoints").glob("*.json")
    file.write_text(file.read_text().replace('"count":', '"count":1'))


def change_a_spend(store):
    sql(store, "UPDATE release SET spend = replace(spend, '\"mu\": ', '\"mu\": 0.0') WHERE mu2 IS NOT NULL")


def change_a_price(store):
    sql(store, "UPDATE release SET mu2 = mu2 / 100 WHERE mu2 IS NOT NULL")


def change_a_total(store):
    sql(store, "UPDATE account SET mu2 = mu2 / 100")


def drop_a_release(store):
    sql(store, "DELETE FROM release WHERE position = 1")


def drop_all_releases(store):
    sql(store, "DELETE FROM release", "DELETE FROM account", "DELETE FROM side")


def drop_and_rechain(store):
    sql(store, "DELETE FROM release WHERE position = 1")
    rechain(store)


def cheaper_and_rechain(store):
    sql(store, "UPDATE release SET spend = replace(spend, '\"mu\": 0.', '\"mu\": 0.0') WHERE mu2 IS NOT NULL")
    with closing(sqlite3.connect(store / "ledger.sqlite")) as db, db:
        for name, text in db.execute(
            "SELECT release_id, spend FROM release WHERE mu2 IS NOT NULL"
        ).fetchall():
            db.execute("UPDATE release SET mu2 = ? WHERE release_id = ?", (json.loads(text)["mu"] ** 2, name))
    rechain(store)


def research_and_rechain(store):
    """A paid release called one of a research run, which costs nothing."""
    sql(store, "UPDATE release SET spend = replace(spend, 'false', 'true'), mu2 = NULL")
    rechain(store)


def move_to_an_earlier_period(store):
    sql(store, "UPDATE release SET period = -1", "UPDATE account SET period = -1 WHERE scope != 'lifetime'")


def move_to_an_earlier_period_and_rechain(store):
    sql(store, "UPDATE release SET period = -1, debited = '2025-06-01T00:00:00+00:00'")
    rechain(store)


def move_the_ledger_to_a_later_time(store):
    sql(store, "UPDATE state SET last_time = '2099-01-01T00:00:00+00:00'")


def change_a_side(store):
    sql(store, "UPDATE side SET holdout = 1000")


def restart_the_trail_in_the_ledger_alone(store):
    """Without the note of a person in the trail: the charges before it would need no entry."""
    from fedrisk.privacy.ledger.ledger import Ledger

    key = Node.load(store.parent.parent / "tax.toml").store.identity.public
    lose_the_trail_and_the_attempts(store)
    Ledger(store / "ledger.sqlite", 100.0).begin_trail_anew((0, genesis("tax", key)), reason="r", who="w")


def begin_the_ledger_anew(store):
    for name in ("ledger.sqlite", "ledger.seal"):
        (store / name).unlink()
    Ledger(store / "ledger.sqlite", 100.0)


def cancel_and_rechain(store):
    sql(store, "UPDATE release SET cancelled = '2026-01-01' WHERE position = 1")
    with closing(sqlite3.connect(store / "ledger.sqlite")) as db, db:
        (name,) = db.execute("SELECT release_id FROM release WHERE position = 1").fetchone()
        (last,) = db.execute("SELECT count FROM state").fetchone()
        db.execute("INSERT INTO act VALUES (?, 'cancel', ?, 'x', '', 0, '')", (last + 1, name))
    rechain(store)


def lose_the_guard(store):
    (store / "ledger.seal").unlink()


def lose_the_ledger(store):
    (store / "ledger.sqlite").unlink()


def lose_ledger_and_guard(store):
    lose_the_ledger(store)
    lose_the_guard(store)


def lose_everything(store):
    lose_all_of_the_trail(store)
    lose_ledger_and_guard(store)


TRAIL, LEDGER = "audit", "ledger"
TAMPERED = {
    change_an_old_entry: TRAIL,
    change_an_old_entry_in_place: TRAIL,
    drop_an_old_entry: TRAIL,
    swap_two_entries: TRAIL,
    repeat_an_entry: None,  # a torn end is set aside, and the repeated entry is one
    cut_the_trail: TRAIL,
    cut_the_trail_and_forget: TRAIL,
    empty_the_trail: TRAIL,
    lose_the_trail: TRAIL,
    lose_trail_and_heads: TRAIL,
    lose_all_of_the_trail: TRAIL,
    lose_the_trail_and_the_attempts: TRAIL,
    change_a_daily_head: TRAIL,
    change_a_spend: LEDGER,
    change_a_price: LEDGER,
    change_a_total: LEDGER,
    drop_a_release: LEDGER,
    drop_all_releases: LEDGER,
    drop_and_rechain: LEDGER,
    cheaper_and_rechain: LEDGER,
    research_and_rechain: LEDGER,
    cancel_and_rechain: LEDGER,
    begin_the_ledger_anew: LEDGER,
    move_to_an_earlier_period: LEDGER,
    move_to_an_earlier_period_and_rechain: LEDGER,
    move_the_ledger_to_a_later_time: LEDGER,
    change_a_side: LEDGER,
    restart_the_trail_in_the_ledger_alone: TRAIL,
    lose_the_guard: LEDGER,
    lose_the_ledger: LEDGER,
    lose_ledger_and_guard: LEDGER,
    lose_everything: TRAIL,
}


def charged(consortium):
    """Number of releases in each ledger file, as it is."""
    found = {}
    for name in consortium.content:
        file = store_of(consortium, name) / "ledger.sqlite"
        if file.exists():
            with closing(sqlite3.connect(file)) as db:
                tables = db.execute("SELECT name FROM sqlite_master WHERE name = 'release'").fetchall()
                found[name] = db.execute("SELECT COUNT(*) FROM release").fetchone()[0] if tables else 0
    return found


@pytest.mark.parametrize(
    "tamper", sampled([t for t, kind in TAMPERED.items() if kind], 6), ids=lambda t: t.__name__
)
def test_what_was_tampered_with_stops_the_study_before_anybody_is_charged(consortium, tamper):
    tamper(store_of(consortium))
    before = charged(consortium)
    with pytest.raises(StoreError, match=TAMPERED[tamper]):
        check_books(consortium.nodes["tax"])
    check_books(consortium.nodes["alfa"])
    done = CliRunner().invoke(app, ["audit", "verify", str(consortium.paths["tax"])])
    assert done.exit_code != 0
    with pytest.raises(FedriskError):
        consortium.run()
    assert charged(consortium) == before
    # The refused study hides nothing.
    with pytest.raises(StoreError):
        check_books(consortium.nodes["tax"])


def test_a_repeated_last_entry_is_set_aside(consortium):
    repeat_an_entry(store_of(consortium))
    assert any("torn_tail" in note for note in audit_books(consortium.nodes["tax"]).notes)


def test_the_books_of_untouched_stores_hold(consortium):
    for name, node in consortium.nodes.items():
        found = audit_books(node)
        assert found.charges == len(node.ledger.entries()) > 3 and not found.unentered
        done = CliRunner().invoke(app, ["audit", "verify", str(consortium.paths[name])])
        assert done.exit_code == 0, done.output
    consortium.run()
    consortium.run(research_seed=4)
    assert not audit_books(consortium.nodes["tax"]).unentered


class Killed(BaseException):
    """The process ends here."""


def kill(monkeypatch, where, what, after):
    """Make the next call end the process, ``after`` it was done or before; later ones go through."""
    whole, calls = getattr(where, what), []

    def once(*args, **how):
        if calls:
            return whole(*args, **how)
        calls.append(1)
        if after:
            whole(*args, **how)
        raise Killed

    monkeypatch.setattr(where, what, once)


@pytest.mark.parametrize(
    ("where", "what", "after"),
    sampled(
        [
            (Ledger, "debit", True),
            (Ledger, "commit", False),
            (Ledger, "commit", True),
            (node_trail, "_mark_entered", False),
            (outlet, "discrete_gaussian", False),
        ],
        3,
    ),
)
def test_a_charge_whose_process_was_killed_is_entered_and_no_damage(
    consortium, monkeypatch, where, what, after
):
    kill(monkeypatch, where, what, after)
    with pytest.raises(Killed):
        consortium.run()
    pending = {name: audit_books(node).unentered for name, node in consortium.nodes.items()}
    entered = what == "_mark_entered"
    assert sum(map(len, pending.values())) == (0 if entered else 1)
    for path in consortium.paths.values():
        assert CliRunner().invoke(app, ["audit", "verify", str(path)]).exit_code == 0
    consortium.run()
    for name, node in consortium.nodes.items():
        assert not audit_books(node).unentered
        for charge in pending[name]:
            (entry,) = node.trail.entries(
                attempt=charge.spend.attempt, kind=f"charged_not_sent.{charge.spend.release}"
            )
            assert entry.spend == charge.spend.to_dict() and entry.purpose == "credit_scoring"


def test_looking_while_others_charge_finds_no_damage(consortium):
    """Both books grow while they are read: what one has already and the other not yet is no damage."""
    found, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            for node in consortium.nodes.values():
                try:
                    audit_books(node)
                except StoreError as error:
                    found.append(str(error))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        consortium.run()
    finally:
        stop.set()
        looking.join()
    assert not found


def test_a_rebuilt_ledger_has_all_that_the_trail_has(consortium):
    spent = consortium.nodes["tax"].ledger.lifetime()
    drop_a_release(store_of(consortium))
    command = ["budget", "restore", str(consortium.paths["tax"]), "--reason", "edited", "--who", "A. Person"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    node = consortium.nodes["tax"]
    assert node.ledger.lifetime() == pytest.approx(spent) and node.ledger.audit() > 0
    assert list(store_of(consortium).glob("ledger.sqlite.replaced-*"))
    assert [e.counterparty for e in node.trail.entries(kind="ledger_restored")] == ["tax"]
    consortium.run()


def test_an_older_ledger_is_charged_again_with_what_came_after_the_copy(consortium, tmp_path):
    store = store_of(consortium)
    for name in ("ledger.sqlite", "ledger.seal"):
        shutil.copy(store / name, tmp_path / name)
    consortium.run()
    spent = consortium.nodes["tax"].ledger.lifetime()
    for name in ("ledger.sqlite", "ledger.seal"):
        shutil.copy(tmp_path / name, store / name)
    command = ["budget", "restore", str(consortium.paths["tax"]), "--reason", "disk", "--who", "A. Person"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert consortium.nodes["tax"].ledger.lifetime() == pytest.approx(spent)
    consortium.run()


@pytest.mark.parametrize(
    "tamper", sampled([change_an_old_entry, lose_all_of_the_trail], 2), ids=lambda t: t.__name__
)
def test_a_trail_begun_anew_goes_on_once_all_have_answered(consortium, tamper):
    spent = consortium.nodes["tax"].ledger.lifetime()
    tamper(store_of(consortium))
    command = ["audit", "restore", str(consortium.paths["tax"]), "--reason", "edited", "--who", "A. Person"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    check_books(consortium.nodes["tax"])
    assert CliRunner().invoke(app, command).exit_code != 0  # it holds now
    with pytest.raises(PeerError):
        consortium.run()
    for name in ("alfa", "tax"):
        answer = ["audit", "answer", str(consortium.paths[name]), "tax", "--reason", "edited"]
        assert CliRunner().invoke(app, answer).exit_code == 0
    consortium.run()
    node = consortium.nodes["tax"]
    assert node.ledger.lifetime() > spent and not audit_books(node).unentered


@pytest.mark.parametrize("trail_first", sampled([False, True], 2))
def test_a_damaged_trail_and_a_lost_ledger_give_no_budget_back(consortium, trail_first):
    """One changed byte near the trail's beginning, no ledger, no attempts, and both restored, in either order."""
    store, node = store_of(consortium), consortium.nodes["tax"]
    spent = node.ledger.lifetime()
    change_an_old_entry(store)
    said = [str(consortium.paths["tax"]), "--reason", "edited", "--who", "A. Person"]
    if trail_first:
        assert CliRunner().invoke(app, ["audit", "restore", *said]).exit_code == 0
    lose_ledger_and_guard(store)
    shutil.rmtree(store / "attempts")
    assert CliRunner().invoke(app, ["budget", "restore", *said]).exit_code == 0
    if not trail_first:
        assert CliRunner().invoke(app, ["audit", "restore", *said]).exit_code == 0
    assert node.ledger.lifetime() == pytest.approx(spent) and node.ledger.audit() > 0
    check_books(node)


def test_an_entry_that_is_changed_after_it_was_verified_shows(consortium):
    """The mark of what was verified is over all bytes, and cannot be made for others without the key."""
    store, node = store_of(consortium), consortium.nodes["tax"]
    for _ in range(30):
        node.trail.append([{"action": "mask", "event": "request", "counterparty": "hub"}] * 10)
    check_books(node)
    assert (store / "audit.jsonl.verified").exists()
    check_books(node)
    change_an_old_entry_in_place(store)
    with pytest.raises(StoreError, match="entry 3 is not what its hash says"):
        check_books(node)


def test_stores_of_before_hold(consortium):
    """A ledger that remembers nothing of the trail, as earlier versions wrote it."""
    store = store_of(consortium)
    sql(store, "DELETE FROM act WHERE kind = 'trail'")
    rechain(store)
    check_books(consortium.nodes["tax"])
    lose_the_trail_and_the_attempts(store)
    with pytest.raises(StoreError, match="knows nothing of 2 attempt"):
        check_books(consortium.nodes["tax"])
    assert os.path.exists(store / "audit.jsonl")


def test_who_has_the_key_and_rewrites_both_is_found_out_by_the_others(consortium):
    """Trail and ledger without the last study, signed anew: they agree, and the heads that others keep do not."""
    store, node = store_of(consortium), consortium.nodes["tax"].opened()
    first = [e for e in node.trail.entries() if e.attempt == next(node.trail.entries()).attempt]
    lose_all_of_the_trail(store)
    shutil.rmtree(store / "attempts")
    (store / "pins.json").rename(store / "pins.kept")
    lose_ledger_and_guard(store)
    log = node.trail
    for entry in first:
        told = {k: v for k, v in entry.to_dict().items() if k in DRAFT}
        log.append([{**told, "spend": None}])
    _ = node.ledger
    (store / "pins.kept").rename(store / "pins.json")
    check_books(node)
    before = charged(consortium)
    with pytest.raises(PeerError):
        consortium.run()
    assert charged(consortium) == before
