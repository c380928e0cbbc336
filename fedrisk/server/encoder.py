"""The encoder recipe, from the hub's side: data holders of one kind train one sequence encoder over noisy sums.

Exchanges: describe, (blind, evaluate, pseudonyms), edges (the order of rows alone), prepare, shares, two a step,
conclude. No labels and no banks take part; what comes out are public weights, which every office installs.
"""

import numpy as np

from fedrisk.errors import ConfigError
from fedrisk.models.encoder import LEARNING_RATE, EncoderDesign, initial_weights
from fedrisk.models.training import Tuning, training_plan
from fedrisk.protocol import Payload
from fedrisk.server.checkpoint import Checkpoint
from fedrisk.server.exchange import Exchange
from fedrisk.server.network import Keep
from fedrisk.server.roster import Roster
from fedrisk.server.training import Rounds, Trained


def fit_encoder(exchange: Exchange, roster: Roster, checkpoint: Checkpoint, *, keep: Keep) -> Trained:
    """Train and hand the encoder to its offices. ``keep`` begins the checkpoint with what was set up.

    Raises ConfigError where offices state different encoders, PeerError as in
    :func:`fedrisk.server.network.fit_network`.
    """
    study, begun = roster.study, checkpoint.recipe
    told = {name: roster.agreed[name].get("encoder") for name in study.trainers}
    first = told[study.trainers[0]]
    differ = sorted(name for name, rule in told.items() if rule != first)
    if differ:
        raise ConfigError(
            f"{', '.join(differ)} and {study.trainers[0]} state different encoders; offices that train one need the "
            "same series, bounds, months and outputs"
        )
    design = EncoderDesign.from_dict(first["design"])
    plan = training_plan(study, edges=False)
    tuning = Tuning(rate=1.0, optimiser="adam", momentum=0.9, averaged=0.0, adam_step=LEARNING_RATE)
    rounds = Rounds(exchange, roster, plan, tuning, checkpoint)
    if begun is None:
        body = {"features": [], "training": sum(roster.training.values())}
        order = {
            name: Payload(body, {f"rows:{name}": rows.rows, f"use:{name}": rows.use})
            for name, rows in roster.lists.items()
        }
        exchange("edges", "order of rows", order)
        rounds.set_up({"design": design.to_dict()})
        keep(rounds.state())
    else:
        rounds.resume(begun)
    progress = rounds.run(initial_weights(design, roster.research_seed or 0))
    trained = Trained.of(rounds, progress, "sequence encoder", design.to_dict())
    content = Payload({}, {"weights": progress.final.astype(np.float32)})
    ask = exchange.gather if rounds.lost else exchange
    ask("conclude", "the encoder", dict.fromkeys(rounds.active, content))
    return trained
