"""Debagging: against the archive's present tool, bdrc-bag, and against what any reader of the bytes would cost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from bag import bag_ops

from ao_workflows.bags.debagging import debag
from benchmarks.bag_zips import images, texts, write_bag, write_bag_of_holes
from benchmarks.measure import Result, at_least, at_most, seconds_in_turn, within

ROUNDS = 5
MB = 1_000_000


def run() -> list[Result]:
    """Needs some 30 GB of room for a while where temporary files go (TMPDIR)."""
    with tempfile.TemporaryDirectory(prefix="debag-") as folder:
        place = Path(folder)
        return [
            *_large(place, write_bag(place / "large.zip", images(2000, MB), "sha512")),
            *_small(place, write_bag(place / "small.zip", images(20_000, 20_000), "sha512")),
            *_text(place, write_bag(place / "text.zip", texts(100, 5 * MB), "sha256", deflated=True)),
            _memory(place, "2 GB", place / "large.zip", 200),
            _memory(place, "20 GB, sparse", write_bag_of_holes(place / "holes.zip", 20_000 * MB), 200),
            _memory(place, "200,000 members", write_bag(place / "many.zip", images(200_000, 100), "sha512"), 600),
        ]


def _large(place: Path, path: Path) -> list[Result]:
    tree = place / "tree"
    debag(path, tree)
    ours, daemon, six, sums, copied = seconds_in_turn(
        ROUNDS,
        partial(_ours, place, path),
        partial(_present_tool, place, in_daemon=True),
        partial(_present_tool, place, in_daemon=False),
        partial(_sha512sum, tree / "W1"),
        partial(subprocess.run, ["cp", "-r", str(tree / "W1"), str(place / "out")], check=True),
        before=partial(_clear, place, path),
    )
    shutil.rmtree(tree)
    return [
        at_least("2 GB in 2,000 files: bdrc-bag, as a daemon", ours, daemon, "s", 3.2),
        at_least("2 GB in 2,000 files: bdrc-bag, six processes", ours, six, "s", 2.0),
        at_most("2 GB in 2,000 files: sha512sum on all cores, and cp -r", ours, sums + copied, "s", 0.5),
    ]


def _small(place: Path, path: Path) -> list[Result]:
    return [at_least("400 MB in 20,000 files: bdrc-bag at its better", *_against_present_tool(place, path), "s", 1.6)]


def _text(place: Path, path: Path) -> list[Result]:
    return [at_least("500 MB of text, deflated: bdrc-bag at its better", *_against_present_tool(place, path), "s", 1.0)]


def _against_present_tool(place: Path, path: Path) -> tuple[float, float]:
    ours, daemon, six = seconds_in_turn(
        ROUNDS,
        partial(_ours, place, path),
        partial(_present_tool, place, in_daemon=True),
        partial(_present_tool, place, in_daemon=False),
        before=partial(_clear, place, path),
    )
    return ours, min(daemon, six)


def _clear(place: Path, path: Path) -> None:
    """Disks write back late: each side begins with nothing waiting to be written, and with a zip to eat."""
    shutil.rmtree(place / "out", ignore_errors=True)
    (place / "copy.zip").unlink(missing_ok=True)
    os.link(path, place / "copy.zip")
    os.sync()


def _ours(place: Path, path: Path) -> None:
    debag(path, place / "out")


def _present_tool(place: Path, *, in_daemon: bool) -> None:
    (place / "out").mkdir()
    # It removes the zip when it is done.
    assert bag_ops.debag(str(place / "copy.zip"), str(place / "out"), in_daemon=in_daemon), "bdrc-bag refused the bag"


def _sha512sum(tree: Path) -> None:
    cores = str(len(os.sched_getaffinity(0)))
    command = f"find {tree} -type f -print0 | xargs -0 -P {cores} -n 100 sha512sum > /dev/null"
    subprocess.run(["sh", "-c", command], check=True)


def _memory(place: Path, what: str, path: Path, most: int) -> Result:
    """The peak of all resident memory, of which the private is a part, of a process that does nothing else."""
    _clear(place, path)
    program = (
        "import sys; from pathlib import Path; from ao_workflows.bags.debagging import debag;"
        "debag(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    command = [sys.executable, "-c", program, str(path), str(place / "out")]
    peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) * 1024 / MB
    shutil.rmtree(place / "out")
    path.unlink()
    return within(f"{what}: peak memory", peak, "MB", most)
