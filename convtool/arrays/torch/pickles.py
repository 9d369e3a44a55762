"""Pickle streams, looked at and never run: what one would build, as inert values.

A pickle is a program for a stack machine (the standard library's ``pickletools`` documents its opcodes). What makes it
dangerous is that it imports what it names and calls what it imported. Here a name becomes a `Global` and a call a
`Call`, and both stay that; containers and numbers are themselves, but for dicts, which become `Pairs`: their keys are
the file's, and hashing or comparing those can take for ever or overflow the stack.

The standard library's unpickler, with its calls overridden, would still hash those keys, take frames and long bytes
into memory whole, and have no end of either: here the opcodes and the bytes that values take are counted, and what is
long stays in the file.

A stream may refer to itself and nest without end: walk what it builds without recursion, each container once.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from convtool.arrays.torch.pickle_literals import LITERALS, Stream
from convtool.arrays.torch.pickle_values import Call, Global, Pairs, Persistent
from convtool.errors import InputError

OPCODES_LIMIT = 3_000_000
"""Opcodes that are looked at: some 40 a tensor, for as many tensors as an archive may have members."""

_ROOM = 128 << 20
"""Bytes that the values built may take."""

_REFERENCE = 8
"""Parts of a reference in which a name is looked for: old files refer to a class by its name and source."""

_MEMO_ENTRY = 100
_PAIR = 72
"""Bytes that an entry of the memo and of a dict take."""

PLAIN = frozenset(
    [
        "torch.Size",
        *(f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "tensor")),
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        *(
            f"{module}.{name}"
            for module in ("builtins", "__builtin__")
            for name in ("dict", "frozenset", "list", "set")
        ),
    ]
)
"""Containers that pickles make by a call; they are given as `Pairs` or lists."""


class Unpickled(NamedTuple):
    """What a stream would build, and what it would do."""

    value: Any
    names: dict[str, bool]
    """What it would import, in order, but for `PLAIN`; and whether it would call or change that."""
    persistent: list[Any]
    """The identity of each `Persistent`, in order, once where several share it."""


def load(file: BinaryIO, *, end: int, opcodes: int = OPCODES_LIMIT) -> Unpickled:
    """Look at the pickle stream in `file` from where that stands; leaves it behind the stream's last byte.

    Args:
        file: a buffered file, or bytes in memory.
        end: where the stream has to end at the latest.
        opcodes: how many it may have.

    Raises:
        InputError: the stream is damaged or cut off, or has more than `opcodes`, or takes too much memory.
    """
    machine = _Machine(Stream(file, end))
    try:
        with _nothing_collected():
            value = machine.run(opcodes)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"the pickle stream is damaged at byte {machine.stream.at}") from error
    return Unpickled(value, machine.names, list(machine.persistent.values()))


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Spares the search for garbage, of which there is none: every value is held until the stream ends."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Machine:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.names: dict[str, bool] = {}
        self.persistent: dict[int, Any] = {}
        self.stack: list[Any] = []
        self._below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self._room = _ROOM

    def run(self, opcodes: int) -> Any:
        take = self.stream.take
        for _ in range(opcodes):
            code = take(1)
            operation = _OPERATIONS.get(code)
            if operation is not None:
                operation(self)
            elif code == b".":
                return self.pop()
            else:
                self.push(LITERALS[code](self.stream))
        raise InputError(f"the pickle stream has more than {opcodes} opcodes, the limit")

    def push(self, value: Any) -> None:
        self._spend(8 + sys.getsizeof(value))
        self.stack.append(value)

    def _spend(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise InputError(f"the pickle stream builds more than {_ROOM} bytes beside its tensors, the limit")

    def pop(self) -> Any:
        return self.stack.pop()

    def mark(self) -> None:
        self._spend(64)
        self._below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self._below.pop()
        return items

    def drop(self) -> None:
        """Take away the top of the stack, or the mark there."""
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def last(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def put(self, index: int) -> None:
        self._spend(_MEMO_ENTRY)
        self.memo[index] = self.stack[-1]

    def build(self, state: Any) -> None:
        """Give an object its state. A dict may have one too (torch keeps versions there), which is left out."""
        if not isinstance(self.stack[-1], list):
            self.add(state)

    def add(self, part: Any) -> None:
        """Put `part` into the container, or the object, on the stack."""
        target = self.stack[-1]
        if isinstance(target, list):
            if type(target) is not type(part):
                raise TypeError
            self._spend(8 * len(part))
            target.extend(part)
        elif isinstance(target, Call):
            self._spend(_PAIR)
            target.parts.append(part)
        else:
            self._use(target)

    def pairs(self, items: list[Any]) -> Pairs:
        self._spend(_PAIR * len(items) // 2)
        return Pairs(zip(items[::2], items[1::2], strict=True))

    def name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError
        found = Global(f"{module}.{name}")
        if found.name not in PLAIN:
            self._spend(_MEMO_ENTRY + len(found.name))
            self.names.setdefault(found.name, False)
        self.push(found)

    def _use(self, target: Any) -> None:
        """Note that `target` would be called or changed, where it is something imported, or refers to that."""
        held = target.identity if isinstance(target, Persistent) else target
        for part in held[:_REFERENCE] if isinstance(held, tuple) else [held]:
            if isinstance(part, Global):
                self.names[part.name] = True

    def call(self, function: Any, arguments: Any) -> None:
        if isinstance(function, Global) and function.name in PLAIN:
            self.push(self._container(function.name, arguments))
        else:
            self._use(function)
            self.push(Call(function, arguments))

    def _container(self, name: str, arguments: Any) -> list[Any]:
        """What a call of one of `PLAIN` gives: a dict or list of what one of the first arguments holds, or empty."""
        if not isinstance(arguments, tuple):
            raise TypeError
        held = next((argument for argument in arguments[:2] if isinstance(argument, list | tuple)), ())
        self._spend(_PAIR * len(held))
        if name.lower().endswith(("dict", "counter")):
            return Pairs((key, value) for key, value in held)
        return list(held)

    def instance(self) -> None:
        """Protocol 0: the class is named in the stream, its arguments are on the stack."""
        self.name(*self.names_ahead())
        self.make(self.pop(), *self.since_mark())

    def make(self, function: Any, *arguments: Any) -> None:
        self.call(function, arguments)

    def names_ahead(self) -> tuple[str, str]:
        return self.stream.line().decode(), self.stream.line().decode()

    def persist(self, identity: Any) -> None:
        self._spend(_MEMO_ENTRY)
        self.persistent[id(identity)] = identity
        self.push(Persistent(identity))


_OPERATIONS: dict[bytes, Callable[[_Machine], object]] = {
    b"\x80": lambda machine: machine.stream.take(1),  # the protocol
    b"\x95": lambda machine: machine.stream.take(8),  # the length of a frame
    b"N": lambda machine: machine.push(None),
    b"\x88": lambda machine: machine.push(True),
    b"\x89": lambda machine: machine.push(False),
    b")": lambda machine: machine.push(()),
    b"]": lambda machine: machine.push([]),
    b"\x8f": lambda machine: machine.push([]),  # a set
    b"}": lambda machine: machine.push(Pairs()),
    b"(": _Machine.mark,
    b"0": _Machine.drop,
    b"1": _Machine.since_mark,
    b"2": lambda machine: machine.push(machine.stack[-1]),
    b"t": lambda machine: machine.push(tuple(machine.since_mark())),
    b"\x85": lambda machine: machine.push(tuple(machine.last(1))),
    b"\x86": lambda machine: machine.push(tuple(machine.last(2))),
    b"\x87": lambda machine: machine.push(tuple(machine.last(3))),
    b"l": lambda machine: machine.push(machine.since_mark()),
    b"\x91": lambda machine: machine.push(machine.since_mark()),  # a frozen set
    b"d": lambda machine: machine.push(machine.pairs(machine.since_mark())),
    b"a": lambda machine: machine.add(machine.last(1)),
    b"e": lambda machine: machine.add(machine.since_mark()),
    b"\x90": lambda machine: machine.add(machine.since_mark()),
    b"s": lambda machine: machine.add(machine.pairs(machine.last(2))),
    b"u": lambda machine: machine.add(machine.pairs(machine.since_mark())),
    b"b": lambda machine: machine.build(machine.pop()),
    b"c": lambda machine: machine.name(*machine.names_ahead()),
    b"\x93": lambda machine: machine.name(*machine.last(2)),
    b"R": lambda machine: machine.call(*machine.last(2)),
    b"\x81": lambda machine: machine.call(*machine.last(2)),
    b"\x92": lambda machine: machine.make(*machine.last(3)),
    b"i": _Machine.instance,
    b"o": lambda machine: machine.make(*machine.since_mark()),
    b"\x82": lambda machine: machine.name("copyreg.extension", str(machine.stream.whole(1))),
    b"\x83": lambda machine: machine.name("copyreg.extension", str(machine.stream.whole(2))),
    b"\x84": lambda machine: machine.name("copyreg.extension", str(machine.stream.whole(4))),
    b"P": lambda machine: machine.persist(machine.stream.line().decode()),
    b"Q": lambda machine: machine.persist(machine.pop()),
    b"g": lambda machine: machine.get(int(machine.stream.line())),
    b"h": lambda machine: machine.get(machine.stream.take(1)[0]),
    b"j": lambda machine: machine.get(machine.stream.whole(4)),
    b"p": lambda machine: machine.put(int(machine.stream.line())),
    b"q": lambda machine: machine.put(machine.stream.take(1)[0]),
    b"r": lambda machine: machine.put(machine.stream.whole(4)),
    b"\x94": lambda machine: machine.put(len(machine.memo)),
}
"""The opcodes that work on the stack."""
