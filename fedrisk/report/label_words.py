"""Pages and screens of a study name its label where texts say default: a study of distress knows no defaults."""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from fedrisk.language import about
from fedrisk.server.results import Results

Rest = ParamSpec("Rest")
Made = TypeVar("Made")


def named_label(results: Results) -> str | None:
    """Name of the label that a study's banks stated; None where no bank stated any."""
    stated = (facts.label for facts in results.institutions.values() if facts.label)
    return next((str(label["name"]) for label in stated if label.get("name")), None)


def about_its_label(
    make: Callable[Concatenate[Results, Rest], Made],
) -> Callable[Concatenate[Results, Rest], Made]:
    """What is made of a study's results speaks of the study's label in place of default."""

    @wraps(make)
    def made(results: Results, /, *others: Rest.args, **named: Rest.kwargs) -> Made:
        with about(named_label(results)):
            return make(results, *others, **named)

    return made
