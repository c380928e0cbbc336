"""``fedrisk version``: versions of fedrisk, Python and what results depend on, for a report of an error."""

import platform
import sys
from importlib import metadata

import typer

from fedrisk.cli.common import AsJson
from fedrisk.cli.output import tell, tell_json
from fedrisk.language import _

PACKAGES = (
    "flwr",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "pydantic",
    "cryptography",
    "torch",
    "opacus",
)
"""Packages on which results and messages depend."""


def own_version() -> str:
    """Version of fedrisk, as it is installed."""
    return _installed("fedrisk") or _("not installed")


def version(as_json: AsJson = False) -> None:
    """Versions of fedrisk, Python and the packages that results depend on; for a report of an error."""
    found = {"fedrisk": own_version(), "python": platform.python_version(), "system": platform.platform()}
    found |= {name: _installed(name) or _("not installed") for name in PACKAGES}
    if as_json:
        tell_json(found)
        return
    for name, value in found.items():
        tell(f"{name:<14}{value}")


def show_version(wanted: bool) -> None:
    """Callback of --version; with --verbose after it, as `version`."""
    if wanted:
        if "--verbose" in sys.argv[1:]:
            version()
        else:
            tell(_("fedrisk {own_version}", own_version=own_version()))
        raise typer.Exit


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
