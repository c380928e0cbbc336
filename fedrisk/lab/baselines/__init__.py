"""Baselines: models without fedrisk on the rows of a study, one file for each family.

None looks at a label of the hold-out. Private ones take bounds, bins and scales from the public features, never from
rows; the others take what they learn of columns from training rows alone. Settings are the packages' defaults or were
fixed beforehand; none was chosen on a hold-out.
"""

from fedrisk.lab.baselines import alone, clear, dp_ebm, dp_logistic, dp_naive, labels, woe
from fedrisk.lab.split import Baseline


def baselines() -> dict[str, Baseline]:
    """All baselines by name, in the order in which people read them; some need packages that may be missing.

    >>> list(baselines())[:2]
    ['bank alone, boosting', 'bank alone, binned logistic regression']
    """
    families = (alone, clear, woe, dp_ebm, dp_logistic, dp_naive, labels)
    return {b.name: b for family in families for b in family.BASELINES}
