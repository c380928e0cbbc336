"""Policy, ledger and audit trail in whole studies: what an institution refuses, and what it can prove."""

import json

import pytest

from fedrisk.audit.crosscheck import crosscheck
from fedrisk.audit.verify import verify
from fedrisk.engine.in_process import load_nodes, run_local
from fedrisk.errors import ConfigError, PeerError, PolicyError, StoreError
from fedrisk.server.hub import Hub
from fedrisk.server.runs import Runs
from support.long import sampled


def set_policy(consortium, name, **rules):
    """Add rules to an institution's policy."""
    path = consortium.paths[name]
    text = path.read_text()
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in rules.items())
    path.write_text(text.replace("[policy]\n", f"[policy]\n{lines}"))


def set_study(consortium, old, new):
    text = consortium.study_file.read_text()
    assert old in text
    consortium.study_file.write_text(text.replace(old, new))


def run(consortium, *overrides, **how):
    study = consortium.study(*overrides)
    paths = {n: p for n, p in consortium.paths.items() if n in study.members}
    return run_local(study, paths, hub=Hub.default(), **how)


def reasons(consortium, name):
    return (load_nodes(consortium.paths)[name].store.path / "errors.log").read_text()


# --- the trail ----------------------------------------------------------------------------------------------


def test_trails_agree_hold_and_hold_every_charge(consortium):
    results = run(consortium)
    nodes = load_nodes(consortium.paths)
    attempt = results.to_dict()["attempt"]
    trails = {name: list(node.trail.entries()) for name, node in nodes.items()}
    assert crosscheck(trails, attempt) == []
    assert results.to_dict()["disagreements"] == []
    for name, node in nodes.items():
        found = verify(node.store.path / "audit.jsonl", node.store.identity.public, institution=name)
        assert found.ok, found.why
        charged = {e.spend["release"]: e.spend["mu"] for e in trails[name] if e.spend}
        assert charged == {e.spend.release: e.spend.mu for e in node.ledger.entries()}
        others = {n for n in nodes if n != name}
        assert all(node.trail.witnessed(other) for other in others)
    table = {(d["institution"], d["counterparty"], d["kind"]) for d in results.to_dict()["disclosures"]}
    assert ("tax", "bank", "partial_scores") in table
    assert ("power", "tax", "blinded_ids") in table
    assert not [row for row in table if row[0] == row[1]]


@pytest.mark.long
def test_no_trail_and_no_meter_holds_the_exact_overlap(kit, tmp_path):
    """How many of a bank's customers a holder knows is withheld in the results; so it is here."""
    from fedrisk.audit.usage import usage_rows

    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600)
    run = consortium.run()
    (rows,) = run.roster.lists.values()
    known = rows.holders["tax"] >= 0
    overlaps = {int((known & (rows.use == use)).sum()) for use in (0, 1)} | {int(known.sum())}
    lists = {"training": int((rows.use == 0).sum()), "holdout": int((rows.use == 1).sum())}
    assert not overlaps & set(lists.values())
    for node in run.nodes.values():
        entries = list(node.trail.entries())
        released = {(e.spend["population"], e.rows) for e in entries if e.event == "release" and e.spend}
        assert released and released <= set(lists.items())
        assert not overlaps & {e.rows for e in entries}
        assert not overlaps & {n for row in usage_rows(entries) for n in (row.rows, row.scores)}


def test_no_id_and_no_value_is_in_a_trail(consortium):
    run(consortium)
    for node in load_nodes(consortium.paths).values():
        trail = (node.store.path / "audit.jsonl").read_text()
        assert "enterprise-" not in trail
        assert "-0." not in trail


def test_a_refusal_is_entered_with_its_code_and_nothing_is_released(consortium):
    set_policy(consortium, "power", purposes=["statistics"])
    with pytest.raises(PeerError, match=r"no agreement from power \(refused\)"):
        run(consortium)
    nodes = load_nodes(consortium.paths)
    (entry,) = nodes["power"].trail.entries(event="refusal")
    assert (entry.code, entry.action) == ("refused", "describe")
    assert "policy.purposes" in reasons(consortium, "power")
    assert all(not node.ledger.entries() for node in nodes.values())


def test_a_trail_that_cannot_be_written_stops_the_release(consortium, monkeypatch):
    run(consortium)  # registered, with trails
    node = load_nodes(consortium.paths)["tax"]
    before = node.ledger.spent()
    log = node.store.path / "audit.jsonl"
    kept = log.read_bytes()
    log.write_bytes(kept[: len(kept) // 2])  # cut off: the head file knows better
    with pytest.raises(PeerError, match="tax"):
        run(consortium, "privacy.epsilon=0.5")
    assert node.ledger.spent() == before


# --- policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ({"valid_until": "2020-01-01"}, "valid_until"),
        ({"valid_from": "2999-01-01"}, "valid_from"),
        ({"counterparties": ["bank"]}, "policy.counterparties"),
        ({"roles": ["authority"]}, "policy.roles"),
        ({"recipes": []}, "policy.recipes"),
        ({"least_rows": 100000}, "policy.least_rows"),
        ({"columns": ["nothing_such"]}, "policy.columns"),
    ],
)
def test_rules_of_a_policy_refuse_at_describe(consortium, rules, word):
    set_policy(consortium, "tax", **rules)
    with pytest.raises(PeerError, match="no agreement from tax"):
        run(consortium)
    assert word in reasons(consortium, "tax")


def test_a_policy_that_changes_during_a_study_stops_the_next_release(consortium):
    def tighten(number, action, what):
        if action == "mask":
            set_policy(consortium, "power", valid_until="2020-01-01")

    with pytest.raises(PeerError, match=r"power \(refused\)"):
        run(consortium, report=tighten)
    node = load_nodes(consortium.paths)["power"]
    assert [e.spend.release for e in node.ledger.entries()] == ["edges"]
    for other in load_nodes(consortium.paths).values():
        assert not list((other.store.path / "attempts").glob("*/secrets/*")), (
            "secrets outlive a stopped study"
        )


def test_columns_that_a_policy_keeps_back_are_not_used(consortium):
    set_policy(consortium, "tax", columns=["sales"])
    card = run(consortium).card
    assert {b.feature.column for b in card.bins if b.feature.institution == "tax"} == {"sales", "(known)"}


@pytest.mark.long
def test_a_holders_trail_says_that_it_sent_no_histogram(consortium):
    """It is charged for the banks' histograms of its scores; what it sent are scores."""
    run(consortium)
    entries = list(load_nodes(consortium.paths)["tax"].trail.entries(event="release"))
    kinds = {e.kind: e for e in entries}
    for name in ("calibration", "evaluation"):
        assert f"noisy_sums.{name}" not in kinds
        behind = kinds[f"charged_behind.{name}"]
        assert behind.bytes == 0 and behind.spend["release"] == name and behind.spend["mu"] > 0
    assert "noisy_sums.counts" in kinds


def test_scores_need_a_consent_where_the_policy_asks_for_one(consortium):
    set_policy(consortium, "tax", consent=True)
    with pytest.raises(PeerError, match=r"no agreement from tax \(refused\)"):
        run(consortium)
    assert "consent" in reasons(consortium, "tax")
    assert all(not node.ledger.entries() for node in load_nodes(consortium.paths).values())
    results = run(consortium, 'consent="register 7, 2026"')
    nodes = load_nodes(consortium.paths)
    (entry,) = nodes["tax"].trail.entries(event="score", attempt=results.to_dict()["attempt"])
    assert entry.consent == "register 7, 2026"
    assert entry.rows == 400


def test_versions_of_scores_are_limited_by_bank_and_enterprise(consortium):
    set_policy(consortium, "power", scored_versions=1)
    run(consortium)
    spent = load_nodes(consortium.paths)["power"].ledger.spent()
    with pytest.raises(PeerError, match=r"no agreement from power \(refused\)"):
        run(consortium)
    assert load_nodes(consortium.paths)["power"].ledger.spent() == spent  # before anything is paid
    text = reasons(consortium, "power")
    assert "policy.scored_versions" in text
    assert "enterprise-" not in text


def test_points_of_a_column_beyond_the_policy_are_not_given(consortium):
    """What one column may give is limited, and nothing is charged for an evaluation without scores."""
    set_policy(consortium, "power", score_points=1)
    with pytest.raises(PeerError, match=r"score: refused by power \(refused\)"):
        run(consortium)
    text = reasons(consortium, "power")
    assert "policy.score_points" in text and "no score is given" in text
    spends = [e.spend.release for e in load_nodes(consortium.paths)["power"].ledger.entries()]
    assert "evaluation" not in spends and len(spends) == 3


def test_a_study_goes_on_without_an_optional_institution(consortium):
    set_study(
        consortium,
        '{ name = "power", role = "holder" }',
        '{ name = "power", role = "holder", optional = true }',
    )
    set_policy(consortium, "power", purposes=[])
    results = run(consortium)
    assert results.to_dict()["left_out"] == ["power"]
    assert {b.feature.institution for b in results.card.bins} == {"bank", "tax"}
    assert not load_nodes(consortium.paths)["power"].ledger.entries()


def test_a_study_cannot_do_without_its_only_bank(consortium):
    from fedrisk.recipes import recipe_of

    study = consortium.study()
    with pytest.raises(ConfigError, match="no bank"):
        recipe_of(study).checked(study.without({"bank"}))


# --- the ledger ---------------------------------------------------------------------------------------------


@pytest.mark.long
def test_a_lost_ledger_of_a_registered_node_does_not_start_at_zero(consortium):
    run(consortium)
    node = load_nodes(consortium.paths)["tax"]
    (node.store.path / "ledger.sqlite").unlink()
    with pytest.raises(StoreError, match="charges would be forgotten"):
        run(consortium, "privacy.epsilon=0.5")


def test_a_cap_of_the_purpose_refuses_what_the_whole_would_allow(consortium):
    set_policy(consortium, "bank", cap_per_study=5.0)
    with pytest.raises(PeerError, match=r"no agreement from bank \(budget\)"):
        run(consortium)
    run(consortium, "privacy.epsilon=4")


def test_a_hub_that_asks_for_more_than_the_study_has_is_refused(consortium, monkeypatch):
    """Gram and recount in one attempt would exceed the budget that everybody agreed to."""
    from fedrisk.recipes.scorecard import hub
    from fedrisk.recipes.scorecard.forms import counts_release

    real = hub._ask_second
    asked_for = []

    def greedy(sums, second, bins_sizes, rows):
        assert second.release.name == "gram"
        answer = real(sums, second, bins_sizes, rows)
        release = counts_release(sums.roster.study, bins_sizes, second.release.mu, "recount")
        asked_for.append(release.name)
        sums.ask(release, "counts again")
        return answer

    monkeypatch.setattr(hub, "_ask_second", greedy)
    with pytest.raises(PeerError, match="protocol"):
        run(consortium)
    assert asked_for == ["recount"]
    asked = consortium.study()
    for node in load_nodes(consortium.paths).values():
        assert [e.spend.release for e in node.ledger.entries()] == ["edges", "counts", "gram"]
        spent = sum(e.spend.mu**2 for e in node.ledger.entries() if e.spend.population == "training")
        from fedrisk.releases.budget import total_mu

        assert spent <= total_mu(asked) ** 2 * (1 + 1e-9)


# --- studies that stop --------------------------------------------------------------------------------------


class Stop(BaseException):
    """The operator's hand."""


def stop_at(action):
    def progress(number, now, what):
        if now == action:
            raise Stop

    return progress


def secrets_left(consortium):
    found = []
    for node in load_nodes(consortium.paths).values():
        found += (node.store.path / "attempts").glob("*/secrets/*")
        found += (node.store.path / "attempts").glob("*/*.npy")
    return found


@pytest.mark.parametrize("action", sampled(["blind", "pseudonyms"], 2))
def test_a_study_stopped_by_hand_before_the_rows_are_in_order_leaves_no_secret(consortium, action):
    with pytest.raises(Stop):
        run(consortium, report=stop_at(action))
    assert secrets_left(consortium) == []


@pytest.mark.parametrize("action", sampled(["mask", "release"], 2))
def test_a_study_stopped_by_hand_after_that_goes_on_and_leaves_no_secret_then(consortium, action):
    """What it needs to go on stays for a day (test_attempts_that_nobody_closed_are_forgotten_after_a_day)."""
    with pytest.raises(Stop):
        run(consortium, report=stop_at(action))
    assert secrets_left(consortium)
    (stopped,) = Runs(Hub.default()).all()
    assert stopped.goes_on
    results = run(consortium, resume=True)
    assert results.attempt == stopped.attempt
    assert secrets_left(consortium) == []
    for node in load_nodes(consortium.paths).values():
        releases = [e.spend.release for e in node.ledger.entries()]
        assert len(releases) == len(set(releases))


def test_a_study_in_which_somebody_refuses_leaves_no_secret(consortium, monkeypatch):
    def refuse(*a, **k):
        raise PolicyError("no")

    monkeypatch.setattr("fedrisk.clients.outlet._within_budget", refuse)
    with pytest.raises(PeerError, match="refused by"):
        run(consortium)
    assert secrets_left(consortium) == []
    assert not Runs(Hub.default()).all()[0].goes_on


@pytest.mark.long
def test_a_study_stopped_before_scores_were_written_leaves_what_they_are_made_from_and_no_key(consortium):
    from fedrisk.clients import own_results
    from fedrisk.recipes import recipe_named

    with pytest.raises(Stop):
        run(consortium, report=stop_at("deliver"))
    (stopped,) = Runs(Hub.default()).all()
    for node in load_nodes(consortium.paths).values():  # a day later
        node.store.attempt(stopped.attempt).forget_secrets()
    left = secrets_left(consortium)
    assert left and all(consortium.paths["bank"].stem in f.parts for f in left)
    assert {f.name for f in left if f.parent.name == "secrets"} == {"rows"}
    bank = load_nodes(consortium.paths)["bank"]
    (entry,) = [e for e in own_results.entries(bank) if e.owed]
    own_results.fetch(bank.opened(), entry.attempt, recipe_named("scorecard"))
    assert secrets_left(consortium) == []


@pytest.mark.long
def test_a_request_to_the_authority_that_was_not_answered_costs_no_quota_when_asked_again(consortium):
    for _ in range(3):
        with pytest.raises(Stop):
            run(consortium, report=stop_at("pseudonyms"))
    node = load_nodes(consortium.paths)["tax"]
    debited = [e.count for e in node.store.authority.quota.events() if e.kind == "debited"]
    run(consortium)
    assert [e.count for e in node.store.authority.quota.events() if e.kind == "debited"] == debited
    assert len(debited) == 2  # bank and power, once each


@pytest.mark.long
def test_attempts_that_nobody_closed_are_forgotten_after_a_day(consortium, monkeypatch):
    import os

    from fedrisk.server.exchange import Exchange

    with monkeypatch.context() as patch:
        patch.setattr(Exchange, "close", lambda self: None)  # the hub was killed
        with pytest.raises(Stop):
            run(consortium, report=stop_at("release"))
    assert secrets_left(consortium)
    for node in load_nodes(consortium.paths).values():
        for file in (node.store.path / "attempts").glob("*/*.json"):
            os.utime(file, (0, 0))
    run(consortium)
    assert secrets_left(consortium) == []


def test_what_was_charged_and_never_sent_is_in_the_trail(consortium, monkeypatch):
    from fedrisk.clients.outlet import Noise

    real = Noise.add

    def broken(noise, block, *arguments):
        if noise._release.name == "counts":
            raise OSError("disk")
        return real(noise, block, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Noise, "add", broken)
        with pytest.raises(PeerError, match=r"bank \(internal\)"):
            run(consortium)
    node = load_nodes(consortium.paths)["bank"]
    charged = {e.spend["release"] for e in node.trail.entries() if e.spend}
    assert charged == {e.spend.release for e in node.ledger.entries()} == {"edges", "counts"}


def test_what_cannot_be_computed_is_not_charged(consortium, monkeypatch):
    from fedrisk.recipes.scorecard import matrices as module

    def broken(*_):
        raise OSError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(module, "label_counts", broken)
        with pytest.raises(PeerError, match=r"bank \(internal\)"):
            run(consortium)
    node = load_nodes(consortium.paths)["bank"]
    charged = {e.spend["release"] for e in node.trail.entries() if e.spend}
    assert charged == {e.spend.release for e in node.ledger.entries()} == {"edges"}


@pytest.mark.long
def test_the_meter_charges_what_the_ledger_charges(consortium):
    from fedrisk.audit.usage import usage_rows

    run(consortium)
    run(consortium, "privacy.epsilon=2")
    for node in load_nodes(consortium.paths).values():
        (row,) = [r for r in usage_rows(node.trail.entries()) if r.counterparty == "hub"]
        assert row.mu == pytest.approx(node.ledger.spent(), rel=1e-9)


@pytest.mark.long
def test_a_message_that_no_entry_may_hold_is_still_entered_as_a_refusal(consortium):
    from fedrisk.clients.trail import Message, record_refusal
    from fedrisk.errors import ProtocolError
    from fedrisk.protocol.payload import Payload

    run(consortium)
    node = load_nodes(consortium.paths)["tax"]
    before = node.trail.head()[0]
    message = Message(node, "describe", Payload({"attempt": "a\x00b"}), None)
    record_refusal(message, ProtocolError("no"))
    assert node.trail.head()[0] == before + 1


def test_a_signed_head_under_another_name_is_refused(consortium, monkeypatch):
    from fedrisk.server import roster as agreement

    real = agreement.agree

    def swapped(*arguments):
        agreed = dict(real(*arguments))
        body = {**agreed["power"].body, "signed_head": agreed["tax"].body["signed_head"]}
        agreed["power"] = type(agreed["power"])(body, agreed["power"].blobs)
        return agreed

    monkeypatch.setattr("fedrisk.server.run.agree", swapped)
    with pytest.raises(PeerError, match="envelope"):
        run(consortium)


def test_trails_that_were_handed_over_are_compared(consortium, capsys):
    from typer.testing import CliRunner

    from fedrisk.cli import app

    run(consortium)
    folder = consortium.folder / "handed"
    for path in consortium.paths.values():
        assert CliRunner().invoke(app, ["audit", "export", str(path), "--to", str(folder)]).exit_code == 0
    assert CliRunner().invoke(app, ["audit", "compare", str(folder)]).exit_code == 0
    trail = folder / "tax.jsonl"
    trail.write_bytes(b"".join(trail.read_bytes().splitlines(keepends=True)[:-3]))
    assert CliRunner().invoke(app, ["audit", "compare", str(folder)]).exit_code == 1
