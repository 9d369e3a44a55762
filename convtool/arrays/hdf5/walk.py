"""What is in an HDF5 file: its datasets and how far they can be trusted. For the child process alone."""

from __future__ import annotations

import math
import posixpath
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from h5py import File, check_string_dtype, h5a, h5d, h5g, h5l, h5o, h5s, h5z

from convtool.arrays.description import TEXT, VALUES_LIMIT

_LINKS_LIMIT = 20_000
"""Groups and datasets of a file, under all their names: two or three seconds."""
_TEXT_LIMIT = 16 << 20
"""Bytes that names and attributes may take."""
_ATTRIBUTE_LIMIT = 8 << 20
_SLAB_LIMIT = 64 << 20
"""Bytes that have to be in memory at once to give the values of a chunked dataset in order."""
_SPARSE = 1000
"""More than this times the bytes stored: nothing that training leaves behind packs like it."""

_ATTRIBUTES = ("name", "backend", "keras_version", "model_config")
_SPLIT_ATTRIBUTES = ("layer_names", "weight_names")
_KINDS = {"O": "references or lists of varying length", "V": "records or opaque bytes"}
_HOPS = 16
"""Soft links that lead to each other; the library follows as many."""
_LIBRARY = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError)
"""What h5py makes of an error in the library."""


class TooMuchError(Exception):
    """The file holds more than is taken from one."""


class Walk:
    """Every object of `file`, each entered once however many hard links it has; no other link is followed.

    Its first name is that which comes first where names are ordered at each level, and a group stands before what is in
    it.

    `progress` is called for each.
    """

    def __init__(self, file: File, size: int, progress: Callable[[], object]) -> None:
        self._progress = progress
        self._size = size
        self._root = file.id
        self._groups: dict[str, dict[str, str | list[str]]] = {}
        self._datasets: list[dict[str, Any]] = []
        self._soft: dict[str, str] = {}
        self._further: dict[str, str] = {}
        self._objects: set[str] = set()
        self._external: dict[str, None] = {}
        self._damaged: dict[str, None] = {}
        self._first = {h5o.get_info(file.id).addr: ""}
        self._links_seen = 0
        self._text = 0

    def listing(self) -> dict[str, Any]:
        """Datasets with shapes and flags, the groups' attributes that Keras writes, and what was not followed."""
        todo = self._enter("", self._root)
        while todo:
            path, group, name = todo.pop()
            try:
                todo += self._visit(path, h5o.open(group, name))
            except _LIBRARY:
                self._damaged[path] = None
        nowhere = [path for path in self._soft if not self._is_there(self._target(path))]
        return {
            "groups": self._groups,
            "datasets": self._datasets,
            "links": {
                "groups under further names, listed under the first": [
                    f"{path} = {first or '/'}" for path, first in self._further.items()
                ],
                "links to other files, not followed": list(self._external),
                "soft links, not followed": sorted(self._soft.keys() - nowhere),
                "soft links that lead nowhere": nowhere,
                "damaged objects, left out": list(self._damaged),
            },
        }

    def _enter(self, path: str, group: h5g.GroupID) -> list[tuple[str, h5g.GroupID, bytes]]:
        """Take note of `group`; the hard links in it, the last first, are to be visited: path, group and name."""
        self._groups[path] = self._attributes(group)
        return [(inner, group, name) for inner, name in self._links(path, group)]

    def _target(self, path: str) -> str | None:
        """Where the soft link at `path` leads, by the first name of each group on the way; None where it never ends.

        What lies behind a link to another file is not known, so it leads to that link.
        """
        at, hops, parts = "", 0, path.split("/")[::-1]
        while parts:
            at = f"{at}/{parts.pop()}".removeprefix("/")
            at = self._further.get(at, at)
            if at in self._external:
                break
            if at in self._soft:
                hops += 1
                if hops > _HOPS:
                    return None
                parts += self._soft[at].split("/")[::-1]
                at = ""
        return at

    def _is_there(self, path: str | None) -> bool:
        return path in self._groups or path in self._objects or path in self._external or path in self._damaged

    def _links(self, path: str, group: h5g.GroupID) -> Iterator[tuple[str, bytes]]:
        """The hard links of `group`, the last first, with the paths that they lead to; the others are noted."""
        self._links_seen += group.get_num_objs()
        if self._links_seen > _LINKS_LIMIT:
            raise TooMuchError(f"it has more than {_LINKS_LIMIT} groups and datasets")
        for name in sorted(group, reverse=True):
            inner = f"{path}/{decoded(name)}".removeprefix("/")
            self._spend(len(inner))
            kind = group.links.get_info(name).type
            if kind == h5l.TYPE_HARD:
                yield inner, name
            elif kind == h5l.TYPE_SOFT:
                target = decoded(group.links.get_val(name))
                self._spend(len(target))
                self._soft[inner] = posixpath.normpath(posixpath.join("/", path, target)).strip("/")
            else:
                self._external[inner] = None

    def _visit(self, path: str, found: h5g.GroupID | h5d.DatasetID) -> list[tuple[str, h5g.GroupID, bytes]]:
        """Take note of an object; of a group that was not seen before, what is in it is to be visited."""
        self._progress()
        first = self._first.setdefault(h5o.get_info(found).addr, path)
        self._objects.add(path)
        if isinstance(found, h5d.DatasetID):
            entry = {"path": path, **described(found, self._size)}
            self._datasets.append(entry | {"same_as": "" if first == path else first})
        if not isinstance(found, h5g.GroupID):
            return []
        if first == path:
            return self._enter(path, found)
        self._further[path] = first
        return []

    def _attributes(self, group: h5g.GroupID) -> dict[str, str | list[str]]:
        """The attributes of `group` that Keras writes, as text; what is something else or too long is left out."""
        found: dict[str, str | list[str]] = {}
        if not h5a.get_num_attrs(group):
            return found
        for name in _ATTRIBUTES:
            text = self._attribute(group, name)
            if len(text) == 1:
                found[name] = text[0]
        for name in _SPLIT_ATTRIBUTES:
            if h5a.exists(group, encoded(name)):
                found[name] = self._attribute(group, name)
            elif h5a.exists(group, encoded(f"{name}0")):
                found[name] = list(self._pieces(group, name))
        return found

    def _pieces(self, group: h5g.GroupID, name: str) -> Iterator[str]:
        """A list that was too long for one attribute: `name0`, `name1`..."""
        for index in range(h5a.get_num_attrs(group)):
            if not h5a.exists(group, encoded(f"{name}{index}")):
                break
            yield from self._attribute(group, f"{name}{index}")

    def _attribute(self, group: h5g.GroupID, name: str) -> list[str]:
        if not h5a.exists(group, encoded(name)):
            return []
        try:
            attribute = h5a.open(group, encoded(name))
            if attribute.get_storage_size() > _ATTRIBUTE_LIMIT or math.prod(attribute.shape) > _LINKS_LIMIT:
                return []
            values = np.empty(attribute.shape, attribute.dtype)
            attribute.read(values)
        except _LIBRARY:
            return []
        text = [decoded(value) for value in values.ravel().tolist() if isinstance(value, (bytes, str))]
        self._spend(sum(map(sys.getsizeof, text)))
        return text

    def _spend(self, count: int) -> None:
        self._text += count
        if self._text > _TEXT_LIMIT:
            raise TooMuchError(f"its names and attributes take more than {_TEXT_LIMIT} bytes")


def described(dataset: h5d.DatasetID, size: int) -> dict[str, Any]:
    """Shape, dtype and chunks of a dataset in a file of `size` bytes, and why it can't be read or trusted."""
    shape = dataset.shape if dataset.get_space().get_simple_extent_type() != h5s.NULL else (0,)
    dtype, itemsize, flag = _number(dataset)
    nbytes = math.prod(shape) * itemsize
    plist = dataset.get_create_plist()
    chunks = plist.get_chunk() if plist.get_layout() == h5d.CHUNKED else None
    flag = flag or _elsewhere(plist) or _unpackable(plist) or _unordered(shape, chunks, itemsize)
    doubt = "" if flag else _sparse(dataset, nbytes, size)
    return {
        "shape": shape,
        "dtype": dtype,
        "nbytes": nbytes,
        "chunks": chunks,
        "flag": flag or doubt,
        "readable": not flag and (not doubt or nbytes <= VALUES_LIMIT),
        **_place(dataset, plist, nbytes, size),
    }


def _place(dataset: h5d.DatasetID, plist: Any, nbytes: int, size: int) -> dict[str, Any]:
    """Where the numbers lie as they are, one behind the other, in a file of `size` bytes; and their order of bytes."""
    plain = plist.get_layout() == h5d.CONTIGUOUS and not plist.get_external_count()
    if not plain or not nbytes or dataset.get_storage_size() != nbytes:
        return {"offset": None, "order": "<"}
    offset = dataset.get_offset()
    order = ">" if dataset.dtype.byteorder == ">" else "<"
    return {"offset": offset if offset is not None and offset + nbytes <= size else None, "order": order}


def _number(dataset: h5d.DatasetID) -> tuple[str, int, str]:
    """Name and size of the numbers, and why they are none that can be read."""
    try:
        dtype = dataset.dtype
    except TypeError:
        return "", 0, "its numbers are of a type that NumPy lacks"
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == 2:
        return "bfloat16", 2, ""  # NumPy lacks it, so Keras hands over two opaque bytes
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == 1:
        return "void8", 1, ""  # of a type that the file does not tell
    if dtype.kind in "biufc" and dtype.itemsize <= (16 if dtype.kind == "c" else 8):
        return dtype.name, dtype.itemsize, ""
    if check_string_dtype(dtype) is not None:
        return TEXT, dtype.itemsize, "it holds text: not read"
    return dtype.name, dtype.itemsize, f"it holds {_KINDS.get(dtype.kind, dtype.name)}: not read"


def _elsewhere(plist: Any) -> str:
    if plist.get_layout() == h5d.VIRTUAL:
        return "a virtual dataset, its values lie in others: not read"
    if plist.get_external_count():
        return f"its values lie in another file, {decoded(plist.get_external(0)[0])!r}: not read"
    return ""


def _unpackable(plist: Any) -> str:
    for index in range(plist.get_nfilters()):
        code, _, _, name = plist.get_filter(index)
        if not h5z.filter_avail(code):
            return f"packed by filter {code} ({decoded(name)!r}), which HDF5 lacks without plug-ins"
    return ""


def _unordered(shape: tuple[int, ...], chunks: tuple[int, ...] | None, itemsize: int) -> str:
    if chunks is None:
        return ""
    axis = next((axis for axis, chunk in enumerate(chunks) if chunk > 1), len(chunks) - 1)
    needed = max(math.prod(chunks), chunks[axis] * math.prod(shape[axis + 1 :])) * itemsize
    if needed <= _SLAB_LIMIT:
        return ""
    return f"in chunks of {chunks}, it takes {needed} bytes to put them in order; the limit is {_SLAB_LIMIT}"


def _sparse(dataset: h5d.DatasetID, nbytes: int, size: int) -> str:
    stored = min(dataset.get_storage_size(), size)
    return f"declares {nbytes} bytes, stores {stored}" if nbytes > _SPARSE * stored else ""


def encoded(name: str) -> bytes:
    """A name as HDF5 has it; the bytes of those that are no UTF-8 are kept."""
    return name.encode("utf-8", "surrogateescape")


def decoded(name: bytes | str) -> str:
    """The inverse of `encoded`."""
    return name if isinstance(name, str) else name.decode("utf-8", "surrogateescape")
