"""Exchange 1, describe: an institution looks at a study and its own table, and agrees or refuses.

Everything that can be refused early is refused here, before a single number is computed for others: the
study's rules against the policy, the table against the dictionary, the price against the ledger.
"""

import json
import math
from typing import Any

from fedrisk.clients.external import FEATURE as EXTERNAL
from fedrisk.clients.external import find_external
from fedrisk.clients.node import Attempt, Node
from fedrisk.data.dictionary import Dictionary
from fedrisk.data.features import Feature, features_of
from fedrisk.data.table import Table
from fedrisk.errors import ConfigError, DataError, PolicyError, ProtocolError
from fedrisk.models.plan import participant_mu
from fedrisk.models.training import require_torch, training_plan
from fedrisk.privacy.accounting import check_epsilon_delta, epsilon_for
from fedrisk.privacy.spend import Spend
from fedrisk.protocol import Payload
from fedrisk.secure.identity import EphemeralKey
from fedrisk.study import BANK, Role, Study, study_from


def describe(node: Node, request: Payload) -> Payload:
    """study, attempt, research seed -> name, signed ephemeral key, public features, rows, budget left.

    A node that is no member of the study says so and does nothing.
    """
    study = study_from(request.get("study"))
    if node.name not in study.members:
        return Payload({"name": node.name, "member": False})
    research_seed = request.get("research_seed")
    if research_seed is not None and not isinstance(research_seed, int):
        raise ProtocolError("the research seed is no whole number; the hub runs another version of fedrisk")
    role = check_role(study, node)
    if study.recipe != "scorecard":
        require_torch()
        training_plan(study, edges=True)  # what cannot be trained is refused before anything is paid
    node.institution.policy.check(study, institution=node.name, research=research_seed is not None)
    attempt = Attempt(
        node,
        node.store.begin(
            str(request.get("attempt")),
            {"study": study.model_dump(mode="json"), "research_seed": research_seed},
        ),
    )
    body: dict[str, Any] = {"name": node.name, "member": True, "role": role, "rows": 0, "features": []}
    if role != "authority":
        if study.recipe != "encoder":  # training one anew is the remedy
            node.institution.check_encoders(research=research_seed is not None)
        table = attempt.read()
        check_table_fits(study, node, table)
        attempt.state.update(table=table.digest)
        _check_budget(attempt)
        body |= _summary(attempt, table)
        if study.network.external is not None and role == "bank":
            # The same results all along, whatever study ends in between.
            attempt.state.update(external=find_external(node, study, attempt.research_seed))
    body["key"] = _ephemeral(attempt)
    body["checkpoint"] = json.loads(node.trail.checkpoint().to_json())
    return Payload(body)


def close(node: Node, request: Payload) -> Payload:
    """The study ended, well or not: secrets of the attempt are deleted. Nothing to do where it never began here."""
    attempt = str(request.get("attempt"))
    if node.store.knows(attempt):
        node.store.attempt(attempt).forget_secrets()
    return Payload()


def _summary(attempt: Attempt, table: Table) -> dict[str, Any]:
    node = attempt.node
    dictionary = node.institution.described()
    if dictionary is None:
        raise ConfigError(f"institution {node.name} has no [dictionary]; add it to its file")
    features = study_features(attempt.study, node, dictionary)
    attempt.state.update(declared=[vars(f) for f in features])
    left = node.ledger.left()
    more = {} if attempt.study.encoder is None else {"encoder": _encoder(node, attempt.study.encoder.name)}
    return more | {
        "rows": len(table),
        "features": [vars(f) for f in features],
        "meanings": {c.name: {"meaning": c.meaning, "unit": c.unit} for c in dictionary.columns if c.feature},
        "label": None
        if dictionary.label is None
        else {
            "horizon": dictionary.label.horizon,
            "selection": dictionary.label.selection,
            "weighted": dictionary.label.weight is not None,
            "whole": bool(dictionary.label.positive) and dictionary.label.weight is None,
        },
        "scores": node.institution.policy.scores,
        "evaluation": node.institution.policy.evaluation,
        # Rounded: the last digits would tell which other studies the institution was in.
        "budget_left": {"epsilon": round(epsilon_for(left, attempt.study.privacy.delta), 1)},
    }


def _encoder(node: Node, name: str) -> dict[str, Any]:
    """Public design of the encoder that a study trains, and the digest of what it reads: equal at all offices."""
    institution = node.institution
    return {
        "design": institution.encoder_design(name),
        "rule": institution.encoder(name).public_digest(),
    }


def study_features(study: Study, node: Node, dictionary: Dictionary) -> tuple[Feature, ...]:
    """The features that the node brings into a study, by recipe: a network takes the banks' columns, with the external
    score where the study says so; an encoder takes histories and no column. dictionary: as the institution's
    ``described`` gives it, with the columns of trained encoders."""
    if study.recipe == "encoder" or (study.recipe == "neural" and node.name not in study.banks):
        return ()
    own = allowed_features(node, dictionary)
    return (*own, EXTERNAL) if study.network.external is not None else own


def allowed_features(node: Node, dictionary: Dictionary) -> tuple[Feature, ...]:
    """The dictionary's features that the policy lets studies use; ConfigError where it names others."""
    institution = node.institution
    features = features_of(dictionary, BANK if institution.kind == "bank" else node.name)
    columns = institution.policy.columns
    if columns is None:
        return features
    to_come = {column for e in institution.encoders for column in e.columns}
    unknown = sorted(set(columns) - {f.column for f in features} - to_come)
    if unknown:
        raise ConfigError(
            f"{node.name}: policy.columns names {', '.join(unknown)}, which the dictionary has not as features"
        )
    return tuple(f for f in features if f.column in columns)


def check_role(study: Study, node: Node) -> Role:
    """The node's role in the study; ConfigError where its own file says another."""
    role, kind = study.role_of(node.name), node.institution.kind
    if kind != role:
        raise ConfigError(
            f"study {study.name} calls {node.name} a {role}, its own file says {kind}; agree on one"
        )
    return role


def check_table_fits(study: Study, node: Node, table: Table) -> None:
    """Whether a checked table fits the study: enough rows, delta small enough, dates within the windows."""
    dictionary = node.institution.dictionary
    least = node.institution.policy.least_rows
    if len(table) < least:
        raise PolicyError(
            f"{node.name}: {len(table)} usable rows, and policy.least_rows is {least}; "
            "wait for more, or change the policy"
        )
    check_epsilon_delta(study.privacy.epsilon, study.privacy.delta, len(table))
    if dictionary is None or dictionary.as_of is None:
        if study.windows.as_of is not None or (
            study.holdout.kind == "out_of_time" and node.name in study.banks
        ):
            raise ConfigError(
                f"{node.name}: the study goes by dates and the dictionary names no as_of column; "
                "add dictionary.as_of, or take the dates out of the study"
            )
        return
    dates = table.frame[dictionary.as_of]
    if dates.isna().any():
        raise DataError(
            f"{node.name}: column {dictionary.as_of} (as_of) is missing in {int(dates.isna().sum())} rows; "
            "fill it in or leave these rows out"
        )
    window = study.windows
    for bound, late in ((window.as_of, True), (window.observation_start, False)):
        if bound is None:
            continue
        days = dates.dt.date
        wrong = int((days > bound if late else days < bound).sum())
        if wrong:
            raise DataError(
                f"{node.name}: column {dictionary.as_of} is {'after' if late else 'before'} the study's window "
                f"({bound}) in {wrong} rows; cut the table to the window, so that no later knowledge enters"
            )


def _check_budget(attempt: Attempt) -> None:
    """Whether the ledger would hold the whole study; the releases are debited one by one when they come."""
    study = attempt.study
    if attempt.research_seed is not None or any(key.startswith("spend_") for key in attempt.state.facts):
        return  # a training that goes on after a stop has paid its part already
    mu = participant_mu(study, attempt.name)
    if not math.isfinite(mu):
        raise PolicyError("privacy.epsilon = inf has no price in mu; it is for research runs only")
    attempt.node.ledger.reserve_check(
        [
            Spend(
                study=study.name,
                attempt=attempt.state.id,
                release="study",
                population="training",
                mu=mu,
                delta=study.privacy.delta,
                what="whole study",
                institution=attempt.name,
                counterparty="hub",
                research=False,
            )
        ],
        purpose=study.purpose,
    )


def _ephemeral(attempt: Attempt) -> dict[str, Any]:
    """The attempt's X25519 key, signed by the institution's own; the same one if asked again."""
    if "own_key" not in attempt.state:
        study = attempt.study
        key, signed = EphemeralKey.generate(
            attempt.node.store.identity, attempt.name, study.digest(), attempt.state.id
        )
        attempt.state.put_secret("ephemeral", key.to_bytes())
        attempt.state.update(own_key=signed.to_dict())
    own: dict[str, Any] = attempt.state["own_key"]
    return own
