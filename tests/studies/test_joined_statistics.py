"""Statistics studies whose cells and measures have different owners: exact sums of aligned rows, under masks and noise."""

import math

import numpy as np
import pandas as pd
import pytest

from fedrisk.clients.app import app as client_app
from fedrisk.engine.in_process_grid import InProcessGrid
from fedrisk.errors import PeerError
from fedrisk.protocol.payload import Payload, from_record, request
from fedrisk.recipes.statistics.columns import codes, matrix, table_sums
from fedrisk.recipes.statistics.members import measure_owner
from fedrisk.recipes.statistics.settings import counted_by
from fedrisk.releases.statistics import Layout, block_name
from support.long import sampled
from tests.studies.test_statistics import consortium, study_of

pytestmark = pytest.mark.study

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
                    numbers = matrix(measure, frames[right].frame, bits=release.scale_bits)
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


def test_a_holders_cells_by_measures_of_banks_and_another_holder(kit, tmp_path):
    measures = [
        *CELLS,
        {"kind": "mean", "column": "power.usage"},
        {"kind": "share", "column": "tax.audited", "name": "own"},
    ]
    study = study_of(["tax.audited"], measures)
    made = consortium(kit, tmp_path, ("alfa", "beta"), ("tax", "power"), study, enterprises=300)
    run = exactly(made)
    check_exact(run)
    asked = [s.action for s in run.steps]
    assert asked == [
        *("describe", "blind", "evaluate", "pseudonyms"),
        *("edges", "mask", "carry", "release", "totals", "conclude"),
    ]
    layout = Layout.from_dict(run.results.record.release("statistics").about["layout"])
    assert (layout.owner, layout.joined, layout.included) == ("tax", True, run.study.inclusion_probability)
    check_nothing_travels_in_clear(run)


def check_nothing_travels_in_clear(run):
    """Of what institutions send each other the hub sees sealed envelopes alone, and random numbers of its own."""
    for step in run.steps:
        for name, answer in step.answers.items():
            for blob, content in answer.blobs.items():
                if step.action in ("mask", "carry"):
                    assert isinstance(content, bytes), (name, blob)
                    assert content.startswith(b"FRE1")


def test_banks_cells_in_tables_of_several_levels(kit, tmp_path):
    settings = {
        "tables": [{"by": ["grade", "late"]}, {"by": ["sort"], "weight": 2.0}, {"by": []}],
        "levels": {"sort": {"axis": "grade", "groups": {"good": ["A", "B"], "bad": ["C"]}}},
    }
    measures = [
        {"kind": "count"},
        {"kind": "variance", "column": "tax.sales"},
        {"kind": "quantiles", "column": "power.usage", "bins": [100.0, 500.0]},
        {"kind": "mean", "column": "bank.debt"},
    ]
    study = study_of(["bank.grade", "bank.late"], measures, **settings)
    made = consortium(kit, tmp_path, ("alfa", "beta"), ("tax", "power"), study, enterprises=300)
    check_exact(exactly(made))


def test_two_holders_on_the_banks_list_and_on_the_list_of_one_of_them(kit, tmp_path):
    study = study_of(["tax.audited"], [{"kind": "mean", "column": "power.usage"}, {"kind": "count"}])
    made = consortium(kit, tmp_path / "bank", ("alfa",), ("tax", "power"), study, enterprises=300)
    run = exactly(made)
    check_exact(run)
    # The bank's enterprises are counted: it is charged as the owners of the columns are.
    spends = run.results.record.release("statistics").spends
    assert {s["institution"] for s in spends} == {"alfa", "tax", "power"}
    study["statistics"]["listed"] = "power"
    alone = consortium(kit, tmp_path / "power", (), ("tax", "power"), study, enterprises=300)
    run = exactly(alone)
    assert set(run.roster.lists) == {"power"}
    check_exact(run)
    assert run.results.record.release("statistics").block("audited|count").total.sum() == len(
        alone.tables["power"]
    )


def test_the_release_has_its_noise_and_costs_its_price(kit, tmp_path):
    study = study_of(["tax.audited"], CELLS)
    made = consortium(kit, tmp_path, ("alfa", "beta"), ("tax",), study, enterprises=300)
    run = watched(made)
    released, exact = run.results.record.release("statistics"), pooled(run)
    for block in released.blocks:
        # Twelve deviations: false alarms below 1e-31 for a number.
        assert np.abs(block.total - exact[block.name]).max() < 12 * math.sqrt(block.variance)
        assert np.any(block.total != exact[block.name])
    mu = run.plan.price["tax"]
    assert {s["institution"]: s["mu"] for s in released.spends} == dict.fromkeys(("alfa", "beta", "tax"), mu)
    assert released.population == "all"
    # The tax office alone hides a move between cells; two banks and it together add three such noises.
    least = 2.0 / (mu**2 / 3)
    assert released.block("audited|sum_debt").variance == pytest.approx(3 * least, rel=1e-4)
    assert released.block("audited|count").variance == pytest.approx(least, rel=1e-4)
    run.results.record.verify()


def test_two_offices_that_know_the_same_enterprises(kit, tmp_path):
    """Both are added up in one number, so the cells' owner draws twice the noise of one; the study says so by its format."""
    tables = kit.province(300)
    tables["grid"] = tables["power"].iloc[::2].reset_index(drop=True)
    columns = {**kit.COLUMNS, "grid": kit.COLUMNS["power"]}
    measures = [{"kind": "mean", "column": "net.usage"}]
    study = study_of(["tax.audited"], measures, offices={"net": ["power", "grid"]})
    holders = ("tax", "power", "grid")
    made = consortium(kit, tmp_path, ("alfa",), holders, study, tables=tables, columns=columns)
    run = watched(made)
    assert run.study.format == 2
    (block,) = run.results.record.release("statistics").blocks
    sigma, one = run.plan.release("statistics").block(block.name).sigma, run.plan.release("statistics")
    unit = math.sqrt(2) * ((1 << one.scale_bits) + 1) / run.plan.price["tax"]
    assert sigma == pytest.approx({"tax": 2 * unit, "power": unit, "grid": unit}, rel=1e-6)
    assert np.abs(block.total - pooled(run)[block.name]).max() < 12 * math.sqrt(block.variance)


# ------------------------------------------------------------------------------------------------ a hub that lies


def small(kit, folder):
    study = study_of(["tax.audited"], [{"kind": "count"}, {"kind": "sum", "column": "bank.late"}])
    return consortium(kit, folder, ("alfa",), ("tax",), study, enterprises=300)


def refused(made, change):
    """The tax office refuses, by a code, before it is charged; the action at which it does.

    Its counterpart may be charged by then: what it has sent without the other's part is random.
    """
    with pytest.raises(PeerError, match=r"refused by tax \(protocol\)"):
        made.run(change=change)
    assert not list(made.nodes["tax"].ledger.entries())
    return made.last.steps[-1].action


def test_a_hub_that_deals_wrong_numbers_to_see_a_rows_cell_gets_nothing(kit, tmp_path):
    """A million added to one row would stand out in that row's cell, whatever the noise."""

    def lie(run, step):
        if step.action == "mask":
            name = "0:tax.alfa@alfa|0"
            dealt = step.sent["alfa"].array(name).copy()
            dealt[7, 0] += np.uint64(1_000_000)
            step.sent["alfa"] = Payload(step.sent["alfa"].body, {**step.sent["alfa"].blobs, name: dealt})

    assert refused(small(kit, tmp_path), lie) == "release"


def test_a_hub_that_names_rows_of_other_enterprises_gets_nothing(kit, tmp_path):
    def lie(run, step):
        if step.action == "edges":
            payload = step.sent["tax"]
            rows = payload.array("rows:alfa").copy()
            known = np.flatnonzero(rows >= 0)
            rows[known] = np.roll(rows[known], 1)
            step.sent["tax"] = Payload(payload.body, {**payload.blobs, "rows:alfa": rows})

    assert refused(small(kit, tmp_path), lie) == "release"


@pytest.mark.parametrize("what", sampled(["twice", "size", "swapped", "secret", "another"], 3))
def test_messages_of_a_grouping_that_a_hub_changes_are_refused(kit, tmp_path, what):
    name = "0:tax.alfa@alfa"

    def lie(run, step):
        sent = step.sent
        if what == "secret" and step.action == "mask":
            body = {**sent["tax"].body, "secrets": {**sent["tax"].get("secrets"), name: "ab" * 32}}
            sent["tax"] = Payload(body, sent["tax"].blobs)
        if what == "size" and step.action == "mask":
            sent["alfa"] = Payload(
                sent["alfa"].body, {**sent["alfa"].blobs, f"{name}|1": sent["alfa"].array(f"{name}|1")[1:]}
            )
        if what == "swapped" and step.action == "release":
            blobs = dict(sent["tax"].blobs)
            blobs[name], blobs[f"carried:{name}"] = blobs[f"carried:{name}"], blobs[name]
            sent["tax"] = Payload(sent["tax"].body, blobs)
        if what == "twice" and step.action == "carry":
            # Other permutations for the same numbers: of two sums of one row their difference would be left.
            again = InProcessGrid(client_app, {"alfa": run_paths["alfa"]})
            (node,) = again.get_nodes()
            other = Payload(sent["alfa"].body, {**sent["alfa"].blobs, name: b"FRE1" + bytes(80)})
            (reply,) = again.send_and_receive([request(other, "carry", node.node_id, ttl=60)])
            assert from_record(reply.content).refusal is not None
        if what == "another" and step.action == "release":
            blobs = {**sent["tax"].blobs, "0:tax.beta@beta": b"FRE1"}
            sent["tax"] = Payload(sent["tax"].body, blobs)

    made = small(kit, tmp_path)
    run_paths = made.paths
    with pytest.raises(PeerError):
        made.run(change=lie)
    assert not list(made.nodes["tax"].ledger.entries())


def test_envelopes_come_with_no_study_of_one_owner(kit, tmp_path):
    """What nobody reads may say anything to anybody."""
    made = consortium(
        kit, tmp_path, (), ("tax",), study_of(["tax.audited"], [{"kind": "count"}]), enterprises=200
    )

    def lie(run, step):
        if step.action == "release":
            step.sent["tax"] = Payload(step.sent["tax"].body, {**step.sent["tax"].blobs, "a@b": b"FRE1"})

    assert refused(made, lie) == "release"
