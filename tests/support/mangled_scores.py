"""Messages about scores as a broken or lying side sends them: mangled, replayed, reordered, misaddressed; by a seed."""

import random
from collections.abc import Iterator, Sequence

from fedrisk.protocol import scoring_pb2 as pb


def mangled(raw: bytes, rng: random.Random) -> bytes:
    """Other bytes than those: bits turned, cut, longer, a piece twice, a piece gone, zeros, or rubbish."""
    if not raw:
        return rng.randbytes(rng.randint(1, 40))
    at, size = rng.randrange(len(raw)), rng.randint(1, 16)
    ways = (
        lambda: raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :],
        lambda: raw[:at],
        lambda: raw + rng.randbytes(size),
        lambda: raw[: at + size] + raw[at:],
        lambda: raw[:at] + raw[at + size :],
        lambda: raw[:at] + bytes(size) + raw[at + size :],
        lambda: rng.randbytes(len(raw)),
    )
    found = raw
    while found == raw:
        found = rng.choice(ways)()
    return found


def questions(honest: Sequence[bytes], rng: random.Random, number: int) -> Iterator[tuple[str, bytes]]:
    """(what was done, message) of so many questions made of honest ones.

    Each mangles the message, an envelope, or says it in another place: other members, ids, models, or once more.
    """
    for _ in range(number):
        raw, other = rng.choice(honest), rng.choice(honest)
        asked, strange = pb.Question.FromString(raw), pb.Question.FromString(other)
        way = rng.choice(
            ("message", "envelope", "replayed", "swapped", "id", "model", "member", "parts", "other")
        )
        parts = list(asked.parts)
        if way == "message":
            yield way, mangled(raw, rng)
            continue
        if way == "envelope":
            part = rng.choice(parts)
            part.envelope = mangled(part.envelope, rng)
        elif way == "swapped":
            parts[0].envelope, parts[-1].envelope = parts[-1].envelope, parts[0].envelope
        elif way == "id":
            asked.id = rng.choice((strange.id, f"{rng.getrandbits(128):032x}", asked.id[:-1], ""))
        elif way == "model":
            asked.model = rng.choice(("f" * 16, asked.model[::-1], "x", ""))
        elif way == "member":
            parts[0].member = rng.choice(("bank", "nobody", parts[-1].member, "", "../tax"))
        elif way == "parts":
            del asked.parts[rng.randrange(len(parts)) :]
        elif way == "other":
            parts[0].envelope = strange.parts[0].envelope
        yield way, asked.SerializeToString()


def to_nodes(honest: Sequence[bytes], rng: random.Random, number: int) -> Iterator[tuple[str, bytes]]:
    """(what was done, message) of so many messages to a node, made of honest parts."""
    for _ in range(number):
        raw, other = rng.choice(honest), rng.choice(honest)
        said, strange = pb.ToNode.FromString(raw), pb.ToNode.FromString(other)
        way = rng.choice(("message", "envelope", "replayed", "asker", "id", "model", "seconds", "other"))
        if way == "message":
            yield way, mangled(raw, rng)
            continue
        part = said.part
        if way == "envelope":
            part.envelope = mangled(part.envelope, rng)
        elif way == "asker":
            part.asker = rng.choice(("tax", "power", "nobody", "", "Bank"))
        elif way == "id":
            part.id = rng.choice((strange.part.id, f"{rng.getrandbits(128):032x}", ""))
        elif way == "model":
            part.model = rng.choice(("f" * 16, ""))
        elif way == "seconds":
            part.seconds = rng.choice((0.0, -1.0, float("nan"), float("inf")))
        elif way == "other":
            part.envelope = strange.part.envelope
        yield way, said.SerializeToString()
