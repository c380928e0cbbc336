"""The key authority's count of evaluations."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from fedrisk.alignment.quota import Quota
from fedrisk.errors import ConfigError, PolicyError, ProtocolError, QuotaError, StoreError

DIGEST, OTHER = b"1" * 32, b"2" * 32


@pytest.fixture
def path(tmp_path):
    return tmp_path / "quota.sqlite"


def test_counts_down_to_the_declared_size_and_no_further(path):
    quota = Quota(path)
    assert quota.debit("bank", "2025", 60, 100, request="r1", digest=DIGEST) == 40
    with pytest.raises(PolicyError, match="41 evaluations were requested, but 40 of 100 are left"):
        quota.debit("bank", "2025", 41, 100, request="r2", digest=DIGEST)
    assert quota.used("bank", "2025") == 60
    assert quota.debit("bank", "2025", 40, 100, request="r3", digest=DIGEST) == 0
    with pytest.raises(PolicyError):
        quota.debit("bank", "2025", 1, 100, request="r4", digest=DIGEST)


def test_institutions_and_epochs_count_apart(path):
    quota = Quota(path)
    quota.debit("bank", "2025", 10, 10, request="r", digest=DIGEST)
    assert quota.debit("tax", "2025", 10, 10, request="r", digest=DIGEST) == 0
    assert quota.debit("bank", "2026", 10, 10, request="r2", digest=DIGEST) == 0
    assert [quota.used(*x) for x in (("bank", "2025"), ("tax", "2025"), ("bank", "2026"))] == [10, 10, 10]
    assert quota.used("bank", "2027") == 0


def test_the_same_request_again_costs_nothing_even_at_the_limit(path):
    quota = Quota(path)
    assert [quota.debit("bank", "e", 10, 10, request="r", digest=DIGEST) for _ in range(3)] == [0, 0, 0]
    assert quota.used("bank", "e") == 10


@pytest.mark.parametrize("changed", [{"digest": OTHER}, {"count": 6}, {"epoch": "f"}])
def test_the_same_request_id_with_other_content_is_refused(path, changed):
    quota = Quota(path)
    one = {"institution": "bank", "epoch": "e", "count": 5, "declared": 100, "request": "r", "digest": DIGEST}
    quota.debit(**one)
    with pytest.raises(ProtocolError, match="other content"):
        quota.debit(**{**one, **changed})
    assert quota.used("bank", "e") == 5
    assert quota.used("bank", "f") == 0


def test_the_first_declared_size_binds_until_the_operator_changes_it(path):
    quota = Quota(path)
    quota.debit("bank", "e", 5, 10, request="r1", digest=DIGEST)
    with pytest.raises(PolicyError, match="10 was agreed"):
        quota.debit("bank", "e", 5, 1000, request="r2", digest=DIGEST)
    with pytest.raises(PolicyError, match="5 evaluations are used"):
        quota.redeclare("bank", "e", 4)
    quota.redeclare("bank", "e", 20)
    assert quota.debit("bank", "e", 15, 20, request="r2", digest=DIGEST) == 0
    quota.redeclare("tax", "e", 5)  # before it asked for any
    with pytest.raises(QuotaError, match="6 evaluations were requested, but 5 of 5 are left") as caught:
        quota.debit("tax", "e", 6, 5, request="r3", digest=DIGEST)
    assert (caught.value.count, caught.value.agreed, caught.value.used) == (6, 5, 0)


def test_a_refused_request_may_come_again(path):
    quota = Quota(path)
    with pytest.raises(PolicyError):
        quota.debit("bank", "e", 11, 10, request="r", digest=DIGEST)
    quota.redeclare("bank", "e", 11)
    assert quota.debit("bank", "e", 11, 11, request="r", digest=DIGEST) == 0


def test_everything_is_logged_and_survives_the_process(path):
    quota = Quota(path)
    quota.debit("bank", "e", 5, 10, request="r1", digest=DIGEST)
    quota.debit("bank", "e", 5, 10, request="r1", digest=DIGEST)
    with pytest.raises(PolicyError):
        quota.debit("bank", "e", 6, 10, request="r2", digest=DIGEST)
    with pytest.raises(ProtocolError):
        quota.debit("bank", "e", 5, 10, request="r1", digest=OTHER)
    quota.redeclare("bank", "e", 12)
    again = Quota(path)
    assert again.used("bank", "e") == 5
    assert [(x.kind, x.request, x.count) for x in again.events()] == [
        ("declared", None, 10),
        ("debited", "r1", 5),
        ("repeated", "r1", 5),
        ("refused", "r2", 6),
        ("refused", "r1", 5),
        ("redeclared", None, 12),
    ]


def test_concurrent_requests_never_exceed_the_size(path):
    Quota(path)

    def one(i: int) -> bool:
        try:
            Quota(path).debit("bank", "e", 10, 55, request=f"r{i}", digest=DIGEST)
        except PolicyError:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(one, range(12))) == 5
    assert Quota(path).used("bank", "e") == 50


@pytest.mark.parametrize("changed", [{"count": 0}, {"count": -5}, {"declared": -1}, {"digest": b"short"}])
def test_malformed_debits(path, changed):
    call = {"count": 1, "declared": 5, "digest": DIGEST, **changed}
    with pytest.raises(ConfigError):
        Quota(path).debit("bank", "e", request="r", **call)
    assert Quota(path).events() == []


def test_negative_size(path):
    with pytest.raises(ConfigError):
        Quota(path).redeclare("bank", "e", -1)


def test_an_unusable_file_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="folder"):
        Quota(tmp_path / "missing" / "quota.sqlite")
    (tmp_path / "text").write_text("this is not a database, only a text of some length" * 20)
    with pytest.raises(StoreError):
        Quota(tmp_path / "text")


def test_a_failure_half_way_leaves_nothing(path):
    quota = Quota(path)
    quota.debit("bank", "e", 5, 10, request="r1", digest=DIGEST)
    with sqlite3.connect(path) as connection:
        connection.execute("drop table event")
    with pytest.raises(StoreError):
        quota.debit("bank", "e", 5, 10, request="r2", digest=DIGEST)
    assert quota.used("bank", "e") == 5
