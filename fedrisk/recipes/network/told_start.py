"""The scorecard at which a network begins, at a member: told by the hub, held against what the study states of it."""

from functools import lru_cache, partial

from fedrisk.clients.attempt import Attempt
from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.models.knowledge import NOTHING, Knowledge
from fedrisk.models.knowledge_file import MOST_BYTES, from_bytes
from fedrisk.protocol.form import BlobForm, Body, Form
from fedrisk.recipe import MakePlan
from fedrisk.recipes.network.plan import make_plan
from fedrisk.recipes.network.settings import NetworkSettings
from fedrisk.recipes.network.start import PART, stated


class StartPart(Body):
    """The file says everything."""


START = Form(body=StartPart, blobs={"file": BlobForm(dtype="uint8", most=MOST_BYTES)})
"""Form of the part ``start``: the card's curves as a file (models/knowledge_file)."""

_REMEDY = "nothing is released. Ask the consortium's operator, and run the study again"


def known_start(attempt: Attempt) -> Knowledge:
    """The card's curves, as the study's digest says; ProtocolError where the hub told something else."""
    known, told = NetworkSettings.of(attempt.study).known, attempt.was_told(PART)
    if known is None:
        if told:
            raise ProtocolError(f"the hub tells a start of which the study states none; {_REMEDY}")
        return NOTHING
    if not told:
        raise ProtocolError(f"the network begins at a scorecard, and the hub does not tell it; {_REMEDY}")
    try:
        found = _read(attempt.told(PART).array("file").tobytes())
    except ConfigError as error:
        raise ProtocolError(f"what the hub tells of the start is not of the form: {error}") from None
    if found.memory or stated(found, known.intercept) != known:
        raise ProtocolError(f"what the hub tells of the start is not what the study states of it; {_REMEDY}")
    return found


def plan_from(attempt: Attempt) -> MakePlan:
    """The plan that takes the start into account; ProtocolError as of :func:`known_start`."""
    return partial(make_plan, known=known_start(attempt))


# Several institutions of one process are told the same.
@lru_cache(maxsize=2)
def _read(content: bytes) -> Knowledge:
    return from_bytes(content)
