"""What a lying hub does to its messages, for tests that play one."""

import copy

from fedrisk.protocol.payload import Payload


def part(payload, name):
    """Number and content of a part of the common view in a message, or None."""
    found = [p for p in payload.body.get("common", []) if p["name"] == name]
    return None if not found else (found[0]["number"], found[0]["content"])


def retell(step, name, content=None, blobs=None, members=None):
    """Tell a part of the common view otherwise: ``content(body)`` and ``blobs(array name, array)`` change it.

    members: who is told otherwise; None for all who get the part in this step. Returns who was lied to.
    """
    lied = []
    for member, payload in step.sent.items():
        there = part(payload, name)
        if there is None or (members is not None and member not in members):
            continue
        number, _ = there
        body = copy.deepcopy(dict(payload.body))
        own = next(p for p in body["common"] if p["number"] == number)
        if content is not None:
            content(own["content"])
        arrays = dict(payload.blobs)
        for key in list(arrays):
            if blobs is not None and key.startswith(f"common/{number}/"):
                arrays[key] = blobs(key.rpartition("/")[2], arrays[key].copy())
        step.sent[member] = Payload(body, arrays)
        lied.append(member)
    return lied


def spends(consortium):
    """Releases that each institution was charged for, by name."""
    return {name: {e.spend.release for e in node.ledger.entries()} for name, node in consortium.nodes.items()}
