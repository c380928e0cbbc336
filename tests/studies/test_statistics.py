"""Statistics studies of one owner's columns: banks, one holder, and offices of one kind."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.engine.in_process import run_local
from fedrisk.errors import ConfigError, PeerError
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.statistics.columns import codes, matrix, table_sums
from fedrisk.releases.statistics import Layout

OPEN = ["grade", "late", "debt", "sales", "growth", "audited", "usage"]


def study_of(by, measures, **settings):
    return {
        "recipe": "statistics",
        "privacy": {"epsilon": 2.0},
        "statistics": {"by": by, "measures": measures, **settings},
    }


def consortium(kit, folder, banks, holders, study, **how):
    policies = how.pop("policies", {})
    made = kit.build(folder, banks, holders, study=study, policy={"recipes": ["statistics"]}, **how)
    for name, content in made.content.items():
        there = {c["name"] for c in content.get("dictionary", {}).get("columns", [])}
        opened = [c for c in OPEN if c in there]
        content["policy"] = {
            **content["policy"],
            "statistics": opened,
            **policies.get(name, {}),
        }
        made.write(name)
    return made


BANK_STUDY = study_of(
    ["bank.grade"],
    [
        {"kind": "count"},
        {"kind": "mean", "column": "bank.late"},
        {"kind": "share", "column": "bank.grade", "values": ["A"]},
    ],
)


def exact_sums(run, names):
    """Sums of all rows as each institution reads them, without noise, by block."""
    layout = Layout.from_dict(run.results.record.release("statistics").about["layout"])
    out = {}
    for table in layout.tables:
        for measure in layout.measures:
            total = 0
            for name in names:
                frame = run.nodes[name].institution.read().frame
                cells = codes(layout, table, frame)
                total = total + table_sums(cells, matrix(measure, frame), layout.cells(table))
            out[f"{table.name}|{measure.name}"] = total / 2.0**24
    return out


def check_sums(run, names):
    released = run.results.record.release("statistics")
    exact = exact_sums(run, names)
    assert {b.name for b in released.blocks} == set(exact)
    for block in released.blocks:
        # Twelve deviations: false alarms below 1e-31 for a number.
        assert np.abs(block.total - exact[block.name]).max() < 12 * math.sqrt(block.variance)
        assert np.any(block.total != exact[block.name])


def test_banks_count_their_common_columns(kit, tmp_path):
    made = consortium(kit, tmp_path, ("alfa", "beta", "gama"), (), BANK_STUDY, enterprises=600)
    run = made.run()
    check_sums(run, made.study.banks)
    assert [s.action for s in run.steps] == ["describe", "release", "totals", "conclude"]
    released = run.results.record.release("statistics")
    assert released.population == "all"
    assert {s["institution"]: s["mu"] for s in released.spends} == dict.fromkeys(
        made.study.banks, released.mu
    )
    run.results.record.verify(run.hub.identity.public)
    for name, node in run.nodes.items():
        assert node.ledger.spent() == pytest.approx(released.mu)
        (entry,) = node.trail.entries(attempt=run.attempt, event="release")
        assert (entry.kind, entry.spend["population"]) == ("noisy_sums.statistics", "all")
        assert entry.rows == len(made.tables[name])
        # Nothing of what the hub got is this bank's own sum: masks hide it.
        part = run.step("release").answers[name].array("grade|count").view(np.int64)
        assert np.abs(part).max() > 2**60
        assert not list((node.store.attempt(run.attempt).folder / "secrets").glob("*"))


def test_banks_without_a_label_count_too(kit, tmp_path):
    made = consortium(kit, tmp_path, ("alfa", "beta"), (), BANK_STUDY, enterprises=300)
    for name, content in made.content.items():
        content["dictionary"] = {k: v for k, v in content["dictionary"].items() if k != "label"}
        made.tables[name] = made.tables[name].drop(columns="bad")
        made.write(name)
    check_sums(made.run(), made.study.banks)


HOLDER_STUDY = study_of(
    ["tax.audited"],
    [
        {"kind": "count"},
        {"kind": "sum", "column": "tax.sales", "low": 0.0},
        {"kind": "variance", "column": "tax.growth"},
        {"kind": "quantiles", "column": "tax.growth", "bins": [-0.5, 0.0, 0.5]},
        {"kind": "share", "column": "tax.audited"},
    ],
    tables=[{"by": ["audited"], "weight": 2.0}, {"by": []}],
)


def test_one_holder_counts_alone_and_whoever_holds_nothing_counted_pays_nothing(kit, tmp_path):
    made = consortium(
        kit, tmp_path, ("alfa",), ("tax", "power"), HOLDER_STUDY, enterprises=500, regulators=["watch"]
    )
    run = made.run()
    check_sums(run, ["tax"])
    spent = {name: node.ledger.spent() for name, node in run.nodes.items()}
    assert spent == {"alfa": 0.0, "tax": pytest.approx(run.plan.mu("statistics")), "power": 0.0, "watch": 0.0}
    # Only what the study names is stated, and only by whom it names.
    stated = {n: [f["column"] for f in s.features] for n, s in run.roster.statements.items()}
    assert stated == {"alfa": [], "tax": ["audited", "sales", "growth"], "power": [], "watch": []}
    assert set(run.step("release").sent) == {"alfa", "tax", "power", "watch"}
    assert set(run.step("totals").sent) == {"alfa", "tax", "power"}
    assert all(not run.step("release").answers[n].blobs for n in ("alfa", "power", "watch"))
    # Nobody's key of pseudonyms is made, and no id is blinded.
    assert not (run.nodes["tax"].store.path / "epochs").exists()


def offices(kit, tmp_path, number, **how):
    """So many tax offices, each with rows of its own, and one of them with hardly any."""
    names = [f"tax{k}" for k in range(number)]
    rng = np.random.default_rng(5)
    tables = {
        name: pd.DataFrame(
            {
                "id": [f"{name}_{i}" for i in range(120)],
                "county": rng.choice(np.array(["a", "b", "elsewhere", None], object), 120),
                "sales": rng.uniform(-999, 999, 120),
            }
        )
        for name in names
    }
    columns = [
        {"name": "county", "kind": "category", "categories": ["a", "b"], "feature": False, "outside": 1.0},
        {"name": "sales", "kind": "number", "low": -1000, "high": 1000, "unit": "yuan", "feature": False},
    ]
    study = study_of(
        ["tax.county"],
        [{"kind": "count"}, {"kind": "mean", "column": "tax.sales"}],
        offices={"tax": names},
        # Messages keep no order of keys: hub and offices have to find one.
        levels={
            "zone": {"axis": "county", "groups": {"z": ["a"], "b": ["b"]}},
            "area": {"axis": "county", "groups": {"x": ["b"], "a": ["a"]}},
        },
        tables=[{"by": ["county"]}, {"by": ["zone"]}, {"by": ["area"]}],
    )
    made = consortium(
        kit,
        tmp_path,
        (),
        names,
        study,
        tables=tables,
        columns=dict.fromkeys(names, columns),
        policies={key: {"statistics": ["county", "sales"]} for key in names},
        **how,
    )
    return made, names


def test_eleven_offices_of_one_kind_are_added_up(kit, tmp_path):
    made, names = offices(kit, tmp_path, 11)
    run = made.run()
    check_sums(run, names)
    layout = Layout.from_dict(run.results.record.release("statistics").about["layout"])
    assert layout.owner == "tax"
    assert layout.axis("county").categories == ("a", "b", "(unknown)")
    assert layout.axis("zone").categories == ("z", "b", "(unknown)")
    assert layout.axis("area").categories == ("a", "x", "(unknown)")
    assert layout.measure("mean_sales").unit == "yuan"
    block = run.plan.release("statistics").block("county|count")
    # Nine others' noise makes up the whole of it, whoever of the eleven looks with a colluder.
    assert block.sigma["tax0"] == pytest.approx(math.sqrt(sum(s * s for s in block.sigma.values()) / 11))
    json.dumps(run.results.to_dict(), allow_nan=False)


def test_an_optional_office_that_takes_no_part_is_left_out(kit, tmp_path):
    made, names = offices(kit, tmp_path, 3)
    members = [{"name": n, "role": "holder", "optional": n == "tax2"} for n in names]
    study = made.with_study(institutions=members)
    made.content["tax2"]["policy"] = {**made.content["tax2"]["policy"], "statistics": []}
    made.write("tax2")
    results = run_local(study, made.paths, hub=made.hub)
    assert results.left_out == ("tax2",)
    assert results.record.study["settings"]["offices"] == {"tax": ["tax0", "tax1"]}
    assert {s["institution"] for s in results.spends} == {"tax0", "tax1"}


def refused(made, name, said, **how):
    with pytest.raises(PeerError):
        made.run(**how)
    text = (made.nodes[name].store.path / "errors.log").read_text()
    assert said in text
    assert made.nodes[name].ledger.spent() == 0.0


def test_the_policy_is_closed_by_default(kit, tmp_path):
    made = consortium(
        kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies={"tax": {"statistics": []}}
    )
    refused(made, "tax", "the study counts audited, sales, growth, and policy.statistics does not open them")


def test_one_column_that_is_not_opened_refuses(kit, tmp_path):
    policies = {"tax": {"statistics": ["audited", "sales"]}}
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies=policies)
    refused(made, "tax", "the study counts growth, and policy.statistics does not open it")


def test_a_misspelt_column_is_named_with_the_nearest(kit, tmp_path):
    study = study_of(["tax.audited"], [{"kind": "mean", "column": "tax.grwth"}])
    made = consortium(kit, tmp_path, (), ("tax",), study, enterprises=300)
    refused(made, "tax", 'column \\"grwth\\" is not in the dictionary; did you mean \\"growth\\"?')


def test_a_column_that_is_closed_in_the_middle_of_a_study_is_not_released(kit, tmp_path):
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300)

    def change(record, step):
        if step.action == "release":
            made.content["tax"]["policy"] = {**made.content["tax"]["policy"], "statistics": ["audited"]}
            made.write("tax")

    refused(made, "tax", "policy.statistics does not open them", change=change)


def test_a_recipe_that_the_policy_does_not_name_refuses(kit, tmp_path):
    policies = {"tax": {"recipes": ["scorecard"]}}
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies=policies)
    refused(made, "tax", "recipe statistics is not among policy.recipes")


def test_an_opened_column_that_is_none_refuses(kit, tmp_path):
    policies = {"tax": {"statistics": ["audited", "sales", "growth", "gone"]}}
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies=policies)
    refused(made, "tax", "policy.statistics names gone")


def test_a_budget_that_does_not_suffice_refuses(kit, tmp_path):
    policies = {"tax": {"cap_epsilon": 1.0}}
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies=policies)
    refused(made, "tax", "cap")


def test_too_few_rows_refuse(kit, tmp_path):
    policies = {"tax": {"least_rows": 5000}}
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300, policies=policies)
    refused(made, "tax", "policy.least_rows is 5000")


def test_an_office_with_another_dictionary_stops_the_study_before_anything_is_charged(kit, tmp_path):
    made, _names = offices(kit, tmp_path, 3)
    columns = [dict(c) for c in made.content["tax1"]["dictionary"]["columns"]]
    columns[1]["high"] = 2000
    made.content["tax1"]["dictionary"] = {**made.content["tax1"]["dictionary"], "columns": columns}
    made.write("tax1")
    with pytest.raises(ConfigError, match="dictionaries of tax0 and tax1 disagree on sales"):
        made.run()
    assert all(node.ledger.spent() == 0.0 for node in made.nodes.values())


def test_a_hub_that_tells_an_office_other_statements_gets_random_numbers(kit, tmp_path):
    """Noise and cells follow from what all state: told differently to two, masks do not cancel."""
    made, names = offices(kit, tmp_path, 3)

    def change(record, step):
        if step.action != "release":
            return

        def fewer(part):
            body = json.loads(json.dumps(dict(part.body)))
            body["statements"]["tax2"]["rows"] += 1
            return Payload(body, part.blobs)

        assert kit.retold(step, "members", fewer, only=["tax0"])

    with pytest.raises(PeerError):
        # The next exchange brings the others' confirmations, which do not fit.
        made.run(change=change)
    answers = made.last.steps[-2].answers
    total = sum(answers[n].array("county|count") for n in names)
    assert np.abs(total.view(np.int64)).max() > 2**50


@pytest.mark.parametrize("what", ["layout", "total", "far", "missing"])
def test_a_hub_that_says_another_layout_or_other_totals_is_refused(kit, tmp_path, what):
    made = consortium(kit, tmp_path, (), ("tax",), HOLDER_STUDY, enterprises=300)

    def lie(part):
        body, blobs = dict(part.body), dict(part.blobs)
        if what == "layout":
            body["layout"] = "0" * 64
        elif what == "missing":
            del blobs["(all)|count"]
        else:
            blobs["(all)|count"] = blobs["(all)|count"] + (1.0 if what == "total" else 1e9)
        return Payload(body, blobs)

    def change(record, step):
        if step.action == "totals":
            assert kit.retold(step, "totals", lie)

    with pytest.raises(PeerError, match="exchange 3, totals: refused by tax"):
        made.run(change=change)
    said = {"layout": "by other cells or measures", "total": "alone sent"}.get(what, "cannot have")
    assert said in (made.nodes["tax"].store.path / "errors.log").read_text()


def test_a_hub_that_tells_two_offices_other_totals_is_refused_by_all(kit, tmp_path):
    made, _names = offices(kit, tmp_path, 3)

    def other(part):
        return Payload(part.body, {name: blob + 0.5 for name, blob in part.blobs.items()})

    def change(record, step):
        if step.action == "totals":
            assert kit.retold(step, "totals", other, only=["tax1"])

    with pytest.raises(PeerError, match="exchange 4, conclude: refused by tax0 .*, tax1 .*, tax2"):
        made.run(change=change)


def test_a_research_run_without_privacy_gives_exact_sums(kit, tmp_path):
    made = consortium(kit, tmp_path, ("alfa", "beta"), (), BANK_STUDY, enterprises=300)
    run = made.run(made.with_study(privacy={"epsilon": math.inf}), research_seed=3)
    exact = exact_sums(run, made.study.banks)
    for block in run.results.record.release("statistics").blocks:
        assert np.array_equal(block.total, exact[block.name])
    assert run.results.notice
