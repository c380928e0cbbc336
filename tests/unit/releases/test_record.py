"""The release record: it comes back as it was, and a change of any number or word breaks the hub's signature."""

import dataclasses
import io
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fedrisk.errors import ConfigError, EnvelopeError
from fedrisk.releases.record import FILE, VERSION, ReleasedBlock, ReleasedSums, ReleaseRecord
from fedrisk.secure.identity import IdentityKey

HUB = IdentityKey.generate()


def made():
    counts = ReleasedSums(
        name="counts",
        population="training",
        mu=0.5,
        blocks=(
            ReleasedBlock(
                name="bank", left="bank", right="bank", total=np.arange(6.0).reshape(3, 2), variance=4.0
            ),
            ReleasedBlock(name="tax", left="tax", right="bank", total=np.array([[-1.5, 2.0]]), variance=9.0),
        ),
        spends=({"release": "counts", "mu": 0.5, "institution": "bank"}, {"release": "counts", "mu": 0.5}),
        about={"bins": [{"edges": [0.5, 1.0]}]},
    )
    evaluation = ReleasedSums(
        name="evaluation",
        population="holdout",
        mu=1.0,
        blocks=(ReleasedBlock(name="bank", left="bank", right="bank", total=np.zeros((0, 2)), variance=1.0),),
        spends=({"release": "evaluation", "mu": 1.0},),
    )
    return ReleaseRecord(
        study={"name": "s", "privacy": {"epsilon": 1.0}},
        study_digest="ab" * 32,
        attempt="0123456789abcdef",
        research=False,
        releases=(counts, evaluation),
        context={"design": [1, 2]},
    )


SIGNED = made().signed(HUB)


def same(one, other):
    """Equality of records; arrays by value and form."""
    assert one.digest() == other.digest()
    for a, b in zip(one.releases, other.releases, strict=True):
        for x, y in zip(a.blocks, b.blocks, strict=True):
            assert (x.name, x.left, x.right, x.variance) == (y.name, y.left, y.right, y.variance)
            assert x.total.dtype == y.total.dtype and x.total.shape == y.total.shape
            np.testing.assert_array_equal(x.total, y.total)
        assert dataclasses.replace(a, blocks=()) == dataclasses.replace(b, blocks=())
    assert dataclasses.replace(one, releases=()) == dataclasses.replace(other, releases=())


def test_a_record_comes_back_as_it_was(tmp_path):
    SIGNED.save(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == [FILE]
    for place in (tmp_path, tmp_path / FILE):
        back = ReleaseRecord.load(place, hub=HUB.public)
        same(back, SIGNED)
        assert back.signature == SIGNED.signature
    assert ReleaseRecord.from_bytes(made().to_bytes()).digest() == made().digest()


def test_what_is_asked_of_a_record():
    assert SIGNED.find("gram") is None
    assert SIGNED.release("evaluation").mu == 1.0
    assert SIGNED.release("counts").block("tax").variance == 9.0
    assert [s["release"] for s in SIGNED.spends] == ["counts", "counts", "evaluation"]
    with pytest.raises(ConfigError, match=r"no release gram \(it has: counts, evaluation\)"):
        SIGNED.release("gram")
    with pytest.raises(ConfigError, match="release counts of the record has no block power"):
        SIGNED.release("counts").block("power")


def test_a_further_release_makes_the_record_unsigned():
    more = dataclasses.replace(SIGNED.release("evaluation"), name="gram")
    longer = SIGNED.with_release(more, bases=[1.0])
    assert [r.name for r in longer.releases] == ["counts", "evaluation", "gram"]
    assert dict(longer.context) == {"design": [1, 2], "bases": [1.0]}
    assert (longer.hub, longer.signature) == ("", "")
    again = longer.with_release(dataclasses.replace(more, mu=2.0))  # in the place of the earlier one
    assert [(r.name, r.mu) for r in again.releases][-1] == ("gram", 2.0)
    assert len(again.releases) == 3


# --- signature ----------------------------------------------------------------------------------------------


def with_block(record, place, number, **change):
    releases = list(record.releases)
    blocks = list(releases[place].blocks)
    blocks[number] = dataclasses.replace(blocks[number], **change)
    releases[place] = dataclasses.replace(releases[place], blocks=tuple(blocks))
    return dataclasses.replace(record, releases=tuple(releases))


def with_release(record, place, **change):
    releases = list(record.releases)
    releases[place] = dataclasses.replace(releases[place], **change)
    return dataclasses.replace(record, releases=tuple(releases))


def broken(record):
    with pytest.raises(EnvelopeError, match="not what the hub signed"):
        record.verify(HUB.public)
    if dataclasses.replace(record, signature="").hub == HUB.public.hex():
        with pytest.raises(EnvelopeError, match="not what the hub signed"):
            ReleaseRecord.from_bytes(record.to_bytes()).verify()


def test_a_signed_record_verifies_with_and_without_the_pinned_key():
    SIGNED.verify()
    SIGNED.verify(HUB.public)


def test_every_number_is_signed():
    for number, block in enumerate(SIGNED.releases[0].blocks):
        for place in range(block.total.size):
            total = block.total.copy()
            total.reshape(-1)[place] = np.nextafter(total.reshape(-1)[place], np.inf)
            broken(with_block(SIGNED, 0, number, total=total))


def test_the_form_of_an_array_is_signed():
    total = SIGNED.releases[0].blocks[0].total
    for other in (total.reshape(2, 3), total.T, total.astype(np.float32), total[:2]):
        broken(with_block(SIGNED, 0, 0, total=other))
    broken(with_block(SIGNED, 1, 0, total=np.zeros((2, 0))))


@pytest.mark.parametrize("change", [{"name": "x"}, {"left": "x"}, {"right": "x"}, {"variance": 4.5}])
def test_every_field_of_a_block_is_signed(change):
    broken(with_block(SIGNED, 0, 0, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x"},
        {"population": "holdout"},
        {"mu": 0.25},
        {"spends": ()},
        {"spends": ({"release": "counts", "mu": 0.4},)},
        {"about": {}},
        {"about": {"bins": [{"edges": [0.5, 1.1]}]}},
        {"blocks": ()},
    ],
)
def test_every_field_of_a_release_is_signed(change):
    broken(with_release(SIGNED, 0, **change))


CHANGES = {
    "study": {"name": "t", "privacy": {"epsilon": 1.0}},
    "study_digest": "cd" * 32,
    "attempt": "fedcba9876543210",
    "research": True,
    "notice": "x",
    "releases": (),
    "context": {"design": [1, 3]},
    "version": 0,
    "signature": "00" * 64,
}


def test_every_field_of_a_record_is_signed():
    assert {f.name for f in dataclasses.fields(ReleaseRecord)} == {*CHANGES, "hub"}
    for name, value in CHANGES.items():
        broken(dataclasses.replace(SIGNED, **{name: value}))


def test_the_order_of_releases_and_arrays_is_signed():
    broken(dataclasses.replace(SIGNED, releases=SIGNED.releases[::-1]))
    broken(with_release(SIGNED, 0, blocks=SIGNED.releases[0].blocks[::-1]))


@pytest.mark.parametrize("signature", ["", "zz", "00", "00" * 64])
def test_what_is_no_signature_is_refused(signature):
    broken(dataclasses.replace(SIGNED, signature=signature))


def test_an_unsigned_record_is_refused(tmp_path):
    with pytest.raises(EnvelopeError, match="never signed"):
        made().verify()
    made().save(tmp_path)
    with pytest.raises(EnvelopeError, match="never signed"):
        ReleaseRecord.load(tmp_path)


def test_another_hub_than_the_pinned_one_is_refused(tmp_path):
    other = IdentityKey.generate()
    made().signed(other).save(tmp_path)
    assert ReleaseRecord.load(tmp_path).hub == other.public.hex()
    with pytest.raises(EnvelopeError, match="signed by another hub than the pinned one"):
        ReleaseRecord.load(tmp_path, hub=HUB.public)


def test_a_signature_of_another_hub_does_not_pass_under_the_pinned_name():
    forged = dataclasses.replace(made().signed(IdentityKey.generate()), hub=HUB.public.hex())
    broken(forged)


# --- files --------------------------------------------------------------------------------------------------


def content(change):
    """The file of SIGNED with its JSON changed."""
    with np.load(io.BytesIO(SIGNED.to_bytes())) as file:
        parts = {name: file[name] for name in file.files}
    head = json.loads(parts["json"].tobytes())
    change(head)
    parts["json"] = np.frombuffer(json.dumps(head).encode(), np.uint8)
    out = io.BytesIO()
    np.savez(out, **parts)
    return out.getvalue()


def test_a_later_version_says_what_to_do():
    with pytest.raises(
        ConfigError, match=f"has format {VERSION + 1} and this fedrisk reads up to {VERSION}; update"
    ):
        ReleaseRecord.from_bytes(content(lambda head: head.update(version=VERSION + 1, novelty=1)))


@pytest.mark.parametrize(
    "change",
    [
        lambda head: head.pop("attempt"),
        lambda head: head.update(novelty=1),
        lambda head: head.pop("version"),
        lambda head: head["releases"][0].pop("mu"),
        lambda head: head["releases"][0]["blocks"][0].update(name="nobody"),
        lambda head: head.update(releases=3),
    ],
)
def test_a_damaged_file_is_a_config_error(change):
    with pytest.raises(ConfigError, match="holds no release record, or a damaged one"):
        ReleaseRecord.from_bytes(content(change))


@pytest.mark.parametrize("wrong", [b"", b"PK\x03\x04", b"{}", SIGNED.to_bytes()[:200]])
def test_what_is_no_record_is_a_config_error(wrong):
    with pytest.raises(ConfigError, match="holds no release record"):
        ReleaseRecord.from_bytes(wrong)


def test_nothing_is_pickled():
    out = io.BytesIO()
    np.savez(out, json=np.array([{"version": 1}], object))
    with pytest.raises(ConfigError, match="holds no release record"):
        ReleaseRecord.from_bytes(out.getvalue())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"release_record\.npz cannot be read: No such file"):
        ReleaseRecord.load(tmp_path)


# --- any record ---------------------------------------------------------------------------------------------

NAMES = st.text(st.characters(categories=("Ll", "Nd"), include_characters="._"), min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False)
TOTALS = npst.arrays(np.float64, npst.array_shapes(max_dims=2, min_side=0, max_side=4), elements=NUMBERS)
BLOCKS = st.builds(ReleasedBlock, name=NAMES, left=NAMES, right=NAMES, total=TOTALS, variance=NUMBERS)
PLAIN = st.dictionaries(
    NAMES,
    st.recursive(st.none() | st.booleans() | st.integers() | NUMBERS | NAMES, st.lists, max_leaves=4),
    max_size=3,
)
RELEASES = st.builds(
    ReleasedSums,
    name=NAMES,
    population=st.sampled_from(["training", "holdout"]),
    mu=NUMBERS,
    blocks=st.lists(BLOCKS, max_size=3, unique_by=lambda b: b.name).map(tuple),
    spends=st.lists(PLAIN, max_size=2).map(tuple),
    about=PLAIN,
)
RECORDS = st.builds(
    ReleaseRecord,
    study=PLAIN,
    study_digest=NAMES,
    attempt=NAMES,
    research=st.booleans(),
    notice=st.none() | NAMES,
    releases=st.lists(RELEASES, max_size=3, unique_by=lambda r: r.name).map(tuple),
    context=PLAIN,
)


@settings(max_examples=25, deadline=None)
@given(RECORDS)
def test_any_record_comes_back_signed(record):
    signed = record.signed(HUB)
    back = ReleaseRecord.from_bytes(signed.to_bytes())
    same(back, signed)
    back.verify(HUB.public)


@settings(max_examples=25, deadline=None)
@given(RECORDS, st.data())
def test_any_changed_number_breaks_any_record(record, data):
    places = [(i, j) for i, r in enumerate(record.releases) for j, b in enumerate(r.blocks) if b.total.size]
    if not places:
        return
    i, j = data.draw(st.sampled_from(places))
    total = record.releases[i].blocks[j].total.copy()
    place = data.draw(st.integers(0, total.size - 1))
    old = total.reshape(-1)[place]
    total.reshape(-1)[place] = np.nextafter(old, math.inf if old < 0 else -math.inf)
    with pytest.raises(EnvelopeError):
        with_block(record.signed(HUB), i, j, total=total).verify(HUB.public)
