"""The institutions of a profile and their dictionaries."""

import pytest

from fedrisk.data.dictionary import load_dictionary
from sim_institutions.institutions import TEMPLATES, label, offices, prefecture_offices, template
from sim_institutions.profiles import PROFILES
from sim_institutions.random_streams import stream
from sim_institutions.views.banks import LABEL


def test_templates_cover_twelve_classes_of_non_financial_indicators():
    names = {p.stem for p in TEMPLATES.glob("*.toml")} - {"decisions"}
    assert len(names - {"bank", "guarantee"}) == 12
    used = {t for profile in PROFILES.values() for o in offices(profile) for t in o.templates}
    assert used == names
    for name in names:
        content = {"id": "uscc", "columns": template(name)}
        if name == "bank":
            content["label"] = label()
        dictionary = load_dictionary(content)
        assert 2 <= len(dictionary.features) <= 10, name


@pytest.mark.parametrize("name", list(PROFILES))
def test_banks_come_first_and_share_one_dictionary(name):
    profile = PROFILES[name]
    members = offices(profile)
    assert [o.name for o in members] == [b.name for b in profile.banks] + list(profile.holders)
    assert {o.kind for o in members[: len(profile.banks)]} == {"bank"}
    assert {o.templates for o in members[: len(profile.banks)]} == {("bank",)}
    for office in members[len(profile.banks) :]:
        assert office.kind == (
            office.name.split("_")[0] if office.name.startswith(("guarantor", "bureau")) else "holder"
        )


def test_every_institution_observes_the_columns_of_its_dictionary(block):
    for office in offices(block.profile):
        observed = office.observe(block, stream(block.seed, office.name, block.number))
        described = {column["name"] for column in office.columns}
        extra = {LABEL} if office.kind == "bank" else set()
        assert set(observed.columns) == described | extra, office.name
        assert {one["name"] for one in office.series} <= set(observed.histories), office.name


def test_there_are_eleven_tax_offices_of_prefectures():
    names = prefecture_offices()
    assert len(names) == 11
    assert names["tax_office_p03"] == "p03"
