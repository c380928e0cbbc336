"""Units, images and the compose file are well formed, and say what the design promises. No daemon runs them here."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from fedrisk.cli.exits import EXIT_CODES
from fedrisk.deploy.health import PATIENCE

FOLDER = Path(__file__).parents[3] / "configs" / "deployment"
UNITS = ("fedrisk-hub.service", "fedrisk-node.service")


def unit(name):
    """Sections with the last value of each key, as for keys that are not lists."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(FOLDER / name, encoding="utf-8")
    return parser


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_supervised_and_shut_in(name):
    service = unit(name)["Service"]
    expected = {"Type": "notify", "Restart": "always", "RestartSec": "2s", "ProtectSystem": "strict"}
    expected |= {"NoNewPrivileges": "true", "UMask": "0077", "StateDirectoryMode": "0700"}
    assert {key: service[key] for key in expected} == expected
    assert float(service["WatchdogSec"]) == PATIENCE
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert service["User"] not in ("root", "nobody")
    # What a restart repairs is tried again; 75 is temporary.
    never = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert never <= EXIT_CODES.keys() and 75 not in never and 9 not in never


def test_a_node_has_the_database_password_as_a_credential_and_binds_nothing():
    service = unit("fedrisk-node.service")["Service"]
    assert (
        service["LoadCredential"].startswith("database:/etc/") and service["SetCredential"] == "database:none"
    )
    assert service["SocketBindDeny"] == "any"


def test_users_of_the_units_are_made():
    made = re.findall(r"^u (\S+)", (FOLDER / "fedrisk.sysusers").read_text(), re.MULTILINE)
    assert sorted(made) == sorted(unit(name)["Service"]["User"] for name in UNITS)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit(name, tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed: units are not verified on this machine")
    text = (FOLDER / name).read_text(encoding="utf-8")
    # The program that it starts, and its documentation, are not installed here.
    here = tmp_path / name
    here.write_text(
        re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE), encoding="utf-8"
    )
    found = subprocess.run(
        [analyze, "verify", "--man=no", str(here)], capture_output=True, text=True, timeout=60
    )
    said = [line for line in found.stderr.splitlines() if name in line]
    assert found.returncode == 0 and not said, found.stderr
    score = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(here)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", score.stdout)
    if exposure is None:
        pytest.skip("systemd-analyze security does not work offline here")
    print(exposure[0])
    assert float(exposure[1]) <= 2.0


# --- compose: the part of the specification that the file uses, strictly ---


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Build(Strict):
    context: str
    dockerfile: str
    target: Literal["hub", "node"]


class Condition(Strict):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"]


class Healthcheck(Strict):
    test: list[str]
    interval: Annotated[str, Field(pattern=r"^\d+[smh]$")]
    timeout: Annotated[str, Field(pattern=r"^\d+[smh]$")]
    retries: int


class Logging(Strict):
    driver: str
    options: dict[str, str]


class Service(Strict):
    image: str
    build: Build | None = None
    restart: Literal["no", "always", "on-failure", "unless-stopped"]
    stop_grace_period: Annotated[str, Field(pattern=r"^\d+[smh]$")] | None = None
    read_only: bool = False
    tmpfs: list[str] = []
    cap_drop: list[str] = []
    security_opt: list[str] = []
    logging: Logging | None = None
    environment: dict[str, str] = {}
    secrets: list[str] = []
    volumes: list[str]
    networks: list[str]
    ports: list[Annotated[str, Field(pattern=r"^\d+:\d+$")]] = []
    depends_on: dict[str, Condition] = {}
    healthcheck: Healthcheck | None = None


class Network(Strict):
    internal: bool = False


class Secret(Strict):
    file: str


class Compose(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    services: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$")], Service]
    networks: dict[str, Network]
    volumes: dict[str, Strict]
    secrets: dict[str, Secret]


@pytest.fixture(scope="module")
def compose():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: the compose file is not read")
    content = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    assert all(key.startswith("x-") for key in content.keys() - Compose.model_fields.keys())
    return Compose.model_validate(content)


def test_what_services_name_is_declared(compose):
    images = {s.image: s.build.target for s in compose.services.values() if s.build is not None}
    assert images == {"fedrisk-hub": "hub", "fedrisk-node": "node"}
    for name, service in compose.services.items():
        assert service.networks and compose.networks.keys() >= set(service.networks), name
        assert compose.secrets.keys() >= set(service.secrets), name
        assert compose.services.keys() >= service.depends_on.keys(), name
        named = {v.partition(":")[0] for v in service.volumes if not v.startswith((".", "/"))}
        assert named and compose.volumes.keys() >= named, name
        for other in service.depends_on:
            assert compose.services[other].healthcheck is not None


def test_the_hub_alone_has_a_port_and_nodes_share_no_disk(compose):
    assert {name for name, s in compose.services.items() if s.ports} == {"hub"}
    assert len([s for s in compose.services.values() if s.image == "fedrisk-node"]) == 3
    folders = [v.partition(":")[0] for s in compose.services.values() for v in s.volumes]
    assert len(folders) == len(set(folders))
    # The database is reached by its bank alone.
    at = [name for name, s in compose.services.items() if "bank_inside" in s.networks]
    assert sorted(at) == ["bank", "bank_database"] and compose.networks["bank_inside"].internal


def test_images_run_without_rights_and_stop_by_sigterm():
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    stages = re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE)
    assert stages == ["build", "base", "hub", "node"]
    base, hub, node = (
        text.split(f" AS {stage}\n")[1].split("\nFROM ")[0] for stage in ("base", "hub", "node")
    )
    assert "USER fedrisk" in base and "STOPSIGNAL SIGTERM" in base
    assert "EXPOSE 9490" in hub and "EXPOSE" not in node.replace("No EXPOSE", "")
    assert 'CMD ["hub", "serve"]' in hub and 'CMD ["node", "serve"]' in node
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for path in copied.split():
            assert (FOLDER.parents[1] / path).exists(), path
