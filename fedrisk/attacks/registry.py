"""All attacks by name. A new one joins with its module's name here; each module has its `ATTACK`."""

import importlib

from fedrisk.attacks.attack import Attack

MODULES: tuple[str, ...] = (
    "audit",
    "dealing_hub",
    "lying_hub",
    "membership",
    "network_membership",
    "labels",
    "score_inversion",
    "linkage",
    "side_channels",
)
"""Modules of this package with an attack, in the order in which they run."""


def attacks() -> dict[str, Attack]:
    """Every attack, by name."""
    found: list[Attack] = [importlib.import_module(f"fedrisk.attacks.{name}").ATTACK for name in MODULES]
    return {attack.name: attack for attack in found}
