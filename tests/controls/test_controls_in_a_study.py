"""Policy, ledger and audit trail in whole studies: what an institution refuses, and what it can prove."""

import json

import pytest

from fedrisk.audit.crosscheck import crosscheck
from fedrisk.audit.verify import verify
from fedrisk.engine.local import load_nodes, run_local
from fedrisk.errors import ConfigError, PeerError, StoreError
from fedrisk.server.hub import Hub


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
    attempt = results.metrics["attempt"]
    trails = {name: list(node.trail.entries()) for name, node in nodes.items()}
    assert crosscheck(trails, attempt) == []
    assert results.metrics["disagreements"] == []
    for name, node in nodes.items():
        found = verify(node.store.path / "audit.jsonl", node.store.identity.public, institution=name)
        assert found.ok, found.why
        charged = {e.spend["release"]: e.spend["mu"] for e in trails[name] if e.spend}
        assert charged == {e.spend.release: e.spend.mu for e in node.ledger.entries()}
        others = {n for n in nodes if n != name}
        assert all(node.trail.witnessed(other) for other in others)
    table = {(d["institution"], d["counterparty"], d["kind"]) for d in results.metrics["disclosures"]}
    assert ("tax", "bank", "partial scores") in table
    assert ("power", "tax", "blinded ids") in table
    assert not [row for row in table if row[0] == row[1]]


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
        run(consortium, progress=tighten)
    node = load_nodes(consortium.paths)["power"]
    assert [e.spend.release for e in node.ledger.entries()] == ["edges"]
    for other in load_nodes(consortium.paths).values():
        assert not list((other.store.path / "attempts").glob("*/secrets/*")), (
            "secrets outlive a stopped study"
        )


def test_columns_that_a_policy_keeps_back_are_not_used(consortium):
    set_policy(consortium, "tax", columns=["sales"])
    card = run(consortium).card
    assert {b.feature.column for b in card.bins if b.feature.institution == "tax"} == {"sales"}


def test_scores_need_a_consent_where_the_policy_asks_for_one(consortium):
    set_policy(consortium, "tax", consent=True)
    with pytest.raises(PeerError, match=r"tax \(refused\)"):
        run(consortium)
    assert "consent" in reasons(consortium, "tax")
    results = run(consortium, 'consent="register 7, 2026"')
    nodes = load_nodes(consortium.paths)
    (entry,) = nodes["tax"].trail.entries(event="score", attempt=results.metrics["attempt"])
    assert entry.consent == "register 7, 2026"
    assert entry.rows == 400


def test_versions_of_scores_are_limited_by_bank_and_enterprise(consortium):
    set_policy(consortium, "power", scored_versions=1)
    run(consortium)
    with pytest.raises(PeerError, match=r"power \(refused\)"):
        run(consortium)
    text = reasons(consortium, "power")
    assert "policy.scored_versions" in text
    assert "enterprise-" not in text


def test_a_study_goes_on_without_an_optional_institution(consortium):
    set_study(
        consortium,
        '{ name = "power", role = "holder" }',
        '{ name = "power", role = "holder", optional = true }',
    )
    set_policy(consortium, "power", purposes=[])
    results = run(consortium)
    assert results.metrics["left_out"] == ["power"]
    assert {b.feature.institution for b in results.card.bins} == {"bank", "tax"}
    assert not load_nodes(consortium.paths)["power"].ledger.entries()


def test_a_study_cannot_do_without_its_only_bank(consortium):
    with pytest.raises(ConfigError, match="no bank"):
        consortium.study().without({"bank"})


# --- the ledger ---------------------------------------------------------------------------------------------


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
    from fedrisk.server import scorecard

    real = scorecard._gram

    def greedy(ask, bases, radius, owner, mu):
        sizes = {
            r: [len(b) for b, o in zip(bases, owner, strict=True) if o == r] for r in ask.roster.study.roles
        }
        chosen = {role: list(range(len(s))) for role, s in sizes.items()}
        release = scorecard.counts_release(ask.roster.study, sizes, mu, "recount")
        ask(release, {r: {"chosen": chosen} for r in ask.roster.study.roles}, "counts again")
        return real(ask, bases, radius, owner, mu)

    monkeypatch.setattr(scorecard, "_gram", greedy)
    with pytest.raises(PeerError, match="protocol"):
        run(consortium)
    asked = consortium.study()
    for node in load_nodes(consortium.paths).values():
        spent = sum(e.spend.mu**2 for e in node.ledger.entries() if e.spend.population == "training")
        from fedrisk.models.plan import total_mu

        assert spent <= total_mu(asked) ** 2 * (1 + 1e-9)
