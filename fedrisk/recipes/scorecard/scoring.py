"""Scores: holders add up the points of their columns; the masked sum reaches the bank alone, or a few sums by theme.

Masks come from the holders' pair keys, so the bank opens the sum and no single part, and the hub nothing.
Where there are not two holders with several columns each behind a sum, a holder gives coarse bands instead of
points, unless its policy allows points; points are on a grid of a limited number of values. So a version of a score
tells a bank no more of an enterprise than the logarithm of that number in bits. Which sums there are, the study and the
holders' policies say (recipes/scorecard/themes). All holders mask all sums, also those in which none of their points
are: what a lone holder gives in a theme lies under masks of the others on its way. A score is an authorised output, not
a differentially private one.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from fedrisk.clients import outlet, row_check
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.evaluation import charge_evaluation
from fedrisk.clients.node import Node
from fedrisk.clients.row_order import listed
from fedrisk.errors import PolicyError, ProtocolError
from fedrisk.models.card_pairs import most_points, with_pair_codes
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.policy import Policy
from fedrisk.protocol.payload import Payload, pack, spends_in, unpack
from fedrisk.recipes.scorecard.model_parts import keep_part
from fedrisk.recipes.scorecard.prepared import keep_past, told_card
from fedrisk.recipes.scorecard.score_grid import given_points, sums_of
from fedrisk.recipes.scorecard.settings import ScorecardSettings
from fedrisk.recipes.scorecard.themes import ScoreSum
from fedrisk.secure.envelope import Context, seal
from fedrisk.secure.ring import from_signed
from fedrisk.study import Study


def score(node: Node, request: Payload) -> Payload:
    """The card -> for each bank, this holder's masked partial scores of the bank's whole list, sealed, sum by sum."""
    attempt = node.attempt(request)
    study = attempt.study
    node.institution.policy.check(study, institution=attempt.name, research=attempt.research)
    if not outlet.charged(attempt, "counts"):
        raise ProtocolError("scores were asked for before anything was released; run the study again")
    stored = attempt.state.message("score")
    if stored is not None:
        _leave_model(attempt)
        return unpack(stored)
    row_check.check_passed(attempt)
    partial, version = _partial(attempt, told_card(attempt))
    keep_past(attempt)
    check_versions(attempt, version)
    # Its records stand behind the scores by which the banks' training rows and hold-out are counted.
    charged = outlet.charge(attempt, attempt.plan.release("calibration"), request)
    further = spends_in(charge_evaluation(attempt, request))
    _keep_version(attempt, version)
    answers = {}
    for bank in study.banks:
        sums = from_signed(partial[:, listed(attempt, bank)], "uint32")
        if len(study.holders) > 1:
            sums = outlet.pair_masked(
                attempt, sums, study.holders, release="score", bank_list=bank, matrix="partial"
            )
        context = partial_context(attempt, attempt.name, bank)
        answers[bank] = seal(attempt.key, attempt.peers[bank], context, list(sums))
    answer = Payload({**charged.body, "further_spends": further}, answers)
    attempt.state.put_message("score", pack(answer))
    # Not before: only what gives scores leaves a model.
    _leave_model(attempt)
    return answer


def _leave_model(attempt: Attempt) -> None:
    """Keep this holder's part of the model; scores that were paid for are given also where that fails."""
    try:
        keep_part(attempt)
    except Exception as error:
        attempt.node.store.errors.add(attempt.state.id, "model", error)


def score_protection(study: Study, policy: Policy) -> str:
    """Code of how partial scores are protected on their way to a bank."""
    if ScorecardSettings.of(study).themes is not None and policy.score_themes:
        return "bands_by_theme" if policy.scores == "bands" else "points_by_theme"
    if len(study.holders) > 1:
        return "masked_among_holders"
    return "bands" if policy.scores == "bands" else "points"


def received_protection(study: Study, policy: Policy) -> str:
    """The same at the bank, which does not know a holder's policy."""
    if ScorecardSettings.of(study).themes is not None:
        return "masked_or_by_theme"
    return "masked_among_holders" if len(study.holders) > 1 else "bands_or_points"


def _partial(attempt: Attempt, card: Scorecard) -> tuple[NDArray[np.int64], str]:
    """What this holder gives of each enterprise, (sums, table rows + 1), and the version of it.

    Points on the common grid, or points of its band; 0 in sums that none of its points are in.
    """
    policy = attempt.node.institution.policy
    own = card.features_of(attempt.role)
    points = {j: np.asarray(card.points[j], np.int64) for j in own}
    if most_points([card.bins[j] for j in own], [card.points[j] for j in own]) > policy.score_points:
        raise PolicyError(
            f"{attempt.name}: a column, with the pairs that it is in, gives or takes more than {policy.score_points} "
            "points (policy.score_points); no score is given"
        )
    codes = with_pair_codes(card, attempt.role, attempt.state.get("codes"))
    sums, tables = sums_of(attempt), []
    out = np.zeros((len(sums), len(codes)), np.int64)
    for given, one in zip(out, sums, strict=True):
        if attempt.role in one.holders:
            tables.append(given_points(attempt, card, one))
            places = one.places(card, attempt.role)
            parts = [points[j][codes[:, own.index(j)]] for j in places]
            given[:] = tables[-1].of(np.sum(parts, axis=0, dtype=np.int64))
    return out, _version(card, sums, tables)


def check_versions(attempt: Attempt, version: str | None = None) -> None:
    """PolicyError where a bank would get more versions of an enterprise's scores than the policy allows.

    A version counts for all enterprises of the table: which of them are on a bank's list, the hub says. Without a
    version: whether one more would be too many, which is asked before anything is released.
    """
    if not attempt.research:
        versions_left(attempt.node, attempt.study, attempt.read().ids, version)


def versions_left(node: Node, study: Study, ids: NDArray[np.object_], version: str | None = None) -> None:
    """The same by node and ids of its table; nothing is asked of a bank."""
    if node.name in study.banks:
        return
    policy, store = node.institution.policy, node.store.pseudonyms
    since = datetime.now(UTC).date() - timedelta(days=policy.scored_days)
    for bank in study.banks:
        versions = store.scored_versions(bank, since, ids, version or "next")
        versions = versions + node.store.models.edits_served(bank, since)
        over = int((versions > policy.scored_versions).sum())
        if over:
            raise PolicyError(
                f"{bank} would get more than {policy.scored_versions} versions of scores of {over} enterprises within "
                f"{policy.scored_days} days (policy.scored_versions); keep the deployed model, or raise the limit"
            )


def _version(card: Scorecard, sums: Sequence[ScoreSum], tables: Sequence[GivenPoints]) -> str:
    """The version of a score: what decides it is the card, all holders' points in it, and what is given for sums."""
    given = [[list(table.edges), list(table.values)] for table in tables]
    content: dict[str, object] = {"card": card.to_json(), "given": given[0]}
    if len(sums) > 1:
        content |= {"given": given, "sums": [[s.name, s.inside()] for s in sums]}
    return Payload(content).digest()[:16]


def _keep_version(attempt: Attempt, version: str) -> None:
    """Remember that the banks get this version."""
    if attempt.research:
        return
    ids = attempt.read().ids
    for bank in attempt.study.banks:
        attempt.node.store.pseudonyms.keep_scored(bank, datetime.now(UTC).date(), version, ids)


def partial_context(attempt: Attempt, sender: str, receiver: str) -> Context:
    """Where an envelope with partial scores belongs."""
    return Context(
        study=attempt.view,
        release="score",
        attempt=attempt.state.id,
        direction="partial",
        sender=sender,
        receiver=receiver,
    )
