"""Mangled copies of a message: every field, array and envelope of it broken, or put to another valid value, in turn.

A mangling says where it was done, in a form without numbers of places (``common.order.training.NAME``), and whether
what stands there now can be told from a true value at all (``wrong``) or may be one (``other``).
"""

import copy
import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fedrisk.protocol.payload import Payload, to_record

WRONG: tuple[tuple[str, Any], ...] = (
    ("None", None),
    ("empty text", ""),
    ("long text", "x" * 100_000),
    ("half a surrogate", "\ud800"),
    ("zero byte", "a\x00b"),
    ("path", "../../x"),
    ("-1", -1),
    ("0", 0),
    ("0.5", 0.5),
    ("1e300", 1e300),
    ("NaN", math.nan),
    ("infinity", math.inf),
    ("-infinity", -math.inf),
    ("True", True),
    ("False", False),
    ("empty list", []),
    ("list", [1, "a", None]),
    ("empty object", {}),
    ("object", {"a": 1}),
    ("huge integer", 10**400),
    ("more digits than Python reads", "@digits@"),
    ("2^63", 1 << 63),
    ("-2^63 - 1", -(1 << 63) - 1),
)
"""What takes the place of a value."""

_DIGITS = "7" * 5000


@dataclass(frozen=True)
class Mangled:
    """One mangled message. where: of the field or blob. how: what was done. other: it may be another valid value."""

    where: str
    how: str
    make: Callable[[], RecordDict]
    other: bool = False


def manglings(
    payload: Payload, names: list[str], foreign: list[Payload], attempts: list[str]
) -> Iterator[Mangled]:
    """All manglings of a message.

    names: of the study's members. foreign: messages of other actions. attempts: ids of other attempts.
    """
    yield from _of_body(payload, names)
    yield from _of_blobs(payload, names)
    yield from _of_whole(payload, foreign, attempts)
    yield from _of_record(payload)


def sample(every: Iterator[Mangled], count: int, seed: str) -> list[Mangled]:
    """So many of them, spread evenly over the places of the message, the same for the same seed."""
    chance = random.Random(seed)
    by_place: dict[str, list[Mangled]] = defaultdict(list)
    for mangled in every:
        by_place[mangled.where].append(mangled)
    queues = list(by_place.values())
    chance.shuffle(queues)
    for queue in queues:
        chance.shuffle(queue)
    chosen: list[Mangled] = []
    while len(chosen) < count and queues:
        for queue in queues:
            chosen.append(queue.pop())
        queues = [queue for queue in queues if queue]
    return chosen[:count]


# --- the body -----------------------------------------------------------------------------------------------


def _of_body(payload: Payload, names: list[str]) -> Iterator[Mangled]:
    body = dict(payload.body)
    for path in _paths(body):
        where = _place(body, path, names)
        yield from _replaced(payload, path, where, names)
        yield _changed(payload, path, where, "removed", _remove)
        if isinstance(path[-1], str):
            yield _changed(payload, path, where, "renamed", _rename)
            yield _changed(payload, path, where, "extra field beside", _beside)
        else:
            yield _changed(payload, path, where, "twice", _double, other=True)
            if len(_at(body, path[:-1])) > 1:
                yield _changed(payload, path, where, "swapped with the next", _swap, other=True)


def _replaced(payload: Payload, path: tuple[Any, ...], where: str, names: list[str]) -> Iterator[Mangled]:
    before = _at(payload.body, path)
    for how, value in WRONG:
        if json.dumps(value) != json.dumps(before):
            # A number, a text or a truth value in the place of one may be a true one.
            alike = _alike(before, value)
            yield _changed(payload, path, where, how, _put(value), other=alike)
    for how, value in _others(before, names):
        if value != before:
            yield _changed(payload, path, where, how, _put(value), other=True)
    parent = _at(payload.body, path[:-1])
    if isinstance(parent, dict):
        for key, value in parent.items():
            if key != path[-1] and type(value) is type(before) and value != before:
                yield _changed(payload, path, where, "as its neighbour", _put(value), other=True)
                break


def _alike(before: Any, value: Any) -> bool:
    if value is None or value == "@digits@":
        return value is None
    number = (int, float)
    if isinstance(before, number) and not isinstance(before, bool):
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, type(before))


def _others(before: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    """Other values of the same type."""
    if isinstance(before, bool):
        yield "the other truth value", not before
    elif isinstance(before, int):
        yield "one more", before + 1
        yield "one less", before - 1
        yield "same number with a point", float(before)
    elif isinstance(before, float):
        yield "a little more", before * 1.001 + 1e-9
        yield "a last digit more", float(np.nextafter(before, np.inf))
        yield "another sign", -before
    elif isinstance(before, str):
        for name in names:
            yield "name of another member", name
        if before:
            yield "another last letter", before[:-1] + ("0" if before[-1] != "0" else "1")
            yield "a letter more", before + "0"
            yield "capitals", before.upper()
    elif isinstance(before, list) and before:
        yield "backwards", before[::-1]
        yield "one less", before[:-1]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        # Long lists have the first, the last and one between.
        for k in sorted({0, len(value) // 2, len(value) - 1}) if value else ():
            yield from _paths(value[k], (*path, k))


def _place(body: Any, path: tuple[Any, ...], names: list[str]) -> str:
    words = []
    for k, key in enumerate(path):
        if path[0] == "common" and k == 1:
            words.append(str(body["common"][key]["name"]))
        elif path[0] == "common" and k == 2 and key == "content":
            continue
        else:
            words.append("*" if isinstance(key, int) else "NAME" if key in names else key)
    return ".".join(words)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


Edit = Callable[[Any, Any], None]


def _changed(
    payload: Payload, path: tuple[Any, ...], where: str, how: str, edit: Edit, *, other: bool = False
) -> Mangled:
    def make() -> RecordDict:
        body = copy.deepcopy(dict(payload.body))
        edit(_at(body, path[:-1]), path[-1])
        record = to_record(Payload(body, payload.blobs))
        text = str(record.config_records["body"]["json"])
        if "@digits@" in text:
            record.config_records["body"] = ConfigRecord({"json": text.replace('"@digits@"', _DIGITS)})
        return record

    return Mangled(where, how, make, other)


def _put(value: Any) -> Edit:
    def edit(parent: Any, key: Any) -> None:
        parent[key] = copy.deepcopy(value)

    return edit


def _remove(parent: Any, key: Any) -> None:
    del parent[key]


def _rename(parent: Any, key: Any) -> None:
    parent[key + "x"] = parent.pop(key)


def _beside(parent: Any, key: Any) -> None:
    parent["unknown_field"] = copy.deepcopy(parent[key])


def _double(parent: Any, key: Any) -> None:
    parent.insert(key, copy.deepcopy(parent[key]))


def _swap(parent: Any, key: Any) -> None:
    after = (key + 1) % len(parent)
    parent[key], parent[after] = parent[after], parent[key]


# --- arrays and envelopes -----------------------------------------------------------------------------------


def _of_blobs(payload: Payload, names: list[str]) -> Iterator[Mangled]:
    parts = {str(p["number"]): p["name"] for p in payload.body.get("common", [])}
    for name, blob in payload.blobs.items():
        where = _blob_place(name, parts, names)
        yield _blobs(payload, where, "removed", {name: None})
        yield _blobs(payload, where, "renamed", {name: None, name + "x": blob})
        yield _blobs(payload, where, "beside under another name", {name + "x": blob})
        variants = _arrays(blob) if isinstance(blob, np.ndarray) else _envelopes(bytes(blob))
        for how, value, other in variants:
            yield _blobs(payload, where, how, {name: value}, other=other)
        for second in payload.blobs:
            if second != name and not _equal(payload.blobs[second], blob):
                swapped = {name: payload.blobs[second], second: blob}
                yield _blobs(payload, where, "swapped with another", swapped, other=True)


def _blob_place(name: str, parts: dict[str, str], names: list[str]) -> str:
    if name.startswith("common/"):
        _, number, _rest = name.split("/", 2)
        return f"common.{parts[number]}.[blob]"
    for member in sorted(names, key=len, reverse=True):
        name = name.replace(member, "NAME")
    return f"[{name}]"


def _arrays(blob: np.ndarray[Any, Any]) -> Iterator[tuple[str, Any, bool]]:
    yield "empty", blob.reshape(-1)[:0], False
    yield "bytes", blob.tobytes(), False
    for dtype in ("float32", "float64", "int32", "int64", "uint8", "uint64"):
        if blob.dtype.name != dtype:
            yield f"as {dtype}", blob.astype(dtype), False
    yield "one axis more", blob[None], False
    if blob.ndim == 2 and blob.shape[0] != blob.shape[1]:
        yield "transposed", np.ascontiguousarray(blob.T), False
    if blob.ndim == 2:
        yield "flat", blob.reshape(-1), False
    if len(blob):
        yield "one row less", blob[:-1], False
        yield "one row more", np.concatenate([blob, blob[-1:]]), False
    if blob.dtype.kind == "f":
        for value in (math.nan, math.inf, -math.inf, 1e300, -1e300):
            with np.errstate(over="ignore"):
                yield f"{value} in it", _with(blob, value), False
        for how, value in (("-1", -1.0), ("0", 0.0)):
            yield f"{how} in it", _with(blob, value), True
        yield "a last digit more", np.nextafter(blob, blob.dtype.type(np.inf)), True
        yield "a little more", (blob * 1.001 + 0.01).astype(blob.dtype), True
    else:
        kind = np.iinfo(blob.dtype)
        for how, value in (("least", kind.min), ("most", kind.max)):
            yield f"{how} in it", _with(blob, value), True
        yield "one more", _with(blob, blob.reshape(-1)[len(blob) // 2] + 1) if blob.size else blob, True
        yield "-1 in it", _with(blob, -1 if kind.min < 0 else kind.max), True
    if blob.size > 1:
        yield "backwards", np.ascontiguousarray(blob[::-1]), True
        yield "two swapped", _swapped(blob), True
        yield "two alike", _with(blob, blob.reshape(-1)[0]), True


def _envelopes(blob: bytes) -> Iterator[tuple[str, Any, bool]]:
    yield "empty", b"", False
    yield "array", np.frombuffer(blob, np.uint8), False
    yield "longer", blob + b"\0", False
    yield "twice", blob + blob, False
    for k in sorted({0, 3, 10, 40, 60, len(blob) // 2, len(blob) - 1}):
        if k < len(blob):
            yield "a bit flipped", blob[:k] + bytes([blob[k] ^ 1]) + blob[k + 1 :], False
    for k in (1, 16, len(blob) // 2, len(blob) - 5):
        if 0 < k < len(blob):
            yield "cut", blob[:-k], False


def _with(blob: np.ndarray[Any, Any], value: Any) -> np.ndarray[Any, Any]:
    out = blob.copy()
    if out.size:
        out.reshape(-1)[out.size // 2] = value
    return out


def _swapped(blob: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    out = blob.copy().reshape(-1)
    second = next((k for k in range(1, out.size) if out[k] != out[0]), 0)
    out[0], out[second] = blob.reshape(-1)[second], blob.reshape(-1)[0]
    return out.reshape(blob.shape)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def _blobs(payload: Payload, where: str, how: str, change: dict[str, Any], *, other: bool = False) -> Mangled:
    def make() -> RecordDict:
        blobs = {n: b for n, b in {**payload.blobs, **change}.items() if b is not None}
        return to_record(Payload(payload.body, blobs))

    # What is equal to the true one is no mangling; two cannot be told apart by whoever reads the name alone.
    same = all(
        n in payload.blobs and b is not None and _equal(payload.blobs[n], b) for n, b in change.items()
    )
    return Mangled(where, "as it is" if same else how, make, other or same)


# --- the whole message --------------------------------------------------------------------------------------


def _of_whole(payload: Payload, foreign: list[Payload], attempts: list[str]) -> Iterator[Mangled]:
    extra = {"unknown": 1, "spend": {"mu": 0}, "refused": "x", "confirm": {}, "signature": "00"}
    for name, value in extra.items():
        yield _whole("(extra field)", name, {**payload.body, name: value}, payload.blobs)
    beside = {"unknown": b"abc", "zz": np.zeros(3), "common/1/x": b"a", "common/99/x": np.zeros(2), "": b"a"}
    for name, blob in beside.items():
        yield _whole("(extra blob)", name or "without a name", payload.body, {**payload.blobs, name: blob})
    for message in foreign:
        body = {**message.body, **{k: payload.body[k] for k in ("attempt",) if k in payload.body}}
        yield _whole("(message)", "of another action", body, message.blobs, other=True)
        yield _whole("(message)", "body of another action", body, payload.blobs, other=True)
        if message.blobs:
            yield _whole("(message)", "blobs of another action", payload.body, message.blobs, other=True)
    for attempt in attempts:
        body = {**payload.body, "attempt": attempt}
        yield _whole("(message)", "of another attempt", body, payload.blobs, other=True)
    yield _whole("(message)", "empty", {}, {})
    yield _whole("(message)", "without a body", {}, payload.blobs)
    if payload.blobs:
        yield _whole("(message)", "without blobs", payload.body, {}, other=True)
    for field in ("common", "confirmed"):
        if field in payload.body:
            rest = {k: v for k, v in payload.body.items() if k != field}
            blobs = {
                n: b for n, b in payload.blobs.items() if field != "common" or not n.startswith("common/")
            }
            yield _whole("(message)", f"without {field}", rest, blobs)


def _whole(where: str, how: str, body: Any, blobs: Any, *, other: bool = False) -> Mangled:
    return Mangled(where, how, lambda: to_record(Payload(dict(body), dict(blobs))), other)


def _of_record(payload: Payload) -> Iterator[Mangled]:
    """What no sender of ours makes: other records than a body and blobs."""

    def body(change: Callable[[str], Any]) -> Callable[[], RecordDict]:
        def make() -> RecordDict:
            record = to_record(payload)
            text = str(record.config_records["body"]["json"])
            record.config_records["body"] = ConfigRecord({"json": change(text)})
            return record

        return make

    texts: dict[str, Callable[[str], Any]] = {
        "cut": lambda text: text[:-1],
        "a list": lambda text: f"[{text}]",
        "a number": lambda text: "1",
        "null": lambda text: "null",
        "empty": lambda text: "",
        "deeply nested": lambda text: "[" * 200_000,
        "nested within": lambda text: '{"attempt":' + "[" * 900 + "]" * 900 + "}",
        "a key twice": lambda text: text[:-1] + ',"attempt":"zzzzzzzz"}',
        "not text": lambda text: 5,
        "bytes": lambda text: text.encode(),
    }
    for how, change in texts.items():
        yield Mangled("(record body)", how, body(change), how == "a key twice")

    def without(key: str) -> Callable[[], RecordDict]:
        def make() -> RecordDict:
            record = to_record(payload)
            del record[key]
            return record

        return make

    yield Mangled("(record body)", "removed", without("body"))
    if "blobs" in to_record(payload):
        # Small ones lie beside the body.
        yield Mangled("(record blobs)", "removed", without("blobs"))

    def beside() -> RecordDict:
        record = to_record(payload)
        record["more"] = MetricRecord({"x": 1.0})
        return record

    yield Mangled("(record)", "another record beside", beside)

    def array(**change: Any) -> Callable[[], RecordDict]:
        def make() -> RecordDict:
            record = to_record(payload)
            record.setdefault("blobs", ArrayRecord())
            name = next(iter(record.array_records["blobs"]), "made up")
            old = record.array_records["blobs"].get(name) or Array("uint8", (3,), "fedrisk.array", b"abc")
            record.array_records["blobs"][name] = Array(
                change.get("dtype", old.dtype),
                change.get("shape", tuple(old.shape)),
                change.get("stype", old.stype),
                change.get("data", old.data),
            )
            return record

        return make

    forms: dict[str, dict[str, Any]] = {
        "pickled": {"stype": "numpy.ndarray", "data": b"\x93NUMPY"},
        "objects": {"stype": "fedrisk.array", "dtype": "object"},
        "unknown dtype": {"stype": "fedrisk.array", "dtype": "float16"},
        "negative shape": {"stype": "fedrisk.array", "dtype": "uint8", "shape": (-1, 7)},
        "shape too large": {"stype": "fedrisk.array", "dtype": "uint8", "shape": (1 << 62, 4)},
        "data too short": {"stype": "fedrisk.array", "dtype": "float64", "data": b"abc"},
        "no data": {"stype": "fedrisk.array", "dtype": "float64", "shape": (2,), "data": b""},
    }
    for how, form in forms.items():
        yield Mangled("(record blobs)", how, array(**form))
