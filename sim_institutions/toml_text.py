"""Values as TOML writes them."""

import json
from collections.abc import Mapping
from typing import Any


def pairs(values: Mapping[str, Any]) -> str:
    """One line for each key."""
    return "".join(f"{key} = {value_text(value)}\n" for key, value in values.items())


def value_text(value: Any) -> str:
    """A value in TOML: JSON spells text, numbers, truth values and lists alike; a table within a line has ``=``.

    >>> value_text({"-1": "nothing had to be paid"})
    '{ "-1" = "nothing had to be paid" }'
    """
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {value_text(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
