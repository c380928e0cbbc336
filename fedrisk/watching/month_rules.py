"""By which rules a month raises alerts, whatever the bank's file says later; and what it does not look for, with why.

Thresholds are those of the models that scored the month, whatever is deployed by then. They are kept with the month
(``rules/2026-05.json``), so that its page says them, and so that the next month knows which signs are looked for for
the first time: loans that show one then are the stock of those that are above a limit already, and nothing happened to
them in that month.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fedrisk.clients import own_results
from fedrisk.clients.node import Node
from fedrisk.clients.warning_state import why_no_threshold
from fedrisk.errors import ConfigError, FedriskError
from fedrisk.files import read_json, write_atomic
from fedrisk.models.model_part import ModelPart
from fedrisk.watch_rules import WatchRules
from fedrisk.watching.alerts import Rule, Rules
from fedrisk.watching.history import SCORES, WARNING, Kept
from fedrisk.watching.month import Month

UNTOLD, UNCONFIRMED, NOISE, EDITED, LATER = "untold", "unconfirmed", "noise", "edited", "later"
"""Why a month has no warning sign: the hub has not told the bank the totals; not all banks have confirmed them; noise
left no threshold; the card was edited, so that the study's threshold is not of its scores; the model was named after
the month was begun."""

_REMEDY = "put it back from its copy"

_WHY = {
    UNTOLD: "the hub has not told this bank the totals that it follows from yet. It does while the nodes of all banks "
    "run; wait, or add watch.warning_threshold",
    UNCONFIRMED: "its study states a rate of false alarms, and not all of its banks have confirmed the threshold to "
    "each other yet. They do by themselves once the nodes of all of them run; wait, or add watch.warning_threshold",
    NOISE: "noise and the size of the hold-out left its study none that keeps the stated rate of false alarms. Name "
    "another model, or add watch.warning_threshold",
    EDITED: "it is of an edited card, whose scores the threshold of its study is not of. Add watch.warning_threshold",
    "": "its study stated no rate of false alarms ([warning] in the study). Name another model, or add "
    "watch.warning_threshold",
}
"""The same of a model that the bank's file names, which is refused."""


def rules_of_month(node: Node, rules: WatchRules, kept: Kept, month: Month) -> Rules:
    """What raises alerts of a month that is kept, as it was when it raised them; kept from now on."""
    there = kept_rules(kept, month)
    if there is not None:
        return there
    asked = {of: node.store.models.part(str(kept.about(month, of)["model"])) for of in kept.models(month)}
    found = _rules(node, rules, asked)
    write_atomic(_file(kept, month), json.dumps(asdict(found), sort_keys=True).encode())
    return found


def kept_rules(kept: Kept, month: Month) -> Rules | None:
    """The rules by which a month raised its alerts; None where they are not kept, as by earlier versions."""
    file = _file(kept, month)
    return Rules(**read_json(file, _REMEDY)) if file.is_file() else None


def first_looked_for(kept: Kept, month: Month, now: Rules) -> frozenset[Rule]:
    """Signs that a month looks for for the first time: by this model, or at this limit."""
    earlier = [one for one in kept.months() if one < month]
    if not earlier:
        return frozenset(("fall", "probability", "warning"))
    last = earlier[-1]
    before = kept_rules(kept, last)
    found: set[Rule] = set()
    if kept.about(month)["model"] != kept.about(last)["model"]:
        found.add("probability")
    if _warns(kept, month) != _warns(kept, last):
        found.add("warning")
    if before is not None:
        if _wider(before.fall, now.fall, lower=True) or now.months > before.months:
            found.add("fall")
        if _wider(before.probability, now.probability, lower=True):
            found.add("probability")
        if _wider(before.warning, now.warning, lower=False):
            found.add("warning")
    return frozenset(found)


def check_threshold(node: Node, rules: WatchRules, asked: Mapping[str, ModelPart]) -> None:
    """ConfigError where the warning model that the bank's file names has no threshold. asked: as of `_rules`."""
    part = asked.get(WARNING)
    if part is None or part.warning is not None or rules.warning_threshold is not None:
        return
    remedy = f"fedrisk model show {node.institution.file} {part.name} says what it has"
    why = _WHY[EDITED if part.edited else _without(node, part)]
    raise ConfigError(
        f"watch.warning: model {part.name} has no threshold, so that nothing says at which score it warns: {why}; "
        f"{remedy}"
    )


def _rules(node: Node, rules: WatchRules, asked: Mapping[str, ModelPart]) -> Rules:
    """asked: models that score the month."""
    part = asked.get(WARNING, asked[SCORES])
    common: dict[str, Any] = {
        "fall": rules.fall or None,
        "months": rules.months,
        "probability": rules.probability,
        "recovery": rules.recovery,
    }
    if rules.warning is not None and WARNING not in asked:
        # The watched model's scores are not on the scale of the one that was named.
        return Rules(**common, without=LATER)
    if rules.warning_threshold is not None:
        return Rules(**common, warning=rules.warning_threshold, warns=part.name)
    if part.warning is None:
        return Rules(**common, without=_without(node, part))
    return Rules(**common, warning=part.warning.score, warns=part.name, false_alarms=part.warning.stated)


def _without(node: Node, part: ModelPart) -> str:
    """Why a model has no threshold though its study states a rate of false alarms; empty where it states none."""
    try:
        entry = own_results.find(node, part.attempt) if part.attempt else None
        stated = entry is not None and own_results.study_of(node, entry).get("warning") is not None
    except FedriskError:
        return ""
    if not stated or part.edited:
        return EDITED if stated else ""
    known = why_no_threshold(node, part.attempt)
    return UNCONFIRMED if known is None else known[0]


def _warns(kept: Kept, month: Month) -> str:
    """Id of the model whose threshold a month warns by."""
    return str(kept.about(month, WARNING if WARNING in kept.models(month) else SCORES)["model"])


def _wider(before: float | None, now: float | None, *, lower: bool) -> bool:
    """Whether a limit takes in more loans than before. lower: where a lower limit does."""
    if now is None:
        return False
    return before is None or (now < before if lower else now > before)


def _file(kept: Kept, month: Month) -> Any:
    return kept.folder / "rules" / f"{month}.json"
