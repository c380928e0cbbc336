"""The order of rows of an attempt: which of the institution's rows belong to each list, and what each is used for.

A list is a trainer's customers in the order that the hub drew. Rows are named by their place in the institution's
secret order, -1 for an enterprise that it does not know.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, UNUSED
from fedrisk.clients import out_of_time
from fedrisk.clients.attempt import Attempt
from fedrisk.data.features import Feature
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.protocol.order import check_common, labelled_among, shares_of, uses_digest, wanted_rows
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import features_of_roles, trainer_rows
from fedrisk.recipe import MakePlan
from fedrisk.releases.plan import Plan
from fedrisk.study_members import BANK


@dataclass(frozen=True, kw_only=True)
class RowOrder:
    """Sizes that follow from the order.

    training, sampled: training rows of all lists, and those of the sample, as the hub counts them. labelled: about so
    many training rows have a label, by what members state. listed: length of
    each list on which the institution has rows. places: places of all these lists by population, those of enterprises
    that the institution does not know among them: the exact overlap is written down nowhere.
    """

    training: int
    sampled: int
    labelled: int
    listed: dict[str, int]
    places: dict[str, int]

    def rows(self, sampled: bool) -> int:
        """Training rows that a release is computed on."""
        return self.sampled if sampled else self.training


def take_order(attempt: Attempt, request: Payload, plan: MakePlan) -> RowOrder:
    """Check and keep the order of rows, and make the plan from the features and rows that all members state.

    Request: ``rows:LIST``, ``use:LIST`` and ``salt:LIST`` (and ``sample:LIST``) arrays for the lists on which the
    institution has rows, and no others. A second, different order is refused.
    """
    attempt.state.still_runs()
    again = attempt.begun("order")
    attempt.begin_once("order", request)
    if again and attempt.state.find(Plan) is not None:
        return attempt.state.load(RowOrder)
    table, told = attempt.read(), attempt.told("order")
    trainers, lists = set(attempt.study.trainers), {name.partition(":")[2] for name in request.blobs}
    if any(set(content) != trainers for content in told.body.values()) or lists != set(attempt.lists):
        raise ProtocolError("the order of rows is not about the lists of this study; run the study again")
    seen = np.zeros(len(table), bool)
    if attempt.name in trainers and told.get("labelled")[attempt.name] != labelled_rows(attempt):
        raise ProtocolError(
            f"the hub tells other numbers of labels than {attempt.name} has; nothing is released. Ask the consortium's "
            "operator"
        )
    for name in attempt.lists:
        _take_list(attempt, request, told, name, len(table), seen)
    order = RowOrder(
        training=sum(told.get("training").values()),
        sampled=sum(told.get("sampled").values()),
        labelled=sum(labelled_among(told.get("labelled"), told.get("training"), "training").values()),
        listed={name: len(listed(attempt, name)) for name in attempt.lists},
        places=_places(attempt),
    )
    study, stated = attempt.study, attempt.statements
    made = plan(study, features_of_roles(study, stated), trainer_rows(study, stated))
    _check_enough(attempt, made)
    _keep_split(attempt, table.ids)
    attempt.state.save(order)
    attempt.state.save(made)
    return order


def own_features(features: Sequence[Feature], role: str) -> list[Feature]:
    """The features of one role."""
    return [f for f in features if f.institution == role]


def listed(attempt: Attempt, name: str) -> NDArray[np.int64]:
    """The institution's row number for each place of a list; -1 for an enterprise that it does not know."""
    rows: NDArray[np.int64] = attempt.state.get(f"rows_{name}")
    return rows


def rows_by_id(attempt: Attempt) -> NDArray[np.int64]:
    """Row numbers of a trainer's own list, in the order of its table's ids."""
    rows = listed(attempt, attempt.name)
    return rows[attempt.by_id(rows)]


def use_of(attempt: Attempt, name: str) -> NDArray[np.uint8]:
    """What each place of a list is used for: training, hold-out or nothing."""
    use: NDArray[np.uint8] = attempt.state.get(f"use_{name}")
    return use


def training_rows(attempt: Attempt, name: str, *, sample: bool = False) -> NDArray[np.int64]:
    """The institution's row numbers of a list's training places; -1 for unknown enterprises.

    ``sample``: only those of the sample, where the order has one.
    """
    wanted = use_of(attempt, name) == TRAINING
    if sample and attempt.state.has(f"sample_{name}"):
        wanted &= attempt.state.get(f"sample_{name}") == 1
    training: NDArray[np.int64] = listed(attempt, name)[wanted]
    return training


def all_training_rows(attempt: Attempt) -> NDArray[np.int64]:
    """Training rows of all lists, one list after the other."""
    return np.concatenate([training_rows(attempt, name) for name in attempt.lists])


def labelled_rows(attempt: Attempt) -> dict[str, list[int]]:
    """How many of the own rows have a label on either side (protocol/order.Labelled); all, where none is needed."""
    study, table = attempt.study, attempt.read()
    there = table.labelled if _labels(attempt) else np.ones(len(table), bool)
    late = None
    if out_of_time.asked(study, attempt.name):
        late = out_of_time.held(study, attempt.node.institution.dictionary, table)
    if late is None:
        both = [int(there.sum()), len(table)]
        return {"training": both, "holdout": both}
    early = ~late
    return {
        "training": [int((there & early).sum()), int(early.sum())],
        "holdout": [int((there & late).sum()), int(late.sum())],
    }


def _labels(attempt: Attempt) -> bool:
    """Whether labels matter: at a bank, where it states how many there are."""
    return attempt.role == BANK and attempt.statements[attempt.name].labelled is not None


def teaching(attempt: Attempt, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the institution's row numbers may add to a sum over training rows, (n,).

    At a bank those with a label; elsewhere all: who has a label only the bank knows. The order of rows does not say
    it, since hub and holders read the order: a row without a label stands in it like any other, on the side that
    the draw gave it, and adds zeros. So a hub that names other training rows gets nothing of such a row, and a label
    that comes later changes a sum by one row's bound, as the row itself would, and no side, no size of a message and
    nothing else that others see.
    """
    known: NDArray[np.bool_] = rows >= 0
    table = attempt.read()
    return known & table.labelled[rows] if attempt.role == BANK else known


def _take_list(
    attempt: Attempt, request: Payload, told: Payload, name: str, size: int, seen: NDArray[np.bool_]
) -> None:
    rows, use = request.array(f"rows:{name}"), request.array(f"use:{name}")
    sample = request.array(f"sample:{name}") if f"sample:{name}" in request.blobs else None
    known = rows[rows >= 0]
    # A trainer knows everybody on its own list: -1 there would be its last row, over and over.
    own = name == attempt.name
    fits = len(rows) == len(use) == attempt.statements[name].rows and rows.max(initial=-1) < size
    if not fits or (own and len(known) < size) or np.bincount(known, minlength=1).max() > 1:
        raise ProtocolError(
            "the order of rows names rows that are not there, one twice, or not all; run the study again"
        )
    if sample is not None and (len(sample) != len(use) or (use[sample == 1] != TRAINING).any()):
        raise ProtocolError("the sample names rows that are not trained on; run the study again")
    training = int((use == TRAINING).sum())
    counts = {
        "training": training,
        "holdout": int((use == HOLD_OUT).sum()),
        "sampled": training if sample is None else int(sample.sum()),
    }
    digest = uses_digest(request.array(f"salt:{name}"), use, sample)
    if any(told.get(k).get(name) != n for k, n in counts.items()) or told.get("uses")[name] != digest:
        raise ProtocolError(
            f"what the rows on the list of {name} are used for is not what the hub tells all members; run the study "
            "again, and ask the consortium's operator"
        )
    used = rows[(use != UNUSED) & (rows >= 0)]
    if seen[used].any():
        raise ProtocolError(
            "the order of rows lets an enterprise contribute through two banks; run the study again"
        )
    seen[used] = True
    attempt.state.put(f"rows_{name}", rows)
    attempt.state.put(f"use_{name}", use)
    if sample is not None:
        attempt.state.put(f"sample_{name}", sample)


def _check_enough(attempt: Attempt, plan: Plan) -> None:
    """PolicyError where the hub's draw leaves too few rows: in a list's training or hold-out, or here.

    Too few is less than half of what a fair draw would leave of the policy's least rows (or of the list, where that is
    shorter) but once in a million times; of the share of enterprises that take part, which the study says, no less than
    LEAST_INCLUDED is taken. ProtocolError where the sample is not of the size that the study says.
    """
    study, told = attempt.study, attempt.told("order")
    least = attempt.node.institution.policy.least_rows
    shares, table, rows = shares_of(study), attempt.read(), all_training_rows(attempt)
    most = int(table.labelled.sum()) if _labels(attempt) else len(table)
    for what, part in shares.items():
        for name, there in told.get(what).items():
            listed_rows = attempt.statements[name].rows
            _enough(attempt, there, wanted_rows(least, part, listed_rows), f"rows of {name}: {what}")
    there = int((rows >= 0).sum())
    if _labels(attempt):
        # About so many, by what is public. Not counted: a hub that names rows would learn who of them has a label.
        drawn = {attempt.name: told.get("training")[attempt.name]}
        there = labelled_among(told.get("labelled"), drawn, "training")[attempt.name]
    _enough(attempt, there, wanted_rows(least, shares["training"], most), "own rows: training")
    _check_common(attempt)
    _check_sample(told, plan.sample_rows)


def _enough(attempt: Attempt, there: int, wanted: float, what: str) -> None:
    if there < wanted:
        least = attempt.node.institution.policy.least_rows
        raise PolicyError(
            f"{attempt.name}: too few {what} ({math.ceil(wanted)} are wanted, as policy.least_rows = {least}); let "
            "more enterprises take part, or change the policy"
        )


def _check_common(attempt: Attempt) -> None:
    """DataError at a holder that has too little in common with the lists; it alone and the hub see how much."""
    if attempt.name in attempt.study.trainers:
        return
    known = sum(int((listed(attempt, name) >= 0).sum()) for name in attempt.lists)
    places = sum(len(listed(attempt, name)) for name in attempt.lists)
    check_common(attempt.study, attempt.name, known, places, len(attempt.read()))


def _check_sample(told: Payload, sample_rows: int | None) -> None:
    """ProtocolError where the sample is not all training rows, or of each list in proportion as the plan says."""
    training, total = told.get("training"), sum(told.get("training").values())
    most = total if sample_rows is None else min(sample_rows, total)
    if any(told.get("sampled")[name] != math.ceil(n * most / total) for name, n in training.items()):
        raise ProtocolError("the sample of rows is not as large as the study says; run the study again")


def _places(attempt: Attempt) -> dict[str, int]:
    """Places of all lists by population, whether the institution knows the enterprise there or not."""
    use = np.concatenate([use_of(attempt, name) for name in attempt.lists])
    training, held = int((use == TRAINING).sum()), int((use == HOLD_OUT).sum())
    return {"training": training, "holdout": held, "all": training + held}


def _keep_split(attempt: Attempt, ids: NDArray[Any]) -> None:
    """Remember who was trained on and who held out, so that sides stay when the epoch's key is renewed."""
    if attempt.research:
        return
    side = np.full(len(ids), UNUSED, np.uint8)
    for name in attempt.lists:
        rows, use = listed(attempt, name), use_of(attempt, name)
        for value in (TRAINING, HOLD_OUT):
            side[rows[(use == value) & (rows >= 0)]] = value
    attempt.node.store.pseudonyms.keep_split(attempt.key_tag, ids[side != UNUSED], side[side != UNUSED])
