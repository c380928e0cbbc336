"""Columns of sequence encoders for the enterprises that are asked about, computed then from their histories."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.data.as_it_is import Taking
from fedrisk.files import mark_of
from fedrisk.institution import Institution
from fedrisk.models.histories import EncoderRule, Histories, scaled, scaled_paths
from fedrisk.models.trainable import TrainedModel
from fedrisk.serving.file_rows import LOOK_SECONDS, FileRows
from fedrisk.serving.history_rows import Months


class EncoderRows:
    """One encoder of an institution, with an index over its histories; torch is loaded once it is trained.

    An encoder without histories of its own takes those of the institution, which are looked up for all.

    Args:
        institution: whose encoder it is.
        rule: of the encoder.
        folder: of indexes.
        broken: called for every state of the file of histories that could not be taken.
    """

    def __init__(
        self, institution: Institution, rule: EncoderRule, folder: Path, broken: Callable[[], None]
    ) -> None:
        assert institution.dictionary is not None
        self._institution, self.rule = institution, rule
        self._rows: FileRows | None = None
        if rule.histories is not None:
            taking = Taking(rule.histories, rule.file_dictionary(institution.dictionary))
            self._rows = FileRows(taking, institution.folder, folder, broken)
        self._lock = threading.Lock()
        self._looked = -np.inf
        self._mark: tuple[Any, ...] | None = None
        self._model: TrainedModel | None = None
        self._digest = ""

    def start(self) -> None:
        """Load the encoder and index the histories, where it is trained; ConfigError where it is damaged."""
        self._trained()

    def close(self) -> None:
        """Wait for an index that is being built."""
        if self._rows is not None:
            self._rows.close()

    def digest(self) -> str | None:
        """Of the encoder as it is installed now; None while it is not trained."""
        trained = self._trained()
        return None if trained is None else self._digest

    @property
    def shares(self) -> bool:
        """Whether it reads the histories that are looked up for all."""
        return self._rows is None

    def columns(
        self, ids: Sequence[str], known: NDArray[np.bool_], months: Months | None = None, ago: int = 0
    ) -> dict[str, NDArray[np.float64]]:
        """The encoder's columns of normalised ids, as a study's table has them; none while it is not trained.

        ``months``: the institution's histories of these ids, for an encoder without histories of its own. NaN where an
        enterprise is not known, or has no history. AwayError where histories cannot be looked up.
        """
        trained = self._trained()
        if trained is None:
            return {}
        from fedrisk.models.encoder import EncoderDesign, encode

        out = np.full((len(ids), self.rule.outputs), np.nan)
        at = np.flatnonzero(known)
        if len(at):
            design = EncoderDesign.from_dict(trained.design)
            out[at] = encode(
                design, trained.weights, self._histories([ids[k] for k in at.tolist()], months, ago)
            )
        return {name: out[:, k] for k, name in enumerate(self.rule.columns)}

    def _histories(self, ids: Sequence[str], months: Months | None, ago: int) -> Histories:
        """Histories of known ids, as the encoder reads them."""
        source = self._institution.histories
        if self._rows is None and months is not None and source is not None:
            values, count = months.cells.values, self.rule.months
            names = [s.name for s in self.rule.series]
            return scaled_paths(self.rule, {n: source.paths(n, values, len(ids), count, ago) for n in names})
        assert self._rows is not None
        cells, empty = self._rows.cells(ids), np.full(len(ids), np.nan)
        names = [n for series in self.rule.series for n in series.columns(self.rule.months)]
        frame = pd.DataFrame({n: cells.values.get(n, empty) for n in names}, copy=False)
        return scaled(self.rule, frame)

    def _trained(self) -> TrainedModel | None:
        """The encoder as it is installed now."""
        with self._lock:
            if time.monotonic() - self._looked < LOOK_SECONDS:
                return self._model
            self._looked = time.monotonic()
            file = self._institution.installed.file(self.rule.name)
            mark = None if file is None else (file, *mark_of(file))
            if mark != self._mark:
                self._model = self._institution.installed.load(self.rule.name)
                if self._model is not None:
                    _one_thread()
                    self._digest = self._model.digest()
                    if self._rows is not None:
                        self._rows.start()
                self._mark = mark
            return self._model


def _one_thread() -> None:
    """A few small products for each question gain nothing from threads, which would wait for one another."""
    import torch

    torch.set_num_threads(1)
