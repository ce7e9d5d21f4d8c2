"""Rules for the archive's shares: how one is distinguished from another, and from a mount point with nothing on it.

What belongs here: what a share is known by, its own places, and comparing what was found with what was noted. What does
not: looking, and writing markers and notes (``mounted_shares``).

A share is known by two things that were noted when it was set up: the id in its marker, a file in the share itself, and
its device. The marker distinguishes a share from another, and from what lies below its mount point. The device
distinguishes a share from a copy of it, marker and all, in the folder that it is mounted on.
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
"""The platform's own folder in a share: no RID and no bucket has such a name."""

MARKER = f"{OWN_FOLDER}/share.json"


def place_lock(parent: Path, rid: str) -> Path:
    """Returns the file that is locked by whoever writes the work into the archive."""
    return share_tree(parent, share_number(rid)) / OWN_FOLDER / "locks" / f"{rid}.lock"


REPLACED_AT = "%Y-%m-%dT%H.%M.%S.%fZ"
"""How the moment is written: without colons, which SMB does not take."""


def replaced_folder(share: Path) -> Path:
    """Returns where a share of the archive keeps what syncs took from its works."""
    return share / OWN_FOLDER / "replaced"


def replaced_place(parent: Path, rid: str, at: datetime) -> Path:
    """Returns where that is kept which the sync beginning at a moment takes from the work."""
    tree = share_tree(parent, share_number(rid))
    return replaced_folder(tree) / rid / at.astimezone(UTC).strftime(REPLACED_AT)


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
    """The file system that a folder is on: its type, its source as mounted, and whether it is mounted at that very
    folder.
    """

    kind: str
    source: str
    mounted_there: bool

    def __str__(self) -> str:
        return f"{self.kind} from {self.source}, {'' if self.mounted_there else 'not '}mounted there"

    def is_like(self, other: Device) -> bool:
        """Whether the two may be the same device, seen on two days or in two containers."""
        return (self.kind, self.mounted_there, _stable(self.source)) == (
            other.kind,
            other.mounted_there,
            _stable(other.source),
        )


def _stable(source: str) -> str:
    """A source that keeps its name over boots; empty where it may be another one's by then, as /dev/sdb1 may."""
    server = ":" in source or source.startswith("//")
    return source if server or source.startswith("/dev/mapper/") else ""


def device_of(mount: int, mount_above: int, mountinfo: str) -> Device:
    """Returns the device of a folder.

    :param mount: the id of the folder's mount; ``mount_above`` is that of the folder above it.
    :param mountinfo: the text of /proc/self/mountinfo,
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
    """What a site has noted of a share: the marker's id, the device, and when."""

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
    """Returns how a share differs from what was noted of it; empty if it does not."""
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
    """Returns why a share is not set up with what was found at its place, and what to do about it; empty if it is.

    :param noted: what was noted of it before, if anything.
    :param plain_folder: whether it is meant to be a folder of the disk above it.
    :param exchanged: whether it is meant to be another share than the one that was noted.
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
