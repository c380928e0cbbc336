import multiprocessing
import os
import signal
import sqlite3
import stat
import threading
import time

import pytest

from fedrisk.errors import StoreError
from fedrisk.serving.book import DAY, Book, Kept, day_of

NOW = 1_795_651_200


@pytest.fixture
def book(tmp_path):
    found = Book.open(tmp_path / "serving", lambda: None)
    yield found
    found.close()


def put(book, id, *, now=NOW, asker="bank", number=1):
    with book.question(now) as page:
        if page.kept(id) is None:
            page.count(asker, "scores", day_of(now), number)
            page.score(asker, [book.enterprise("A")] * number)
            page.keep(id, asker, "d" * 64, b"answer", "{}")


def counted(book, now=NOW, asker="bank"):
    with book.question(now) as page:
        return page.counted(asker, "scores", day_of(now))


def test_files_are_for_their_owner_alone(book, tmp_path):
    put(book, "1")
    for file in (tmp_path / "serving").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


def test_no_enterprise_is_written_down(book, tmp_path):
    secret = "91350100M000100Y43"
    with book.question(NOW) as page:
        page.score("bank", [book.enterprise(secret)])
    book.close()
    assert not any(secret.encode() in file.read_bytes() for file in (tmp_path / "serving").iterdir())


def test_a_question_is_kept_once_with_all_its_counts(book):
    put(book, "1", number=3)
    put(book, "1", number=3)
    assert book.kept("1") == Kept("d" * 64, b"answer", "{}")
    assert book.kept("2") is None
    assert counted(book) == 3
    with book.question(NOW) as page:
        assert page.scored("bank", [book.enterprise("A"), book.enterprise("B"), book.enterprise("A")]) == [
            3,
            0,
            4,
        ]
        assert page.scored("other", [book.enterprise("A")]) == [0]


def test_what_fails_leaves_nothing(book):
    with book.question(NOW) as page:
        page.keep("2", "bank", "d", b"", "")

    def fail():
        with book.question(NOW) as page:
            page.count("bank", "scores", day_of(NOW), 5)
            page.keep("1", "bank", "d", b"", "")
            page.keep("2", "bank", "d", b"", "")

    with pytest.raises(StoreError):
        fail()
    assert counted(book) == 0
    assert book.kept("1") is None


def test_a_consent_is_used_in_as_many_questions_as_it_allows(book):
    for question in ("1", "2"):
        with book.question(NOW) as page:
            assert page.used_up({"c": 2}, question) == set()
            page.use(["c", "c"], question)
    with book.question(NOW) as page:
        assert page.used_up({"c": 2, "other": 1}, "2") == set()
        assert page.used_up({"c": 2, "other": 1}, "3") == {"c"}
        assert page.used_up({"c": 3}, "3") == set()


def test_a_use_is_for_a_question_and_two_in_its_place_within_a_day(book):
    for allowed in (True, True, True, False):
        with book.question(NOW) as page:
            assert page.used_up({"c": 1}, "1") == (set() if allowed else {"c"})
            page.use(["c", "c"], "1")
    with book.question(NOW) as page:
        page.use(["d"], "1")
    for now, allowed in ((NOW + DAY - 1, True), (NOW + DAY, False), (NOW - DAY, False)):
        with book.question(now) as page:
            assert page.used_up({"d": 1}, "1") == (set() if allowed else {"d"})


def test_scores_are_counted_within_thirty_days(book):
    put(book, "1", number=2)
    one = [book.enterprise("A")]
    for days, number in ((0, 2), (29, 2), (30, 0)):
        with book.question(NOW + days * DAY) as page:
            assert page.scored("bank", one) == [number]


def test_scores_count_on_after_a_restart_and_where_the_clock_was_put_back(book, tmp_path):
    put(book, "1", number=2)
    book.close()
    again = Book.open(tmp_path / "serving", lambda: None)
    one = [again.enterprise("A")]
    for days, number in ((0, 2), (-1, 2), (-40, 2)):
        with again.question(NOW + days * DAY) as page:
            assert page.scored("bank", one) == [number]
    again.close()


def test_old_rows_go_and_counts_of_days_stay_apart(book):
    put(book, "1")
    put(book, "2", now=NOW + 1000)
    put(book, "3", now=NOW + DAY + 301)
    assert book.kept("1") is None
    assert book.kept("2") is not None
    assert (counted(book, NOW), counted(book, NOW + DAY + 301)) == (2, 1)


def test_what_the_trail_has_is_marked_with_the_next_question(book, tmp_path):
    put(book, "1")
    book.mark_entered("1")
    assert book.kept("1").entry == ""
    put(book, "2")
    book.close()
    again = Book.open(tmp_path / "serving", lambda: pytest.fail("the same book goes on"))
    assert (again.kept("1").entry, again.kept("2").entry) == ("", "{}")
    again.close()


def test_a_lost_book_does_not_begin_anew_silently(book, tmp_path):
    book.close()
    (tmp_path / "serving" / "book.sqlite").unlink()
    with pytest.raises(StoreError, match="gone"):
        Book.open(tmp_path / "serving", lambda: None)


@pytest.mark.parametrize("content", [None, b"", b"x" * 32])
def test_a_lost_or_another_key_does_not_begin_anew_silently(book, tmp_path, content):
    book.close()
    file = tmp_path / "serving" / "book.key"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(StoreError, match=r"book\.key"):
        Book.open(tmp_path / "serving", lambda: None)


def test_a_damaged_book_is_an_error_of_the_store(book, tmp_path):
    book.close()
    (tmp_path / "serving" / "book.sqlite").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError):
        Book.open(tmp_path / "serving", lambda: None)


def test_what_is_done_at_the_beginning_comes_before_the_book_is_open(tmp_path):
    begun = []
    first = Book.open(tmp_path / "serving", lambda: begun.append(1))
    second = Book.open(tmp_path / "serving", lambda: begun.append(2))
    assert begun == [1]
    first.close()
    second.close()

    def fail():
        raise OSError(5, "gone")

    other = tmp_path / "other"
    with pytest.raises(StoreError):
        Book.open(other, fail)
    # Not done the first time, so done the next.
    (other / "book.sqlite").unlink()
    Book.open(other, lambda: begun.append(3)).close()
    assert begun == [1, 3]


def test_every_commit_waits_for_the_disk_where_the_system_names_no_start(tmp_path, monkeypatch):
    def level(folder):
        book = Book.open(folder, lambda: None)
        (found,) = book._connection.execute("pragma synchronous").fetchone()
        book.close()
        return found

    assert level(tmp_path / "linux") == 1
    monkeypatch.setattr("fedrisk.serving.book._BOOT", tmp_path / "nowhere")
    assert level(tmp_path / "other") == 2


def test_threads_and_connections_count_nothing_twice_and_lose_nothing(tmp_path):
    books = [Book.open(tmp_path / "serving", lambda: None) for _ in range(2)]

    def work(k):
        for n in range(20):
            # Each question comes by two threads, through either connection.
            put(books[k % 2], f"{k // 2}-{n}")

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(books[0]) == 40
    for book in books:
        book.close()


def _put_without_end(folder, told):
    book = Book.open(folder, lambda: None)
    for n in range(1_000_000):
        put(book, str(n))
        told.send(n)


def test_a_killed_process_leaves_each_question_whole_or_not_at_all(tmp_path):
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_put_without_end, args=(tmp_path / "serving", there))
        process.start()
        time.sleep(0.05)
        last = here.recv()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        while here.poll():
            try:
                last = here.recv()
            except EOFError:
                break
        book = Book.open(tmp_path / "serving", lambda: None)
        kept = [n for n in range(last + 3) if book.kept(str(n)) is not None]
        # Whatever was told is kept, and each is counted once, also over several lives.
        assert set(range(last + 1)) <= set(kept)
        file = sqlite3.connect(tmp_path / "serving" / "book.sqlite")
        (rows,) = file.execute("select count(*) from question").fetchone()
        (number,) = file.execute("select sum(number) from counted").fetchone()
        (scores,) = file.execute("select sum(number) from scored").fetchone()
        assert rows == number == scores
        file.close()
        book.close()
