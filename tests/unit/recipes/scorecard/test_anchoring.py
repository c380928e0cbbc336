"""What a hub reads of earlier evaluations, from records and from a prior's file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedrisk.analysis.evaluations import evaluation_of
from fedrisk.recipes.scorecard.anchoring import anchor_of, anchors_of
from fedrisk.releases.record import ReleasedBlock, ReleasedSums, ReleaseRecord
from support.card_record import card_record

EXACT = np.array([[10.0, 100.0], [20.0, 80.0], [40.0, 50.0]])


@pytest.fixture(scope="module")
def record() -> ReleaseRecord:
    block = ReleasedBlock(name="bank", left="bank", right="bank", total=EXACT[::-1], variance=4.0)
    about = {"score_edges": [500.0, 550.0]}
    made = ReleasedSums(name="evaluation", population="holdout", mu=1.0, blocks=(block,), about=about)
    found: ReleaseRecord = card_record()
    return found.with_release(made)


def test_a_record_says_its_auc_and_its_study(record: ReleaseRecord) -> None:
    found, said = anchor_of(record), evaluation_of(record)
    assert found is not None and said is not None
    assert (found.auc, found.noise, found.sampling) == (said.auc, said.noise, said.sampling)
    assert found.study is not None and found.study.name == "small" and not found.elsewhere
    assert found.features and all(f.is_column for f in found.features)
    assert found.rows == pytest.approx(8400, rel=0.5)


def test_without_an_evaluation_there_is_none(record: ReleaseRecord) -> None:
    bare = replace(record, releases=tuple(r for r in record.releases if r.name != "evaluation"))
    assert anchor_of(bare) is None and anchors_of([bare], None) == ()
    assert len(anchors_of([bare, record], None)) == 1


def test_what_cannot_be_read_of_a_prior_says_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "scorecard.json"
    broken.write_text("{}")
    for name in ("generic", str(tmp_path / "none.json"), str(broken)):
        assert anchors_of([], name) == ()
