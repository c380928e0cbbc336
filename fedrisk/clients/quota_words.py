"""What is said where the key authority would evaluate more ids of an institution than it agreed to.

A first run agrees a size by itself, a quarter above the list (``clients/align.GROWTH``). Two things reach it: a table
that grows for years within one epoch, and a list of wrong ids, which uses the whole size up at once and locks its
institution out. Only the authority's operator can tell them apart, and only he may raise the size.
"""

import shlex
from pathlib import Path

from fedrisk.errors import QuotaError


def refused(error: QuotaError, *, name: str, authority: str, epoch: str, file: Path | None) -> QuotaError:
    """The refusal with whose ids it is about, what may be the cause, and the command that helps, for the authority.

    name: whose ids. authority: the key authority, and ``file`` its institution file.
    """
    where = shlex.quote(str(file)) if file is not None else f"{authority}.toml"
    named = "" if epoch == "1" else f" --epoch {shlex.quote(epoch)}"
    return QuotaError(
        f"{name} asks the key authority {authority} for more pseudonyms than they agreed in epoch {epoch}: {error}. "
        f"Of its ids {error.count:,} are new to the authority. Where nearly all are new, an id column or an id_scheme "
        f"may be wrong, now or in an earlier study: {name} compares its ids first. Where they are right, or its table "
        f"has grown by so much, the operator of {authority} agrees a new size: "
        f"fedrisk quota {where} {name}{named} --size {error.used + error.count}",
        count=error.count,
        agreed=error.agreed,
        used=error.used,
    )
