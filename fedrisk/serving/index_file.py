"""The file of an index that a bank gives to an agent of enterprises: card and scale, and nothing of an enterprise.

All of it follows from released numbers, and every member of the study has it already. With it an agent reads the
months that the members answer; what it is answered, their own policies and the enterprise's consent decide.
"""

from pathlib import Path

from fedrisk.errors import ConfigError, StoreError
from fedrisk.files import write_atomic
from fedrisk.models.model_part import ModelPart

MOST_BYTES = 1 << 26
"""Largest file that is read."""


def write_index(part: ModelPart, path: Path) -> Path:
    """Write a bank's part of an index; ConfigError where it is none, or the part of somebody else."""
    if part.index is None or part.index.scale is None or part.institution not in part.banks:
        raise ConfigError(
            f"model {part.model} is no operating health index of a bank with a scale; see fedrisk model list"
        )
    write_atomic(path, part.to_bytes(), private=False)
    return path


def read_index(path: Path) -> ModelPart:
    """An index as a bank gave it out; ConfigError where the file is none."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= MOST_BYTES else b""
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}; name the file that a bank wrote by fedrisk model hand-out"
        ) from None
    try:
        part = ModelPart.from_bytes(raw)
    except StoreError:
        part = None
    if part is None or part.index is None or part.index.scale is None or part.card is None:
        raise ConfigError(
            f"{path} is no operating health index; ask a bank of its study for one (fedrisk model hand-out)"
        )
    return part
