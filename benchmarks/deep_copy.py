"""Deep copies: ours against the steps of the archive's present tool, and against a pipe that proves nothing.

What belongs here: the sides, and their comparison. What does not: the server (``benchmarks.s3_sink``), and the table
and the file of results (``benchmarks.__main__``).

The present tool's steps are those of bdrc-util's ``deep-archive``: the image group is copied with its folders turned
round, ``bag_ops.bag`` bags and zips the copy, and boto3 uploads the zip.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bag import bag_ops

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.aws.uploads import Uploads
from ao_workflows.deep_copy.copying import DeepCopies
from benchmarks.bag_zips import images
from benchmarks.download import private_bytes
from benchmarks.measure import Result, at_least, at_most, seconds_in_turn, within
from benchmarks.s3_server import tool
from benchmarks.s3_sink import BUCKET, sink

ROUNDS = 3
MB = 1_000_000
FILES, SIZE = 2_000, MB
RID, GROUP = "W1", "W1-I1"
NAME = "2 GB in 2,000 files"


@dataclass(frozen=True)
class Bench:
    """The server, and a folder with the work, what the server keeps, and room for the present tool's copies."""

    url: str
    folder: Path

    @property
    def place(self) -> Path:
        return self.folder / "Archive0" / "00" / RID

    @property
    def connection(self) -> AwsConnection:
        return AwsConnection(region="us-east-1", endpoint_url=self.url)

    def proven(self) -> dict[str, dict[str, str]]:
        """What the sync's list says of the files."""
        found = {}
        for path in self.place.rglob("*.jpg"):
            digest = hashlib.sha512(path.read_bytes()).hexdigest()
            found[path.relative_to(self.place).as_posix()] = {"sha512": digest}
        return found

    def ours(self, proven: dict[str, dict[str, str]]) -> None:
        copies = DeepCopies(Uploads(self.connection, BUCKET), "STANDARD_IA")
        records = self.folder / "records" / RID
        done = copies.copy(RID, self.place, records, proven, datetime.now(UTC), lambda _said: None)
        assert [made.files for made in done.objects] == [FILES]

    def theirs(self, *, in_daemon: bool) -> None:
        room = self.folder / "room"
        copied, zipped = room / GROUP, room / "bag"
        zipped.mkdir(parents=True)
        for medium in ("archive", "images"):
            shutil.copytree(self.place / medium / GROUP, copied / GROUP / medium)
        bag_ops.bag(str(copied), str(zipped), False, in_daemon, False)
        (path,) = zipped.iterdir()
        make_client("s3", self.connection).upload_file(str(path), BUCKET, path.name)

    def pipe(self) -> None:
        """Every byte of the files, and nothing else: no zip, no digest, no checksum of the whole."""
        command = "find . -type f -print0 | sort -z | xargs -0 cat | " + " ".join(
            [str(tool("s5cmd")), "--endpoint-url", self.url, "pipe", f"s3://{BUCKET}/pipe"]
        )
        subprocess.run(["sh", "-ec", command], check=True, cwd=self.place, stdout=subprocess.DEVNULL)

    def clear(self) -> None:
        """Each side begins with nothing of the others', and with nothing waiting to be written."""
        for name in ("room", "records"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in (self.folder / "kept").iterdir():
            path.unlink()
        os.sync()


def run() -> list[Result]:
    """Needs 10 GB of room for a while where temporary files go (TMPDIR)."""
    with _served() as bench:
        proven = bench.proven()
        ours, daemon, six, pipe = seconds_in_turn(
            ROUNDS,
            partial(bench.ours, proven),
            partial(bench.theirs, in_daemon=True),
            partial(bench.theirs, in_daemon=False),
            bench.pipe,
            before=bench.clear,
            warm_up=1,
        )
        peak, left = _alone(bench)
        return [
            at_least(f"{NAME}: copy, bag_ops.bag and upload, at its better", ours, min(daemon, six), "s", 1.5),
            at_most(f"{NAME}: cat into s5cmd pipe, which proves nothing", ours, pipe, "s", 1.3),
            within(f"{NAME}: peak private memory", peak, "MB", 200),
            within(f"{NAME}: written to the scratch disk", left, "MB", 2),
        ]


_COPY = """
import json, sys
from pathlib import Path
from benchmarks.deep_copy import Bench
import ao_workflows.definitions
bench = Bench(sys.argv[1], Path(sys.argv[2]))
bench.ours(bench.proven())
"""


def _alone(bench: Bench) -> tuple[float, float]:
    """The largest private memory of a process that has loaded the definitions and copies, and what it writes, in MB."""
    bench.clear()
    peak = written = 0
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", _COPY, bench.url, bench.folder]) as process:
        while process.poll() is None:
            # A process that has just ended has no memory to read.
            with suppress(OSError):
                peak = max(peak, private_bytes(process.pid))
            for path in (bench.folder / "records").rglob("*"):
                with suppress(OSError):
                    written = max(written, path.stat().st_size)
            time.sleep(0.02)
        assert process.returncode == 0
    return peak / MB, written / MB


@contextmanager
def _served() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="ao-deep-copy-") as name:
        folder = Path(name)
        (folder / "kept").mkdir()
        with sink(folder / "kept") as url:
            bench = Bench(url, folder)
            for number, content in enumerate(images(FILES, SIZE)):
                medium = "archive" if number % 2 else "images"
                path = bench.place / medium / GROUP / f"{GROUP}{number:04}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            yield bench
