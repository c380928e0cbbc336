"""Settings of [table] that a draft recognises: each file is drafted with them, and reads with them."""

import pytest

from fedrisk.data.draft.draft import draft_dictionary
from fedrisk.data.draft.reading import notation_of
from fedrisk.data.source import TableSource

ROWS = [(f"firm {k:03d}", 1000 * k + 0.5, k % 3) for k in range(1, 120)]


def lines(delimiter, number):
    yield delimiter.join(("company_id", "sales", "visits"))
    for name, amount, grade in ROWS:
        yield delimiter.join((name, number(amount), str(grade)))


def german(x):
    return f"{x:,.2f}".replace(",", " ").replace(".", ",").replace(" ", ".")


CASES = {
    "plain": (",", str, "utf-8", (), {}),
    "semicolon": (";", str, "utf-8", (), {"delimiter": ";"}),
    "tab": ("\t", str, "utf-8", (), {"delimiter": "\t"}),
    "german": (";", german, "utf-8", (), {"delimiter": ";", "decimal": ",", "thousands": "."}),
    "decimal comma": (
        ";",
        lambda x: str(x).replace(".", ","),
        "utf-8",
        (),
        {"delimiter": ";", "decimal": ","},
    ),
    "utf-16": ("\t", str, "utf-16", (), {"encoding": "utf-16", "delimiter": "\t"}),
    "currency": (",", lambda x: f"¥{x}", "utf-8", (), {"currency": "¥"}),
    "quoted thousands": (",", lambda x: f'"{x:,.1f}"', "utf-8", (), {"thousands": ","}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_is_drafted_with_the_settings_that_it_needs(tmp_path, case):
    delimiter, number, encoding, above, settings = CASES[case]
    text = "\n".join([*above, *lines(delimiter, number)]) + "\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    draft = draft_dictionary(TableSource(source="t.csv"), tmp_path, kind="holder")
    assert draft.settings == settings
    assert {c.source: c.kind for c in draft.columns} == {"sales": "number", "visits": "number"}
    assert draft.columns[0].settings["high"] == 200_000


def test_a_column_that_can_be_read_in_one_way_decides_for_the_others():
    assert notation_of([["1,234", "5,678", "9,012"], ["1.234,50", "2.000,75", "3.111,00"]]) == {
        "decimal": ",",
        "thousands": ".",
    }
    assert notation_of([["a", "b"], ["2024-01-01", "2024-02-02"]]) == {}
