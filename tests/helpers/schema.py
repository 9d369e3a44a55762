"""A check of JSON against a schema, of as much of JSON Schema as docs/schemas/ needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_ABOUT = {"$schema", "$defs", "title", "description"}


def faults(name: str, value: Any) -> list[str]:
    """Where `value` is not as the schema `name` says, keys that it does not describe included."""
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return list(_faults(schema, value, "", schema.get("$defs", {})))


def _faults(schema: dict[str, Any], value: Any, at: str, named: dict[str, Any]) -> Iterator[str]:
    for keyword, wanted in schema.items():
        if keyword in _ABOUT:
            continue
        if keyword == "$ref":
            yield from _faults(named[wanted.removeprefix("#/$defs/")], value, at, named)
        elif keyword == "properties" and isinstance(value, dict):
            yield from (f"{at}/{key} is not described" for key in value if key not in wanted)
            for key in (each for each in wanted if each in value):
                yield from _faults(wanted[key], value[key], f"{at}/{key}", named)
        elif keyword == "items" and isinstance(value, list):
            for place, each in enumerate(value):
                yield from _faults(wanted, each, f"{at}/{place}", named)
        elif keyword == "anyOf":
            if all(list(_faults(each, value, at, named)) for each in wanted):
                yield f"{at or '/'} is {value!r:.60}, against anyOf {wanted!r}"
        elif not _holds(keyword, wanted, value):
            yield f"{at or '/'} is {value!r:.60}, against {keyword} {wanted!r}"


def _holds(keyword: str, wanted: Any, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match keyword:
        case "type":
            names = [wanted] if isinstance(wanted, str) else wanted
            return any(
                isinstance(value, _TYPES[name]) and (name == "boolean") == isinstance(value, bool) for name in names
            )
        case "enum":
            return value in wanted
        case "const":
            return bool(value == wanted)
        case "required":
            return not isinstance(value, dict) or value.keys() >= set(wanted)
        case "minimum":
            return not is_number or value >= wanted
        case "maximum":
            return not is_number or value <= wanted
        case "minItems":
            return not isinstance(value, list) or len(value) >= wanted
        case "maxItems":
            return not isinstance(value, list) or len(value) <= wanted
        case "pattern":
            return not isinstance(value, str) or re.search(wanted, value) is not None
        case "properties" | "items":
            return True
    raise ValueError(f"{keyword} is no keyword that is checked here")
