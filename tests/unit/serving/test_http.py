"""The local service over HTTP and gRPC, as it listens: token, names, limits, errors that repeat nothing, pages."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from fastapi.openapi.models import OpenAPI

from fedrisk.errors import ConfigError
from fedrisk.protocol import loans_pb2 as pb
from fedrisk.protocol import loans_pb2_grpc as rpc
from fedrisk.serving import http_guard
from fedrisk.serving.bank import BankService
from fedrisk.serving.http_forms import EXAMPLE_ANSWERS, EXAMPLES, ScoresAsked, ScoresBody
from fedrisk.serving.serve_bank import Address, Listening, serving
from fedrisk.serving.service_token import ServiceToken
from support.browser import CHROMIUM, Browser
from support.deployed_bank import Place

SECRET = "S3CRET-8f1c"


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


@dataclass
class Client:
    at: Address
    place: Place

    @property
    def token(self) -> str:
        return self.at.token.read_text().strip()

    def call(self, method: str, path: str, content: Any = None, **headers: str) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.at.http or 0, timeout=20)
        body = content if isinstance(content, str | bytes | None) else json.dumps(content)
        given = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {k: v for k, v in given.items() if v})
            found = connection.getresponse()
            return Said(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def score(self, *ids: str, **more: Any) -> Said:
        return self.call("POST", "/v1/scores", {"enterprises": [{"id": i} for i in ids], **more})


@pytest.fixture(scope="module")
def client(bank_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    relay = bank_place.relay()
    service = BankService(bank_place.node(), relay)
    with serving(service, tmp_path_factory.mktemp("node"), Listening(0, 0)) as at:
        yield Client(at, bank_place)
    service.close()
    relay.close()


def test_scores_are_those_of_the_study(client: Client) -> None:
    study = client.place.scores[:20]
    said = client.score(*study["id"])
    assert said.status == 200
    assert [a["score"] for a in said.body["answers"]] == study["score"].tolist()
    assert [a["probability"] for a in said.body["answers"]] == pytest.approx(
        study["probability"].tolist(), abs=1e-12
    )


def test_an_enterprise_without_a_score_has_a_code_in_its_own_answer(client: Client) -> None:
    said = client.score(client.place.scores["id"][0], "nobody")
    first, second = said.body["answers"]
    assert said.status == 200
    assert (first["code"], second["code"]) == ("", "own_row")
    assert second["words"].startswith("The enterprise is not in this bank's table.")


def test_the_same_request_gets_the_same_answer(client: Client) -> None:
    id = client.place.scores["id"][1]
    content = {"enterprises": [{"id": id}]}
    first, second = (client.call("POST", "/v1/scores", content, Idempotency_Key="one") for _ in range(2))
    assert first.raw == second.raw
    other = client.call("POST", "/v1/scores", {"enterprises": [{"id": "x"}]}, Idempotency_Key="one")
    assert (other.status, other.body["code"]) == (422, "repeated_key")


def test_models_and_health(client: Client) -> None:
    models = client.call("GET", "/v1/models").body
    assert models["bank"] == "bank"
    assert client.place.model in [m["id"] for m in models["models"]]
    assert client.call("GET", "/v1/health", Authorization="").body["status"] == "ok"


# --- who may ask --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", f"Bearer {SECRET}", "Bearer", "Basic x", "Bearer é", "bearer  "])
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/scores")])
def test_without_the_token_nothing_is_said(client: Client, given: str, method: str, path: str) -> None:
    said = client.call(method, path, "{" if method == "POST" else None, Authorization=given)
    assert (said.status, said.body["code"]) == (401, "token")
    assert said.headers["www-authenticate"] == "Bearer"
    assert SECRET not in said.raw.decode()


def test_the_token_is_private_and_follows_its_file(tmp_path: Path) -> None:
    token = ServiceToken(tmp_path)
    first = token.path.read_text().strip()
    assert token.path.stat().st_mode & 0o777 == 0o600
    assert token.fits(first) and not token.fits(first[:-1]) and not token.fits(None) and not token.fits("")
    assert ServiceToken(tmp_path).fits(first)
    token.path.unlink()
    assert not token.fits(first)
    assert token.fits(token.path.read_text().strip())
    token.path.write_text("short")
    with pytest.raises(ConfigError, match="delete it"):
        token.fits("short")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/health", "/docs"])
def test_other_names_and_other_pages_are_refused(client: Client, headers: dict[str, str], path: str) -> None:
    said = client.call("GET", path, **headers)
    assert (said.status, said.body["code"]) == (421, "host")
    assert "evil" not in said.raw.decode()


def test_its_own_names_are_taken(client: Client) -> None:
    port = client.at.http
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert client.call("GET", "/v1/models", Host=host, Origin=f"http://{host}").status == 200


def test_a_link_in_another_page_opens_the_page(client: Client) -> None:
    said = client.call("GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert said.status == 200
    assert (
        client.call("POST", "/v1/scores", "{}", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status
        == 421
    )


def test_elsewhere_than_on_loopback_it_needs_tls() -> None:
    for host in ("0.0.0.0", "192.0.2.1", "::", "bank.example"):
        with pytest.raises(ConfigError, match="token would travel in clear"):
            Listening(0, host=host)
    with pytest.raises(ConfigError, match="go together"):
        Listening(0, certificate=Path("a.pem"))


def test_a_port_that_is_taken_is_said(client: Client, bank_place: Place, tmp_path: Path) -> None:
    service = BankService(bank_place.node(), None)
    for listening in (Listening(client.at.http), Listening(None, client.at.grpc)):
        with (
            pytest.raises(ConfigError, match="used by another program"),
            serving(service, tmp_path, listening),
        ):
            pass
    service.close()


# --- what is malformed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "",
        "[1]",
        "null",
        '{"enterprises": []}',
        '{"enterprises": [{"id": ""}]}',
        f'{{"enterprises": [{{"id": "a", "{SECRET}": 1}}]}}',
        f'{{"enterprises": [{{"id": "{SECRET}"}}, {{"id": "{SECRET}"}}]}}',
        f'{{"enterprises": [{{"id": "a", "values": {{"{SECRET}": NaN}}}}]}}',
        f'{{"enterprises": [{{"id": "a", "consent": "{SECRET * 500}"}}]}}',
        f'{{"enterprises": [{{"id": "a", "application": {{"amount": "{SECRET}"}}}}]}}',
        '{"enterprises": [{"id": "a", "values": {"use": ' + "9" * 5000 + "}}]}",
        "[" * 100_000,
        json.dumps({"enterprises": [{"id": str(k)} for k in range(1001)]}),
    ],
)
def test_what_is_malformed_is_named_by_its_place_alone(client: Client, content: str) -> None:
    said = client.call("POST", "/v1/scores", content)
    assert (said.status, said.body["code"]) == (422, "request")
    assert said.headers["content-type"] == "application/problem+json"
    assert SECRET not in said.raw.decode()


def test_a_malformed_request_id_is_not_repeated(client: Client) -> None:
    said = client.call("POST", "/v1/scores", {"enterprises": [{"id": "a"}]}, Idempotency_Key=f"{SECRET} !")
    assert said.status == 422 and SECRET not in said.raw.decode()
    assert "Idempotency-Key" in said.body["places"][0]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/{SECRET}", 404, "path"),
        ("GET", "/v1/scores/", 404, "path"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "path"),
        ("DELETE", "/v1/scores", 405, "method"),
        ("PUT", "/", 405, "method"),
    ],
)
def test_other_addresses_and_methods(client: Client, method: str, path: str, status: int, code: str) -> None:
    said = client.call(method, path)
    assert (said.status, said.body["code"]) == (status, code)
    assert SECRET not in said.raw.decode()


def test_models_that_are_not_there(client: Client) -> None:
    said = client.score("a", model=SECRET)
    assert (said.status, said.body["code"]) == (404, "model_unknown")
    assert SECRET not in said.raw.decode()
    assert client.score("a", purpose="marketing").body["code"] == "model_none"


def test_too_large_is_refused_before_it_is_read(client: Client) -> None:
    said = client.call("POST", "/v1/scores", Content_Length=str(http_guard.MOST_BYTES + 1))
    assert (said.status, said.body["code"]) == (413, "large")


def test_too_large_in_chunks(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "MOST_BYTES", 1000)
    connection = http.client.HTTPConnection("127.0.0.1", client.at.http or 0, timeout=20)
    connection.request(
        "POST",
        "/v1/scores",
        iter([b"x" * 600, b"x" * 600]),
        encode_chunked=True,
        headers={
            "Authorization": f"Bearer {client.token}",
            "Transfer-Encoding": "chunked",
        },
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_request_that_never_comes_to_its_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", client.at.http or 0), timeout=20) as wire:
        head = (
            f"POST /v1/scores HTTP/1.1\r\nHost: 127.0.0.1:{client.at.http}\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {client.token}\r\n\r\n{{"
        )
        wire.sendall(head.encode())
        assert b" 408 " in wire.recv(100)


def test_too_many_at_once_are_told_to_come_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "MOST_AT_ONCE", 0)
    said = client.call("GET", "/v1/models")
    assert (said.status, said.body["code"], said.headers["retry-after"]) == (503, "busy", "1")
    assert client.call("GET", "/v1/health").status == 200


def test_what_nobody_foresaw_stays_at_home(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(BankService, "score", broken)
    said = client.score("a")
    assert (said.status, said.body["code"]) == (500, "internal")
    assert SECRET not in said.raw.decode()
    with pytest.raises(grpc.RpcError) as stopped:
        loans(client).Score(pb.ScoreRequest(enterprises=[pb.Enterprise(id="a")]), metadata=signed(client))
    assert SECRET not in str(stopped.value)


# --- pages and description ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/page.js",
        "/language.js",
        "/words.js",
        "/page.css",
        "/docs",
        "/docs.js",
        "/swagger-ui.css",
        "/openapi.json",
    ],
)
def test_pages_load_nothing_from_elsewhere(client: Client, path: str) -> None:
    said = client.call("GET", path, Authorization="")
    assert said.status == 200
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert said.headers["x-content-type-options"] == "nosniff"
    assert said.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in said.headers and "server" not in said.headers
    if path in ("/", "/docs"):
        found = re.findall(r'(?:src|href)="([^"]*)"', said.raw.decode())
        assert all(link.startswith(("/", "#", "data:,")) and not link.startswith("//") for link in found)
        assert "<style" not in said.raw.decode() and not re.search(r"\son\w+=|style=", said.raw.decode())


def test_errors_have_the_headers_too(client: Client) -> None:
    for said in (
        client.call("GET", "/x"),
        client.call("GET", "/", Host="x"),
        client.call("GET", "/v1/models", Authorization=""),
    ):
        assert "content-security-policy" in said.headers


def test_the_description_is_whole(client: Client) -> None:
    document = client.call("GET", "/openapi.json", Authorization="").body
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.0.")
    assert set(document["paths"]) == {"/v1/scores", "/v1/index", "/v1/models", "/v1/health"}
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert reference in document["components"]["schemas"]
    assert '"null"' not in text and '"const"' not in text
    post = document["paths"]["/v1/scores"]["post"]
    assert {"200", "401", "404", "408", "409", "413", "421", "422", "500", "503"} <= set(post["responses"])
    assert post["security"]
    assert "Problem" in json.dumps(post["responses"]["422"])
    assert [p["name"] for p in post["parameters"]] == ["Idempotency-Key"]


def test_examples_are_as_the_forms_say() -> None:
    for example in EXAMPLES.openapi_examples.values():
        ScoresAsked.model_validate(example["value"]).as_request("key")
    for example in EXAMPLE_ANSWERS.values():
        ScoresBody.model_validate(example["value"])


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
def test_a_loan_officer_signs_in_and_reads_a_score(client: Client) -> None:
    address = f"http://127.0.0.1:{client.at.http}"
    row = client.place.scores.iloc[3]
    browser = Browser()
    try:
        browser.open(f"{address}/")
        browser.wait("!document.getElementById('entrance').hidden")
        browser.type("#token", "not the token")
        browser.press("Enter")
        browser.wait("document.getElementById('token-error').textContent")
        browser.type("#token", client.token)
        browser.press("Enter")
        browser.wait("!document.getElementById('desk').hidden")
        browser.type("#id", row["id"])
        browser.press("Enter")
        browser.wait("document.querySelector('.figure')")
        said = browser.text("#answer")
        assert str(row["score"]) in said and "Chance of default" in said
        browser.run("document.getElementById('id').value = ''")
        browser.type("#id", "<img src=x onerror=alert(1)>")
        assert "The form has changed" in browser.text("#stale")
        browser.press("Enter")
        browser.wait("document.querySelector('.notice.error')")
        assert "not in this bank's table" in browser.text("#answer")
        assert "<img src=x" in browser.text(".who")
        browser.size(320, 640)
        assert browser.run("document.documentElement.scrollWidth") <= 320
        browser.open(f"{address}/docs")
        browser.wait("document.querySelectorAll('.opblock').length === 3")
        assert all(url.startswith((address, "data:")) for url in browser.asked)
        assert [t for t in browser.told if "401" not in t] == []
    finally:
        browser.close()


# --- gRPC ---------------------------------------------------------------------------------------------------


def loans(client: Client) -> Any:
    return rpc.LoanSystemStub(grpc.insecure_channel(f"127.0.0.1:{client.at.grpc}"))


def signed(client: Client) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {client.token}"),)


def test_grpc_answers_the_same(client: Client) -> None:
    ids = [*client.place.scores["id"][:3], "nobody"]
    over_http = client.score(*ids).body["answers"]
    reply = loans(client).Score(
        pb.ScoreRequest(enterprises=[pb.Enterprise(id=i) for i in ids]), metadata=signed(client), timeout=20
    )
    for answer, other in zip(reply.answers, over_http, strict=True):
        assert (answer.id, answer.code, answer.words) == (other["id"], other["code"], other["words"])
        assert (answer.score if answer.HasField("score") else None) == other["score"]
        assert list(answer.reasons) == other["reasons"]
    assert not reply.answers[3].HasField("probability")
    models = loans(client).Models(pb.ModelsRequest(), metadata=signed(client))
    assert client.place.model in [m.id for m in models.models]


def test_grpc_takes_values_of_every_kind(client: Client) -> None:
    values = {"use": pb.Value(number=0.5), "term": pb.Value(whole=1)}
    asked = pb.Enterprise(
        id="applicant", own_values=True, values=values, application=pb.Application(amount=1e5)
    )
    (answer,) = loans(client).Score(pb.ScoreRequest(enterprises=[asked]), metadata=signed(client)).answers
    assert answer.code == "" and answer.HasField("score")
    asked = pb.Enterprise(id="applicant", own_values=True, values={"use": pb.Value(text=SECRET)})
    (answer,) = loans(client).Score(pb.ScoreRequest(enterprises=[asked]), metadata=signed(client)).answers
    assert answer.code == "own_value" and SECRET not in answer.words


@pytest.mark.parametrize(
    ("request_", "given", "status", "code"),
    [
        (pb.ScoreRequest(enterprises=[pb.Enterprise(id="a")]), "", "UNAUTHENTICATED", "token"),
        (
            pb.ScoreRequest(enterprises=[pb.Enterprise(id="a")]),
            f"Bearer {SECRET}",
            "UNAUTHENTICATED",
            "token",
        ),
        (pb.ScoreRequest(), None, "INVALID_ARGUMENT", "request"),
        (
            pb.ScoreRequest(key=f"{SECRET} !", enterprises=[pb.Enterprise(id="a")]),
            None,
            "INVALID_ARGUMENT",
            "request",
        ),
        (
            pb.ScoreRequest(model=SECRET, enterprises=[pb.Enterprise(id="a")]),
            None,
            "NOT_FOUND",
            "model_unknown",
        ),
    ],
)
def test_grpc_errors_have_a_status_and_a_code(
    client: Client, request_: Any, given: str | None, status: str, code: str
) -> None:
    metadata = signed(client) if given is None else (("authorization", given),) if given else ()
    with pytest.raises(grpc.RpcError) as stopped:
        loans(client).Score(request_, metadata=metadata)
    assert stopped.value.code().name == status
    assert ("fedrisk-code", code) in [(m.key, m.value) for m in stopped.value.trailing_metadata()]
    assert SECRET not in str(stopped.value)


def test_the_end_of_the_block_ends_the_service(bank_place: Place, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    service = BankService(bank_place.node(), None)
    with serving(service, tmp_path, Listening(0, 0)) as at:
        assert at.http and at.grpc
    service.close()
    for port in (at.http, at.grpc):
        with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
            pass
    assert not [t for t in threading.enumerate() if t.name == "loan-system" and t not in before]
