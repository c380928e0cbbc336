"""The hub's side of Flower as it really runs: who may reach what, who is let in, and messages of a run."""

import asyncio
import http.client
import inspect
import ssl
import sys
import urllib.error
import urllib.request

import pytest

from fedrisk.engine import superlink, superlink_clients, superlink_nodes, superlink_runs
from fedrisk.errors import ConfigError, PeerError
from tests.support.hub_process import hub_home, new_key, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub that serves; a path that is longer than a socket's name may be is no obstacle."""
    home = hub_home(tmp_path_factory.mktemp("hub") / ("long-" * 20) / "home")
    with serving(home):
        yield home


def asked(home, method, path, body=b"", headers=None):
    """Status of a request to the public port."""
    trust = ssl.create_default_context(cafile=str(home.path / "ca.pem"))
    request = urllib.request.Request(
        f"https://{home.address}{path}",
        data=body if method == "POST" else None,
        method=method,
        headers=headers or {},
    )
    try:
        with urllib.request.urlopen(request, context=trust, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def paths(tmp_path):
    return superlink.make_app(tmp_path / "x.sqlite").openapi()["paths"]


def test_the_nine_paths_are_the_fleet_s_without_registering_and_bundles(tmp_path):
    fleet = {path for path in paths(tmp_path) if path.startswith("/v1/fleet/")}
    left_out = {f"/v1/fleet/{name}" for name in ("register-node", "unregister-node", "get-fab")}
    assert len(superlink.PUBLIC) == 9
    assert fleet == superlink.PUBLIC | left_out


def test_every_route_but_nine_is_unknown_at_the_public_port(hub, tmp_path):
    open_to_all = set()
    for path, methods in paths(tmp_path).items():
        for method in {*(m.upper() for m in methods), "GET", "POST"}:
            # Without a node's signature the nine are refused, and everything else is not there.
            if asked(hub, method, path) != 404:
                open_to_all.add((method, path))
    assert open_to_all == {("POST", path) for path in superlink.PUBLIC}


@pytest.mark.parametrize(
    "path",
    [
        "/openapi.json",
        "/docs",
        "/health",
        "/",
        "/v1/fleet/get-run/",
        "//v1/fleet/get-run",
        "/v1/fleet/get%2Drun",
        "/v1/fleet/../control/list-runs",
        "/v1/fleet/%2e%2e/control/list-runs",
        "/v1/fleet/get-run?x=1",
        "/v1/fleet/GET-RUN",
    ],
)
def test_other_spellings_are_unknown(hub, path):
    assert asked(hub, "POST", path) == 404
    assert asked(hub, "GET", path) == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_unknown(hub, method):
    assert asked(hub, method, "/v1/fleet/pull-messages") == 404


def test_a_large_body_is_refused_before_anybody_is_asked_who_they_are(hub):
    trust = ssl.create_default_context(cafile=str(hub.path / "ca.pem"))
    connection = http.client.HTTPSConnection(hub.address, context=trust, timeout=20)
    connection.putrequest("POST", "/v1/fleet/push-object")
    connection.putheader("Content-Length", str(superlink.LARGEST + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_a_large_body_without_a_stated_length_is_never_handed_on():
    seen = []

    async def app(scope, receive, send):
        while (message := await receive())["type"] == "http.request":
            seen.append(len(message["body"]))

    async def receive():
        return {"type": "http.request", "body": b"x" * (1 << 20), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/v1/fleet/push-object", "headers": []}
    asyncio.run(superlink.front(app)(scope, receive, None))
    assert sum(seen) <= superlink.LARGEST


def test_without_a_signature_nobody_pulls_messages(hub):
    body = {"Content-Type": "application/x-protobuf"}
    assert asked(hub, "POST", "/v1/fleet/pull-messages", b"\x0a\x02\x08\x01", body) in (401, 415, 422)


def test_the_inner_door_is_for_its_owner_alone(hub):
    assert (hub.path / superlink_clients.SOCKET).stat().st_mode & 0o777 == 0o600
    assert hub.path.stat().st_mode & 0o077 == 0


def test_a_node_is_let_in_under_its_name_and_shut_out_for_good(hub):
    _, public = new_key()
    assert superlink_nodes.register(hub, "alpha", public)
    assert superlink_nodes.register(hub, "alpha", public)
    (found,) = [n for n in superlink_nodes.nodes(hub.path) if n.name == "alpha"]
    assert (found.key, found.online, found.last) == (superlink_nodes.pem(public), False, None)
    with pytest.raises(ConfigError, match="let in as alpha before"):
        superlink_nodes.register(hub, "beta", public)
    assert superlink_nodes.unregister(hub, "alpha")
    assert not [n for n in superlink_nodes.nodes(hub.path) if n.name == "alpha"]
    with pytest.raises(ConfigError, match="and shut out before"):
        superlink_nodes.register(hub, "alpha", public)


def test_a_name_may_have_two_keys_while_they_rotate(hub):
    old, new = new_key()[1], new_key()[1]
    superlink_nodes.register(hub, "gamma", old)
    superlink_nodes.register(hub, "gamma", new)
    superlink_nodes.unregister(hub, "gamma", old)
    assert [n.key for n in superlink_nodes.nodes(hub.path) if n.name == "gamma"] == [superlink_nodes.pem(new)]


def test_what_is_no_key_is_not_let_in(hub):
    with pytest.raises(ConfigError, match="public key cannot be read"):
        superlink_nodes.register(hub, "delta", "ssh-rubbish")


def test_who_joins_before_the_hub_serves_is_let_in_when_it_does(tmp_path):
    home = hub_home(tmp_path / "home")
    stays, goes = new_key()[1], new_key()[1]
    assert not superlink_nodes.register(home, "alpha", stays)
    assert not superlink_nodes.register(home, "beta", goes)
    assert not superlink_nodes.unregister(home, "beta")
    with pytest.raises(superlink_clients.NotServing, match="fedrisk hub serve"):
        superlink_nodes.nodes(home.path)
    with serving(home):
        assert [n.name for n in superlink_nodes.nodes(home.path)] == ["alpha"]
    home.database.unlink()
    with serving(home):
        assert [n.name for n in superlink_nodes.nodes(home.path)] == ["alpha"]


def test_a_run_is_started_with_a_constant_stub_and_one_string(hub):
    assert superlink_runs.stub() == superlink_runs.stub()
    assert len(superlink_runs.stub()) < 1024
    run = superlink_runs.start_run(hub.path, "desk")
    assert run in superlink_runs.unfinished(hub.path)
    with superlink_runs.task_grid(hub.path, superlink_runs.take_task(hub.path, run)) as grid:
        assert grid.run.run_id == run
        assert grid.get_nodes() == []
    assert run not in superlink_runs.unfinished(hub.path)


def test_a_task_that_was_left_behind_is_put_down(hub):
    left, wanted = superlink_runs.start_run(hub.path, "desk"), superlink_runs.start_run(hub.path, "desk")
    token = superlink_runs.take_task(hub.path, wanted)
    assert left not in superlink_runs.unfinished(hub.path)
    with superlink_runs.task_grid(hub.path, token):
        pass


def test_a_run_that_was_stopped_says_so_to_whoever_works_on_it(hub):
    run = superlink_runs.start_run(hub.path, "desk")
    with superlink_runs.task_grid(hub.path, superlink_runs.take_task(hub.path, run)) as grid:
        superlink_runs.stop_run(hub.path, run)
        with pytest.raises(PeerError, match="gave up this run"):
            grid.get_nodes()


def test_a_long_path_of_the_hub_s_folder_is_no_obstacle(hub):
    assert len(str(hub.path / superlink_clients.SOCKET)) > 108
    assert isinstance(superlink_nodes.nodes(hub.path), list)


def test_flower_still_has_the_names_that_we_use():
    """Signatures that a new version of flwr could change without an import failing."""
    from flwr.supercore import sql_mixin
    from flwr.supercore.protobuf.client import ProtobufClient
    from flwr.superlink.main import create_app

    assert list(inspect.signature(create_app).parameters) == ["config", "superlink_lifespan_class"]
    assert "SQLITE_PRAGMAS" in inspect.getsource(sql_mixin._set_sqlite_pragmas)
    wanted = {"path", "rpc_method", "request", "response_type", "timeout"}
    assert wanted == set(inspect.signature(ProtobufClient._unary_unary).parameters) - {"self"}
    assert "flwr.superlink.cli.flower_superlink" not in sys.modules
