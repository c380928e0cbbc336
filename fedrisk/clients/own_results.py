"""What an institution keeps for itself of its studies, read back: scores, reasons, own models and figures.

It reads the institution's own store and nothing of anybody else; nothing of it leaves. Of every attempt there is an
entry, also of one that left nothing. Scores that could not be written are made from what the attempt kept.
"""

import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedrisk.attempt_id import meant, short
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import FIGURES, POINTS, SCORES, rows_of_scores
from fedrisk.clients.node import Node
from fedrisk.clients.store.attempt_store import AttemptStore, Begun, Since
from fedrisk.errors import ConfigError, DataError, FedriskError, StoreError
from fedrisk.files import PUT_BACK, read_json, write_atomic
from fedrisk.models.scorecard import EXTERNAL, Scorecard
from fedrisk.models.warning_point import WarningPoint
from fedrisk.recipe import Recipe
from fedrisk.study_members import BANK

MODELS = ("recalibrated", "alone", "local", "personal", "champion", "best")
"""Models whose probabilities may stand beside the shared one's."""

OWN_MODELS = "own_models"
"""What an institution's log of errors calls the making of scores and own models after a study."""

REASONS = 4
"""Most reasons of a customer that are exported."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One attempt at a study, at an institution.

    when: it began. rows: scored, None where no scores are there. models: own ones whose probabilities are there.
    failed: what could not be made, by name with its code. owed: whether scores or own figures are missing that can be
    made from what the attempt kept.
    """

    attempt: str
    study: str
    recipe: str
    research: bool
    when: str
    rows: int | None
    models: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    owed: bool = False
    held_from: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def entries(node: Node) -> list[Entry]:
    """All attempts that the institution took part in or keeps results of, the newest last."""
    store = node.store.path
    names = {file.parent.name for file in (store / "attempts").glob("*/Begun.json")}
    names |= {folder.name for folder in (store / "results").glob("*") if folder.is_dir()}
    return sorted((entry_of(node, name) for name in names), key=lambda e: (e.when, e.attempt))


def entry_of(node: Node, attempt: str) -> Entry:
    """The entry of one attempt."""
    folder = node.store.path / "results" / attempt
    state = AttemptStore(node.store.path / "attempts" / attempt)
    study, begun = _study(state)
    columns = _columns(folder / SCORES)
    return Entry(
        attempt=attempt,
        study=str(study.get("name", "")),
        recipe=str(study.get("recipe", "scorecard" if study else "")),
        research=begun is not None and begun.research_seed is not None,
        when=_when(state, folder),
        rows=rows_of_scores(folder / SCORES),
        models=tuple(m for m in MODELS if f"{m}_probability" in columns),
        failed={name: str(why.get("code", "")) for name, why in _absent(folder).items()},
        owed=_owed(state),
        held_from=str((study.get("holdout") or {}).get("from_date") or ""),
    )


def find(node: Node, attempt: str | None) -> Entry:
    """The attempt of that id, or the one that begins so; without an id the last one with scores. ConfigError."""
    every = entries(node)
    if attempt is None:
        fits = [e for e in every if e.rows is not None or (_folder(node, e) / FIGURES).exists()][-1:]
        what = "no study"
    else:
        fitting = meant(attempt, (e.attempt for e in every))
        fits = [e for e in every if e.attempt in fitting]
        what = "nothing of that attempt" if not fits else "several attempts that begin so"
    if len(fits) == 1:
        return fits[0]
    raise ConfigError(
        f"{node.name} keeps figures of {what}; they are there once a study has ended, and `fedrisk results FILE` lists "
        "all attempts"
    )


def figures(node: Node, entry: Entry) -> dict[str, Any]:
    """The bank's own figures of an attempt, none where there is no file; StoreError where it is damaged."""
    file = _folder(node, entry) / FIGURES
    return read_json(file, PUT_BACK) if file.exists() else {}


def scores(node: Node, entry: Entry) -> pd.DataFrame:
    """The scores of an attempt, a row for each customer; ConfigError where there are none.

    Columns: ``id``; ``score``, ``own_points``, ``external_points`` (scorecards); ``probability`` of the shared model;
    ``split``; ``reasons``; ``MODEL_probability`` of the bank's own models that are there; ``notice`` of a research run.
    """
    file = _folder(node, entry) / SCORES
    try:
        return pd.read_parquet(file)
    except (OSError, ValueError):
        raise ConfigError(
            f"{node.name} has no scores of attempt {entry.attempt} ({file}); {_remedy(node, entry)}"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Said:
    """In which words reasons are told. language: of the meanings of columns, where the dictionary has it.

    external: the meaning of EXTERNAL, which is in no dictionary.
    """

    language: str = "en"
    external: str = "what the data holders know of it, all together"


IN_ENGLISH = Said()


def with_reasons(node: Node, entry: Entry, said: Said = IN_ENGLISH) -> pd.DataFrame:
    """The scores with up to REASONS reasons of each customer: ``reason_K``, ``reason_K_points``, ``reason_K_meaning``.

    A reason is a column of the bank in which the customer has fewer points than the average enterprise, those furthest
    below first; ``external data`` is all that others know. Its points are how many fewer, below 0; its meaning is the
    one in the bank's dictionary. Scores of a network have no reasons.
    """
    table = scores(node, entry)
    short = _shortfalls(node, entry, table, said)
    if short is None:
        return table
    names, meanings, less = short
    order = np.argsort(less, axis=1, kind="stable")[:, :REASONS]
    rows = np.arange(len(table))
    for k in range(min(REASONS, len(names))):
        place = order[:, k]
        points = less[rows, place]
        there = points < -1e-9
        table[f"reason_{k + 1}"] = np.where(there, names[place], "")
        table[f"reason_{k + 1}_points"] = np.where(there, np.round(points, 1), np.nan)
        table[f"reason_{k + 1}_meaning"] = np.where(there, meanings[place], "")
    return table


def reason_counts(
    node: Node, entry: Entry, said: Said = IN_ENGLISH, table: pd.DataFrame | None = None
) -> list[dict[str, Any]]:
    """How often each column is a customer's first reason and how many points it costs on the mean; most often first.

    table: the scores, where they were read already.
    """
    table = scores(node, entry) if table is None else table
    short = _shortfalls(node, entry, table, said)
    if short is None:
        return []
    names, meanings, less = short
    first = np.where(less.min(1) < -1e-9, less.argmin(1), -1)
    found = [
        {
            "column": str(names[k]),
            "meaning": str(meanings[k]),
            "first": int((first == k).sum()),
            "below_average": int((less[:, k] < -1e-9).sum()),
            "mean_points": float(less[:, k][less[:, k] < -1e-9].mean())
            if (less[:, k] < -1e-9).any()
            else 0.0,
        }
        for k in range(len(names))
    ]
    return sorted(found, key=lambda row: -row["first"])


def summary(node: Node, entry: Entry) -> dict[str, Any]:
    """Scores of an attempt in figures: number, by split, and quantiles of score and probability."""
    table = scores(node, entry)
    out: dict[str, Any] = {
        "rows": len(table),
        "split": {str(k): int(v) for k, v in table["split"].value_counts().items()},
    }
    for column in ("score", *(c for c in table.columns if c.endswith("probability"))):
        if column in table and len(table):
            levels = table[column].quantile([0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0])
            out[column] = {"mean": float(table[column].mean()), "quantiles": [float(v) for v in levels]}
    return out


def export(
    node: Node,
    entry: Entry,
    to: Path,
    columns: Sequence[str] = (),
    *,
    again: bool = False,
    said: Said = IN_ENGLISH,
) -> tuple[int, tuple[str, ...]]:
    """Write the scores with their reasons to a CSV or Parquet file, for its owner only; rows and columns written.

    columns: which of them, in that order; all by default. ConfigError for another kind of file, a column that is not
    there, or a file that is (``again`` overwrites it); StoreError where it cannot be written.
    """
    kind = to.suffix.lower()
    if kind not in (".csv", ".parquet"):
        raise ConfigError(f"--to {to}: scores are exported as .csv or .parquet; name a file that ends so")
    if to.exists() and not again:
        raise ConfigError(f"{to} exists; name another file, or say --again to overwrite it")
    table = with_reasons(node, entry, said)
    missing = [c for c in columns if c not in table]
    if missing:
        raise ConfigError(
            f"there is no column {', '.join(missing)} in the scores; there are {', '.join(table.columns)}"
        )
    if columns:
        table = table[list(columns)]
    content = table.to_parquet(index=False) if kind == ".parquet" else table.to_csv(index=False).encode()
    write_atomic(to, content)
    return len(table), tuple(str(c) for c in table.columns)


def fetch(node: Node, attempt: str, recipe: Recipe) -> Entry:
    """Make scores, own models and figures from what an attempt kept, at no release and no charge, and read them back.

    Once the attempt is over, messages of other studies are served meanwhile: how long it takes hangs on single labels,
    and no answer may wait for it.

    Errors: ConfigError where nothing is owed, DataError where the table changed since, StoreError where they cannot be
    written.
    """
    node = node.opened()
    with node.store.own_work():
        trial = Attempt(node, node.store.attempt(attempt))
        if recipe.fetch is None or trial.state.owed is None:
            raise ConfigError(
                f"attempt {attempt} at {node.name} keeps nothing from which results could be made: it has its results, "
                "or ended before scores were there"
            )
        try:
            with contextlib.nullcontext() if trial.state.over else node.store.one_at_a_time():
                keep = recipe.fetch(trial)
            with node.store.one_at_a_time():
                keep()
        except DataError as error:
            told = DataError(
                f"{error}. Scores are made from the table as it was in the study: put that back, and fetch again"
            )
            _log(node, attempt, told)
            raise told from None
        except Exception as error:
            _log(node, attempt, error)
            raise
    return entry_of(node, attempt)


def _log(node: Node, attempt: str, error: Exception) -> None:
    """Keep why nothing was made: a node's process of its own (clients/own_work) has no screen to say it on."""
    with contextlib.suppress(Exception):
        node.store.errors.add(attempt, OWN_MODELS, error)


def recipe_name(node: Node, attempt: str) -> str:
    """Name of the recipe of an attempt's study; ProtocolError where it never began here."""
    content = node.store.attempt(attempt).load(Begun).study
    return str(content.get("recipe", "scorecard"))


def card_of(node: Node, entry: Entry) -> Scorecard | None:
    """The card by which the bank's customers were scored; None where there is none, or it cannot be read."""
    try:
        return Scorecard.from_json((_folder(node, entry) / "scorecard.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, FedriskError):
        return None


def points_of(node: Node, entry: Entry, table: pd.DataFrame) -> pd.DataFrame | None:
    """Points of each of the bank's columns, ``points:COLUMN``, row by row as ``table``; None where there are none."""
    try:
        points = pd.read_parquet(_folder(node, entry) / POINTS)
    except (OSError, ValueError):
        return None
    if len(points) != len(table) or (points["id"].to_numpy() != table["id"].to_numpy()).any():
        return None
    return points


def _shortfalls(node: Node, entry: Entry, table: pd.DataFrame, said: Said) -> tuple[Any, Any, Any] | None:
    """Names and meanings of reasons, and points below the average, (n, m); None where points are not kept by column."""
    card, points = card_of(node, entry), points_of(node, entry, table)
    if card is None or points is None:
        return None
    means = meanings(node, said.language)
    names, texts, less = [], [], []
    mine = card.features_of(BANK)
    for j in mine:
        column = card.bins[j].feature.column
        if f"points:{column}" not in points:
            continue
        names.append(column)
        # A pair means what its two columns do, together.
        parts = card.bins[j].feature.bins or () if card.bins[j].feature.kind == "pair" else (column,)
        texts.append(" x ".join(filter(None, (means.get(str(c), "") for c in parts))))
        less.append(points[f"points:{column}"].to_numpy(float) - card.averages[j])
    if "external_points" in table:
        others = sum(a for j, a in enumerate(card.averages) if j not in mine)
        names.append(EXTERNAL)
        texts.append(said.external)
        less.append(table["external_points"].to_numpy(float) - others)
    if not names:
        return None
    return np.array(names, object), np.array(texts, object), np.stack(less, 1)


def meanings(node: Node, language: str) -> dict[str, str]:
    """What the bank's columns mean, in a language where the dictionary has it."""
    dictionary = node.institution.described()
    return {} if dictionary is None else {c.name: c.meaning_in(language) for c in dictionary.columns}


def _folder(node: Node, entry: Entry) -> Path:
    return node.store.path / "results" / entry.attempt


def _remedy(node: Node, entry: Entry) -> str:
    """What to do where the scores of an attempt are not there."""
    if entry.owed:
        file, name = shlex.quote(str(node.institution.file)), short(entry.attempt)
        return f"make them from what the attempt kept, at no charge: fedrisk results {file} fetch {name}"
    if _folder(node, entry).exists():
        return "put the file back from a copy of the store"
    return "the study ended here before there were any; what was charged until then stays charged"


def _when(state: AttemptStore, folder: Path) -> str:
    """When an attempt began; by the times of its files where an earlier version kept no other."""
    try:
        since = state.find(Since)
    except StoreError:
        since = None
    if since is not None:
        return since.time
    marks = [f for f in (state.folder / "Begun.json", folder / SCORES, folder / FIGURES) if f.exists()]
    when = marks[0].stat().st_mtime if marks else 0.0
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def study_of(node: Node, entry: Entry) -> dict[str, Any]:
    """The study of an attempt as it was described here; nothing where the attempt's state is gone or damaged."""
    return _study(AttemptStore(node.store.path / "attempts" / entry.attempt))[0]


def warning_of(node: Node, entry: Entry) -> WarningPoint | None:
    """At which scores the attempt's model warns, as its part in the store says; None where it has no threshold."""
    for part in node.store.models.parts():
        if part.attempt == entry.attempt and not part.edited:
            return part.warning
    return None


def label_named(node: Node, entry: Entry) -> str | None:
    """Name of the label that an attempt's study is about; None for the one called default, or where it is gone."""
    name = study_of(node, entry).get("label")
    return None if name is None else str(name)


def in_study(node: Node, entry: Entry) -> Node:
    """The node with the label alone that an attempt's study is about; as it is where that label is gone since."""
    try:
        return node.about(study_of(node, entry).get("label"))
    except ConfigError:
        return node


def _study(state: AttemptStore) -> tuple[dict[str, Any], Begun | None]:
    """Content of the attempt's study; nothing where its state is gone or damaged."""
    try:
        begun = state.find(Begun)
    except StoreError:
        begun = None
    return ({}, None) if begun is None else (begun.study, begun)


def _owed(state: AttemptStore) -> bool:
    try:
        return state.owed is not None
    except StoreError:
        return False


def _columns(file: Path) -> list[str]:
    import pyarrow.parquet as pq

    try:
        return list(pq.read_schema(file).names)
    except (OSError, ValueError):
        return []


def _absent(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads((folder / FIGURES).read_text(encoding="utf-8")).get("absent", {})
        return {str(k): dict(v) for k, v in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
