"""Downloads: ours, proven, against boto3's and s5cmd's, which prove nothing; its memory, and what a kill costs.

What belongs here: the sides, and their comparison. What does not: the server (``benchmarks.s3_server``), and the table
and the file of results (``benchmarks.__main__``).

The server has the object twice, with the checksum CRC64NVME and without, where its MD5 proves it: hashing that is what
our download costs at most.
Every side fetches into the same folder, one after the other, over and over; a side's figure is its median.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows.aws.s3 import S3, DownloadSettings, S3Download
from ao_workflows.download.download import DownloadPaths
from benchmarks.measure import Result, at_most
from benchmarks.s3_server import BUCKET, served, tool

SIZE = 2_000_000_000
ROUNDS = 7
KILLS = 5
PART, PARALLEL = 16 << 20, 8
CRC64NVME, MD5 = "crc64nvme.zip", "md5.zip"
PROOFS = {CRC64NVME: "CRC64NVME", MD5: "MD5 (ETag)"}


@dataclass(frozen=True)
class Bench:
    """The server, and the folder into which every side downloads."""

    url: str
    folder: Path

    @property
    def places(self) -> DownloadPaths:
        return DownloadPaths(self.folder / "ours.zip", self.folder / "ours.part", self.folder / "ours.journal")

    def client(self) -> Any:
        return make_client("s3", AwsConnection(region="us-east-1", endpoint_url=self.url))

    def s3(self) -> S3:
        connection = AwsConnection(region="us-east-1", endpoint_url=self.url)
        return S3(connections={"bench": connection}, settings=DownloadSettings(part_mib=PART >> 20, parallel=PARALLEL))

    def bring(self, s3: S3, key: str) -> S3Download:
        """Our download, from the first question to the proof."""
        done = s3.download("bench", s3.look("bench", BUCKET, key, None), self.places)
        assert done.proof == PROOFS[key], done.proof
        return done

    def boto3(self, client: Any) -> None:
        client.download_file(BUCKET, MD5, str(self.folder / "boto3.zip"))

    def s5cmd(self) -> None:
        words = [
            tool("s5cmd"),
            "--endpoint-url",
            self.url,
            "cp",
            f"s3://{BUCKET}/{CRC64NVME}",
            self.folder / "s5cmd.zip",
        ]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


def run() -> list[Result]:
    """Every comparison, and the two limits."""
    with _served() as bench:
        rates = _rates(bench)
        return [
            _at_least("verified download (MD5) over boto3 download_file", rates["ours, MD5"], rates["boto3"], 1.0),
            _at_least("verified download (CRC64NVME) over s5cmd cp", rates["ours, CRC64NVME"], rates["s5cmd"], 0.85),
            _at_least("verified download (MD5) over s5cmd cp", rates["ours, MD5"], rates["s5cmd"], None),
            at_most("peak private memory of a download over 200 MB", _peak_private(bench), 200.0, "MB", 1.0),
            _lost_by_kills(bench),
        ]


def _rates(bench: Bench) -> dict[str, float]:
    """The median MB/s of each side, in another order each round, so that neighbours disturb all alike.

    boto3's clients are made before the clock is started: for a file of 2 GB that a loopback brings, making one would be
    a tenth of the time, and for a work it is nothing.
    """
    client, s3 = bench.client(), bench.s3()
    client.head_object(Bucket=BUCKET, Key=MD5)
    s3.look("bench", BUCKET, MD5, None)
    sides: dict[str, Callable[[], object]] = {
        "boto3": partial(bench.boto3, client),
        "ours, MD5": partial(bench.bring, s3, MD5),
        "s5cmd": bench.s5cmd,
        "ours, CRC64NVME": partial(bench.bring, s3, CRC64NVME),
    }
    order = random.Random(ROUNDS)  # noqa: S311 - the same order each time
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name in order.sample(list(sides), len(sides)):
            bench.clear()
            started = time.perf_counter()
            sides[name]()
            rates[name].append(SIZE / 1e6 / (time.perf_counter() - started))
    return {name: median(found) for name, found in rates.items()}


def _at_least(name: str, ours: float, peer: float, least: float | None) -> Result:
    ratio = ours / peer
    bound = f"at least {least}" if least else "only told"
    return Result(
        name=name, ours=ours, peer=peer, unit="MB/s", ratio=ratio, bound=bound, holds=least is None or ratio >= least
    )


def _peak_private(bench: Bench) -> float:
    """The largest private memory, in MB, of a process that does nothing but download, Python and Dagster included."""
    bench.clear()
    peak = 0
    with _downloading(bench, MD5) as process:
        while process.poll() is None:
            # A process that has just ended has no memory to read.
            with suppress(OSError):
                peak = max(peak, private_bytes(process.pid))
            time.sleep(0.02)
        assert process.returncode == 0
    return peak / 1e6


def _lost_by_kills(bench: Bench) -> Result:
    """What a killed download wrote that the next one fetches again; the worst of some kills at random moments."""
    moments = random.Random(KILLS)  # noqa: S311 - the same moments each time
    worst = most = 0.0
    for _ in range(KILLS):
        bench.clear()
        with _downloading(bench, CRC64NVME) as process:
            moment = moments.uniform(0.1, 0.9) * SIZE
            while process.poll() is None and _written_bytes(process.pid) < moment:
                time.sleep(0.002)
            process.send_signal(signal.SIGSTOP)
            written = _written_bytes(process.pid)
            process.kill()
        done = bench.bring(bench.s3(), CRC64NVME).brought
        worst = max(worst, written - done.resumed)
        most = PARALLEL * PART
    return at_most("bytes fetched again after a kill over parallelism x part size", worst / 1e6, most / 1e6, "MB", 1.0)


_DOWNLOAD = """
import sys
from pathlib import Path
from benchmarks.download import Bench
bench = Bench(sys.argv[1], Path(sys.argv[2]))
bench.bring(bench.s3(), sys.argv[3])
"""


@contextmanager
def _downloading(bench: Bench, key: str) -> Iterator[subprocess.Popen[bytes]]:
    """Our download in a process of its own."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", _DOWNLOAD, bench.url, bench.folder, key])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Private_"))


def _written_bytes(pid: int) -> int:
    """What the process has handed to write calls, the object's bytes but for a few kilobytes."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))


@contextmanager
def _served() -> Iterator[Bench]:
    """The server with both objects, and an empty folder for the downloads; all of it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="ao-bench-") as name:
        folder = Path(name) / "here"
        folder.mkdir()
        with served(Path(name), _write_random, MD5, CRC64NVME) as url:
            yield Bench(url, folder)


def _write_random(path: Path) -> None:
    """Writes the object's size of bytes that do not shrink; the same block over and over is as good."""
    block = os.urandom(16 << 20)
    left = SIZE
    with path.open("wb") as out:
        while left:
            left -= out.write(block[:left])
