"""What a share is known by, judged without looking at one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.archive.places import archive_place, share_number
from ao_workflows.archive.shares import (
    OWN_FOLDER,
    Device,
    Marker,
    ShareNote,
    device_of,
    dump_notes,
    fault_of,
    parse_notes,
    place_lock,
    refusal_of,
)
from ao_workflows.errors import RidError
from ao_workflows.works.rids import parse_rid

NFS = Device("nfs4", "nas.example:/archive0", mounted_there=True)
DISK = Device("ext4", "/dev/sdb1", mounted_there=True)
FOLDER = Device("ext4", "/dev/sda1", mounted_there=False)
MARKER = Marker("id-0", 0, "2026-11-28T00:00:00+00:00", "host")
NOTED = ShareNote("id-0", NFS, "2026-11-28T00:00:00+00:00")

MOUNTINFO = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:50 / /mnt/Archive0 rw shared:2 - nfs4 nas.example:/archive\\0400 rw,vers=4.2
41 22 0:51 / /mnt/Archive0 rw - tmpfs none rw
"""


def test_a_share_is_what_was_noted_of_it_only_with_its_id_and_its_device() -> None:
    """Each of these had a work copied into it, proven there, and its staged copy freed."""
    assert fault_of(0, NOTED, MARKER, NFS) == ""
    assert "is the share mounted? The folder is no disk of its own now" in fault_of(0, NOTED, None, FOLDER)
    assert "another disk is mounted there" in fault_of(0, NOTED, Marker("id-9", 0, "", ""), NFS)
    assert fault_of(0, NOTED, Marker("id-1", 1, "", ""), NFS).startswith("is marked as share 1")
    assert "only a copy of its marker is there" in fault_of(0, NOTED, MARKER, FOLDER)
    other = Device("nfs4", "other.example:/archive0", mounted_there=True)
    assert "only a copy of its marker is there" in fault_of(0, NOTED, MARKER, other)


def test_a_disk_may_have_another_name_after_the_next_boot() -> None:
    """/dev/sdb is whatever disk answered second: a share must not be lost for that."""
    noted = ShareNote("id-0", DISK, "")
    assert fault_of(0, noted, MARKER, Device("ext4", "/dev/sdc1", mounted_there=True)) == ""
    assert fault_of(0, noted, MARKER, Device("xfs", "/dev/sdb1", mounted_there=True)) != ""
    mapped = Device("ext4", "/dev/mapper/archive0", mounted_there=True)
    assert (
        fault_of(0, ShareNote("id-0", mapped, ""), MARKER, Device("ext4", "/dev/mapper/other", mounted_there=True))
        != ""
    )


def test_a_device_is_found_by_the_number_of_its_mount() -> None:
    """Of two mounts on one path, a search by path would find the one that is hidden."""
    assert device_of(40, 22, MOUNTINFO) == Device("nfs4", "nas.example:/archive 0", mounted_there=True)
    assert device_of(41, 22, MOUNTINFO).kind == "tmpfs"
    assert device_of(22, 22, MOUNTINFO) == Device("ext4", "/dev/vda", mounted_there=False)


def test_a_mount_point_without_a_mount_is_not_set_up_unless_a_plain_folder_is_meant() -> None:
    """Set up while nothing was mounted, the folder below would be the share for ever after."""
    refused = refusal_of(0, None, None, FOLDER, plain_folder=False, exchanged=False)
    assert "as a mount point is with nothing mounted on it" in refused
    assert "--plain-folder 0" in refused
    assert refusal_of(0, None, None, FOLDER, plain_folder=True, exchanged=False) == ""
    assert refusal_of(0, None, None, NFS, plain_folder=False, exchanged=False) == ""
    # Once noted, it need not be said again; of a share that was mounted, it is not enough.
    plain = ShareNote("id-0", FOLDER, "")
    assert refusal_of(0, plain, MARKER, FOLDER, plain_folder=False, exchanged=False) == ""
    assert "--exchanged 0" in refusal_of(0, NOTED, None, FOLDER, plain_folder=True, exchanged=False)
    assert "nothing mounted on it" in refusal_of(0, NOTED, None, FOLDER, plain_folder=False, exchanged=True)


def test_another_share_than_was_noted_is_accepted_only_by_its_number() -> None:
    """A swapped cable must not become the new truth because somebody ran the command again."""
    other = Marker("id-9", 0, "", "")
    assert "--exchanged 0" in refusal_of(0, NOTED, other, NFS, plain_folder=False, exchanged=False)
    assert "--exchanged 0" in refusal_of(0, NOTED, None, NFS, plain_folder=False, exchanged=False)
    assert refusal_of(0, NOTED, other, NFS, plain_folder=False, exchanged=True) == ""
    swapped = Marker("id-1", 1, "", "")
    assert "is marked as share 1" in refusal_of(0, NOTED, swapped, NFS, plain_folder=False, exchanged=True)
    assert "is marked as share 1" in refusal_of(0, None, swapped, NFS, plain_folder=False, exchanged=False)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"id": "x"}', '{"id": 1, "share": 0, "at": "", "host": ""}'])
def test_what_is_no_marker_is_none(text: str) -> None:
    """A file of another tool's, or half a one, must not end a run in a stack trace, nor count."""
    assert Marker.parse(text.encode()) is None


def test_marker_and_notes_come_back_as_they_were() -> None:
    """What was noted years ago is what a share is held to."""
    assert Marker.parse(MARKER.dump().encode()) == MARKER
    notes = {0: NOTED, 3: ShareNote("id-3", FOLDER, "")}
    assert parse_notes(dump_notes(notes).encode()) == notes
    for broken in ("[]", '{"0": {}}', '{"0": 1}', "{", '{"x": {"id": "", "device": {}, "at": ""}}'):
        with pytest.raises(ValueError):
            parse_notes(broken.encode())


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=64))
def test_no_works_place_is_in_the_platforms_own_folder_and_each_has_its_lock(name: str) -> None:
    """A work called as a lock or the marker would be locked, or overwritten, by itself."""
    try:
        rid = parse_rid(name)
    except RidError:
        return
    parent = Path("/mnt/Archive")
    place, lock = archive_place(parent, rid), place_lock(parent, rid)
    assert OWN_FOLDER not in place.parts
    assert lock.relative_to(f"/mnt/Archive{share_number(rid)}/{OWN_FOLDER}/locks").name == f"{rid}.lock"
    assert place.parts[2] == lock.parts[2]
