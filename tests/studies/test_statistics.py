"""Statistics studies of one owner's columns: banks, one holder, and offices of one kind."""

import math

import numpy as np

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
    policy = {"recipes": ["statistics"], "statistics": [], **how.pop("policy", {})}
    made = kit.build(folder, banks, holders, study=study, policy=policy, **how)
    for name, content in made.content.items():
        there = {c["name"] for c in content.get("dictionary", {}).get("columns", [])}
        opened = [c for c in OPEN if c in there]
        content["policy"] = {
            **content["policy"],
            "statistics": opened,
            **how.get("policies", {}).get(name, {}),
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
                total = total + table_sums(cells, matrix(layout, measure, frame), layout.cells(table))
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
    assert [s.action for s in run.steps] == ["describe", "release", "totals"]
    released = run.results.record.release("statistics")
    assert released.population == "all"
    assert {s["institution"]: s["mu"] for s in released.spends} == dict.fromkeys(
        made.study.banks, released.mu
    )
    run.results.record.verify()
