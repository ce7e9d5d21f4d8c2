"""An S3 that misbehaves on demand: objects read, listed and asked for over HTTP, for what moto's server cannot be
made to do.

What belongs here: the server, the objects it holds, and its faults. What does not: what is tested with it.
"""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest

_BLOCK = 64 << 10


@dataclass(frozen=True)
class Held:
    """One object; ``headers`` are those of the whole, ``parts`` each upload part's size and headers, ``modified`` is
    what a listing says of it.
    """

    body: bytes
    etag: str
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[tuple[int, Mapping[str, str]], ...] = ()
    modified: str = "2024-05-01T12:00:00.000Z"


def held(body: bytes, **headers: str) -> Held:
    """An object put in one piece, whose ETag is its MD5."""
    return Held(
        body,
        hashlib.md5(body, usedforsecurity=False).hexdigest(),
        {name.replace("_", "-"): value for name, value in headers.items()},
    )


@dataclass(frozen=True)
class Asked:
    """One GetObject: the ``number``-th, from 1 on, for the bytes ``start`` to before ``end``, by ``key_id``."""

    number: int
    start: int
    end: int
    key_id: str


@dataclass(frozen=True)
class Fault:
    """What goes wrong with an answer: a refusal with ``status`` and ``code``; or after ``after`` bytes of the body
    it is ``cut`` short, the connection is ``reset``, it ``stalls``, or a byte comes each ``drip`` seconds; or the byte
    at ``flip`` of the object is another one; or the ``range_ignored``.
    """

    status: int = 0
    code: str = ""
    after: int = 0
    cut: bool = False
    reset: bool = False
    stall: bool = False
    drip: float = 0
    flip: int = -1
    range_ignored: bool = False


class S3Server:
    """The server. ``fault`` decides what goes wrong with each GetObject, ``head_refusal`` is the status of every
    HeadObject where it is set, and ``served`` counts the bytes of the bodies. ``restore_fault`` decides, by the path,
    with what status and code a RestoreObject is refused that would be taken; ``restores`` has the path and the body of
    every one. ``list_fault`` decides, by the prefix, with what status and code a listing is refused; ``listed`` has the
    prefix of every one, and ``page`` is how many keys an answer has.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Held] = {}
        self.fault: Callable[[Asked], Fault | None] = lambda _asked: None
        self.asked: list[Asked] = []
        self.head_refusal = 0
        self.restore_fault: Callable[[str], tuple[int, str] | None] = lambda _path: None
        self.restores: list[tuple[str, str]] = []
        self.list_fault: Callable[[str], tuple[int, str] | None] = lambda _prefix: None
        self.listed: list[str] = []
        self.page = 1000
        self.shows_restores = True
        self.served = 0
        self.lock = threading.Condition()
        self.ended = threading.Event()
        server = self

        class Handler(_Handler):
            s3 = server

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that went away is what is tested."""

        self._http = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def clear(self) -> None:
        """Forgets what was asked and served, and every fault."""
        with self.lock:
            self.fault = lambda _asked: None
            self.asked.clear()
            self.served = 0

    def count(self, amount: int) -> None:
        with self.lock:
            self.served += amount
            self.lock.notify_all()

    def close(self) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    s3: S3Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def do_HEAD(self) -> None:
        if self.s3.head_refusal:
            self._refuse(self.s3.head_refusal, "")
            return
        target = urlsplit(self.path)
        found = self.s3.objects.get(unquote(target.path))
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        headers = dict(found.headers)
        size = len(found.body)
        if (part := parse_qs(target.query).get("partNumber")) and found.parts:
            size, headers = found.parts[int(part[0]) - 1]
            headers = {**headers, "x-amz-mp-parts-count": str(len(found.parts))}
        self._begin(200, size, {"ETag": f'"{found.etag}"', **headers})

    def _list(self, bucket: str, asked: Mapping[str, list[str]]) -> None:
        """ListObjectsV2, as S3 answers it, with the restores where these are asked for."""
        prefix, after = asked.get("prefix", [""])[0], asked.get("continuation-token", [""])[0]
        self.s3.listed.append(prefix)
        if fault := self.s3.list_fault(prefix):
            self._refuse(*fault)
            return
        below = f"{bucket}/{prefix}"
        keys = sorted(path.removeprefix(f"{bucket}/") for path in self.s3.objects if path.startswith(below))
        keys = [key for key in keys if key > after]
        page, rest = keys[: self.s3.page], keys[self.s3.page :]
        shown = "RestoreStatus" in self.headers.get("x-amz-optional-object-attributes", "") and self.s3.shows_restores
        contents = "".join(_entry(key, self.s3.objects[f"{bucket}/{key}"], shown) for key in page)
        more = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        head = f"<EncodingType>url</EncodingType><IsTruncated>{'true' if rest else 'false'}</IsTruncated>"
        text = f"<ListBucketResult>{head}{more}{contents}</ListBucketResult>".encode()
        self._begin(200, len(text), {"Content-Type": "application/xml"})
        self.wfile.write(text)

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if "list-type" in (query := parse_qs(target.query)):
            self._list(unquote(target.path).rstrip("/"), query)
            return
        found = self.s3.objects.get(unquote(urlsplit(self.path).path))
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        start, end = 0, len(found.body)
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            start, end = int(wanted[1]), min(end, int(wanted[2]) + 1)
        key_id = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        with self.s3.lock:
            asked = Asked(len(self.s3.asked) + 1, start, end, key_id[1] if key_id else "")
            self.s3.asked.append(asked)
        fault = self.s3.fault(asked) or Fault()
        # A fault may have put another object in this one's place.
        found = self.s3.objects[unquote(urlsplit(self.path).path)]
        if fault.status:
            self._refuse(fault.status, fault.code)
            return
        if (if_match := self.headers.get("If-Match")) and if_match.strip('"') != found.etag:
            self._refuse(412, "PreconditionFailed")
            return
        if fault.range_ignored:
            start, end = 0, len(found.body)
            self._begin(200, end, {"ETag": f'"{found.etag}"'})
        else:
            content_range = f"bytes {start}-{end - 1}/{len(found.body)}"
            self._begin(206, end - start, {"ETag": f'"{found.etag}"', "Content-Range": content_range})
        body = bytearray(found.body[start:end])
        if start <= fault.flip < end:
            body[fault.flip - start] ^= 1
        broken = fault.cut or fault.reset or fault.stall or fault.drip
        self._send(memoryview(body)[: fault.after] if broken else memoryview(body))
        if fault.drip:
            self._drip(memoryview(body)[fault.after :], fault.drip)
        elif broken:
            self._break(fault)

    def do_POST(self) -> None:
        """RestoreObject, as S3 answers it: taken, already under way, already restored, or not in an archive."""
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with self.s3.lock:
            self.s3.restores.append((path, body))
        fault = self.s3.restore_fault(path)
        found = self.s3.objects[path]
        archived = found.headers.get("x-amz-archive-status") or found.headers.get("x-amz-storage-class")
        restore = found.headers.get("x-amz-restore", "")
        if fault:
            self._refuse(*fault)
        elif "true" in restore:
            self._refuse(409, "RestoreAlreadyInProgress")
        elif not archived:
            self._refuse(403, "InvalidObjectState")
        else:
            if not restore:
                begun = {**found.headers, "x-amz-restore": 'ongoing-request="true"'}
                self.s3.objects[path] = replace(found, headers=begun)
            self._begin(200 if restore else 202, 0, {})

    def _send(self, body: memoryview) -> None:
        for at in range(0, len(body), _BLOCK):
            self.wfile.write(body[at : at + _BLOCK])
            self.s3.count(len(body[at : at + _BLOCK]))

    def _drip(self, body: memoryview, seconds: float) -> None:
        self.close_connection = True
        with suppress(OSError):
            for at in range(len(body)):
                if self.s3.ended.wait(seconds):
                    return
                self.wfile.write(body[at : at + 1])

    def _break(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.stall:
            self.s3.ended.wait()
        if fault.reset:
            with suppress(OSError):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    def _begin(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Accept-Ranges": "bytes", **headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    def _refuse(self, status: int, code: str) -> None:
        said = f"<Error><Code>{code}</Code><Message>made to fail</Message></Error>"
        text = said.encode() if self.command != "HEAD" else b""
        self._begin(status, len(text), {"Content-Type": "application/xml"})
        self.wfile.write(text)


def _entry(key: str, found: Held, restores: bool) -> str:
    restore = found.headers.get("x-amz-restore", "")
    status = ""
    if restore and restores:
        expiry = re.search(r'expiry-date="([^"]+)"', restore)
        until = parsedate_to_datetime(expiry[1]).strftime("%Y-%m-%dT%H:%M:%S.000Z") if expiry else ""
        expires = f"<RestoreExpiryDate>{until}</RestoreExpiryDate>" if until else ""
        going = "true" if "true" in restore else "false"
        status = f"<RestoreStatus><IsRestoreInProgress>{going}</IsRestoreInProgress>{expires}</RestoreStatus>"
    storage = found.headers.get("x-amz-storage-class", "STANDARD")
    return (
        f"<Contents><Key>{quote(key)}</Key><LastModified>{found.modified}</LastModified><Size>{len(found.body)}</Size>"
        f"<StorageClass>{storage}</StorageClass>{status}</Contents>"
    )


@pytest.fixture
def s3_server() -> Iterator[S3Server]:
    """A server of its own for each test."""
    server = S3Server()
    yield server
    server.close()
