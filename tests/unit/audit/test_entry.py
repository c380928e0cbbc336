"""The form of an entry: what a draft may hold, what a line must be, codes, and both formats."""

import hashlib
import json
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fedrisk.audit import entry as entry_module
from fedrisk.audit.entry import AuditEntry, LaterFormat, checked_draft, is_code, parse
from fedrisk.audit.verify import verify
from fedrisk.errors import ConfigError
from fedrisk.privacy.spend import Spend
from fedrisk.secure.identity import IdentityKey

KEY = IdentityKey(b"\1" * 32)
SPEND = Spend(
    study="pilot",
    attempt="a1b2c3d4",
    release="counts",
    population="training",
    mu=0.25,
    delta=1e-6,
    what="3 noisy block(s)",
    institution="tax",
    counterparty="hub",
)


def test_hashes_are_what_the_module_says(tmp_path, make, lines_of):
    make(tmp_path, (1,))
    (line,) = lines_of(tmp_path / "audit.jsonl")
    plain = json.loads(line)
    assert list(plain) == [field.name for field in fields(AuditEntry)]
    start = line.index(b',"hash"')
    assert plain["hash"] == hashlib.sha256(b"fedrisk audit entry v1\n" + line[:start]).hexdigest()
    name = json.dumps(["tax", KEY.public.hex()], separators=(",", ":")).encode()
    assert plain["previous"] == hashlib.sha256(b"fedrisk audit log v1\n" + name).hexdigest()
    signed = b"fedrisk audit signature v1\n" + line[: line.index(b',"signature"')]
    assert plain["signature"] == KEY.sign(signed).hex()  # Ed25519 is deterministic


def test_the_fields_of_a_spend_are_those_of_spend():
    assert {field.name for field in fields(Spend)} == entry_module._SPEND


CANARY = "CANARY91310000MA1K"


@pytest.mark.parametrize(
    "change",
    [
        {CANARY: 1},
        {"payload": CANARY},
        {"kind": CANARY},
        {"kind": "a " + CANARY},
        {"protection": CANARY.lower() + "."},
        {"purpose": CANARY + "x" * 200},
        {"consent": CANARY + "\n"},
        {"kind": [CANARY]},
        {"digest": CANARY},
        {"digest": "A" * 64},
        {"bytes": CANARY},
        {"bytes": -1},
        {"bytes": 1.5},
        {"rows": True},
        {"event": CANARY},
        {"event": "note"},
        {"action": ""},
        {"spend": CANARY},
        {"spend": {**SPEND.to_dict(), "rows": CANARY}},
        {"spend": {**SPEND.to_dict(), "what": CANARY * 20}},
        {"spend": {**SPEND.to_dict(), "mu": CANARY}},
        {"spend": {**SPEND.to_dict(), "mu": float("nan")}},
        {"spend": {**SPEND.to_dict(), "delta": float("inf")}},
        {"index": 5},
        {"time": "2020-01-01T00:00:00.000Z"},
    ],
)
def test_unknown_fields_prose_and_long_texts_are_refused_and_never_appear(tmp_path, change, draft, make):
    log = make(tmp_path, (1,))
    before = log.path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        log.append([draft(1), draft(**change)])
    assert CANARY.lower() not in str(refused.value).lower()
    assert log.path.read_bytes() == before
    assert all(CANARY.encode() not in f.read_bytes() for f in tmp_path.rglob("*") if f.is_file())


def test_a_field_that_is_there_twice_is_refused_even_with_a_good_signature(tmp_path, make, lines_of):
    log = make(tmp_path, (1,))
    (line,) = lines_of(log.path)
    body = line[: line.index(b',"signature"')].replace(b'"bytes":100', b'"bytes":1,"bytes":100')
    body += f',"signature":"{KEY.sign(b"fedrisk audit signature v1" + bytes([10]) + body).hex()}"'.encode()
    digest = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
    log.path.write_bytes(body + f',"hash":"{digest}"}}\n'.encode())
    assert "twice" in verify(log.path, KEY.public).why


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("a", True),
        ("noisy_sums.counts", True),
        ("a1_.2._", True),
        ("a" * 48 + "." + "b" * 47, True),
        (".".join(["a" * 32, "b" * 32, "c" * 34]), True),
        (".".join(["a" * 32, "b" * 32, "c" * 35]), False),
        ("a" * 49, False),
        ("a." + "b" * 48, False),
        ("", False),
        ("1a", False),
        ("_a", False),
        ("a.", False),
        (".a", False),
        ("a..b", False),
        ("Noisy", False),
        ("noisy sums", False),
        ("noisy-sums", False),
        ("sums\n", False),
        ("sommé", False),
        ("a\u0661", False),
    ],
)
def test_codes_by_hand(text, right):
    assert is_code(text) is right


WORDS = st.text("abz019_", min_size=1, max_size=47)


@given(st.sampled_from("abz"), st.lists(WORDS, min_size=1, max_size=5), st.data())
def test_every_code_is_taken_and_one_wrong_character_makes_it_none(letter, words, data):
    code = ".".join([letter + words[0][:46], *words[1:]])
    assert is_code(code) is (len(code) <= 100)
    at = data.draw(st.integers(0, len(code) - 1))
    wrong = data.draw(st.characters(exclude_characters="abcdefghijklmnopqrstuvwxyz0123456789_."))
    assert not is_code(code[:at] + wrong + code[at + 1 :])


@given(st.text(max_size=120) | st.from_regex(r"[a-z][a-z0-9_. ]{0,110}", fullmatch=True))
def test_a_draft_takes_exactly_codes_and_nothing(draft, text):
    for name in ("kind", "protection"):
        if text == "" or is_code(text):
            assert checked_draft(draft(**{name: text}))[name] == text
        else:
            with pytest.raises(ConfigError, match=f"audit: {name} must") as refused:
                checked_draft(draft(**{name: text}))
            assert len(text) < 9 or text not in str(refused.value)


def signed_line(plain):
    """A line with these fields, hashed and signed by the key's owner."""
    body = json.dumps(plain, separators=(",", ":"))[:-1].encode()
    body += f',"signature":"{KEY.sign(b"fedrisk audit signature v1" + bytes([10]) + body).hex()}"'.encode()
    digest = hashlib.sha256(b"fedrisk audit entry v1\n" + body).hexdigest()
    return body + f',"hash":"{digest}"}}\n'.encode()


@pytest.fixture
def plain(tmp_path, make, lines_of):
    """The fields of a first entry without signature and hash."""
    (line,) = lines_of(make(tmp_path, (1,)).path)
    fields_of = json.loads(line)
    return {name: fields_of[name] for name in list(fields_of)[:-2]}


def test_entries_are_written_in_format_2(plain):
    assert list(plain.items())[:2] == [("format", 2), ("index", 0)]
    entry = AuditEntry(**parse(signed_line(plain)))
    assert (entry.format, entry.to_dict()["format"]) == (2, 2)


@pytest.mark.parametrize("name", ["kind", "protection"])
def test_prose_in_format_2_is_refused_and_taken_in_format_1(plain, name):
    prose = {**plain, name: "noisy sums"}
    with pytest.raises(ValueError, match=f"is of format 2, and its {name} is not a code"):
        parse(signed_line(prose))
    del prose["format"]
    assert parse(signed_line(prose)) == {
        "format": 1,
        **prose,
        **{key: parse(signed_line(prose))[key] for key in ("signature", "hash")},
    }
    assert parse(signed_line({**plain, name: ""}))[name] == ""


@pytest.mark.parametrize("wrong", [1, 0, -1, 2.0, "2", True, None, 10**12])
def test_another_format_in_the_field_is_refused(plain, wrong):
    with pytest.raises(ValueError, match="does not have the form of an entry|a field of a wrong kind"):
        parse(signed_line({**plain, "format": wrong}))


def test_the_format_comes_first(plain):
    last = {name: plain[name] for name in [*list(plain)[1:], "format"]}
    with pytest.raises(ValueError, match="does not have the form of an entry"):
        parse(signed_line(last))


def test_a_later_format_names_the_remedy(plain):
    """Also where that format hashes otherwise or has other fields."""
    later = signed_line({**plain, "format": 3})
    for line in (later, later.replace(b'"event"', b'"happened"'), b'{"format":17,"anything":[]}\n'):
        with pytest.raises(LaterFormat, match="knows formats 1 to 2: update fedrisk"):
            parse(line)


def test_every_flipped_byte_of_a_line_is_found(format_1, lines_of, plain):
    """In both formats; each bit of the byte in turn, as the lines go on."""
    lines = [*lines_of(format_1 / "tax.jsonl")[:18], signed_line(plain)]
    for line in lines:
        for place in range(len(line)):
            flipped = bytearray(line)
            flipped[place] ^= 1 << (place % 8)
            with pytest.raises(ValueError, match="torn|hash|format"):
                parse(bytes(flipped))


@example(text=":")
@given(text=st.text(max_size=200))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_that_is_taken_is_read_back_and_verifies(tmp_path_factory, text, draft, make):
    log = make(tmp_path_factory.mktemp("text"), ())
    try:
        log.append(
            [
                draft(
                    purpose=text,
                    consent='":"' + text[:190],
                    spend={**SPEND.to_dict(), "what": '\\":' + text[:9]},
                )
            ]
        )
    except ConfigError:
        assert not all(c.isprintable() for c in text)
        return
    assert [e.purpose for e in log.entries()] == [text]
    assert verify(log.path, KEY.public).ok
