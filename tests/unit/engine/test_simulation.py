"""What Flower is given to run: the app, and nothing that lies beside it."""

import io
import zipfile
from pathlib import Path

from flwr.cli.build import build_fab_from_disk
from flwr.common.constant import FAB_MAX_SIZE

import fedrisk

ROOT = Path(fedrisk.__file__).resolve().parent.parent


def test_the_bundle_is_the_app_alone_and_has_room_to_grow():
    """Flower refuses a bundle above its limit, and with it every study on its simulation engine."""
    bundle = build_fab_from_disk(ROOT)
    names = zipfile.ZipFile(io.BytesIO(bundle)).namelist()
    assert {n.split("/")[0] for n in names} == {"fedrisk", "README.md", "pyproject.toml", ".info"}
    code = {p.relative_to(ROOT).as_posix() for p in (ROOT / "fedrisk").rglob("*.py")}
    assert {n for n in names if n.startswith("fedrisk/")} == code
    assert len(bundle) < 0.8 * FAB_MAX_SIZE
