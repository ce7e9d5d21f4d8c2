"""Our side of a download: one object on a server that misbehaves as it is told to, and the way to bring it here.

What belongs here: what the tests of several of the modules that download ask for. What does not: the server
(``s3_server``), and what a test expects of it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3, DownloadSettings, S3Download
from ao_workflows.download.download import DownloadPaths
from ao_workflows_tests.support.moto_server import PROFILE, REGION, write_credentials
from ao_workflows_tests.support.s3_server import Asked, Fault, Held, S3Server, held

MIB = 1 << 20
PARALLEL = 4
CONTENT = os.urandom(8 * MIB + 4321)
OTHER = os.urandom(7 * MIB + 1)


class Side:
    """This side of the line: one object on the server, and the way to bring it to a folder."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.places = places(folder / "staging")
        self.credentials = folder / "credentials"
        write_credentials(self.credentials)
        self.hold(held(CONTENT))

    def hold(self, kept: Held) -> None:
        self.server.objects["/b/W1.zip"] = kept

    def s3(self, **settings: float) -> S3:
        return reach(self.server.url, self.credentials, **settings)

    def bring(self, tell: Callable[[int], None] = lambda _there: None, **settings: float) -> S3Download:
        s3 = self.s3(**settings)
        return s3.download("fpl", s3.look("fpl", "b", "W1.zip", None), self.places, tell)

    def holds(self, content: bytes) -> bool:
        """Whether the file is the object, and nothing is left beside it but the journal."""
        left = sorted(path.name for path in self.places.final.parent.iterdir())
        return left == ["W1.zip", "W1.zip.journal"] and self.places.final.read_bytes() == content

    def holds_nothing(self) -> bool:
        return not list(self.places.final.parent.iterdir())


def places(folder: Path) -> DownloadPaths:
    return DownloadPaths(folder / "W1.zip", folder / "W1.zip.part", folder / "W1.zip.journal")


def reach(url: str, credentials: Path, **settings: float) -> S3:
    wanted = {"part_mib": 1, "parallel": PARALLEL, "stall_seconds": 60, "backoff_seconds": 0.01} | settings
    connection = AwsConnection(region=REGION, profile=PROFILE, endpoint_url=url, credentials_file=str(credentials))
    return S3(connections={"fpl": connection}, settings=DownloadSettings(**wanted))  # type: ignore[arg-type]


def raise_at(there: int) -> Callable[[int], None]:
    """What a cancelled run does to a download: an exception in the thread that waits for it."""

    def tell(now: int) -> None:
        if now >= there:
            raise InterruptedError

    return tell


def only(number: int, fault: Fault) -> Callable[[Asked], Fault | None]:
    return lambda asked: fault if asked.number == number else None


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
