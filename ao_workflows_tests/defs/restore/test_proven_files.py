"""What is proven of a work that came in parts: by whichever part brought a file last, and by no part done anew."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows.clients import staging
from ao_workflows.defs.restore.proven_files import proven_files
from ao_workflows.works.parts import Part
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import RID, part_zip, restored, run_part
from ao_workflows_tests.support.sites import TrialSite, trial_site

GROUP, CHANGES = f"{RID}-I1", f"{RID}-2025-03-02-inventory"
PAGE = f"images/{GROUP}/1.jpg"


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def proven(site: TrialSite, name: str) -> dict[str, str]:
    """The SHA-512 that is proven of each file after that part's sync."""
    found = proven_files(staging(site.site), site.site.archive.parent, RID, Part(RID, name))
    return {path: digests["sha512"] for path, digests in found.items()}


def of(files: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha512(data).hexdigest() for path, data in files.items()}


def test_a_file_is_proven_by_the_newest_part_that_wrote_it_whichever_came_last(site: TrialSite) -> None:
    """By the older one's digest a file that is right would be called rotten."""
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"old", "sources/m": b"m"}))
    group = restored(site, GROUP, part_zip(GROUP, {PAGE: b"page"}))
    change = restored(site, CHANGES, part_zip(CHANGES, {"sources/n": b"new"}))
    assert proven(site, RID) == {}
    for name, body in ((CHANGES, change), (GROUP, group), (RID, rest)):
        assert run_part(site, name, body).success
    files = {"sources/n": b"new", "sources/m": b"m", PAGE: b"page"}
    assert [proven(site, name) for name in (RID, GROUP, CHANGES)] == [of(files)] * 3


def test_a_part_that_is_done_anew_proves_nothing_until_it_is_synced(site: TrialSite) -> None:
    """Its list is that of what is to come, and the archive has what was there before."""
    group = restored(site, GROUP, part_zip(GROUP, {PAGE: b"page"}))
    assert run_part(site, GROUP, group).success
    assert run_part(site, RID, restored(site, RID, part_zip(RID, {"sources/n": b"n"}))).success
    later = restored(site, GROUP, part_zip(GROUP, {PAGE: b"anew"}), at="2026-11-23T06:32:44.000Z")
    assert run_part(site, GROUP, later, select="*debagged_work").success
    assert proven(site, RID) == of({"sources/n": b"n"})
    assert run_part(site, GROUP, select="synced_archive").success
    assert proven(site, RID) == of({"sources/n": b"n", PAGE: b"anew"})
