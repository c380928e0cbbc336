"""Published figures keep apart from measured ones, and say where they are from."""

import re

from fedrisk.lab.quoted import published, quoted_rows


def test_every_figure_has_its_source_with_a_year_or_an_address():
    for figure in published():
        assert re.search(r"\b(19|20)\d\d\b|https://", figure.source), figure
        assert figure.conditions


def test_rows_are_of_their_own_kind_and_belong_to_no_cell():
    rows = quoted_rows("default_credit")
    assert len(rows) >= 4
    for row in rows:
        assert row.kind == "quoted" and row.cell == "" and row.source
        assert row.auc_low is None and row.rows_holdout is None
