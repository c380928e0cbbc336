"""``fedrisk check`` is right: it is red where a run would be refused before anything is charged, and only there."""

import shutil
from datetime import date, timedelta

import numpy as np
import pytest

from fedrisk.engine import in_process
from fedrisk.engine.check import check_member, check_study
from fedrisk.errors import FedriskError
from fedrisk.recipes import recipe_of
from support.long import sampled

pytestmark = pytest.mark.study

SMALL = 500
OUT_OF_TIME = {"holdout": {"kind": "out_of_time", "from_date": date(2024, 7, 1)}}
DATED = [{"name": "day", "meaning": "date of the loan", "kind": "date", "feature": False}]


def policy(who="tax", **rules):
    """Rules of one institution's policy."""

    def change(consortium):
        consortium.content[who]["policy"] = {**consortium.content[who]["policy"], **rules}
        consortium.write(who)

    return change


def study(**changes):
    def change(consortium):
        consortium.study = consortium.with_study(**changes)

    return change


def table(who, edit):
    def change(consortium):
        consortium.tables[who] = edit(consortium.tables[who].copy())
        consortium.write(who)

    return change


def words(who, **keys):
    """Keys of one institution's dictionary."""

    def change(consortium):
        consortium.content[who]["dictionary"] = {**consortium.content[who]["dictionary"], **keys}
        consortium.write(who)

    return change


def columns(who, edit):
    def change(consortium):
        described = [dict(c) for c in consortium.content[who]["dictionary"]["columns"]]
        words(who, columns=edit(described))(consortium)

    return change


def dated(consortium):
    """Every bank has a date, and lets studies hold out by it."""
    for bank in consortium.study.banks:
        columns(bank, lambda described: [*described, *DATED])(consortium)
        words(bank, as_of="day")(consortium)
        policy(bank, out_of_time=True)(consortium)


def ran(consortium):
    run(consortium)
    return consortium


def store(who, *names):
    """After a first study: files of a store are gone."""

    def change(consortium):
        run(consortium)
        for name in names:
            for file in consortium.nodes[who].store.path.glob(name):
                shutil.rmtree(file) if file.is_dir() else file.unlink()

    return change


def restored(consortium):
    """A holder's store is put back from a copy that is one study old."""
    run(consortium)
    where, copy = consortium.nodes["tax"].store.path, consortium.folder / "copy"
    shutil.copytree(where, copy)
    run(consortium)
    shutil.rmtree(where)
    shutil.copytree(copy, where)


def quota(consortium):
    """The key authority agreed to fewer ids than the bank has now."""
    run(consortium)
    rows = consortium.tables["alfa"]
    more = rows.assign(id=["NEW" + i for i in rows["id"]])
    table("alfa", lambda t: type(t)(np.concatenate([t, more]), columns=t.columns).astype(t.dtypes))(
        consortium
    )


def scored(consortium):
    run(consortium)
    policy(scored_versions=1)(consortium)


def boundary(consortium):
    """A second boundary within the period."""
    dated(consortium)
    study(**OUT_OF_TIME)(consortium)
    run(consortium)
    study(holdout={"from_date": date(2024, 8, 1)})(consortium)


def many(*changes):
    def change(consortium):
        for one in changes:
            one(consortium)

    return change


def strange(share, seed=3):
    """All but a share of the ids are of other enterprises."""

    def edit(rows):
        own = np.random.default_rng(seed).random(len(rows)) < share
        return rows.assign(id=np.where(own, rows["id"], "X" + rows["id"]))

    return edit


def run(consortium):
    """As ``fedrisk run`` does it on one machine."""
    return in_process.run_local(consortium.study, consortium.paths, hub=consortium.hub, wire=False)


def results_in_the_way(consortium):
    """A file where a bank's results go."""
    folder = consortium.nodes["alfa"].store.path
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "results").write_text("")


TOMORROW, YESTERDAY = date.today() + timedelta(days=2), date.today() - timedelta(days=2)

BROKEN = {
    "purpose": (policy(purposes=["fraud"]), "policy.purposes"),
    "recipe": (policy(recipes=["network"]), "policy.recipes"),
    "role": (policy(roles=["bank"]), "policy.roles"),
    "counterparty": (policy(counterparties=["alfa"]), "policy.counterparties"),
    "epsilon of one study": (policy(max_epsilon=1.0), "policy.max_epsilon"),
    "cap": (policy(cap_epsilon=2.0), "privacy budget of the accounting period"),
    "cap of a study": (policy(cap_per_study=2.0), "of study 'whole'"),
    "cap of a purpose": (policy(cap_per_purpose={"credit_scoring": 2.0}), "of purpose 'credit_scoring'"),
    "budget used up": (many(run, policy(cap_epsilon=9.0)), "privacy budget"),
    "rows": (policy(least_rows=100_000), "policy.least_rows"),
    "colluders": (study(privacy={"colluders": 0}), "policy.least_colluders"),
    "consent": (policy(consent=True), "register"),
    "not yet": (policy(valid_from=TOMORROW), "policy.valid_from"),
    "no more": (policy(valid_until=YESTERDAY), "policy.valid_until"),
    "unknown columns": (policy(columns=["salse"]), "policy.columns names salse"),
    "no column of a holder": (policy(columns=[]), "brings no feature"),
    "no privacy": (study(privacy={"epsilon": float("inf")}), "research runs only"),
    "second hold-out": (study(holdout={"seed": 4}), "holdout.seed"),
    "delta": (study(privacy={"delta": 0.01}), "Lower delta"),
    "out of time is not allowed": (
        many(dated, policy("alfa", out_of_time=False), study(**OUT_OF_TIME)),
        "out_of_time",
    ),
    "no date": (
        many(policy("alfa", out_of_time=True), policy("beta", out_of_time=True), study(**OUT_OF_TIME)),
        "as_of",
    ),
    "second boundary": (boundary, "second boundary"),
    "nobody before the boundary": (
        many(dated, study(holdout={"kind": "out_of_time", "from_date": date(2020, 1, 1)})),
        "none is left for training",
    ),
    "few before the boundary": (
        many(
            dated,
            policy("alfa", least_rows=300),
            study(holdout={"kind": "out_of_time", "from_date": date(2023, 1, 15)}),
        ),
        "policy.least_rows",
    ),
    "window": (many(dated, study(windows={"as_of": date(2023, 6, 1)})), "after the study's window"),
    "no date for a window": (study(windows={"as_of": date(2030, 1, 1)}), "names no as_of column"),
    "role in its own file": (
        lambda c: (
            c.content["tax"].update(kind="bank")
            or words("tax", label=c.content["alfa"]["dictionary"]["label"])(c)
        ),
        "its own file says bank",
    ),
    "column is gone": (table("tax", lambda t: t.drop(columns="growth")), "column is not in the table"),
    "outside the bounds": (table("tax", lambda t: t.assign(growth=9.0)), "outside the public bounds"),
    "two rows of an enterprise": (table("tax", lambda t: t.assign(id=t["id"].iloc[0])), "more than once"),
    "no positive label": (table("alfa", lambda t: t.assign(bad=0)), "no positive label"),
    "empty": (table("tax", lambda t: t.iloc[:0]), "has no rows"),
    "labels the wrong way round": (
        many(table("beta", lambda t: t.assign(bad=1 - t["bad"])), study(expected={"default_rate": 0.15})),
        "wrong way round",
    ),
    "two dictionaries of banks": (
        columns("beta", lambda d: [{**c, "high": 15} if c["name"] == "late" else c for c in d]),
        "disagree on late",
    ),
    "two orders of columns": (columns("beta", lambda d: d[::-1]), "disagree on"),
    "nothing in common": (table("tax", strange(0.0)), "no enterprise in common"),
    "little in common": (table("tax", strange(0.02)), "alignment.least_overlap"),
    "few for the policy": (
        many(table("tax", strange(0.03)), study(alignment={"least_overlap": 0}), policy(least_rows=300)),
        "policy.least_rows",
    ),
    "quota": (quota, "evaluations were requested"),
    "versions of scores": (scored, "policy.scored_versions"),
    "key of the pseudonyms is lost": (store("tax", "epochs"), "another evaluation key"),
    "identity is lost": (store("alfa", "identity.key"), "is gone, and others have pinned it"),
    "store is lost": (store("alfa", "*"), "is not the one pinned"),
    "ledger is lost": (store("alfa", "ledger.*"), ""),
    "store is put back": (restored, "keeps a signed head"),
    "no place for results": (results_in_the_way, "results"),
    "too much to state": (
        lambda c: words("alfa", label={**c.content["alfa"]["dictionary"]["label"], "horizon": "h" * 1001})(c),
        "shorten it",
    ),
}


def charged(consortium):
    found = {}
    for name, node in consortium.nodes.items():
        ledger = node.store.path / "ledger.sqlite"
        found[name] = node.ledger.figures() if ledger.exists() else None
    return found


def checked(consortium):
    found = check_study(consortium.study, consortium.paths, hub=consortium.hub)
    text = " ".join([*found.refused, *(t for line in found.institutions for t in line.findings)])
    return found, text


@pytest.fixture
def consortium(kit, scratch):
    tables = kit.province(SMALL)
    rules = {"least_rows": 30, "research": False}
    return kit.build(
        scratch(),
        ("alfa", "beta"),
        ("tax",),
        tables=tables,
        policy=rules,
        study={"privacy": {"epsilon": 8.0, "delta": 1e-6}},
    )


@pytest.mark.parametrize("name", sampled(BROKEN, 6))
def test_what_a_run_would_refuse_is_said_before(consortium, name):
    """Red; a run refuses, and charges nobody."""
    change, says = BROKEN[name]
    change(consortium)
    before = charged(consortium)
    found, text = checked(consortium)
    assert found.broken and found.reasons >= 1
    assert says in text
    with pytest.raises(FedriskError):
        run(consortium)
    after = charged(consortium)
    fresh = {name for name, figures in before.items() if figures is None}
    assert {n: f for n, f in after.items() if n not in fresh} == {
        n: f for n, f in before.items() if n not in fresh
    }
    assert all(after[n] in (None, (0, 0.0)) for n in fresh)


GOOD = {
    "as it is": lambda c: None,
    "a second time": run,
    "out of time": many(dated, study(**OUT_OF_TIME)),
    "labels as declared": study(expected={"default_rate": 0.15, "enterprises": 400, "known": 0.8}),
    "little in common, and said to be enough": many(
        table("tax", strange(0.03)), study(alignment={"least_overlap": 0}), policy(least_rows=1)
    ),
    "a column that one bank lacks": table("beta", lambda t: t.assign(debt=np.nan)),
    "no evaluation": policy(evaluation=False),
    "no scores in points": policy(scores="bands"),
}


@pytest.mark.parametrize("name", sampled(GOOD, 4))
def test_a_study_that_is_found_good_runs(consortium, name):
    GOOD[name](consortium)
    found, text = checked(consortium)
    assert not found.broken, text
    assert run(consortium).attempt


def test_nothing_is_written_by_a_check(consortium):
    """No key, ledger or pin is made by looking, and a store that was used stays as it was."""
    checked(consortium)
    stores = [node.store.path for node in consortium.nodes.values()]
    assert not [file for path in stores for file in path.rglob("*") if file.is_file()]
    assert not consortium.hub.path.exists()
    run(consortium)
    before = {f: f.read_bytes() for path in stores for f in path.rglob("*") if f.is_file()}
    checked(consortium)
    after = {f: f.read_bytes() for path in stores for f in path.rglob("*") if f.is_file()}
    assert {f.name for f in after.keys() ^ before.keys()} <= {"ledger.sqlite-shm", "ledger.sqlite-wal"}
    assert all(after[f] == before[f] for f in before if f.suffix in (".jsonl", ".json", ".key", ".parquet"))


def test_an_optional_member_that_refuses_is_left_out(consortium):
    members = [m.model_dump() for m in consortium.study.institutions]
    members[1]["optional"] = True
    study(institutions=members)(consortium)
    policy("beta", purposes=["fraud"])(consortium)
    found, _ = checked(consortium)
    assert not found.broken
    assert [line.name for line in found.institutions if line.left_out] == ["beta"]
    assert run(consortium).left_out == ("beta",)


def test_a_package_that_is_missing_is_one_reason(consortium, monkeypatch):
    monkeypatch.setattr("fedrisk.recipe.find_spec", lambda name: None)
    study(institutions=[{"name": n, "role": "bank"} for n in ("alfa", "beta")], recipe="network")(consortium)
    for bank in ("alfa", "beta"):
        policy(bank, recipes=["network"])(consortium)
    consortium.content.pop("tax")
    found, text = checked(consortium)
    assert found.reasons == 1 and "needs torch, opacus, onnx" in text
    with pytest.raises(FedriskError, match="needs torch"):
        run(consortium)
    assert recipe_of(consortium.study).name == "network"


def test_counts_are_shown_although_a_rule_is_broken(consortium):
    table("tax", lambda t: t.drop(columns="growth"))(consortium)
    table("alfa", lambda t: t.assign(debt=-5.0))(consortium)
    found, text = checked(consortium)
    rows = {line.name: line.rows for line in found.institutions}
    assert rows == {name: len(consortium.tables[name]) for name in ("alfa", "beta", "tax")}
    assert found.reasons == 2, text
    alfa = found.institutions[0]
    assert alfa.labels.positive == consortium.tables["alfa"]["bad"].sum()


def test_those_whom_it_concerns_hear_that_little_is_in_common(kit, scratch):
    """The holder and the bank find the reason in their own logs; another holder finds none, nobody a count."""
    tables = kit.province(SMALL)
    consortium = kit.build(scratch(), ("alfa",), ("tax", "power"), tables=tables, policy={"least_rows": 30})
    table("tax", strange(0.02))(consortium)
    with pytest.raises(FedriskError, match="tax has hardly any enterprise in common"):
        run(consortium)
    said = {}
    for name, node in consortium.nodes.items():
        log = node.store.path / "errors.log"
        said[name] = log.read_text() if log.exists() else ""
    assert "tax has hardly any enterprise in common" in said["tax"] and not said["power"]
    assert "tax has hardly any enterprise in common" in said["alfa"]
    known = set(tables["alfa"]["id"]) & set(consortium.tables["tax"]["id"])
    assert all(f" {len(known)} " not in text for text in said.values())


def test_one_member_looks_alone(consortium):
    """It says what that member says in the whole check, and reads nobody else's file."""
    policy("tax", max_epsilon=1.0)(consortium)
    for other in ("alfa", "beta"):
        (consortium.folder / f"{other}.toml").unlink()
    found = check_member(consortium.study, consortium.folder / "tax.toml")
    assert found.alone and found.reasons == 1 and not found.common
    assert "policy.max_epsilon" in found.institutions[0].findings[0]
