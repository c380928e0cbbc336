"""Networks trained by several banks over masked, noisy sums: exactness, noise, drop-outs, budgets, what stays at home."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from fedrisk.attacks.lies import retell
from fedrisk.clients import training, training_forms
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import training_rows
from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, PeerError, ProtocolError, TrainingError
from fedrisk.models.network import NetworkDesign, NetworkTrainee, initial_weights
from fedrisk.models.network_inputs import encode
from fedrisk.models.trainable import TrainedModel
from fedrisk.privacy.accounting import compose, epsilon_for, mu_for
from fedrisk.privacy.spend import Spend
from fedrisk.protocol.common_view import split
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.network.node import SIDE, own_bins
from fedrisk.releases.budget import total_mu
from fedrisk.releases.gradient_sums import training_plan
from fedrisk.secure.fixed_point import dequantise
from fedrisk.secure.ring import to_signed
from fedrisk.server.journal import Journal
from fedrisk.study import NO_PRIVACY
from support.long import sampled

pytestmark = pytest.mark.study

BANKS = ("alfa", "beta", "gama")
FALSE_ALARM = 1e-6
POLICY = {"recipes": ["scorecard", "network"]}
STUDY = {
    "recipe": "network",
    "network": {"kind": "logistic"},
    "training": {"steps": 3},
    "alignment": {"inclusion_probability": 0.8},
    "expected": {"default_rate": 0.2},
}


def consortium(kit, folder, *, banks=BANKS, enterprises=900, **changes):
    study = {**STUDY, **changes}
    return kit.build(folder, banks, (), enterprises=enterprises, policy=POLICY, study=study)


def model(run):
    return TrainedModel.from_bytes(run.results.network)


def rows_of(run, bank):
    """(inputs, label) of a bank's training rows, from its own table, in any order."""
    attempt = Attempt(run.nodes[bank], run.nodes[bank].store.attempt(run.attempt))
    rows = training_rows(attempt, bank)
    table = attempt.read()
    return encode(table.frame.iloc[rows], own_bins(attempt)), table.label[rows]


def plain_totals(run, banks=BANKS):
    """By step, the exact sum of these banks' clipped gradients at the weights that the hub sent."""
    design = NetworkDesign.from_dict(model(run).design)
    trainees = [NetworkTrainee(design, *rows_of(run, bank)) for bank in banks]
    sent = [s for s in run.steps if s.action == "step"]
    clip = run.results.to_dict()["training"]["clip"]
    totals = []
    for step in sent:
        weights = next(iter(step.sent.values())).array("weights")
        totals.append(dequantise(sum(t.clipped_sum(weights, clip, 24) for t in trainees)))
    return totals


@pytest.fixture(scope="module")
def exact(kit, scratch):
    """No noise: every number can be recomputed."""
    return consortium(kit, scratch(), privacy={"epsilon": math.inf}).run(research_seed=1)


@pytest.fixture(scope="module")
def private(kit, scratch):
    return consortium(kit, scratch(), enterprises=2000, privacy={"epsilon": 8.0}).run()


def norms_of(run, totals):
    rows = sum(run.roster.training.values())
    rate = run.results.to_dict()["training"]["rate"]
    return [rate * float(np.linalg.norm(t)) / rows for t in totals]


# --- sums ---------------------------------------------------------------------------------------------------


def test_without_noise_a_step_is_the_exact_sum_of_all_banks(exact):
    told = exact.results.to_dict()["training"]["norms"]
    assert told == pytest.approx(norms_of(exact, plain_totals(exact)), rel=1e-6)


def test_the_first_step_is_the_gradient_of_the_log_loss(exact):
    """By hand: at zero weights every probability is a half, and the gradient is the sum of (1/2 - y) x."""
    total = plain_totals(exact)[0]
    x, y = (np.concatenate(parts) for parts in zip(*(rows_of(exact, b) for b in BANKS), strict=True))
    design = NetworkDesign.from_dict(model(exact).design)
    assert np.all(initial_weights(design, 1) == 0)
    both = np.column_stack([x, np.full(len(x), 0.3)]).astype(float)
    rows = (0.5 - y)[:, None] * both
    rows /= np.maximum(np.linalg.norm(rows, axis=1), 1.0)[:, None]
    assert total == pytest.approx(rows.sum(0), abs=len(x) * 2.0**-22)


def test_the_noise_of_a_step_is_what_the_plan_says(kit, tmp_path):
    """The canary of the noise: released totals less the exact ones have the plan's variance, not less."""
    run = consortium(kit, tmp_path, privacy={"epsilon": 1.0}, training={"steps": 8}).run(research_seed=3)
    plan = run.plan.trained
    rows, rate = sum(run.roster.training.values()), run.results.to_dict()["training"]["rate"]
    sent = [next(iter(s.sent.values())).array("weights") for s in run.steps if s.action == "step"]
    assert len(sent) == 8
    # heavy ball: the change of step k is rate * total / rows; weights tell it back from three in a row
    changes = [np.diff(sent, axis=0)[0]]
    steps = np.diff(sent, axis=0)
    changes += [steps[k] - 0.8 * steps[k - 1] for k in range(1, len(steps))]
    z = np.concatenate(
        [
            (-c * rows / rate - t) / math.sqrt(plan.variance)
            for c, t in zip(changes, plain_totals(run), strict=False)
        ]
    )
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], len(z)) / len(z)
    assert low < float((z**2).mean()) < high


@pytest.mark.long
def test_in_silo_mode_every_bank_carries_the_whole_noise(kit, tmp_path):
    """One local step of rate r: a bank's change is - r (gradient + its own noise) / rows, and so is the average."""
    training = {"mode": "silo", "steps": 6, "learning_rate": 2.0, "optimiser": "sgd"}
    run = consortium(kit, tmp_path, privacy={"epsilon": 1.0}, training=training).run(research_seed=3)
    plan = run.plan.trained
    sent = [next(iter(s.sent.values())).array("weights") for s in run.steps if s.action == "step"]
    rows = sum(run.roster.training.values())
    z = np.concatenate(
        [
            (-step * rows / 2.0 - total) / (math.sqrt(3) * math.sqrt(plan.variance))
            for step, total in zip(np.diff(sent, axis=0), plain_totals(run), strict=False)
        ]
    )
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], len(z)) / len(z)
    assert low < float((z**2).mean()) < high


def test_local_steps_move_the_model_and_proximity_holds_it_back(kit, tmp_path):
    def moved(**training):
        rule = {"mode": "silo", "steps": 2, "learning_rate": 2.0, "optimiser": "sgd", **training}
        changed = consortium(kit, tmp_path / str(len(list(tmp_path.iterdir()))), training=rule)
        study = changed.with_study(privacy={"epsilon": math.inf})
        return float(np.linalg.norm(model(changed.run(study, research_seed=1)).weights))

    once, often, held = moved(local_steps=1), moved(local_steps=5), moved(local_steps=5, proximal=0.3)
    assert once < held < often


@pytest.mark.long
def test_a_research_seed_repeats_the_weights(kit, tmp_path):
    both = consortium(kit, tmp_path, network={"kind": "mlp", "hidden": 4})
    first, again, other = (model(both.run(research_seed=s)).weights for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# --- masks and drop-outs ------------------------------------------------------------------------------------


def test_what_a_bank_sends_is_covered_twice(exact):
    """Without noise a bare vector would be the gradient itself; what travels is far from it, and from the sum."""
    step = next(s for s in exact.steps if s.action == "step")
    exact_total = plain_totals(exact)[0]
    for answer in step.answers.values():
        vector = to_signed(answer.array("update")).astype(float)
        assert np.median(np.abs(vector)) > 2.0**58  # uniform on 64 bits has its median size at 2^62
    bare = sum(a.array("update") for a in step.answers.values())  # pair masks are gone, self masks are not
    assert np.median(np.abs(to_signed(bare).astype(float))) > 2.0**58
    assert not np.allclose(dequantise(bare), exact_total)


@pytest.mark.parametrize(
    ("action", "how"),
    sampled([("step", "dead"), ("step", "late"), ("unmask", "late"), ("unmask", "dead")], 2),
)
def test_a_lost_bank_leaves_the_sum_of_the_others_right(kit, tmp_path, action, how):
    def lose(asked, step):
        return {"beta": how} if asked == action and step == 1 else {}

    own = consortium(kit, tmp_path)
    study = own.with_study(privacy={"epsilon": math.inf})
    run = own.run(study, research_seed=1, lose=lose)
    here, without = plain_totals(run), plain_totals(run, ("alfa", "gama"))
    lost_from = 1 if action == "step" else 2
    totals = [here[k] if k < lost_from else without[k] for k in range(3)]
    rows = run.roster.training
    counted = [sum(n for b, n in rows.items() if k < lost_from or b != "beta") for k in range(3)]
    rate = run.results.to_dict()["training"]["rate"]
    expected = [rate * float(np.linalg.norm(t)) / n for t, n in zip(totals, counted, strict=True)]
    assert run.results.to_dict()["training"]["norms"] == pytest.approx(expected, rel=1e-6)
    assert run.results.to_dict()["training"]["lost"] == {"beta": lost_from}
    assert all("beta" not in s.sent for s in run.steps if s.action == "step" and s.sent_step == 2)


@pytest.mark.long
def test_a_late_vector_stays_covered(kit, tmp_path):
    """The hub holds every share that it was ever given, and the late vector: its self mask stays on it."""

    def lose(asked, step):
        return {"beta": "late"} if asked == "step" and step == 1 else {}

    own = consortium(kit, tmp_path)
    run = own.run(own.with_study(privacy={"epsilon": math.inf}), research_seed=1, lose=lose)
    assert "update" in run.exchange.late["step", 1]["beta"].blobs
    told = next(s for s in run.steps if s.action == "unmask" and s.sent_step == 1)
    for answer in told.answers.values():
        revealed = answer.get("revealed")
        assert set(revealed["key_shares"]) == {"beta"}
        assert set(revealed["seed_shares"]) == {"alfa", "gama"}  # never beta's, which would open its vector
    # and asked for beta's seed as well, now that the vector is there, the nodes refuse
    again = Payload({"attempt": run.attempt, "step": 1, "survivors": list(BANKS), "lost": []})
    for bank in ("alfa", "gama"):
        with pytest.raises(Exception, match="other survivors"):
            training.unmask(run.nodes[bank], again)
        with pytest.raises(Exception, match="other survivors"):
            training.confirm(run.nodes[bank], again)


@pytest.mark.long
def test_too_few_banks_open_nothing_and_training_goes_on_later(kit, tmp_path):
    whole = consortium(kit, tmp_path / "a", privacy={"epsilon": 8.0})
    uninterrupted = model(whole.run(research_seed=4)).weights

    def lose(asked, step):
        return {"beta": "dead", "gama": "late"} if asked == "step" and step == 1 else {}

    own = consortium(kit, tmp_path / "b", privacy={"epsilon": 8.0})
    with pytest.raises(PeerError, match=r"step 2 of 3: beta, gama lost.*threshold is 2.*--resume"):
        own.run(research_seed=4, lose=lose)
    assert [s.action for s in own.last.steps][-1] == "step"  # nothing was unmasked
    results = run_local(own.study, own.paths, hub=own.hub, research_seed=4, resume=True)
    assert np.array_equal(TrainedModel.from_bytes(results.network).weights, uninterrupted)
    assert results.to_dict()["training"]["lost"] == {}
    assert not list((own.hub.path / "runs").glob("*/journal"))
    with pytest.raises(ConfigError, match="run it again, without --resume"):
        run_local(own.study, own.paths, hub=own.hub, research_seed=4, resume=True)


@pytest.mark.parametrize("where", sampled(["confirm", "unmask"], 2))
def test_a_run_that_stops_while_masks_are_opened_goes_on_with_the_same_survivors(kit, tmp_path, where):
    """Nodes answer for one list of survivors: a resumed run must not ask the lost one again and name another list."""

    def lose(asked, step):
        if step != 1:
            return {}
        return {"step": {"beta": "late"}, where: {"gama": "late"}}.get(asked, {})

    own = consortium(kit, tmp_path, privacy={"epsilon": 8.0})
    with pytest.raises(PeerError, match=r"step 2 of 3: beta, gama lost"):
        own.run(research_seed=4, lose=lose)
    results = run_local(own.study, own.paths, hub=own.hub, research_seed=4, resume=True)
    assert results.to_dict()["training"]["lost"] == {"beta": 1}
    assert len(results.to_dict()["training"]["norms"]) == 3


def test_going_on_asks_for_no_budget_that_was_paid(kit, tmp_path):
    """Half of the cap is spent when the run stops; the whole study again would be above it."""

    def lose(asked, step):
        return {"beta": "dead", "gama": "dead"} if asked == "step" and step == 2 else {}

    policy = {**POLICY, "cap_epsilon": 8.2, "max_epsilon": 8.0}
    own = kit.build(
        tmp_path, BANKS, (), enterprises=900, policy=policy, study={**STUDY, "privacy": {"epsilon": 8.0}}
    )
    with pytest.raises(PeerError, match="--resume"):
        own.run(lose=lose)
    results = run_local(own.study, own.paths, hub=own.hub, resume=True)
    # Few default among those held out of 900: their ranking may be perfect, or chance.
    assert 0 <= results.to_dict()["auc"] <= 1
    assert len(results.to_dict()["training"]["norms"]) == STUDY["training"]["steps"]


def test_a_bank_refuses_an_order_that_names_one_row_again_and_again(kit, tmp_path):
    """-1 stands for "unknown here", which nobody is on a bank's own list; as an index it would be the last row."""

    def repeat(run, step):
        if step.action != "edges":
            return
        rows = step.sent["alfa"].blobs["rows:alfa"].copy()
        rows[: len(rows) // 2] = -1
        step.sent["alfa"].blobs["rows:alfa"] = rows

    own = consortium(kit, tmp_path)
    with pytest.raises(PeerError, match=r"edges: refused by alfa \(protocol\)"):
        own.run(change=repeat)


def test_weights_that_are_no_numbers_are_refused(kit, tmp_path):
    def poison(run, step):
        if step.action == "step" and "alfa" in step.sent:
            step.sent["alfa"].blobs["weights"] = step.sent["alfa"].blobs["weights"] * np.nan

    own = consortium(kit, tmp_path)
    run = own.run(change=poison)
    assert run.results.to_dict()["training"]["lost"] == {"alfa": 0}


def test_a_step_is_answered_once(private):
    """The same request gets the same bytes and pays nothing; other weights under the same masks are refused."""
    node = private.nodes["alfa"]
    step = next(s for s in private.steps if s.action == "step" and s.sent_step == 1)
    request, _, _ = split(step.sent["alfa"])
    left = node.ledger.left()
    again = training.step(node, request, side=SIDE)
    assert np.array_equal(again.array("update"), step.answers["alfa"].array("update"))
    assert node.ledger.left() == left
    other = Payload(request.body, {**request.blobs, "weights": request.array("weights") + 1})
    with pytest.raises(Exception, match="needs a new attempt"):
        training.step(node, other, side=SIDE)


# --- a hub that lies ----------------------------------------------------------------------------------------

FIVE = (*BANKS, "delta", "epsilon")


def five(kit, folder, **changes):
    """Five banks, of which three suffice; the last two have the tables of the first two."""
    tables = kit.province(900)
    tables |= {"delta": tables["alfa"], "epsilon": tables["beta"]}
    study = {**STUDY, "training": {"steps": 3, "threshold": 3}, **changes}
    return kit.build(folder, FIVE, (), tables=tables, policy=POLICY, study=study)


def reason(folder, bank):
    """What a bank wrote down at home about its refusal."""
    return (folder / "home" / bank / "errors.log").read_text()


def test_survivors_are_confirmed_where_somebody_is_lost_and_only_there(kit, tmp_path):
    """One bank is lost before its vector, one after it, before the confirmation: sums stay right, t are left."""

    def lose(asked, step):
        gone = {("step", 1): {"beta": "dead"}, ("confirm", 1): {"gama": "late"}}
        return gone.get((asked, step), {})

    own = five(kit, tmp_path)
    run = own.run(own.with_study(privacy={"epsilon": math.inf}), research_seed=1, lose=lose)
    asked = [(s.action, s.sent_step, len(s.sent)) for s in run.steps if s.sent_step >= 0]
    first = [("step", 0, 5), ("unmask", 0, 5)]
    lossy = [("step", 1, 5), ("confirm", 1, 4), ("unmask", 1, 3)]
    assert asked == [*first, *lossy, ("step", 2, 3), ("confirm", 2, 3), ("unmask", 2, 3)]
    assert run.results.to_dict()["training"]["lost"] == {"beta": 1, "gama": 2}
    there = [FIVE, [b for b in FIVE if b != "beta"], ["alfa", "delta", "epsilon"]]
    totals = [plain_totals(run, banks)[k] for k, banks in enumerate(there)]
    rows, rate = run.roster.training, run.results.to_dict()["training"]["rate"]
    norms = [
        rate * float(np.linalg.norm(t)) / sum(rows[b] for b in banks)
        for t, banks in zip(totals, there, strict=True)
    ]
    assert run.results.to_dict()["training"]["norms"] == pytest.approx(norms, rel=1e-6)


LIES = {
    "alfa": ("delta", "gama"),
    "beta": ("epsilon",),
    "delta": ("epsilon", "gama"),
    "epsilon": ("delta", "gama"),
    "gama": ("delta", "epsilon"),
}
"""By bank, who was lost as the hub says; without confirmations the sum of alfa and beta came open (n = 5, t = 3)."""


@pytest.mark.long
def test_a_hub_that_names_different_survivors_gets_no_share(kit, tmp_path):
    def lie(run, step):
        if step.action not in ("confirm", "unmask"):
            return
        for bank in step.sent:
            lost = list(LIES[bank])
            body = {**step.sent[bank].body, "lost": lost, "survivors": [b for b in FIVE if b not in lost]}
            step.sent[bank] = Payload(body, step.sent[bank].blobs)

    own = five(kit, tmp_path)
    with pytest.raises(PeerError, match="step 1 of 3"):
        own.run(change=lie)
    last = own.last.steps[-1]
    assert last.action == "unmask" and all(a.body == {"refused": "protocol"} for a in last.answers.values())

    def also_confirm(run, step):
        """The hub asks for confirmations as well, although nobody was lost, and hands on those of whom it names."""
        lie(run, step)
        if step.action == "unmask":
            asked = {b: Payload({**step.sent[b].body}) for b in step.sent}
            confirmed = super(type(run), run)._ask("confirm", "", asked, tolerant=True)
            signatures = {b: a.raw("signature") for b, a in confirmed.items()}
            assert set(signatures) == set(FIVE)
            for b in step.sent:
                named = step.sent[b].get("survivors")
                step.sent[b] = Payload(step.sent[b].body, {name: signatures[name] for name in named})

    again = five(kit, tmp_path / "again")
    with pytest.raises(PeerError, match="step 1 of 3"):
        again.run(change=also_confirm)
    assert all(a.body == {"refused": "protocol"} for a in again.last.steps[-1].answers.values())
    for bank in FIVE:
        assert "have confirmed the survivors of step 0" in reason(tmp_path / "again", bank)


@pytest.mark.long
def test_other_weights_for_one_bank_leave_noise_and_no_sum(kit, tmp_path):
    """The masks of a step are bound to the weights: the smallest difference leaves them in the total."""

    def differ(run, step):
        if step.action == "step" and step.sent_step == 1:
            weights = step.sent["beta"].array("weights").copy()
            weights[0] = np.nextafter(weights[0], 1)
            step.sent["beta"] = Payload(
                step.sent["beta"].body, {**step.sent["beta"].blobs, "weights": weights}
            )

    own = consortium(kit, tmp_path, training={"steps": 3, "optimiser": "sgd"})
    with pytest.raises(TrainingError, match="diverged in step 2 of 3.*learning_rate.*sent different weights"):
        own.run(own.with_study(privacy={"epsilon": math.inf}), research_seed=1, change=differ)
    total = Journal.of(own.hub, own.last.attempt).result("step_1").array("total")
    assert (
        np.median(np.abs(total)) > 2.0**34
    )  # uniform on 64 bits has its median size at 2^62, in units of 2^-24


def test_banks_that_were_told_different_things_refuse_each_others_keys(kit, tmp_path, monkeypatch):
    """Step keys are signed under the view of their moment; the confirmations of the view are not needed for it."""
    told, honest = dict.fromkeys(BANKS, ""), training.what_is_trained

    def what_is_trained(attempt, side):
        state = honest(attempt, side)
        return replace(state, view=told[attempt.name] or state.view)

    monkeypatch.setattr(training, "what_is_trained", what_is_trained)
    consortium(kit, tmp_path / "alike").run()
    told["gama"] = "b" * 64
    own = consortium(kit, tmp_path / "apart")
    with pytest.raises(PeerError, match=r"shares: refused by alfa \(envelope\), beta \(envelope\), gama"):
        own.run()
    assert own.last.steps[-1].action == "shares"


def with_rate(change):
    return lambda content: Payload({**content.body, "rate": change(content.get("rate"))}, content.blobs)


def test_a_bank_that_is_told_another_rate_within_rounding_gets_no_shares(kit, tmp_path):
    """The rate passes as one that follows from public facts, and is another view all the same."""

    def lie(run, step):
        kit.retold(step, "training", with_rate(lambda rate: math.nextafter(rate, 0)), only=["gama"])

    own = consortium(kit, tmp_path)
    with pytest.raises(PeerError, match=r"shares: refused by alfa \(protocol\), beta \(protocol\), gama"):
        own.run(change=lie)
    assert "does not confirm that it was told the same" in reason(tmp_path, "gama")


RATE = {
    "another": lambda rate: rate * (1 + 1e-6),
    "text": str,
    "not a number": lambda rate: math.nan,
    "infinite": lambda rate: math.inf,
    "a long integer": lambda rate: 10**400,
    "nothing": lambda rate: None,
}
DESIGN = {
    "a neuron more": lambda design: {**design, "hidden": design["hidden"] + 1},
    "another kind": lambda design: {**design, "kind": "mlp"},
    "a column less": lambda design: {**design, "columns": design["columns"][1:]},
    "another edge": lambda design: {
        **design,
        "columns": [
            {**design["columns"][0], "scale": 2 * design["columns"][0]["scale"]},
            *design["columns"][1:],
        ],
    },
    "more fields": lambda design: {**design, "more": 1},
    "text": str,
}


@pytest.mark.parametrize(
    ("entry", "how"),
    sampled([(entry, how) for entry, hows in (("rate", RATE), ("design", DESIGN)) for how in hows], 3),
)
def test_what_does_not_follow_from_public_facts_is_refused(private, monkeypatch, entry, how):
    """To a bank whose study went well, the part as the hub told it but for one entry: by its form, or by what follows."""
    change, part = {"rate": RATE, "design": DESIGN}[entry][how], private.told("training")
    attempt = private.nodes["alfa"].attempt(Payload({"attempt": private.attempt}))
    honest = Attempt.told

    def take(content):
        training_forms.TRAINING.check(content, "part training")
        monkeypatch.setattr(
            Attempt, "told", lambda self, name: content if name == "training" else honest(self, name)
        )
        return training.what_is_trained(attempt, SIDE)

    kept = attempt.state.load(training.TrainingState)
    assert replace(take(part), view=kept.view) == kept
    assert kept.rows == private.roster.training
    with pytest.raises(ProtocolError):
        take(Payload({**part.body, entry: change(part.get(entry))}, part.blobs))


def test_a_bank_that_is_sent_another_rate_makes_no_step(kit, tmp_path):
    def lie(run, step):
        kit.retold(step, "training", with_rate(lambda rate: rate / 2), only=["alfa"])

    own = consortium(kit, tmp_path, training={"steps": 1, "mode": "silo"})
    with pytest.raises(PeerError, match=r"prepare: refused by alfa \(protocol\)"):
        own.run(change=lie)
    assert {e.spend.release for e in own.nodes["alfa"].ledger.entries()} == {"edges"}


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("step", {"step": True}),
        ("step", {"step": 1.0}),
        ("step", {"step": -1}),
        ("step", {"step": 3}),
        ("step", {"step": "1"}),
        ("unmask", {"step": True}),
        ("unmask", {"survivors": "alfa"}),
        ("unmask", {"survivors": [*BANKS, "alfa"]}),
        ("unmask", {"survivors": [["alfa"], "beta", "gama"]}),
        ("unmask", {"survivors": dict.fromkeys(BANKS, 1)}),
        ("unmask", {"survivors": ["alfa", "beta"], "lost": ["gama", "gama"]}),
        ("unmask", {"survivors": ["alfa", "beta"], "lost": ["gama"]}),
        ("confirm", {"survivors": ["alfa", "gama"], "lost": []}),
    ],
)
def test_messages_of_a_step_that_are_refused(private, action, change):
    """To a bank whose study went well, as the hub sent it but for one field."""
    node = private.nodes["alfa"]
    old = next(
        s
        for s in private.steps
        if s.action == ("step" if action == "step" else "unmask") and s.sent_step == 1
    )
    request = Payload({**old.sent["alfa"].body, "attempt": private.attempt, **change}, old.sent["alfa"].blobs)
    before = node.attempt(request).state.load(training.MaskRecord)
    serve = {a.name: a.serve for a in training.actions(SIDE)}[action]
    with pytest.raises(ProtocolError):
        serve(node, request)
    assert node.attempt(request).state.load(training.MaskRecord) == before


@pytest.mark.parametrize("value", sampled([np.nan, np.inf, 1.0000001e6, -1e300], 2))
def test_weights_out_of_range_are_refused(private, value):
    node = private.nodes["alfa"]
    old = next(s for s in private.steps if s.action == "step" and s.sent_step == 1).sent["alfa"]
    weights = old.array("weights").copy()
    weights[-1] = value
    request = Payload({**old.body, "attempt": private.attempt}, {**old.blobs, "weights": weights})
    with pytest.raises(ProtocolError, match="finite numbers of at most"):
        training.step(node, request, side=SIDE)


# --- prices -------------------------------------------------------------------------------------------------


def test_the_whole_training_costs_the_study_and_no_more(private):
    spends = [Spend.from_dict(s) for s in private.results.to_dict()["spends"]]
    for bank in BANKS:
        own = [s for s in spends if s.institution == bank and s.population == "training"]
        assert compose(s.mu for s in own) == pytest.approx(mu_for(8.0, 1e-6), rel=1e-9)
        assert [s.release for s in own] == ["edges", "step_0", "step_1", "step_2"]


def test_prices_agree_with_another_accountant():
    """dp-accounting composes the same Gaussian events to the same epsilon, from below by its own discretisation."""
    dp = pytest.importorskip("dp_accounting")
    from dp_accounting.pld import PLDAccountant

    from fedrisk.recipes import study_from

    study = study_from(
        {
            "name": "n",
            "purpose": "p",
            "recipe": "network",
            "privacy": {"epsilon": 1.0},
            "institutions": [{"name": b, "role": "bank"} for b in BANKS],
        }
    )
    plan = training_plan(study, total_mu(study))
    event = dp.SelfComposedDpEvent(dp.GaussianDpEvent(plan.sigma / plan.radius), plan.sums)
    theirs = PLDAccountant(neighboring_relation=dp.NeighboringRelation.REPLACE_SPECIAL).compose(event)
    assert theirs.get_epsilon(1e-6) == pytest.approx(1.0, abs=2e-3)
    assert epsilon_for(plan.mu_sum * math.sqrt(plan.sums), 1e-6) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("banks", "colluders", "threshold", "share"),
    [(3, 1, 2, 1.0), (6, 1, 4, 2.0), (17, 1, 12, 10.0), (17, 3, 12, 8.0)],
)
def test_the_noise_of_the_fewest_left_suffices(banks, colluders, threshold, share):
    """Whoever subtracts its own noise and that of the colluders still faces the whole sigma of the others."""
    from fedrisk.recipes import study_from

    members = [{"name": f"b{k}", "role": "bank"} for k in range(banks)]
    content = {"name": "n", "purpose": "p", "recipe": "network", "institutions": members}
    study = study_from({**content, "privacy": {"epsilon": 1.0, "colluders": colluders}})
    plan = training_plan(study, total_mu(study))
    assert plan.threshold == threshold
    needed = plan.radius / plan.mu_sum
    others = max(1, threshold - 1 - colluders)
    assert others == share
    assert plan.sigma**2 * others == pytest.approx(needed**2, rel=1e-9)


# --- what stays at home -------------------------------------------------------------------------------------


def test_a_bank_keeps_scores_models_and_figures(private):
    for bank in BANKS:
        folder = private.nodes[bank].store.results(private.attempt)
        scores = pd.read_parquet(folder / "scores.parquet")
        assert {"id", "probability", "local_probability", "personal_probability", "best_probability"} <= {
            *scores.columns
        }
        assert scores["probability"].between(0, 1).all()
        own = json.loads((folder / "own_figures.json").read_text())
        assert own["best"] in ("local", "shared", "personal")
        assert 0.5 < own["bank_best_auc"] <= 1
        assert (folder / "network.npz").exists()
        assert (folder / "best.onnx").stat().st_size > 500


def test_the_hub_sees_no_figure_of_a_model_without_noise(private):
    said = json.dumps([{n: dict(a.body) for n, a in s.answers.items()} for s in private.steps])
    assert "_auc" not in said
    assert private.results.to_dict()["bank_alone_auc"] is None
    assert private.results.to_dict()["bank_personal_auc"] is None
    assert private.results.to_dict()["by_bank"] is None
    assert 0.5 < private.results.to_dict()["auc"] <= 1


def test_a_research_run_says_so_everywhere(exact):
    assert exact.results.to_dict()["notice"] == NO_PRIVACY
    assert model(exact).about["research"] is True
    assert model(exact).about["notice"] == NO_PRIVACY
    assert set(exact.scores("alfa")["notice"]) == {NO_PRIVACY}


def test_secrets_are_gone_when_the_study_is_over(kit, tmp_path):
    own = consortium(kit, tmp_path)
    run_local(own.study, own.paths, hub=own.hub)
    for bank in BANKS:
        (attempt,) = (tmp_path / "home" / bank / "attempts").iterdir()
        assert not (attempt / "secrets").exists()
        assert not list(attempt.glob("*.npy"))


def test_one_bank_trains_alone_under_its_whole_noise(kit, tmp_path):
    run = consortium(kit, tmp_path, banks=("alfa",), alignment={}).run()
    assert "shares" not in [s.action for s in run.steps]
    assert run.results.to_dict()["exchanges"] == 3 + 1 + 1 + 3 + 1
    spends = [Spend.from_dict(s) for s in run.results.to_dict()["spends"]]
    assert compose(s.mu for s in spends if s.population == "training") == pytest.approx(mu_for(8.0, 1e-6))


def test_a_bank_that_allows_no_networks_refuses(kit, tmp_path):
    own = kit.build(tmp_path, BANKS, (), enterprises=900, study=STUDY)
    with pytest.raises(PeerError, match="refused"):
        own.run()


def test_exchanges_are_two_a_step(private):
    assert private.results.to_dict()["exchanges"] == 4 + 1 + 2 + 2 * 3 + 1


def test_journals_of_another_study_are_not_taken(kit, tmp_path):
    own = consortium(kit, tmp_path)
    other = own.with_study(purpose="another")
    Journal.of(own.hub, "a" * 32).begin(other, other, None)
    with pytest.raises(ConfigError, match="can be resumed"):
        Journal.latest(own.hub, own.study, None)


def test_another_trained_model_for_some_banks_opens_no_evaluation(kit, tmp_path):
    """A model that puts all of the others' customers into one bin would leave one bank's histogram by itself."""
    own = consortium(kit, tmp_path, privacy={"epsilon": 8.0}, training={"steps": 2, "optimiser": "sgd"})

    def differ(run, step):
        def flat(name, weights):
            weights[:] = 0
            weights[-1] = 9e3  # the largest that is taken is 1e4
            return weights

        if step.action == "conclude":
            assert retell(step, "trained", blobs=flat, members=["beta", "gama"])

    own.run(change=differ)
    answers = own.last.steps[-1].answers
    total = np.sum([a.array("bank") for a in answers.values()], axis=0, dtype=np.uint32).view(np.int32)
    # Uniform over 32 bits: an honest histogram of so few customers stays far below 2^24.
    assert np.median(np.abs(total.astype(float))) > 2**24
