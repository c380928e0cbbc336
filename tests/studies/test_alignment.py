"""Alignment in a study against those who deviate: an authority with a second key, and a hub or thief that kept everything."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from fedrisk.alignment import dleq, oprf, ristretto
from fedrisk.attacks.lies import part, retell
from fedrisk.errors import EnvelopeError, PeerError
from fedrisk.secure.envelope import Context, open_sealed
from fedrisk.secure.identity import HUB, EphemeralKey, IdentityKey, SignedKey

pytestmark = pytest.mark.study


@pytest.fixture
def pair(kit, tmp_path):
    return kit.build(tmp_path, ("alfa",), ("tax",), enterprises=700)


def refusal(consortium, run=None):
    """The text of the one error of a study that stops, and the action where it did; nothing was released."""
    with pytest.raises(PeerError) as caught:
        (run or consortium.run)()
    attempt, nodes = consortium.last.attempt, consortium.nodes
    (entry,) = [e for node in nodes.values() for e in node.store.errors.of(attempt)]
    assert f"({entry['code']})" in str(caught.value)
    assert entry["text"] not in str(caught.value)
    assert not any(node.ledger.entries() for node in nodes.values())
    return entry["action"], entry["code"], entry["text"]


# --- an authority with a second key ---------------------------------------------------------------------------


def with_one_under_another_key(place, lies):
    """``oprf.evaluate`` of an authority that evaluates one id under another key, with or without a proof to fit."""
    honest, other = oprf.evaluate, oprf.new_key()

    def evaluate(points, key, *, pool=None):
        evaluated, proofs = honest(points, key)
        marked = ristretto.evaluate_chunk(points[32 * place : 32 * place + 32], other)
        evaluated = evaluated[: 32 * place] + marked + evaluated[32 * place + 32 :]
        if lies:
            seed = dleq.seed_of(oprf.public_key(key))
            proofs = dleq.prove(key, dleq.fold_blinded(seed, 0, points, evaluated))
        return evaluated, proofs

    return evaluate


def common_place(consortium):
    """Place, in the order of the request, of the first of the bank's ids that the holder has as well."""
    theirs = set(consortium.tables["tax"]["id"])
    return next(i for i, name in enumerate(sorted(consortium.tables["alfa"]["id"])) if name in theirs)


@pytest.mark.parametrize("lies", [False, True], ids=["honest proof", "proof of what was answered"])
def test_an_id_under_another_key_is_refused(pair, monkeypatch, lies):
    monkeypatch.setattr(oprf, "evaluate", with_one_under_another_key(common_place(pair), lies))
    action, code, text = refusal(pair)
    assert (action, code) == ("pseudonyms", "protocol")
    assert "under the key that it stated" in text and "Tell the consortium's operator" in text
    store = pair.nodes["alfa"].store
    assert not store.pseudonyms.known("tax@1@voprf", pair.tables["alfa"]["id"].to_numpy()).any()
    assert not (store.path / "evaluation_keys").exists()


def test_without_the_proof_an_id_under_another_key_is_lost_unnoticed(pair, monkeypatch):
    """The base mode of RFC 9497: the study ends well, and one enterprise is missing in it."""
    monkeypatch.setattr(oprf, "evaluate", with_one_under_another_key(common_place(pair), False))
    monkeypatch.setattr(oprf, "verify", lambda *_, **__: None)
    rows = pair.run().roster.lists["alfa"]
    common = set(pair.tables["alfa"]["id"]) & set(pair.tables["tax"]["id"])
    assert (rows.holders["tax"] >= 0).sum() == len(common) - 1


def test_every_common_enterprise_is_found(pair):
    rows = pair.run().roster.lists["alfa"]
    common = set(pair.tables["alfa"]["id"]) & set(pair.tables["tax"]["id"])
    assert (rows.holders["tax"] >= 0).sum() == len(common)


def test_another_key_in_the_same_epoch_is_refused(pair):
    pair.run(research_seed=None)
    epochs = pair.nodes["tax"].store.path / "epochs"
    (epochs / "1.voprf").unlink()
    with pytest.raises(PeerError, match="tax"):  # a lost key is not made anew in silence
        pair.run()
    (epochs / "1.made").unlink()
    with pytest.raises(PeerError, match="alfa"):
        pair.run()
    (entry,) = pair.nodes["alfa"].store.errors.of(pair.last.attempt)
    assert "another evaluation key" in entry["text"] and "alignment.epoch" in entry["text"]
    pair.run(pair.with_study(alignment={"epoch": "2"}))


@pytest.mark.parametrize(
    ("deceived", "stated", "when", "said"),
    [
        (["alfa"], "another", "evaluate", "alfa does not confirm that it was told the same"),
        (["tax"], "another", "blind", "other facts of tax than it stated"),
        (["alfa", "tax"], "another", "blind", "other facts of tax than it stated"),
        (["alfa"], None, "blind", "stated no public key"),
        (["alfa"], "zz", "blind", "field statements.tax.evaluation_key is missing, of another type"),
    ],
)
def test_a_hub_that_relays_another_evaluation_key_is_refused(pair, deceived, stated, when, said):
    """To the bank alone: the authority evaluates nothing before the bank has confirmed what it was told."""
    key = oprf.public_key(oprf.new_key()).hex() if stated == "another" else stated

    def lie(record, step):
        retell(step, "members", lambda c: c["statements"]["tax"].update(evaluation_key=key), members=deceived)

    action, code, text = refusal(pair, lambda: pair.run(change=lie))
    assert (action, code) == (when, "protocol") and said in text
    assert not (pair.nodes["alfa"].store.path / "evaluation_keys").exists()


# --- the hub's key of the attempt -----------------------------------------------------------------------------


def keys_on_disk(folder):
    """Everything in a folder's files that could be 32 private bytes."""
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield from (content[i : i + 32] for i in range(max(len(content) - 31, 0)) if len(content) < 5000)
            for word in content.split():
                text = word.strip(b'",').decode("latin-1")
                if len(text) == 64 and set(text) <= set("0123456789abcdef"):
                    yield bytes.fromhex(text)


def opens(private, run, name):
    """Whether a private key opens an institution's recorded pseudonyms."""
    own = EphemeralKey(HUB, run.study.digest(), run.attempt, private)
    signed = SignedKey.from_dict(run.told("members").get("keys")[name])
    context = Context(run.study.digest(), "alignment", run.attempt, "pseudonyms", name, HUB)
    try:
        return bool(
            list(open_sealed(own, signed, context, run.step("pseudonyms").answers[name].raw("pseudonyms")))
        )
    except EnvelopeError:
        return False


def test_nothing_on_the_hubs_disk_opens_recorded_pseudonyms_afterwards(pair, monkeypatch):
    drawn, generate = [], EphemeralKey.generate.__func__

    def kept(cls, identity, institution, digest, attempt):
        own, signed = generate(cls, identity, institution, digest, attempt)
        drawn.extend([own] if institution == HUB else [])
        return own, signed

    monkeypatch.setattr(EphemeralKey, "generate", classmethod(kept))
    (pair.hub.path).mkdir(parents=True)
    (pair.hub.path / "hub.key").write_text("11" * 32)
    run = pair.run()
    (own,) = drawn
    assert opens(own.private, run, "alfa") and opens(own.private, run, "tax")
    tried = set(keys_on_disk(pair.hub.path))
    assert pair.hub.identity.private in tried and len(tried) >= 3
    assert not any(opens(private, run, "alfa") for private in tried)
    assert not (pair.hub.path / "hub.key").exists()


@pytest.mark.long
def test_each_attempt_has_another_hub_key(pair):
    keys = [pair.run().told("members").get("hub_key")["public"] for _ in range(2)]
    assert keys[0] != keys[1]


def resigned(record, study, identity, **changes):
    _, signed = EphemeralKey.generate(identity, HUB, study.digest(), record.attempt)
    return replace(signed, **changes).to_dict()


@pytest.mark.parametrize(
    ("make", "refused", "said"),
    [
        (
            lambda r, c: resigned(r, c.study, IdentityKey.generate()),
            "envelope",
            "not signed by its pinned identity",
        ),
        (
            lambda r, c: resigned(r, c.study, c.hub.identity, public=bytes(32)),
            "envelope",
            "not signed by its pinned identity",
        ),
        (
            lambda r, c: resigned(r, c.study, c.hub.identity, attempt="another"),
            "envelope",
            "for another institution, study or",
        ),
        (
            lambda r, c: part(r.steps[-1].sent["tax"], "members")[1]["keys"]["tax"],
            "envelope",
            "for another institution, study or attempt",
        ),
        (lambda r, c: {"institution": HUB}, "protocol", "field hub_key.study_digest is missing"),
    ],
    ids=["another identity", "another key", "another attempt", "an institution's", "malformed"],
)
def test_a_hub_key_that_the_pinned_identity_did_not_sign_is_refused(pair, make, refused, said):
    def lie(record, step):
        retell(step, "members", lambda c: c.update(hub_key=make(record, pair)), members=["alfa"])

    action, code, text = refusal(pair, lambda: pair.run(change=lie))
    assert (action, code) == ("blind", refused) and said in text


# --- stores of an older version ---------------------------------------------------------------------------------


def test_kept_pseudonyms_of_the_older_function_are_not_used_and_its_sides_count(pair):
    ids = np.array(sorted(set(pair.tables["alfa"]["id"]) & set(pair.tables["tax"]["id"])), object)[:40]
    for name in ("alfa", "tax"):
        old = pair.nodes[name].store.pseudonyms
        old.keep("tax@1", ids, np.full((len(ids), 32), 7 if name == "alfa" else 9, np.uint8))
        old.keep_split("tax@1", ids, (np.arange(len(ids)) % 2).astype(np.uint8))
    run = pair.run()
    rows = run.roster.lists["alfa"]
    common = set(pair.tables["alfa"]["id"]) & set(pair.tables["tax"]["id"])
    assert (rows.holders["tax"] >= 0).sum() == len(common)
    kept = pq.read_table(pair.nodes["alfa"].store.path / "sides" / "tax@1@voprf.parquet").to_pandas()
    sides = kept.set_index("id")["side"].reindex(ids).to_numpy()
    assert np.array_equal(sides, np.arange(len(ids)) % 2)
