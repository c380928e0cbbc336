"""Where the hub's processes meet, besides its proposals and runs: figures of what they did, and how far a study is."""

import contextlib
import json
from typing import Any

from fedrisk.deploy.health import FIGURES as FIGURES
from fedrisk.errors import FedriskError
from fedrisk.files import read_json, write_atomic
from fedrisk.server.hub import Hub


class Progress:
    """How far the study of a proposal is, for whoever waits for it: a small file beside the runs."""

    def __init__(self, hub: Hub, proposal: str) -> None:
        self.file = hub.path / "progress" / f"{proposal}.json"

    def write(self, **what: Any) -> None:
        """Keep the exchange, its action and a few words, or the sentence of an error."""
        with contextlib.suppress(FedriskError):
            write_atomic(self.file, json.dumps(what).encode())

    def read(self) -> dict[str, Any]:
        """What was kept last; empty where nothing was."""
        with contextlib.suppress(FedriskError):
            return read_json(self.file, "")
        return {}
