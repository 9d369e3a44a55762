"""Where batches go: one file, or a folder of shards that a later run of the same command can complete."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from convtool.arrays.writing import ArrayWriter, create
from convtool.errors import InputError, OutputError, UsageError
from convtool.files.atomic import is_special, write_error, write_file
from convtool.files.names import show
from convtool.files.remote import below, existing, read_bytes, remove
from convtool.files.urls import is_url
from convtool.jobs.padding.grouping import PlannedBatch
from convtool.jobs.padding.manifest import common, json_text, row_entry, row_name
from convtool.jobs.padding.rows import Row
from convtool.jobs.padding.tar_shard import SAMPLE_ARRAYS, TarWriter, sample_text
from convtool.jobs.padding.writing import Padding, Shape
from convtool.jobs.side_by_side import side_by_side

MANIFEST = "manifest.json"
_UNFINISHED = ".convtool-plan"
_SHARD_FILE = re.compile(r"\d{5,}(?:(?:\.[A-Za-z_][A-Za-z0-9_]*)?\.npy|\.tar)")

Files = Mapping[str, ArrayWriter]
ShardKind = Literal["npy", "tar"]


@dataclass(frozen=True)
class Plan:
    """Which rows go into which batch, and what all batches have in common."""

    rows: tuple[Row, ...]
    batches: tuple[PlannedBatch, ...]
    dtype: str
    flat: bool
    """All signals are one-dimensional, so that the batches have no axis of channels."""
    labels: tuple[tuple[str, str], ...] = ()
    """The arrays of a number for each row, and their dtypes."""

    def shape(self, batch: PlannedBatch) -> Shape:
        """The shape of one of the batches."""
        return Shape(len(batch.rows), self.rows[0].channels, batch.longest, self.dtype, self.flat, self.labels)

    def placed(self) -> Iterator[tuple[int, int, Row]]:
        """Every row with its batch and its place there, in the order of the batches."""
        for number, batch in enumerate(self.batches):
            for place, index in enumerate(batch.rows):
                yield number, place, self.rows[index]


class BatchStore(ABC):
    """What takes the batches of a plan, within a `with` block. Several may be open at a time."""

    def __init__(self, path: str, padding: Padding) -> None:
        self.path = path
        self._padding = padding

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        self.discard()

    def recall(self) -> Mapping[str, int]:
        """Samples of files, by their names, that an interrupted run has found to be others than declared."""
        return {}

    @abstractmethod
    def begin(self, plan: Plan, counted: Mapping[str, int]) -> None:
        """Make ready for the batches of `plan`; those of another are dropped. `counted` is for `recall`.

        Raises:
            UsageError: the store can't hold them.
            OutputError: nothing can be written there.
        """

    @abstractmethod
    def open(self, number: int) -> Files | None:
        """The file of each array of a batch; None where it is complete already."""

    @abstractmethod
    def holds(self, number: int) -> bool:
        """Whether that batch is complete and in its place."""

    @abstractmethod
    def commit(self, number: int) -> None:
        """All rows of that batch are written."""

    @abstractmethod
    def finish(self, threads: int) -> None:
        """All batches are complete."""

    @abstractmethod
    def discard(self) -> None:
        """Leave nothing half-written. Does nothing after `finish`."""

    @abstractmethod
    def place(self, number: int) -> str:
        """The file of a batch."""


class SingleFile(BatchStore):
    """One file with all arrays of one batch, and the rows' names."""

    def __init__(self, path: str, padding: Padding, *, overwrite: bool = False) -> None:
        super().__init__(path, padding)
        self._overwrite = overwrite
        self._file: ArrayWriter | None = None
        self._finished = False

    def begin(self, plan: Plan, counted: Mapping[str, int]) -> None:
        if len(plan.batches) > 1:
            raise UsageError(
                f"the inputs make {len(plan.batches)} batches, and {show(self.path)} holds one; "
                "give a folder, such as -o batches/"
            )
        self._plan = plan

    def open(self, number: int) -> Files:
        plan = self._plan
        rows = [row for _, _, row in plan.placed()]
        manifest = common(plan.rows[0], self._padding, dtype=plan.dtype, flat=plan.flat)
        manifest["rows"] = [row_entry(row) for row in rows]
        texts = {"names": [row_name(row.input) for row in rows], "manifest": json_text(manifest)}
        arrays = plan.shape(plan.batches[number]).arrays(self._padding)
        self._file = create(self.path, arrays, texts, replace=self._overwrite)
        return {array.name: self._file for array in arrays}

    def holds(self, number: int) -> bool:
        return self._finished

    def commit(self, number: int) -> None:
        """Nothing yet: the file takes its name in `finish`."""

    def finish(self, threads: int) -> None:
        assert self._file is not None
        self._file.commit()
        self._finished = True

    def discard(self) -> None:
        if self._file is not None:
            self._file.discard()

    def place(self, number: int) -> str:
        return self.path


class ShardFolder(BatchStore):
    """A folder with the files of each batch, and a manifest that is written last.

    The files are an NPY for each array, or one tar archive in the layout of WebDataset.

    Until then a hidden file holds the digest of the plan that the shards belong to: a later run with the same plan
    keeps those that are whole, and any other begins anew. A lock on the folder keeps out runs at the same time; the
    system lifts it when the process ends, however it does. A store that a URL leads to has no locks.
    """

    def __init__(
        self, path: str, padding: Padding, *, kind: ShardKind = "npy", mask: bool, overwrite: bool, request: str
    ) -> None:
        """`request` is all that was asked for, in words that another request does not have."""
        super().__init__(path, padding)
        self._kind = kind
        self._with_mask = mask
        self._overwrite = overwrite
        self._request = request
        self._open: dict[int, list[ArrayWriter]] = {}
        """The files of each batch that is open, in the order in which they take their names."""
        self._lock: int | None = None
        self._stored: set[str] | None = None
        """The files that are in the store, where the folder is in one: it is listed once."""

    def __enter__(self) -> None:
        if is_url(self.path):
            self._stored = {
                name for url in below(self.path, OutputError) if "/" not in (name := url[len(self._inside("")) :])
            }
            return
        try:
            os.makedirs(self.path, exist_ok=True)
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OutputError(f"{show(self.path)}: can't be written to: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                return  # a file system without locks
            os.close(self._lock)
            raise UsageError(
                f"another run is writing batches into {show(self.path)}; wait for its end, or give another -o"
            ) from error

    def __exit__(self, *_: object) -> None:
        self.discard()
        if self._lock is not None:
            os.close(self._lock)

    def recall(self) -> Mapping[str, int]:
        counted = (self._read_mark() or {}).get("counted")
        found = counted.items() if isinstance(counted, dict) else ()
        return {name: samples for name, samples in found if isinstance(samples, int) and samples >= 0}

    def begin(self, plan: Plan, counted: Mapping[str, int]) -> None:
        self._plan = plan
        digest = self._digest(plan)
        mark = self._read_mark()
        if mark is not None and mark.get("plan") == digest:
            return
        complete = self._has(MANIFEST)
        if complete and not self._overwrite:
            raise UsageError(f"{show(self.path)} holds batches already; give --overwrite or another -o")
        try:
            stale = [name for name in self._names() if _SHARD_FILE.fullmatch(name)]
            if stale and not complete and mark is None:
                raise UsageError(
                    f"{show(self._inside(stale[0]))} has the name of a shard, but no {MANIFEST} is beside it to say "
                    "that it is one; give another -o"
                )
            self._write_mark("", counted)  # whatever ends this run, the next knows that the folder is half-way
            for name in [MANIFEST] * complete + stale:
                self._remove(name)
        except OSError as error:
            raise write_error(self.path, error) from error
        self._write_mark(digest, counted)

    def _digest(self, plan: Plan) -> str:
        stamps = {index: _stamp(row) for index, row in {row.index: row for row in plan.rows}.items()}
        rows = [(row_entry(row), row.samples, stamps[row.index]) for row in plan.rows]
        text = json.dumps([self._request, self._kind, self._with_mask, plan.dtype, plan.flat, plan.batches, rows])
        return hashlib.sha256(text.encode("ascii")).hexdigest()

    def _read_mark(self) -> dict[str, Any] | None:
        """What the hidden file says, or None without one."""
        if is_special(self._inside(_UNFINISHED)):
            raise UsageError(f"{show(self._inside(_UNFINISHED))} is a pipe or a device; give another -o")
        try:
            if self._stored is None:
                with open(self._inside(_UNFINISHED), encoding="utf-8") as file:
                    mark = json.load(file)
            elif _UNFINISHED in self._stored:
                mark = json.loads(read_bytes(self._inside(_UNFINISHED)))
            else:
                return None
        except OSError:
            return None
        except (ValueError, RecursionError):
            return {}
        return mark if isinstance(mark, dict) else {}

    def _write_mark(self, digest: str, counted: Mapping[str, int]) -> None:
        mark = {"plan": digest, "counted": counted}
        write_file(self._inside(_UNFINISHED), json.dumps(mark).encode("ascii"), replace=True)
        self._note(_UNFINISHED)

    def holds(self, number: int) -> bool:
        place = self.place(number)
        if self._stored is None:
            return os.path.exists(place)
        return os.path.basename(place) in self._stored or bool(existing([place]))  # of a worker elsewhere

    def open(self, number: int) -> Files | None:
        if self.holds(number):
            return None
        batch = self._plan.batches[number]
        arrays = self._plan.shape(batch).arrays(self._padding, mask=self._with_mask)
        opened = self._open[number] = []
        if self._kind == "tar":
            held = [array for array in arrays if array.name in SAMPLE_ARRAYS]
            key = os.path.splitext(os.path.basename(self.place(number)))[0]
            texts = {f"{key}-{row:05d}": sample_text(self._plan.rows[index]) for row, index in enumerate(batch.rows)}
            opened.append(TarWriter(self.place(number), held, texts, replace=True))
            return {array.name: opened[0] for array in held}
        files: dict[str, ArrayWriter] = {}
        for array in sorted(arrays, key=lambda array: array.name == "batch"):  # last: where it is, the shard is whole
            files[array.name] = create(self._array_file(number, array.name), [array], {}, replace=True)
            opened.append(files[array.name])
        return files

    def commit(self, number: int) -> None:
        for file in self._open.pop(number):
            file.commit()
            self._note(os.path.basename(file.path))

    def finish(self, threads: int) -> None:
        plan = self._plan
        sources = {row.index: row for row in plan.rows}
        hashes = dict(zip(sources, side_by_side(_sha256, sources.values(), threads), strict=True))
        manifest = common(plan.rows[0], self._padding, dtype=plan.dtype, flat=plan.flat)
        manifest["shards"] = [
            {"file": os.path.basename(self.place(number)), "rows": len(batch.rows), "samples": batch.longest}
            for number, batch in enumerate(plan.batches)
        ]
        manifest["rows"] = [
            {**row_entry(row), "shard": number, "row": place, "sha256": hashes[row.index]}
            for number, place, row in plan.placed()
        ]
        write_file(self._inside(MANIFEST), f"{json_text(manifest)}\n".encode())
        with suppress(OSError, OutputError):
            self._remove(_UNFINISHED)

    def discard(self) -> None:
        for opened in self._open.values():
            for file in opened:
                file.discard()
        self._open = {}

    def place(self, number: int) -> str:
        return self._array_file(number, "batch")

    def _array_file(self, number: int, array: str) -> str:
        ending = "" if array == "batch" else f".{array}"
        return self._inside(f"{number:05d}{ending}.{self._kind}")

    def _inside(self, name: str) -> str:
        return os.path.join(self.path, name)

    def _names(self) -> list[str]:
        return sorted(os.listdir(self.path) if self._stored is None else self._stored)

    def _has(self, name: str) -> bool:
        return os.path.lexists(self._inside(name)) if self._stored is None else name in self._stored

    def _note(self, name: str) -> None:
        """Take in that a file is there by now."""
        if self._stored is not None:
            self._stored.add(name)

    def _remove(self, name: str) -> None:
        if self._stored is None:
            os.unlink(self._inside(name))
        else:
            remove(self._inside(name))
            self._stored.discard(name)


def is_shard(path: str, folder: str) -> bool:
    """Whether `path` is a file that batches in `folder` would be written to."""
    parent, name = os.path.split(path)
    return bool(_SHARD_FILE.fullmatch(name)) and os.path.realpath(parent) == os.path.realpath(folder)


def _stamp(row: Row) -> tuple[int, int] | str | None:
    """Size and time of change of a file: another file under the same name is another input. Of a URL, what came."""
    if row.source.kind != "file":
        return None
    if is_url(row.input.value):
        return _sha256(row)
    status = os.stat(row.source.value)
    return status.st_size, status.st_mtime_ns


def _sha256(row: Row) -> str:
    """The digest of a source's bytes."""
    if row.source.kind == "numbers":
        return hashlib.sha256(row.source.value.encode("utf-8", "surrogateescape")).hexdigest()
    digest = hashlib.sha256()
    try:
        with open(os.fsencode(row.source.value), "rb", buffering=0) as file:
            while chunk := file.read(1 << 18):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{row.input.name}: can't be read again: {error.strerror}") from error
    return digest.hexdigest()
