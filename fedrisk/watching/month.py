"""Calendar months, as a bank's loans are watched by."""

import re
from dataclasses import dataclass

from fedrisk.errors import ConfigError

_FORM = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month; months are compared by time.

    >>> Month.parse("2026-01").minus(1), str(Month(2026, 12).next())
    (Month(year=2025, number=12), '2027-01')
    """

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """A month as it is written: 2026-05. ConfigError for anything else."""
        found = _FORM.fullmatch(text)
        if found is None or int(found[1]) == 0:
            raise ConfigError(f"{text!r} is no month; write year and month, for example 2026-05")
        return cls(int(found[1]), int(found[2]))

    def next(self) -> "Month":
        """The month after this one."""
        return self.minus(-1)

    def minus(self, months: int) -> "Month":
        """So many months before this one."""
        year, number = divmod(12 * self.year + self.number - 1 - months, 12)
        return Month(year, number + 1)

    def since(self, other: "Month") -> int:
        """How many months this one comes after another."""
        return 12 * (self.year - other.year) + self.number - other.number

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.number:02d}"
