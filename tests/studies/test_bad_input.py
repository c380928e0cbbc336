"""Tables, studies and institutions that are wrong: who learns what, and that nothing is released.

The institution's own log names file, column, rule, count and remedy; the hub learns a code; no text anywhere
holds an id, a label or a value.
"""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import RowOrder
from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, DataError, FedriskError, PeerError
from fedrisk.privacy.accounting import mu_for
from fedrisk.protocol.common_view import split
from fedrisk.protocol.payload import Payload
from fedrisk.recipes import study_from
from fedrisk.secure.identity import IdentityKey
from support.long import sampled

pytestmark = pytest.mark.study
CANARY = 7742.191337
SECRETS = ("canary", "7742", "ent00", "b0rrower")


@pytest.fixture
def pair(kit, tmp_path):
    """A bank and a tax office, 600 enterprises, nothing wrong yet."""
    return kit.build(tmp_path, enterprises=600, study={"privacy": {"epsilon": 1.0}})


def spoil(consortium, name, change):
    """Change an institution's table or file and write it."""
    change(consortium.tables[name], consortium.content[name]["dictionary"])
    consortium.write(name)


def clean(text):
    assert not [s for s in SECRETS if s in text.lower()], text
    return text


def released(consortium):
    """Training releases that an institution has debited; research ones too."""
    return [e for n in consortium.nodes.values() for e in n.ledger.entries()]


def refusal(consortium, name, code, *, steps=("describe",), nothing=True, **how):
    """Run, expect that the institution refuses; its own text. The hub sees the code and no reason."""
    with pytest.raises(PeerError) as caught:
        consortium.run(**how)
    told = clean(str(caught.value))
    record = consortium.last
    assert [s.action for s in record.steps] == list(steps)
    assert code in told and name in told
    answers = [a for s in record.steps for a in s.answers.values() if a.refusal is not None]
    assert all(set(a.body) == {"refused"} and not a.blobs for a in answers)
    assert code in {a.refusal for a in answers}
    (entry,) = consortium.nodes[name].store.errors.of(record.attempt)
    assert entry["code"] == code and entry["action"] == steps[-1]
    log = (consortium.nodes[name].store.path / "errors.log").read_text()
    clean(log)
    assert entry["text"] not in told  # the reason stays at home
    if nothing:
        assert not released(consortium)
    return entry["text"]


# --- tables -------------------------------------------------------------------------------------------------


def put(column, value, rows):
    def change(table, dictionary):
        values = table[column].astype(object) if isinstance(value, str) else table[column].copy()
        values.iloc[:rows] = value
        table[column] = values

    return change


def twice(table, dictionary):
    table.loc[:4, "id"] = "B0RROWER1"


def unknown_column(table, dictionary):
    dictionary["columns"].append(
        {"name": "staff", "source": "employees", "kind": "number", "meaning": "m", "low": 0, "high": 9}
    )


def refuse_missing(table, dictionary):
    dictionary["columns"][0]["missing"] = "refuse"


def only_one_label(value):
    def change(table, dictionary):
        table["bad"] = value

    return change


def not_a_number(table, dictionary):
    table["late"] = table["late"].astype(str)
    table.loc[3, "late"] = "7742x"


TABLES = {
    "missing ids": ("alfa", put("id", None, 3), ["id is missing", "3 rows", "fill the id in"]),
    "duplicate ids": ("tax", twice, ["id occurs more than once", "5 rows", "roll the rows"]),
    "unknown column": ("alfa", unknown_column, ["employees", "not in the table", "correct its name"]),
    "outside the bounds": (
        "tax",
        put("growth", CANARY, 40),
        ["growth", "outside the public bounds", "40 rows"],
    ),
    "infinite": ("alfa", put("debt", np.inf, 2), ["debt", "infinite", "2 rows", "missing value"]),
    "no positives": ("alfa", only_one_label(0), ["label", "no positive label", "positive"]),
    "no negatives": ("alfa", only_one_label(1), ["label", "no negative label", "negative"]),
    "missing refused": ("tax", refuse_missing, ["sales", "missing, which this column refuses", "fill in"]),
    "category unknown": (
        "alfa",
        put("grade", "CANARY", 60),
        ["grade", "not in the list of categories", "60 rows"],
    ),
    "not a number": ("alfa", not_a_number, ["late", "not a number", "1 rows"]),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables_that_break_their_dictionary(pair, case):
    name, change, words = TABLES[case]
    spoil(pair, name, change)
    text = refusal(pair, name, "data")
    for word in [f"{name}.parquet", *words]:
        assert word in text, word


def test_all_rules_are_told_at_once(pair):
    spoil(pair, "alfa", lambda t, d: (twice(t, d), put("debt", np.inf, 2)(t, d), only_one_label(0)(t, d)))
    text = refusal(pair, "alfa", "data")
    assert "3 rules broken" in text


def test_a_few_values_outside_are_no_error(pair):
    """Below the share that the dictionary tolerates they are clipped, and the study runs."""
    spoil(pair, "tax", lambda t, d: put("growth", CANARY, 2)(t, d))
    assert pair.run(research_seed=1).results.to_dict()["auc"] is not None


def test_missing_file_and_too_few_rows(pair):
    (pair.folder / "tax.parquet").unlink()
    text = refusal(pair, "tax", "config")
    assert "no file" in text and "tax.parquet" in text
    pair.tables["tax"] = pair.tables["tax"].iloc[:50]
    pair.write("tax")
    text = refusal(pair, "tax", "refused")
    assert "50 usable rows" in text and "least_rows is 100" in text


def test_a_file_that_is_no_table(pair):
    (pair.folder / "tax.parquet").write_bytes(b"CANARY 7742.191337 no parquet")
    assert "tax.parquet" in refusal(pair, "tax", "data")


# --- budgets ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("privacy", "word"),
    [
        ({"epsilon": 0.0}, r"\[privacy\] epsilon: is 0.0, and must be above 0"),
        ({"epsilon": -1.0}, r"\[privacy\] epsilon"),
        ({"epsilon": float("nan")}, "epsilon"),
        ({"epsilon": 101.0}, "out of range"),
        ({"epsilon": 1.0, "delta": 0.0}, r"\[privacy\] delta"),
        ({"epsilon": 1.0, "delta": 1.0}, r"\[privacy\] delta: is 1.0, and must be below 1"),
        ({"epsilon": 1.0, "colluders": -1}, r"\[privacy\] colluders"),
    ],
)
def test_budgets_out_of_range_never_make_a_study(pair, privacy, word):
    with pytest.raises(ConfigError, match=word):
        pair.with_study(privacy=privacy)


def test_delta_above_a_tenth_of_an_enterprise(pair):
    rows = len(pair.tables["alfa"])
    study = pair.with_study(privacy={"delta": 0.11 / rows})
    text = refusal(pair, "alfa", "config", study=study)
    assert "delta" in text and f"{rows} enterprises" in text and "Lower delta" in text


def test_epsilon_above_the_policy_or_infinite(kit, tmp_path):
    pair = kit.build(
        tmp_path, enterprises=600, policy={"max_epsilon": 2.0}, study={"privacy": {"epsilon": 3.0}}
    )
    assert "above policy.max_epsilon = 2" in refusal(pair, "alfa", "refused")
    text = refusal(pair, "tax", "refused", study=pair.with_study(privacy={"epsilon": float("inf")}))
    assert "research runs only" in text


def test_research_run_where_a_policy_forbids_it(kit, tmp_path):
    pair = kit.build(tmp_path, enterprises=600, policy={"research": False})
    assert "policy.research is false" in refusal(pair, "tax", "refused", research_seed=1)


def test_purpose_that_is_not_allowed(pair):
    study = pair.with_study(purpose="marketing")
    text = refusal(pair, "tax", "refused", study=study)
    assert (
        "purpose marketing is not among policy.purposes" in text and "Change the study, or the policy" in text
    )


# --- studies and rosters ------------------------------------------------------------------------------------


def test_a_role_that_contradicts_the_institutions_file(pair):
    members = [{"name": "alfa", "role": "bank"}, {"name": "tax", "role": "bank"}]
    text = refusal(pair, "tax", "config", study=pair.with_study(institutions=members))
    assert "calls tax a bank" in text and "says holder" in text


def test_an_institution_that_is_not_there(pair):
    with pytest.raises(PeerError, match=r"1 nodes are connected and the study has 2 institutions; start"):
        pair.run(without=["tax"], timeout=0.5)
    assert not released(pair)


def test_an_institution_that_is_lost_on_the_way(pair):
    """The node goes away after it agreed: the hub names it, what was released before stays charged."""

    def leave(number, action, what):
        if action == "mask":
            del pair.last._grid._contexts[pair.last._nodes["tax"]]

    with pytest.raises(
        PeerError, match=r"tax was lost in exchange 6, mask.*What was released before stays charged"
    ):
        pair.run(report=leave)
    assert {e.spend.release for e in released(pair)} == {"edges"}


def test_an_institution_that_is_no_member_stays_out(kit, tmp_path):
    """A connected node that the study does not name neither refuses nor computes."""
    trio = kit.build(tmp_path, ("alfa",), ("tax", "power"), enterprises=600)
    study = trio.with_study(
        institutions=[{"name": "alfa", "role": "bank"}, {"name": "tax", "role": "holder"}]
    )
    run = trio.run(study)
    assert not trio.nodes["power"].ledger.entries()
    assert not (trio.nodes["power"].store.path / "attempts").exists()
    assert set(run.results.to_dict()["bytes_sent"]) == {"alfa", "tax"}


def test_banks_whose_dictionaries_disagree(kit, tmp_path):
    banks = kit.build(tmp_path, ("alfa", "beta"), (), enterprises=600)
    words = json.loads(json.dumps(banks.content["beta"]["dictionary"]))
    words["columns"][0]["high"] = 2_000_000
    banks.content["beta"]["dictionary"] = words
    banks.write("beta")
    with pytest.raises(
        ConfigError, match=r"dictionaries of alfa and beta disagree on debt; banks of one study need"
    ):
        banks.run()
    assert [s.action for s in banks.last.steps] == ["describe"] and not released(banks)


def test_nothing_in_common(pair):
    """Ids spelt in two ways: nobody meets, and the hub says what to compare before anything is released."""
    spoil(pair, "tax", lambda t, d: t.update({"id": "B0RROWER" + t["id"]}))
    with pytest.raises(DataError) as caught:
        pair.run()
    assert "tax has no enterprise in common with any bank" in clean(str(caught.value))
    assert "id schemes" in str(caught.value) and not released(pair)


def test_a_bank_without_training_rows(kit, tmp_path):
    """All of a bank's customers lie after the out-of-time date."""
    columns = {r: [*c, {"name": "day", "kind": "date", "feature": False}] for r, c in kit.COLUMNS.items()}
    pair = kit.build(
        tmp_path,
        enterprises=600,
        columns=columns,
        dictionary={"as_of": "day"},
        policy={"out_of_time": True},
        study={"holdout": {"kind": "out_of_time", "from_date": "2020-01-01"}},
    )
    text = refusal(pair, "alfa", "data")
    assert "before" in text and "2020-01-01" in text
    assert not released(pair)


def test_an_out_of_time_study_needs_dates(pair):
    pair.content["alfa"]["policy"] = {**pair.content["alfa"]["policy"], "out_of_time": True}
    pair.write("alfa")
    study = pair.with_study(holdout={"kind": "out_of_time", "from_date": "2024-01-01"})
    assert "dictionary names no as_of column" in refusal(pair, "alfa", "config", study=study)


def test_a_table_that_knows_the_future(kit, tmp_path):
    columns = {r: [*c, {"name": "day", "kind": "date", "feature": False}] for r, c in kit.COLUMNS.items()}
    pair = kit.build(tmp_path, enterprises=600, columns=columns, dictionary={"as_of": "day"})
    late = int((pair.tables["alfa"]["day"] > "2024-06-30").sum())
    study = pair.with_study(windows={"as_of": "2024-06-30"})
    text = refusal(pair, "alfa", "data", study=study)
    assert "day is after the study's window" in text and f"in {late} rows" in text


def test_more_rows_than_the_ring_holds(kit, tmp_path):
    """The bound is checked against the declared number of rows before a single mask is drawn."""
    study = {"privacy": {"epsilon": 1.0}, "bins": {"count": 6}}
    pair = kit.build(tmp_path, enterprises=600, study=study)

    def grow(number, action, what):
        if action == "mask":
            node = pair.nodes["tax"]
            state = Attempt(node, node.store.attempt(pair.last.attempt)).state
            state.save(replace(state.load(RowOrder), training=2**31))

    with pytest.raises(PeerError, match=r"tax \(data\)"):
        pair.run(report=grow)
    (entry,) = pair.nodes["tax"].store.errors.of(pair.last.attempt)
    assert "2147483648 rows" in entry["text"]
    assert "but 32 bits hold sums below 2**31 only; use the 64-bit" in entry["text"]
    assert charged(pair) == {"alfa": {"edges"}, "tax": {"edges"}}


@pytest.mark.parametrize("when", sampled(["blind", "edges", "mask", "release", "calibrate", "deliver"], 3))
def test_a_table_that_changes_between_two_exchanges(kit, tmp_path, when):
    """The bank's table is edited while the study runs: it stops, and what was charged stays charged."""
    banks = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=900)
    done = []

    def edit(number, action, what):
        if action == when and not done:
            done.append(number)
            table = banks.tables["alfa"]
            table.loc[5, "late"] = 11.0 if table["late"][5] != 11 else 12.0
            banks.write("alfa")

    with pytest.raises(PeerError) as caught:
        banks.run(report=edit)
    assert "alfa (data)" in clean(str(caught.value))
    (entry,) = banks.nodes["alfa"].store.errors.of(banks.last.attempt)
    assert "changed between two exchanges" in clean(entry["text"]) and "run the study again" in entry["text"]
    committed = {e.spend.release for e in banks.nodes["alfa"].ledger.entries() if e.committed}
    before = [s.action for s in banks.last.steps[:-1]]
    assert len(committed) == sum(a in ("edges", "release", "calibrate") for a in before)
    charged = sum(
        e.spend.mu**2 for e in banks.nodes["beta"].ledger.entries() if e.spend.population == "training"
    )
    assert charged <= mu_for(8.0, 1e-6) ** 2 * (1 + 1e-9)


def test_wrong_key(pair):
    """A node whose key is not the one that was pinned at registration is not taken for the institution."""
    pair.run()
    (pair.nodes["tax"].store.path / "identity.key").unlink()
    IdentityKey.generate().save(pair.nodes["tax"].store.path / "identity.key")
    with pytest.raises(FedriskError) as caught:
        pair.run()
    assert caught.value.code == "envelope" and "tax" in str(caught.value)


def test_on_one_machine_the_reason_is_shown(pair):
    """run_local joins the institutions' own texts: there they are one person's."""
    spoil(pair, "alfa", only_one_label(0))
    with pytest.raises(
        PeerError, match=r"(?s)no agreement from alfa \(data\).*alfa: table alfa.parquet.*no positive"
    ):
        run_local(pair.study, pair.paths, hub=pair.hub)


def test_institution_files_that_are_wrong(pair):
    """Found before a node starts: the file, the column, the rule and the remedy in one text."""
    words = pair.content["alfa"]["dictionary"]
    words["columns"][0].pop("high")
    words["columns"][1]["knid"] = "number"
    pair.write("alfa")
    with pytest.raises(ConfigError) as caught:
        pair.run()
    for word in (
        "alfa.toml",
        '"debt"',
        "given together; add the other bound",
        '"late": knid',
        'did you mean "kind"',
    ):
        assert word in clean(str(caught.value)), word


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"name": "s", "purpose": "p"}, "institutions: is missing; add it"),
        ({"institutions": [{"name": "tax", "role": "holder"}]}, "no bank"),
        ({"institutions": [{"name": "b", "role": "bank"}] * 2}, "more than once"),
        ({"alignment": {"authority": "x"}}, "not among the institutions"),
        ({"holdout": {"percent": 99}}, r"\[holdout\] percent: is 99, and must be at most 60"),
        ({"privcy": {"epsilon": 1}}, r'\[privcy\]: is not a known key; did you mean "privacy"'),
    ],
)
def test_studies_that_are_wrong(content, word):
    whole = {"name": "s", "purpose": "p", "privacy": {"epsilon": 1.0}}
    whole |= {"institutions": [{"name": "b", "role": "bank"}]} if "purpose" not in content else {}
    with pytest.raises(ConfigError, match=word):
        study_from({**whole, **content})


def test_refusals_tell_no_more_than_a_code(pair):
    """Whatever is wrong with the data, the hub receives the very same bytes."""
    seen = set()
    for change in (only_one_label(0), only_one_label(1), put("debt", np.inf, 2), put("id", None, 9)):
        table = pair.tables["alfa"].copy()
        spoil(pair, "alfa", change)
        with pytest.raises(PeerError) as caught:
            pair.run()
        answers = [a for a in pair.last.steps[0].answers.values() if a.refusal]
        seen.add((str(caught.value), *(json.dumps(a.body) for a in answers)))
        pair.tables["alfa"] = pd.DataFrame(table)
    assert len(seen) == 1


# --- hubs that lie ------------------------------------------------------------------------------------------


def charged(consortium):
    """Names of the releases that each institution was charged for in the last attempt."""
    return {
        name: {e.spend.release for e in node.ledger.entries() if e.spend.attempt == consortium.last.attempt}
        for name, node in consortium.nodes.items()
    }


def lied_to(consortium, change, *, refuses, at, why="", **how):
    """A study with a hub that changes messages: the exchange at which it ends, who refuses there, and their reasons."""
    done = []

    def lie(run, step):
        if change(step):
            done.append(step.action)

    with pytest.raises(PeerError) as caught:
        consortium.run(change=lie, **how)
    assert done
    last = consortium.last.steps[-1]
    assert last.action == at
    refusals = {name: answer.refusal for name, answer in last.answers.items() if answer.refusal is not None}
    assert refusals == refuses, str(caught.value)
    for name in refusals:
        (entry,) = consortium.nodes[name].store.errors.of(consortium.last.attempt)
        assert why in clean(entry["text"])


def of(content, **body):
    """A part with other fields."""
    return Payload({**content.body, **body}, content.blobs)


NOT_CONFIRMED = "does not confirm that it was told the same"
PAIR = {"alfa": "protocol", "tax": "protocol"}


def alike(*releases, names=PAIR):
    """All were charged for these."""
    return {name: set(releases) for name in names}


@pytest.mark.parametrize("asked", sampled(["evaluation", "edges"], 2))
@pytest.mark.parametrize("action", sampled(["mask", "release"], 2))
def test_a_release_of_another_exchange_is_not_made_by_this_one(kit, tmp_path, action, asked):
    """Counts of training rows under the price and noise of the hold-out's histogram, which has as many bins.

    The bank's columns have 17 bins, so that nothing but the check stops the arrays from fitting.
    """
    study = {"evaluation": {"bins": 17}}
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900, study=study)

    def swap(step):
        if step.action == action:
            body = {**step.sent["alfa"].body, "release": asked}
            step.sent["alfa"] = Payload(body, step.sent["alfa"].blobs)
        return step.action == action

    lied_to(consortium, swap, refuses={"alfa": "protocol"}, at=action, why="field release")
    assert charged(consortium)["alfa"] == {"edges"}


@pytest.mark.parametrize("asked", sampled(["recount", "counts"], 2))
def test_a_second_release_that_does_not_follow_is_not_made(kit, tmp_path, asked):
    """Counts again where the Gram matrix follows, or the same counts with fresh noise."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)

    def swap(step):
        if not (found := step.action == "mask" and step.sent["tax"].body["release"] == "gram"):
            return False
        for name, payload in step.sent.items():
            step.sent[name] = Payload({**payload.body, "release": asked}, payload.blobs)
        return found

    lied_to(consortium, swap, refuses=PAIR, at="mask")
    assert charged(consortium) == alike("edges", "counts")


# What the hub tells all alike and does not follow: by part, the change, and what is not charged then.


def fewer_bins(content):
    """Noise follows from the number of all features: leaving out another role's would make everybody's smaller."""
    return of(content, bins=[b for b in content.get("bins") if b["institution"] != "bank"])


def narrow_bin(content):
    """Cuts around a value that only one enterprise has."""
    first, *rest = content.get("bins")
    return of(content, bins=[{**first, "edges": [*first["edges"][:-1], first["edges"][-1] + 1e-3]}, *rest])


def other_histogram(content):
    """Bins that follow from totals that nobody released."""
    return Payload(content.body, {**content.blobs, "tax": content.array("tax")[:, ::-1].copy()})


def impossible_histogram(content):
    return Payload(content.body, {**content.blobs, "tax": content.array("tax") + 1e6})


def larger_radius(content):
    """Noise of the Gram matrix follows from the radii: a larger one lets more of an enterprise in."""
    radii = {role: 2 * r for role, r in content.get("radii").items()}
    return of(content, radii=radii)


def smaller_radius(content):
    return of(content, radii={**content.get("radii"), "tax": 1e-3})


def other_bases(content):
    """A shape that singles out one bin."""
    bases = [[list(row) for row in b] for b in content.get("bases")]
    bases[0] = [[1.0 if k == 0 else 0.0 for _ in row] for k, row in enumerate(bases[0])]
    return of(content, bases=bases)


def fewer_bases(content):
    return of(content, bases=content.get("bases")[:-1])


def recount_instead(content):
    return of(content, bases=None, radii=None, chosen={"bank": [0], "tax": [0]})


def other_counts(content):
    """Totals that the releases did not have: something else follows from them."""
    return Payload(content.body, {**content.blobs, "tax": content.array("tax")[::-1].copy()})


def impossible_counts(content):
    return Payload(content.body, {**content.blobs, "bank": content.array("bank") - 1e6})


def missing_counts(content):
    return Payload(content.body, {"bank": content.array("bank")})


BINS = [fewer_bins, narrow_bin, other_histogram, impossible_histogram]
COUNTS = [
    larger_radius,
    smaller_radius,
    other_bases,
    fewer_bases,
    recount_instead,
    other_counts,
    impossible_counts,
    missing_counts,
]


@pytest.mark.parametrize(
    ("part", "change"), sampled([*(("bins", c) for c in BINS), *(("counts", c) for c in COUNTS)], 3)
)
def test_what_does_not_follow_from_the_totals_is_refused_by_all(kit, tmp_path, part, change):
    """All are told the same lie, so all confirm it to each other; none believes it, and nothing more is charged."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    lied_to(consortium, lambda step: kit.retold(step, part, change), refuses=PAIR, at="mask")
    before = {"bins": {"edges"}, "counts": {"edges", "counts"}}[part]
    assert charged(consortium) == alike(*before)


@pytest.mark.parametrize("liar", ["alfa", "tax"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        (
            "bins",
            lambda c: of(
                c, bins=[{**b, "edges": [e * (1 + 1e-14) for e in b["edges"]]} for b in c.get("bins")]
            ),
        ),
        ("counts", lambda c: of(c, radii={r: v * (1 + 1e-12) for r, v in c.get("radii").items()})),
    ],
)
def test_another_truth_for_one_member_is_refused_by_all(kit, tmp_path, part, change, liar):
    """Within rounding each believes what it is told; but the members see that it is not the same."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)

    def lie(step):
        return kit.retold(step, part, change, only=[liar])

    lied_to(consortium, lie, refuses=PAIR, at="release", why=NOT_CONFIRMED)
    before = {"bins": {"edges"}, "counts": {"edges", "counts"}}[part]
    assert charged(consortium) == alike(*before)


def test_other_rows_for_one_member_are_refused_by_all(kit, tmp_path):
    """Counts of the order differ in what one is told; its own list is as it should be."""
    trio = kit.build(tmp_path, ("alfa", "beta"), ("tax",), enterprises=900)

    def change(content):
        more = {
            what: {**content.get(what), "beta": content.get(what)["beta"] + 1}
            for what in ("training", "sampled")
        }
        return of(content, **more)

    def lie(step):
        return kit.retold(step, "order", change, only=["alfa"])

    lied_to(trio, lie, refuses=dict.fromkeys(trio.nodes, "protocol"), at="mask", why=NOT_CONFIRMED)
    # The histograms were released with the order itself; their masks are for what each was told, and do not cancel.
    assert charged(trio) == alike("edges", names=trio.nodes)


def test_sums_of_members_that_were_told_different_orders_are_random(kit, tmp_path):
    """The order comes with the message that asks for histograms: the banks' masks do not cancel then."""
    duo = kit.build(tmp_path, ("alfa", "beta"), (), enterprises=900)

    def change(content):
        more = {
            what: {**content.get(what), "beta": content.get(what)["beta"] + 1}
            for what in ("training", "sampled")
        }
        return of(content, **more)

    with pytest.raises(PeerError):
        duo.run(change=lambda run, step: kit.retold(step, "order", change, only=["alfa"]))
    answers = next(s for s in duo.last.steps if s.action == "edges").answers
    total = sum(a.array("bank") for a in answers.values()).view(np.int32)
    # Uniform over 32 bits: honest ones are below 2^20. False alarm: 128 numbers below 2^24 in size, (1/128)^128.
    assert np.abs(total.astype(float)).max() > 2**24


def fewer_statements(content):
    said = dict(content.get("statements"))
    return of(content, statements={n: s for n, s in said.items() if n != "tax"})


def stated(name, **change):
    def lie(content):
        said = content.get("statements")
        return of(content, statements={**said, name: {**said[name], **change}})

    return lie


@pytest.mark.parametrize(
    ("change", "refuses"),
    [
        (fewer_statements, PAIR),
        (stated("tax", rows=5000), {"tax": "protocol"}),  # what it states itself, it knows
        (stated("tax", features=[]), {"tax": "protocol"}),
        (stated("alfa", label=None), {"alfa": "protocol"}),
        (stated("tax", scores="bands"), {"tax": "protocol"}),
        (stated("tax", score_values=1 << 16), {"tax": "protocol"}),
        (stated("alfa", evaluation=False), {"alfa": "protocol"}),
        (stated("tax", role="bank"), PAIR),
        (lambda c: of(c, research_seed=1), PAIR),
        (lambda c: of(c, study="0" * 64), PAIR),
    ],
)
def test_members_that_are_told_other_facts_of_themselves_refuse(kit, tmp_path, change, refuses):
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600)
    lied_to(consortium, lambda step: kit.retold(step, "members", change), refuses=refuses, at="blind")
    assert charged(consortium) == alike()


def test_other_facts_of_a_member_told_to_the_others_alone_are_noticed(kit, tmp_path):
    """A bank whose weights the holders do not know of: the noise would be made for plain labels."""
    label = {"column": "bad", "positive": [1], "negative": [0], "horizon": "a year", "weight": "weight"}
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=600, label=label)

    def change(content):
        said = content.get("statements")
        facts = {**said["alfa"]["label"], "weighted": False, "binary": True}
        return stated("alfa", label=facts)(content)

    def lie(step):
        return kit.retold(step, "members", change, only=["tax"])

    with pytest.raises(PeerError, match="protocol"):
        consortium.run(change=lambda run, step: lie(step))
    assert [s.action for s in consortium.last.steps] == ["describe", "blind", "evaluate"]
    (entry,) = consortium.nodes["tax"].store.errors.of(consortium.last.attempt)
    assert NOT_CONFIRMED in entry["text"]
    assert charged(consortium) == alike()


def other_card(**change):
    """The card with other numbers; points get 7 more in the first bin of the first feature."""

    def lie(content):
        card = json.loads(content.get("scorecard"))
        if "points" in change:
            card["points"][-1][0] += change["points"]
        card |= {k: card[k] * v for k, v in change.items() if k != "points"}
        return of(content, scorecard=json.dumps(card))

    return lie


def other_second(content):
    """Another Gram matrix than was released: other weights would follow from it, and other points."""
    return Payload(content.body, {n: 3 * b for n, b in content.blobs.items()})


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "change",
    [
        other_card(points=7),
        other_card(points=-1),
        other_card(rate=1.01),
        other_card(sd=0.5),  # the bins of the evaluation follow from it
        other_card(base_points=2),
        other_second,
        lambda c: of(c, scorecard="{}"),
        lambda c: Payload(c.body),
    ],
)
def test_a_card_that_does_not_follow_is_scored_by_nobody(kit, tmp_path, change):
    """Points in which a column's value can be read, bins of the evaluation that single an enterprise out."""
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    with pytest.raises(PeerError, match=r"tax \((protocol|config)\)"):
        consortium.run(change=lambda run, step: kit.retold(step, "card", change))
    assert consortium.last.steps[-1].action == "score"
    assert charged(consortium) == alike("edges", "counts", "gram")


@pytest.mark.parametrize(
    "change",
    [
        other_card(points=7),
        other_card(sd=0.5),
        # Within rounding it would believe the card; but the holders confirm what they were told.
        other_card(rate=1 + 1e-9),
    ],
)
def test_a_bank_refuses_another_card_than_the_holders_have(kit, tmp_path, change):
    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)

    def lie(step):
        return kit.retold(step, "card", change, only=["alfa"])

    lied_to(consortium, lie, refuses={"alfa": "protocol"}, at="calibrate")
    assert charged(consortium)["alfa"] == {"edges", "counts", "gram"}


@pytest.mark.parametrize(
    ("change", "code"), [(other_card(points=7), "config"), (other_card(sd=0.5), "protocol")]
)
def test_a_bank_alone_refuses_a_card_that_does_not_follow(kit, tmp_path, change, code):
    consortium = kit.build(tmp_path, ("alfa",), (), enterprises=900)

    def lie(step):
        return kit.retold(step, "card", change)

    lied_to(consortium, lie, refuses={"alfa": code}, at="calibrate")
    assert charged(consortium)["alfa"] == {"edges", "counts", "gram"}


def test_scores_that_cannot_be_opened_are_refused_also_where_no_evaluation_is_wanted(kit, tmp_path):
    consortium = kit.build(
        tmp_path, ("alfa",), ("tax",), enterprises=900, policy={"evaluation": False, "research": True}
    )

    def spoil(run, step):
        if step.action == "calibrate":
            sent = step.sent["alfa"]
            step.sent["alfa"] = Payload(sent.body, {**sent.blobs, "tax": sent.blobs["tax"][:-1]})

    with pytest.raises(PeerError, match=r"alfa \(envelope\)"):
        consortium.run(change=spoil)


def test_an_attempt_that_is_over_is_charged_nothing_more(kit, tmp_path):
    """The order of rows comes again after the attempt has ended: no price for histograms that cannot be made."""
    from fedrisk.errors import ProtocolError
    from fedrisk.recipes.scorecard.node import edges

    consortium = kit.build(tmp_path, ("alfa",), ("tax",), enterprises=900)
    run = consortium.run()
    node = run.nodes["alfa"]
    sent, _, _ = split(run.step("edges").sent["alfa"])
    spent = len(node.ledger.entries())
    with pytest.raises(ProtocolError, match="over"):
        edges(node, sent)
    assert len(node.ledger.entries()) == spent
