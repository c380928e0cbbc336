"""The rows of one question at a holder: which are refused and why, what is counted of the others, and their numbers."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fedrisk.alignment.ids import normalise
from fedrisk.errors import ConfigError
from fedrisk.institution import Institution
from fedrisk.models.model_part import ModelPart
from fedrisk.serving.book import Page, day_of
from fedrisk.serving.consent import Checked, Consents
from fedrisk.serving.current import CurrentData
from fedrisk.serving.kinds import Kind
from fedrisk.serving.messages import Asked
from fedrisk.serving.opening import Refused

MOST_REFUSED: Final = 20_000
"""Rows that may be refused to a bank in a day (UTC) before all its questions are, or as many as it gets scores."""


class Rows:
    """Ids of a question with what was found of each.

    spelt: the ids in their one spelling. months: of an index, so many numbers are given of each; 1 of all else.

    agent: whether who asks acts for the enterprises themselves: then each comes with a token, whatever the policy says.
    A list that a bank looks through is one of enterprises that have consented: there none goes without a consent,
    whatever the policy asks of others. scores: whether it asks for scores, and not for a measure.
    """

    def __init__(
        self,
        asked: Asked,
        institution: Institution,
        consents: Consents,
        now: float,
        *,
        agent: bool = False,
        scores: bool = True,
    ) -> None:
        if institution.dictionary is None:
            raise ConfigError(
                f"{institution.name} has no [dictionary], and answers nothing about enterprises"
            )
        self._asked, self._policy = asked, institution.policy
        spelt, wrong = normalise(asked.ids, institution.dictionary.id_scheme)
        self.spelt: list[str] = spelt.tolist()
        self._checked = [Checked("id") if bad else Checked("consent_missing") for bad in wrong.tolist()]
        there = [
            k
            for k, (token, bad) in enumerate(zip(asked.consents, wrong.tolist(), strict=True))
            if not bad and (token or not asked.screening)
        ]
        found = consents.check(
            [asked.consents[k] for k in there],
            [self.spelt[k] for k in there],
            asker=asked.asker,
            purpose=asked.purpose,
            now=now,
            always=agent,
            scores=scores,
        )
        for k, one in zip(there, found, strict=True):
            self._checked[k] = one
        self._codes = [found.code for found in self._checked]
        self.months = 1
        self._row_of = np.asarray(asked.row_of or range(len(asked.ids)), np.int64)

    @property
    def refused(self) -> dict[int, str]:
        """Code by row: that of the first of its ids that is refused."""
        out: dict[int, str] = {}
        if any(self._codes):
            for row, code in zip(self._row_of.tolist(), self._codes, strict=True):
                if code:
                    out.setdefault(row, code)
        return out

    @property
    def given(self) -> int:
        """How many enterprises something is given of."""
        return len(self._allowed())

    @property
    def consents(self) -> list[str]:
        """Digests of the consents under which something is given."""
        return [self._checked[k].digest for k in self._allowed()]

    def values(
        self, kind: Kind, part: ModelPart, data: CurrentData, now: float
    ) -> dict[str, NDArray[np.int64]]:
        """Numbers by column, (rows,); 0 in rows that are refused so far, of which nothing is looked up."""
        places = np.asarray(self._allowed(), np.intp)
        self.months = kind.months(self._asked, part, self._policy, data)
        names = kind.columns(part, self._policy, self.months)
        out = {name: np.zeros(self._asked.rows, np.int64) for name in names}
        if not len(places):
            return out
        found = data.rows([self._asked.ids[k] for k in places])
        for k in places[found.malformed]:
            self._codes[k] = "id"
        given = kind.give(self._asked, part, self._policy, found, places, now, self.months)
        for name, column in out.items():
            np.add.at(column, self._row_of[places], given[name])
        return out

    def count(
        self, page: Page, kind: Kind, part: ModelPart, enterprises: Sequence[bytes], now: float
    ) -> None:
        """Refuse rows that come too often, and count what is given; Refused where it is more than the policy allows."""
        asked = self._asked
        # Of another model it is another question, whatever the bank says.
        use = f"{asked.root}|{asked.model}"
        places = self._allowed()
        used_up = page.used_up(self._uses(places), use)
        for k in places:
            if self._checked[k].digest in used_up:
                self._codes[k] = "consent_used"
        places = self._allowed()
        each = self.months
        before = page.scored(asked.asker, [enterprises[k] for k in places], each)
        for k, number in zip(places, before, strict=True):
            if number + each > self._policy.serving.per_enterprise:
                self._codes[k] = "enterprise_quota"
        places = self._allowed()
        self._count_refused(page, now, len(asked.ids) - len(places))
        if not places:
            return
        for limit in kind.limits(asked, part, self._policy, now):
            there = page.counted(asked.asker, limit.what, limit.period)
            if there + each * (len(places) + asked.to_come) > limit.most:
                raise Refused(
                    "quota",
                    f"{asked.asker} asks for more {limit.what} than the policy allows in {limit.period}",
                )
            page.count(asked.asker, limit.what, limit.period, each * len(places))
        page.use([self._checked[k].digest for k in places if self._checked[k].uses], use)
        page.score(asked.asker, [enterprises[k] for k in places], each)
        page.verified({one.mark: one.key for one in (self._checked[k] for k in places) if one.mark})

    def _uses(self, places: Sequence[int]) -> dict[str, int]:
        """In how many questions each token may be used, by digest: the fewest where a register gave a ``jti`` twice."""
        out: dict[str, int] = {}
        for one in (self._checked[k] for k in places):
            if one.uses:
                out[one.digest] = min(one.uses, out.get(one.digest, one.uses))
        return out

    def _count_refused(self, page: Page, now: float, number: int) -> None:
        """Refused rows cost quota of no other kind, and each is kept and entered: a bank gets so many a day."""
        asker, day = self._asked.asker, day_of(now)
        if not number:
            return
        if page.counted(asker, "refused", day) + number > max(MOST_REFUSED, self._policy.serving.per_day):
            raise Refused("quota", f"{asker} asks for too much that is refused in {day}")
        page.count(asker, "refused", day, number)

    def _allowed(self) -> list[int]:
        """Places of ids in rows none of whose ids is refused."""
        refused = self.refused
        if not refused:
            return list(range(len(self._codes)))
        return [k for k, row in enumerate(self._row_of.tolist()) if row not in refused]
