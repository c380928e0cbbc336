"""What every act on a hub's roster needs: one at a time, the next epoch, and a line that says who did what."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

from fedrisk.deploy.documents import now
from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.roster import Roster
from fedrisk.errors import StoreError
from fedrisk.files import locked, private_append
from fedrisk.secure.identity import IdentityKey
from fedrisk.user import user_name


def note_act(home: HubHome, act: str, name: str, **facts: Any) -> None:
    """Keep who did what, when, in the hub's folder."""
    entry = {"time": now(), "who": user_name(), "act": act, "name": name, **facts}
    file = home.path / "acts.jsonl"
    try:
        with private_append(file) as handle:
            os.write(handle, (json.dumps(entry, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}; the act itself is done") from None


@contextlib.contextmanager
def one_at_a_time(home: HubHome) -> Iterator[None]:
    """Acts on a hub's roster come one after the other, by whichever process."""
    try:
        with locked(home.path / ".roster.lock"):
            yield
    except OSError as error:
        raise StoreError(f"{home.path}: {error.strerror}; check space and permissions") from None


def next_epoch(before: Roster, hub: IdentityKey, **changes: Any) -> Roster:
    """The epoch after one, signed; checked as every node will check it."""
    unsigned = before.model_copy(
        update={
            "epoch": before.epoch + 1,
            "made": max(now(), before.made),
            "previous": before.digest(),
            **changes,
        }
    )
    after = unsigned.signed(hub)
    after.verify(before.hub)
    after.check_follows(before)
    return after
