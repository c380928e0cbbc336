"""Texts of the loan officer's page, and the script that has their translations for the browser's language.

The page is English; ``language.js`` puts each text that the page shows into the language of the browser, as
fedrisk.language_patterns does for messages: a whole text, or a pattern whose values are put in. The service's own
sentences (words.py) are among them, so that its answers stay the same for all who ask.
"""

import json
from typing import Final

from fedrisk.language import LANGUAGES, N_, PLACE, catalogue
from fedrisk.language_patterns import KIND, LEAST_LETTERS, Pattern
from fedrisk.serving.words import WORDS

TEXTS: Final = (
    *(
        N_("Score an enterprise"),
        N_("To the form"),
        N_("Sign out"),
        N_("Sign in"),
        N_("Token of this service"),
    ),
    *(N_("It is in the file"), N_("in the folder of the bank's node. It is kept until this tab is closed.")),
    *(
        N_("Applicant"),
        N_("Enterprise id"),
        N_("Consent"),
        N_("token or reference"),
        N_("Product"),
        N_("Model"),
    ),
    *(N_("What is applied for"), N_("Amount"), N_("Term"), N_("months"), N_("Turnover"), N_("a year")),
    *(
        N_("Green loan"),
        N_("Not a customer yet? Give the bank's own data"),
        N_("Score"),
        N_("Clear"),
        N_("Result"),
    ),
    N_("In place of the bank's table. What is left empty counts as missing."),
    N_("The form has changed since. This is the answer to what stood in it before."),
    *(
        N_("The score appears here."),
        N_("A score is advice. The decision stays with the bank."),
        N_("For programs"),
    ),
    *(
        N_("Accept"),
        N_("A person decides"),
        N_("Decline"),
        N_("Funding"),
        N_("Operation"),
        N_("Expected loss"),
    ),
    *(
        N_("Margin"),
        N_("Green discount"),
        N_("Raised to the floor"),
        N_("Lowered to the cap"),
        N_("Rate a year"),
    ),
    N_("The bank's node does not answer. Check that it runs, then try again."),
    N_("The bank's node gave no readable answer. Try again."),
    N_("This is not the token of this service. Copy it once more."),
    N_("No model is deployed at this bank"),
    N_("Deploy one with fedrisk model deploy, then reload this page."),
    *(
        N_("The bank's champion"),
        N_("None (score alone)"),
        N_("None"),
        N_("Asking …"),
        N_("No score"),
        N_("Grade"),
    ),
    *(N_("Write a number, for example 300000."), N_("Write whole months, for example 12.")),
    *(N_("Write the enterprise's id."), N_("Write a number, for example 1234.5."), N_("Paste the token.")),
    N_("The token has changed. Sign in with the new one."),
    *(N_("higher is safer"), N_("Chance of default"), N_("32% and more"), N_("of the bank's table")),
    *(N_("What speaks against it most"), N_("Nothing: no part of it is below average.")),
    *(N_("The data behind it"), N_("external data"), N_("what the data holders know of it, all together")),
    *(N_("{name}, version {version} ({role})"), N_("Model {name}, version {version} ({role}), {time}")),
    *(N_("The bank's own best model says {share}"), N_("The bank's own data are of {day}.")),
    *(N_("Missing in the bank's own data: {columns}."), N_("What the bank's table advises for {product}")),
    *(N_("Limit {limit}, {months} months"), N_("{least} riskiest"), N_("safest {most}"), N_("mean {mean}")),
    *(N_("safer"), N_("riskier")),
    N_("{score} on a scale from {least}, riskiest, to {most}, safest; {side} than the mean of {mean}"),
)
"""What index.html and page.js say."""


def script() -> str:
    """``WORDS``: by the beginning of a browser's language, the page's own language and [English, translation] pairs."""
    return f"const WORDS = {json.dumps({code: _words(code) for code in LANGUAGES if code != 'en'})};"


def _words(code: str) -> dict[str, object]:
    there = catalogue(code)
    own = [(text, there[("", text)]) for text in TEXTS if ("", text) in there]
    codes = [(text, there[(KIND, text)]) for text in WORDS.values() if (KIND, text) in there]
    answers = [pair for pair in _messages(code) if pair not in codes]
    return {"lang": PLACE[code], "texts": [*own, *codes, *answers]}


def _messages(code: str) -> list[tuple[str, str]]:
    """What the service says beside its codes: members without an answer, chances, data behind a score."""
    return [
        (text, told)
        for (kind, text), told in catalogue(code).items()
        if kind == KIND and text in ANSWERS and Pattern(text, told).letters >= LEAST_LETTERS
    ]


ANSWERS: Final = (
    "{members} give{plural} nothing: {code}.",
    "No answer ({code}).",
    "{known} of {members} members know{plural} it. Records: {parts}.",
    "None of {members} members knows it, or their records are too old.",
    "Not told: {holders} decide that (policy.serving.ages).",
    "fewer than 1 in 1,000",
    "about {probability} in 1,000",
    "more than 99 in 100",
    "about {probability} in 100",
    "of the last month",
    "of the last three months",
    "older than three months",
    "Advice to a person of the bank, from the bank's own table. Nothing is decided by it.",
    "the grade of the probability of default",
    "members of the model do not know the enterprise",
    "members of the model know the enterprise from old data only",
    "members may not tell how complete and how old their data are",
    "the term is not one of the product's",
    "turnover is not known, and the limit follows from it",
    "exposure at other banks is not known, and the limit follows from it",
    "the limit is below the product's least amount",
    "the amount is above the limit, or below the product's least amount",
    "cost and expected loss are above the highest rate",
)
"""Of the messages in words.py and its neighbours, those that an answer shows."""
