"""A small generated consortium on disk, and a run of it of which every message is kept (`fedrisk.attacks`)."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fedrisk.attacks.consortium import build
from fedrisk.attacks.recorded import retold
from fedrisk.attacks.small_province import BANKS, COLUMNS, HOLDERS, province
from fedrisk.models.champion import fit_champion

# Boosting's threads would wait for each other in busy loops on a machine that has other work as well.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class Kit:
    """The helpers above, for test modules (which cannot import a conftest)."""

    province = staticmethod(province)
    build = staticmethod(build)
    retold = staticmethod(retold)
    BANKS, HOLDERS, COLUMNS = BANKS, HOLDERS, COLUMNS


FIVE_FOLDS = (
    *("test_models", "test_own_verdict", "test_personal_models", "test_real_data"),
    *("test_nothing_is_lost", "test_scripts", "test_two_engines"),
)
"""Modules that are about a bank's own models, or that compare what several processes made."""

WITHOUT_OWN_MODELS = (
    *(
        "test_bad_input",
        "test_books",
        "test_calibrated_card",
        "test_check_is_right",
        "test_controls_in_a_study",
    ),
    *(
        "test_disclosure_tables",
        "test_divergence",
        "test_external_score",
        "test_kill_matrix",
        "test_lying_hub",
    ),
    *("test_memory", "test_no_label", "test_one_store", "test_out_of_time", "test_proposals"),
    *("test_requests_again", "test_roles", "test_rollback", "test_rosters", "test_versions"),
)
"""Modules about what goes between members, and what is charged for it: nothing there depends on what a bank fits for itself."""


@pytest.fixture(scope="module", autouse=True)
def folds(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two folds and few rounds for a bank's own models in place of the usual, or none: a fifth of a small study's time."""
    name = Path(request.module.__file__).stem
    with pytest.MonkeyPatch.context() as patch:
        if name in WITHOUT_OWN_MODELS:
            patch.setattr("fedrisk.recipes.scorecard.delivery._own", lambda *_: None)
        elif name not in FIVE_FOLDS:
            patch.setitem(fit_champion.__kwdefaults__, "max_rounds", 10)
            patch.setattr("fedrisk.models.personal.FOLDS", 2)
        yield


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit


@pytest.fixture(scope="session")
def scratch() -> Iterator[Callable[[], Path]]:
    """Makes empty folders, in memory where the machine has a disk there: studies wait for the disk again and again."""
    memory = Path("/dev/shm")
    base = Path(tempfile.mkdtemp(prefix="studies-", dir=memory if os.access(memory, os.W_OK) else None))
    yield lambda: Path(tempfile.mkdtemp(dir=base))
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def tmp_path(scratch: Callable[[], Path]) -> Path:
    """An empty folder of the test's own."""
    return scratch()


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No test ever touches the home of whoever runs it."""
    monkeypatch.setenv("FEDRISK_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
