"""Only a simulation chooses an institution's file by the run's configuration; a node of a consortium never does."""

import pytest
from flwr.app import Context, RecordDict

from fedrisk.clients.app import institution_file
from fedrisk.engine.simulation_app import with_institution
from fedrisk.errors import ConfigError


def context(node_config, study=""):
    return Context(
        run_id=1, node_id=1, node_config=node_config, state=RecordDict(), run_config={"study": study}
    )


@pytest.fixture
def study(tmp_path):
    (tmp_path / "institutions").mkdir()
    for name in ("b", "a"):
        (tmp_path / "institutions" / f"{name}.toml").write_text("")
    return str(tmp_path / "study.toml")


def chosen(node_config, study):
    seen = []
    with_institution(None, context(node_config, study), lambda _, c: seen.append(dict(c.node_config)))
    return seen[0].get("institution")


def test_a_partition_is_a_file_beside_the_study(study):
    assert chosen({"partition-id": 0}, study).endswith("institutions/a.toml")
    assert chosen({"partition-id": 1}, study).endswith("institutions/b.toml")
    assert chosen({"partition-id": 2}, study) is None
    assert chosen({"partition-id": -1}, study) is None


def test_a_node_that_names_its_file_keeps_it(study):
    assert chosen({"partition-id": 0, "institution": "/mine.toml"}, study) == "/mine.toml"


def test_outside_a_simulation_the_runs_configuration_chooses_nothing(study):
    with pytest.raises(ConfigError, match="does not know its institution"):
        institution_file(context({"partition-id": 0}, study))
