"""How far a download is: told often enough to be of use, and seldom enough to be read."""

from __future__ import annotations

import json
from pathlib import Path

from ao_workflows.download.progress import ProgressReporter, read_progress

SIZE = 1_000_000_000


class Told:
    """What was said, on a clock that the test moves."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self.said: list[str] = []
        self.path = folder / "incoming/W1/progress.json"
        self.now = 50.0
        self.teller = ProgressReporter("W1", size, "run", self.path, self.said.append, lambda: self.now)

    def at(self, seconds: float, there: int) -> None:
        self.now = 50.0 + seconds
        self.teller(there)


def test_each_tenth_is_said_once(tmp_path: Path) -> None:
    """A fast download is over before the first half minute."""
    told = Told(tmp_path)
    for hundredth in range(101):
        told.at(hundredth / 100, hundredth * SIZE // 100)
    assert len(told.said) == 11
    assert told.said[5] == "W1: 500,000,000 of 1,000,000,000 bytes, 50 %, 1,000.0 MB/s, 0 min 00 s left"


def test_a_slow_download_is_said_every_half_minute(tmp_path: Path) -> None:
    """A tenth of 400 GB may take an hour: silence looks like a hang."""
    told = Told(tmp_path)
    for second in range(121):
        told.at(second, second * 1000)
    assert len(told.said) == 5
    assert told.said[1] == "W1: 30,000 of 1,000,000,000 bytes, 0 %, 0.0 MB/s, 277 h 46 min left"


def test_the_rate_is_that_of_what_was_fetched_now(tmp_path: Path) -> None:
    """What an earlier run brought came in no time, and would promise an end that does not come."""
    told = Told(tmp_path)
    told.at(0, 800_000_000)
    told.at(10, 900_000_000)
    assert told.said == [
        "W1: 800,000,000 of 1,000,000,000 bytes, 80 %, 0.0 MB/s, unknown time left",
        "W1: 900,000,000 of 1,000,000,000 bytes, 90 %, 10.0 MB/s, 0 min 10 s left",
    ]


def test_the_file_says_what_the_log_says_and_goes_with_the_download(tmp_path: Path) -> None:
    """A status that reads a download's progress after its end would show one that never ends."""
    told = Told(tmp_path)
    with told.teller:
        told.at(0, 0)
        told.at(2, SIZE // 2)
        progress = read_progress(told.path)
        assert progress
        assert (progress.rid, progress.bytes, progress.size, progress.run_id) == ("W1", SIZE // 2, SIZE, "run")
        assert progress.line() == told.said[-1]
    assert read_progress(told.path) is None


def test_a_file_that_is_no_progress_is_none(tmp_path: Path) -> None:
    """A status must not fail for a disk that was full."""
    path = tmp_path / "progress.json"
    whole = {"rid": "W1", "bytes": 5, "size": 9, "megabytes_per_second": 1.5, "seconds_left": 4, "run_id": "r"}
    at = "2026-11-21T06:32:44+00:00"
    path.write_text(json.dumps(whole | {"at": at}))
    assert read_progress(path)
    odd = [{"at": "x"}, {"at": at[:-6]}, {"at": at, "bytes": "5"}, {"at": at, "seconds_left": "4"}]
    for text in ("", "{", "[]", '{"rid": "W1"}', "[" * 100_000, *(json.dumps(whole | values) for values in odd)):
        path.write_text(text)
        assert read_progress(path) is None


def test_an_empty_object_is_all_there(tmp_path: Path) -> None:
    """Nothing can be divided by its size."""
    told = Told(tmp_path, size=0)
    told.at(0, 0)
    assert told.said == ["W1: 0 of 0 bytes, 100 %, 0.0 MB/s, unknown time left"]
