"""The hub's own disk: its layout."""

import pytest

from fedrisk.errors import StoreError
from fedrisk.server.hub import Hub


def test_a_hubs_folder_of_a_later_version_is_left_alone(tmp_path):
    hub = Hub(tmp_path / "hub")
    key = hub.draw_key("holdout")
    assert (hub.path / "VERSION").exists()
    (hub.path / "VERSION").write_text('{"layout": 2, "fedrisk": "9.1"}')
    for look in (
        lambda: hub.identity,
        lambda: hub.draw_key("holdout"),
        lambda: hub.pins,
        lambda: hub.pin({}),
    ):
        with pytest.raises(
            StoreError, match="the hub's folder .* was used by fedrisk 9.1, .* use the later version"
        ):
            look()
    (hub.path / "VERSION").write_text('{"layout": 1, "fedrisk": "0.1.0"}')
    assert hub.draw_key("holdout") == key
