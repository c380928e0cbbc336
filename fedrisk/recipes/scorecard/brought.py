"""What memory and prior brought to a study, as codes and figures: from released numbers alone."""

import math
from collections.abc import Sequence

import numpy as np

from fedrisk.analysis.card_sums import columns_of
from fedrisk.findings import Finding
from fedrisk.models.binning import Bins
from fedrisk.models.knowledge import Knowledge
from fedrisk.models.label_counts import LabelCounts
from fedrisk.models.memory import Remembered
from fedrisk.privacy.accounting import epsilon_for
from fedrisk.recipes.scorecard.fitting import Facts
from fedrisk.releases.budget import total_mu
from fedrisk.study import Study

MOST_NAMES = 12
"""Studies or columns that a finding names."""


def brought(facts: Facts, bins: Sequence[Bins], counts: LabelCounts) -> tuple[Finding, ...]:
    """What is known beforehand and what it is worth beside a study's own label counts."""
    known = facts.known
    out = []
    if known.memory:
        out += _memory(facts.study, known, columns_of(bins), facts.remembered(bins, counts))
    if known.prior is not None:
        fit = sum(curve is not None for curve in known.prior.on(bins))
        out.append(Finding("prior_used", {"source": known.prior.source, "fit": fit, "features": len(bins)}))
    return tuple(out)


def said_before(known: Knowledge) -> tuple[Finding, ...]:
    """What is known beforehand, for whoever looks before anything is released."""
    out = []
    if known.memory:
        out.append(Finding("memory_studies", _named(known)))
    if known.prior is not None:
        curves = len(known.prior.curves)
        out.append(Finding("prior_known", {"source": known.prior.source, "curves": curves}))
    return tuple(out)


def _memory(study: Study, known: Knowledge, columns: Sequence[Bins], found: Remembered) -> list[Finding]:
    fit = [j for j, weights in enumerate(found.weights) if np.any(np.asarray(weights) > 0)]
    worth = {"worth": found.gain**2, "fit": len(fit), "features": len(columns)}
    total, values = total_mu(study), {**_named(known), **worth}
    if math.isfinite(total):
        like = epsilon_for(total * found.gain, study.privacy.delta)
        out = [Finding("memory_used", {**values, "epsilon": study.privacy.epsilon, "like": like})]
    else:
        out = [Finding("memory_used_without_noise", values)]
    # A break of this study against the one before; earlier ones were said in their own reports.
    broken = [b for b in found.breaks if b.study == len(known.memory)]
    names = [columns[b.feature].feature.name for b in broken if b.feature is not None]
    if any(b.feature is None for b in broken):
        out.append(Finding("memory_rate_break"))
    if names:
        more = f" and {len(set(names)) - MOST_NAMES} more" if len(set(names)) > MOST_NAMES else ""
        listed = ", ".join(list(dict.fromkeys(names))[:MOST_NAMES]) + more
        out.append(Finding("memory_break", {"columns": len(set(names)), "names": listed}))
    return out


def _named(known: Knowledge) -> dict[str, object]:
    names = [past.study for past in known.memory]
    more = f"{len(names) - MOST_NAMES} more, " if len(names) > MOST_NAMES else ""
    return {"studies": len(names), "names": more + ", ".join(names[-MOST_NAMES:])}
