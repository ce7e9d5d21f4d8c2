"""The S3 server of the benchmarks: rclone's, over a folder of the disk, since moto's is slower than any client.

What belongs here: starting and ending it, and giving it one object under two keys. What does not: the measuring.

The object has the checksum that S3 keeps of whatever is uploaded without another, CRC64NVME. The same bytes are held
under a second key without it, which its MD5 proves: boto3's own download takes the checksum of the whole, which this
server sends with each range too, for the range's, and fails.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ao_workflows.aws.connections import AwsConnection, make_client

BUCKET = "bags"


@contextmanager
def served(root: Path, write: Callable[[Path], object], md5: str, crc64nvme: str) -> Iterator[str]:
    """The address of a server in whose bucket is what ``write`` writes, under the keys ``md5`` and ``crc64nvme``.

    Everything is in ``root``, and in the environment are keys that all sides read.
    """
    held = root / "held" / BUCKET / md5
    held.parent.mkdir(parents=True)
    write(held)
    with keys_in_environment():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [tool("rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", root / "held"]
        with (root / "log").open("wb") as log:
            server = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            _upload(url, root, server, held, md5, crc64nvme)
            yield url
        finally:
            server.kill()
            server.wait()


def _upload(url: str, root: Path, server: subprocess.Popen[bytes], held: Path, md5: str, crc64nvme: str) -> None:
    """Uploads the object that lies in the server's folder once more, as soon as the server answers."""
    client = make_client("s3", AwsConnection(region="us-east-1", endpoint_url=url))
    while True:
        try:
            client.list_buckets()
            break
        except Exception:  # noqa: BLE001 - of several kinds until the server listens
            if server.poll() is not None:
                raise RuntimeError((root / "log").read_text()) from None
            time.sleep(0.1)
    with held.open("rb") as body:
        client.put_object(Bucket=BUCKET, Key=crc64nvme, Body=body, ChecksumAlgorithm="CRC64NVME")
    # The server digests a file that it has not seen once, when it is first asked for it.
    for key in (md5, crc64nvme):
        client.head_object(Bucket=BUCKET, Key=key)


@contextmanager
def keys_in_environment() -> Iterator[None]:
    """Keys made on the spot, in the environment that all sides read: the server takes any."""
    before = dict(os.environ)
    os.environ.update(
        AWS_ACCESS_KEY_ID=secrets.token_hex(10), AWS_SECRET_ACCESS_KEY=secrets.token_hex(20), AWS_REGION="us-east-1"
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def tool(name: str) -> str:
    """A program that a wheel brought, beside the Python that runs this."""
    return shutil.which(name, path=str(Path(sys.executable).parent)) or name
