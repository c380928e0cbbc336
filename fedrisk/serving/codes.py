"""Why a question about scores has no answer, as codes: of a whole question, or of one of its rows.

Those of rows travel sealed to the bank that asked. Those of a whole question stand beside the envelope: the hub sees
them, and says some itself (``away``, ``late``, ``version``). They tell nothing of an enterprise. Those of the bank's
own node (`OWN`, `SERVICE`) go nowhere. Words for all are in serving/words.py.
"""

from typing import Final

OK: Final = ""

WHOLE: Final = (
    "away",  # the member is not connected
    "late",  # it did not answer in time
    "version",  # another version of fedrisk is needed
    "form",  # malformed, too large, or not what the model asks for
    "envelope",  # a seal or signature does not hold
    "keys",  # the question was made under keys of another time
    "repeated",  # the same id with other content
    "old",  # made too long ago
    "unknown",  # no such model here
    "approval",  # the model is not approved, or it was taken back
    "asker",  # the model is not served to this bank
    "purpose",  # the policy does not allow the purpose
    "quota",  # more than the policy allows in a day
    "later",  # the database is away or the disk is full: ask again
    "internal",  # not foreseen; the text is at home
)
"""Codes of a whole question, from one member."""

ROWS: Final = (
    "id",  # the id has not the form of ids here
    "consent_missing",
    "consent_form",  # not a token, or one that says too little
    "consent_register",  # of a register that is not pinned, or its signature does not hold
    "consent_expired",
    "consent_early",  # not valid yet
    "consent_long",  # valid for longer than the policy accepts
    "consent_bank",  # given to another bank
    "consent_enterprise",  # given by another enterprise
    "consent_purpose",  # given for another purpose
    "consent_used",  # used in other questions as often as it allows
    "enterprise_quota",  # this enterprise was asked about too often
)
"""Codes of one row; their places are what answers hold (serving/messages): new ones come last."""

OWN: Final = (
    "hub",  # the hub cannot be reached
    "own_id",  # the id has not the form of ids here
    "own_row",  # the enterprise is not in the bank's table, and no values were given
    "own_value",  # a value that was given breaks the dictionary
    "own_missing",  # a value is missing that the model cannot do without
    "own_table",  # the bank's table cannot be read now
)
"""Codes of one row, said by the bank's own node."""

SERVICE: Final = (
    "request",  # the request is malformed
    "token",  # the token is not this service's
    "host",  # asked under a name that is not this service's, or by another page
    "path",  # no such address
    "method",  # not with this method
    "large",  # too large
    "slow",  # it did not arrive in time
    "busy",  # too many requests at once
    "model_none",  # no model is deployed
    "model_unknown",  # no such model
    "model_several",  # several models fit
    "model_state",  # the model is not deployed
    "model_rule",  # a column of the bank is computed from its histories by another rule than the model's
    "repeated_key",  # the request id was used for another request
    "store",  # the store or disk of this node fails
)
"""Codes of a whole request of the loan system, which has no answers then."""

PASSING: Final = ("away", "late", "version", "keys", "old", "later", "internal", "hub", "own_table")
"""Codes that pass: asked once more, the same request may be answered."""
