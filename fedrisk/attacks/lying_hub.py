"""A hub that lies: how many of its lies are refused, and what it and a bank learn by those that nobody can refuse.

Each lie is told in a study of its own (hub_lies). It got through where members went on, or had been charged for what it
is about. Besides, the hub asks for a release again and again, for other noise, and sends what was sealed in an earlier
attempt. Totals that a hub and a bank make up together can be told from true ones by nobody; what points by such totals
tell of a holder's records is bounded in bits.

Controls: the card is not worked out by members; members confirm nothing to each other; rows of bank and holder are not
compared; answers are not kept. The lie that each is there for then reads a record.
"""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fedrisk.attacks.attack import Attack, Effort, Estimate, Measured
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.controls import (
    without_card_check,
    without_common_view,
    without_kept_answers,
    without_row_check,
)
from fedrisk.attacks.crafted import bits, codes_of, digits, guessed, lying, one_column, opening
from fedrisk.attacks.dealing_hub import inverse
from fedrisk.attacks.dealt import Ring, noises, witnessing
from fedrisk.attacks.hub_lies import LIES, Lie, points_of_one, rows_of_others, two_kinds_of_run
from fedrisk.attacks.intervals import CONFIDENCE, deviation, share
from fedrisk.attacks.lies import spends
from fedrisk.attacks.recorded import Record, Step, Stopped
from fedrisk.attacks.small_province import BANKS, COLUMNS, HOLDERS, MANY_STUDIES
from fedrisk.errors import PeerError
from fedrisk.models.binning import Bins
from fedrisk.protocol.common_view import split as without_view
from fedrisk.protocol.payload import Payload

NAME = "lying_hub"
GDP = "Dong, Roth & Su (2022)"
ENTERPRISES = 900
AGAIN = 16


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures of the attack, in ``folder``."""
    yield from _refused(folder / "lies")
    yield from _again(folder / "again")
    yield from _rows(folder / "rows")
    yield from _card(folder / "card")
    yield from _seeded(folder / "seeded", effort)
    yield from _crafted(folder / "crafted", effort)


def _figure(target: str, figure: str, found: Estimate, begun: float, **more: Any) -> Measured:
    more = {"attack": NAME, "target": target, "figure": figure, "method": "exact", **more}
    return Measured.of(found, begun=begun, confidence=CONFIDENCE, **more)


def _through(target: str, through: bool, begun: float, **more: Any) -> Measured:
    """Whether a lie got through."""
    return _figure(f"lies/{target}", "got_through", Estimate.exact(through), begun, claimed=0.0, **more)


def _refused(folder: Path) -> Iterator[Measured]:
    for k, lie in enumerate(LIES):
        begun = time.monotonic()
        consortium = build(folder / str(k), lie.banks, lie.holders, enterprises=ENTERPRISES)
        yield _through(lie.code, got_through(consortium, lie), begun)


def got_through(consortium: Consortium, lie: Lie) -> bool:
    """Whether members went on after a lie, or were charged for what it is about before they refused."""
    try:
        consortium.run(change=lie.tell(consortium), wire=False, own=False)
    except PeerError:
        charged = set().union(*spends(consortium).values())
        return bool(charged if lie.spares is None else charged & lie.spares)
    return True


# --- the same again, and what is old ------------------------------------------------------------------------


def _again(folder: Path) -> Iterator[Measured]:
    """The same request for other noise, the same name with other content, and envelopes of an earlier attempt."""
    begun, consortium = time.monotonic(), build(folder, enterprises=ENTERPRISES)
    old = consortium.stopped("score").step("release", "counts").sent["tax"]
    for control in ("", "kept_answers"):
        with without_kept_answers() if control else nullcontext():
            found = _asked_again(consortium, AGAIN if control else 3)
        different = len({a.array("tax").tobytes() for a in found if a.refusal is None}) > 1
        yield _through("same_request", different, begun, party="holder", control=control)

    def replayed(record: Record, step: Step) -> None:
        if step.action == "release":
            own, _, _ = without_view(old)
            renewed = record._stamped({"tax": own})["tax"]
            answers.append(record.ask_once("tax", "release", renewed))
            raise Stopped

    answers: list[Payload] = []
    with suppress(Stopped):
        consortium.run(change=replayed, own=False)
    yield _through("old_envelopes", answers[0].refusal is None, begun, party="holder")


def _asked_again(consortium: Consortium, times: int) -> list[Payload]:
    """A holder's answers to one and the same request for the label counts, and then to one with other content."""
    out: list[Payload] = []

    def again(record: Record, step: Step) -> None:
        done = [s for s in record.steps if s.action == "release"]
        if step.action == "mask" and done:
            out.extend(record.ask_once("tax", "release", done[0].sent["tax"]) for _ in range(times))
            raise Stopped

    with suppress(Stopped):
        consortium.run(change=again, own=False)
    return out


# --- what a lie reads where its check is off ----------------------------------------------------------------


def _rows(folder: Path) -> Iterator[Measured]:
    """Control: without the check of rows a bank gets the score of an enterprise that is not its customer."""
    begun, consortium = time.monotonic(), build(folder, enterprises=ENTERPRISES)
    with without_row_check(), opening() as loot:
        consortium.stopped("deliver", lie=rows_of_others())
    target = "rows_of_others"
    yield _through(target, bool(len(loot.external)), begun, control="row_check")


def _card(folder: Path) -> Iterator[Measured]:
    """Control: without the check of the card its points name the bin of a column of each enterprise."""
    begun, consortium = time.monotonic(), build(folder, enterprises=ENTERPRISES)
    with without_card_check(), opening() as loot:
        record = consortium.stopped("deliver", lie=points_of_one("sales"))
    loot.bins = [Bins.from_dict(b) for b in record.told_part("bins").get("bins")]
    truth = codes_of(loot, consortium.tables)["tax", "sales"]
    yield _read("lies/points_of_one", loot.external, truth, begun, party="holder", control="card_check")


def _read(target: str, seen: Ring, truth: Ring, begun: float, **more: Any) -> Measured:
    """Share of enterprises whose bin is read from what was seen, beside guessing the commonest."""
    found = share(round(guessed(seen, truth) * len(truth)), len(truth))
    return _figure(target, "accuracy", found, begun, chance=guessed(0 * truth, truth), **more)


def _seeded(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Control: without the common view two of three banks draw noise that the hub knows, and one is left."""
    study = {"privacy": {"epsilon": 1.0, "colluders": 0}}
    wide = {
        "name": "debt",
        "kind": "number",
        "low": 0,
        "high": 1_000_000,
        "bins": list(range(1000, 64_000, 1000)),
    }
    columns = {"bank": [wide, *COLUMNS["bank"][1:]]}
    rules = {**MANY_STUDIES, "least_colluders": 0}
    consortium = build(folder, BANKS, (), enterprises=ENTERPRISES, study=study, policy=rules, columns=columns)
    begun, drawn, released = time.monotonic(), list[dict[str, Ring]](), None
    for _ in range(6 if effort.quick else 20):
        with without_common_view(), witnessing() as seen, noises(drawn):
            consortium.stopped("calibrate", lie=two_kinds_of_run(consortium), wire=False)
        released = seen.releases["counts"]
    assert released is not None
    noise = deviation(np.concatenate([noise[BANKS[-1]].ravel() for noise in drawn]))
    found = inverse(noise, math.sqrt(len(columns["bank"])) * 2**released.scale_bits)
    more = {"party": "bank", "claimed": released.mu, "control": "common_view", "method": GDP}
    yield _figure("lies/two_kinds_of_run", "mu", found, begun, **more)


# --- totals that nobody can check ---------------------------------------------------------------------------


def _crafted(folder: Path, effort: Effort) -> Iterator[Measured]:
    """Bits of a holder's records that a bank gets by totals which it and the hub make up."""
    rules = {"scores": "bands", "band_columns": 2}
    for name, targets in (("digits", digits), ("one_column", one_column("sales"))):
        if effort.quick and name != "digits":
            continue
        begun = time.monotonic()
        consortium = build(folder / name, holders=HOLDERS, enterprises=ENTERPRISES, policy=rules)
        with lying(targets) as loot:
            run = consortium.run(wire=False, own=False)
        limit = math.log2(run.nodes["tax"].institution.policy.score_values)
        told = Estimate.exact(bits(loot.external), len(loot.ids))
        everything = bits(*codes_of(loot, consortium.tables).values())
        more = {"party": "holder", "claimed": min(limit, everything), "most": everything}
        yield _figure(f"made_up_totals/{name}", "bits", told, begun, **more)


ATTACK = Attack(
    name=NAME,
    attacker="A hub that sends what it likes to whom it likes",
    knows="All messages; in some cases a bank helps it",
    wants="That members compute on what does not follow from the records, and so a record",
    how="It tells each lie in a study of its own and sees whether members go on; it asks again for other noise and "
    "makes up totals",
    sources=("Goldreich, Micali & Wigderson (1987)", "Freivalds (1979)", GDP),
    run=run,
)
