"""Whose store it is: what is the same institution, what is another one, and what is said."""

import json
import shutil
import stat

import pytest

from fedrisk.clients.store import owner
from fedrisk.clients.store.owner import DamagedRecord, adopt, check, claim, read, together
from fedrisk.errors import OwnerError, StoreError
from fedrisk.institution import load_institution
from fedrisk.layout import Layout

FILE = """
name = "{name}"
kind = "holder"
[table]
source = "{source}"
[dictionary]
id = "{id}"
id_scheme = "opaque"
[[dictionary.columns]]
name = "x"
kind = "flag"
meaning = "m"
"""


@pytest.fixture
def at(tmp_path):
    """An institution's file in a folder, with a table beside it."""

    def write(folder="one", *, name="tax", source="data.csv", id_column="id", text=FILE):
        path = tmp_path / folder / "tax.toml"
        path.parent.mkdir(exist_ok=True)
        if "://" in source:
            source += '"\nquery = "SELECT * FROM loans'
        path.write_text(text.format(name=name, source=source, id=id_column))
        return load_institution(path)

    return write


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return folder


def test_the_first_one_claims_it(store, at):
    assert check(store, at()) is None
    claim(store, at())
    record = read(store)
    assert (record.owner.name, record.owner.kind) == ("tax", "holder")
    assert record.owner.file == str(at().file)
    assert check(store, at()) == record
    assert stat.S_IMODE((store / owner.FILE).stat().st_mode) == 0o600


def test_the_address_of_the_table_is_not_in_the_record(store, at):
    claim(store, at(source="postgresql://user:secret@db.example/credit"))
    text = (store / owner.FILE).read_text()
    assert "secret" not in text
    assert "db.example" not in text


def test_the_table_s_content_is_no_part_of_it(store, at):
    """It changes every month."""
    institution = at()
    claim(store, institution)
    (institution.folder / "data.csv").write_text("id,x\n1,1\n")
    check(store, institution)


@pytest.mark.parametrize(
    "changed",
    [
        {"source": "data_2026_02.csv"},  # next month's file
        {"id_column": "code"},
        {"folder": "two", "source": "{here}/one/data.csv"},  # the file moved, its table did not
    ],
)
def test_what_stays_the_same_institution(store, at, tmp_path, changed):
    claim(store, at())
    changed = {k: v.format(here=tmp_path) for k, v in changed.items()}
    now = at(**changed)
    check(store, now)
    claim(store, now)
    assert read(store).owner.file == str(now.file)
    check(store, now)


def test_a_chain_of_moves_is_followed(store, at, tmp_path):
    """First the file, then the table: either alone is known by the other."""
    claim(store, at())
    claim(store, at("two", source=f"{tmp_path}/one/data.csv"))
    claim(store, at("two"))
    check(store, at("two"))
    with pytest.raises(OwnerError):
        check(store, at("one"))


@pytest.mark.parametrize(
    "changed",
    [
        {"folder": "two"},
        {"folder": "two", "id_column": "code"},
        {"source": "other.csv", "id_column": "code"},  # another table in the file's place
        {"name": "revenue"},
        {"text": 'name = "{name}"\nkind = "authority"\n'},
    ],
)
def test_another_institution_is_refused_with_both_files_and_the_remedy(store, at, changed):
    first = at()
    claim(store, first)
    before = (store / owner.FILE).read_bytes()
    other = at(**changed)
    for look in (check, claim):
        with pytest.raises(OwnerError) as caught:
            look(store, other)
        text = str(caught.value)
        assert caught.value.code == "store"
        for part in (str(first.file), str(other.file), "FEDRISK_HOME", "another name", 'store = "..."'):
            assert part in text
        assert f"fedrisk store adopt {other.file}" in text
    assert (store / owner.FILE).read_bytes() == before


def test_an_authority_is_known_by_its_file(store, at):
    text = 'name = "{name}"\nkind = "authority"\n'
    claim(store, at(text=text))
    check(store, at(text=text))
    with pytest.raises(OwnerError):
        check(store, at("two", text=text))


def test_the_password_of_a_database_may_change(store, at):
    claim(store, at(source="postgresql://a:old@db/credit"))
    check(store, at("two", source="postgresql://b:new@db/credit"))
    with pytest.raises(OwnerError):
        check(store, at("two", source="postgresql://a:old@db/other"))


def test_adopting_is_kept_for_good(store, at):
    first = at()
    claim(store, first)
    second = at("two")
    assert adopt(store, second, reason="renamed").file == str(first.file)
    check(store, second)
    claim(store, second)
    (act,) = read(store).history
    assert (act["reason"], act["from"], act["to"]) == ("renamed", str(first.file), str(second.file))
    assert act["who"]
    with pytest.raises(OwnerError):
        check(store, first)
    adopt(store, first, reason="back")
    assert [a["reason"] for a in read(store).history] == ["renamed", "back"]


def test_a_moved_store_goes_on_and_a_copied_one_says_so(store, at, tmp_path):
    institution = at()
    claim(store, institution)
    moved, copied = tmp_path / "moved", tmp_path / "copied"
    store.rename(moved)
    claim(moved, institution)
    assert read(moved).place == str(moved)
    shutil.copytree(moved, copied)
    with pytest.raises(
        OwnerError, match=r"is a copy of .*moved, which is still there\. Each of the two forgets"
    ):
        check(copied, institution)
    check(moved, institution)
    adopt(copied, institution, reason="the copy counts")
    check(copied, institution)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"null",
        b'{"format": "1"}',
        b'{"format": 1}',
        b'{"format": 1, "owner": 3}',
    ],
)
def test_a_damaged_record_says_so_and_can_be_adopted(store, at, content):
    (store / owner.FILE).write_bytes(content)
    for look in (check, claim):
        with pytest.raises(
            DamagedRecord, match=r"store\.json.* is damaged; put it back .*fedrisk store adopt"
        ):
            look(store, at())
    assert adopt(store, at(), reason="found") is None
    check(store, at())


def test_a_record_that_is_cut_anywhere_is_damaged(store, at):
    claim(store, at())
    whole = (store / owner.FILE).read_bytes()
    for cut in range(0, len(whole), 7):
        (store / owner.FILE).write_bytes(whole[:cut])
        with pytest.raises(DamagedRecord):
            read(store)


def test_a_store_of_a_later_version_is_left_alone(store, at):
    claim(store, at())
    content = json.loads((store / owner.FILE).read_text())
    (store / owner.FILE).write_text(
        json.dumps({**content, "format": 2, "version": "9.1", "owner": {"new": 1}})
    )
    for look in (check, claim, lambda *a: adopt(*a, reason="r")):
        with pytest.raises(StoreError, match=r"was used by fedrisk 9\.1, and this is .* which is older"):
            look(store, at())


def test_a_store_of_an_earlier_layout_is_brought_forward_by_its_owner_alone(store, at, monkeypatch):
    """An invented second layout: the whole store is copied, and the copy is never taken for the store."""

    def step(folder):
        (folder / "pins.json").write_text("{}")

    claim(store, at())
    (store / "ledger.sqlite").write_text("paid")
    monkeypatch.setattr(owner, "LAYOUT", Layout(what="store", number=2, steps={1: step}))
    with pytest.raises(OwnerError):
        claim(store, at("two", source="other.csv", id_column="code"))
    with pytest.raises(StoreError, match="is of layout 1, .* keeps layout 2; the next study"):
        check(store, at())
    assert not (store / "pins.json").exists()
    claim(store, at())
    assert check(store, at()).layout == 2
    assert (store / "pins.json").exists() and (store / "ledger.sqlite").read_text() == "paid"
    (copy,) = store.parent.glob("store.layout-1.*")
    assert (copy / "ledger.sqlite").read_text() == "paid" and read(copy).layout == 1
    with pytest.raises(OwnerError, match="is a copy of .*, which is still there"):
        check(copy, at())


def test_a_record_that_cannot_be_read_is_a_store_error(store, at):
    (store / owner.FILE).mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        check(store, at())


def test_several_are_told_together_with_the_remedy_once(tmp_path, at):
    errors = []
    for name in ("s1", "s2"):
        (tmp_path / name).mkdir()
        claim(tmp_path / name, at())
        with pytest.raises(OwnerError) as caught:
            check(tmp_path / name, at("two"))
        errors.append(caught.value)
    text = str(together(errors))
    assert text.count("FEDRISK_HOME") == 1
    assert len(text.splitlines()) == 3
    assert f"fedrisk store adopt {errors[0].file} {errors[1].file}" in text
