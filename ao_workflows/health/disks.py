"""What a site needs of this machine, tried: the scratch disk, the archive's trees, the sync script and its programs.

What belongs here: looking, and trying, in files of its own that are removed afterwards. What does not: services
(``connections``).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.errors import (
    ArchiveNotSetUp,
    ArchiveShareLost,
    StagingError,
    SyncOptionsError,
    SyncScriptMissing,
    WrongEnvironment,
)
from ao_workflows.health.findings import Finding, fail, nothing_mounted, ok, warn
from ao_workflows.machine.file_locks import lock_if_free
from ao_workflows.site.environments import refuse_other_environment
from ao_workflows.site.sections import CHECKOUT, Site
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.rejected_limit import kept_size

_GIB = 1 << 30
_NO_WORK = Path("/nonexistent")
_REFERENCE = CHECKOUT / "docker/sync/syncOneWork.sh"


def check_staging(site: Site) -> Iterator[Finding]:
    """Checks the scratch disk: that it is there and writable, that renaming and locking work on it, and its room."""
    what, root = "staging", site.staging.root
    try:
        with tempfile.TemporaryDirectory(prefix=".ao-site-check-", dir=root) as folder:
            old, new = Path(folder) / "old", Path(folder) / "new"
            old.write_bytes(b"x")
            old.rename(new)
            locks = _locks_work(new)
            folds = _folds(new)
        free = shutil.disk_usage(root).free
    except OSError as error:
        do = "make it, owned by the user that runs this; [staging] root in site.toml names it"
        yield fail(what, f"{root}: {error.strerror}", do)
        return
    if not locks:
        do = "use a local disk, or mount the share with locks: two runs could have the same work"
        yield fail(what, f"{root}: a lock (flock) that is held can be had again", do)
    if folds:
        yield _one_for_another(what, root)
    kept = kept_size(StagingLayout(root))
    reserve = max(0.0, site.staging.reserve_gib - kept.bytes / _GIB)
    figures = f"{free / _GIB:,.1f} GiB are free, {reserve:.3g} GiB of them the site's reserve"
    if free < reserve * _GIB:
        yield fail(what, f"{root}: {figures}", "free some: every work waits for room until then")
    elif locks:
        yield ok(what, f"{root}: files, renaming and locks work; {figures}")
    if kept.much:
        yield warn("rejected messages", str(kept), "ao intake rejected: send back or remove them, or more stay in SQS")
    yield from _mount(site, what, root)


def check_share(site: Site, share: int) -> Iterator[Finding]:
    """Checks one of the archive's trees: that it is there, mounted, the share that was noted, and that its buckets are
    writable.
    """
    shares = clients.archive_shares(site)
    tree = shares.tree(share)
    what = f"archive {tree}"
    try:
        buckets = sorted(name for name in os.listdir(tree) if len(name) == 2 and name.isdigit())  # noqa: PLR2004
        closed = [name for name in buckets if not os.access(tree / name, os.W_OK | os.X_OK)]
        with tempfile.TemporaryDirectory(
            prefix=".ao-site-check-", dir=tree / buckets[0] if buckets else tree
        ) as folder:
            (new := Path(folder) / "new").touch()
            folds = _folds(new)
        free = shutil.disk_usage(tree).free
    except OSError as error:
        do = "mount it, writable for the user that runs this; [archive] parent in site.toml names it without its digit"
        inside = f"{error.filename}: " if error.filename != tree else ""
        yield fail(what, f"{inside}{error.strerror}", do)
        return
    if closed:
        yield fail(what, f"not writable: {', '.join(closed)}", "give them to the user that runs this")
    else:
        yield ok(what, f"{len(buckets)} buckets, writable; {free / _GIB:,.1f} GiB are free")
    if folds:
        yield _one_for_another(what, tree)
    yield _known(shares, share)
    yield from _mount(site, what, tree)


def _known(shares: ArchiveShares, share: int) -> Finding:
    """Whether it is the share that was noted."""
    what, tree = f"share {share}", shares.tree(share)
    try:
        noted = shares.look(share)
    except ArchiveNotSetUp:
        do = "with every share mounted, run ao archive init: no work goes into the archive before"
        return fail(what, f"{tree} was never set up as a share of this site's archive", do)
    except ArchiveShareLost as error:
        return fail(what, f"{tree} {error.reason}", error.way_out)
    except StagingError as error:
        return fail(what, str(error), "see whose the file is")
    return ok(what, f"{tree} is {noted.id}, on {noted.device}, as was noted at {noted.at}")


def check_folder(site: Site, intake: str) -> Iterator[Finding]:
    """Checks a folder intake: that it is there, and that a file can be claimed in it."""
    section = site.folders[intake]
    what = f"intake {intake}: folder {section.folder}"
    try:
        refuse_other_environment(intake, section.environment, site.environment)
        with tempfile.TemporaryDirectory(prefix=".ao-site-check-", dir=section.folder) as folder:
            dropped = Path(folder) / "dropped"
            dropped.touch()
            dropped.rename(Path(folder) / "claimed")
    except WrongEnvironment as error:
        yield fail(what, str(error), "take it out of site.toml, or correct its environment")
    except OSError as error:
        do = "make or mount it, writable for the user that runs this; [[intake]] folder in site.toml names it"
        yield fail(what, error.strerror or str(error), do)
    else:
        yield ok(what, "is there, and files can be claimed in it")


def check_script(site: Site) -> Iterator[Finding]:
    """Checks the sync script, and the programs that it needs, as far as that is known."""
    what = "sync script"
    script = clients.sync_script(site)
    try:
        found = script.found()
    except SyncScriptMissing as error:
        yield fail(what, str(error), "install it, or make it executable")
        return
    yield ok(what, str(found))
    if site.sync.options:
        try:
            script.options_of(_NO_WORK)
        except SyncOptionsError as error:
            yield fail("sync options", str(error), "correct the file, or [sync] options in site.toml")
        else:
            yield ok("sync options", str(site.sync.options))
    path = site.sync.env.get("PATH")
    ours = _REFERENCE.exists() and found.resolve() == _REFERENCE
    if rsync := shutil.which("rsync", path=path):
        yield ok("rsync", rsync)
    elif ours:
        yield fail("rsync", "is not on the script's PATH", "install rsync")
    else:
        yield warn("rsync", "is not on the script's PATH", "install rsync, if the site's script needs it")
    if audit := shutil.which("audit-tool", path=path):
        yield ok("audit-tool", audit)
    else:
        do = "install audit-tool; without it the reference script syncs unaudited, and others may fail"
        yield warn("audit-tool", "is not on the script's PATH", do)
    if site.archive.web:
        sender = shutil.which("s5cmd", path=path) or shutil.which("aws", path=path)
        neither = "neither s5cmd nor aws is on the script's PATH"
        yield ok("web sender", sender) if sender else warn("web sender", neither, f"install one for {site.archive.web}")


def _mount(site: Site, what: str, path: Path) -> Iterator[Finding]:
    """The demo has everything in one folder, on whatever disk."""
    if site.environment != "demo":
        finding = nothing_mounted(what, path.resolve(), Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
        if finding:
            yield finding


def _folds(path: Path) -> bool:
    """Whether the file system takes a name in capitals for that of ``path``, which has none."""
    return path.with_name(path.name.upper()).exists()


def _one_for_another(what: str, place: Path) -> Finding:
    do = "use a disk or a share that tells them apart: two works whose RIDs differ in case only would be one folder"
    return fail(what, f"{place}: names that differ in case only are one", do)


def _locks_work(path: Path) -> bool:
    with path.open("rb") as one, path.open("rb") as other:
        lock_if_free(one.fileno())
        return not lock_if_free(other.fileno())
