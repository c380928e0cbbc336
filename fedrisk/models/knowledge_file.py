"""The file of what a study knows beforehand: one NumPy ``.npz``, arrays as they are and everything else as JSON.

Nothing in it is pickled. A digest over its content names it: hub and members know by it that they have the same. It is
read strictly, since it comes from elsewhere: sizes are bounded, numbers are finite and in range, shapes fit the bins.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrisk.errors import ConfigError
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import GramMatrix, Knowledge, PastStudy
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior import Prior

Floats = NDArray[np.float64]

VERSION = 1

MOST_STUDIES = 24
"""Studies that are remembered at most: two years of monthly ones."""

MOST_BYTES = 1 << 25
"""Size of a file at most."""

MOST_UNPACKED = 1 << 28
"""Size of its arrays at most: a small file may not unpack to a large one."""

MOST_FEATURES, MOST_SHAPES = 10_000, 64
MOST_COUNT, MOST_VARIANCE, MOST_SHAPE = 1e15, 1e30, 1e9

MOST_EDGE = 1e100
"""Edge of a known curve at most: the middle between two is a number then."""

MOST_SOURCE = 400
"""Letters of a prior's source at most."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ATTEMPT = re.compile(r"[A-Za-z0-9]{1,64}")
_ENDED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_HEAD = ("study", "digest", "ended", "attempt", "research", "members")
_SAME = 1e-9


def digest_of(known: Knowledge) -> str:
    """SHA-256 (hexadecimal) over the content: the same for the same knowledge, however a file was packed."""
    state = hashlib.sha256(b"fedrisk knowledge v1\n" + _dump(_head(known)))
    for name, array in _arrays(known).items():
        state.update(f"{name}:{array.shape}:".encode())
        state.update(np.ascontiguousarray(array, "<f8").data)
    return state.hexdigest()


def to_bytes(known: Knowledge) -> bytes:
    """The file's content."""
    out = io.BytesIO()
    arrays: dict[str, Any] = {"json": np.frombuffer(_dump(_head(known)), np.uint8), **_arrays(known)}
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def from_bytes(content: bytes) -> Knowledge:
    """Inverse of :func:`to_bytes`.

    ConfigError where the content is no such file, of a later version, or breaks a rule; it names the rule and no value.
    """
    if len(content) > MOST_BYTES:
        raise _broken(f"is larger than {MOST_BYTES >> 20} MiB")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED:
                raise _broken(f"unpacks to more than {MOST_UNPACKED >> 20} MiB")
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(arrays.pop("json").tobytes())
        if type(head["version"]) is not int or head["version"] > VERSION:
            raise ConfigError("the knowledge file is of a later version of fedrisk; update fedrisk")
        studies = head["memory"]
        if not isinstance(studies, list) or len(studies) > MOST_STUDIES:
            raise _broken(f"holds more than {MOST_STUDIES} studies")
        memory = tuple(_study(plain, k, arrays) for k, plain in enumerate(studies))
        prior = None if head["prior"] is None else _prior(head["prior"])
    except ConfigError:
        raise
    except Exception:
        # Whatever is wrong with a file that somebody else made, it is one error here.
        raise _broken("is damaged, or none at all") from None
    _need(list(memory) == sorted(memory, key=lambda past: past.ended), "its studies stand oldest first")
    _need(len({past.attempt for past in memory}) == len(memory), "each study is there once")
    return Knowledge(memory=memory, prior=prior)


def same_sums(one: PastStudy, other: PastStudy) -> bool:
    """Whether two say the same of one attempt's released sums, within rounding; end and record's digest aside."""

    def about(past: PastStudy) -> tuple[Any, ...]:
        return past.study, past.attempt, past.research, set(past.members), past.bins, past.second is None

    if about(one) != about(other) or len(one.bases) != len(other.bases):
        return False
    pairs = [
        *zip(one.counts.n1, other.counts.n1, strict=True),
        *zip(one.counts.n0, other.counts.n0, strict=True),
        (one.counts.variance, other.counts.variance),
        *zip(one.bases, other.bases, strict=True),
    ]
    if one.second is not None and other.second is not None:
        pairs += [(one.second.gram, other.second.gram), (one.second.variance, other.second.variance)]
    return all(a.shape == b.shape and np.allclose(a, b, rtol=_SAME, atol=_SAME) for a, b in pairs)


def _head(known: Knowledge) -> dict[str, Any]:
    memory = [
        {
            **{name: getattr(past, name) for name in _HEAD},
            "members": list(past.members),
            "bins": [b.to_dict() for b in past.bins],
            "shapes": [b.shape[1] for b in past.bases],
            "second": past.second is not None,
        }
        for past in known.memory
    ]
    return {
        "version": VERSION,
        "memory": memory,
        "prior": None if known.prior is None else known.prior.to_dict(),
    }


def _arrays(known: Knowledge) -> dict[str, Floats]:
    out: dict[str, Floats] = {}
    for k, past in enumerate(known.memory):
        out[f"{k}|n1"] = np.concatenate(past.counts.n1)
        out[f"{k}|n0"] = np.concatenate(past.counts.n0)
        out[f"{k}|variance"] = np.asarray(past.counts.variance, float)
        if past.bases:
            out[f"{k}|bases"] = np.concatenate([np.asarray(b, float).ravel() for b in past.bases])
        if past.second is not None:
            upper = np.triu_indices(len(past.second.gram))
            out[f"{k}|gram"] = past.second.gram[upper]
            out[f"{k}|gram_variance"] = past.second.variance[upper]
    return out


def _study(plain: Mapping[str, Any], k: int, arrays: Mapping[str, Any]) -> PastStudy:
    for name in ("study", "digest", "ended", "attempt"):
        _need(isinstance(plain[name], str) and len(plain[name]) <= 100, f"{name} is a short text")
    for name, form in (("digest", _DIGEST), ("ended", _ENDED), ("attempt", _ATTEMPT)):
        # A member's own copy says neither when the study ended nor the digest of the hub's record.
        _need(not plain[name] or form.fullmatch(plain[name]) is not None, f"{name} is of its form")
    _need(type(plain["research"]) is bool and type(plain["second"]) is bool, "marks are true or false")
    members = plain["members"]
    _need(isinstance(members, list) and len(members) <= 1000, "members are listed")
    _need(all(isinstance(m, str) and 0 < len(m) <= 100 for m in members), "members are names")
    bins = _bins_of(plain["bins"])
    bases = _bases(plain["shapes"], bins, arrays.get(f"{k}|bases"))
    _need(plain["second"] is False or bool(bases), "a matrix comes with its shape columns")
    return PastStudy(
        **{name: plain[name] for name in _HEAD if name != "members"},
        members=tuple(members),
        bins=bins,
        counts=_counts(bins, *(arrays[f"{k}|{what}"] for what in ("n1", "n0", "variance"))),
        bases=bases,
        second=_gram(sum(b.shape[1] for b in bases), arrays, k) if plain["second"] else None,
    )


def _bins_of(plain: Any) -> tuple[Bins, ...]:
    _need(isinstance(plain, list) and 0 < len(plain) <= MOST_FEATURES, "there are bins of some features")
    bins = tuple(Bins.from_dict(b) for b in plain)
    names = [b.feature.name for b in bins]
    _need(len(set(names)) == len(names), "no feature is there twice")
    _need(any(b.feature.is_column for b in bins), "there is a column")
    return bins


def _counts(bins: Sequence[Bins], n1: Any, n0: Any, variance: Any) -> LabelCounts:
    sizes = [b.size for b in bins if b.feature.is_column]
    for array, most in ((n1, MOST_COUNT), (n0, MOST_COUNT), (variance, MOST_VARIANCE)):
        wanted = (len(sizes) if array is variance else sum(sizes),)
        _in_range(array, wanted, most)
    _need(bool((variance >= 0).all()), "variances are not negative")
    cuts = np.cumsum(sizes)[:-1]
    return LabelCounts(tuple(np.split(n1, cuts)), tuple(np.split(n0, cuts)), variance)


def _bases(shapes: Any, bins: Sequence[Bins], flat: Any) -> tuple[Floats, ...]:
    _need(isinstance(shapes, list) and len(shapes) in (0, len(bins)), "shape columns are of all features")
    if not shapes:
        return ()
    _need(all(type(k) is int and 0 <= k <= MOST_SHAPES for k in shapes), "shape columns are few")
    sizes = [b.size * k for b, k in zip(bins, shapes, strict=True)]
    _in_range(flat, (sum(sizes),), MOST_SHAPE)
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return tuple(part.reshape(b.size, k) for part, b, k in zip(parts, bins, shapes, strict=True))


def _gram(size: int, arrays: Mapping[str, Any], k: int) -> GramMatrix:
    upper, out = np.triu_indices(size), []
    for name, most in (("gram", MOST_COUNT), ("gram_variance", MOST_VARIANCE)):
        values = arrays[f"{k}|{name}"]
        _in_range(values, (len(upper[0]),), most)
        whole = np.zeros((size, size))
        whole[upper] = values
        whole.T[upper] = values
        out.append(whole)
    _need(bool((out[1] >= 0).all()), "variances are not negative")
    return GramMatrix(out[0], out[1])


def _prior(plain: Any) -> Prior:
    source = plain["source"]
    _need(isinstance(source, str) and 0 < len(source) <= MOST_SOURCE, "the prior's source is a short text")
    _need(source.isprintable(), "the prior's source is readable")
    try:
        prior = Prior.from_dict(plain)
    except ConfigError:
        raise _broken(
            "breaks a rule: known curves are of their form, in range, and of their digest"
        ) from None
    edges = [abs(e) for c in prior.curves for e in c.bins.edges]
    _need(max(edges, default=0.0) <= MOST_EDGE, "edges of known curves are in range")
    return prior


def _in_range(array: Any, shape: tuple[int, ...], most: float) -> None:
    _need(isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == shape, "shapes fit")
    # Not a number is not below anything.
    _need(bool((np.abs(array) <= most).all()), "numbers are finite and in range")


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise _broken(f"breaks a rule: {rule}")


def _broken(what: str) -> ConfigError:
    return ConfigError(f"the knowledge file {what}; take another copy, or run the study without it")


def _dump(plain: Any) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
