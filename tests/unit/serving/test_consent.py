"""Consents: published vectors pass, every attack has its code, and nothing raises."""

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrisk.privacy.serving_policy import Register, ServingPolicy
from fedrisk.serving import consent
from fedrisk.serving.codes import ROWS
from fedrisk.serving.consent import Consents, reference_digest
from fedrisk.serving.consent_token import thumbprint, token_digest, verified_payload

NOW = 1_800_000_000
DAY = 86_400
ID = "91350100M000100Y43"
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
PINNED, STRANGE = (key.public_key().public_bytes_raw().hex() for key in (KEY, OTHER))
POLICY = ServingPolicy(registers=(Register(name="register", key=PINNED),), consent_days=31)
CLAIMS = {
    "iss": "register",
    "sub": ID,
    "aud": "bank",
    "purpose": "credit_scoring",
    "iat": NOW - DAY,
    "exp": NOW + 29 * DAY,
    "jti": "0f3a",
}


def b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(payload, header=None, key=KEY):
    """A token over any bytes: header and payload may be dictionaries or raw text."""
    parts = [{"alg": "EdDSA"} if header is None else header, payload]
    head, body = (b64(p if isinstance(p, bytes) else json.dumps(p).encode()) for p in parts)
    return f"{head}.{body}.{b64(key.sign(f'{head}.{body}'.encode()))}"


def token(**changes):
    return signed({k: v for k, v in (CLAIMS | changes).items() if v is not ...})


def one_of(consents, text, enterprise=ID, **changes):
    (found,) = consents.check(
        [text], [enterprise], **{"asker": "bank", "purpose": "credit_scoring", "now": NOW} | changes
    )
    return found


def check(text, policy=POLICY, **changes):
    found = one_of(Consents(policy), text, **changes)
    # A signature that was verified just now has a mark, which is of one object's own secret here.
    assert bool(found.mark) == bool(found.key) == (found.code == "" and found.uses > 0)
    return found._replace(mark=b"", key="")


# --- what is taken ------------------------------------------------------------------------------------------


def test_a_token_of_a_pinned_register_holds():
    found = check(token())
    assert found == consent.Checked("", token_digest("register", "0f3a"), 1, "register")
    assert check(jwt.encode(CLAIMS, KEY, algorithm="EdDSA", headers={"kid": thumbprint(PINNED)})) == found


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["bank"]},
        {"sub": f" {ID.lower()[:9]}\u200b{ID[9:]} "},
        {"sub": ID.translate({ord(c): ord(c) + 0xFEE0 for c in "0123456789"})},
        {"nbf": NOW},
        {"nbf": NOW + 60, "iat": NOW + 60},  # clocks differ
        {"exp": NOW - 59, "iat": NOW - 90},
        {"exp": NOW + 30 * DAY},  # 31 days since it was issued
        {"more": {"of": ["what", "nobody", "reads"]}},
    ],
)
def test_what_else_holds(changes):
    assert check(token(**changes)).code == ""


@pytest.mark.parametrize("uses", [1, 2, 1000])
def test_uses(uses):
    assert check(token(uses=uses)).uses == uses


def test_how_the_bank_spells_the_id_does_not_matter():
    assert check(token(), enterprise=f"{ID[:8].lower()} {ID[8:]}").code == ""


def test_digest_is_of_register_and_jti_alone():
    assert check(token(uses=3, exp=NOW + DAY)).digest == check(token()).digest
    assert check(token(jti="0f3b")).digest != check(token()).digest
    assert token_digest("a", "bc") != token_digest("ab", "c")


def test_a_refused_token_is_noted_by_its_digest_once_a_register_signed_it():
    assert check(token(aud="bank_b")).digest == check(token()).digest
    assert check(token(aud="bank_b")).uses == 0
    assert check(signed(CLAIMS, key=OTHER)).digest == ""


# --- published vectors --------------------------------------------------------------------------------------

RFC8037_KEY = base64.urlsafe_b64decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=").hex()
RFC8037_JWS = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki"
    "4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)


def test_rfc_8037_appendix_a():
    assert verified_payload(RFC8037_JWS, RFC8037_KEY) == b"Example of Ed25519 signing"
    assert thumbprint(RFC8037_KEY) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    private = Ed25519PrivateKey.from_private_bytes(
        base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    )
    assert signed(b"Example of Ed25519 signing", b'{"alg":"EdDSA"}', private) == RFC8037_JWS


RFC7515 = {
    "A.1 HS256": "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "A.3 ES256": "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
    "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    "A.5 none": "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
    "cnVlfQ.",
    "E crit": "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9V"
    "TkRFRklORUQiOnRydWUNCn0.RkFJTA.",
}


@pytest.mark.parametrize("name", RFC7515)
def test_rfc_7515_with_other_algorithms_is_refused(name):
    assert check(RFC7515[name]).code == "consent_form"
    with pytest.raises(ValueError):
        verified_payload(RFC7515[name], PINNED)


# --- attacks ------------------------------------------------------------------------------------------------


def hmac_token(secret):
    """HS256 with the public key as the secret: algorithm confusion."""
    head, body = b64(b'{"alg":"HS256"}'), b64(json.dumps(CLAIMS).encode())
    return f"{head}.{body}.{b64(hmac.digest(secret, f'{head}.{body}'.encode(), 'sha256'))}"


def as_sent(text, **changes):
    """The same token with its text changed."""
    head, body, signature = text.split(".")
    return "{head}.{body}.{signature}".format(
        **({"head": head, "body": body, "signature": signature} | changes)
    )


def twin(segment):
    """Another base64url text of the same bytes, where the last letter has bits to spare."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return segment[:-1] + letters[letters.index(segment[-1]) ^ 1]


GOOD = token()
HEAD, BODY, SIGNATURE = GOOD.split(".")
JWK = {"kty": "OKP", "crv": "Ed25519", "x": b64(bytes.fromhex(STRANGE))}
RAW = json.dumps(CLAIMS)[:-1]
ORDER = 2**252 + 27742317777372353535851937790883648493
MALLEABLE = base64.urlsafe_b64decode(SIGNATURE + "==")
MALLEABLE = MALLEABLE[:32] + (int.from_bytes(MALLEABLE[32:], "little") + ORDER).to_bytes(32, "little")

ATTACKS = {
    # the algorithm is never the token's choice
    "alg none": (as_sent(GOOD, head=b64(b'{"alg":"none"}'), signature=""), "consent_form"),
    "alg none, signature kept": (as_sent(GOOD, head=b64(b'{"alg":"none"}')), "consent_form"),
    "alg NONE signed": (signed(CLAIMS, {"alg": "NONE"}), "consent_form"),
    "alg missing": (signed(CLAIMS, {"typ": "JWT"}), "consent_form"),
    "alg in lower case": (signed(CLAIMS, {"alg": "eddsa"}), "consent_form"),
    "alg a list": (signed(CLAIMS, {"alg": ["EdDSA"]}), "consent_form"),
    "HS256, key as hexadecimal": (hmac_token(PINNED.encode()), "consent_form"),
    "HS256, key as bytes": (hmac_token(bytes.fromhex(PINNED)), "consent_form"),
    "signed, says HS256": (signed(CLAIMS, {"alg": "HS256"}), "consent_form"),
    # neither is the key
    "jwk in the header": (signed(CLAIMS, {"alg": "EdDSA", "jwk": JWK}, OTHER), "consent_form"),
    "jku in the header": (signed(CLAIMS, {"alg": "EdDSA", "jku": "https://example.org/"}), "consent_form"),
    "x5c in the header": (signed(CLAIMS, {"alg": "EdDSA", "x5c": ["AAAA"]}), "consent_form"),
    "kid of another key": (signed(CLAIMS, {"alg": "EdDSA", "kid": thumbprint(STRANGE)}), "consent_register"),
    "kid of the pinned key, signed by another": (
        signed(CLAIMS, {"alg": "EdDSA", "kid": thumbprint(PINNED)}, OTHER),
        "consent_register",
    ),
    "kid a path": (signed(CLAIMS, {"alg": "EdDSA", "kid": "../../dev/null"}), "consent_register"),
    "kid an injection": (signed(CLAIMS, {"alg": "EdDSA", "kid": "x' UNION SELECT '1"}), "consent_register"),
    "kid a number": (signed(CLAIMS, {"alg": "EdDSA", "kid": 1}), "consent_form"),
    # what has to be understood, and is not
    "crit": (signed(CLAIMS, {"alg": "EdDSA", "crit": ["exp"]}), "consent_form"),
    "crit empty": (signed(CLAIMS, {"alg": "EdDSA", "crit": []}), "consent_form"),
    "b64 false": (signed(CLAIMS, {"alg": "EdDSA", "b64": False, "crit": ["b64"]}), "consent_form"),
    "b64 false, silently": (signed(CLAIMS, {"alg": "EdDSA", "b64": False}), "consent_form"),
    "packed": (signed(CLAIMS, {"alg": "EdDSA", "zip": "DEF"}), "consent_form"),
    "of another kind": (signed(CLAIMS, {"alg": "EdDSA", "typ": "at+jwt"}), "consent_form"),
    "header a list": (signed(CLAIMS, ["EdDSA"]), "consent_form"),
    "header twice alg": (signed(CLAIMS, b'{"alg":"none","alg":"EdDSA"}'), "consent_form"),
    # registers
    "unknown register": (signed(CLAIMS | {"iss": "register_b"}), "consent_register"),
    "register of the same name": (signed(CLAIMS, key=OTHER), "consent_register"),
    "claims changed": (
        as_sent(GOOD, body=b64(json.dumps(CLAIMS | {"uses": 9}).encode())),
        "consent_register",
    ),
    "signature of another token": (as_sent(GOOD, signature=token(jti="1").split(".")[2]), "consent_register"),
    "signature plus the order": (as_sent(GOOD, signature=b64(MALLEABLE)), "consent_register"),
    "signature of zeros": (as_sent(GOOD, signature=b64(bytes(64))), "consent_register"),
    # the same bytes in another text
    "space before": (" " + GOOD, "consent_form"),
    "line after": (GOOD + "\n", "consent_form"),
    "line inside": (f"{HEAD}.{BODY[:20]}\n{BODY[20:]}.{SIGNATURE}", "consent_form"),
    "padded": (GOOD + "==", "consent_form"),
    "spare bits of the signature": (as_sent(GOOD, signature=twin(SIGNATURE)), "consent_form"),
    "other alphabet": (as_sent(GOOD, body=BODY.replace("-", "+") + "+"), "consent_form"),
    "full-width letters": (GOOD.replace("e", "ｅ", 1), "consent_form"),
    "four segments": (GOOD + "." + SIGNATURE, "consent_form"),
    "encrypted form": (".".join([HEAD, BODY, BODY, BODY, SIGNATURE]), "consent_form"),
    "JSON form": (json.dumps({"protected": HEAD, "payload": BODY, "signature": SIGNATURE}), "consent_form"),
    "bearer": ("Bearer " + GOOD, "consent_form"),
    "empty segments": ("..", "consent_form"),
    "nothing": ("", "consent_missing"),
    "blank": (" \t\u3000", "consent_missing"),
    # JSON
    "sub twice": (signed((RAW + ',"sub":"OTHER"}').encode()), "consent_form"),
    "twice further in": (signed((RAW + ',"x":{"a":1,"a":2}}').encode()), "consent_form"),
    "not JSON": (signed(b"consent"), "consent_form"),
    "a text": (signed(b'"consent"'), "consent_form"),
    "UTF-16": (signed(json.dumps(CLAIMS).encode("utf-16")), "consent_form"),
    "a mark in front": (signed(b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode()), "consent_form"),
    "not UTF-8": (signed(RAW.encode() + b',"x":"\xff"}'), "consent_form"),
    "nested deep": (signed((RAW + ',"x":' + "[" * 1200 + "]" * 1200 + "}").encode()), "consent_form"),
    "exp of 2,500 digits": (
        signed((RAW.replace(str(CLAIMS["exp"]), "9" * 2500) + "}").encode()),
        "consent_form",
    ),
    "too long": (signed(CLAIMS | {"x": "y" * 4000}), "consent_form"),
    "a token in a token": (signed(CLAIMS | {"sub": GOOD}), "consent_form"),
    # bank, enterprise, purpose
    "another bank": (token(aud="bank_b"), "consent_bank"),
    "bank in capitals": (token(aud="BANK"), "consent_bank"),
    "two banks": (token(aud=["bank", "bank_b"]), "consent_form"),
    "no banks": (token(aud=[]), "consent_form"),
    "bank in two lists": (token(aud=[["bank"]]), "consent_form"),
    "any bank": (token(aud="*"), "consent_bank"),
    "bank missing": (token(aud=...), "consent_form"),
    "another enterprise": (token(sub="91350100M000100Y44"), "consent_enterprise"),
    "enterprise a list": (token(sub=[ID]), "consent_form"),
    "enterprise empty": (token(sub=""), "consent_form"),
    "enterprise invisible": (token(sub="\u3000"), "consent_form"),
    "enterprise with NUL": (token(sub=ID + "\0"), "consent_form"),
    "half a letter": (signed((RAW[:-1] + '\\ud800"}').encode()), "consent_form"),
    "another purpose": (token(purpose="marketing"), "consent_purpose"),
    "purpose missing": (token(purpose=...), "consent_form"),
    "purposes": (token(purpose=["credit_scoring"]), "consent_form"),
    # times
    "expired": (token(exp=NOW - 60), "consent_expired"),
    "not issued yet": (token(iat=NOW + 61), "consent_early"),
    "not yet": (token(nbf=NOW + 61), "consent_early"),
    "too long valid": (token(exp=NOW + 30 * DAY + 1), "consent_long"),
    "long by its beginning": (token(nbf=NOW - 3 * DAY), "consent_long"),
    "exp missing": (token(exp=...), "consent_form"),
    "exp a text": (token(exp=str(NOW + DAY)), "consent_form"),
    "exp a fraction": (token(exp=NOW + DAY + 0.5), "consent_form"),
    "exp a float": (signed((RAW.replace(str(CLAIMS["exp"]), "1.8e9") + "}").encode()), "consent_form"),
    "exp NaN": (signed((RAW.replace(str(CLAIMS["exp"]), "NaN") + "}").encode()), "consent_form"),
    "exp Infinity": (signed((RAW.replace(str(CLAIMS["exp"]), "Infinity") + "}").encode()), "consent_form"),
    "exp huge": (token(exp=10**30), "consent_form"),
    "exp negative": (token(exp=-1), "consent_form"),
    "exp true": (token(exp=True), "consent_form"),
    "exp null": (token(exp=None), "consent_form"),
    "exp before iat": (token(exp=NOW - 2 * DAY), "consent_form"),
    "iat missing": (token(iat=...), "consent_form"),
    "nbf a text": (token(nbf="0"), "consent_form"),
    "ends before it begins": (token(nbf=NOW + 29 * DAY), "consent_form"),
    # uses and jti
    "jti missing": (token(jti=...), "consent_form"),
    "jti empty": (token(jti=""), "consent_form"),
    "jti a number": (token(jti=1), "consent_form"),
    "jti long": (token(jti="1" * 129), "consent_form"),
    "jti tells the enterprise": (token(jti=f"2026-{ID.lower()}-1"), "consent_form"),
    "no uses": (token(uses=0), "consent_form"),
    "uses negative": (token(uses=-1), "consent_form"),
    "uses huge": (token(uses=1001), "consent_form"),
    "uses a text": (token(uses="2"), "consent_form"),
    "uses true": (token(uses=True), "consent_form"),
    "uses a float": (token(uses=2.0), "consent_form"),
    "uses null": (token(uses=None), "consent_form"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks(name):
    text, code = ATTACKS[name]
    found = check(text)
    assert found.code == code
    assert found.code in ROWS and found.uses == 0 and found.reference == ""


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mangled_token_is_never_taken(data):
    """Whatever is changed in the text of a token, it is refused with a code, and nothing raises."""
    letters = list(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(letters) - 1))
        letters[place] = data.draw(
            st.sampled_from(["", ".", "=", "A", "_", " ", "\x00", "é", "\ud800", letters[place] * 2])
        )
    text = "".join(letters)
    found = check(text)
    assert (found.code in ROWS) if text != GOOD else (found.code == "")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_refused(text):
    assert check(text).code in ("consent_form", "consent_missing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "uses"]), JSON, min_size=1, max_size=3))
def test_claims_of_any_kind_never_raise(changes):
    """A register that signs nonsense breaks nothing; what is taken has the right bank, enterprise and purpose."""
    claims = CLAIMS | changes
    found = check(signed(claims))
    assert found.code in ("", *ROWS)
    if found.code == "":
        assert claims["aud"] in ("bank", ["bank"]) and claims["purpose"] == "credit_scoring"
        assert claims["exp"] > NOW - 60 and claims["exp"] - claims["iat"] <= 31 * DAY


# --- registers and keys -------------------------------------------------------------------------------------


def test_a_register_changes_its_key():
    """Both keys are taken until the old one's last day, and the same jti is the same token under both."""
    last = "2027-01-15"  # the day of NOW
    policy = ServingPolicy(
        registers=(
            Register(name="register", key=PINNED, until=last),
            Register(name="register", key=STRANGE),
        )
    )
    old, new = token(), signed(CLAIMS, key=OTHER)
    assert check(old, policy) == check(new, policy)
    next_day = NOW + DAY
    assert check(old, policy, now=next_day).code == "consent_register"
    assert check(new, policy, now=next_day).code == ""


def test_a_token_at_several_rows_is_verified_once(monkeypatch):
    counted = []
    real = consent.Token.signed_by
    monkeypatch.setattr(consent.Token, "signed_by", lambda *a: counted.append(a) or real(*a))
    asked = {"asker": "bank", "purpose": "credit_scoring", "now": NOW}
    found = Consents(POLICY).check([GOOD, GOOD, "x", GOOD], [ID, "other", ID, ID], **asked)
    assert [one.code for one in found] == ["", "consent_enterprise", "consent_form", ""]
    assert len(counted) == 1


def test_no_register_is_pinned():
    assert check(GOOD, ServingPolicy()).code == "consent_register"


# --- references, and none -----------------------------------------------------------------------------------

REFERENCE = ServingPolicy(consent="reference")


def test_a_reference_is_noted_by_a_digest_that_only_its_holder_can_make():
    found = one_of(Consents(REFERENCE, secret=b"s" * 32), f"form 7 of {ID}")
    assert found.code == "" and found.uses == 0 and found.reference == f"form 7 of {ID}"
    assert found.digest == reference_digest(b"s" * 32, f"form 7 of {ID}")
    again = one_of(Consents(REFERENCE, secret=b"t" * 32), f"form 7 of {ID}")
    assert again.digest != found.digest
    assert found.digest != hashlib.sha256(f"form 7 of {ID}".encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("contract 2026/1", ""),
        ("合同 2026/1", ""),
        ("x" * 200, ""),
        ("x" * 201, "consent_form"),
        ("a\nb", "consent_form"),
        ("a\x1b[2Jb", "consent_form"),
        ("a\u202eb", "consent_form"),
        ("", "consent_missing"),
        ("  ", "consent_missing"),
    ],
)
def test_references(text, code):
    assert check(text, REFERENCE).code == code


def test_a_token_that_another_holder_asks_for_stands_as_a_reference():
    assert len(GOOD) > 200
    assert check(GOOD, REFERENCE).code == ""


def test_none_is_asked_for():
    assert check("", ServingPolicy(consent="none")) == consent.Checked("")
    assert check(GOOD, ServingPolicy(consent="none")) == consent.Checked("")
