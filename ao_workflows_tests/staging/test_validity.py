"""Receipts that spare the work: believed only where what they name is still there, byte for byte after a reboot."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ao_workflows.defs.restore.stage import still_there
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.fixity.digests import file_crc64nvme
from ao_workflows.fixity.trees import FileFixity, write_fixity
from ao_workflows.staging.receipts import Debagged, Downloaded, Origin, UnpackedWork
from ao_workflows.staging.staging import Staging
from ao_workflows.staging.validity import tree_is_there, zip_is_there
from ao_workflows_tests.support import receipts

ORIGIN = Origin("e", "m", 5)
FILES = {"W1/images/1.jpg": b"page1", "W1/བསྟན": b"", "W1/W1.bag/bagit.txt": b"tags", "W2/a\nb": b"second"}


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


def reboot(staging: Staging, stage: str) -> None:
    """Has the receipt name another boot than this one."""
    path = staging.layout.receipt("W1", stage)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "the boot before"}))


def put_zip(staging: Staging, content: bytes = b"bytes") -> Path:
    path = staging.layout.zip("W1")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def downloaded(staging: Staging) -> Downloaded | None:
    return still_there(staging.receipts("W1").downloaded, zip_is_there(staging.layout.zip("W1")))


def debagged(staging: Staging) -> Debagged | None:
    there = tree_is_there(staging.layout.work("W1"), staging.layout.fixity("W1"))
    return still_there(staging.receipts("W1").debagged, there)


@pytest.fixture
def with_zip(staging: Staging) -> Staging:
    put_zip(staging)
    staging.write_receipt(receipts.downloaded(zip=receipts.a_zip(5, file_crc64nvme(staging.layout.zip("W1")))))
    return staging


@pytest.fixture
def with_tree(staging: Staging) -> Staging:
    listed = []
    for name, content in FILES.items():
        path = staging.layout.work("W1") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        work, _, below = name.partition("/")
        listed.append(FileFixity(work, below, len(content), {"sha256": hashlib.sha256(content).hexdigest()}))
    works = [
        UnpackedWork("W1", 2, 5, ("sha256",), proven=True, tags="W1.bag"),
        UnpackedWork("W2", 1, 6, ("sha256",), proven=False, tags=""),
    ]
    staging.write_receipt(receipts.debagged(ORIGIN, works=works, files_listed=len(FILES)))
    write_fixity(staging.layout.fixity("W1"), listed)
    return staging


def test_what_was_done_is_not_done_again(with_zip: Staging, with_tree: Staging) -> None:
    """A work of 500 GB that is downloaded twice takes a day more."""
    assert downloaded(with_zip)
    assert debagged(with_tree)


def test_nothing_is_believed_without_a_receipt(with_zip: Staging) -> None:
    """The file alone may be of another bag."""
    with_zip.layout.receipt("W1", "downloaded_bag").unlink()
    assert downloaded(with_zip) is None


def test_half_a_receipt_has_the_stage_done_again(with_zip: Staging) -> None:
    """Whatever the power cut left of it."""
    path = with_zip.layout.receipt("W1", "downloaded_bag")
    path.write_bytes(path.read_bytes()[:-5])
    assert downloaded(with_zip) is None


def test_a_receipt_of_another_event_is_in_force_for_no_stage(with_zip: Staging) -> None:
    """The next restore of the same work is another bag under the same name."""
    event = ObjectEvent("ObjectRestore:Completed", "2024-04-06T00:11:23Z", "r", "b", "W1.bag.zip")
    with_zip.write_receipt(receipts.restored(event))
    assert list(with_zip.receipts("W1").in_force(event.identity).by_stage()) == ["restored_message"]
    with_zip.write_receipt(receipts.downloaded(event.identity))
    assert list(with_zip.receipts("W1").in_force(event.identity).by_stage()) == ["restored_message", "downloaded_bag"]


@pytest.mark.parametrize("content", [None, b"byte", b"bytes and more"])
def test_a_zip_that_is_gone_or_of_another_size_is_not_there(with_zip: Staging, content: bytes | None) -> None:
    """Somebody cleared the disk, or filled it."""
    if content is None:
        with_zip.layout.zip("W1").unlink()
    else:
        put_zip(with_zip, content)
    assert downloaded(with_zip) is None


def test_after_a_reboot_the_zips_bytes_are_read_again(with_zip: Staging) -> None:
    """Nothing was flushed: the size may be right, and the bytes zeros."""
    reboot(with_zip, "downloaded_bag")
    assert downloaded(with_zip)
    put_zip(with_zip, b"\0\0\0\0\0")
    assert downloaded(with_zip) is None


def test_after_a_reboot_the_trees_bytes_are_read_again(with_tree: Staging) -> None:
    """As with the zip; in the same boot its sizes are enough."""
    reboot(with_tree, "debagged_work")
    assert debagged(with_tree)
    (with_tree.layout.work("W1") / "W1/images/1.jpg").write_bytes(b"\0\0\0\0\0")
    assert debagged(with_tree) is None


@pytest.mark.parametrize("name", FILES)
def test_a_tree_without_one_of_its_files_is_not_there(with_tree: Staging, name: str) -> None:
    """Synced, it would be a work with a hole."""
    (with_tree.layout.work("W1") / name).unlink()
    assert debagged(with_tree) is None


def test_a_tree_whose_list_was_cut_is_not_there(with_tree: Staging) -> None:
    """An empty list has no file that differs: a power cut would have proven everything."""
    path = with_tree.layout.fixity("W1")
    whole = path.read_bytes()
    ends = [0, *(index + 1 for index, byte in enumerate(whole[:-1]) if byte == ord("\n"))]
    for length in (*ends, len(whole) // 2, whole.index("བ".encode()) + 1):
        path.write_bytes(whole[:length])
        assert debagged(with_tree) is None
    path.write_bytes(b"\0" * len(whole))
    assert debagged(with_tree) is None
    path.write_bytes(whole)
    assert debagged(with_tree)
    path.unlink()
    assert debagged(with_tree) is None


def test_a_list_that_has_less_payload_than_the_bag_named_is_not_whole(with_tree: Staging) -> None:
    """What is not listed is not looked for in the archive: as many lines of other files would prove a hole."""
    path = with_tree.layout.fixity("W1")
    lines = dict(zip(FILES, path.read_text().splitlines(keepends=True), strict=True))
    tags, page, other = lines["W1/W1.bag/bagit.txt"], lines["W1/images/1.jpg"], lines["W2/a\nb"]
    for left_out, instead in ((page, tags), (page, other), (other, page), (page, page.replace(", 5, ", ", 4, "))):
        assert instead != left_out
        path.write_text("".join(line if line != left_out else instead for line in lines.values()))
        assert debagged(with_tree) is None
    path.write_text("".join(lines.values()))
    assert debagged(with_tree)
