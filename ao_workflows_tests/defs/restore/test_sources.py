"""Where a work's zip comes from: a file that was dropped is taken, kept and removed as the one that it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows_tests.support.folder_sites import FolderSite, folder_site
from ao_workflows_tests.support.sites import PAGE, bag_zip

RID = "W1NLM4712"


NAME = f"{RID}.bag.zip"


FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "empty.txt": b""}


NEWER = FILES | {"more.txt": b"new"}
"""A file more: rsync does not look into one, such as a manifest, that has the size and the time of the one before."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FolderSite]:
    with folder_site(tmp_path / "site") as trial:
        yield trial


def _partitions(result: dg.SensorResult) -> list[str | None]:
    return [request.partition_key for request in result.run_requests or ()]


def test_a_reprocess_finds_the_file_whose_run_failed_before_it_stored_anything(site: FolderSite) -> None:
    """Else it would redo the work from what was restored a year ago, and look well."""
    site.put(NAME, bag_zip(RID, FILES))
    assert all(done.success for done in site.run_requested(site.tick()))
    site.put(NAME, bag_zip(RID, NEWER))
    assert _partitions(site.tick()) == [RID]
    assert site.run(RID).success
    assert (site.place(RID) / "more.txt").read_bytes() == b"new"
    assert site.saved() == []


def test_a_work_that_is_synced_cannot_be_brought_again_and_says_what_to_do(site: FolderSite) -> None:
    """Scratch and original are gone: a person has to put the zip into the folder."""
    site.put(NAME, bag_zip(RID, FILES))
    site.run_requested(site.tick())
    result = site.run(RID, select="downloaded_bag")
    failure = result.failure_data_for_node("downloaded_bag")
    assert failure
    assert failure.user_failure_data
    assert f"put its zip into {site.drop}" in str(failure.user_failure_data.description)
    assert site.run(RID, select="synced_archive").success


def test_a_newer_file_of_the_work_is_not_removed_with_the_one_that_was_synced(site: FolderSite) -> None:
    """Nobody has read it yet."""
    site.put(NAME, bag_zip(RID, FILES))
    broken = site.site.model_copy(update={"sync": site.site.sync.model_copy(update={"script": "/bin/false"})})
    failing = FolderSite(site.root, site.drop, broken, site.instance)
    (failed,) = failing.run_requested(site.tick())
    assert not failed.success
    site.put(NAME, bag_zip(RID, NEWER))
    site.tick()
    old, new = site.saved()
    assert site.run(RID, select="synced_archive").success
    assert site.saved() == [new]
    assert old < new


def test_a_file_is_not_removed_where_another_one_s_event_is_stored_by_now(site: FolderSite) -> None:
    """A sync by itself took the older file's folder for the newer one's event, and DRS had the newer as synced."""
    site.put(NAME, bag_zip(RID, FILES))
    broken = site.site.model_copy(update={"sync": site.site.sync.model_copy(update={"script": "/bin/false"})})
    FolderSite(site.root, site.drop, broken, site.instance).run_requested(site.tick())
    site.put(NAME, bag_zip(RID, NEWER))
    site.tick()
    both = site.saved()
    assert site.run(RID, select="restored_message").success
    assert not site.run(RID, select="synced_archive").success
    assert site.saved() == both


def test_an_original_that_was_written_to_since_it_was_copied_is_not_removed(site: FolderSite) -> None:
    """Those bytes are nowhere else."""
    site.put(NAME, bag_zip(RID, FILES))
    broken = site.site.model_copy(update={"sync": site.site.sync.model_copy(update={"script": "/bin/false"})})
    FolderSite(site.root, site.drop, broken, site.instance).run_requested(site.tick())
    (saved,) = site.saved()
    with (site.drop / "save" / saved).open("ab") as more:
        more.write(b"more")
    assert site.run(RID, select="synced_archive").success
    assert site.saved() == [saved]
