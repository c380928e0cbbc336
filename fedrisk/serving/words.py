"""Words for every code of serving/codes: the thing, the rule, the remedy; never an id, a value or a consent.

A loan officer reads them under time pressure, so each says what to do next.
"""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    # Of one member, for the whole question.
    "away": (
        "it is not connected to the hub, or not named with --members. A score needs all its members; ask again in a "
        "minute"
    ),
    "late": "it did not answer in time. A score needs all its members; ask again in a minute",
    "version": "it has another version of fedrisk than this node. Have the older of the two upgraded",
    "form": "it could not read the question, or its model asks for something else. Tell who runs this node",
    "envelope": "a seal or signature did not hold, so nothing was used. Tell who runs this node",
    "keys": "keys changed while the question was on its way. Ask again",
    "repeated": "it got two different questions under one number. Ask again under a new request id",
    "old": "the question reached it too late; the clock of this machine may be wrong. Check it and ask again",
    "unknown": "it does not have this model. Have it look at its models, or deploy another one here",
    "approval": "it has not approved this model, or took its approval back. Ask it to approve the model",
    "asker": "it does not serve this bank with this model. Ask it to add the bank, or use another model",
    "purpose": "its policy does not allow this purpose. Use a purpose that it allows, or ask it to allow this one",
    "quota": "this bank has asked as often today as it allows. Ask tomorrow, or agree on a larger number",
    "later": "it cannot look its records up now. Ask again in a few minutes",
    "internal": "something failed there that nobody foresaw; its own log says what. Ask again, then tell who runs it",
    # Of one row, by a member.
    "id": "the enterprise's id is not in the form that it uses. Check the id for typing errors",
    "consent_missing": "it answers only with the enterprise's consent, and none was given. Ask for one and add it",
    "consent_form": "the consent is no token that it can read. Copy the whole token once more from the register",
    "consent_register": "the consent is not signed by a register that it trusts. Ask for one from such a register",
    "consent_expired": "the consent has expired. Ask the enterprise for a new one",
    "consent_early": "the consent is not valid yet. Wait until it begins, or ask for one that is valid now",
    "consent_long": "the consent is valid for longer than it accepts. Ask the enterprise for a shorter one",
    "consent_bank": "the consent was given to another bank. Ask the enterprise for one for this bank",
    "consent_enterprise": "the consent was given by another enterprise. Check that id and consent belong together",
    "consent_purpose": "the consent was given for another purpose. Ask the enterprise for one for this purpose",
    "consent_used": "the consent was used as often as it allows. Ask the enterprise for a new one",
    "enterprise_quota": "this bank has asked about this enterprise as often as it allows within 30 days. Ask later",
    # Of one row, by the bank's own node.
    "hub": "The hub cannot be reached, and a score needs the members behind it. Ask again in a minute",
    "own_id": "The enterprise's id is not in the form of this bank's dictionary. Check it for typing errors",
    "own_row": "The enterprise is not in this bank's table. Give the values of the bank's own columns with the request",
    "own_value": "A value that was given is not as the bank's dictionary says. Correct the named columns and ask again",
    "own_missing": "The model cannot do without a value that is missing. Fill in the named columns and ask again",
    "own_table": "This bank's own table cannot be read now. Ask again in a few minutes, then tell who runs this node",
    # Of a whole request.
    "request": "The request is not as the description of this service says. Correct the named places and send it again",
    "token": "The token is not that of this service. Send the content of the file service.token as a bearer token",
    "host": "This service is asked under its own address on this machine, and by its own pages alone. Use that address",
    "path": "There is nothing at this address. The page /docs has all addresses",
    "method": "This address is not asked with this method. The page /docs says which",
    "large": "The request is larger than this service takes. Send fewer enterprises at once",
    "slow": "The request did not arrive in time. Send it again",
    "busy": "Too many requests are being answered. Send it again in a second",
    "model_none": "No model is deployed at this bank. Deploy one with fedrisk model deploy",
    "model_unknown": "This bank has no such model. GET /v1/models lists those that it has",
    "model_several": "Several models fit. Name one by its id, or say the purpose",
    "model_state": "The model is not deployed at this bank. Deploy it with fedrisk model deploy, or name another",
    "model_rule": "A column from this bank's histories is computed otherwise than when the model was made. "
    "Put its rule back, or deploy a new study's model",
    "repeated_key": "This request id was used for another request. Use a new id for a new request",
    "store": "The node's store cannot be read or written. Tell who runs this node to check its disk",
}
"""Sentences by code. Those of members go on after the member's name."""


INDEX_WORDS: Final[Mapping[str, str]] = {
    "quota": "each month counts as one, and it allows no more today. Ask tomorrow, or for fewer months",
    "enterprise_quota": "each month counts as one, and it allows no more of this enterprise within 30 days. Ask for "
    "fewer months, or later",
}
"""What members' codes say where months of an index were asked for."""

AGENT_WORDS: Final[Mapping[str, str]] = {
    **INDEX_WORDS,
    "asker": "it answers no such agent. Ask it to name this one (policy.serving.agents); the list of members has to "
    "say agent too",
    "consent_bank": "the consent names another institution. Ask the enterprise for one that names this one",
    "consent_purpose": "the consent was given for another purpose. Ask the enterprise for one for own_information",
}
"""The same where an agent of enterprises asked."""


def of_code(code: str) -> str:
    """The sentence for a code of this bank's own node; a code of another version is shown as it is.

    >>> of_code("hub")
    'The hub cannot be reached, and a score needs the members behind it. Ask again in a minute.'
    """
    return f"{WORDS[code]}." if code in WORDS else f"No answer ({code})."


def of_members(codes: Mapping[str, str], other: Mapping[str, str] | None = None) -> str:
    """Why members give no answer, in sentences; members with the same reason share one. other: words in place of WORDS.

    >>> of_members({"tax": "consent_expired", "power": "consent_expired"})
    'power and tax give nothing: the consent has expired. Ask the enterprise for a new one.'
    """
    words = {**WORDS, **(other or {})}
    return " ".join(
        f"{_listed(members)} give{'s' * (len(members) == 1)} nothing: {words.get(code, code)}."
        for code, members in _by_code(codes).items()
    )


def _by_code(codes: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for member in sorted(codes):
        found.setdefault(codes[member], []).append(member)
    return found


def chance(probability: float) -> str:
    """A probability in words, as natural frequencies (Gigerenzer and Hoffrage 1995).

    >>> [chance(p) for p in (0.0004, 0.004, 0.0312, 0.5, 0.9996)]
    ['fewer than 1 in 1,000', 'about 4 in 1,000', 'about 3 in 100', 'about 50 in 100', 'more than 99 in 100']
    """
    if probability < 0.0005:
        return "fewer than 1 in 1,000"
    if probability < 0.01:
        return f"about {round(probability * 1000)} in 1,000"
    return "more than 99 in 100" if probability > 0.99 else f"about {round(probability * 100)} in 100"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
