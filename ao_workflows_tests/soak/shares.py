"""The soak's archive: four shares, each a file system of its own, mounted where the site looks for them.

What belongs here: mounting and unmounting. What does not: when (``machine``).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ao_workflows import clients
from ao_workflows.archive.shares import SHARES
from ao_workflows.demo.run import DemoFolder
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse

_UNSHARED = "AO_SOAK_UNSHARED"
"""Set in the process that has mounts of its own."""


def with_mounts_of_our_own() -> bool:
    """Goes on as a process whose mounts nobody else sees, and which are gone when it and its children end.

    Returns false where that is not allowed; where it is, the module is started anew, and it returns true there.
    """
    unshare = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    if _UNSHARED not in os.environ and not subprocess.run([*unshare, "true"], check=False).returncode:
        os.environ[_UNSHARED] = "1"
        os.execvp(unshare[0], [*unshare, sys.executable, "-m", "ao_workflows_tests.soak", *sys.argv[1:]])  # noqa: S606
    return _UNSHARED in os.environ


class Shares:
    """The shares of a demo's folder; what each holds lies in ``disks``, and its mount point has nothing below it."""

    def __init__(self, folder: DemoFolder) -> None:
        self._archive = folder.archive
        self._disks = folder.root / "disks"
        self._disks.mkdir()
        for share in SHARES:
            (self._archive / self._name(share)).rename(self._disks / self._name(share))
            (self._archive / self._name(share)).mkdir()
            self.mount(share)
        site = parse(demo_site(folder.root, endpoint_url=None), "the soak's site")
        _, refused = clients.archive_shares(site).set_up(exchanged=frozenset(SHARES))
        if refused:
            raise RuntimeError(f"the shares cannot be set up: {refused}")

    def mount(self, share: int) -> None:
        name = self._name(share)
        subprocess.run(["mount", "--bind", self._disks / name, self._archive / name], check=True)

    def unmount(self, share: int) -> None:
        """As ``umount --lazy``: whoever has a file open there keeps it, and nobody else finds the share."""
        subprocess.run(["umount", "--lazy", self._archive / self._name(share)], check=True)

    def below(self) -> list[Path]:
        """Unmounts all, and returns what was written below the mount points, where no archive is."""
        for share in SHARES:
            self.unmount(share)
        return sorted(path for path in self._archive.rglob("*") if path.parent != self._archive)

    @staticmethod
    def _name(share: int) -> str:
        return f"Archive{share}"
