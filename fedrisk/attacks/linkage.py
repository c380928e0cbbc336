"""Who banks where: what hub, holders, banks and the key authority learn of it, beside what is said that they learn.

The hub sees pseudonyms and which of them coincide; that is documented (docs/threat-model.md, membership). Here it has
the register of all enterprises, and the lists of all other members by name, and tries to name a bank's customers: by
unkeyed hashes, and by the order in which pseudonyms come. What it knows anyway, who is on which of the other lists, is
in the chance that it is held against. A holder tries to read more from the order of a list, a bank who of its customers
banks elsewhere, and the authority whose ids it evaluates.

Controls: hub and authority together; lists in the order of a table; all enterprises included, so that who is left out
banks elsewhere; ids that are not blinded.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from fedrisk.alignment import oprf, ristretto
from fedrisk.alignment.matching import UNUSED, left_out_likelihood_ratio
from fedrisk.attacks.attack import Attack, Effort, Measured
from fedrisk.attacks.consortium import Consortium, build
from fedrisk.attacks.controls import in_own_order, without_blinds
from fedrisk.attacks.intervals import CONFIDENCE, share
from fedrisk.attacks.recorded import Record
from fedrisk.attacks.small_province import BANKS, CHEAP, MANY_STUDIES
from fedrisk.clients import align
from fedrisk.clients.attempt import Attempt
from fedrisk.protocol.payload import Payload
from fedrisk.server import roster as hub_roster

NAME = "linkage"
OPRF = "Freedman, Ishai, Pinkas & Reingold (2005), RFC 9497"
SEPARATION = "Kelman, Bass & Holman (2002)"
ENTERPRISES, MORE = 900, 2500
AUTHORITY = "office"


def run(folder: Path, effort: Effort) -> Iterator[Measured]:
    """All figures of the attack, in ``folder``."""
    enterprises = ENTERPRISES if effort.quick else MORE
    consortium = build(
        folder / "names", BANKS[:2], ("tax",), enterprises=enterprises, authority=AUTHORITY, policy=MANY_STUDIES,
        study=CHEAP,
    )  # fmt: skip
    yield from _names(consortium)
    yield from _order(consortium)
    yield from _blinded(folder / "blinded")
    yield from _elsewhere(folder / "banks", enterprises)


def _guessed(target: str, hits: int, trials: int, begun: float, **more: Any) -> Measured:
    """Share of right guesses."""
    about = {
        "attack": NAME,
        "target": target,
        "figure": "accuracy",
        "method": OPRF,
        "confidence": CONFIDENCE,
        **more,
    }
    return Measured.of(share(hits, trials), begun=begun, **about)


# --- the hub ------------------------------------------------------------------------------------------------


@dataclass
class Seen:
    """What the hub opens of one alignment: pseudonyms of each member in the order in which they came, (rows, 32)."""

    pseudonyms: dict[str, list[bytes]] = field(default_factory=dict)


@contextmanager
def opening_pseudonyms() -> Iterator[Seen]:
    """Keeps them, as a lying hub would."""
    seen, opened = Seen(), hub_roster._opened

    def kept(own: Any, key: Any, answer: Any) -> Any:
        values, flags = opened(own, key, answer)
        seen.pseudonyms[key.institution] = [row.tobytes() for row in values]
        return values, flags

    with patch.object(hub_roster, "_opened", kept):
        yield seen


def _names(consortium: Consortium) -> Iterator[Measured]:
    """Of a bank's pseudonyms, how many the hub names; of two epochs, how many it links; control: with the key."""
    bank = BANKS[0]
    with opening_pseudonyms() as first:
        record = consortium.stopped("edges", wire=False)
    truth = _truth(consortium, record)
    others = {n: {truth[p] for p in first.pseudonyms[n]} for n in first.pseudonyms if n != bank}
    register = sorted(set(truth.values()))
    begun = time.monotonic()
    guesses, chance = named(consortium, first.pseudonyms, bank, others, register)
    hits = sum(guesses[p] == truth[p] for p in first.pseudonyms[bank])
    yield _guessed("customers/named", hits, len(guesses), begun, party="bank", chance=chance)
    key = consortium.nodes[AUTHORITY].store.authority.key(consortium.study.alignment.epoch)
    known = {
        v.tobytes(): i
        for v, i in zip(oprf.pseudonyms([i.encode() for i in register], key), register, strict=True)
    }
    both = sum(known.get(p) == truth[p] for p in first.pseudonyms[bank])
    control = {"control": "one_colluder_too_many", "chance": chance, "party": "bank"}
    yield _guessed("customers/named", both, len(guesses), begun, **control)
    yield from _epochs(consortium, first, truth, bank)


def _truth(consortium: Consortium, record: Record) -> dict[bytes, str]:
    """Whose each pseudonym is, by all institutions' own stores."""
    out: dict[bytes, str] = {}
    for name, node in consortium.nodes.items():
        if name in consortium.tables:
            ids = np.sort(consortium.tables[name]["id"].to_numpy(object))
            tag = node.attempt(Payload({"attempt": record.attempt})).key_tag
            values, _ = node.store.pseudonyms.of(tag, ids)
            out |= {v.tobytes(): str(i) for v, i in zip(values, ids, strict=True)}
    return out


def named(
    consortium: Consortium,
    seen: Mapping[str, list[bytes]],
    bank: str,
    others: Mapping[str, set[str]],
    register: list[str],
) -> tuple[dict[bytes, str], float]:
    """The hub's guess for each pseudonym of a bank, and what guessing among all that fit gives.

    It knows the other lists by name, so a pseudonym is of an enterprise on the same of them; among these it takes an
    unkeyed hash where one fits, and else goes by order.
    """
    hashes = {h: i for i in register for h in _hashes(i, consortium.study.digest())}
    on = {n: set(seen[n]) for n in others}
    classes: dict[tuple[bool, ...], list[bytes]] = {}
    for p in seen[bank]:
        classes.setdefault(tuple(p in on[n] for n in others), []).append(p)
    out: dict[bytes, str] = {}
    expected = 0.0
    for there, mine in classes.items():
        names = [i for i in register if there == tuple(i in others[n] for n in others)]
        places = np.linspace(0, len(names) - 1, len(mine)).round().astype(int)
        out |= {p: hashes.get(p, names[k]) for p, k in zip(mine, places, strict=True)}
        expected += len(mine) / len(names)
    return out, expected / len(seen[bank])


def _hashes(name: str, salt: str) -> Iterator[bytes]:
    """Hashes of an id that anybody could compute, 32 bytes each."""
    for text in (name.encode(), f"{salt}{name}".encode(), f"{name}{salt}".encode()):
        yield hashlib.sha256(text).digest()
        yield hashlib.sha512(text).digest()[:32]
        yield hashlib.blake2b(text, digest_size=32).digest()


def _epochs(consortium: Consortium, first: Seen, truth: Mapping[bytes, str], bank: str) -> Iterator[Measured]:
    """Whether pseudonyms of two epochs are linked by their bytes or their order."""
    begun = time.monotonic()
    with opening_pseudonyms() as second:
        record = consortium.stopped("edges", consortium.with_study(alignment={"epoch": "next"}), wire=False)
    later = _truth(consortium, record)
    one, two = first.pseudonyms[bank], second.pseudonyms[bank]
    same = set(one) & set(two)
    hits = sum(truth[a] == later[a if a in same else b] for a, b in zip(one, two, strict=True))
    yield _guessed("customers/two_epochs", hits, len(one), begun, party="bank", chance=1 / len(one))


# --- a holder -----------------------------------------------------------------------------------------------


def _order(consortium: Consortium) -> Iterator[Measured]:
    """Of two of its enterprises on a bank's list, which has the smaller id: by their places on the list.

    If places told it, places between known enterprises would tell of those that the holder does not know.
    """
    for control in ("", "row_order"):
        begun = time.monotonic()
        with in_own_order() if control else nullcontext():
            record = consortium.stopped("mask", wire=False)
        rows = record.step("edges").sent["tax"].array(f"rows:{BANKS[0]}")
        node = consortium.nodes["tax"]
        ids = node.attempt(Payload({"attempt": record.attempt})).read().ids[rows[rows >= 0]]
        pairs = ids[: len(ids) // 2 * 2].reshape(-1, 2)
        hits = sum(str(a) < str(b) for a, b in pairs)
        more = {"party": "bank", "chance": 0.5, "control": control, "method": SEPARATION}
        yield _guessed("list_order", hits, len(pairs), begun, **more)


# --- the authority ------------------------------------------------------------------------------------------


def _blinded(folder: Path) -> Iterator[Measured]:
    """Of the points that the authority evaluates, how many it recognises among those of the whole register."""
    for control in ("", "blinds"):
        begun, home = time.monotonic(), folder / (control or "as it is")
        consortium = build(home, BANKS[:1], ("tax",), enterprises=400, authority=AUTHORITY)
        with asked_points() as points, without_blinds() if control else nullcontext():
            consortium.stopped("edges", wire=False)
        register = sorted(set().union(*(t["id"] for t in consortium.tables.values())))
        with without_blinds():
            _, bare = ristretto.blind_chunk([i.encode() for i in register])
        known = set(_points(bare))
        hits = sum(p in known for p in points)
        yield _guessed("evaluated_ids", hits, len(points), begun, chance=0.0, control=control)


@contextmanager
def asked_points() -> Iterator[list[bytes]]:
    """Keeps the points that the authority is asked to evaluate."""
    points, blinded = list[bytes](), align._blinded

    def kept(attempt: Attempt, name: str, sealed: bytes) -> tuple[int, bytes]:
        declared, came = blinded(attempt, name, sealed)
        points.extend(_points(came))
        return declared, came

    with patch.object(align, "_blinded", kept):
        yield points


def _points(together: bytes) -> list[bytes]:
    return [together[k : k + ristretto.POINT] for k in range(0, len(together), ristretto.POINT)]


# --- a bank -------------------------------------------------------------------------------------------------


def _elsewhere(folder: Path, enterprises: int) -> Iterator[Measured]:
    """How much likelier a bank's customer that is left out banks elsewhere too, from the flags that the bank sees."""
    flags = []
    for control, q in (("", 0.8), ("", 0.8), ("inclusion", 1.0)):
        begun = time.monotonic()
        study = {**CHEAP, "alignment": {"inclusion_probability": q}}
        home = folder / (control or "as it is")
        consortium = build(home, BANKS[:2], (), enterprises=enterprises, study=study, policy=MANY_STUDIES)
        record = consortium.stopped("calibrate", wire=False)
        left_out, elsewhere = _left_out(consortium, record)
        flags.append(left_out)
        if not control and len(flags) == 2:
            changed = sum(flags[0][i] != flags[1][i] for i in flags[0])
            more = {"party": "bank", "figure": "share", "claimed": 0.0, "method": "exact"}
            yield _guessed("left_out/second_study", changed, len(flags[0]), begun, **more)
            continue
        yield _ratio(left_out, elsewhere, left_out_likelihood_ratio(0.8, 2), control, begun)


def _left_out(consortium: Consortium, record: Record) -> tuple[dict[str, bool], set[str]]:
    """By customer of the first bank whether it is left out, and who banks at the second too."""
    one, two = BANKS[:2]
    sent = record.step("edges").sent[one]
    rows, use = sent.array(f"rows:{one}"), sent.array(f"use:{one}")
    ids = consortium.nodes[one].attempt(Payload({"attempt": record.attempt})).read().ids[rows]
    return {str(i): bool(u == UNUSED) for i, u in zip(ids, use, strict=True)}, set(
        consortium.tables[two]["id"]
    )


def _ratio(
    left_out: Mapping[str, bool], elsewhere: set[str], claimed: float, control: str, begun: float
) -> Measured:
    """Likelihood ratio of being left out, with the ends of both shares' exact intervals."""
    counts = Counter((i in elsewhere, out) for i, out in left_out.items())
    ends, middle = {}, {}
    for both in (True, False):
        hits, trials = counts[both, True], counts[both, True] + counts[both, False]
        found = share(hits, trials)
        ends[both] = found.low, found.high
        # Half a hit more, so that there is a ratio also where nobody was left out (Haldane 1956).
        middle[both] = (hits + 0.5) / (trials + 1)
    least = 0.5 / (len(left_out) + 1)
    more = {"low": ends[True][0] / ends[False][1], "high": ends[True][1] / max(ends[False][0], least)}
    return Measured(
        attack=NAME, target="left_out/banks_elsewhere", party="bank", figure="likelihood_ratio",
        value=middle[True] / middle[False], chance=1.0, claimed=claimed, control=control, trials=len(left_out),
        confidence=CONFIDENCE, seconds=time.monotonic() - begun, method="exact", **more,
    )  # fmt: skip


ATTACK = Attack(
    name=NAME,
    attacker="The hub, a data holder, a bank, and the authority that keeps the key of the pseudonyms",
    knows="The hub the register of all enterprises and all other lists by name; each of the others what it is sent",
    wants="Who banks where, beyond what the documentation says that each of them learns",
    how="The hub goes by hashes and by order, the holder by places on a list, the authority by points that it can work "
    "out, and the bank by who of its customers is left out",
    sources=(OPRF, SEPARATION),
    run=run,
)
