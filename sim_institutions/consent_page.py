"""Page and API of the simulated register of consents, on the loopback address alone.

Requests that change something carry JSON, which no other page in the browser can send here, and a host that is this
machine. Ids travel in bodies, never in addresses, which end up in logs.
"""

import socket
from collections.abc import Callable
from datetime import date
from importlib.resources import files
from typing import Annotated

import uvicorn
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.middleware.trustedhost import TrustedHostMiddleware

from fedrisk.serving.consent_token import thumbprint
from sim_institutions.consent_register import ConsentRegister, NoConsent, as_dict

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'"
    ),
    "Cache-Control": "no-store",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Given(_Body):
    """A consent to be given. until: last day (UTC)."""

    enterprise: Word
    bank: Word
    purpose: Word
    until: date


class OfEnterprise(_Body):
    """Whose consents are asked for."""

    enterprise: Word


class ById(_Body):
    """Which consent."""

    id: Word


class Wanted(_Body):
    """A token that a bank asks for."""

    enterprise: Word
    bank: Word
    purpose: Word
    uses: int = 1


def app_of(register: ConsentRegister) -> FastAPI:
    """The page at /, the API below it; its description is at /openapi.json."""
    app = FastAPI(title=f"Register of consents: {register.name}", docs_url=None, redoc_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    page = (files("sim_institutions") / "templates" / "consent_register.html").read_text(encoding="utf-8")

    @app.get("/", response_class=HTMLResponse)
    def show() -> HTMLResponse:
        return HTMLResponse(page, headers=HEADERS)

    @app.get("/key")
    def key() -> dict[str, str]:
        """The key to pin, and what a holder writes."""
        return {
            "name": register.name,
            "key": register.key,
            "kid": thumbprint(register.key),
            "toml": register.to_pin,
        }

    @app.post("/consents")
    def give(body: Given) -> dict[str, str]:
        """Give a consent."""
        return {"id": register.give([body.enterprise], body.bank, body.purpose, body.until)[0]}

    @app.post("/consents/of")
    def of(body: OfEnterprise) -> list[dict[str, object]]:
        """All consents of an enterprise, the latest first."""
        return [as_dict(consent) for consent in register.of(body.enterprise)]

    @app.post("/consents/take_back")
    def take_back(body: ById) -> dict[str, bool]:
        """Take a consent back: no more tokens are made from it."""
        if not register.take_back(body.id):
            raise HTTPException(404, "no such consent is in force")
        return {"taken_back": True}

    @app.post("/tokens")
    def token(body: Wanted) -> dict[str, str]:
        """A token for a bank, where the enterprise has given its consent."""
        return {"token": register.tokens([body.enterprise], body.bank, body.purpose, uses=body.uses)[0]}

    # What the register refuses is told in its words.
    app.add_exception_handler(NoConsent, lambda _, error: JSONResponse({"detail": str(error)}, 403))
    app.add_exception_handler(ValueError, lambda _, error: JSONResponse({"detail": str(error)}, 422))
    return app


def serve(register: ConsentRegister, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; says the address once it listens."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)
        say(f"register of consents at http://127.0.0.1:{listening.getsockname()[1]}/ (this machine alone)")
        config = uvicorn.Config(app_of(register), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])
