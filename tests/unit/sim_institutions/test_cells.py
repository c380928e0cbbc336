"""Columns for statistics: they change no other column, agree with what is true, and no model uses them."""

import hashlib

import numpy as np
import pytest

from sim_institutions.block import Constants, generate_block
from sim_institutions.cells import COLUMNS, FIRST_INDUSTRY, GRADES, LOAN, QUARTERS, industries
from sim_institutions.geography import COUNTIES, PREFECTURE_OF_COUNTY, PREFECTURES, SECTORS
from sim_institutions.institutions import offices
from sim_institutions.observations import Category, growth_of_quarter
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import stream
from sim_institutions.views.banks import LABEL

# Of all columns that models use, of an earlier version without columns for statistics.
BEFORE = "730cb70136606901c380d1835ebe390f11c022a6829467da64583f5c702fe54d"


@pytest.fixture(scope="module")
def demo():
    return generate_block(PROFILES["demo"], 1, 0, 20_000, Constants(asked=-0.84, intercept=-4.41))


@pytest.fixture(scope="module")
def bank(demo):
    office = offices(demo.profile)[0]
    return office.observe(demo, stream(1, office.name, 0))


def codes_or_numbers(values):
    return values.code.astype(float) if isinstance(values, Category) else values


def test_columns_for_statistics_change_no_other_column(block):
    for office in offices(block.profile):
        name = (block.seed, office.name, block.number)
        seen, more = office.view(block, stream(*name)), office.observe(block, stream(*name))
        assert np.array_equal(seen.rows, more.rows)
        assert list(more.columns)[: len(seen.columns)] == list(seen.columns)
        for column, values in seen.columns.items():
            assert np.array_equal(
                codes_or_numbers(more.columns[column]), codes_or_numbers(values), equal_nan=True
            )


def test_columns_of_models_have_the_bytes_that_they_had_before():
    digest = hashlib.sha256()
    block = generate_block(PROFILES["province"], 5, 1, 400, Constants(asked=0.0, intercept=-4.0))
    for office in offices(block.profile):
        seen = office.observe(block, stream(5, office.name, 1))
        digest.update(np.ascontiguousarray(seen.rows))
        wanted = [c["name"] for c in office.features] + ([LABEL] if office.kind == "bank" else [])
        for name in wanted:
            values = seen.columns[name]
            digest.update(np.ascontiguousarray(values.code if isinstance(values, Category) else values))
        for path in seen.histories.values():
            digest.update(np.ascontiguousarray(path))
    assert digest.hexdigest() == BEFORE


def test_no_model_uses_them():
    for profile in PROFILES.values():
        for office in offices(profile):
            features = {c["name"] for c in office.features}
            for column in office.columns:
                assert column["name"] in features or column["feature"] is False, (office.name, column["name"])
            assert {"county", "prefecture", "sector"} <= {c["name"] for c in office.columns}, office.name


def test_counties_lie_in_their_prefectures_and_ids_say_the_county(demo, bank):
    county, prefecture = bank.columns["county"], bank.columns["prefecture"]
    known = county.code >= 0
    assert 0.98 < known.mean() < 1
    assert np.array_equal(PREFECTURE_OF_COUNTY[county.code[known]], prefecture.code[known])
    assert (prefecture.code[~known] == -1).all()
    written = demo.enterprises.ids[bank.rows]
    assert np.array_equal(10 * written[known, 6] + written[known, 7], county.code[known])
    assert len(COUNTIES) == len(set(COUNTIES)) == 100
    assert all(name[:3] == PREFECTURES[p] for name, p in zip(COUNTIES, PREFECTURE_OF_COUNTY, strict=True))


def test_an_industry_is_a_part_of_its_sector(demo):
    found = industries(demo)
    for sector in range(len(SECTORS)):
        inside = found[demo.enterprises.sector == sector]
        assert set(inside) == set(range(FIRST_INDUSTRY[sector], FIRST_INDUSTRY[sector + 1]))


def test_a_banks_rating_is_calibrated_and_tells_good_from_bad(bank):
    columns = bank.columns
    # 8,000 loans of which 400 fall due: the rate's standard error is .0025, and the loss of a loan adds to it.
    assert columns["default_probability"].mean() == pytest.approx(columns["defaulted"].mean(), abs=0.01)
    assert columns["expected_loss"].sum() == pytest.approx(columns["matured_loss"].sum(), rel=0.25)
    rates = [columns["defaulted"][columns["grade"].code == g].mean() for g in range(len(GRADES))]
    assert rates[-1] > 0.2 > 0.02 > rates[1]
    assert np.argsort(rates[2:]).tolist() == list(range(6))


def test_losses_are_of_loans_that_fell_due_and_leave_the_rest_recovered(bank):
    columns = bank.columns
    fell = columns[LABEL] == 1
    assert np.array_equal(columns["defaulted"] == 1, fell)
    assert (columns["matured_loss"][~fell] == 0).all()
    whole = columns["matured_loss"] + columns["recovered"]
    np.testing.assert_allclose(whole[fell], columns["exposure"][fell], rtol=1e-6)
    share = columns["share_guaranteed"]
    assert ((share > 0) == (columns["guaranteed"] == 1)).all()


def test_banks_and_guarantors_agree_whose_loan_is_guaranteed(block):
    there = {
        row
        for office in offices(block.profile)
        if office.kind == "guarantor"
        for row in office.observe(block, stream(2, office.name, 0)).rows.tolist()
    }
    office = offices(block.profile)[0]
    seen = office.observe(block, stream(2, office.name, 0))
    assert [row in there for row in seen.rows.tolist()] == (seen.columns["guaranteed"] == 1).tolist()


def test_values_lie_within_the_public_bounds(bank):
    for name in LOAN:
        column, values = COLUMNS[name], bank.columns[name]
        if isinstance(values, Category):
            assert list(values.names) == column["categories"]
        elif column["kind"] == "number":
            assert values.min() >= column["low"]
            assert (values <= column["high"]).mean() > 0.999


def test_growth_of_a_quarter_is_on_the_same_months_a_year_before(demo, bank):
    assert growth_of_quarter(np.arange(18, dtype=np.float32)[None])[0] == pytest.approx(16 / 4 - 1)
    path = bank.histories[QUARTERS["turnover_growth_quarter"]]
    by_hand = path[:, 15:].mean(axis=1) / path[:, 3:6].mean(axis=1) - 1
    whole = ~np.isnan(path).any(axis=1)
    seen = bank.columns["turnover_growth_quarter"]
    np.testing.assert_allclose(seen[whole], np.clip(by_hand[whole], -1, 2), rtol=0.01, atol=0.001)
