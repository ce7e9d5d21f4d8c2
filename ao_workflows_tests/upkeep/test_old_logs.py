"""Old logs go, and nothing else does."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ao_workflows.upkeep import old_logs

MONTH_AGO = datetime.now(UTC) - timedelta(days=30)


def written(path: Path, days: float, text: str = "a line\n") -> Path:
    """A file, its folders with it, that was last written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    age(path, days)
    return path


def age(path: Path, days: float) -> None:
    at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(path, (at, at), follow_symlinks=False)


def test_old_files_go_with_their_empty_folders_and_young_ones_stay(tmp_path: Path) -> None:
    """A scratch disk that is full of logs stops every work."""
    day = tmp_path / "sync-logs/2026-01-02"
    written(day / "2026-01-02_03.04.05/sync-2026-01-02_03.04.05.log", 40)
    written(day / "2026-01-02_03.04.05/tempFiles/W1.success", 40)
    young = written(day / "2026-01-02_23.59.00/sync.log", 5)
    for folder in (day / "2026-01-02_03.04.05/tempFiles", day / "2026-01-02_03.04.05", day):
        age(folder, 40)
    removed = old_logs.remove([tmp_path / "sync-logs", tmp_path / "audit-test-logs"], MONTH_AGO)
    assert (removed.count, removed.bytes, removed.stuck) == (2, 14, ())
    assert removed.oldest_kept is not None
    assert timedelta(days=4) < datetime.now(UTC) - removed.oldest_kept < timedelta(days=6)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [young]
    assert [path.name for path in day.iterdir()] == [young.parent.name]


def test_a_folder_that_was_made_of_late_stays_empty_as_it_is(tmp_path: Path) -> None:
    """Its run is about to open its first log there."""
    (tmp_path / "compute/run/compute_logs").mkdir(parents=True)
    old_logs.remove([tmp_path / "compute"], MONTH_AGO)
    assert (tmp_path / "compute/run/compute_logs").is_dir()


def test_a_link_goes_and_what_it_points_to_stays(tmp_path: Path) -> None:
    """A link in a log folder, and housekeeping empties the archive."""
    kept = written(tmp_path / "Archive0/00/W1NLM4700/images/1.jpg", 400)
    for name, target in (("to-folder", tmp_path / "Archive0"), ("to-file", kept)):
        link = tmp_path / "logs" / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        age(link, 40)
    assert old_logs.remove([tmp_path / "logs"], MONTH_AGO).count == 2
    assert list((tmp_path / "logs").iterdir()) == []
    assert kept.read_text()


@pytest.mark.skipif(not shutil.which("chattr") or os.geteuid() != 0, reason="only root may make a file immutable")
def test_what_will_not_go_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    """One file of another user's must not stop the nights that follow."""
    stuck = written(tmp_path / "a/stuck.log", 40)
    other = written(tmp_path / "b/other.log", 40)
    if os.system(f"chattr +i {stuck} 2>/dev/null") != 0:  # noqa: S605
        pytest.skip("this file system has no immutable files")
    try:
        removed = old_logs.remove([tmp_path], MONTH_AGO)
    finally:
        os.system(f"chattr -i {stuck}")  # noqa: S605
    assert not other.exists()
    assert [each.startswith(f"{stuck}: ") for each in removed.stuck] == [True]


def test_what_works_left_is_counted_and_left(tmp_path: Path) -> None:
    """Half a download is worth hours; a person says whether it is wanted still."""
    part = written(tmp_path / "incoming/W1/W1.bag.zip.part", 40, "x" * 1000)
    written(tmp_path / "incoming/W2/W2.bag.zip.part", 1)
    assert old_logs.measure(tmp_path, "incoming/*/*.part", MONTH_AGO) == (["incoming/W1/W1.bag.zip.part"], 1000)
    assert part.exists()
