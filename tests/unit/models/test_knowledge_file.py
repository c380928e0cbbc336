"""The file of what is known beforehand comes back as it went, and is read strictly."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from fedrisk.data.features import Feature
from fedrisk.errors import ConfigError
from fedrisk.models import knowledge_file
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import NOTHING, GramMatrix, Knowledge, PastStudy
from fedrisk.models.knowledge_file import digest_of, from_bytes, same_sums, to_bytes
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.prior import Prior, PriorCurve

AGE = Bins(Feature(institution="bank", column="age", low=18.0, high=80.0), edges=(30.0, 45.0))
GRADE = Bins(
    Feature(institution="tax", column="grade", kind="category", bins=("A", "B")), categories=("A", "B")
)


def past(**changes):
    """Four and four bins; two shape columns and one."""
    made = PastStudy(
        study="january",
        digest="ab" * 32,
        ended="2026-01-31T10:00:00.000001Z",
        attempt="a1",
        members=("alfa", "tax"),
        bins=(AGE, GRADE),
        counts=LabelCounts(
            (np.array([1.0, 2.5, 3.0, 0.0]), np.array([-0.5, 2.0, 1.0, 4.0])),
            (np.array([9.0, 8.0, 7.0, 1.0]), np.array([6.0, 5.0, 4.0, 3.0])),
            np.array([0.25, 0.5]),
        ),
        bases=(np.arange(8.0).reshape(4, 2) / 7, np.ones((4, 1))),
        second=GramMatrix(
            np.array([[0.0, 0.0, 3.0], [0.0, 0.0, 4.0], [3.0, 4.0, 0.0]]), np.full((3, 3), 2.0)
        ),
    )
    return replace(made, **changes)


PRIOR = Prior(
    source="another province",
    curves=(PriorCurve(bins=AGE, shift=(0.5, 0.0, -0.5, 0.1), joint=(0.2, 0.0, -0.3, 0.0)),),
)
WHOLE = Knowledge(
    memory=(
        past(),
        past(study="february", attempt="a2", ended="2026-02-28T10:00:00Z", bases=(), second=None),
    ),
    prior=PRIOR,
)


def changed(what, value, known=WHOLE):
    """The file with one array, or one field of the head, replaced."""
    with np.load(io.BytesIO(to_bytes(known))) as file:
        arrays = {name: file[name] for name in file.files}
    head = json.loads(arrays.pop("json").tobytes())
    if what in arrays:
        arrays[what] = value(arrays[what])
    else:
        value(head)
    out = io.BytesIO()
    np.savez(out, json=np.frombuffer(json.dumps(head).encode(), np.uint8), **arrays)
    return out.getvalue()


def test_it_comes_back_whole():
    back = from_bytes(to_bytes(WHOLE))
    assert digest_of(back) == digest_of(WHOLE) and back.prior == PRIOR
    for one, other in zip(back.memory, WHOLE.memory, strict=True):
        assert same_sums(one, other)
        assert (one.digest, one.ended) == (other.digest, other.ended)
    assert (back.memory[0].second.gram == WHOLE.memory[0].second.gram).all()
    assert not from_bytes(to_bytes(NOTHING))


def test_the_digest_is_of_the_content_and_of_all_of_it():
    others = [
        replace(WHOLE, prior=None),
        replace(WHOLE, memory=WHOLE.memory[:1]),
        *(replace(WHOLE, memory=(past(**c), WHOLE.memory[1])) for c in (
            {"study": "other"}, {"digest": "00" * 32}, {"ended": "2026-01-30T10:00:00Z"}, {"attempt": "b"},
            {"research": True}, {"members": ("alfa",)}, {"bins": (replace(AGE, edges=(30.0, 46.0)), GRADE)},
            {"bases": (np.zeros((4, 2)), np.ones((4, 1)))},
            {"counts": replace(past().counts, variance=np.array([0.25, 0.6]))},
            {"second": replace(past().second, variance=np.full((3, 3), 1.0))},
        )),
    ]  # fmt: skip
    digests = {digest_of(other) for other in [WHOLE, *others]}
    assert len(digests) == len(others) + 1
    assert digest_of(from_bytes(changed("0|n1", lambda a: a))) == digest_of(WHOLE)


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("0|n1", lambda a: a[:-1]),
        ("0|n1", lambda a: a.astype(np.float32)),
        ("0|n1", lambda a: np.r_[np.nan, a[1:]]),
        ("0|n0", lambda a: np.r_[1e16, a[1:]]),
        ("0|variance", lambda a: -a),
        ("0|variance", lambda a: a * np.inf),
        ("0|bases", lambda a: a[:-1]),
        ("0|gram", lambda a: a[:-1]),
        ("0|gram", lambda a: a * np.nan),
        ("0|gram_variance", lambda a: a - 3),
        ("shapes", lambda head: head["memory"][0].update(shapes=[2])),
        ("shapes", lambda head: head["memory"][0].update(shapes=[2, -1])),
        ("second", lambda head: head["memory"][1].update(second=True)),
        ("study", lambda head: head["memory"][0].update(study=7)),
        ("digest", lambda head: head["memory"][0].update(digest="AB" * 32)),
        ("ended", lambda head: head["memory"][0].update(ended="yesterday")),
        ("order", lambda head: head["memory"][0].update(ended="2026-03-01T00:00:00Z")),
        ("attempt", lambda head: head["memory"][0].update(attempt="../x")),
        ("again", lambda head: head["memory"][1].update(attempt="a1")),
        ("research", lambda head: head["memory"][0].update(research=0)),
        ("members", lambda head: head["memory"][0].update(members=[""])),
        ("bins", lambda head: head["memory"][0].update(bins=[])),
        ("bins", lambda head: head["memory"][0]["bins"][0].update(edges=[3.0, 2.0])),
        ("twice", lambda head: head["memory"][0].update(bins=[head["memory"][0]["bins"][0]] * 2)),
        ("many", lambda head: head.update(memory=head["memory"][:1] * 25)),
        ("prior", lambda head: head["prior"]["curves"][0].update(shift=[0.0])),
        ("prior", lambda head: head["prior"]["curves"][0].update(shift=[51.0, 0.0, 0.0, 0.0])),
        ("prior", lambda head: head["prior"].update(source="x" * 401)),
        ("prior", lambda head: head["prior"].update(source="\u202eknown", digest="")),
        ("prior", lambda head: head["prior"].update(digest="cd" * 32)),
        ("prior", lambda head: head["prior"]["curves"][0].update(shift=[0.5, 0.0, -0.5, 0.2])),
        ("prior", lambda head: head["prior"].update(digest="") or head["prior"]["curves"][0]["bins"].update(
            low=-1e308, high=1e308, edges=[-1e308, 1e308])),
        ("version", lambda head: head.update(version=2)),
        ("version", lambda head: head.pop("version")),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused(what, value):
    with pytest.raises(ConfigError, match="knowledge file|bins|edges|prior") as error:
        from_bytes(changed(what, value))
    assert "51" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 100, to_bytes(WHOLE)[:-30]])
def test_rubbish_is_refused(content):
    with pytest.raises(ConfigError, match="knowledge file"):
        from_bytes(content)


def test_a_file_that_unpacks_to_more_is_refused(monkeypatch):
    monkeypatch.setattr(knowledge_file, "MOST_UNPACKED", 1000)
    with pytest.raises(ConfigError, match="unpacks"):
        from_bytes(to_bytes(WHOLE))
    monkeypatch.setattr(knowledge_file, "MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="larger"):
        from_bytes(to_bytes(WHOLE))


def test_nothing_in_it_is_pickled():
    out = io.BytesIO()
    np.savez(out, json=np.array([{"version": 1}], dtype=object))
    with pytest.raises(ConfigError, match="knowledge file"):
        from_bytes(out.getvalue())
    assert zipfile.is_zipfile(io.BytesIO(to_bytes(WHOLE)))


def test_what_members_compare_is_the_sums():
    own = past(digest="", ended="")
    assert same_sums(own, past())
    counts = past().counts
    for other in (
        past(attempt="b"),
        past(research=True),
        past(members=("alfa",)),
        past(bins=(replace(AGE, edges=(30.0, 45.1)), GRADE)),
        past(counts=replace(counts, n1=(counts.n1[0] + 1e-6, counts.n1[1]))),
        past(counts=replace(counts, variance=counts.variance * 1.001)),
        past(bases=(), second=None),
        past(second=replace(past().second, gram=past().second.gram + 1e-6)),
    ):
        assert not same_sums(own, other)
