from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ScoreRequest(_message.Message):
    __slots__ = ("key", "enterprises", "model", "purpose", "product")
    KEY_FIELD_NUMBER: _ClassVar[int]
    ENTERPRISES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    key: str
    enterprises: _containers.RepeatedCompositeFieldContainer[Enterprise]
    model: str
    purpose: str
    product: str
    def __init__(self, key: _Optional[str] = ..., enterprises: _Optional[_Iterable[_Union[Enterprise, _Mapping]]] = ..., model: _Optional[str] = ..., purpose: _Optional[str] = ..., product: _Optional[str] = ...) -> None: ...

class Enterprise(_message.Message):
    __slots__ = ("id", "consent", "own_values", "values", "application")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    OWN_VALUES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    APPLICATION_FIELD_NUMBER: _ClassVar[int]
    id: str
    consent: str
    own_values: bool
    values: _containers.MessageMap[str, Value]
    application: Application
    def __init__(self, id: _Optional[str] = ..., consent: _Optional[str] = ..., own_values: _Optional[bool] = ..., values: _Optional[_Mapping[str, Value]] = ..., application: _Optional[_Union[Application, _Mapping]] = ...) -> None: ...

class Value(_message.Message):
    __slots__ = ("number", "text", "flag", "whole")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FLAG_FIELD_NUMBER: _ClassVar[int]
    WHOLE_FIELD_NUMBER: _ClassVar[int]
    number: float
    text: str
    flag: bool
    whole: int
    def __init__(self, number: _Optional[float] = ..., text: _Optional[str] = ..., flag: _Optional[bool] = ..., whole: _Optional[int] = ...) -> None: ...

class Application(_message.Message):
    __slots__ = ("amount", "months", "turnover", "green", "measures")
    class MeasuresEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    TURNOVER_FIELD_NUMBER: _ClassVar[int]
    GREEN_FIELD_NUMBER: _ClassVar[int]
    MEASURES_FIELD_NUMBER: _ClassVar[int]
    amount: float
    months: int
    turnover: float
    green: bool
    measures: _containers.ScalarMap[str, float]
    def __init__(self, amount: _Optional[float] = ..., months: _Optional[int] = ..., turnover: _Optional[float] = ..., green: _Optional[bool] = ..., measures: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ScoreReply(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[ScoreAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[ScoreAnswer, _Mapping]]] = ...) -> None: ...

class ScoreAnswer(_message.Message):
    __slots__ = ("id", "code", "words", "members", "model", "score", "probability", "probability_words", "grade", "grade_scale", "reasons", "own_points", "external_points", "own_probability", "ages", "own_day", "missing", "decision", "notice", "made")
    class MembersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_WORDS_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    GRADE_SCALE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    OWN_POINTS_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_POINTS_FIELD_NUMBER: _ClassVar[int]
    OWN_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    AGES_FIELD_NUMBER: _ClassVar[int]
    OWN_DAY_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    id: str
    code: str
    words: str
    members: _containers.ScalarMap[str, str]
    model: ModelUsed
    score: int
    probability: float
    probability_words: str
    grade: str
    grade_scale: str
    reasons: _containers.RepeatedScalarFieldContainer[str]
    own_points: int
    external_points: int
    own_probability: float
    ages: Ages
    own_day: str
    missing: _containers.RepeatedScalarFieldContainer[str]
    decision: Advice
    notice: str
    made: float
    def __init__(self, id: _Optional[str] = ..., code: _Optional[str] = ..., words: _Optional[str] = ..., members: _Optional[_Mapping[str, str]] = ..., model: _Optional[_Union[ModelUsed, _Mapping]] = ..., score: _Optional[int] = ..., probability: _Optional[float] = ..., probability_words: _Optional[str] = ..., grade: _Optional[str] = ..., grade_scale: _Optional[str] = ..., reasons: _Optional[_Iterable[str]] = ..., own_points: _Optional[int] = ..., external_points: _Optional[int] = ..., own_probability: _Optional[float] = ..., ages: _Optional[_Union[Ages, _Mapping]] = ..., own_day: _Optional[str] = ..., missing: _Optional[_Iterable[str]] = ..., decision: _Optional[_Union[Advice, _Mapping]] = ..., notice: _Optional[str] = ..., made: _Optional[float] = ...) -> None: ...

class ModelUsed(_message.Message):
    __slots__ = ("id", "name", "version", "deployed_as")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DEPLOYED_AS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    version: int
    deployed_as: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., deployed_as: _Optional[str] = ...) -> None: ...

class Ages(_message.Message):
    __slots__ = ("told", "fresh", "aging", "old", "missing", "words")
    TOLD_FIELD_NUMBER: _ClassVar[int]
    FRESH_FIELD_NUMBER: _ClassVar[int]
    AGING_FIELD_NUMBER: _ClassVar[int]
    OLD_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    told: bool
    fresh: int
    aging: int
    old: int
    missing: int
    words: str
    def __init__(self, told: _Optional[bool] = ..., fresh: _Optional[int] = ..., aging: _Optional[int] = ..., old: _Optional[int] = ..., missing: _Optional[int] = ..., words: _Optional[str] = ...) -> None: ...

class Advice(_message.Message):
    __slots__ = ("product", "currency", "decision", "rule", "rules", "grade", "limit", "months", "rate", "parts", "reasons", "notice")
    PRODUCT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    MONTHS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    product: str
    currency: str
    decision: str
    rule: str
    rules: _containers.RepeatedScalarFieldContainer[str]
    grade: str
    limit: int
    months: int
    rate: float
    parts: _containers.RepeatedCompositeFieldContainer[RatePart]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    notice: str
    def __init__(self, product: _Optional[str] = ..., currency: _Optional[str] = ..., decision: _Optional[str] = ..., rule: _Optional[str] = ..., rules: _Optional[_Iterable[str]] = ..., grade: _Optional[str] = ..., limit: _Optional[int] = ..., months: _Optional[int] = ..., rate: _Optional[float] = ..., parts: _Optional[_Iterable[_Union[RatePart, _Mapping]]] = ..., reasons: _Optional[_Iterable[str]] = ..., notice: _Optional[str] = ...) -> None: ...

class RatePart(_message.Message):
    __slots__ = ("name", "rate")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    rate: float
    def __init__(self, name: _Optional[str] = ..., rate: _Optional[float] = ...) -> None: ...

class ModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ModelsReply(_message.Message):
    __slots__ = ("bank", "models", "products")
    BANK_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PRODUCTS_FIELD_NUMBER: _ClassVar[int]
    bank: str
    models: _containers.RepeatedCompositeFieldContainer[Model]
    products: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, bank: _Optional[str] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., products: _Optional[_Iterable[str]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "name", "version", "state", "deployed_as", "purpose", "made", "holders", "columns", "low", "high", "mean", "notice", "horizon")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DEPLOYED_AS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    MADE_FIELD_NUMBER: _ClassVar[int]
    HOLDERS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    version: int
    state: str
    deployed_as: str
    purpose: str
    made: str
    holders: _containers.RepeatedScalarFieldContainer[str]
    columns: _containers.RepeatedScalarFieldContainer[str]
    low: int
    high: int
    mean: int
    notice: str
    horizon: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., version: _Optional[int] = ..., state: _Optional[str] = ..., deployed_as: _Optional[str] = ..., purpose: _Optional[str] = ..., made: _Optional[str] = ..., holders: _Optional[_Iterable[str]] = ..., columns: _Optional[_Iterable[str]] = ..., low: _Optional[int] = ..., high: _Optional[int] = ..., mean: _Optional[int] = ..., notice: _Optional[str] = ..., horizon: _Optional[str] = ...) -> None: ...
