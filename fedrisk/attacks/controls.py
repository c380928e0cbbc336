"""Protections that are switched off, each for as long as its context lasts and in this process alone.

With one of them an attack has to succeed: otherwise it would have found nothing either where there was something to
find. Nothing outside of this package may use them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from fedrisk.alignment import matching, ristretto
from fedrisk.clients import common_view, outlet, row_check
from fedrisk.clients.attempt import Attempt
from fedrisk.clients.resend import Incoming
from fedrisk.clients.store.attempt_store import AttemptStore
from fedrisk.models.given_points import GivenPoints
from fedrisk.models.scorecard import Scorecard
from fedrisk.privacy.ledger.ledger import Ledger
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.scorecard import delivery, prepared, score_grid, scoring
from fedrisk.recipes.scorecard import node as scorecard_node
from fedrisk.secure.envelope import Context, open_sealed
from fedrisk.secure.identity import EphemeralKey, SignedKey
from fedrisk.secure.keystream import Label
from fedrisk.secure.masked_sum import pair_mask


@contextmanager
def without_noise() -> Iterator[None]:
    """Institutions add no noise to what they release, and charge for it as if they did."""

    def nothing(sigma: float, shape: tuple[int, ...], **_: Any) -> Any:
        return np.zeros(math.prod(shape), np.int64).reshape(shape)

    with patch.object(outlet, "discrete_gaussian", nothing):
        yield


@contextmanager
def without_pair_masks() -> Iterator[None]:
    """Parts of releases leave without the masks that cancel in their sum."""
    with patch.object(outlet, "_pair_mask", lambda attempt, release: lambda block, part: part):
        yield


@contextmanager
def reused_key_stream() -> Iterator[None]:
    """Two institutions have one secret for ever, and their masks are the same in every attempt: a pad used twice."""

    def reused(
        pair_secrets: dict[str, bytes], me: str, label: Label, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> NDArray[Any]:
        fixed = {name: bytes(32) for name in pair_secrets}
        return pair_mask(fixed, me, replace(label, study="", attempt=""), shape, dtype)

    with patch.object(outlet, "pair_mask", reused):
        yield


@contextmanager
def one_colluder_too_many(name: str) -> Iterator[dict[str, list[bytes]]]:
    """One institution hands the hub all masked matrices that it opens: yields them, by release and product."""
    handed: dict[str, list[bytes]] = {}

    def opened(own: EphemeralKey, peer: SignedKey, context: Context, envelope: bytes) -> Iterator[bytes]:
        if own.institution != name:
            return open_sealed(own, peer, context, envelope)
        blocks = list(open_sealed(own, peer, context, envelope))
        handed[context.release] = blocks
        return iter(blocks)

    with patch.object(scorecard_node, "open_sealed", opened):
        yield handed


@contextmanager
def without_card_check() -> Iterator[None]:
    """Members score by whatever card the hub tells them, whether it follows from the totals or not."""

    def told(attempt: Attempt, content: Payload) -> Scorecard:
        return Scorecard.from_json(content.get("scorecard"))

    with patch.object(prepared, "_card", told):
        yield


@contextmanager
def without_common_view() -> Iterator[None]:
    """Members confirm nothing to each other, and masks are made for the attempt alone, whatever each was told."""

    def of_attempt(self: Attempt) -> str:
        return self.view_after(())

    with (
        patch.object(common_view, "_check_confirmed", lambda *_: None),
        patch.object(common_view, "_with_codes", lambda attempt, view, codes: view),
        patch.object(Attempt, "view", property(of_attempt)),
    ):
        yield


@contextmanager
def without_row_check() -> Iterator[None]:
    """Holders take the hub's word for which of their rows stand on a bank's list."""
    with (
        patch.object(row_check, "verify", lambda *_: None),
        patch.object(row_check, "check_passed", lambda *_: None),
    ):
        yield


@contextmanager
def without_kept_answers() -> Iterator[None]:
    """A request that comes again is answered anew, with other noise, at the price of once."""
    with (
        patch.object(Ledger, "answer", lambda self, release_id: None),
        patch.object(Ledger, "commit", lambda self, release_id, answer: None),
        patch.object(Incoming, "kept", lambda self: None),
    ):
        yield


@contextmanager
def in_own_order() -> Iterator[None]:
    """Lists stand in the order of the bank's table, which is that of its ids, in place of one that is drawn."""
    with (
        patch.object(matching, "_order", lambda n, rng: np.arange(n)),
        patch.object(AttemptStore, "row_order", lambda self, rows: np.arange(rows)),
    ):
        yield


@contextmanager
def own_models_before_the_answer() -> Iterator[None]:
    """Banks fit their own models before their last answer leaves, and whoever waits for it sees how long that takes."""
    keep = delivery.keep_scores

    def and_fit(attempt: Attempt, card: Scorecard, frame: Any) -> None:
        keep(attempt, card, frame)
        delivery.own_fit(attempt, card, delivery.scored_by(attempt, card))

    with patch.object(delivery, "keep_scores", and_fit):
        yield


@contextmanager
def without_blinds() -> Iterator[None]:
    """Institutions send the key authority their ids hashed to the group, and nothing hides them."""
    with patch.object(ristretto, "random_scalars", lambda count: (1).to_bytes(32, "little") * count):
        yield


@contextmanager
def unbounded_points() -> Iterator[None]:
    """Holders give every sum of their points as it is: no bands, and no limit of values (``policy.score_values``)."""

    def as_it_is(attempt: Any, card: Any, one: Any, weights: Any = None) -> GivenPoints:
        return GivenPoints.grid(*score_grid.spans_of(card, one)[attempt.role], step=1)

    with (
        patch.object(score_grid, "given_points", as_it_is),
        patch.object(scoring, "given_points", as_it_is),
    ):
        yield
