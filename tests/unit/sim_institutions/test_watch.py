"""``make watch``: what its bank's file says is what the product takes, and what the province's members allow."""

import tomllib

from fedrisk.privacy.serving_policy import ServingPolicy
from fedrisk.watch_rules import WatchRules
from sim_institutions.files import pairs
from sim_institutions.month_files import SERVING
from sim_institutions.month_files import WATCH as WRITTEN
from sim_institutions.watch import MODELS, MORE


def test_members_allow_what_the_bank_watches():
    allowed = ServingPolicy(**SERVING)
    watched = WatchRules(**tomllib.loads("[watch]\n" + pairs(WRITTEN) + "\n" + MORE)["watch"])
    assert watched.purpose in allowed.purposes
    assert allowed.consent_for(watched.purpose) == "none" and allowed.consent == "token"
    # Thirteen months, watched on one day, by a model and one that warns.
    assert allowed.per_enterprise >= 13 * len(MODELS) and watched.warning in MODELS
