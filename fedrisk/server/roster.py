"""Exchanges 1 to 4, from the hub's side: who takes part, and which rows belong together."""

import functools
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fedrisk.alignment.matching import HOLD_OUT, TRAINING, BankList, match
from fedrisk.data.features import Feature
from fedrisk.errors import DataError, ProtocolError
from fedrisk.privacy.accounting import check_epsilon_delta
from fedrisk.protocol.groups import check_groups
from fedrisk.protocol.order import (
    Labelled,
    check_common,
    enough_in_common,
    labelled_among,
    shares_of,
    wanted_rows,
)
from fedrisk.protocol.payload import Payload
from fedrisk.protocol.statements import (
    Statement,
    Statements,
    features_of_roles,
    same_encoders,
    same_labels,
    same_rules,
    statements_from,
    trainer_rows,
)
from fedrisk.recipe import MakePlan
from fedrisk.releases.plan import Plan
from fedrisk.secure.envelope import Context, open_sealed
from fedrisk.secure.identity import HUB, EphemeralKey, SignedKey
from fedrisk.server.exchange import Exchange
from fedrisk.server.hub import Hub
from fedrisk.study import Study


@dataclass(frozen=True)
class Roster:
    """A study that everybody agreed to, aligned.

    agreed: answers to describe. lists: order of rows by bank; none where a recipe does without alignment. given: how
    many rows have a label, as each trainer says (protocol/order.Labelled). training, holdout: rows by bank.
    """

    study: Study
    research_seed: int | None
    agreed: Mapping[str, Payload]
    lists: Mapping[str, BankList]
    given: Mapping[str, Mapping[str, Sequence[int]]]

    def to_payload(self) -> Payload:
        """Who agreed and the order of rows, for the hub's disk: pseudonymous places, no pseudonym."""
        blobs: dict[str, Any] = {}
        for name, rows in self.lists.items():
            blobs |= {f"rows:{name}": rows.rows, f"use:{name}": rows.use}
            blobs |= {} if rows.sample is None else {f"sample:{name}": rows.sample}
            blobs |= {f"holder:{name}:{holder}": there for holder, there in rows.holders.items()}
        body = {
            "agreed": {name: dict(answer.body) for name, answer in self.agreed.items()},
            "given": {name: dict(said) for name, said in self.given.items()},
        }
        return Payload(body, blobs)

    @classmethod
    def from_payload(cls, study: Study, research_seed: int | None, kept: Payload) -> "Roster":
        """Inverse of :meth:`to_payload`."""
        lists = {}
        for name in (t for t in study.trainers if f"rows:{t}" in kept.blobs):
            holders = [key.split(":")[2] for key in kept.blobs if key.startswith(f"holder:{name}:")]
            lists[name] = BankList(
                name,
                kept.array(f"rows:{name}").astype(np.int64),
                kept.array(f"use:{name}").astype(np.uint8),
                {h: kept.array(f"holder:{name}:{h}").astype(np.int64) for h in holders},
                kept.array(f"sample:{name}").astype(np.uint8) if f"sample:{name}" in kept.blobs else None,
            )
        agreed = {name: Payload(body) for name, body in kept.get("agreed").items()}
        return cls(study, research_seed, agreed, lists, kept.get("given"))

    @property
    def training(self) -> dict[str, int]:
        """Training rows by bank."""
        return {bank: int((rows.use == TRAINING).sum()) for bank, rows in self.lists.items()}

    @functools.cached_property
    def statements(self) -> Statements:
        """What each member states of itself to all."""
        return stated(self.agreed, self.study)

    @property
    def sampled(self) -> dict[str, int]:
        """Rows on which the Gram matrix is computed, by bank."""
        return {
            bank: self.training[bank] if rows.sample is None else int(rows.sample.sum())
            for bank, rows in self.lists.items()
        }

    @property
    def holdout(self) -> dict[str, int]:
        """Hold-out rows by bank."""
        return {bank: int((rows.use == HOLD_OUT).sum()) for bank, rows in self.lists.items()}

    @property
    def labelled(self) -> dict[str, int]:
        """By bank, about how many training rows have a label: which, the hub never knows."""
        return labelled_among(self.given, self.training, "training")

    @property
    def labelled_holdout(self) -> dict[str, int]:
        """The same of the hold-out."""
        return labelled_among(self.given, self.holdout, "holdout")


def agree(exchange: Exchange, study: Study, hub: Hub, research_seed: int | None) -> dict[str, Payload]:
    """Exchange 1: every member's agreement, with public rules checked across institutions."""
    content = description(study, exchange.attempt, research_seed)
    agreed = exchange.roll_call(study.members, content, hub.pins, study.digest(), optional=study.optional)
    check_statements(study, stated(agreed, study))
    return agreed


def description(study: Study, attempt: str, research_seed: int | None) -> Payload:
    """What members are told of a study to agree to."""
    return Payload(
        {"study": study.model_dump(mode="json"), "attempt": attempt, "research_seed": research_seed}
    )


def check_statements(study: Study, statements: Statements) -> None:
    """ConfigError where what members state does not fit together: delta and sizes, columns, encoders."""
    rows = max(said.rows for said in statements.values())
    check_epsilon_delta(study.privacy.epsilon, study.privacy.delta, rows)
    features_of_roles(study, statements)
    check_groups(study, statements)
    same_labels(study, statements)
    same_encoders(study, statements)
    same_rules(study, statements)


def stated(agreed: Mapping[str, Payload], study: Study) -> dict[str, Statement]:
    """What each member states of itself; ProtocolError where a statement is malformed."""
    return statements_from({name: agreed[name].get("statement") for name in study.members})


def roster_features(study: Study, agreed: Mapping[str, Payload]) -> tuple[Feature, ...]:
    """Features of all roles, the banks' first; ConfigError where the banks' columns differ."""
    return features_of_roles(study, stated(agreed, study))


def planned(study: Study, agreed: Mapping[str, Payload], plan: MakePlan) -> Plan:
    """The plan of a study that all agreed to, from what they state."""
    statements = stated(agreed, study)
    return plan(study, features_of_roles(study, statements), trainer_rows(study, statements))


def align(
    exchange: Exchange,
    study: Study,
    hub: Hub,
    agreed: Mapping[str, Payload],
    research_seed: int | None,
    sample_rows: int | None = None,
) -> Roster:
    """Exchanges 2 to 4: pseudonyms of all rows, matched into one list per trainer.

    sample_rows: size beyond which training rows are sampled for a release; None for no sample.
    """
    keys = {name: agreed[name].get("key") for name in study.members}
    # Only in memory, and gone when this returns: nothing on the hub's disk opens the pseudonyms afterwards.
    own, members = members_part(exchange, study, hub, agreed, research_seed)
    exchange.begin_view(study.digest())
    exchange.tell("members", members)
    blinded = exchange("blind", "keys of all, blinded ids", dict.fromkeys(study.members, Payload()))
    asked = {n: a.raw("blinded") for n, a in blinded.items() if "blinded" in a.blobs}
    evaluated: Mapping[str, Payload] = {}
    # An institution that is authority alone is asked in any case: it then forgets its part in the attempt.
    if asked or not study.has_table(study.authority):
        evaluated = exchange("evaluate", "blinded ids evaluated", {study.authority: Payload({}, asked)})
    requests = {}
    for name in [*study.banks, *study.holders]:
        blobs = {"evaluated": evaluated[study.authority].raw(name)} if name in asked else {}
        requests[name] = Payload({}, blobs)
    answers = exchange("pseudonyms", "pseudonyms, sealed for the hub", requests)
    values: dict[str, NDArray[np.uint8]] = {}
    flags: dict[str, NDArray[np.uint8]] = {}
    for name, answer in answers.items():
        values[name], flags[name] = _opened(own, SignedKey.from_dict(keys[name]), answer)
    out_of_time = study.holdout.kind == "out_of_time"
    lists = match(
        {t: values[t] for t in study.trainers},
        {h: values[h] for h in study.holders if h not in study.trainers},
        holdout_key=_draw_key(hub, study, research_seed, "holdout"),
        holdout_percent=study.holdout.percent,
        inclusion_probability=study.inclusion_probability,
        draw_key=_draw_key(hub, study, research_seed, "bank"),
        out_of_time={t: flags[t][0] for t in study.trainers} if out_of_time else None,
        old_holdout={name: f[1] for name, f in flags.items()},
        old_training={name: f[2] for name, f in flags.items()},
        sample_key=_draw_key(hub, study, research_seed, "sample"),
        sample_rows=sample_rows,
        rng=None,
    )
    given = {t: _labelled(t, answers[t]) for t in study.trainers}
    return Roster(study, research_seed, agreed, lists, given)


def members_part(
    exchange: Exchange, study: Study, hub: Hub, agreed: Mapping[str, Payload], research_seed: int | None
) -> tuple[EphemeralKey, dict[str, Any]]:
    """The hub's key of the attempt, and the first part of the common view: who takes part, by what all stated."""

    def said(what: str) -> dict[str, Any]:
        return {name: agreed[name].get(what) for name in study.members}

    own, signed = EphemeralKey.generate(hub.identity, HUB, study.digest(), exchange.attempt)
    members = {
        "study": study.digest(),
        "protocol": exchange.protocol,
        "research_seed": research_seed,
        "keys": said("key"),
        "hub_key": signed.to_dict(),
        "signed_heads": said("signed_head"),
        "witnessed": said("witnessed"),
        "statements": said("statement"),
    }
    return own, members


def without_alignment(
    exchange: Exchange, study: Study, hub: Hub, agreed: Mapping[str, Payload], research_seed: int | None
) -> Payload:
    """A roster without lists, for the hub's disk, with what all are told of the members once it is there."""
    _, members = members_part(exchange, study, hub, agreed, research_seed)
    kept = Roster(study, research_seed, agreed, {}, {}).to_payload()
    return Payload({**kept.body, "members": members})


def tell_members(exchange: Exchange, study: Study, kept: Payload) -> None:
    """Begin the common view of a study without alignment; with an alignment, that has told its first part already."""
    if "members" in kept.body:
        exchange.begin_view(study.digest())
        exchange.tell("members", kept.get("members"))


def _opened(
    own: EphemeralKey, key: SignedKey, answer: Payload
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """((rows, 32) pseudonyms, (3, rows) flags: out of time, old hold-out, old training) of one institution."""
    context = Context(
        study=own.study_digest,
        release="alignment",
        attempt=own.attempt,
        direction="pseudonyms",
        sender=key.institution,
        receiver=own.institution,
    )
    values, flags = open_sealed(own, key, context, answer.raw("pseudonyms"))
    rows = int(answer.get("rows"))
    if len(values) != 32 * rows or len(flags) != 3 * rows:
        raise ProtocolError(
            f"{key.institution} sent another number of pseudonyms than it declared; run the study again"
        )
    return np.frombuffer(values, np.uint8).reshape(rows, 32), np.frombuffer(flags, np.uint8).reshape(3, rows)


def _labelled(name: str, answer: Payload) -> dict[str, Any]:
    """How many rows of a trainer have a label, as it says; ProtocolError where that is malformed."""
    try:
        return Labelled.model_validate(answer.get("labelled")).model_dump(mode="json")
    except ValidationError:
        raise ProtocolError(
            f"{name} does not say how many of its rows have a label; all must run the same version of fedrisk"
        ) from None


def _draw_key(hub: Hub, study: Study, research_seed: int | None, purpose: str) -> bytes:
    """The hub's key for a draw; in a research run one that follows from the study's hold-out seed.

    The draw of banks has a key of its own for every set of banks and epoch. With one key for all, a bank that saw an
    enterprise left out beside one bank and used beside another would know for certain where it banks; with a fresh
    one for every study, it would learn it by and by.
    """
    roster = "|".join(
        [purpose, *((*sorted(study.trainers), study.alignment.epoch) if purpose == "bank" else ())]
    )
    if research_seed is None:
        return hmac.new(hub.draw_key(purpose), roster.encode(), hashlib.sha256).digest()
    return hashlib.sha256(f"research|{study.holdout.seed}|{roster}".encode()).digest()


def check_overlap(roster: Roster) -> None:
    """DataError where a holder shares hardly any enterprise with the banks, or fewer rows are drawn than members take.

    The members look at it themselves once they have the order of rows, but others are charged with that message.
    """
    for bank, rows in roster.training.items():
        if not rows:
            raise DataError(f"{bank} has no training rows after alignment; nothing was released")
    for holder, sizes in _in_common(roster).items():
        check_common(roster.study, holder, *sizes)
    _check_enough(roster)


def little_in_common(roster: Roster) -> dict[str, list[str]]:
    """By member that it concerns, the holders with hardly an enterprise in common with the banks.

    It concerns themselves and the banks. No other member is told, and nobody how many enterprises there are: the hub
    says it when it closes the attempt.
    """
    study = roster.study
    little = [h for h, sizes in _in_common(roster).items() if not enough_in_common(study, *sizes)]
    return {h: [h] for h in little} | (dict.fromkeys(study.banks, little) if little else {})


def _in_common(roster: Roster) -> dict[str, tuple[int, int, int]]:
    """By holder that does not train: places of the lists that it knows, all places, and its rows."""
    places = sum(len(rows.rows) for rows in roster.lists.values())
    return {
        holder: (
            sum(int((rows.holders[holder] >= 0).sum()) for rows in roster.lists.values()),
            places,
            roster.statements[holder].rows,
        )
        for holder in roster.study.holders
        if holder not in roster.lists
    }


def _check_enough(roster: Roster) -> None:
    """DataError where a member would refuse the draw, by the least rows that it states (clients/row_order)."""
    study, shares = roster.study, shares_of(roster.study)
    drawn = {"training": roster.training, "holdout": roster.holdout}
    for name, said in roster.statements.items():
        for what, part in shares.items():
            for bank, there in drawn[what].items():
                of_bank = roster.statements[bank].rows
                _enough(name, there, wanted_rows(said.least_rows, part, of_bank), f"rows of {bank}: {what}")
        if name in study.holders and name not in roster.lists:
            known = [((b.use == TRAINING) & (b.holders[name] >= 0)).sum() for b in roster.lists.values()]
            wanted = wanted_rows(said.least_rows, shares["training"], said.rows)
            _enough(name, int(sum(known)), wanted, "own rows: training")


def _enough(name: str, there: int, wanted: float, what: str) -> None:
    if there < wanted:
        raise DataError(
            f"{name} would take no part: too few {what}, for its policy.least_rows; let more enterprises take part, "
            "or change the policy. Nothing was released"
        )
