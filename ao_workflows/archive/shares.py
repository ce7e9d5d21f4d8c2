"""Rules for the archive's shares: how one is distinguished from another, and from a mount point with nothing on it.

What belongs here: what identifies a share, the platform's own files and folders in it, and comparing what was found
with what was noted. What does not: reading and writing markers and notes (``mounted_shares``).

A share is identified by two things that were noted when it was set up: the id in its marker, which is a file in the
share itself, and its device. The marker distinguishes a share from another one, and from the folder below its mount
point. The device distinguishes a share from a copy of it, marker included, in the folder that it is mounted on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ao_workflows.archive.places import share_number, share_tree

SHARES = range(4)

OWN_FOLDER = ".ao-archive"
"""The platform's own folder in a share. No RID and no bucket can have this name."""

MARKER = f"{OWN_FOLDER}/share.json"


def place_lock(parent: Path, rid: str) -> Path:
    """Returns the file that a process locks while it writes the work into the archive."""
    return share_tree(parent, share_number(rid)) / OWN_FOLDER / "locks" / f"{rid}.lock"


REPLACED_AT = "%Y-%m-%dT%H.%M.%S.%fZ"
"""The format of the moment in a folder's name, in UTC. It has no colons, which SMB does not allow in names."""


def replaced_folder(share: Path) -> Path:
    """Returns the folder of a share that keeps the files which syncs have changed or removed.

    :param share: the share's folder.
    """
    return share / OWN_FOLDER / "replaced"


def replaced_place(parent: Path, rid: str, at: datetime) -> Path:
    """Returns the folder that keeps the files of a work which one sync changes or removes.

    :param at: when that sync began, with a time zone.
    """
    tree = share_tree(parent, share_number(rid))
    return replaced_folder(tree) / rid / at.astimezone(UTC).strftime(REPLACED_AT)


def parts_folder(parent: Path, rid: str) -> Path:
    """Returns the folder in which it is noted what each part of a work has written."""
    return share_tree(parent, share_number(rid)) / OWN_FOLDER / "parts" / rid


@dataclass(frozen=True)
class Marker:
    """The content of a share's marker: its id, its number, and when and by which host it was set up."""

    id: str
    share: int
    at: str
    host: str

    @classmethod
    def parse(cls, text: bytes) -> Marker | None:
        """Reads what ``dump`` returned; returns None if the text is something else."""
        try:
            marker = cls(**json.loads(text))
        except (ValueError, TypeError):
            return None
        return marker if isinstance(marker.id, str) and marker.id and isinstance(marker.share, int) else None

    def dump(self) -> str:
        """Returns the marker as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"


@dataclass(frozen=True)
class Device:
    """The file system that a folder is on.

    ``kind`` is its type, and ``source`` what was mounted, such as ``server:/export`` or ``/dev/sdb1``.
    ``mounted_there`` says whether the folder itself is the mount point.
    """

    kind: str
    source: str
    mounted_there: bool

    def __str__(self) -> str:
        return f"{self.kind} from {self.source}, {'' if self.mounted_there else 'not '}mounted there"

    def is_like(self, other: Device) -> bool:
        """Whether the two may be the same device, seen at different times or from different containers."""
        return (self.kind, self.mounted_there, _stable(self.source)) == (
            other.kind,
            other.mounted_there,
            _stable(other.source),
        )


def _stable(source: str) -> str:
    """Returns a source whose name stays the same when the machine restarts; empty for one like /dev/sdb1, which may
    then name another disk.
    """
    server = ":" in source or source.startswith("//")
    return source if server or source.startswith("/dev/mapper/") else ""


def device_of(mount: int, mount_above: int, mountinfo: str) -> Device:
    """Returns the device that a folder is on.

    :param mount: the id of the mount that the folder is on, and ``mount_above`` that of its parent folder.
    :param mountinfo: the text of /proc/self/mountinfo, see
        https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    kind = source = "unknown"
    for line in mountinfo.splitlines():
        if line.split(maxsplit=1)[0] == str(mount):
            kind, source, *_ = (_unescaped(field) for field in line.partition(" - ")[2].split())
    return Device(kind, source, mount != mount_above)


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


@dataclass(frozen=True)
class ShareNote:
    """A site's note of a share: the id in its marker, its device, and when they were noted."""

    id: str
    device: Device
    at: str


def parse_notes(text: bytes) -> dict[int, ShareNote]:
    """Reads what ``dump_notes`` returned.

    :raises ValueError: if the text is something else.
    """
    try:
        read: dict[str, Any] = json.loads(text)
        return {
            int(share): ShareNote(noted["id"], Device(**noted["device"]), noted["at"]) for share, noted in read.items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def dump_notes(notes: Mapping[int, ShareNote]) -> str:
    """Returns the notes of all shares as JSON, by the shares' numbers."""
    return json.dumps({str(share): asdict(noted) for share, noted in sorted(notes.items())}, indent=1) + "\n"


def fault_of(share: int, noted: ShareNote, marker: Marker | None, device: Device) -> str:
    """Returns a message that says how a share differs from its note; empty if it does not.

    :param noted: the site's note of it.
    :param marker: the marker that was found, if any, and ``device`` the device.
    """
    if marker is None:
        unmounted = noted.device.mounted_there and not device.mounted_there
        there = "is no disk of its own now" if unmounted else f"is on {device}"
        return f"has no marker {MARKER} that can be read: is the share mounted? The folder {there}"
    if fault := _of_another(share, marker):
        return fault
    if marker.id != noted.id:
        return f"has the id {marker.id}, and {noted.id} was noted on {noted.at}: another disk is mounted there"
    if not noted.device.is_like(device):
        return f"is on {device}, and was on {noted.device} when that was noted: only a copy of its marker is there"
    return ""


def refusal_of(
    share: int,
    noted: ShareNote | None,
    marker: Marker | None,
    device: Device,
    *,
    plain_folder: bool,
    exchanged: bool,
) -> str:
    """Returns why a share cannot be set up as it was found, and what to do about it; empty if it can.

    :param noted: the earlier note of it, if there is one.
    :param marker: the marker that was found, if any, and ``device`` the device.
    :param plain_folder: whether it is allowed to be a plain folder on the disk of its parent folder.
    :param exchanged: whether its disk was exchanged on purpose, so that it may differ from the note.
    """
    plain_before = noted is not None and not noted.device.mounted_there
    if not (device.mounted_there or plain_folder or plain_before):
        return (
            f"is a plain folder (on {device}), as a mount point is with nothing mounted on it. Mount the share; or, if "
            f"a plain folder is meant: ao archive init --plain-folder {share}, or all"
        )
    if marker and (fault := _of_another(share, marker)):
        return f"{fault}. Mount it there; or, if its number is to be another, remove {MARKER} in it"
    if noted and not exchanged and (fault := fault_of(share, noted, marker, device)):
        return f"{fault}. Mount it as it was; or, if it was exchanged on purpose: ao archive init --exchanged {share}"
    return ""


def _of_another(share: int, marker: Marker) -> str:
    return "" if marker.share == share else f"is marked as share {marker.share}, and is mounted as share {share}"
