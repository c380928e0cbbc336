"""The encoder recipe at the hub: data holders of one kind train one sequence encoder over noisy sums.

Exchanges: describe, (blind, evaluate, pseudonyms), edges (the order of rows alone), prepare, shares, two for each step
(three once a holder was lost), conclude. No labels and no banks take part; what comes out are public weights, which
every holder installs.
"""

import numpy as np

from fedrisk.errors import ConfigError
from fedrisk.models.encoder import EncoderDesign, initial_weights
from fedrisk.protocol.payload import Payload
from fedrisk.recipes.encoder.design import tuning
from fedrisk.releases.plan import Plan
from fedrisk.server.noisy_sums import NoisySums, send_order
from fedrisk.server.outcome import HubSession, Outcome
from fedrisk.server.training import Rounds


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Train and hand the encoder to its holders.

    ConfigError where holders state no encoder; that it is one and the same, the roll call has checked. PeerError
    where one refuses or too few are left for a step; TrainingError where it diverges.
    """
    roster = session.roster
    study = roster.study
    rule = roster.statements[study.trainers[0]].encoder
    if rule is None:
        raise ConfigError(
            "the holders of this study state no encoder; all must run the same version of fedrisk"
        )
    design = EncoderDesign.from_dict(rule["design"])
    sums = NoisySums(session.exchange, roster)
    rounds = Rounds(sums, plan.trained, tuning(study))
    send_order(sums)
    rounds.set_up(design.to_dict(), {"design": design.to_dict()})
    trained = rounds.run(initial_weights(design, roster.research_seed or 0))
    outcome = Outcome(
        record=sums.record,
        network=rounds.model(trained, design.to_dict()),
        training=rounds.figures(trained, "sequence encoder"),
    )
    session.so_far(outcome)
    session.exchange.tell("trained", {}, {"weights": trained.final.astype(np.float32)})
    ask = session.exchange.gather if rounds.lost else session.exchange
    ask("conclude", "the encoder", dict.fromkeys(rounds.active, Payload()))
    outcome.record = sums.record
    return outcome
