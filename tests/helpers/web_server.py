"""A web server on loopback that keeps what is put there; by the first folder of a path it has faults.

`/plain` sends no ranges, and `/whole` says so. `/long` declares more than it sends, `/broken` breaks off midway the
first two times, `/always-broken` each time, `/denied` answers 403, `/busy` 429, `/failing` 503, `/away` sends to a
file of this machine. `/tagged` and `/dated` say which file it is, by a tag or by a date, and send ranges of no other.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer(ThreadingHTTPServer):
    """The server; `files` by their paths without the first folder."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.sent = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        self.server.requests.append(f"{self.command} {self.path}")

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        _, name = self._parts()
        if self.headers.get("If-None-Match") == "*" and name in self.server.files:
            self._plain(412)
        else:
            self.server.files[name] = data
            self._plain(201)

    def _parts(self) -> tuple[str, str]:
        _, folder, name = self.path.partition("?")[0].split("/", 2)
        return folder, name

    def _plain(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, *, body: bool) -> None:
        folder, name = self._parts()
        data = self.server.files.get(name)
        if folder in ("denied", "away", "busy", "failing") or data is None:
            status = {"denied": 403, "away": 302, "busy": 429, "failing": 503}.get(folder, 404)
            self._plain(status, **({"Location": "file:///etc/hostname"} if folder == "away" else {}))
            return
        states = {"tagged": ("ETag", "If-Match"), "dated": ("Last-Modified", "If-Unmodified-Since")}
        state, condition = states.get(folder, ("", ""))
        version = str(len(data))
        if self.headers.get(condition, version) != version:
            self._plain(412)
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found and folder not in ("plain", "whole"):
            part = data[int(found[1]) : int(found[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {found[1]}-{int(found[1]) + len(part) - 1}/{len(data)}")
            data = part
        else:
            self.send_response(200)
        tries = sum(each == f"GET {self.path}" for each in self.server.requests)
        breaks = folder in ("long", "always-broken") or (folder == "broken" and tries < 3)
        if folder == "whole":
            self.send_header("Accept-Ranges", "none")
        if state:
            self.send_header(state, version)
        self.send_header("Content-Length", str(len(data) + 10 * (folder == "long")))
        self.end_headers()
        if body:
            self.wfile.write(data[: len(data) // 2] if breaks and folder != "long" else data)
            self.server.sent += len(data)
        if breaks and body:
            self.close_connection = True


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server in a thread of its own."""
    with WebServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
