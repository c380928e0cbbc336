"""The encoder recipe at a data holder: histories instead of columns; the trained encoder is installed at the end."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import training, training_forms
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import room_for
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import take_order
from fedrisk.clients.store.attempt_store import Owed
from fedrisk.data.table import Table
from fedrisk.errors import ProtocolError, StoreError
from fedrisk.models.trainable import Trainee
from fedrisk.protocol.actions import Action
from fedrisk.protocol.order import ORDER, ROWS
from fedrisk.protocol.payload import Payload
from fedrisk.recipe import Brought
from fedrisk.recipes.encoder.plan import make_plan
from fedrisk.recipes.encoder.settings import EncoderSettings
from fedrisk.study import Study
from fedrisk.study_members import HOLDING


def brings(node: Node, study: Study, research_seed: int | None) -> Brought:
    """The public design of the encoder, and the digest of what it reads: equal at all holders.

    An encoder that was trained without privacy does not matter here: training it again is the remedy.
    """
    name, institution = EncoderSettings.of(study).name, node.institution
    rule = {
        "design": institution.encoder_design(name),
        "rule": institution.installed.rule(name).public_digest(),
    }
    return Brought(stated={"encoder": rule})


def beforehand(node: Node, study: Study, table: Table, research_seed: int | None) -> None:
    """ConfigError or DataError where histories cannot be read, or break their rules."""
    node.institution.encoder_histories(EncoderSettings.of(study).name, table.ids)


def order(node: Node, request: Payload) -> Payload:
    """Order of rows -> nothing; no histogram is needed."""
    attempt = node.attempt(request)
    take_order(attempt, request, make_plan)
    attempt.state.keep_until_settled(Owed(after="told_trained.message"), room_for(0))
    return Payload()


def conclude(node: Node, request: Payload) -> Payload:
    """Trained weights -> nothing; the encoder is installed, and its outputs are columns of the table from then on."""
    attempt = node.attempt(request)
    attempt.state.still_runs()
    fetch(attempt)()
    return Payload()


def fetch(attempt: Attempt) -> Callable[[], None]:
    """What installs the encoder that was told; also once more, where it could not be written. ProtocolError before."""
    from fedrisk.models.encoder import EncoderDesign

    design = attempt.state.load(training.TrainingState).design
    model = training.trained_model(attempt, EncoderDesign.from_dict(design).size)
    name = EncoderSettings.of(attempt.study).name

    def install() -> None:
        attempt.node.institution.installed.save(name, model)
        if attempt.node.institution.installed.load(name) is None:
            raise StoreError(
                f"encoder {name} was written and is not there; see that the store of {attempt.name} can be written"
            )
        attempt.state.settle()

    return install


def _agreed(attempt: Attempt, rows: int) -> tuple[dict[str, Any], float]:
    """The design that this institution states, and the learning rate by the code of the hub."""
    from fedrisk.recipes.encoder.design import tuning

    name = EncoderSettings.of(attempt.study).name
    stated = [said.encoder for said in attempt.statements.values() if said.role in HOLDING]
    if any(encoder != stated[0] for encoder in stated):
        raise ProtocolError("the holders of this study state different encoders; agree on one")
    return attempt.node.institution.encoder_design(name), tuning(attempt.study).rate


def _ready(attempt: Attempt, rows: NDArray[np.int64]) -> None:
    name, institution = EncoderSettings.of(attempt.study).name, attempt.node.institution
    attempt.state.put("histories", institution.encoder_histories(name, attempt.read().ids[rows]))


def _trainee(attempt: Attempt, design: Mapping[str, Any]) -> Trainee:
    from fedrisk.models.encoder import EncoderDesign, EncoderTrainee

    return EncoderTrainee(EncoderDesign.from_dict(dict(design)), attempt.state.get("histories"))


SIDE = training.Side(agreed=_agreed, ready=_ready, trainee=_trainee)

ACTIONS: tuple[Action, ...] = (
    Action(name="edges", serve=order, form=ROWS, tells={"order": ORDER}),
    *training.actions(SIDE),
    Action(name="conclude", serve=conclude, tells={"trained": training_forms.TRAINED}),
)
