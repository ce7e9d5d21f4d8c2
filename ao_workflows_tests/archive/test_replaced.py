"""What syncs take from the archive: listed, kept on the same share, and freed when its time is over."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ao_workflows.archive import replaced
from ao_workflows.archive.before_sync import SyncChanges
from ao_workflows.archive.replaced import SHOWN, keep_replaced, list_changes, remove_outlived, write_changed
from ao_workflows.archive.shares import REPLACED_AT
from ao_workflows.errors import ReplacedNotKept, StagingError

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A work in the archive."""
    place = tmp_path / "12/W1"
    (place / "images").mkdir(parents=True)
    (place / "images/1.jpg").write_bytes(b"page")
    (place / "text").write_bytes(b"text")
    (place / "link").symlink_to("text")
    return place


def kept_at(place: Path, at: datetime) -> Path:
    return place.parent.parent / "replaced/W1" / at.strftime(REPLACED_AT)


def test_what_will_change_is_copied_and_what_will_go_is_linked(place: Path) -> None:
    """A script that writes in place would change what is kept through a link; a copy of what goes costs its size."""
    into = kept_at(place, AT)
    keep_replaced(place, SyncChanges(changed=("images/1.jpg",), removed=("text", "link")), into)
    assert (into / "images/1.jpg").read_bytes() == b"page"
    assert not (into / "images/1.jpg").samefile(place / "images/1.jpg")
    assert (into / "images/1.jpg").stat().st_mtime_ns == (place / "images/1.jpg").stat().st_mtime_ns
    assert (into / "text").samefile(place / "text")
    assert (into / "link").readlink() == Path("text")


def test_a_try_again_takes_over_what_the_failed_one_kept_and_half_of_one_goes(place: Path) -> None:
    """Each try would fill the share with one copy more."""
    going = SyncChanges(changed=("images/1.jpg",))
    first, second = kept_at(place, AT), kept_at(place, AT + timedelta(hours=1))
    keep_replaced(place, going, first)
    (first.parent / "half.part").mkdir()
    keep_replaced(place, going, second)
    assert [path.name for path in first.parent.iterdir()] == [second.name]


@pytest.mark.parametrize("how", ["changed since", "other files", "a link to what will change"])
def test_what_was_kept_of_something_else_stays_beside_it(place: Path, how: str) -> None:
    """It is all that there is of what the archive had then."""
    going = SyncChanges(changed=("images/1.jpg",))
    first, second = kept_at(place, AT), kept_at(place, AT + timedelta(hours=1))
    keep_replaced(place, going, first)
    if how == "changed since":
        (place / "images/1.jpg").write_bytes(b"pagE")
    elif how == "other files":
        (first / "more").touch()
    else:
        (first / "images/1.jpg").unlink()
        os.link(place / "images/1.jpg", first / "images/1.jpg")
    keep_replaced(place, going, second)
    assert {path.name for path in first.parent.iterdir()} == {first.name, second.name}


def test_where_it_cannot_all_be_kept_nothing_half_is_left(place: Path) -> None:
    """The script must not be started then, and a full share must not be fuller."""
    into = kept_at(place, AT)
    with pytest.raises(ReplacedNotKept):
        keep_replaced(place, SyncChanges(changed=("images/1.jpg", "gone")), into)
    assert list(into.parent.iterdir()) == []


def test_where_the_kernel_copies_nothing_it_is_done_by_hand(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems, and mounts of two of them, know no copying in the kernel."""

    def unknown(*_: object) -> int:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "copy_file_range", unknown)
    monkeypatch.setattr(replaced, "_BLOCK", 3)
    keep_replaced(place, SyncChanges(changed=("images/1.jpg",)), kept_at(place, AT))
    assert (kept_at(place, AT) / "images/1.jpg").read_bytes() == b"page"


def test_a_page_that_the_disk_cannot_read_any_more_is_kept_as_it_is(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is to be mended by this very sync."""

    def unreadable(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "copy_file_range", unreadable)
    keep_replaced(place, SyncChanges(changed=("images/1.jpg",)), kept_at(place, AT))
    assert (kept_at(place, AT) / "images/1.jpg").samefile(place / "images/1.jpg")


def test_what_is_kept_goes_when_its_time_is_over_and_what_is_younger_stays(place: Path) -> None:
    """By the time in the name: the files' own are those of the archive, years ago."""
    for days, name in ((3, "text"), (1, "link")):
        keep_replaced(place, SyncChanges(removed=(name,)), kept_at(place, AT - timedelta(days=days)))
    (kept_at(place, AT).parent.parent / "W2/no moment").mkdir(parents=True)
    removed = remove_outlived([kept_at(place, AT).parent.parent, place / "none"], AT - timedelta(days=2))
    assert (removed.count, removed.oldest_kept, removed.stuck) == (1, AT - timedelta(days=1), ())
    assert [path.name for path in kept_at(place, AT).parent.iterdir()] == [kept_at(place, AT - timedelta(days=1)).name]
    removed = remove_outlived([kept_at(place, AT).parent.parent], datetime.now(UTC) + timedelta(days=1))
    assert removed.count == 2
    assert list(kept_at(place, AT).parent.parent.iterdir()) == []
    assert (place / "text").exists()


def test_what_goes_is_said_with_its_first_names_and_all_of_them_are_in_the_file(tmp_path: Path) -> None:
    """A log of a million lines is read by nobody; a name with a line's end must not make two of one."""
    said: list[str] = []
    names = tuple(f"{number}\n%" for number in range(SHOWN + 5))
    list_changes(tmp_path / "going", SyncChanges(changed=names), ["of the web"], said.append)
    assert said[0].startswith(f"will be changed: {SHOWN + 5}: 0%0A%25, ")
    assert " and 5 more; all in " in said[0]
    assert said[1].startswith("will be removed from the web: 1: of the web; all in ")
    assert (tmp_path / "going").read_text().splitlines()[-2:] == [
        f"changed\t{SHOWN + 4}%0A%25",
        "removed from the web\tof the web",
    ]
    list_changes(tmp_path / "nothing", SyncChanges(), [], said.append)
    assert len(said) == 2
    assert not (tmp_path / "nothing").exists()


def test_the_script_s_list_has_each_name_whole_or_is_refused(tmp_path: Path) -> None:
    """A name may have every byte but zero; half a list would leave files as they were."""
    assert write_changed(tmp_path / "logs/list", ["a\nb", "\udcff"]).read_bytes() == b"a\nb\0\xff\0"
    (tmp_path / "file").touch()
    with pytest.raises(StagingError):
        write_changed(tmp_path / "file/list", ["a"])
