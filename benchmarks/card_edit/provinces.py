"""Provinces, and what a study of one releases, from the laboratory of benchmarks/contribution."""

import importlib.util
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "contribution" / "lab.py"

# Both folders have a lab.py, so that one is loaded under another name.
_spec = importlib.util.spec_from_file_location("contribution_lab", FILE)
assert _spec is not None and _spec.loader is not None
_lab = importlib.util.module_from_spec(_spec)
sys.modules["contribution_lab"] = _lab
_spec.loader.exec_module(_lab)

province, bare_record = _lab.province, _lab.record
