"""What a scorecard study leaves to serve with: each member's part of its model, from what the study told it already.

Nothing is released, charged or sent for it. A holder has a part once its scores are given, a bank once its own are
kept; all of them name the model alike, by the study, the attempt and the card by which rows were scored. Research runs,
which have no privacy, leave no model.
"""

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedrisk.analysis.card_sums import noise_variance
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.row_order import own_features
from fedrisk.errors import ConfigError, ProtocolError
from fedrisk.models.card_pairs import bin_shares
from fedrisk.models.edited_card import EditedCard
from fedrisk.models.given_points import most_values
from fedrisk.models.index_scale import IndexScale, index_scale
from fedrisk.models.model_part import FRESH_DAYS, GivenSum, ModelPart, ServedIndex, model_id
from fedrisk.models.readable import readable
from fedrisk.models.scorecard import Scorecard
from fedrisk.recipes.scorecard.edited import state_after
from fedrisk.recipes.scorecard.forms import CALIBRATION_BINS
from fedrisk.recipes.scorecard.prepared import (
    told_calibration,
    told_card,
    told_counts,
    told_released_calibration,
    told_source,
)
from fedrisk.recipes.scorecard.score_grid import given_points, grid_step, is_index, spans_of, sums_of
from fedrisk.recipes.scorecard.warning_node import keep_threshold, threshold
from fedrisk.serving import registry
from fedrisk.study_members import BANK

Floats = NDArray[np.float64]


def part_of(attempt: Attempt) -> ModelPart:
    """This member's part, as it follows from the totals that the attempt was told; made anew for every approval.

    ProtocolError where the study never came so far, or what was told does not follow.
    """
    _refuse_research(attempt)
    card, text = told_card(attempt), attempt.told("card").get("scorecard")
    calibrated = told_calibration(attempt) if attempt.role == BANK else None
    # A bank keeps the card as it is; how enterprises spread over bins is for what holders give.
    weights = () if attempt.role == BANK else told_counts(attempt)[2].weight
    part = _part(attempt, _Told(card, calibrated, weights, text))
    return part.model_copy(update={"warning": threshold(attempt)})


def edited_part_of(attempt: Attempt, edited: EditedCard) -> ModelPart:
    """This member's part of an edited card, once the card follows by its edits from what the attempt was told.

    A holder holds the card by which points are given against it, a bank the calibrated one as well.

    ConfigError where it does not, or where a holder of the study has no column on it any more; ProtocolError as of
    :func:`part_of`.
    """
    _refuse_research(attempt)
    wrong = edited.broken() if edited.history else ["nothing of it was edited"]
    if wrong or edited.attempt != attempt.state.id:
        raise ConfigError(f"the edited card is not taken: {'; '.join(wrong) or 'it is of another study'}")
    if is_index(attempt):
        raise ConfigError(
            "the scale of an index is of the scores that its study released, and an edited card has others; run a "
            "study without the columns that you took out"
        )
    source = told_source(attempt)
    told = source.calibration is not None
    state = state_after(source, edited.edits, (edited.first, edited.card if told else None))
    follows = state.first.same_as(edited.first) and (not told or state.card.same_as(edited.card))
    if not follows:
        raise ConfigError(
            "the edited card does not follow by its edits from what this institution was told in the study; it is not "
            "taken. Ask who edited it for the file as it was written"
        )
    gone = [
        h for h in attempt.study.holders if not any(b.feature.institution == h for b in edited.first.bins)
    ]
    if gone:
        raise ConfigError(
            f"{', '.join(gone)} has no column on the edited card, and a model that serves is of all holders of its "
            "study; run a study without it"
        )
    weights = [state.share(k, source.curves.weight) for k in range(len(state.features))]
    text = edited.to_json()
    digest = hashlib.sha256(text.encode()).hexdigest()
    part = _part(attempt, _Told(edited.first, edited.card, weights, text))
    return part.model_copy(update={"edited": digest})


class _Told(NamedTuple):
    """A card with what parts of it need.

    card: by which holders give points. calibrated: as banks read it. weights: enterprises by bin of all features
    without pairs. text: by which the model is named.
    """

    card: Scorecard
    calibrated: Scorecard | None
    weights: Sequence[Floats]
    text: str


def _refuse_research(attempt: Attempt) -> None:
    if attempt.research:
        raise ProtocolError(
            f"attempt {attempt.state.id} is a research run, which has no privacy; it leaves no model"
        )


def _part(attempt: Attempt, told: _Told) -> ModelPart:
    study, card = attempt.study, told.card
    common = ModelPart(
        model=model_id(study.digest(), attempt.state.id, told.text),
        kind="scorecard",
        name=study.name,
        version=1,
        made=datetime.now(UTC).date(),
        study=study.digest(),
        attempt=attempt.state.id,
        purpose=study.purpose,
        label=study.label,
        banks=study.banks,
        holders=study.holders,
        institution=attempt.name,
        role=attempt.role,
        fresh_days=study.serving.fresh_days or FRESH_DAYS,
        values=_values(attempt, card),
        index=_index(attempt, card),
    )
    if attempt.role == BANK:
        return common.model_copy(
            update={
                "card": card.to_json(),
                "calibrated": None if told.calibrated is None else told.calibrated.to_json(),
                "sums": _sums_at_bank(attempt, card),
                # Its own models take columns that the card does not.
                "computed": _computed(attempt, {f.column for f in own_features(attempt.plan.features, BANK)}),
            }
        )
    places, sums = card.features_of(attempt.role), _sums_given(attempt, told)
    most = max(sums, key=lambda s: len(set(s.values)))
    weight = bin_shares(card, told.weights)
    return ModelPart.model_validate(
        common.model_dump()
        | {
            "bins": [card.bins[j].to_dict() for j in places],
            "points": [card.points[j] for j in places],
            "given": (most.edges, most.values),
            "sums": [s.model_dump() for s in sums] if len(sums) > 1 else [],
            "readable": _readable(attempt, card),
            "shares": [(weight[j] / weight[j].sum()).tolist() for j in places],
            "encoders": _encoders(attempt, {card.bins[j].feature.column for j in places}),
            "computed": _computed(attempt, {card.bins[j].feature.column for j in places}),
        }
    )


def keep_part(attempt: Attempt, files: Mapping[str, bytes] | None = None) -> ModelPart | None:
    """Keep this member's part as a candidate, or approved where its policy says so; None of a research run.

    The same once more changes nothing. files: what the member keeps beside it.
    """
    if attempt.research:
        return None
    part = registry.candidate(attempt.node, part_of(attempt), files)
    # Totals may have come, and been confirmed, while the part was made.
    keep_threshold(attempt)
    return part


def _readable(attempt: Attempt, card: Scorecard) -> list[float]:
    """Of each of this holder's features, how well its bin is guessed from the sum of points that it is in."""
    found: dict[int, float] = {}
    for one in sums_of(attempt):
        places = one.places(card)
        found |= dict(zip(places, readable([card.points[j] for j in places]), strict=True))
    # Three digits: the same on machines that add up in another order.
    return [round(found[j], 3) for j in card.features_of(attempt.role)]


def _encoders(attempt: Attempt, columns: set[str]) -> dict[str, str]:
    """Digests of this holder's trained encoders that give some of these columns."""
    institution = attempt.node.institution
    used = [rule.name for rule in institution.encoders if columns & set(rule.columns)]
    trained = {name: institution.installed.load(name) for name in used}
    return {name: model.digest() for name, model in trained.items() if model is not None}


def _index(attempt: Attempt, card: Scorecard) -> ServedIndex | None:
    """What makes it an operating health index, where the study asks for one; the scale is for banks to work out."""
    if not is_index(attempt):
        return None
    moving = {f.name for f in attempt.plan.features if f.moving}
    bank = attempt.role == BANK
    mine = [
        b.feature
        for b in card.bins
        if b.feature.is_column and (bank or b.feature.institution == attempt.role)
    ]
    said = [(f.name in moving, f.name if bank else f.column) for f in mine]
    return ServedIndex(
        moving=tuple(name for moves, name in said if moves),
        still=tuple(name for moves, name in said if not moves),
        scale=_scale(attempt, card) if bank else None,
    )


def _scale(attempt: Attempt, card: Scorecard) -> IndexScale | None:
    """The index's scale by the calibration histogram, whose scores are those of the card that is not calibrated.

    None where its noise leaves no scale: such a model is not approved (serving/registry).
    """
    block = told_released_calibration(attempt).block(BANK)
    counts, variance = block.total.sum(axis=1), 2 * noise_variance(block)
    with contextlib.suppress(ConfigError):
        return index_scale(card.calibration_bins(CALIBRATION_BINS), counts, variance)
    return None


def _computed(attempt: Attempt, columns: set[str]) -> dict[str, str]:
    """Digests of the rules by which some of these columns are computed from this member's histories."""
    dictionary = attempt.node.institution.dictionary
    rules = {} if dictionary is None else dictionary.computed
    return {name: rule.digest for name, rule in rules.items() if name in columns}


def _values(attempt: Attempt, card: Scorecard) -> int | None:
    """Most different values of a sum of what holders give; None where there are none."""
    sums = sums_of(attempt)
    return max(
        (
            most_values(spans_of(card, one, near=is_index(attempt)).values(), grid_step(attempt, card, one))
            for one in sums
        ),
        default=None,
    )


def _sums_given(attempt: Attempt, told: _Told) -> list[GivenSum]:
    """What this holder gives for each of the sums."""
    card, out = told.card, []
    own = card.features_of(attempt.role)
    for one in sums_of(attempt):
        if attempt.role not in one.holders:
            out.append(GivenSum(name=one.name, values=(0,)))
            continue
        table = given_points(attempt, card, one, told.weights)
        features = tuple(own.index(j) for j in one.places(card, attempt.role))
        alone = one.holders == (attempt.role,)
        out.append(
            GivenSum(name=one.name, features=features, alone=alone, edges=table.edges, values=table.values)
        )
    return out


def _sums_at_bank(attempt: Attempt, card: Scorecard) -> tuple[GivenSum, ...]:
    """The sums that a bank is given, where they are several."""
    sums = sums_of(attempt)
    if len(sums) < 2:
        return ()
    return tuple(GivenSum(name=one.name, features=tuple(one.places(card))) for one in sums)
