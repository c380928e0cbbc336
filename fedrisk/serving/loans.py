"""The service for a bank's loan system over gRPC, on this machine: the same as over HTTP (protocol/loans.proto)."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from google.protobuf.json_format import ParseDict
from pydantic import ValidationError

from fedrisk.errors import FedriskError
from fedrisk.protocol import loans_pb2 as pb
from fedrisk.protocol import loans_pb2_grpc as rpc
from fedrisk.serving.bank import BankService
from fedrisk.serving.http_guard import MOST_AT_ONCE, MOST_BYTES
from fedrisk.serving.score_forms import CHAMPION, ModelShown, ScoreAnswer, ScoreRequest, ServiceError, Value
from fedrisk.serving.service_token import ServiceToken
from fedrisk.serving.words import of_code

THREADS: Final = 16
CODE: Final = "fedrisk-code"
"""Trailing metadata with the code of a call that has no answers."""

_STATUS: Final = {
    "request": grpc.StatusCode.INVALID_ARGUMENT,
    "token": grpc.StatusCode.UNAUTHENTICATED,
    "model_none": grpc.StatusCode.FAILED_PRECONDITION,
    "model_unknown": grpc.StatusCode.NOT_FOUND,
    "model_several": grpc.StatusCode.FAILED_PRECONDITION,
    "model_state": grpc.StatusCode.FAILED_PRECONDITION,
    "model_rule": grpc.StatusCode.FAILED_PRECONDITION,
    "repeated_key": grpc.StatusCode.ALREADY_EXISTS,
    "store": grpc.StatusCode.UNAVAILABLE,
    "internal": grpc.StatusCode.INTERNAL,
}

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.max_metadata_size", 16_384),
)


def make_server(service: BankService, token: ServiceToken) -> grpc.Server:
    """A server that is not started and listens nowhere yet."""
    server = grpc.server(
        ThreadPoolExecutor(THREADS, "loans"), options=_OPTIONS, maximum_concurrent_rpcs=MOST_AT_ONCE
    )
    rpc.add_LoanSystemServicer_to_server(_LoanSystem(service, token), server)  # type: ignore[no-untyped-call]
    return server


class _LoanSystem(rpc.LoanSystemServicer):
    def __init__(self, service: BankService, token: ServiceToken) -> None:
        self._service, self._token = service, token

    def Score(self, request: pb.ScoreRequest, context: grpc.ServicerContext) -> pb.ScoreReply:
        with self._answering(context):
            answers = self._service.score(_request(request))
            return pb.ScoreReply(answers=[_answer(a) for a in answers])

    def Models(self, request: pb.ModelsRequest, context: grpc.ServicerContext) -> pb.ModelsReply:
        with self._answering(context):
            models = [_model(m) for m in self._service.models()]
            return pb.ModelsReply(bank=self._service.name, models=models, products=self._service.products())

    @contextlib.contextmanager
    def _answering(self, context: grpc.ServicerContext) -> Iterator[None]:
        """Whoever has the token is answered; errors end the call with a status and a code, and repeat nothing of it."""
        given = dict(context.invocation_metadata()).get("authorization", "")
        text = given.decode("ascii", "replace") if isinstance(given, bytes) else given
        scheme, _, said = text.partition(" ")
        if scheme.lower() != "bearer" or not self._token.fits(said):
            _end(context, "token")
        try:
            yield
        except ServiceError as error:
            _end(context, error.reason, error.detail)
        except ValidationError:
            _end(context, "request")
        except FedriskError as error:
            self._service.note(error)
            _end(context, "store")
        except Exception as error:
            self._service.note(error)
            _end(context, "internal")


def _end(context: grpc.ServicerContext, code: str, detail: str = "") -> None:
    context.set_trailing_metadata(((CODE, code),))
    context.abort(_STATUS[code], f"{of_code(code)}{f' {detail}' if detail else ''}")


def _request(asked: pb.ScoreRequest) -> ScoreRequest:
    """A request as the service takes it; ValidationError for one that is malformed."""
    rows = list(asked.enterprises)
    return ScoreRequest.model_validate(
        {
            "ids": [e.id for e in rows],
            "model": asked.model or CHAMPION,
            "purpose": asked.purpose,
            "product": asked.product,
            "consents": [e.consent for e in rows],
            "values": {
                k: {name: _value(v) for name, v in e.values.items()}
                for k, e in enumerate(rows)
                if e.own_values
            },
            "applications": {
                k: _application(e.application) for k, e in enumerate(rows) if e.HasField("application")
            },
            "key": asked.key or None,
        }
    )


def _value(value: pb.Value) -> Value:
    kind = value.WhichOneof("kind")
    found: Value = None if kind is None else getattr(value, kind)
    return found


def _application(said: pb.Application) -> dict[str, Any]:
    numbers = {name: getattr(said, name) for name in ("amount", "months", "turnover") if said.HasField(name)}
    return {**numbers, "green": said.green, "measures": dict(said.measures)}


def _answer(answer: ScoreAnswer) -> pb.ScoreAnswer:
    return ParseDict(answer.model_dump(mode="json", exclude_none=True), pb.ScoreAnswer())


def _model(model: ModelShown) -> pb.Model:
    content = model.model_dump(mode="json", exclude_none=True)
    return ParseDict({**content, "columns": [c["name"] for c in content["columns"]]}, pb.Model())
