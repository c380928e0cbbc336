"""Forms of the messages of a training (protocol/form): what the hub may send a trainer, and nothing else."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from fedrisk.models.trainable import MOST_WEIGHT
from fedrisk.protocol.form import AttemptId, BlobForm, Body, Digest, Form, Hex, Name, OfAttempt
from fedrisk.study_sections import MOST_RATE


class TrainingPart(Body):
    """What is trained: design of the model, and the learning rate."""

    design: dict[str, Any]
    rate: Annotated[float, Field(gt=0, le=MOST_RATE)]


AllSteps = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})+$", max_length=1 << 26)]
"""32 bytes for each step, in hexadecimal."""


class KeysOfTrainer(Body):
    """A trainer's public keys for the masks of all steps (secure/step_keys.StepKeys)."""

    institution: Name
    study_digest: Digest
    attempt: AttemptId
    publics: AllSteps
    commitments: AllSteps
    signature: Hex


class RelayedStepKeys(OfAttempt):
    """Every trainer's public keys for the masks of all steps."""

    step_keys: dict[str, KeysOfTrainer]


class OfStep(OfAttempt):
    """Which step a message is about."""

    step: Annotated[int, Field(ge=0, lt=1 << 20)]


class OfSurvivors(OfStep):
    """Who sent a vector in a step, and who did not."""

    survivors: Annotated[list[Name], Field(max_length=10_000)]
    lost: Annotated[list[Name], Field(max_length=10_000)]


TRAINING = Form(body=TrainingPart)
WEIGHTS = BlobForm(dtype="float64", low=-MOST_WEIGHT, high=MOST_WEIGHT)
"""Weights of a model in training."""

TRAINED = Form(body=Body, blobs={"weights": BlobForm(dtype="float32", low=-MOST_WEIGHT, high=MOST_WEIGHT)})
"""Form of the part ``trained`` of the common view: the trained weights, the same for all."""
