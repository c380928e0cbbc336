"""The only translation between the domain and Flower's messages.

What the hub asks and an institution answers is a :class:`Payload`: a JSON body and named blobs (raw bytes or
arrays). It travels as a RecordDict: the body as one string of a ConfigRecord, small blobs beside it
(`protocol/packed`), large ones as an ArrayRecord, raw, so that nothing is pickled. An institution that refuses answers
with a code (errors.py) and nothing else, but for the code ``version``, with which it says what it speaks. The protocol
that a message is written in stands beside its body (protocol/versions), and enters no digest.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ProtocolError, VersionError
from fedrisk.protocol import versions
from fedrisk.protocol.packed import DTYPES, gather, spread
from fedrisk.protocol.packed import Blob as Blob
from fedrisk.protocol.packed import little_endian as _little_endian

if TYPE_CHECKING:
    # A process that only serves scores never sends a message of Flower, and does without its memory.
    from flwr.app import Message, RecordDict

_RAW = "fedrisk.bytes"


@dataclass(frozen=True)
class Payload:
    """One message's content: a body that JSON can hold and blobs by name.

    Arrays keep dtype (unsigned and signed integers, float32, float64) and shape; they arrive read-only. protocol: in
    which it came, None for one that was made here.
    """

    body: Mapping[str, Any] = field(default_factory=dict)
    blobs: Mapping[str, Blob] = field(default_factory=dict)
    protocol: int | None = field(default=None, kw_only=True, compare=False)
    _digests: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def refusal(self) -> str | None:
        """The code with which an institution refused, or None."""
        code = self.body.get("refused")
        return None if code is None else str(code)

    def array(self, name: str) -> NDArray[Any]:
        """A blob that has to be an array; ProtocolError where it is missing or bytes."""
        blob = self.blobs.get(name)
        if not isinstance(blob, np.ndarray):
            raise ProtocolError(
                f"the message lacks array {name}; sender and receiver must run the same version"
            )
        return blob

    def raw(self, name: str) -> bytes:
        """A blob that has to be bytes; ProtocolError where it is missing or an array."""
        blob = self.blobs.get(name)
        if not isinstance(blob, bytes):
            raise ProtocolError(
                f"the message lacks bytes {name}; sender and receiver must run the same version"
            )
        return blob

    def only(self, names: Collection[str]) -> None:
        """ProtocolError where there are other blobs than these: what nobody reads may say anything to anybody."""
        if set(self.blobs) - set(names):
            raise ProtocolError(
                "the message brings arrays or envelopes that nobody asked for; sender and receiver must run the same "
                "version. Nothing was used of it"
            )

    def get(self, key: str) -> Any:
        """An entry of the body that has to be there; ProtocolError where it is missing."""
        try:
            return self.body[key]
        except KeyError:
            raise ProtocolError(
                f"the message lacks entry {key}; sender and receiver must run the same version"
            ) from None

    def digest(self) -> str:
        """SHA-256 over body and blobs, hexadecimal."""
        state = hashlib.sha256(json.dumps(self.body, sort_keys=True).encode())
        for name in sorted(self.blobs):
            blob = self.blobs[name]
            head = f"{len(name)}:{name}:"
            if isinstance(blob, np.ndarray):
                head += f"{blob.dtype.str}{blob.shape}:"
            state.update(head.encode())
            state.update(self.blob_digest(name))
        return state.hexdigest()

    def blob_digest(self, name: str) -> bytes:
        """SHA-256 of one blob's bytes, computed once: trail, ledger and the check for repeats all ask for it."""
        if name not in self._digests:
            blob = self.blobs[name]
            raw = np.ascontiguousarray(blob).data if isinstance(blob, np.ndarray) else blob
            self._digests[name] = hashlib.sha256(raw).digest()
        return self._digests[name]

    def size(self) -> int:
        """Bytes of body and blobs, without Flower's own framing."""
        blobs = sum(b.nbytes if isinstance(b, np.ndarray) else len(b) for b in self.blobs.values())
        return len(_dump(self.body)) + blobs


def refused(code: str) -> Payload:
    """The answer of an institution that refuses: a code, nothing else; with ``version``, also what it speaks."""
    spoken = versions.Spoken.here().to_dict() if code == VersionError.code else {}
    return Payload({"refused": code, **spoken})


def protocol_of(record: "RecordDict") -> int:
    """The protocol that a message's content is written in; `versions.UNNUMBERED` where it names none."""
    try:
        number = record.config_records["body"]["protocol"]
    except KeyError:
        return versions.UNNUMBERED
    return number if type(number) is int and number > 0 else versions.UNNUMBERED


def to_record(payload: Payload, protocol: int | None = None) -> "RecordDict":
    """A payload as Flower sends it, written in a protocol, by default in this version's."""
    from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

    arrays = ArrayRecord()
    for name, blob in payload.blobs.items():
        if isinstance(blob, np.ndarray) and blob.dtype.name not in DTYPES:
            raise ProtocolError(f"blob {name} has dtype {blob.dtype.name}; allowed are {sorted(DTYPES)}")
    small, large = gather(payload.blobs)
    for name, blob in large.items():
        if isinstance(blob, np.ndarray):
            data = np.ascontiguousarray(blob, _little_endian(blob.dtype))
            arrays[name] = Array(blob.dtype.name, tuple(blob.shape), "fedrisk.array", data.tobytes())
        else:
            arrays[name] = Array("uint8", (len(blob),), _RAW, bytes(blob))
    number = versions.PROTOCOL if protocol is None else protocol
    body = ConfigRecord(
        {"protocol": number, "json": _dump(payload.body), **({"small": small} if small else {})}
    )
    return RecordDict({"body": body, **({"blobs": arrays} if large else {})})


def from_record(record: "RecordDict") -> Payload:
    """The payload of a message's content; ProtocolError for content that :func:`to_record` did not make."""
    try:
        whole = record.config_records["body"]
        others = set(whole) - {"protocol", "small"}
        if not set(record) <= {"body", "blobs"} or others != {"json"}:
            raise ValueError("a record more or less")
        body = json.loads(str(whole["json"]), parse_constant=_constant)
        large: dict[str, Blob] = {}
        for name, array in (record.array_records["blobs"] if "blobs" in record else {}).items():
            if array.stype == _RAW:
                large[name] = array.data
            elif array.stype == "fedrisk.array" and array.dtype in DTYPES:
                large[name] = np.frombuffer(array.data, _little_endian(array.dtype)).reshape(array.shape)
            else:
                raise ProtocolError(f"blob {name} is of an unknown kind; update fedrisk on both sides")
        blobs = spread(_raw(whole.get("small", b"")), large)
    except (KeyError, ValueError, TypeError, RecursionError):
        raise ProtocolError(
            "the message is malformed; sender and receiver must run the same version"
        ) from None
    if not isinstance(body, dict):
        raise ProtocolError(
            "the message's body is not an object; sender and receiver must run the same version"
        )
    return Payload(body, blobs, protocol=protocol_of(record))


def pack(payload: Payload) -> bytes:
    """A payload as bytes for a node's own disk; :func:`unpack` reads it back."""
    return b"".join(packed_parts(payload))


def packed_parts(payload: Payload) -> list[bytes | memoryview]:
    """The same bytes in parts, blobs not copied, so that a large message can be written one part after the other."""
    parts: list[bytes | memoryview] = []
    head = []
    for name, blob in payload.blobs.items():
        if isinstance(blob, np.ndarray):
            array = np.ascontiguousarray(blob, _little_endian(blob.dtype))
            kind = [blob.dtype.name, list(blob.shape)]
            parts.append(array.reshape(-1).view(np.uint8).data)
            size = array.nbytes
        else:
            kind, size = None, len(blob)
            parts.append(blob)
        head.append([name, kind, size])
    start = _dump({"body": dict(payload.body), "blobs": head}).encode()
    return [len(start).to_bytes(8, "big"), start, *parts]


def unpack(stored: bytes) -> Payload:
    """Inverse of :func:`pack`.

    >>> unpack(pack(Payload({"a": 1}, {"x": np.arange(3, dtype=np.uint32), "y": b"raw"}))).array("x").tolist()
    [0, 1, 2]
    """
    size = int.from_bytes(stored[:8], "big")
    head = json.loads(stored[8 : 8 + size])
    blobs: dict[str, Blob] = {}
    at = 8 + size
    for name, kind, length in head["blobs"]:
        blobs[name] = blob_from(kind, stored[at : at + length])
        at += length
    return Payload(head["body"], blobs)


def blob_from(kind: tuple[str, list[int]] | None, raw: bytes) -> Blob:
    """A blob of a packed payload: an array of the kind (dtype, shape), or bytes."""
    return raw if kind is None else np.frombuffer(raw, _little_endian(kind[0])).reshape(kind[1])


def spends_in(answer: Payload) -> list[dict[str, Any]]:
    """Prices that an answer says its institution was charged: of its own release, and of what others release of it."""
    own = [answer.body["spend"]] if "spend" in answer.body else []
    return [dict(spend) for spend in (*own, *answer.body.get("further_spends", ()))]


def request(
    payload: Payload, action: str, node: int, *, ttl: float, protocol: int | None = None
) -> "Message":
    """A message of the hub to one node; ``ttl`` in seconds, ``protocol`` by default this version's."""
    from flwr.app import Message

    return Message(to_record(payload, protocol), node, f"query.{action}", ttl=ttl)


def reply(payload: Payload, to: "Message") -> "Message":
    """A node's answer to a message, in its protocol; in this version's where it came in one that is not known here."""
    from flwr.app import Message

    asked = protocol_of(to.content)
    return Message(to_record(payload, asked if asked in versions.SUPPORTED else None), reply_to=to)


def _constant(name: str) -> float:
    """Python's JSON knows NaN and infinity. Infinity is the epsilon of a study without privacy; NaN is nothing."""
    if name == "NaN":
        raise ValueError("NaN is no number")
    return float(name)


def _raw(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError("small blobs are bytes")
    return value


def _dump(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"))
