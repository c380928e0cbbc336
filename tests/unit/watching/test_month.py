"""Calendar months."""

import pytest

from fedrisk.errors import ConfigError
from fedrisk.watching.month import Month


def test_months_go_over_the_end_of_a_year():
    assert str(Month(2025, 12).next()) == "2026-01"
    assert Month(2026, 3).minus(15) == Month(2024, 12)
    assert Month(2026, 2).since(Month(2024, 11)) == 15
    assert Month(2025, 12) < Month(2026, 1)


@pytest.mark.parametrize("text", ["2026-5", "2026-13", "0000-05", "05-2026", "2026-05-01", ""])
def test_what_is_no_month(text):
    with pytest.raises(ConfigError, match="is no month"):
        Month.parse(text)
