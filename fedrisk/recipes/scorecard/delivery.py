"""Delivery: the bank opens its scores and keeps them; two noisy histograms of them leave.

The first is of training rows, by which the card is calibrated; the second is of the hold-out, by the calibrated card.

Whatever is fitted without noise (champion, the bank alone, recalibration) and every figure of it stays in the
bank's own store; only a research run, which has no privacy, lets figures out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedrisk.alignment.matching import HOLD_OUT, TRAINING
from fedrisk.clients import outlet
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import (
    POINTS,
    SCORES,
    Figures,
    HoldOut,
    OwnKept,
    evaluate,
    read_back,
    room_for,
    settle,
    split_of,
)
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import RowOrder, listed, rows_by_id, use_of
from fedrisk.clients.store.attempt_store import Owed
from fedrisk.errors import ProtocolError, StoreError
from fedrisk.metrics import auc
from fedrisk.models.card_pairs import with_pair_codes
from fedrisk.models.knowledge_file import to_bytes
from fedrisk.models.own_model import FILE, OwnModel
from fedrisk.models.scorecard import EXTERNAL, Scorecard
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard import matrices
from fedrisk.recipes.scorecard.evaluation_bins import evaluation_edges
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.model_parts import keep_part
from fedrisk.recipes.scorecard.own_verdict import own_figures
from fedrisk.recipes.scorecard.prepared import keep_past, told_calibration, told_card
from fedrisk.recipes.scorecard.score_grid import sums_of
from fedrisk.recipes.scorecard.scoring import partial_context
from fedrisk.recipes.scorecard.told_knowledge import known_of
from fedrisk.releases.release import Block, Release
from fedrisk.secure.envelope import open_sealed
from fedrisk.secure.ring import to_signed
from fedrisk.study import NO_PRIVACY
from fedrisk.study_members import BANK

if TYPE_CHECKING:
    from fedrisk.recipes.scorecard.own_models import OwnModels

LEAST_CLASS = 10
"""Fewest defaults, and fewest others, on which a bank fits models of its own."""

TRIED_ROWS = 200
"""Customers on whom own models are tried as they were kept."""

SAME = 1e-12
"""Most that a probability may be another one then: sums over one row are rounded otherwise than over many."""


@dataclass(frozen=True)
class Scored:
    """A bank's customers with their scores, in the order of its table's ids so that models do not depend on chance.

    ids, codes (own bins), own (own points), external (holders' points or None), total (score), label (NaN where a
    customer has none), use: (n, ...).
    inputs: raw columns. by_theme: external by theme, (n, sums), where there are several; each rounded by itself.
    """

    ids: NDArray[Any]
    inputs: pd.DataFrame
    codes: NDArray[Any]
    own: NDArray[np.int64]
    external: NDArray[np.int64] | None
    total: NDArray[np.int64]
    label: NDArray[np.float64]
    use: NDArray[np.uint8]
    by_theme: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)


def calibration(node: Node, request: Payload) -> Payload:
    """Sealed partial scores (kept) -> noisy histogram of the scores of training rows, by label (out)."""
    attempt = node.attempt(request)
    request.only(attempt.study.holders)
    card = told_card(attempt)
    # Before anything is paid: what does not open, or has another size, refuses the exchange.
    external = _external(attempt, request, len(listed(attempt, attempt.name)))
    if external is not None:
        attempt.state.put("external", external)
    keep_past(attempt)
    release = attempt.plan.release("calibration")

    def part(block: Block, noise: outlet.Noise) -> NDArray[np.int64]:
        return noise.add(block, _calibration_counts(attempt, card, release))

    return outlet.release(attempt, release, request, part)


def _calibration_counts(attempt: Attempt, card: Scorecard, release: Release) -> NDArray[np.int64]:
    """(score bins, 2) label counts of the bank's training rows, in ring units; bins rise in the score."""
    edges = card.calibration_bins(CALIBRATION_BINS)
    table, (rows, total) = attempt.read(), _totals(attempt, card)
    training = use_of(attempt, attempt.name) == TRAINING
    weight = None if table.weight is None else table.weight[rows][training]
    label = _label(attempt)[rows][training]
    labels = matrices.label_matrix(label, weight, release.scale_bits, binary=False)
    place = np.searchsorted(edges, total[training], side="right")
    counts = np.zeros((CALIBRATION_BINS, 2), np.int64)
    np.add.at(counts, place, labels)
    return counts


def deliver(node: Node, request: Payload) -> Payload:
    """The calibrated card -> the bank's scores and models (kept), evaluation histogram (out)."""
    attempt = node.attempt(request)
    card = told_calibration(attempt)
    edges = evaluation_edges(attempt.study, card)
    scored = cache(lambda: scored_by(attempt, card))
    frame = cache(lambda: _frame(attempt, card, scored()))

    def held() -> HoldOut:
        # Only rows with a label: the others are in no cell, and whether one is there shows in the noisy counts alone.
        part = (scored().use == HOLD_OUT) & ~np.isnan(scored().label)
        total = scored().total[part]
        return HoldOut(
            label=scored().label[part],
            bins=card.risk_bins(total, edges),
            exact=total,
            probability=card.probability(total),
            rows=rows_by_id(attempt)[part],
        )

    return evaluate(
        attempt,
        request,
        "deliver",
        held,
        lambda: keep_scores(attempt, card, frame()),
        lambda: owed(attempt),
        lambda: _own_at_once(attempt, card, scored(), frame()),
    )


def _own_at_once(attempt: Attempt, card: Scorecard, scored: Scored, frame: pd.DataFrame) -> Figures:
    """The bank's own models fitted and kept within the exchange, for research runs, which let their figures out."""
    own = own_fit(attempt, card, scored)
    out = own.beside(frame)
    own.kept.tried("scores_of_models", lambda: keep_scores(attempt, card, out))
    return keep_own(attempt, card, scored, out, own)


def owed(attempt: Attempt) -> None:
    """Note at a bank, before anything is paid, what its scores will be made from, and keep room for them on the disk.

    Once what the holders sent has opened (or, without holders, once the card is known), they can be made.
    """
    if attempt.role != BANK:
        return
    name = attempt.name
    after = "external.npy" if attempt.study.holders else "told_card.message"
    arrays = ("codes", "themes", "external", f"rows_{name}", f"use_{name}")
    # The secret order of rows opens nothing that others sent.
    made_from = Owed(after=after, arrays=arrays, secrets=("rows",))
    attempt.state.keep_until_settled(made_from, room_for(len(attempt.read())))


def fetch(attempt: Attempt) -> Callable[[], None]:
    """Make a bank's scores and own models from what the attempt kept, at no release and no charge; what writes them.

    By the calibrated card, or by the card as it was before where the study ended earlier. Errors: ProtocolError where
    the attempt never came that far, DataError where the table changed since.
    """
    card = told_calibration(attempt) if attempt.was_told("calibration") else told_card(attempt)
    scored = scored_by(attempt, card)
    own = own_fit(attempt, card, scored)
    frame = own.beside(_frame(attempt, card, scored))

    def keep() -> None:
        keep_scores(attempt, card, frame)
        keep_own(attempt, card, scored, frame, own)

    return keep


def _label(attempt: Attempt) -> NDArray[np.float64]:
    """Labels of the bank's table, (rows,)."""
    label = attempt.read().label
    if label is None:
        raise ProtocolError(f"{attempt.name} is a bank and has no label; name it in [dictionary.label]")
    return label


def _totals(attempt: Attempt, card: Scorecard) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the bank's list, and the scores by a card that is not calibrated yet, (n,) each."""
    rows = listed(attempt, attempt.name)
    codes = with_pair_codes(card, BANK, attempt.state.get("codes")[rows])
    total = card.base_points + _own_points(card, codes)
    return rows, total if not attempt.study.holders else total + attempt.state.get("external")


def _own_points(card: Scorecard, codes: NDArray[Any]) -> NDArray[np.int64]:
    """Points of the bank's own columns, (n,)."""
    if not codes.shape[1]:
        return np.zeros(len(codes), np.int64)
    return card.institution_points(BANK, list(codes.T))


def scored_by(attempt: Attempt, card: Scorecard) -> Scored:
    """The bank's customers scored by a card, once the holders' points are there."""
    table, dictionary = attempt.read(), attempt.node.institution.dictionary
    if dictionary is None:
        raise ProtocolError(f"{attempt.name} has no dictionary; run the study again")
    order = attempt.by_id(listed(attempt, attempt.name))
    external = None
    if attempt.study.holders:
        external = card.given_points(attempt.state.get("external"))
    by_theme = _by_theme(attempt, card, order)
    rows = rows_by_id(attempt)
    codes = with_pair_codes(card, BANK, attempt.state.get("codes")[rows])
    own = _own_points(card, codes)
    columns = [c.name for c in dictionary.columns if c.feature and c.kind != "date"]
    return Scored(
        ids=table.ids[rows],
        inputs=table.frame.iloc[rows][columns].reset_index(drop=True),
        codes=codes,
        own=own,
        external=None if external is None else external[order],
        total=own + card.base_points + (0 if external is None else external[order]),
        label=_label(attempt)[rows],
        use=use_of(attempt, attempt.name)[order],
        by_theme=by_theme,
    )


def _by_theme(attempt: Attempt, card: Scorecard, order: NDArray[Any]) -> dict[str, NDArray[np.int64]]:
    """The holders' points by sum, (n,) each, on the scale of the card; empty where there is one sum."""
    sums = sums_of(attempt)
    if len(sums) < 2:
        return {}
    given = card.given_points(attempt.state.get("themes")[:, order])
    return dict(zip((s.name for s in sums), given, strict=True))


def _external(attempt: Attempt, request: Payload, rows: int) -> NDArray[np.int64] | None:
    """Sum of the holders' points for each place of the list; None in a study without holders.

    Where it comes in several sums, by theme, these are kept: (sums, rows).
    """
    holders = attempt.study.holders
    if not holders:
        return None
    total = np.zeros((len(sums_of(attempt)), rows), np.uint32)
    for name in holders:
        context = partial_context(attempt, name, attempt.name)
        blocks = list(open_sealed(attempt.key, attempt.peers[name], context, request.raw(name)))
        if [len(block) for block in blocks] != [4 * rows] * len(total):
            raise ProtocolError(
                "a holder scored another number of rows or themes than the list has; run the study again"
            )
        total += np.stack([np.frombuffer(block, np.uint32) for block in blocks])
    given = to_signed(total).astype(np.int64)
    if len(given) > 1:
        attempt.state.put("themes", given)
    return np.asarray(given.sum(0))


def keep_scores(attempt: Attempt, card: Scorecard, frame: pd.DataFrame) -> None:
    """Write what the study is for to the bank's store, and read it back: scores, reasons and the card."""
    put = partial(attempt.node.store.put_result, attempt.state.id)
    put("scorecard.json", card.to_json().encode())
    known = known_of(attempt)
    if known:
        put("knowledge.npz", to_bytes(known))
    put(SCORES, frame.to_parquet(index=False))
    read_back(attempt)


def _frame(attempt: Attempt, card: Scorecard, scored: Scored) -> pd.DataFrame:
    """The bank's scores, a row for each customer. The probability comes from released numbers."""
    out = pd.DataFrame(
        {
            "id": scored.ids,
            "score": scored.total,
            "probability": card.probability(scored.total),
            "own_points": scored.own,
            "split": split_of(scored.use, scored.label),
            "label": scored.label,
        }
    )
    if scored.external is not None:
        out["external_points"] = scored.external
    for theme, points in scored.by_theme.items():
        out[f"external_points:{theme}"] = points
    out["reasons"] = _reasons(card, scored)
    if attempt.research:
        out["notice"] = NO_PRIVACY
    return out


@dataclass
class OwnFit:
    """A bank's own models of its customers, before anything of them is written.

    kept: what could not be made. models: None where there are none. file: what serves them, None where it cannot.
    """

    kept: OwnKept
    models: "OwnModels | None" = None
    file: bytes | None = None

    def beside(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The bank's scores with the probabilities by its own models beside them."""
        made = {} if self.models is None else self.models.probability
        return frame.assign(**{f"{name}_probability": probability for name, probability in made.items()})


def own_fit(attempt: Attempt, card: Scorecard, scored: Scored) -> OwnFit:
    """Fit the bank's own models; what fails is named in ``kept``, and nothing is written."""
    own, fit = OwnFit(OwnKept(attempt)), _side(scored, TRAINING)
    if not _two_classes(scored.label[fit], LEAST_CLASS):
        own.kept.without("own_models", f"fewer than {LEAST_CLASS} defaults, or others, in training")
        return own
    own.models = models = own.kept.tried("own_models", lambda: _own(attempt, card, scored, fit, own.kept))
    if models is not None and models.probability:
        own.file = own.kept.tried("own_model", lambda: _own_file(card, scored, models))
    return own


def _side(scored: Scored, side: int) -> NDArray[np.bool_]:
    """Customers of one side whose label is whole, (n,)."""
    return np.asarray((scored.use == side) & np.isin(scored.label, (0.0, 1.0)))


def keep_own(attempt: Attempt, card: Scorecard, scored: Scored, out: pd.DataFrame, own: OwnFit) -> Figures:
    """Write points by column, the bank's own models and its own figures to its store; AUC of those models.

    out: the bank's scores with those of its own models, as they are written. What fails is named in the figures with
    its reason; the rest is there all the same.
    """
    put, kept = partial(attempt.node.store.put_result, attempt.state.id), own.kept
    kept.tried("points", lambda: put(POINTS, _points_by_column(card, scored).to_parquet(index=False)))
    if own.models is not None:
        told = {"best": own.models.best, "weights": own.models.weights, "absent": own.models.absent}
        kept.tried("own_models", lambda: put("own_models.json", json.dumps(told).encode()))
    test = _side(scored, HOLD_OUT)
    figures: Figures = dict.fromkeys(("bank_alone_auc", "bank_champion_auc", "scorecard_auc"))
    if _two_classes(scored.label[test], 1):
        figures |= kept.tried("figures", lambda: _areas(scored, out, test)) or {}
    content = own_figures(
        figures,
        scored.label,
        test,
        out,
        absent=kept.absent,
        failed=lambda name, error: kept.failed(name, error, name),
    )
    if card.calibration is not None:
        # Before nothing is owed any more: what cannot be kept now can be fetched.
        keep_part(attempt, {} if own.file is None else {FILE: own.file})
    settle(attempt, content)
    return figures


def _areas(scored: Scored, out: pd.DataFrame, test: NDArray[np.bool_]) -> Figures:
    """AUC on the bank's hold-out, of the card and of the bank's own models that are there."""
    truth = scored.label[test]
    figures: Figures = {"scorecard_auc": auc(truth, -scored.total[test])}
    for name in ("alone", "champion", "personal", "best"):
        if f"{name}_probability" in out:
            figures[f"bank_{name}_auc"] = auc(truth, out[f"{name}_probability"].to_numpy()[test])
    return figures


def _points_by_column(card: Scorecard, scored: Scored) -> pd.DataFrame:
    """Points of each of the bank's columns for each customer, by id; ``points:COLUMN``."""
    out = {"id": scored.ids}
    for code, j in zip(scored.codes.T, card.features_of(BANK) if scored.codes.shape[1] else (), strict=True):
        out[f"points:{card.bins[j].feature.column}"] = np.asarray(card.points[j], np.int16)[code]
    return pd.DataFrame(out)


def _own(
    attempt: Attempt, card: Scorecard, scored: Scored, fit: NDArray[np.bool_], kept: OwnKept
) -> "OwnModels":
    """The bank's own models with their probabilities of all customers; which failed is kept."""
    # Banks alone need what fits them, only here, and it is slow to load.
    from fedrisk.recipes.scorecard.own_models import own_models

    return own_models(
        card,
        scored,
        fit,
        attempt.state.load(RowOrder).labelled,
        several=len(attempt.study.banks) > 1,
        failed=lambda name, error: kept.failed(name, error, f"own model {name}"),
    )


def _own_file(card: Scorecard, scored: Scored, models: "OwnModels") -> bytes:
    """The bank's own models as a file, once they say of its customers what they said; StoreError where they do not."""
    raw = models.kept(beside_holders=scored.external is not None, themes=tuple(scored.by_theme)).to_bytes()
    some = slice(0, TRIED_ROWS)
    external = None if scored.external is None else scored.external[some]
    columns = {str(c): scored.inputs[c].iloc[some] for c in scored.inputs}
    themes = {name: points[some] for name, points in scored.by_theme.items()}
    said = OwnModel.from_bytes(raw).probability(card, columns, list(scored.codes[some].T), external, themes)
    if any(np.abs(p - models.probability[name][some]).max(initial=0) > SAME for name, p in said.items()):
        raise StoreError("own models as they were kept say something else; they are left out of what serves")
    return raw


def _reasons(card: Scorecard, scored: Scored) -> list[str]:
    """What speaks most against each customer: own columns, and one item for all that is external."""
    if scored.codes.shape[1]:
        return [", ".join(r) for r in card.reasons(list(scored.codes.T), scored.external)]
    short = np.zeros(len(scored.own)) if scored.external is None else sum(card.averages) - scored.external
    return [EXTERNAL if s > 0 else "" for s in short]


def _two_classes(label: NDArray[np.float64], least: int) -> bool:
    return bool(min((label == 0).sum(), (label == 1).sum()) >= least)
