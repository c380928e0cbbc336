"""The simulated register: what is given can be fetched as a token that a holder takes, until it is taken back."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from fastapi.testclient import TestClient

from fedrisk.privacy.serving_policy import ServingPolicy
from fedrisk.serving.consent import Consents
from sim_institutions.consent_page import app_of
from sim_institutions.consent_register import ConsentRegister, NoConsent

ID = "91350100M000100Y43"
TODAY = datetime.now(UTC).date()
LATER = TODAY + timedelta(days=100)
ASKED = ("bank", "credit_scoring")


@pytest.fixture
def register(tmp_path):
    return ConsentRegister(tmp_path / "register")


def check(register, token, asker="bank", now=None):
    policy = ServingPolicy(**tomllib.loads(register.to_pin)["policy"]["serving"], consent_days=31)
    asked = {"asker": asker, "purpose": "credit_scoring", "now": now or time.time()}
    (found,) = Consents(policy).check([token], [ID], **asked)
    return found


def test_a_token_is_taken_by_a_holder_that_pinned_the_key(register):
    register.give([ID.lower()], *ASKED, LATER)
    (token,) = register.tokens([f" {ID} "], *ASKED)
    found = check(register, token)
    assert (found.code, found.uses, found.register) == ("", 1, "consents")
    assert check(register, token, asker="bank_b").code == "consent_bank"
    assert check(register, token, now=time.time() + 31 * 86_400).code == "consent_expired"


def test_no_token_lives_longer_than_the_consent(register):
    register.give([ID], *ASKED, TODAY)
    (token,) = register.tokens([ID], *ASKED)
    exp = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert datetime.fromtimestamp(exp, UTC).date() == TODAY + timedelta(days=1)


def test_nothing_without_a_consent_in_force(register):
    (first,) = register.give([ID], *ASKED, LATER)
    for asked in (("bank_b", "credit_scoring"), ("bank", "marketing")):
        with pytest.raises(NoConsent):
            register.tokens([ID], *asked)
    assert register.take_back(first) and not register.take_back(first)
    with pytest.raises(NoConsent):
        register.tokens([ID], *ASKED)
    assert register.of(ID)[0].taken_back is not None


def test_of_several_all_or_none(register):
    register.give(["a1", "a2"], *ASKED, LATER)
    assert len(set(register.tokens(["a1", "a2"], *ASKED, uses=3))) == 2
    with pytest.raises(NoConsent):
        register.tokens(["a1", "a3"], *ASKED)
    assert [c.tokens for c in register.of("A1")] == [1]


@pytest.mark.parametrize("wrong", [{"uses": 0}, {"uses": 1001}, {"days": 31}, {"days": 0}])
def test_uses_and_days_are_bounded(register, wrong):
    with pytest.raises(ValueError):
        register.tokens([ID], *ASKED, **wrong)


def test_a_consent_for_yesterday_or_nobody_is_refused(register):
    with pytest.raises(ValueError):
        register.give([ID], *ASKED, TODAY - timedelta(days=1))
    with pytest.raises(ValueError):
        register.give([" "], *ASKED, LATER)


def test_the_key_stays_and_is_private(register, tmp_path):
    folder = tmp_path / "register"
    assert ConsentRegister(folder).key == register.key
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert {
        f.name: oct(f.stat().st_mode & 0o077) for f in folder.glob("*.*") if f.suffix in (".key", ".sqlite")
    } == {
        "register.key": "0o0",
        "consents.sqlite": "0o0",
    }


def test_page_and_api(register):
    client = TestClient(app_of(register), base_url="http://127.0.0.1")
    assert "Register of consents" in client.get("/").text
    assert client.get("/key").json()["key"] == register.key
    body = {"enterprise": ID, "bank": "bank", "purpose": "credit_scoring"}
    assert client.post("/tokens", json=body).status_code == 403
    id = client.post("/consents", json=body | {"until": LATER.isoformat()}).json()["id"]
    token = client.post("/tokens", json=body | {"uses": 2}).json()["token"]
    assert check(register, token).uses == 2
    (shown,) = client.post("/consents/of", json={"enterprise": ID}).json()
    assert (shown["id"], shown["in_force"], shown["tokens"]) == (id, True, 1)
    assert client.post("/consents/take_back", json={"id": id}).json() == {"taken_back": True}
    assert client.post("/consents/take_back", json={"id": id}).status_code == 404
    assert client.post("/tokens", json=body).status_code == 403
    assert client.post("/tokens", json=body | {"uses": 5000}).status_code == 422


def test_other_pages_in_the_browser_cannot_speak_for_an_enterprise(register):
    body = {"enterprise": ID, "bank": "bank", "purpose": "credit_scoring", "until": LATER.isoformat()}
    client = TestClient(app_of(register), base_url="http://127.0.0.1")
    plain = client.post("/consents", content=json.dumps(body), headers={"Content-Type": "text/plain"})
    assert plain.status_code == 422
    assert client.post("/consents", json=body, headers={"Host": "register.example"}).status_code == 400
    assert register.of(ID) == []


def test_as_a_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "sim_institutions.consent_register", "--out", tmp_path / "r", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        address = process.stderr.readline().split()[4]
        pinned = tomllib.loads("".join(process.stdout.readline() for _ in range(3)))["policy"]["serving"]
        with urllib.request.urlopen(address + "key", timeout=20) as answer:
            assert json.load(answer)["key"] == pinned["registers"][0]["key"]
        body = json.dumps({"enterprise": ID, "bank": "bank", "purpose": "credit_scoring"}).encode()
        asked = urllib.request.Request(address + "tokens", body, {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=20)
        assert refused.value.code == 403
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
