"""fedrisk: privacy-preserving federated risk modelling across banks, tax offices and utilities.

The public names live in their modules: ``fedrisk.study`` (what is run), ``fedrisk.institution`` and
``fedrisk.data.dictionary`` (who takes part), ``fedrisk.engine.in_process`` (a study on one machine),
``fedrisk.server.app`` and ``fedrisk.clients.app`` (the Flower apps), ``fedrisk.models.scorecard`` (what comes
out), ``fedrisk.errors``. This file imports nothing, so that worker processes start quickly.
"""

import os

__version__ = "0.1.0"

# Flower and Ray report home and look for updates unless told otherwise; nothing of a consortium's may leave so.
for _name, _value in (
    ("FLWR_TELEMETRY_ENABLED", "0"),
    ("FLWR_DISABLE_UPDATE_CHECK", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
):
    os.environ.setdefault(_name, _value)
