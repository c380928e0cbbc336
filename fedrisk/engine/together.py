"""What ``fedrisk check`` can say where the files and stores of all institutions lie on one machine.

Pinned keys, the key of the pseudonyms, signed heads, the key authority's quota, and how many enterprises institutions
have in common. Between machines nobody can look at these beforehand; there the exchanges
of a study refuse what is wrong, before anything is charged, and say so to those concerned alone.
"""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from fedrisk.alignment import oprf
from fedrisk.clients import quota_words
from fedrisk.clients.attempt import key_tag_of
from fedrisk.clients.node import Node
from fedrisk.clients.out_of_time import rows_by_side
from fedrisk.clients.store.store import fingerprint_of
from fedrisk.clients.witness import foreseen
from fedrisk.engine.member_check import Looked
from fedrisk.errors import PolicyError, QuotaError
from fedrisk.findings import Finding
from fedrisk.protocol.order import check_common, overlap_wanted, share_in_common, shares_of, wanted_rows
from fedrisk.secure.identity import IdentityKey
from fedrisk.secure.pins import refuse_changed
from fedrisk.server.hub import Hub
from fedrisk.study import Study

TIMED_IDS = 256
"""Ids by which the time of an alignment is measured: a quarter of a second."""

TIMED_FROM = 3.0
"""Seconds from which on the time of a first alignment is told."""

FEW_IN_COMMON = 0.2
"""Share in common, of the smaller side, below which two institutions are asked about their ids."""

UNLIKE = 2.0
"""Sizes that differ so many times from the declared ones are asked about."""


@dataclass(frozen=True, kw_only=True)
class Common:
    """Enterprises of a bank that a holder knows. share: of the bank's rows."""

    bank: str
    holder: str
    enterprises: int
    share: float


def check_registered(nodes: Mapping[str, Node], hub: Hub) -> None:
    """EnvelopeError where a key is not the one that others pinned; StoreError where a registered node lost its own."""
    new = b"a key that is not made yet"
    keys = {name: key or new for name, key in ((n, _identity(node)) for n, node in nodes.items())}
    file = hub.path / "identity.key"
    of_hub = IdentityKey.load(file).public if file.exists() else new
    if (hub.path / "pins.json").exists():
        pinned = hub.pins
        refuse_changed([n for n, k in keys.items() if pinned.get(n, k) != k], hub.path / "pins.json")
    for node in nodes.values():
        if node.store.registered:
            node.store.pins.with_new(of_hub, keys, node.store.pins_path)


def _identity(node: Node) -> bytes | None:
    """Public key of a node; None where it has none yet."""
    return node.store.identity.public if node.store.has_identity else None


def check_evaluation_key(study: Study, nodes: Mapping[str, Node]) -> None:
    """ProtocolError where pseudonyms of the epoch were made under another key than the authority has."""
    authority = nodes[study.authority].store
    there = (authority.path / "epochs" / f"{study.alignment.epoch}.voprf").exists()
    public = oprf.public_key(authority.authority.key(study.alignment.epoch)) if there else b"made anew"
    tag = key_tag_of(study, research=False)
    for node in nodes.values():
        node.store.pseudonyms.check_key(tag, public)


def check_heads_of(node: Node, nodes: Mapping[str, Node]) -> None:
    """PolicyError where others keep signed heads of a node that it no longer agrees with."""
    found = foreseen(node, {name: other for name, other in nodes.items() if name != node.name})
    if found:
        raise PolicyError("; ".join(found))


def check_quota(study: Study, nodes: Mapping[str, Node], looked: Looked, research: bool) -> None:
    """PolicyError where the key authority would not evaluate so many new ids of an institution in this epoch."""
    authority, node, table, new = nodes[study.authority].store, looked.node, looked.table, looked.new
    asks = new is not None and table is not None and new.any() and node.name != study.authority
    if research or not asks or not (authority.path / "quota.sqlite").exists() or _identity(node) is None:
        return
    tag = key_tag_of(study, research=research)
    ids = [i.encode() for i in sorted(table.ids[new])] if table is not None else []
    kept = node.store.pseudonyms.pending(tag, ids)
    request = None if kept is None else hashlib.sha256(kept[1]).hexdigest()
    fingerprint = fingerprint_of(node.store.identities[0])
    try:
        authority.authority.quota.foresee(fingerprint, tag, len(ids), request=request)
    except QuotaError as error:
        name, epoch = study.authority, study.alignment.epoch
        file = nodes[name].institution.file
        raise quota_words.refused(error, name=node.name, authority=name, epoch=epoch, file=file) from None


def in_common(study: Study, tables: Mapping[str, Looked]) -> tuple[Common, ...]:
    """How many enterprises each bank and holder have in common, by their tables; of those whose table can be read."""
    ids = {n: pa.array(t.table.ids, pa.large_string()) for n, t in tables.items() if t.table is not None}
    found = []
    for bank in (b for b in study.banks if b in ids):
        for holder in (h for h in study.holders if h in ids):
            both = int(pc.sum(pc.is_in(ids[bank], value_set=ids[holder])).as_py() or 0)
            share = both / max(1, len(ids[bank]))
            found.append(Common(bank=bank, holder=holder, enterprises=both, share=share))
    return tuple(found)


def check_drawn(study: Study, found: Mapping[str, Looked], common: tuple[Common, ...], name: str) -> None:
    """What a member would refuse once rows are drawn: too little in common, too few rows for training.

    Draws are the hub's, so rows are reckoned with their average; DataError or PolicyError as in the study.
    """
    trainers, own = study.trainers, found[name].rows
    sizes = {t: len(table) for t in trainers if (table := found[t].table) is not None}
    if len(sizes) < len(trainers) or found[name].table is None:
        return
    known = sum(c.enterprises for c in common if c.holder == name)
    if name not in trainers:
        check_common(study, name, known, sum(sizes.values()), own)
    for trainer, rows in sizes.items():
        _enough(study, found, name, f"rows of {trainer}", rows / len(trainers), rows, trainer)
    if name not in trainers:
        _enough(study, found, name, "own rows", known, own, *trainers)


def _enough(
    study: Study, found: Mapping[str, Looked], name: str, what: str, there: float, most: int, *trainers: str
) -> None:
    """PolicyError where a draw would leave fewer rows for training than clients/row_order believes."""
    policy = found[name].node.institution.policy
    wanted = wanted_rows(policy.least_rows, shares_of(study)["training"], most)
    expected = there * study.inclusion_probability * _training_share(study, found, trainers)
    if expected < wanted:
        raise PolicyError(
            f"{name}: too few {what}: about {expected:.0f} would be left for training, and {math.ceil(wanted)} are "
            f"wanted, as policy.least_rows = {policy.least_rows}; let more enterprises take part, or change the policy"
        )


def _training_share(study: Study, found: Mapping[str, Looked], trainers: Sequence[str]) -> float:
    """Share of these trainers' rows that are for training: by date, or by the draw."""
    if study.holdout.kind != "out_of_time":
        return 1 - study.holdout.percent / 100
    tables = {t: table for t in trainers if (table := found[t].table) is not None}
    sides = [rows_by_side(study, found[t].node, table) for t, table in tables.items()]
    there = [s for s in sides if s is not None]
    return sum(early for early, _ in there) / max(1, sum(map(sum, there)))


def check_held_out(study: Study, found: Mapping[str, Looked]) -> Iterator[Finding]:
    """What is asked where a date leaves nobody for the hold-out."""
    if study.holdout.kind == "out_of_time" and _training_share(study, found, study.trainers) == 1:
        yield Finding("nobody_held_out", {"boundary": str(study.holdout.from_date)})


def compared(study: Study, found: Mapping[str, Looked], common: tuple[Common, ...]) -> Iterator[Finding]:
    """Declared sizes that do not agree with the tables, and pairs with little in common."""
    rows = {name: found[name].rows for name in study.trainers}
    declared, there = study.expected.enterprises, sum(rows.values())
    if declared and there and not 1 / UNLIKE < there / declared < UNLIKE:
        yield Finding("enterprises_not_as_declared", {"declared": declared, "rows": there})
    for c in common:
        share = share_in_common(c.enterprises, rows[c.bank], found[c.holder].rows)
        alone = len(study.banks) == 1 and share < overlap_wanted(study)  # then it is refused already
        if share < FEW_IN_COMMON and not alone:
            yield Finding("little_in_common", vars(c))
    if common and study.banks:
        known = sum(c.enterprises for c in common) / max(1, there * len({c.holder for c in common}))
        expected = 1.0 if study.expected.known is None else study.expected.known
        if not 1 / 1.5 < known / expected < 1.5:
            yield Finding("known_not_as_declared", {"declared": expected, "known": known})


def alignment_time(study: Study, found: Mapping[str, Looked]) -> Finding | None:
    """How long the first alignment of ids will take on this machine; None where it takes no time worth telling."""
    own = blinded = 0
    for name, looked in found.items():
        new = 0 if looked.new is None else int(looked.new.sum())
        own, blinded = (own + new, blinded) if name == study.authority else (own, blinded + new)
    if not own + blinded:
        return None
    cores = oprf.processors()
    there_and_back, alone = _seconds_an_id()
    seconds = (blinded * there_and_back + own * alone) / cores
    if seconds < TIMED_FROM:
        return None
    return Finding("alignment_first", {"seconds": seconds, "ids": own + blinded, "cores": cores})


def _seconds_an_id() -> tuple[float, float]:
    """Seconds of one core for an id: blinded, evaluated with its proof and checked; and by the authority for itself."""
    ids, key = [b"time%06d" % i for i in range(TIMED_IDS)], oprf.new_key()
    oprf.blind(ids[:8])  # tables are made with the first point
    start = time.perf_counter()
    blinds, points = oprf.blind(ids)
    evaluated, proofs = oprf.evaluate(points, key)
    oprf.finalise(ids, blinds, points, evaluated, proofs, oprf.public_key(key))
    between = time.perf_counter()
    oprf.pseudonyms(ids, key)
    return (between - start) / TIMED_IDS, (time.perf_counter() - between) / TIMED_IDS
