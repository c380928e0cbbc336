"""One spelling of an enterprise's id within a watch: tables and outcomes of several systems write it in several ways.

Two texts name the same enterprise where they are alike in the spelling that institutions match by (alignment/ids). What
a watch keeps and tells is the bank's own text, the one by which an enterprise was watched before if it was.
"""

from collections.abc import Iterable, Sequence

from fedrisk.alignment.ids import Scheme, normalise
from fedrisk.data.text import trim
from fedrisk.institution import Institution


def spelt(ids: Sequence[str], scheme: Scheme) -> list[str]:
    """The spelling by which ids are compared, (n,); of a text that is no id of the scheme the text itself.

    >>> spelt(["91350100m000100y43 ", "none"], "uscc")
    ['91350100M000100Y43', 'none']
    """
    normal, refused = normalise(list(ids), scheme)
    return [
        trim(id) if bad else one for id, one, bad in zip(ids, normal.tolist(), refused.tolist(), strict=True)
    ]


def as_before(ids: Sequence[str], before: Iterable[Sequence[str]], scheme: Scheme) -> list[str]:
    """The ids, (n,), each as it is written in ``before`` if its enterprise is there.

    before: ids of earlier months, the newest first; the first that has an enterprise counts.
    """
    out, place = list(ids), {id: k for k, id in enumerate(ids)}
    by_spelling: dict[str, int] = {}
    settled: set[int] = set()
    for month in before:
        others = [id for id in month if id not in place]
        if others and not by_spelling:
            by_spelling = {one: k for k, one in enumerate(spelt(ids, scheme))}
        for old, one in zip(others, spelt(others, scheme), strict=True):
            k = by_spelling.get(one)
            if k is not None and k not in settled:
                out[k] = old
                settled.add(k)
        settled |= {place[id] for id in month if id in place}
    return out


def scheme_of(institution: Institution) -> Scheme:
    """Scheme of an institution's ids; any text where it has no dictionary."""
    return "opaque" if institution.dictionary is None else institution.dictionary.id_scheme
