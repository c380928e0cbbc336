"""What the hub can learn from a real study: it dealt the masks, relayed the envelopes and received the parts.

Statistical tests have an error rate of one in a million each; whether they can see anything is shown by the
same test with the pair masks switched off.
"""

import json
import struct
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fedrisk.cli.check_screen import plain
from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import training_rows
from fedrisk.engine.check import check_study
from fedrisk.engine.in_process import run_local
from fedrisk.errors import PeerError
from fedrisk.protocol.common_view import split as without_view
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.protocol.row_check import CHECKED
from fedrisk.recipes.scorecard.forms import counts_release
from fedrisk.recipes.scorecard.plan import SHARES
from fedrisk.releases.budget import split, total_mu
from fedrisk.releases.release import product_label, products
from fedrisk.secure.keystream import expand
from fedrisk.secure.product import with_last
from fedrisk.secure.ring import from_signed, ring_product
from support.long import sampled

ERROR = 1e-6
RUNS = 8  # on each of two data sets
ROSTERS = {"1x1": (("alfa",), ("tax",)), "2x2": (("alfa", "beta"), ("tax", "power"))}
TINY = {
    "bank": [
        {"name": "debt", "kind": "number", "low": 0, "high": 1e6, "grid": "log", "bins": 4},
        {"name": "late", "kind": "number", "low": 0, "high": 12, "bins": [0.5, 1.5]},
    ],
    "tax": [{"name": "growth", "kind": "number", "low": -1, "high": 1, "bins": [-0.2, 0.2]}],
    "power": [{"name": "cuts", "kind": "number", "low": 0, "high": 9, "bins": [0.5]}],
}
pytestmark = pytest.mark.study


class Twins:
    """Two sets of tables that differ in almost every training row and agree in every total.

    The training rows' contents (all institutions' columns and the labels together) change hands between the
    enterprises; who is on which list stays. Without noise both give the same released totals.
    """

    def __init__(self, kit, folder, roster):
        banks, holders = ROSTERS[roster]
        tables = {name: pd.DataFrame(t) for name, t in self.tables(kit).items()}
        self.banks = banks
        self.sides = []
        for side in ("one", "two"):
            consortium = kit.build(
                folder / side,
                banks,
                holders,
                tables=tables,
                columns=TINY,
                policy={"least_rows": 1},
                study={"privacy": {"epsilon": float("inf")}},
            )
            self.sides.append(consortium)
            if side == "one":
                first = consortium.run(research_seed=1, wire=False)
                used = [first.scores(b)[first.scores(b)["split"] == "training"]["id"] for b in banks]
                tables = self.exchanged(tables, used, holders)

    @staticmethod
    def tables(kit):
        """All know all, so that contents may change hands; distinct banks' customers do not overlap."""
        rng = np.random.default_rng(3)
        everybody = kit.province(5000, seed=3)
        ids = sorted(set.intersection(*(set(everybody[n]["id"]) for n in ("alfa", "beta", "tax", "power"))))[
            :120
        ]
        out = {n: t.set_index("id").loc[ids].reset_index() for n, t in everybody.items() if n != "gama"}
        for bank in ("alfa", "beta"):
            out[bank]["bad"] = (rng.random(len(ids)) < 0.15).astype(int)
        out["alfa"], out["beta"] = out["alfa"].iloc[:70], out["beta"].iloc[70:]
        return out

    @staticmethod
    def exchanged(tables, used, holders):
        rng = np.random.default_rng(4)
        out = {name: t.set_index("id") for name, t in tables.items()}
        for bank, ids in zip(("alfa", "beta"), used, strict=False):
            ids = list(ids)
            order = [ids[k] for k in rng.permutation(len(ids))]
            for name in (bank, *holders):
                new = out[name].copy()
                new.loc[ids] = out[name].loc[order].to_numpy()
                out[name] = new.astype(out[name].dtypes)
        return {name: t.reset_index() for name, t in out.items()}

    def run(self, side):
        """Another attempt; the research seed is always the same, only keys and masks are fresh.

        ``order`` of the run: ids of each bank's training rows in the order of its list, as only the bank knows them.
        """
        consortium, order = self.sides[side], {}

        def look(number, action, what):
            if action != "score":
                return
            for bank in self.banks:
                node = consortium.nodes[bank]
                attempt = Attempt(node, node.store.attempt(consortium.last.attempt))
                order[bank] = attempt.read().ids[training_rows(attempt, bank)]

        run = consortium.run(research_seed=1, wire=False, report=look)
        run.order = order
        return run


def parts(run):
    """Every array that the hub received for a block of several contributors: {(release, block, name): array}."""
    out = {}
    for step in run.steps:
        if step.action not in ("edges", "release"):
            continue
        name = next(iter(step.sent.values())).body.get("release", "edges")
        blocks = {b for a in step.answers.values() for b in a.blobs}
        for block in blocks:
            who = [n for n, a in step.answers.items() if block in a.blobs]
            out |= {(name, block, n): step.answers[n].array(block) for n in who if len(who) > 1}
    return out


def totals(run):
    """Sum of what the hub received for each block. Shares of the checks of rows are sealed for a holder: no block."""
    sums = {}
    for step in run.steps:
        if step.action in ("edges", "release"):
            name = next(iter(step.sent.values())).body.get("release", "edges")
            for answer in step.answers.values():
                for block, array in answer.blobs.items():
                    if CHECKED in block:
                        continue
                    sums[name, block] = sums.get((name, block), np.zeros_like(array)) + array
    return sums


def digit_counts(arrays):
    """How often each half of a byte has each of its 16 values."""
    raw = np.concatenate([a.reshape(-1).view(np.uint8) for a in arrays])
    return np.bincount(np.r_[raw >> 4, raw & 15], minlength=16)


@pytest.fixture(scope="module", params=["1x1", pytest.param("2x2", marks=pytest.mark.long)])
def seen(request, kit, scratch):
    """Recorded runs on both of two twins, in random order, with the coins that chose them."""
    twins = Twins(kit, scratch(), request.param)
    coins = np.random.default_rng(5).permutation(np.repeat([0, 1], RUNS))
    return twins, coins, [twins.run(coin) for coin in coins]


def bare(twins, monkeypatch, runs=2):
    """The same with the pair masks of releases switched off: what a broken institution would send."""
    monkeypatch.setattr(outlet, "_pair_mask", lambda attempt, release: lambda block, part: part)
    coins = np.array([0, 1] * runs)
    return coins, [twins.run(coin) for coin in coins]


# --- (a) uniform given the totals ---------------------------------------------------------------------------


def test_twins_differ_in_data_and_agree_in_totals(seen):
    twins, coins, runs = seen
    one, two = (s.tables for s in twins.sides)
    assert all((one[n].set_index("id") != two[n].set_index("id")).any(axis=1).mean() > 0.3 for n in one)
    first = totals(runs[0])
    assert {name for name, _ in first} == {"edges", "counts", "recount"}
    for run in runs[1:]:
        assert all(np.array_equal(array, first[key]) for key, array in totals(run).items())
    assert len({r.attempt for r in runs}) == len(runs) and set(coins) == {0, 1}


def test_messages_are_uniform_given_the_totals(seen, monkeypatch):
    """Each received array's digits are uniform for either data set, so one cannot be told from the other.

    Also the low bits of all contributors but one together: free of each other, not only one by one.
    """
    twins, coins, runs = seen
    views = [parts(run) for run in runs]
    keys = list(views[0])
    assert {k[2] for k in keys} == set(runs[0].study.members)
    tests = 3 * len(keys) + len({k[:2] for k in keys})
    for key in keys:
        counts = [
            digit_counts([v[key] for v, c in zip(views, coins, strict=True) if c == side]) for side in (0, 1)
        ]
        for side in (0, 1):
            assert stats.chisquare(counts[side]).pvalue > ERROR / tests, key
        assert stats.chi2_contingency(np.stack(counts)).pvalue > ERROR / tests, key
    for block in {k[:2] for k in keys}:
        free = [k for k in keys if k[:2] == block][1:]
        low = sum((np.stack([v[k] for v in views]).ravel() & 1).astype(int) << i for i, k in enumerate(free))
        assert stats.chisquare(np.bincount(low, minlength=2 ** len(free))).pvalue > ERROR / tests
    # No array comes twice: masks are fresh in every attempt.
    for key in keys:
        assert len({v[key].tobytes() for v in views}) == len(views)
    own = [k for k in keys if k[1] == "bank"]  # in bare sums of counts nearly all bytes are zero
    if own:
        _, shown = bare(twins, monkeypatch, runs=1)
        assert stats.chisquare(digit_counts([parts(r)[own[0]] for r in shown])).pvalue < ERROR


# --- (b) the hub's attack -----------------------------------------------------------------------------------


def labels_of(run, consortium, bank, unit, ring):
    """y of the bank's training rows as a column, in the order of the list."""
    y = consortium.tables[bank].set_index("id")["bad"].loc[run.order[bank]].to_numpy(int)
    return from_signed(y[:, None] * unit, ring)


def guesses(run, sides):
    """For each holder's block of both label counts: which of the two data sets fits what the hub received.

    The hub knows the secrets that it dealt. A holder's bare array is R'Y - T summed over the banks, which it
    can compute for any labels Y that it suspects; here it even suspects the right ones or their twin.
    """
    study = run.study
    mus = split(total_mu(study), SHARES)
    how = {"binary_labels": run.binary_labels, "rows": sum(run.roster.training.values())}
    sizes, chosen = run.sizes, run.told("counts").get("chosen")
    some = {role: [sizes[role][j] for j in picked] for role, picked in chosen.items()}
    out = []
    for release, widths in (
        (counts_release(study, sizes, mus["counts"], **how), sizes),
        (counts_release(study, some, mus["gram"], "recount", **how), some),
    ):
        dealt = {n: p.body["secrets"] for n, p in run.step("mask", release.name).sent.items()}
        answers = run.step("release", release.name).answers
        for holder in study.holders:
            received = answers[holder].array(holder)
            assert received.dtype == np.uint16  # the ring of all these small studies
            fits = [misfit(run, c, release, widths[holder], dealt, holder, received) for c in sides]
            out.append(int(np.argmin(fits)))
    return out


def misfit(run, consortium, release, sizes, dealt, holder, received):
    """Distance between a holder's array and what it would be, bare, with these labels."""
    study = run.study
    expected = 0
    for product in products(study, release):
        if product.left != holder:
            continue
        label = product_label(study.digest(), run.attempt, release, product)
        y = labels_of(run, consortium, product.right, 2**release.scale_bits, received.dtype)
        left, right = (bytes.fromhex(dealt[n][product.id]) for n in (holder, product.right))
        columns = release.columns_of(product)
        r = expand(left, replace(label, role="R", block=0), (len(y), columns[0]), received.dtype)
        t = expand(right, replace(label, role="T", block=0), columns, received.dtype)
        expected = expected + with_last(ring_product(r, y) - t, sizes)
    return np.abs((received - expected).view(np.int16).astype(float)).sum()


def test_hub_cannot_tell_which_labels(seen):
    twins, coins, runs = seen
    wins = [g == coin for run, coin in zip(runs, coins, strict=True) for g in guesses(run, twins.sides)]
    low, high = stats.binom.ppf([ERROR / 2, 1 - ERROR / 2], len(wins), 0.5)
    assert high < len(wins)  # a sure win would be seen
    assert low <= sum(wins) <= high


def test_the_attack_always_wins_without_pair_masks(seen, monkeypatch):
    twins, _, _ = seen
    coins, runs = bare(twins, monkeypatch)
    assert all(g == coin for run, coin in zip(runs, coins, strict=True) for g in guesses(run, twins.sides))


# --- (c) nothing in clear -----------------------------------------------------------------------------------

CANARY_VALUE = 77421.913371
WORDS = ("CANARYID", "CANARYBAD", "CANARYGOOD", "CANARYMISSING", "canary_column", "77421.9", "canary.parquet")


def planted(kit, folder, banks, holders, **more):
    """Ids, labels, values, codes and names of the institutions' own tables that must never travel."""
    tables = kit.province(1200, names=[f"CANARYID{i:05d}X" for i in range(1200)])
    for bank in banks:
        t = tables[bank]
        t["debt"] = t["debt"].mask(np.arange(len(t)) % 7 == 0, CANARY_VALUE)
        t["canary_column"] = np.where(t.pop("bad") == 1, "CANARYBAD", "CANARYGOOD")
        t["grade"] = t["grade"].mask(np.arange(len(t)) % 9 == 0, "CANARYMISSING")
    for holder in holders:
        first = kit.COLUMNS[holder][0]["name"]
        high = min(CANARY_VALUE, kit.COLUMNS[holder][0]["high"] * 0.77421913371)
        t = tables[holder]
        t[first] = t[first].mask(np.arange(len(t)) % 5 == 0, high)
    columns = json.loads(json.dumps(kit.COLUMNS))
    columns["bank"][2]["missing_values"] = ["CANARYMISSING"]
    label = {
        "column": "canary_column",
        "positive": ["CANARYBAD"],
        "negative": ["CANARYGOOD"],
        "horizon": "year",
    }
    return kit.build(folder, banks, holders, tables=tables, columns=columns, label=label, **more)


def traces(content):
    """Which canaries stand in bytes or text, in any of the usual spellings."""
    raw = content.encode() if isinstance(content, str) else content
    lower = raw.lower()
    found = [
        w for w in WORDS for spelt in (w.lower().encode(), w.lower().encode("utf-16-le")) if spelt in lower
    ]
    values = (CANARY_VALUE, 774.21913371)
    return found + [str(v) for v in values for kind in ("<d", ">d", "<f") if struct.pack(kind, v) in raw]


def texts(payload):
    yield json.dumps(payload.body).encode()
    for name, blob in payload.blobs.items():
        yield name.encode()
        yield blob.tobytes() if isinstance(blob, np.ndarray) else blob


@pytest.mark.parametrize("seed", sampled([None, 2], 2))
@pytest.mark.parametrize("roster", ROSTERS)
def test_no_id_label_or_value_in_messages_results_or_logs(kit, tmp_path, roster, seed):
    consortium = planted(kit, tmp_path / "c", *ROSTERS[roster])
    run = consortium.run(research_seed=seed)
    for step in run.steps:
        for side in (step.sent, step.answers):
            for name, payload in side.items():
                for text in texts(payload):
                    assert not traces(text), (step.action, name)
    run.results.save(tmp_path / "out")
    for file in [*(tmp_path / "out").iterdir(), *(f for f in run.hub.path.rglob("*") if f.is_file())]:
        assert not traces(file.read_bytes()), file.name
    for node in run.nodes.values():
        for name in ("errors.log", "ledger.sqlite", "quota.sqlite", "audit.jsonl"):
            file = node.store.path / name
            assert not file.exists() or not traces(file.read_bytes()), name
        assert not node.store.errors.of(run.attempt)
    # The search finds what is there: the bank's own scores hold ids, as they must.
    assert traces("".join(run.scores("alfa")["id"])) == ["CANARYID"]
    assert traces(np.array([CANARY_VALUE]).tobytes()) and traces(str(CANARY_VALUE))


@pytest.mark.parametrize("broken", sampled(["label", "value", "id", "changed"], 2))
def test_no_canary_in_a_refusal(kit, tmp_path, broken):
    """Refusals for data reasons, and the unforeseen error of a handler, stay free of ids, labels and values."""
    consortium = planted(kit, tmp_path, ("alfa",), ("tax",))
    table = consortium.tables["alfa"]
    if broken == "label":
        table["canary_column"] = "CANARYGOOD"
    elif broken == "value":
        table["late"] = CANARY_VALUE
    elif broken == "id":
        table.loc[:20, "id"] = table["id"][0]
    consortium.write("alfa")

    def change(number, action, what):
        if action == "mask" and broken == "changed":
            table["late"] = CANARY_VALUE % 3
            consortium.write("alfa")

    with pytest.raises(Exception) as caught:
        consortium.run(report=change)
    node = consortium.nodes["alfa"]
    (entry,) = node.store.errors.of(consortium.last.attempt)
    assert entry["code"] == "data"
    assert not [
        w for w in traces(entry["text"] + str(caught.value)) if w != "canary_column"
    ]  # its own column's name
    assert not traces(str(caught.value))
    for step in consortium.last.steps:
        for payload in step.answers.values():
            assert not any(traces(t) for t in texts(payload))


@pytest.mark.parametrize("broken", sampled(["value", "code", "id"], 2))
def test_no_canary_in_the_json_of_a_check_nor_in_the_hubs_entry_of_a_run(kit, tmp_path, broken):
    """Rows and values are for the owner's screen; JSON, logs and what the hub keeps of a run that failed have none."""
    consortium = planted(kit, tmp_path, ("alfa",), ("tax",))
    table = consortium.tables["alfa"]
    if broken == "value":
        table["late"] = CANARY_VALUE
    elif broken == "code":
        table["late"] = np.where(np.arange(len(table)) % 3 == 0, "CANARYGOOD", "1")
    else:
        table.loc[:20, "id"] = table["id"][0]
    consortium.write("alfa")
    found = check_study(consortium.study, consortium.paths, hub=consortium.hub)
    assert found.broken
    told = json.dumps(plain(found), default=str)
    assert not [w for w in traces(told) if w != "canary_column"]  # its own column's name
    with pytest.raises(PeerError):
        run_local(consortium.study, consortium.paths, hub=consortium.hub)
    kept = [f for f in consortium.hub.path.rglob("*") if f.is_file()]
    assert [f for f in kept if f.name == "run.json"]
    assert not [f.name for f in kept if traces(f.read_bytes())]


# --- (d) nothing is left ------------------------------------------------------------------------------------


def left_over(node):
    return left_over_of(node, "")


def left_over_of(node, attempt):
    folder = node.store.path / "attempts" / attempt
    return [
        str(f) for f in folder.rglob("*") if f.suffix == ".npy" or f.name == "secrets" or "secrets" in f.parts
    ]


@pytest.mark.parametrize(
    "how",
    [
        "private",
        *(pytest.param(how, marks=pytest.mark.long) for how in ("research", "no evaluation", "regulator")),
    ],
)
def test_no_secret_is_left_after_a_study(kit, tmp_path, how):
    policy = {"evaluation": False} if how == "no evaluation" else {}
    authority = "regulator" if how == "regulator" else None
    consortium = kit.build(
        tmp_path, ("alfa", "beta"), ("tax", "power"), enterprises=1000, policy=policy, authority=authority
    )
    during = []

    def look(number, action, what):
        during.append(sum(len(left_over(n)) for n in consortium.nodes.values()))

    for _ in range(2):
        run = consortium.run(research_seed=1 if how == "research" else None, report=look)
        assert not [f for node in run.nodes.values() for f in left_over(node)]
    assert max(during) > 10  # there was something to forget


# --- (e) replays --------------------------------------------------------------------------------------------


def ask(run_or_record, grid, name, action, payload):
    """One message to one institution by the hub's own way."""
    record = getattr(run_or_record, "exchange", run_or_record)
    stamped = Payload({**payload.body, "attempt": record.attempt}, payload.blobs)
    (answer,) = grid.send_and_receive([request(stamped, action, record._nodes[name], ttl=60)])
    return from_record(answer.content)


def altered(payload):
    """Another content of the same form: another mask secret, or an envelope with one bit changed."""
    if "secrets" in payload.body:
        secrets = {k: bytes(32).hex() for k in payload.body["secrets"]}
        return Payload({**payload.body, "secrets": secrets}, payload.blobs)
    name = next(n for n in payload.blobs if not n.startswith("common/"))
    blob = bytearray(payload.raw(name))
    blob[-1] ^= 1
    return Payload(payload.body, {**payload.blobs, name: bytes(blob)})


def previous(record):
    """The exchange before the one that is about to be made, or None."""
    return record.steps[-2] if len(record.steps) > 1 else None


def same_bytes(a, b):
    """Whether two answers are the same.

    Left out is what is of the view and not of the answer, and a bank's shares of the checks of rows, which are sealed
    anew each time, to the same length, and no more once the attempt is over.
    """
    one, other = ({k: v for k, v in payload.body.items() if k != "confirm"} for payload in (a, b))
    sealed = {k: (len(a.blobs[k]), len(b.blobs[k])) for k in a.blobs.keys() & b.blobs.keys() if CHECKED in k}
    assert all(before == after for before, after in sealed.values())
    mine, theirs = (
        {k: np.asarray(v).tobytes() for k, v in payload.blobs.items() if CHECKED not in k}
        for payload in (a, b)
    )
    return one == other and mine == theirs


@pytest.mark.parametrize("seed", [None, pytest.param(1, marks=pytest.mark.long)])
def test_replays_change_nothing(kit, tmp_path, seed):
    """The same message again: the same bytes, no further charge, and the study goes on undisturbed."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax", "power"), enterprises=1500)
    tried = []

    def replay(number, action, what):
        record = consortium.last
        last = previous(record)
        if last is None or last.action not in ("edges", "mask", "release", "score", "calibrate"):
            return
        for name in last.sent:
            ledger = consortium.nodes[name].ledger
            before = (ledger.spent(), len(ledger.entries()))
            again = ask(record, record._grid, name, last.action, last.sent[name])
            if last.action == "mask":  # the same matrices, sealed anew under a fresh key of the envelope
                assert {k: len(v) for k, v in again.blobs.items()} == {
                    k: len(v) for k, v in last.answers[name].blobs.items()
                }
            else:
                assert same_bytes(again, last.answers[name]), (last.action, name)
            assert (ledger.spent(), len(ledger.entries())) == before
            tried.append((last.action, name))

    run = consortium.run(research_seed=seed, report=replay)
    assert len(tried) == 5 * 4 + 2 + 2 and run.steps[-1].action == "deliver"


@pytest.mark.parametrize("action", ["mask", "release"])
@pytest.mark.parametrize("seed", sampled([None, 1], 2))
def test_other_content_under_the_same_name_is_refused(kit, tmp_path, seed, action):
    """Masks and noise are never used twice: a code for the hub, no charge, and the node leaves the attempt."""
    consortium = kit.build(tmp_path, ("alfa", "beta"), ("tax", "power"), enterprises=1500)
    tried = []

    def tamper(number, _, what):
        record = consortium.last
        last = previous(record)
        if tried or last is None or last.action != action:
            return
        for name in last.sent:
            node = consortium.nodes[name]
            before = (node.ledger.spent(), len(node.ledger.entries()))
            refused = ask(record, record._grid, name, action, altered(last.sent[name]))
            assert refused.body == {"refused": "protocol"} and not refused.blobs
            assert (node.ledger.spent(), len(node.ledger.entries())) == before
            assert not left_over_of(node, record.attempt)
            tried.append(name)

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(research_seed=seed, report=tamper)
    assert sorted(tried) == sorted(consortium.study.members)


@pytest.mark.long
def test_replays_after_the_end_change_nothing(kit, tmp_path):
    """Old messages come again when all is over: the stored bytes or a refusal, no charge, no secret anew."""
    consortium = kit.build(tmp_path, ("alfa",), (), enterprises=800)
    joint = kit.build(tmp_path / "joint", ("alfa", "beta"), ("tax",), enterprises=800)
    for c in (consortium, joint):
        run = c.run()
        charged = {n: (node.ledger.spent(), len(node.ledger.entries())) for n, node in run.nodes.items()}
        for step in run.steps[1:]:
            for name, payload in step.sent.items():
                answer = ask(run, run.grid, name, step.action, payload)
                stored = same_bytes(answer, step.answers[name])
                assert stored or (answer.refusal == "protocol" and not answer.blobs), (step.action, name)
                assert stored or step.action not in ("release", "deliver")
        for name, node in run.nodes.items():
            assert (node.ledger.spent(), len(node.ledger.entries())) == charged[name]
            assert not left_over(node)


@pytest.mark.long
def test_a_message_of_another_attempt_is_refused(kit, tmp_path):
    """Envelopes and keys belong to one attempt: taken into another, they do not open."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=800)
    first = consortium.run()
    sent = first.step("release", "counts").sent["tax"]
    old, _, _ = without_view(sent)

    def mix(number, action, what):
        record = consortium.last
        if action == "release":
            # With the confirmations of this attempt, so that nothing but the envelopes is old.
            renewed = record._stamped({"tax": old})["tax"]
            assert ask(record, record._grid, "tax", "release", renewed).refusal == "envelope"
            spends = [e.spend for e in consortium.nodes["tax"].ledger.entries()]
            assert {s.release for s in spends if s.attempt == record.attempt} == {"edges"}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consortium.run(report=mix)
