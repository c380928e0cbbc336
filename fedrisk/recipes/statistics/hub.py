"""The statistics recipe at the hub: it adds up what contributors send, and keeps the record.

Exchanges: describe, release, totals, conclude. In a joined study the alignment and those of ``joined_hub`` come before
the release. What everybody reads the numbers by stands in the record beside them.
"""

from fedrisk.protocol.payload import Payload
from fedrisk.recipes.statistics.joined_hub import joined_sums
from fedrisk.recipes.statistics.plan import layout_of
from fedrisk.releases.plan import Plan
from fedrisk.releases.record import ReleasedSums
from fedrisk.releases.statistics import RELEASE, Layout
from fedrisk.server.noisy_sums import NoisySums, blobs_of
from fedrisk.server.outcome import HubSession, Outcome


def fit(session: HubSession, plan: Plan) -> Outcome:
    """Ask for the sums, record them, and tell them to the members. PeerError where one refuses."""
    study = session.roster.study
    layout = layout_of(study, plan.features)
    sums = NoisySums(session.exchange, session.roster)
    released = (joined_sums if layout.joined else local_sums)(session, sums, plan, layout)
    outcome = Outcome(record=sums.record, evaluated=False)
    session.so_far(outcome)
    session.exchange.tell("totals", {"layout": layout.digest()}, blobs_of(released))
    told = dict.fromkeys((name for name in study.members if study.has_table(name)), Payload())
    session.exchange("totals", "the noisy totals, told to members", told)
    session.exchange("conclude", "members confirm to each other what they were told", told)
    return outcome


def local_sums(session: HubSession, sums: NoisySums, plan: Plan, layout: Layout) -> ReleasedSums:
    """Sums that each contributor counts over its own rows; all members are told who takes part."""
    asked = dict.fromkeys(session.roster.study.members, Payload())
    answers = session.exchange("release", "noisy sums of all cells", asked)
    return sums.total(plan.release(RELEASE), answers, {"layout": layout.to_dict()})
