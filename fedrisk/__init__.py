"""fedrisk: privacy-preserving federated risk modelling across banks, tax offices and utilities.

The public names are below and are loaded when they are first used, so that ``import fedrisk`` is quick and worker
processes start quickly::

    import fedrisk

    print(fedrisk.check("demo/study.toml").expectations)
    results = fedrisk.run("demo/study.toml", out="demo/results")
    record = fedrisk.load_record("demo/results")
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Flower and Ray report home and look for updates unless told otherwise; nothing of a consortium's may leave so.
for _name, _value in (
    ("FLWR_TELEMETRY_ENABLED", "0"),
    ("FLWR_DISABLE_UPDATE_CHECK", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
):
    os.environ.setdefault(_name, _value)

_PUBLIC = {
    "run": "fedrisk.api",
    "check": "fedrisk.api",
    "load_study": "fedrisk.api",
    "load_results": "fedrisk.api",
    "load_record": "fedrisk.api",
    "edit_card": "fedrisk.api",
    "verify_card": "fedrisk.api",
    "CardEdit": "fedrisk.models.card_edit",
    "Check": "fedrisk.engine.check",
    "Dictionary": "fedrisk.data.dictionary",
    "EditedCard": "fedrisk.models.edited_card",
    "FedriskError": "fedrisk.errors",
    "Institution": "fedrisk.institution",
    "Ledger": "fedrisk.privacy.ledger.ledger",
    "Policy": "fedrisk.privacy.policy",
    "Recipe": "fedrisk.recipe",
    "ReleaseRecord": "fedrisk.releases.record",
    "Results": "fedrisk.results",
    "Scorecard": "fedrisk.models.scorecard",
    "Column": "fedrisk.data.column",
    "Label": "fedrisk.data.label",
    "Member": "fedrisk.study_members",
    "ScorecardClassifier": "fedrisk.local.classifier",
    "Study": "fedrisk.study_in_code",
    "draft_dictionary": "fedrisk.local.draft",
    "export_card": "fedrisk.exports.export",
    "load_dictionary": "fedrisk.data.dictionary",
    "load_institution": "fedrisk.institution",
}
__all__ = [
    "CardEdit",
    "Check",
    "Column",
    "Dictionary",
    "EditedCard",
    "FedriskError",
    "Institution",
    "Label",
    "Ledger",
    "Member",
    "Policy",
    "Recipe",
    "ReleaseRecord",
    "Results",
    "Scorecard",
    "ScorecardClassifier",
    "Study",
    "check",
    "draft_dictionary",
    "edit_card",
    "export_card",
    "load_dictionary",
    "load_institution",
    "load_record",
    "load_results",
    "load_study",
    "run",
    "verify_card",
]

if TYPE_CHECKING:
    from fedrisk.api import check, edit_card, load_record, load_results, load_study, run, verify_card
    from fedrisk.data.column import Column
    from fedrisk.data.dictionary import Dictionary, load_dictionary
    from fedrisk.data.label import Label
    from fedrisk.engine.checked import Check
    from fedrisk.errors import FedriskError
    from fedrisk.exports.export import export_card
    from fedrisk.institution import Institution, load_institution
    from fedrisk.local.classifier import ScorecardClassifier
    from fedrisk.local.draft import draft_dictionary
    from fedrisk.models.card_edit import CardEdit
    from fedrisk.models.edited_card import EditedCard
    from fedrisk.models.scorecard import Scorecard
    from fedrisk.privacy.ledger.ledger import Ledger
    from fedrisk.privacy.policy import Policy
    from fedrisk.recipe import Recipe
    from fedrisk.releases.record import ReleaseRecord
    from fedrisk.results import Results
    from fedrisk.study_in_code import Study
    from fedrisk.study_members import Member


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module fedrisk has no attribute {name}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
