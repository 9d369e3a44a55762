"""Complete lines of a text, as they come in."""

from __future__ import annotations

from convtool.errors import InputError
from convtool.files.source import CHUNK, PAUSE, Source


class Lines:
    """The lines of a source, each ended by one newline, in pieces that hold all that has come."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: list[bytes] = []
        self._blank = 0
        self.ended = False

    @property
    def paused(self) -> bool:
        """Whether nothing more comes just now: what stands in a pipe is a part, perhaps, of a slow text."""
        return not self._source.ready(PAUSE)

    def next(self) -> bytes:
        """The next complete lines; blank ones at the end only once something follows them."""
        while True:
            lines = self._complete()
            if self._blank:
                lines = b"\n" * self._blank + lines
            if not lines.endswith(b"\n\n") and len(lines) > 1:
                self._blank = 0
                return lines
            body = lines.rstrip(b"\n")
            self._blank = len(lines) - len(body) - 1 if body else len(lines)
            if body or self.ended:
                return body + b"\n" if body else b""

    def _complete(self) -> bytes:
        """The next bytes up to the last end of a line that is whole, every end a newline."""
        while True:
            more = self._source.read(CHUNK)
            if not more:
                self.ended = True
                data = b"".join(self._parts)
                self._parts = []
                return _checked(data if not data or data.endswith((b"\n", b"\r")) else data + b"\n")
            held = bool(self._parts) and self._parts[-1].endswith(b"\r")
            cut = max(more.rfind(b"\n"), more.rfind(b"\r", 0, -1)) + 1
            if not cut and not held:
                self._parts.append(more)
                continue
            if not cut:  # the carriage return that was held back is an end of its own
                data, self._parts = b"".join(self._parts), [more]
            else:
                data, self._parts = b"".join([*self._parts, more[:cut]]), [more[cut:]] if more[cut:] else []
            return _checked(data)


def _checked(data: bytes) -> bytes:
    """`data` with newlines alone; refused where it is no text."""
    if b"\0" in data:
        wide = data[1:64:2].count(0) > 8 or data[:64:2].count(0) > 8
        what = "UTF-16 text: save it as UTF-8" if wide else "binary; expected numbers in text"
        raise InputError(f"the content is {what}")
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            way_out = "save it as UTF-8, if it is Latin-1 with iconv -f latin1 -t utf-8"
            raise InputError(f"byte {byte:#04x} is not UTF-8 text; expected numbers; {way_out}") from error
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in data else data
