"""What a bank wants to hear of the loans that it watches: [watch] in its own file."""

from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

_Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class Webhook(BaseModel):
    """Where alerts are posted to.

    url: https, or http on this machine alone. ca: PEM file of the authority that signed the receiver's certificate, in
    place of the system's. token: file with a bearer token. key: file with the key of the body's HMAC. seconds: for
    which one try waits.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: _Text
    ca: _Text | None = None
    token: _Text | None = None
    key: _Text | None = None
    seconds: Annotated[float, Field(gt=0, le=300)] = 10.0

    @field_validator("url")
    @classmethod
    def _safe(cls, given: str) -> str:
        try:
            parts = urlsplit(given)
            _ = parts.port
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("watch.webhook.url is an address such as https://alerts.bank.example/watch")
        if not given.isascii() or any(c.isspace() or not c.isprintable() for c in given):
            raise ValueError("watch.webhook.url has spaces or other letters; write them as %20 and the like")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise ValueError(
                "watch.webhook.url goes in the clear to another machine, and alerts hold ids and scores; write https"
            )
        return given


def _is_here(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class WatchRules(BaseModel):
    """Rules of one bank for watching its loans ([watch]).

    active: column of the bank's table that says which loans are outstanding; None takes all rows.
    consent: column with the enterprises' consents, where members ask for them.
    purpose: for which scores are asked; portfolio_monitoring has limits and consents of its own at members
        (policy.serving.monitoring). None takes the model's.
    several_days: whether a month that members' limits do not bear in a day goes on the next day, by the same command;
        else it is not begun.
    fall: points by which a score has to fall against the best of the last ``months`` before an alert is raised; 0
        raises none.
    probability: of default, from which on an alert is raised.
    warning: a warning model, asked beside the watched one; None where the watched one is one itself, or there is none.
        warning_threshold: score at or below which it warns; None takes what its study set.
    recovery: months in a row without any sign after which an event is over, so that the next one is told again.
    challenger: a model that is asked beside the watched one and raises no alerts.
    exposure, loss_given_default: columns of the table with what is outstanding of a loan, and which share of it a
        default loses, for expected losses on the page.
    file, webhook, command: where alerts go. seconds: for which the command may run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    active: _Text | None = None
    consent: _Text | None = None
    purpose: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    several_days: bool = False
    fall: Annotated[int, Field(ge=0, le=1000)] = 40
    months: Annotated[int, Field(ge=1, le=36)] = 3
    probability: Annotated[float, Field(gt=0, lt=1)] | None = None
    warning: _Text | None = None
    warning_threshold: int | None = None
    recovery: Annotated[int, Field(ge=1, le=36)] = 3
    challenger: _Text | None = None
    exposure: _Text | None = None
    loss_given_default: _Text | None = None
    file: _Text | None = None
    webhook: Webhook | None = None
    command: tuple[_Text, ...] = ()
    seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.loss_given_default is not None and self.exposure is None:
            raise ValueError(
                "watch.loss_given_default is a share of what is outstanding; name watch.exposure as well"
            )
        return self
