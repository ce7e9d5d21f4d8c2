"""The boot: which start of this machine this is, so that what an earlier one wrote is not taken for durable."""

from __future__ import annotations

from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Returns the id of this machine's present boot. What an earlier boot wrote may not have reached the disk."""
    return _BOOT_ID.read_text().strip()
