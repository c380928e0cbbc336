"""``make watch``: what its members' files say is what the product takes."""

import tomllib

from fedrisk.privacy.serving_policy import ServingPolicy
from fedrisk.watch_rules import WatchRules
from sim_institutions.watch import ALLOWED, MODELS, WATCH


def test_members_allow_the_purpose_for_which_the_bank_watches():
    allowed = ServingPolicy(**tomllib.loads(ALLOWED)["policy"]["serving"])
    watched = WatchRules(**tomllib.loads(WATCH)["watch"])
    assert watched.purpose in allowed.purposes
    assert allowed.consent_for(watched.purpose) == "none" and allowed.consent == "token"
    # Thirteen months, watched on one day, by a model and one that warns.
    assert allowed.per_enterprise >= 13 * len(MODELS) and watched.warning in MODELS
