"""One model's scores of a month: the active loans as a list for the batch machinery, and what is kept of it.

A month is scored in ``work/MONTH``: the list as it was when the month began (``list.parquet``), which models are asked
(``about.json``), and a batch for each of them (serving/batch_folder). All of it is there before the first question, so
that a month that was killed goes on with the same loans and models, and nobody is asked twice.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fedrisk.clients.node import Node
from fedrisk.errors import ConfigError
from fedrisk.files import private_folder, read_json, write_atomic
from fedrisk.institution import Institution
from fedrisk.serving.answer_table import BIN
from fedrisk.serving.batch import PATIENCE, Order
from fedrisk.serving.batch_folder import BatchFolder
from fedrisk.serving.batch_list import ListFile, counted
from fedrisk.serving.batch_node import run_at
from fedrisk.serving.card_model import CardModel
from fedrisk.serving.deployed import meant
from fedrisk.serving.relay import Relay
from fedrisk.serving.score_forms import ScoreRequest, ServiceError
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.history import CHALLENGER, SCORES, WARNING, Kept
from fedrisk.watching.loans import CONSENT, ID, write_active
from fedrisk.watching.month import Month

BEGUN: Final = "about.json"
"""Models and loans of a month that is begun."""
YEAR: Final = 12
"""Months before one in which an enterprise is looked for, so that it keeps its id."""

_REMEDY: Final = "remove the folder it is in, and give the command again: the month is then begun anew"


@dataclass(frozen=True)
class Watched:
    """Models that a bank watches by, as they are when a month begins.

    name: of the watch, which its folder has. models: by SCORES, WARNING, CHALLENGER.
    """

    name: str
    models: Mapping[str, CardModel]

    @classmethod
    def of(cls, node: Node, said: str, rules: WatchRules) -> "Watched":
        """The model that is meant and those that the bank's file names beside it.

        A champion is watched under the name of its study, whatever version it is; another model under its id.
        ConfigError where one is not there or not deployed, or is named twice.
        """
        card, deployed_as = _model(node, said, "")
        models = {SCORES: card}
        for of, other in ((WARNING, rules.warning), (CHALLENGER, rules.challenger)):
            if other is not None:
                models[of], _ = _model(node, other, f"watch.{of}: ")
        ids = [one.part.model for one in models.values()]
        if len(set(ids)) < len(ids):
            raise ConfigError(
                "watch.warning and watch.challenger are models beside the watched one, and each other; one of them is "
                "named twice"
            )
        return cls(card.part.name if deployed_as == "champion" else card.part.model, models)


def _model(node: Node, said: str, key: str) -> tuple[CardModel, str]:
    try:
        return meant(node, ScoreRequest(ids=("x",), model=said))
    except ServiceError as error:
        raise ConfigError(f"{key}{error} See fedrisk model list {node.institution.file}") from None


class MonthWork:
    """The work of one month that is not kept yet."""

    def __init__(self, kept: Kept, month: Month) -> None:
        self._kept, self._month = kept, month
        self.path = kept.folder / "work" / str(month)

    def begin(self, institution: Institution, rules: WatchRules, watched: Watched) -> dict[str, Any]:
        """Write down which loans and models the month is of; what was written down before stays."""
        file = self.path / BEGUN
        if not file.is_file():
            private_folder(self.path)
            kept = reversed(self._kept.months()[-YEAR:])
            before = (self._kept.read_month(m, ["id"])["id"].to_pylist() for m in kept)
            counts = write_active(institution, rules, self._list, before)
            models = {of: card.part.model for of, card in watched.models.items()}
            said = {"models": models, "loans": counts.to_dict()}
            write_atomic(file, json.dumps(said, sort_keys=True).encode())
        return read_json(file, _REMEDY)

    def score(
        self,
        node: Node,
        model: str,
        of: str,
        rules: WatchRules,
        relay: Relay | None,
        *,
        more: int = 0,
        patience: float = PATIENCE,
    ) -> Path:
        """Scores of all loans of the month by one model; errors are those of `batch.run`.

        more: models that are asked about the same loans after it.
        """
        to = self.path / f"{of}.parquet"
        if to.is_file():
            return to
        card = self._begun_by(node, model)
        file = ListFile(self._list, ID, None if rules.consent is None else CONSENT)
        found = counted(file)
        order = Order(
            bank=node.name,
            model=model,
            file=file,
            counted=found,
            after=None if rules.several_days else more * found.rows,
            purpose=rules.purpose or "",
            bins=tuple(f.column for f in card.features) if of == SCORES else (),
        )
        with BatchFolder(to).opened(order.to_dict()) as folder:
            run_at(node, order, folder, relay, patience=patience)
        return to

    def _begun_by(self, node: Node, model: str) -> CardModel:
        try:
            card, _ = _model(node, model, "")
        except ConfigError as error:
            raise ConfigError(
                f"{self._month} was begun with model {model}, which answers no more ({error}). Deploy it until "
                f"the month is done, or remove {self.path}: the month is then begun anew, and members count it again"
            ) from None
        return card

    @property
    def _list(self) -> Path:
        return self.path / "list.parquet"


def keep(kept: Kept, month: Month, of: str, file: Path, card: CardModel, more: Mapping[str, Any]) -> None:
    """Keep one model's scores of a month, its bins and counts of own columns before them. more: said of the month."""
    table = pq.read_table(file)
    bins = [name for name in table.column_names if name.startswith(BIN)]
    if bins:
        codes = table.select(["id", *bins]).rename_columns(["id", *(name[len(BIN) :] for name in bins)])
        kept.write_bins(month, codes)
        kept.write_own_columns(month, own_columns(codes, card))
    table = table.drop_columns(bins)
    codes_of = Counter(code for code in table["code"].to_pylist() if code)
    about = {
        "model": card.part.model,
        "name": card.part.name,
        "version": card.part.version,
        "rows": len(table),
        "scored": len(table) - codes_of.total(),
        "codes": dict(codes_of.most_common()),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }
    kept.write_month(month, table, about, of)


def own_columns(codes: pa.Table, card: CardModel) -> dict[str, Any]:
    """Loans by bin of each own column of a card, beside the shares that its study released (`Kept.own_columns`)."""
    shares = {
        (said["column"], said["kind"]): list(share)
        for said, share in zip(card.part.bins, card.part.shares, strict=False)
    }
    out = {}
    for b in card.bins:
        if b.feature.column not in codes.column_names:
            continue
        places = codes[b.feature.column].to_numpy()
        counts = np.bincount(places[places >= 0], minlength=b.size)
        out[b.feature.column] = {
            "bins": b.to_dict(),
            "counts": counts.tolist(),
            "shares": shares.get((b.feature.column, b.feature.kind), []),
        }
    return out


def moved_loans(kept: Kept, month: Month, ids: Sequence[str]) -> dict[str, int]:
    """How many loans are new against the month before it that is kept, and how many of that one are gone."""
    earlier = [m for m in kept.months() if m < month]
    if not earlier:
        return {"new": len(ids), "gone": 0}
    before, now = set(kept.read_month(earlier[-1], ["id"])["id"].to_pylist()), set(ids)
    return {"new": len(now - before), "gone": len(before - now)}
