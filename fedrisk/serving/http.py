"""The service for a bank's loan system over HTTP and JSON, on this machine alone; OpenAPI 3.0.

    POST /v1/scores   1 to 1000 enterprises -> an answer for each
    POST /v1/index    operating health index of 1 to 1000 enterprises, month by month
    GET  /v1/models   the bank's models
    GET  /v1/health   whether it answers
    GET  /docs        this description, from the package alone;  /  a page for a loan officer

Errors of a whole request are problem details (RFC 9457) with a code of serving/codes, and repeat nothing of it: what a
client sends may be somebody's consent. An enterprise that has no score has a code in its own answer.
"""

import json
from collections.abc import Callable, Collection
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import ValidationError
from starlette.exceptions import HTTPException

import fedrisk
from fedrisk.errors import FedriskError
from fedrisk.serving.bank import BankService
from fedrisk.serving.http_forms import (
    EXAMPLE_ANSWERS,
    EXAMPLES,
    Health,
    IndexAsked,
    ModelsBody,
    Problem,
    ScoresAsked,
    ScoresBody,
)
from fedrisk.serving.http_guard import App, Guard
from fedrisk.serving.index_forms import IndexBody
from fedrisk.serving.openapi import as_3_0
from fedrisk.serving.page_words import script
from fedrisk.serving.score_forms import RequestId, ServiceError
from fedrisk.serving.service_token import ServiceToken
from fedrisk.serving.words import of_code

STATUS: Final = {
    "request": 422,
    "token": 401,
    "host": 421,
    "path": 404,
    "method": 405,
    "large": 413,
    "slow": 408,
    "busy": 503,
    "model_none": 409,
    "model_unknown": 404,
    "model_several": 409,
    "model_state": 409,
    "model_rule": 409,
    "repeated_key": 422,
    "store": 503,
    "internal": 500,
}
"""HTTP status of each code of a whole request."""

_OF_MODELS: Final = (
    "request",
    "repeated_key",
    "model_none",
    "model_unknown",
    "model_several",
    "model_state",
    "model_rule",
)

_CODES: Final = {404: "path", 405: "method"}

_TOKEN: Final = Depends(
    HTTPBearer(auto_error=False, description="The content of the node's file service.token.")
)
"""For the description; the token is looked at before (http_guard)."""

_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/language.js": ("language.js", "text/javascript; charset=utf-8"),
    "/docs": ("docs.html", "text/html; charset=utf-8"),
    "/docs.js": ("docs.js", "text/javascript; charset=utf-8"),
}

_SWAGGER: Final = {
    "/swagger-ui.css": ("swagger-ui.css", "text/css; charset=utf-8"),
    "/swagger-ui-bundle.js": ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
}


_ABOUT: Final = (
    "Risk scores of enterprises, by models that institutions built together without showing each other a record. For "
    "the loan system of one bank, on the machine of its node. A score is advice; the decision stays with the bank.\n\n"
    "Every request but /v1/health needs the token of the node's file service.token. Send an Idempotency-Key with a "
    "request for scores: after a lost answer, the same request gets the same answer, and nobody is asked or counted "
    "twice."
)


def make_app(service: BankService, token: ServiceToken, names: Collection[str]) -> App:
    """The service as an ASGI application; names: HOST:PORT under which it may be asked."""
    app = FastAPI(
        title="fedrisk: scores for a loan system",
        description=_ABOUT,
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    _add_handlers(app, service)
    _add_routes(app, service)
    _add_pages(app)
    return Guard(app, names=names, refused=refusal, signed_in=token.fits, open_paths=("/v1/health",))


def problem(code: str, detail: str = "", places: Collection[str] = ()) -> dict[str, Any]:
    """A problem's details for a code of a whole request."""
    title = of_code(code)
    return {
        "type": "about:blank",
        "title": title,
        "status": STATUS[code],
        "code": code,
        "detail": detail,
        "places": list(places),
    }


def refusal(code: str) -> tuple[int, bytes]:
    """Status and body for a code of a whole request."""
    return STATUS[code], json.dumps(problem(code)).encode()


def _response(code: str, detail: str = "", places: Collection[str] = ()) -> Response:
    body = json.dumps(problem(code, detail, places))
    return Response(body, STATUS[code], media_type="application/problem+json")


def _add_routes(app: FastAPI, service: BankService) -> None:
    def errors(*codes: str) -> dict[int | str, dict[str, Any]]:
        out: dict[int | str, dict[str, Any]] = {}
        for code in ("token", "host", "slow", "large", "busy", "store", "internal", *codes):
            status = STATUS[code]
            said = out.setdefault(status, {"model": Problem, "description": of_code(code)})
            content = said.setdefault("content", {"application/problem+json": {"examples": {}}})
            content["application/problem+json"]["examples"][code] = {"value": problem(code)}
        return out

    about = (
        "Scores of 1 to 1000 enterprises; each has a score, or a code and a sentence that says what to do."
    )

    @app.post(
        "/v1/scores",
        dependencies=[_TOKEN],
        response_model=ScoresBody,
        responses={
            200: {"content": {"application/json": {"examples": EXAMPLE_ANSWERS}}},
            **errors(*_OF_MODELS),
        },
        summary="Score enterprises",
        description=about,
        operation_id="score",
    )
    def score(asked: Annotated[ScoresAsked, EXAMPLES], key: IdempotencyKey = None) -> Response:
        answers = service.score(asked.as_request(key))
        return Response(ScoresBody(answers=answers).model_dump_json(), media_type="application/json")

    @app.post(
        "/v1/index",
        dependencies=[_TOKEN],
        response_model=IndexBody,
        responses=errors(*_OF_MODELS),
        summary="Operating health index of enterprises",
        description="0 to 100 a month, 100 is the healthiest, of 1 to 1000 enterprises; or a code and a sentence.",
        operation_id="index",
    )
    def index(asked: IndexAsked, key: IdempotencyKey = None) -> Response:
        body = service.index(asked.as_request(key))
        return Response(body.model_dump_json(), media_type="application/json")

    @app.get(
        "/v1/models",
        dependencies=[_TOKEN],
        response_model=ModelsBody,
        responses=errors(),
        summary="The bank's models",
        operation_id="models",
    )
    def models() -> Response:
        body = ModelsBody(bank=service.name, models=tuple(service.models()), products=service.products())
        return Response(body.model_dump_json(), media_type="application/json")

    @app.get("/v1/health", response_model=Health, summary="Whether it answers", operation_id="health")
    async def health() -> Response:
        body = Health(version=fedrisk.__version__)
        return Response(body.model_dump_json(), media_type="application/json")


IdempotencyKey = Annotated[
    RequestId | None,
    Header(
        alias="Idempotency-Key",
        description="The loan system's own id of this request. Sent again, it gets the same answer, and no member is "
        "asked twice.",
    ),
]


def _add_handlers(app: FastAPI, service: BankService) -> None:
    @app.exception_handler(ServiceError)
    async def of_service(request: Request, error: ServiceError) -> Response:
        return _response(error.reason, error.detail)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        return _response("request", places=_places(error.errors()))

    @app.exception_handler(ValidationError)
    async def not_a_request(request: Request, error: ValidationError) -> Response:
        return _response("request", places=_places(error.errors()))

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        return _response(_CODES.get(error.status_code, "request"))

    @app.exception_handler(FedriskError)
    async def of_fedrisk(request: Request, error: FedriskError) -> Response:
        service.note(error)
        return _response("store")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        service.note(error)
        return _response("internal")


def _places(errors: Collection[Any]) -> list[str]:
    """Where a request is malformed and by which rule; words that came with it are left out."""
    found: dict[str, None] = {}
    for error in errors:
        place = ".".join(_place(part) for part in error["loc"] if part != "body")
        rule = "one key too many" if error["type"] == "extra_forbidden" else str(error["msg"])
        rule = "not JSON" if error["type"].startswith("json") else rule.removeprefix("Value error, ")
        found[f"{place}: {rule}" if place else rule] = None
    return list(found)[:20]


@cache
def _known_words() -> frozenset[str]:
    """Names of all fields of requests."""
    names = set()
    for schema in (ScoresAsked.model_json_schema(), IndexAsked.model_json_schema()):
        names |= {name for form in (schema, *schema["$defs"].values()) for name in form.get("properties", {})}
    return frozenset({*names, "header", "Idempotency-Key", "idempotency-key"})


def _place(part: object) -> str:
    return str(part) if isinstance(part, int) or part in _known_words() else "?"


def _add_pages(app: FastAPI) -> None:
    def add(path: str, content: Callable[[], bytes], kind: str) -> None:
        async def page() -> Response:
            return Response(content(), media_type=kind)

        app.add_api_route(path, page, include_in_schema=False)

    add("/openapi.json", cache(lambda: json.dumps(as_3_0(app.openapi())).encode()), "application/json")
    add("/words.js", cache(lambda: script().encode()), "text/javascript; charset=utf-8")
    ours = files("fedrisk.serving") / "page"
    for path, (name, kind) in _FILES.items():
        add(path, cache((ours / name).read_bytes), kind)
    for path, (name, kind) in _SWAGGER.items():
        add(path, cache((_swagger() / name).read_bytes), kind)


def _swagger() -> Path:
    """The files of Swagger UI, from its package: nothing is loaded from elsewhere."""
    from swagger_ui_bundle import swagger_ui_path

    return Path(str(swagger_ui_path))
