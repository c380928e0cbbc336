"""All rows of a prepared study in one table in the clear, on the split that the study drew: for baselines."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fedrisk.data.features import Feature, features_of
from fedrisk.data.table import Table
from fedrisk.errors import DataError
from fedrisk.institution import load_institution
from fedrisk.lab.data_set import Prepared
from fedrisk.lab.split import Split
from fedrisk.study_file import load_study
from fedrisk.study_members import BANK

SPLITS = ("training", "holdout")


def pooled(prepared: Prepared, scores: Mapping[str, pd.DataFrame]) -> Split:
    """The rows that a study trained on or held out, with the columns of all institutions.

    scores: of each bank its ``scores.parquet``, with columns ``id`` and ``split``; rows that the study used for
    nothing, or that have no label, are left out. Columns of the frame are called as features are, ``bank.debt`` or
    ``tax_office.sales``; a holder's are missing where it does not know an enterprise. Rows stand bank by bank in the
    study's order, each bank's by id.

    DataError where a bank's scores are missing, or are of other rows than the data set's.
    """
    study = load_study(prepared.study)
    institutions = {name: load_institution(file) for name, file in prepared.institutions.items()}
    tables = {name: institution.read() for name, institution in institutions.items()}
    parts = [_bank(name, tables[name], scores.get(name)) for name in study.banks]
    rows = pd.concat(parts, ignore_index=True)
    frames, features = [], list[Feature]()
    for role in study.roles:
        member = study.banks[0] if role == BANK else role
        dictionary = institutions[member].dictionary
        own = [] if dictionary is None else list(features_of(dictionary, role))
        columns = [f.column for f in own]
        if role == BANK:
            values = rows[columns]
        else:
            t = tables[role]
            values = t.frame[columns].set_axis(pd.Index(t.ids)).reindex(rows["@id"]).reset_index(drop=True)
        frames.append(values.set_axis([f.name for f in own], axis=1))
        features += own
    return Split(
        frame=pd.concat(frames, axis=1),
        label=rows["@label"].to_numpy(dtype=np.float64),
        training=(rows["@split"] == "training").to_numpy(dtype=bool),
        bank=rows["@bank"].to_numpy(dtype=str),
        features=tuple(features),
    )


def _bank(name: str, table: Table, scores: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of one bank that the study used: its columns, with ``@id``, ``@label``, ``@split`` and ``@bank``."""
    if scores is None or table.label is None:
        raise DataError(f"scores of {name} are missing; give every bank's scores.parquet")
    used = scores.loc[scores["split"].isin(SPLITS), ["id", "split"]]
    place = pd.Index(table.ids).get_indexer(pd.Index(used["id"]))
    if (place < 0).any():
        raise DataError(
            f"scores of {name} have rows that its table lacks; give those of a run on this prepared data set"
        )
    order = np.argsort(place)
    at = place[order]
    marks = {
        "@id": table.ids[at],
        "@label": table.label[at],
        "@split": used["split"].to_numpy()[order],
        "@bank": np.full(len(at), name),
    }
    return table.frame.iloc[at].reset_index(drop=True).assign(**marks)
