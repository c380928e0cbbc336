"""Statistics studies whose cells and measures have different owners: exact sums of aligned rows, under masks and noise."""

import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.recipes.statistics.columns import codes, matrix, table_sums
from fedrisk.recipes.statistics.members import measure_owner
from fedrisk.recipes.statistics.settings import counted_by
from fedrisk.releases.statistics import Layout, block_name
from tests.studies.test_statistics import consortium, study_of

CELLS = [
    {"kind": "count"},
    {"kind": "mean", "column": "bank.late"},
    {"kind": "sum", "column": "bank.debt"},
]


def pooled(run):
    """Sums by block as whoever had all tables in one hand would make them, without noise, in plain units."""
    release = run.plan.release("statistics")
    layout = Layout.from_dict(run.results.record.release("statistics").about["layout"])
    frames = {name: node.institution.read() for name, node in run.nodes.items()}
    out = {}
    for table in layout.tables:
        for measure in layout.measures:
            total = np.zeros((layout.cells(table), measure.columns), np.int64)
            owner = measure_owner(layout.owner, measure)
            for listed, used in used_ids(run).items():
                (left,) = [listed] if layout.owner == "bank" else counted_by(run.study, layout.owner)
                cells = of_ids(
                    frames[left], codes(layout, table, frames[left].frame), used, layout.cells(table) - 1
                )
                if measure.column is None:
                    total += table_sums(cells, np.full((len(used), 1), 1 << release.scale_bits), len(total))
                    continue
                for right in [listed] if owner == "bank" else counted_by(run.study, owner):
                    numbers = matrix(layout, measure, frames[right].frame, bits=release.scale_bits)
                    total += table_sums(cells, of_ids(frames[right], numbers, used, 0), len(total))
            out[block_name(table, measure)] = total / 2.0**release.scale_bits
    return out


def used_ids(run):
    """Ids of the enterprises that are counted, by list."""
    return {name: run.order[name][rows.rows][rows.use != 2] for name, rows in run.roster.lists.items()}


def of_ids(table, values, ids, absent):
    """Values of a table's rows for these ids; ``absent`` where it has none."""
    place = pd.Index(table.ids).get_indexer(ids)
    out = np.asarray(values)[place]
    out[place < 0] = absent
    return out


def check_exact(run):
    """Without noise, released is what pooled tables give, to the last unit."""
    released, exact = run.results.record.release("statistics"), pooled(run)
    assert {b.name for b in released.blocks} == set(exact)
    for block in released.blocks:
        assert np.array_equal(block.total, exact[block.name]), block.name
    assert any(exact[name].any() for name in exact)


def watched(made, study=None, change=None, **how):
    """A run of which the order of rows is kept, which nobody has once it is over."""
    order = {}

    def look(record, step):
        if step.action == "edges":
            for name in step.sent:
                table = made.nodes[name].institution.read()
                order[name] = table.ids[made.nodes[name].store.attempt(record.attempt).row_order(len(table))]
        if change is not None:
            change(record, step)

    run = made.run(study, change=look, **how)
    run.order = order
    return run


def exactly(made, **changes):
    return watched(made, made.with_study(privacy={"epsilon": math.inf}, **changes), research_seed=1)


def test_a_holders_cells_by_banks_and_holders_measures(kit, tmp_path):
    measures = [
        *CELLS,
        {"kind": "mean", "column": "power.usage"},
        {"kind": "share", "column": "tax.audited", "name": "own"},
    ]
    made = consortium(
        kit,
        tmp_path,
        ("alfa", "beta"),
        ("tax", "power"),
        study_of(["tax.audited"], measures),
        enterprises=600,
    )
    run = exactly(made)
    check_exact(run)
