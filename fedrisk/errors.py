"""The exceptions of fedrisk, one small tree.

Every error carries two things that must not be confused. Its *text* names the thing, the rule and the remedy.
It stays on the machine where the error arose, so it may mention columns, files and counts of the institution
concerned (never an id, a label or a value). Its *code* is one of a few generic words, and is all that the hub
and the other institutions see.

    FedriskError                 base; code "error"
    |-- ConfigError              a study, dictionary or institution file breaks a rule; "config"
    |-- DataError                a table breaks its dictionary, or cannot be used; "data"
    |   `-- AwayError            the database does not answer for now; "later"
    |-- PolicyError              this institution does not allow what was asked; "refused"
    |   |-- BudgetError          its privacy budget does not suffice; "budget"
    |   `-- QuotaError           the key authority evaluates no more ids for an institution than agreed; "quota"
    |-- ProtocolError            a message out of order, repeated with other content, or malformed; "protocol"
    |   |-- EnvelopeError        a signature or seal does not hold, a key is not the pinned one; "envelope"
    |   `-- VersionError         another version of fedrisk is needed, here or there; "version"
    |-- PeerError                another institution refused or was lost; "peer"
    |   `-- LostError            it did not answer, or cannot for now: the attempt can go on; "peer"
    |-- TrainingError            a training that goes nowhere: its weights left all sense; "training"
    |-- LaterError               something that passes: the hub is away, a clock is wrong, a disk is full; "later"
    `-- StoreError               the node's disk cannot be read or written; "store"
        |-- NothingYet           no study has used this store so far
        `-- OwnerError           the store belongs to another institution of the same name

``Stopped`` is beside the tree: a ``KeyboardInterrupt`` of a study, with what was charged until then.
"""


class FedriskError(Exception):
    """Base of all errors that fedrisk raises on purpose; only ``code`` is shown to other parties."""

    code = "error"


class ConfigError(FedriskError):
    """A study, dictionary or institution file breaks a rule."""

    code = "config"


class DataError(FedriskError):
    """A table breaks its dictionary, or has nothing that a study could use."""

    code = "data"


LATER = "later"
"""Code of a fault that goes by (a full disk, a database that is away): nothing is consumed, ask the same again."""


class AwayError(DataError):
    """The database that holds the table does not answer for now."""

    code = LATER


class PolicyError(FedriskError):
    """The institution's own policy does not allow what was asked."""

    code = "refused"


class BudgetError(PolicyError):
    """The institution's privacy budget does not suffice for a release."""

    code = "budget"


class QuotaError(PolicyError):
    """More ids were to be evaluated than the key authority agreed with an institution for an epoch.

    count: how many were asked for. agreed, used: the size of the epoch, and how many of it are used.
    """

    code = "quota"

    def __init__(self, text: str, *, count: int = 0, agreed: int = 0, used: int = 0) -> None:
        super().__init__(text)
        self.count, self.agreed, self.used = count, agreed, used


class ProtocolError(FedriskError):
    """A message came out of order, was repeated with other content, or is malformed."""

    code = "protocol"


class EnvelopeError(ProtocolError):
    """A signature or a seal does not hold, or a key is not the one that was pinned."""

    code = "envelope"


class VersionError(ProtocolError):
    """A protocol, an action, a field or a study's format is of another version of fedrisk; says whom to upgrade."""

    code = "version"


class PeerError(FedriskError):
    """Another institution refused, failed or was lost; holds the codes that it gave, never its texts."""

    code = "peer"


class LostError(PeerError):
    """Institutions that were lost, or cannot answer for now: nobody refused, and the attempt can go on later."""


class TrainingError(FedriskError):
    """A training whose weights grow beyond anything that a model could have learnt; it leaves no model."""

    code = "training"


class LaterError(FedriskError):
    """What was asked for cannot be done now, and can be later; nothing was consumed or charged."""

    code = "later"


class StoreError(FedriskError):
    """The node's own disk cannot be read or written."""

    code = "store"


class NothingYet(StoreError):
    """A store that no study has used so far: there is nothing to read, and reading makes nothing."""


class OwnerError(StoreError):
    """A store belongs to another institution of the same name, or is a copy of one that is still there.

    whose: name, store, and the two files, as a line without the remedy. file: the institution's file.
    """

    def __init__(self, text: str, *, whose: str = "", file: str = "") -> None:
        super().__init__(text)
        self.whose, self.file = whose, file


class Stopped(KeyboardInterrupt):
    """A person stopped a study by hand; the text says what was charged so far, and how to go on."""


def code_of(error: BaseException) -> str:
    """The generic word that others see of an error: its code, or "internal" for what fedrisk did not foresee.

    >>> code_of(BudgetError("used up")), code_of(KeyError("x"))
    ('budget', 'internal')
    """
    return error.code if isinstance(error, FedriskError) else "internal"


class LeftUndone(UserWarning):
    """Something optional failed, or needs a person's eye; what was asked for is there all the same."""
