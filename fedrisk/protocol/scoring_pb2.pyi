from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FromNode(_message.Message):
    __slots__ = ("hello", "answer")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    answer: Answer
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., answer: _Optional[_Union[Answer, _Mapping]] = ...) -> None: ...

class ToNode(_message.Message):
    __slots__ = ("welcome", "part")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    part: Part
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("protocol", "fedrisk", "key")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    FEDRISK_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    fedrisk: str
    key: SignedKey
    def __init__(self, protocol: _Optional[int] = ..., fedrisk: _Optional[str] = ..., key: _Optional[_Union[SignedKey, _Mapping]] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("protocol", "fedrisk")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    FEDRISK_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    fedrisk: str
    def __init__(self, protocol: _Optional[int] = ..., fedrisk: _Optional[str] = ...) -> None: ...

class SignedKey(_message.Message):
    __slots__ = ("institution", "epoch", "public", "signature")
    INSTITUTION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    institution: str
    epoch: str
    public: bytes
    signature: bytes
    def __init__(self, institution: _Optional[str] = ..., epoch: _Optional[str] = ..., public: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class KeysWanted(_message.Message):
    __slots__ = ("protocol", "members", "epoch")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    members: _containers.RepeatedScalarFieldContainer[str]
    epoch: str
    def __init__(self, protocol: _Optional[int] = ..., members: _Optional[_Iterable[str]] = ..., epoch: _Optional[str] = ...) -> None: ...

class SignedKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[SignedKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[SignedKey, _Mapping]]] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("protocol", "id", "model", "seconds", "parts")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    id: str
    model: str
    seconds: float
    parts: _containers.RepeatedCompositeFieldContainer[Sealed]
    def __init__(self, protocol: _Optional[int] = ..., id: _Optional[str] = ..., model: _Optional[str] = ..., seconds: _Optional[float] = ..., parts: _Optional[_Iterable[_Union[Sealed, _Mapping]]] = ...) -> None: ...

class Sealed(_message.Message):
    __slots__ = ("member", "envelope")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    member: str
    envelope: bytes
    def __init__(self, member: _Optional[str] = ..., envelope: _Optional[bytes] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("id", "asker", "model", "seconds", "envelope")
    ID_FIELD_NUMBER: _ClassVar[int]
    ASKER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    asker: str
    model: str
    seconds: float
    envelope: bytes
    def __init__(self, id: _Optional[str] = ..., asker: _Optional[str] = ..., model: _Optional[str] = ..., seconds: _Optional[float] = ..., envelope: _Optional[bytes] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("id", "asker", "member", "code", "envelope")
    ID_FIELD_NUMBER: _ClassVar[int]
    ASKER_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    ENVELOPE_FIELD_NUMBER: _ClassVar[int]
    id: str
    asker: str
    member: str
    code: str
    envelope: bytes
    def __init__(self, id: _Optional[str] = ..., asker: _Optional[str] = ..., member: _Optional[str] = ..., code: _Optional[str] = ..., envelope: _Optional[bytes] = ...) -> None: ...

class Answers(_message.Message):
    __slots__ = ("id", "answers")
    ID_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    answers: _containers.RepeatedCompositeFieldContainer[Answer]
    def __init__(self, id: _Optional[str] = ..., answers: _Optional[_Iterable[_Union[Answer, _Mapping]]] = ...) -> None: ...
