"""Runs of the hub's SuperLink whose ServerApp is ours: started, ended, and their tasks done.

A run of Flower needs a bundle of code. Ours is a constant stub of a few hundred bytes that nobody fetches; what runs is
the installed fedrisk (Flower's "process" isolation: somebody takes the run's task and does it).
"""

import contextlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from flwr.common.constant import SubStatus
from flwr.proto.control_pb2 import ListRunsRequest, StartRunRequest, StopRunRequest
from flwr.proto.fab_pb2 import Fab
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.proto.transport_pb2 import Scalar
from flwr.supercore.constant import TaskType
from flwr.supercore.run import Run
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from fedrisk.engine.streamed_grid import StreamedGrid
from fedrisk.engine.superlink_clients import Runtime, told
from fedrisk.errors import ConfigError, PeerError

_BEAT = 15.0
_STUB = """[project]
name = "fedrisk-installed"
version = "1.0.0"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "fedrisk"

[tool.flwr.app.components]
serverapp = "fedrisk.server.app:app"
clientapp = "fedrisk.clients.app:app"

[tool.flwr.app.config]
proposal = ""
"""


def stub() -> bytes:
    """The bundle of every run: always the same bytes, with no code in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("pyproject.toml", (2026, 1, 1, 0, 0, 0)), _STUB)
    return buffer.getvalue()


def start_run(folder: Path, proposal: str) -> int:
    """Start a run of Flower whose configuration holds one string, the proposal's id (or "desk"); its number."""
    asked = StartRunRequest(
        fab=Fab(hash_str="", content=stub()), override_config={"proposal": Scalar(string=proposal)}
    )
    answer = told(folder, lambda c: c.StartRun(asked))
    if not answer.run_id:
        raise ConfigError("the hub's Flower service did not start a run; see its log")
    return int(answer.run_id)


def unfinished(folder: Path) -> list[int]:
    """Numbers of runs that nobody ended."""
    runs = told(folder, lambda c: c.ListRuns(ListRunsRequest())).run_dict
    return [number for number, run in runs.items() if run.status.status != "finished"]


def stop_run(folder: Path, run: int) -> None:
    """End a run that nobody works on; one that ended meanwhile is left as it is."""
    with contextlib.suppress(ConfigError):
        told(folder, lambda c: c.StopRun(StopRunRequest(run_id=run)))


def take_task(folder: Path, run: int, *, seconds: float = 30.0) -> str:
    """The token of a run's task, which is then this process's to do or to hand on; PeerError where there is none.

    Tasks of other runs, which somebody left behind, are put down as failed.
    """
    deadline, client = time.monotonic() + seconds, Runtime(folder)
    try:
        while time.monotonic() < deadline:
            got = client.AcquireTask(AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP.value]))
            if got.HasField("task") and got.token:
                if got.task.run_id == run:
                    return str(got.token)
                _finish(Runtime(folder, got.token), SubStatus.FAILED, "left behind")
                continue
            time.sleep(0.1)
    finally:
        client.close()
    raise PeerError("the hub's Flower service has no task for the run that was just started; see its log")


@contextlib.contextmanager
def task_grid(folder: Path, token: str) -> Iterator[StreamedGrid]:
    """Do a task: a grid to its nodes, with heartbeats meanwhile; how it ended is entered in the end.

    One at a time in a process, since Flower keeps who a message comes from in a process-wide place. PeerError where
    the task is no longer to be done.
    """
    client = Runtime(folder, token)
    given = client.PullTaskInput(PullTaskInputRequest())
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, given.run.run_id
    TaskIdentity.node_id = given.context.node_id
    grid = StreamedGrid(client)
    grid.set_run(Run.create_empty(given.run.run_id))
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(folder, token, stop), daemon=True)
    beating.start()
    status, detail = SubStatus.FAILED, ""
    try:
        yield grid
        status = SubStatus.COMPLETED
    except BaseException as error:
        detail = type(error).__name__
        raise
    finally:
        stop.set()
        with contextlib.suppress(PeerError):
            _finish(client, status, detail)
        grid.close()
        client.close()


def _beat(folder: Path, token: str, stop: threading.Event) -> None:
    """Heartbeats of a task: without them Flower gives it up after a minute. A connection of its own."""
    client = Runtime(folder, token)
    while not stop.wait(_BEAT):
        # A task that was given up is noticed by the next request of the grid.
        with contextlib.suppress(PeerError):
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    client.close()


def _finish(client: RuntimeHttpClient, status: str, detail: str) -> None:
    # No context goes back: nothing of a study stays in Flower's database.
    client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=detail))
