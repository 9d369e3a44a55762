"""What a config in the JSON says, read key by key; keys that nobody asks for are refused."""

from __future__ import annotations

from typing import Any

from convtool.errors import InputError
from convtool.files.json import json_kind

LAYERS_LIMIT = 1000
"""Layers that an array may have, and arrays that a model may."""


class Settings:
    """An object in the JSON, read key by key.

    Args:
        value: what was read.
        place: where it stands in the file.

    Raises InputError, in the constructor and the methods, where what stands there is of another kind.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise InputError(f"'{place}' is {json_kind(value)}; expected an object with named entries")
        self._values: dict[str, Any] = value
        self._place = place
        self._asked: set[str] = set()

    def place(self, key: str) -> str:
        """Where `key` stands."""
        return f"{self._place}.{key}" if self._place else key

    def get(self, key: str) -> Any:
        """What stands there, and nothing where nothing or null does."""
        self._asked.add(key)
        return self._values.get(key)

    def must(self, key: str) -> Any:
        """What stands there; refused where nothing does."""
        value = self.get(key)
        if value is None:
            raise InputError(f"'{self.place(key)}' is {'null' if key in self._values else 'missing'}")
        return value

    def inside(self, key: str) -> Settings:
        """The object that stands there."""
        return Settings(self.must(key), self.place(key))

    def whole(self, key: str, default: int | None = None, *, least: int = 1) -> int:
        """The whole number from `least` on that stands there."""
        value = self.must(key) if default is None else self.get(key)
        return default if value is None and default is not None else _whole(value, self.place(key), least)

    def wholes(self, key: str) -> list[int]:
        """The list of whole numbers from 1 on that stands there."""
        return [_whole(value, f"{self.place(key)}.{at}", 1) for at, value in enumerate(self.list(key))]

    def list(self, key: str) -> list[Any]:
        """The list that stands there, of at least one item and at most `LAYERS_LIMIT`."""
        value = self.must(key)
        if not isinstance(value, list) or not 1 <= len(value) <= LAYERS_LIMIT:
            found = f"a list of {len(value)}" if isinstance(value, list) else json_kind(value)
            raise InputError(f"'{self.place(key)}' is {found}; expected a list of 1 to {LAYERS_LIMIT}")
        return value

    def yes(self, key: str, default: bool | None = None) -> bool:
        """The true or false that stands there."""
        value = self.must(key) if default is None else self.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, bool):
            raise InputError(f"'{self.place(key)}' is {json_kind(value)}; expected true or false")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """The number that stands there."""
        value = self.must(key) if default is None else self.get(key)
        return default if value is None and default is not None else number_at(value, self.place(key))

    def end(self) -> None:
        """Refuse the keys that nobody asked for; those with nothing in them ask for nothing."""
        for key, value in self._values.items():
            if key not in self._asked and value is not None:
                raise InputError(f"'{self.place(key)}' is not known to convtool, and may change the sound")


def _whole(value: Any, place: str, least: int) -> int:
    if type(value) is not int or value < least:
        raise InputError(f"'{place}' is {json_kind(value)}; expected a whole number from {least} on")
    return value


def number_at(value: Any, place: str) -> float:
    """`value`, which stands at `place`, as a number; refused where it is none."""
    if type(value) not in (int, float) or not abs(value) < 1e30:
        raise InputError(f"'{place}' is {json_kind(value)}; expected a number")
    return float(value)
