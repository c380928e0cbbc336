"""What the name of a column says, in several languages: an id, an outcome, a code, a person, a direction of risk.

A name is taken apart into words at every change of case, script and sign; words are compared whole, and stems, for
languages that write without spaces or join words, anywhere in the name. The lists are in names.toml.
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|\d+")

Direction = Literal["increasing", "decreasing"]


@dataclass(frozen=True)
class Sense:
    """Words that are compared whole, and stems that may stand anywhere; all in lower case without accents."""

    words: frozenset[str]
    stems: tuple[str, ...]


@cache
def _lists() -> dict[str, dict[str, list[str]]]:
    file = files("fedrisk.data.draft") / "names.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@cache
def sense(group: str) -> Sense:
    """A group of names.toml."""
    found = _lists()[group]
    return Sense(frozenset(found.get("words", ())), tuple(found.get("stems", ())))


@cache
def values(meaning: str) -> frozenset[str]:
    """Values that mean "positive", "negative" or "unknown", as :func:`plain` writes them."""
    return frozenset(_lists()["values"][meaning])


def plain(name: str) -> str:
    """Lower case, without accents, in one form: what words are compared in.

    >>> plain("Défaut")
    'defaut'
    """
    apart = unicodedata.normalize("NFKD", name)
    return unicodedata.normalize("NFKC", "".join(c for c in apart if not unicodedata.combining(c))).lower()


def words_of(name: str) -> tuple[str, ...]:
    """The words of a name.

    >>> words_of("LoanNr_ChkDgt"), words_of("default.payment.next.month"), words_of("逾期天数2024")
    (('loan', 'nr', 'chk', 'dgt'), ('default', 'payment', 'next', 'month'), ('逾期天数', '2024'))
    """
    apart = unicodedata.normalize("NFKD", name)
    bare = unicodedata.normalize("NFKC", "".join(c for c in apart if not unicodedata.combining(c)))
    return tuple(w.lower() for w in _WORDS.findall(bare))


def says(name: str, group: str) -> bool:
    """Whether a name says this.

    >>> says("统一社会信用代码", "id"), says("credit_limit", "id")
    (True, False)
    """
    words, wanted = words_of(name), sense(group)
    text = f"{plain(name)} {'_'.join(words)}"
    return not wanted.words.isdisjoint(words) or any(stem in text for stem in wanted.stems)


def direction(name: str) -> Direction | None:
    """Which way risk moves as the number rises, where the name says so plainly; None where it does not.

    >>> direction("debt / net worth"), direction("cash_to_debt")
    ('increasing', None)
    >>> direction("days_late"), direction("months_since_default"), direction("年销售收入"), direction("sales_growth")
    ('increasing', 'decreasing', 'decreasing', None)
    """
    # Of a ratio, what stands below the line says the opposite: cash by debt is no debt.
    above, *below = _ratio(name)
    up, down = says(above, "riskier"), says(above, "safer")
    if up == down or any(says(part, "riskier") for part in below):
        return None
    if says(name, "since"):
        return "decreasing" if up else None
    # "Days late" and the debt ratio still say that more is worse; a share or growth of sales says nothing.
    if down and says(name, "turned"):
        return None
    return "increasing" if up else "decreasing"


def _ratio(name: str) -> list[str]:
    """What stands above the line in a name, and what below it."""
    parts = []
    for piece in name.split("/"):
        words: list[str] = []
        for word in words_of(piece):
            if word in ("to", "per", "over"):
                parts.append("_".join(words))
                words = []
            else:
                words.append(word)
        parts.append("_".join(words))
    return parts


def valid_name(name: str) -> str:
    """A name for the dictionary: letters and digits of any script, and underscores between them.

    >>> valid_name(" ROA(C) before tax % "), valid_name("纳税 信用"), valid_name("default.payment")
    ('ROA_C_before_tax', '纳税_信用', 'default_payment')
    """
    text = unicodedata.normalize("NFKC", name)
    return re.sub(r"_+", "_", re.sub(r"\W", "_", text)).strip("_") or "column"
