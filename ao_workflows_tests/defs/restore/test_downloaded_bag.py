"""The zip on the scratch disk: downloaded where it is not there, or not what the event means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.staging.receipt_files import read_receipts
from ao_workflows_tests.support.deliveries import (
    AS_LARGE,
    DOWNLOAD,
    NEW,
    OLD,
    RID,
    delivered,
    forced,
    in_archive,
    of_key,
    told,
)
from ao_workflows_tests.support.moto_server import Aws, without_checksums
from ao_workflows_tests.support.sites import TrialSite, bag_zip, trial_site


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        yield trial


def _zip(site: TrialSite) -> tuple[int, int]:
    found = site.layout.zip(RID).stat()
    return found.st_ino, found.st_mtime_ns


def _downloaded_for(site: TrialSite) -> str:
    """The hour of the event that the downloaded zip is for, by its receipt."""
    downloaded = read_receipts(site.layout, RID).downloaded
    assert downloaded
    return downloaded.event[-13:-11]


def test_a_version_that_is_on_the_disk_is_not_downloaded_again_for_another_event(site: TrialSite) -> None:
    """A message with 1,400 records of one work had it downloaded as often."""
    first = delivered(site, NEW, 6)
    assert site.run(RID, first, select=DOWNLOAD).success
    zip_before, of = _zip(site), of_key(first)
    again = told(site, of.pop("key"), 7, **of)
    assert site.run(RID, again, select=DOWNLOAD).success
    assert (_zip(site), _downloaded_for(site)) == (zip_before, "07")
    assert site.run(RID, again).success
    assert in_archive(site) == NEW


def test_another_version_is_downloaded_though_a_zip_of_the_work_is_there(site: TrialSite) -> None:
    """It has the same name, and the same size."""
    assert site.run(RID, delivered(site, AS_LARGE, 6), select=DOWNLOAD).success
    assert site.run(RID, delivered(site, OLD, 7)).success
    assert in_archive(site) == OLD
    assert site.run(RID, delivered(site, OLD, 8), select=DOWNLOAD).success
    elsewhere = delivered(site, OLD, 9, "trash/2019")
    zip_before = _zip(site)
    assert site.run(RID, select=DOWNLOAD, config=forced(elsewhere)).success
    assert _zip(site) != zip_before, "the same bytes, of another object"


def test_a_zip_that_is_not_whole_any_more_is_downloaded_again(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its receipt is of an earlier boot, and its bytes did not all reach the disk."""
    first = delivered(site, NEW, 6)
    assert site.run(RID, first, select=DOWNLOAD).success
    zip_path = site.layout.zip(RID)
    zip_path.write_bytes(bytes(zip_path.stat().st_size))
    monkeypatch.setattr("ao_workflows.staging.validity.boot_id", lambda: "another boot")
    of = of_key(first)
    assert site.run(RID, told(site, of.pop("key"), 7, **of)).success
    assert in_archive(site) == NEW


def test_without_versions_the_same_etag_is_believed_only_where_the_object_was_not_written_since(
    tmp_path: Path, aws: Aws
) -> None:
    """S3's ETag need not be a digest of the bytes."""
    with trial_site(tmp_path, aws) as site:
        first = site.restore(RID, bag_zip(RID, NEW))
        assert site.run(RID, first, select=DOWNLOAD).success
        zip_before = _zip(site)
        assert site.run(RID, first.replace("06:32:44", "07:00:00"), select=DOWNLOAD).success
        assert _zip(site) == zip_before
        time.sleep(1.1)  # S3 says whole seconds.
        again = site.restore(RID, bag_zip(RID, NEW)).replace("06:32:44", "08:00:00")
        assert site.run(RID, again, select=DOWNLOAD).success
        assert _zip(site) != zip_before


def test_a_zip_of_which_only_the_size_is_known_is_a_warning_and_goes_on(
    site: TrialSite,
) -> None:
    """The check was green, and its words said that no byte had been compared: nobody reads the words of a green one."""
    key, no_md5 = f"Archive0/12/{RID}/{RID}.bag.zip", {"ServerSideEncryption": "aws:kms", "StorageClass": "GLACIER"}
    put = without_checksums(site.aws).put_object(Bucket=site.intake.bucket, Key=key, Body=bag_zip(RID, NEW), **no_md5)
    result = site.run(RID, told(site, key, 7, versionId=put["VersionId"], eTag=put["ETag"].strip('"')))
    assert result.success
    assert in_archive(site) == NEW
    checks = {found.check_name: found for found in result.get_asset_check_evaluations()}
    assert not checks["is_what_s3_holds"].passed
    assert checks["is_what_s3_holds"].severity == dg.AssetCheckSeverity.WARN
    assert "compared with nothing, size only: " in str(checks["is_what_s3_holds"].description)
    assert checks["is_a_valid_bag"].passed
    assert checks["is_in_the_archive"].passed
