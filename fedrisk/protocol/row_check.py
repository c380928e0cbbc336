"""The check that bank and holder have rows of the same enterprises, as hub and institutions name its parts.

What it is, and what it guarantees, says clients/row_check.
"""

from dataclasses import dataclass

from fedrisk.secure.keystream import Label
from fedrisk.secure.product import Shape
from fedrisk.study import Study

CHECK, CHECKED = "check:", "checked:"
"""How names of its masked numbers, and of the banks' shares, begin."""


@dataclass(frozen=True)
class RowCheck:
    """One check: a holder's rows on a bank's list against the bank's."""

    holder: str
    bank: str

    @property
    def id(self) -> str:
        """Name of its secure product."""
        return f"{CHECK}{self.holder}@{self.bank}"

    @property
    def checked(self) -> str:
        """Name of the bank's share of the result."""
        return f"{CHECKED}{self.holder}@{self.bank}"

    def partner(self, name: str) -> str:
        """The other side."""
        return self.bank if name == self.holder else self.holder

    def shape(self, rows: int) -> Shape:
        """Sizes of its product on a list of so many rows."""
        return Shape(rows, 1, 1, "uint64")

    def label(self, study: Study, attempt: str) -> Label:
        """Label of its product's streams."""
        return Label(
            study=study.digest(),
            attempt=attempt,
            release="check of rows",
            sender=self.holder,
            counterparty=self.bank,
            bank_list=self.bank,
            matrix="pseudonyms",
        )


def row_checks(study: Study) -> tuple[RowCheck, ...]:
    """All checks of a study: of each holder that has no list of its own, with each institution that has one."""
    others = [holder for holder in study.holders if holder not in study.trainers]
    return tuple(RowCheck(holder, listed) for holder in others for listed in study.trainers)
