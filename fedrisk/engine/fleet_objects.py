"""Messages in chunks: Flower cuts them in objects of at most 5 MB, each pulled and pushed by a request of its own.

A message is put together as its chunks come and cut again as they go, so that it takes its own size in memory and
little more; Flower's own client holds all chunks, their bodies and the whole at once. Private names of flwr, as in
`engine/fleet`.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from io import BytesIO
from typing import Any

from flwr.app import Array
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.constant import HEAD_BODY_DIVIDER
from flwr.supercore.inflatable.inflatable_object import get_object_head_values_from_object_content
from flwr.supercore.inflatable.inflatable_utils import inflatable_class_registry

AT_ONCE = 2
"""Requests for objects that are under way at a time."""

LONGEST = 1 << 33
"""Bytes of one array: few chunks can stand for many where they are alike, and fill the receiver's memory."""


def inflated(tree: ObjectTree, pull: Callable[[str], bytes], pool: Executor) -> Any:
    """The object at the root of a tree, with all below it; ``pull`` gives the content of one by its name.

    KeyError, ValueError, TypeError, IndexError or AttributeError where a content is not as Flower makes it.
    """
    content = pull(tree.object_id)
    kind, below, _ = get_object_head_values_from_object_content(content)
    if kind == Array.__qualname__:
        about = json.loads(bytes(_body(content)))
        # Equal chunks have one name, and are pulled once.
        names = [below[at] for at in about["arraychunk_ids"]]
        return _array(about, names, side_by_side(pool, pull, ((name,) for name in dict.fromkeys(names))))
    children = {child.object_id: inflated(child, pull, pool) for child in tree.children}
    return inflatable_class_registry[kind].inflate(content, children=children)


def side_by_side(
    pool: Executor, call: Callable[..., Any], arguments: Iterable[tuple[Any, ...]]
) -> Iterator[Any]:
    """Results of calls in their order, a few at a time, so that few chunks are in memory at once."""
    waiting: deque[Future[Any]] = deque()
    try:
        for each in arguments:
            waiting.append(pool.submit(call, *each))
            del each
            if len(waiting) > AT_ONCE:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _array(about: dict[str, Any], names: list[str], found: Iterator[bytes]) -> Array:
    """An array from its chunks as they come; they are not kept, and the whole is not copied."""
    array = Array(str(about["dtype"]), tuple(about["shape"]), str(about["stype"]), b"")
    times, kept, whole = Counter(names), dict[str, memoryview](), BytesIO()
    for name in names:
        part = kept[name] if name in kept else _body(next(found))
        if times[name] > 1:
            kept[name] = part
        whole.write(part)
        if whole.tell() > LONGEST:
            raise ValueError("an array is too large")
    # The buffer itself, not a copy of it.
    array.data = whole.getvalue()
    return array


def _body(content: bytes) -> memoryview:
    """What follows the head of an object, without a copy."""
    return memoryview(content)[content.index(HEAD_BODY_DIVIDER) + 1 :]
