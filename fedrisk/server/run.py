"""One study from the first exchange to its results; the same on every engine."""

import secrets
import time

from flwr.serverapp import Grid

from fedrisk.errors import PeerError
from fedrisk.server.agreement import agree, align
from fedrisk.server.exchange import Exchange, Progress
from fedrisk.server.hub import Hub
from fedrisk.server.results import Results, summarise
from fedrisk.server.scorecard import check_overlap, fit_scorecard
from fedrisk.study import Study


def new_attempt() -> str:
    """Id of a new attempt at a study: never used before, so nothing of an earlier one can be repeated in it."""
    return secrets.token_hex(16)


def run_study(
    grid: Grid,
    study: Study,
    hub: Hub,
    *,
    engine: str,
    research_seed: int | None = None,
    attempt: str | None = None,
    timeout: float = 3600.0,
    progress: Progress | None = None,
) -> Results:
    """Run a study over a grid whose nodes serve its institutions.

    Where optional institutions refuse or are not there, it goes on without them, under a new attempt; the results
    say who took part.

    Errors: PeerError where an institution refuses or is lost, ConfigError where public rules are broken,
    DataError where nothing is in common. Nothing is released before all agree.
    """
    start, asked = time.monotonic(), study
    exchange = Exchange(grid, attempt or new_attempt(), timeout=timeout, progress=progress)
    try:
        try:
            agreed = agree(exchange, study, hub, research_seed)
        except PeerError:
            left_out = set(exchange.missing)
            if not left_out or not left_out <= set(study.optional):
                raise
            exchange.close()
            study = study.without(left_out)  # another study, so another attempt with keys of its own
            exchange = Exchange(grid, new_attempt(), timeout=timeout, progress=progress)
            agreed = agree(exchange, study, hub, research_seed)
        roster = align(exchange, study, hub, agreed, research_seed)
        check_overlap(roster)
        released = fit_scorecard(exchange, roster)
    except BaseException:  # also where somebody stops the study by hand: nobody keeps its secrets
        exchange.close()
        raise
    exchange.close()
    results = summarise(exchange, roster, released, engine=engine, seconds=time.monotonic() - start)
    results.metrics["left_out"] = sorted(set(asked.members) - set(study.members))
    return results
