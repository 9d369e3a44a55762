"""A store on loopback that speaks as much of S3 as s3fs asks for; `denied` is a bucket that nobody may see."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_XML = "http://s3.amazonaws.com/doc/2006-03-01/"


class S3Server(ThreadingHTTPServer):
    """The server; `objects` by bucket and key, as in `bucket/key`.

    Attributes:
        requests: method, and bucket and key, of each.
        latency: seconds that each answer takes.
        after: called after each request, with what `requests` has of it.
        together: the most requests that were under way at a time.
        failing: how many more requests are answered with 503.
        breaking: how many more answers with a body of several kilobytes break off in the middle.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.latency = 0.0
        self.after: Callable[[str], None] = lambda _: None
        self.together = self._under_way = self.breaking = self.failing = 0
        self._counting = threading.Lock()

    def environment(self) -> dict[str, str]:
        """The variables by which clients find it, and are let in."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server_address[1]}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._counting:
            self._under_way += 1
            self.together = max(self.together, self._under_way)
        try:
            yield
        finally:
            with self._counting:
                self._under_way -= 1

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    server: S3Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def handle_expect_100(self) -> bool:
        """Bodies are announced, and sent once they are asked for."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        self.query = {key: value[0] for key, value in parse_qs(parts.query, keep_blank_values=True).items()}
        self.name = unquote(parts.path).strip("/")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {self.name}")
        with self.server.counted():
            time.sleep(self.server.latency)
            if self.server.failing:
                self.server.failing -= 1
                self._refuse(503, "SlowDown")
            elif self.name.startswith("denied"):
                self._refuse(403, "AccessDenied")
            else:
                getattr(self, f"_{self.command.lower()}")()
        self.server.after(f"{self.command} {self.name}")

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _get(self) -> None:
        if "/" not in self.name:
            self._list()
            return
        data = self.server.objects.get(self.name)
        if data is None:
            self._refuse(404, "NoSuchKey")
            return
        etag = _etag(data)
        if self.headers.get("If-Match", etag) != etag:
            self._refuse(412, "PreconditionFailed")
            return
        status, headers = 200, {"ETag": etag, "Last-Modified": formatdate(0, usegmt=True)}
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(found[1]), int(found[2] or len(data)) + 1
            headers["Content-Range"] = f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"
            status, data = 206, data[start:stop]
        self._answer(status, data, headers)

    _head = _get

    def _list(self) -> None:
        """The objects of a bucket below a prefix, and the folders there."""
        bucket, prefix, delimiter = f"{self.name}/", self.query.get("prefix", ""), self.query.get("delimiter")
        keys = sorted(name[len(bucket) :] for name in self.server.objects if name.startswith(bucket + prefix))
        folders = set()
        if delimiter:
            ends = {key: key.find(delimiter, len(prefix)) + 1 for key in keys}
            folders = {key[:end] for key, end in ends.items() if end}
            keys = [key for key in keys if not ends[key]]
        keys = keys[: int(self.query.get("max-keys", len(keys)))]
        rows = [
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.server.objects[bucket + key])}</Size>"
            f"<ETag>{_etag(self.server.objects[bucket + key])}</ETag>"
            "<LastModified>1970-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        ]
        rows += [f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)]
        count = f"<KeyCount>{len(rows)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._answer(200, _xml("ListBucketResult", count + "".join(rows)))

    def _put(self) -> None:
        if self.headers.get("If-None-Match") == "*" and self.name in self.server.objects:
            self._refuse(412, "PreconditionFailed")
        else:
            self.server.objects[self.name] = self.body
            self._answer(200, b"", {"ETag": _etag(self.body)})

    def _delete(self) -> None:
        self.server.objects.pop(self.name, None)
        self._answer(204, b"")

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode())

    def _answer(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.server.breaking and len(data) > 4096:
            self.server.breaking -= 1
            data, self.close_connection = data[: len(data) // 2], True
        self.wfile.write(data)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _xml(name: str, text: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="{_XML}">{text}</{name}>'.encode()


@contextmanager
def storing() -> Iterator[S3Server]:
    """A store in a thread of its own."""
    with S3Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
