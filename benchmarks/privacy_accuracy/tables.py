"""Tables of docs/privacy-and-accuracy.md, from results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from benchmarks.redo.manifest import BENCHMARKS

EPSILONS = ("0.5", "1", "3", "inf")
NAMES = {"0.5": ".5", "1": "1", "3": "3", "inf": "none"}
PRIVATE = ("scorecard", "DP-EBM", "DP logistic regression", "randomised labels, boosting")
ATTACKS = {
    "audit": "Does a record spend more mu than is charged, in any release?",
    "dealing_hub": "The hub that deals the masks wants a record",
    "lying_hub": "A hub that lies wants members to compute on what it made up",
    "membership": "Who took part, from all that a scorecard releases",
    "network_membership": "Who took part, from a network's steps and weights",
    "labels": "A data holder wants to know who defaulted",
    "score_inversion": "A bank wants a holder's columns from the scores that it gets",
    "linkage": "Who banks where",
    "side_channels": "A record, from sizes, times and refusals of messages",
}


def at(found: Mapping[str, Any], name: str, model: str, epsilon: str) -> dict[str, Any]:
    """Figures of a model on a data set of either sweep; of one that knows no epsilon, say any."""
    sets = found["sets"] if name in found["sets"] else found["hard"]
    figures: dict[str, Any] = sets[name]["models"][model][epsilon]
    return figures


def short(value: float, shape: str = ".3f") -> str:
    """A number without the zero before its point, and with a true minus."""
    text = format(value, shape).replace("%", " %")
    sign, digits = (text[0], text[1:]) if text[:1] in ("-", "+") else ("", text)
    digits = digits[1:] if digits.startswith("0.") else digits
    return ("−" if sign == "-" else sign) + digits


def with_interval(figures: Mapping[str, Any], name: str, shape: str = ".3f") -> str:
    """A mean with half of its interval's width; without, where one hold-out is all that there is."""
    value, low, _high = figures[name]
    shown = short(value, shape)
    return shown if low is None else f"{shown} ± {short(value - low, shape.lstrip('+'))}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|" + " --- |" * len(lines[0]), *text[1:]])


def _cell(
    found: Mapping[str, Any], name: str, model: str, epsilon: str, figure: str, shape: str = ".3f"
) -> str:
    try:
        return with_interval(at(found, name, model, epsilon), figure, shape)
    except KeyError:
        return "–"


def buys(found: Mapping[str, Any]) -> str:
    """What epsilon buys: AUC, differences and slope of the card; the champion beside it."""
    rows = []
    for name, one in found["sets"].items():
        for epsilon in EPSILONS:
            if epsilon in one["models"]["scorecard"]:
                card = at(found, name, "scorecard", epsilon)
                rows.append(
                    [
                        name,
                        NAMES[epsilon],
                        with_interval(card, "auc"),
                        _cell(found, name, "scorecard", epsilon, "to_boosting", "+.3f"),
                        _cell(found, name, "scorecard", epsilon, "to_alone", "+.3f"),
                        _cell(found, name, "scorecard", epsilon, "slope", ".2f"),
                        _cell(found, name, "champion", epsilon, "to_alone", "+.3f"),
                    ]
                )
    head = (
        "data set",
        "epsilon",
        "card's AUC",
        "less boosting on all rows in the clear",
        "less the bank alone",
        "calibration slope",
        "bank's champion less the bank alone",
    )
    return _table(head, rows)


def private(found: Mapping[str, Any]) -> str:
    """Private models at the same epsilon."""
    rows = []
    for name, one in found["sets"].items():
        for epsilon in EPSILONS[:-1]:
            if epsilon in one["models"]["scorecard"]:
                rows.append([name, NAMES[epsilon], *(_cell(found, name, m, epsilon, "auc") for m in PRIVATE)])
    return _table(
        (
            "data set",
            "epsilon",
            "card, nobody has all rows",
            "DP-EBM",
            "DP-SGD",
            "randomised labels, boosting",
        ),
        rows,
    )


def hard(found: Mapping[str, Any]) -> str:
    """Hard cases: what came out, what was said before, what banks are told after."""
    rows = []
    for name, one in found["hard"].items():
        for epsilon in EPSILONS:
            if epsilon not in one["models"]["scorecard"]:
                continue
            before, after = one["before"].get(epsilon, {}), one["after"].get(epsilon)
            said = "–"
            if "low" in before:
                low, high = short(before["low"], "+.2f"), short(before["high"], "+.2f")
                said = f"{low} to {high}, {short(before['lose'], '.0%')} lose"
            use = "–"
            if after:
                use = ", ".join(f"{_USE[u]} {n}" for u, n in after["use"].items() if n)
            rows.append(
                [
                    name,
                    NAMES[epsilon],
                    _cell(found, name, "scorecard", epsilon, "auc"),
                    _cell(found, name, "pooled boosting", "any", "auc"),
                    said,
                    with_interval(after, "mean_gain", "+.3f") if after else "–",
                    use,
                ]
            )
    head = (
        "data set",
        "epsilon",
        "card's AUC",
        "boosting, all rows in the clear",
        "gain over the bank alone: said before (9 of 10 studies)",
        "came out",
        "what banks' own hold-outs say to use",
    )
    return _table(head, rows)


_USE = {"alone": "own model", "champion": "champion", "personal": "personal model", "scorecard": "card"}


def attacks(_found: Mapping[str, Any]) -> str:
    """What attacks came to, by benchmarks/attacks/results.json where it is."""
    file = BENCHMARKS / "attacks" / "results.json"
    content = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    rows = []
    for name, words in ATTACKS.items():
        one = content.get(name)
        if one is None:
            rows.append([f"`{name}`", words, "not measured yet", ""])
            continue
        tries = f"{one['figures']} figures, {one['broken']} above what is claimed"
        if one.get("unjudged"):
            tries += f", {one['unjudged']} no evidence either way"
        if one["quick"]:
            tries += " (quick run: few tries)"
        rows.append([f"`{name}`", words, tries, f"{one['succeeded']} of {one['controls']}"])
    return _table(("attack", "question", "came to", "controls that succeeded"), rows)


def meaning(found: Mapping[str, Any]) -> str:
    """What an epsilon promises."""
    rows = [
        [
            NAMES[epsilon],
            short(said["right"], ".1%"),
            short(said["label"], ".2f"),
            short(said["replaced"], ".2f"),
            short(said["year"], ".1f"),
        ]
        for epsilon, said in sorted(found["epsilon"].items())
    ]
    head = (
        "epsilon of a study",
        "best guess whether an enterprise's records were in it",
        "epsilon of its label alone, in a scorecard",
        "epsilon of its identity",
        "epsilon after twelve such studies",
    )
    return _table(head, rows)


TABLES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "buys": buys,
    "private": private,
    "hard": hard,
    "attacks": attacks,
    "meaning": meaning,
}
