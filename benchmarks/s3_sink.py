"""The S3 server that the benchmarks upload to: it takes objects whole or in parts, and hashes them as S3 does.

What belongs here: the server. What does not: the measuring. rclone's server, which is downloaded from, computes no
checksum of what was uploaded in parts, and moto's is slower than any client.

A part's bytes are written to a file of their own, and their CRC64NVME is joined into that of the object. All sides pay
for that alike.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ao_workflows.fixity.digests import joined, new_digest
from ao_workflows.fixity.s3_checksums import in_base64
from benchmarks.s3_server import keys_in_environment

BUCKET = "deep"
_BLOCK = 1 << 20
_OBJECTS: dict[str, tuple[int, str]] = {}
_PARTS: dict[str, dict[int, tuple[int, str]]] = {}


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root: Path

    def log_message(self, *_words: object) -> None:
        """Nothing: a line a request would be what is measured."""

    def do_HEAD(self) -> None:
        if found := _OBJECTS.get(self._key):
            size, crc = found
            stated = {"x-amz-checksum-crc64nvme": in_base64(crc), "x-amz-checksum-type": "FULL_OBJECT"}
            self._answer(200, length=size, **stated, ETag='"e"', **{"Last-Modified": "Sat, 28 Nov 2026 10:00:00 GMT"})
        else:
            self._answer(404)

    def do_GET(self) -> None:
        asked = self._asked
        if "versioning" in asked:
            self._answer(200, b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        asked = self._asked
        upload = asked.get("uploadId", [""])[0]
        number = int(asked.get("partNumber", ["0"])[0])
        taken = self._take(upload or "whole", number)
        if upload:
            _PARTS[upload][number] = taken
        else:
            _OBJECTS[self._key] = taken
        self._answer(200, ETag=f'"{taken[1]}"')

    def do_POST(self) -> None:
        asked = self._asked
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        if "uploads" in asked:
            upload = f"u{len(_PARTS)}"
            _PARTS[upload] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
        else:
            parts = [part for _, part in sorted(_PARTS[asked["uploadId"][0]].items())]
            sizes, crcs = [size for size, _ in parts], [crc for _, crc in parts]
            _OBJECTS[self._key] = sum(sizes), joined("crc64nvme", crcs, sizes)
            text = '<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, text.encode())

    def _take(self, upload: str, number: int) -> tuple[int, str]:
        left = size = int(self.headers["Content-Length"])
        digest, buffer = new_digest("crc64nvme"), memoryview(bytearray(_BLOCK))
        path = self.root / f"{upload}.{number}"
        with path.open("wb", buffering=0) as out:
            while left:
                got = self.rfile.readinto(buffer[: min(left, _BLOCK)])
                digest.update(buffer[:got])
                out.write(buffer[:got])
                left -= got
        return size, digest.hexdigest()

    @property
    def _key(self) -> str:
        return urlsplit(self.path).path

    @property
    def _asked(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def _answer(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def sink(root: Path) -> Iterator[str]:
    """The address of a server that keeps what is uploaded in ``root``; in the environment are keys for all sides."""
    with keys_in_environment():
        words = [sys.executable, "-m", "benchmarks.s3_sink", str(root)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout
            try:
                yield f"http://127.0.0.1:{int(server.stdout.readline())}"
            finally:
                server.kill()


def _serve(root: Path) -> None:
    _Sink.root = root
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
