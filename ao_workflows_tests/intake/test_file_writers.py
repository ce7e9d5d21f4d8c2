"""Whether anybody has a file open for writing, as the kernel knows it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ao_workflows.intake import file_writers
from ao_workflows.intake.file_writers import writers
from ao_workflows_tests.support.other_users import as_nobody

NAME = "W1NLM4712.bag.zip"


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def test_who_has_a_file_open_for_writing_is_seen(drop: Path) -> None:
    """An upload that pauses looks complete."""
    path = drop / NAME
    with path.open("wb"):
        assert writers(path) == "some"
    assert writers(path) == "none"
    with path.open("rb"):
        assert writers(path) == "none"


def test_a_writer_in_another_process_that_opens_the_file_meanwhile_harms_nobody(drop: Path) -> None:
    """Opening a file breaks a lease on it, and by default the kernel ends the process that holds it."""
    path = drop / NAME
    path.write_bytes(b"x")
    opener = subprocess.Popen(
        [sys.executable, "-c", f"while True: open({str(path)!r}, 'ab').close()"], stdin=subprocess.DEVNULL
    )
    try:
        found = set()
        until = time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < until:
            found.add(writers(path))
        assert found == {"none", "some"}
        for _ in range(5_000):
            writers(path)
    finally:
        opener.kill()
        opener.wait()


def test_nobody_knows_who_writes_on_another_machines_disk(drop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease on NFS tells of this machine alone, or is refused without a reason."""
    monkeypatch.setattr(file_writers, "_LOCAL", set())
    (drop / NAME).write_bytes(b"x")
    assert writers(drop / NAME) == "unknown"


def test_a_file_of_another_user_s_may_be_open(drop: Path) -> None:
    """Linux gives its owner alone a lease; what cannot be known must not be taken for closed."""
    assert as_nobody(lambda: writers(Path("/etc/passwd"))) == "unknown"
