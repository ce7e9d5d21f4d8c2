"""Bags: a zip of BagIt bags becomes the folders of its works, or is refused with everything that is wrong.

What belongs here: BagIt's rules (RFC 8493), with ``bagit`` as their authority, and the safe way out of a zip. What
does not: where in staging the folders go, and what a run says of it.
"""

from __future__ import annotations

import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import bagit

from ao_workflows.domain.errors import BagInvalid, Problem, StagingError, ZipRefused
from ao_workflows.domain.fixity import FileFixity
from ao_workflows.domain.works import parse_rid

BAG_SUFFIX = ".bag"


@dataclass(frozen=True)
class DebaggedWork:
    """One work of a zip: its RID, its payload's files and bytes, the algorithms that its manifests name."""

    rid: str
    files: int
    bytes: int
    algorithms: tuple[str, ...]


@dataclass(frozen=True)
class Debagged:
    """What a zip became: its works, the fixity of their files, warnings, bytes written and seconds taken."""

    works: tuple[DebaggedWork, ...]
    files: tuple[FileFixity, ...]
    warnings: tuple[str, ...]
    bytes: int
    seconds: float


def debag(
    zip_path: Path,
    into: Path,
    *,
    under_way: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Debagged:
    """Unpacks a zip of bags, proves every file, and leaves each work in ``into/<RID>``.

    ``into`` appears in one rename of ``under_way``, in place of what was there, or not at all. ``progress`` is
    told bytes done and bytes in all.

    :raises ZipRefused: if the file is no zip, or a member would leave its folder.
    :raises BagInvalid: with every problem, if a bag is not what its manifests say.
    :raises StagingError: if the disk refuses.
    """
    started = time.monotonic()
    under_way = under_way or into.with_name(f".{into.name}.tmp")
    shutil.rmtree(under_way, ignore_errors=True)
    try:
        bags = _unpack(zip_path, under_way / "bags", progress or (lambda _done, _all: None))
        works, files = [], []
        for folder in bags:
            rid = parse_rid(folder.name.removesuffix(BAG_SUFFIX))
            bag = _proven(folder)
            listed = [
                FileFixity(
                    rid,
                    PurePosixPath(path).relative_to("data").as_posix(),
                    (folder / path).stat().st_size,
                    digests,
                )
                for path, digests in bag.payload_entries().items()
            ]
            (folder / "data").rename(under_way / rid)
            works.append(DebaggedWork(rid, len(listed), sum(file.size for file in listed), tuple(bag.algorithms)))
            files += listed
        shutil.rmtree(under_way / "bags")
        if into.exists():
            shutil.rmtree(into)
        under_way.rename(into)
    except OSError as error:
        raise StagingError(into, f"{zip_path.name} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(under_way, ignore_errors=True)
    return Debagged(tuple(works), tuple(files), (), sum(work.bytes for work in works), time.monotonic() - started)


def _unpack(zip_path: Path, into: Path, progress: Callable[[int, int], None]) -> list[Path]:
    """Unpacks the zip, and returns the folders of its bags."""
    try:
        with zipfile.ZipFile(zip_path) as archive:
            members = archive.infolist()
            for member in members:
                if reason := _unsafe(member):
                    raise ZipRefused(zip_path, member.filename, reason)
            total, done = sum(member.file_size for member in members), 0
            for member in members:
                archive.extract(member, into)
                done += member.file_size
                progress(done, total)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise ZipRefused(zip_path, None, f"it is no zip that can be read: {error}") from error
    bags = sorted(folder for folder in into.glob("*") if folder.name.endswith(BAG_SUFFIX) and folder.is_dir())
    if not bags:
        raise ZipRefused(zip_path, None, f"it holds no bag: no folder whose name ends in {BAG_SUFFIX} is at its top")
    return bags


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be unpacked, or None."""
    parts = member.filename.rstrip("/").split("/")
    if member.filename.startswith("/") or "\\" in member.filename or any(part in ("", ".", "..") for part in parts):
        return "its path would leave its folder"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and kind not in (stat.S_IFREG, stat.S_IFDIR):
        return "it is neither a file nor a folder"
    return None


def _proven(folder: Path) -> bagit.Bag:
    """The bag in ``folder``, all its files and digests as its manifests say."""
    try:
        bag = bagit.Bag(str(folder))
        missing, unexpected = bag.compare_manifests_with_fs()
        problems = [
            *(Problem("missing", path, "is in the manifest and not in the bag") for path in sorted(missing)),
            *(Problem("unexpected", path, "is in the bag and not in the manifest") for path in sorted(unexpected)),
        ]
        if not problems:
            bag.validate(processes=1)
    except bagit.BagValidationError as error:
        problems = [_in_words(detail) for detail in error.details] or [Problem("structure", folder.name, str(error))]
    except bagit.BagError as error:
        problems = [Problem("structure", folder.name, str(error))]
    if problems:
        raise BagInvalid(folder.name, problems)
    return bag


def _in_words(detail: Exception) -> Problem:
    if isinstance(detail, bagit.ChecksumMismatch):
        return Problem(
            "checksum",
            detail.path,
            f"its {detail.algorithm} is not the manifest's",
            detail.algorithm,
            detail.expected,
            detail.found,
        )
    return Problem("structure", getattr(detail, "path", ""), str(detail))
