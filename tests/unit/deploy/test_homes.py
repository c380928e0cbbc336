"""Folders of hub and node: made once, for their owner only, and read back."""

import stat

import pytest

from fedrisk.deploy.hub_home import HubHome
from fedrisk.deploy.node_home import NodeHome
from fedrisk.errors import ConfigError, StoreError


def test_a_hubs_folder_is_read_back(tmp_path):
    made = HubHome.create(tmp_path / "hub", {"name": "银税 pilot", "address": "hub.example:9490"})
    assert HubHome.load(tmp_path / "hub") == made
    assert (made.name, made.listen, made.health) == ("银税 pilot", "0.0.0.0:9490", None)
    assert stat.S_IMODE((tmp_path / "hub").stat().st_mode) == 0o700


def test_a_nodes_folder_is_read_back_and_its_institution_begins_there(tmp_path):
    made = NodeHome.create(tmp_path / "node", {"hub": "127.0.0.1:9490", "institution": "bank.toml"})
    assert NodeHome.load(tmp_path / "node") == made
    assert made.institution == (tmp_path / "node").resolve() / "bank.toml"


@pytest.mark.parametrize("home", [HubHome, NodeHome])
def test_a_folder_is_made_once_and_only_read_where_it_is_one(home, tmp_path):
    settings = {
        HubHome: {"name": "x", "address": "h:1"},
        NodeHome: {"hub": "h:1", "institution": "i.toml"},
    }[home]
    with pytest.raises(ConfigError, match="is no .* folder"):
        home.load(tmp_path)
    home.create(tmp_path, settings)
    with pytest.raises(ConfigError, match="already"):
        home.create(tmp_path, settings)


@pytest.mark.parametrize("address", ["hub", "hub:", "hub:port", "http://hub:1", "hub:1/x", "a b:1"])
def test_an_address_is_a_host_and_a_port(tmp_path, address):
    with pytest.raises(ConfigError, match="address"):
        HubHome.create(tmp_path / "hub", {"name": "x", "address": address})
    assert not (tmp_path / "hub").exists()


def test_a_misspelt_key_is_named(tmp_path):
    HubHome.create(tmp_path, {"name": "x", "address": "h:1"})
    (tmp_path / "hub.toml").write_text('name = "x"\nadress = "h:1"\n')
    with pytest.raises(ConfigError, match="adress"):
        HubHome.load(tmp_path)


@pytest.mark.parametrize("home", [HubHome, NodeHome])
def test_a_folder_of_a_later_version_is_refused(home, tmp_path):
    settings = {
        HubHome: {"name": "x", "address": "h:1"},
        NodeHome: {"hub": "h:1", "institution": "i.toml"},
    }[home]
    home.create(tmp_path, settings)
    (tmp_path / "VERSION").write_text('{"layout": 2, "fedrisk": "9.1"}')
    with pytest.raises(StoreError, match="was used by fedrisk 9.1, .* use the later version"):
        home.load(tmp_path)
