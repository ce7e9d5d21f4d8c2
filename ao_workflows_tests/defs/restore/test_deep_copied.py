"""The stage that puts a synced work into the deep archive: real script, archive and database, S3 over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.deep_copy.copying import CopiedWork
from ao_workflows.definitions import build
from ao_workflows.defs.restore.deep_copied import said_of
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.deep_copies import payload_of
from ao_workflows_tests.support.folder_sites import folder_site, folder_site_toml
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import failure_of, part_zip, restored, run_part
from ao_workflows_tests.support.sites import TrialSite, bag_zip, trial_site

RID = "W1NLM4700"
GROUP = f"{RID}-I1"
FILES = {f"images/{GROUP}/0001.jpg": b"page", "sources/notes.txt": b"notes"}


@pytest.fixture
def bucket(aws: Aws) -> str:
    return aws.make_bucket(versioned=True)


@pytest.fixture
def site(tmp_path: Path, aws: Aws, bucket: str) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield with_copies(trial, f'bucket = "{bucket}"')


def with_copies(trial: TrialSite, where: str) -> TrialSite:
    """The site with a bucket for deep copies, as its site.toml says."""
    way = trial.aws.connection
    text = (trial.folder / "site.toml").read_text() + f'\n[deep_copy]\n{where}\nenvironment = "demo"\n'
    text += f'region = "{way.region}"\naws_profile = "{way.profile}"\nendpoint_url = "{way.endpoint_url}"\n'
    if where.startswith("intake"):
        text = text.partition("[deep_copy]")[0] + f"[deep_copy]\n{where}\n"
    return TrialSite(trial.folder, parse(text, "the test's site"), trial.aws, trial.instance)


def checked(result: dg.ExecuteInProcessResult) -> Any:
    """What the stage's check says."""
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == "is_in_deep_archive")


def objects(aws: Aws, bucket: str) -> list[str]:
    return sorted(each["Key"] for each in aws.s3.list_objects_v2(Bucket=bucket).get("Contents", ()))


def test_a_site_without_the_setting_has_no_such_stage(tmp_path: Path, aws: Aws) -> None:
    """What nobody asked for costs nobody anything."""
    with trial_site(tmp_path, aws) as site:
        keys = {key.to_user_string() for key in build(site.site).resolve_all_asset_keys()}
    assert keys == {"restored_message", "downloaded_bag", "debagged_work", "synced_archive", "stuck_works"}


def test_with_it_the_job_that_restores_a_work_has_the_stage(site: TrialSite) -> None:
    """What an event starts is that job."""
    job = build(site.site).resolve_job_def("restore_work")
    assert "deep_copied" in {key.to_user_string() for key in job.asset_layer.executable_asset_keys}


def test_a_synced_work_is_in_the_deep_archive_and_drs_says_where(site: TrialSite, aws: Aws, bucket: str) -> None:
    """What is only in the archive is lost with it."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert result.success
    keys = [f"Archive0/00/{RID}/{name}.bag.zip" for name in (GROUP, RID)]
    assert objects(aws, bucket) == keys
    zipped = aws.s3.get_object(Bucket=bucket, Key=keys[0])["Body"].read()
    assert payload_of(zipped, GROUP) == {f"{GROUP}/images/0001.jpg": b"page"}
    assert checked(result).passed
    (row,) = site.drs.rows([RID])
    (noted,) = [entry.data for entry in row.entries if "deep_copied" in entry.data]
    assert [part["key"] for part in noted["deep_copied"]] == keys
    assert all(part["version"] and part["crc64nvme"] and part["bytes"] for part in noted["deep_copied"])


def test_a_work_that_was_put_into_a_folder_is_copied(tmp_path: Path, aws: Aws, bucket: str) -> None:
    """It was never in Glacier: the archive has the only copy."""
    with folder_site(tmp_path) as trial:
        way = aws.connection
        text = folder_site_toml(tmp_path, trial.drop).replace(f"{tmp_path}/aws-credentials", str(way.credentials_file))
        text += f'\n[deep_copy]\nbucket = "{bucket}"\nenvironment = "demo"\nregion = "{way.region}"\n'
        text += f'aws_profile = "{way.profile}"\nendpoint_url = "{way.endpoint_url}"\n'
        site = replace(trial, site=parse(text, "the test's site"))
        site.put(f"{RID}.bag.zip", bag_zip(RID, FILES), age=60)
        results = site.run_requested(site.tick(site.tick().cursor))
        assert [result.success for result in results] == [True]
    assert len(objects(aws, bucket)) == 2


def test_run_again_it_copies_nothing_and_is_green(site: TrialSite, aws: Aws, bucket: str) -> None:
    """Any run may be run again, and each copy costs the archive its storage."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    result = site.run(RID, select="deep_copied")
    assert result.success
    assert checked(result).description == "nothing has changed since the last copy"
    assert len(aws.s3.list_object_versions(Bucket=bucket)["Versions"]) == 2


def test_a_part_that_a_killed_run_has_copied_is_told_by_the_next(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In DRS the work would never have been copied."""

    def killed(*_words: Any) -> None:
        raise dg.Failure("killed", allow_retries=False)

    site.run(RID, site.restore(RID, bag_zip(RID, FILES)), select="*synced_archive")
    with monkeypatch.context() as dying:
        dying.setattr("ao_workflows.defs.restore.deep_copied.said_of", killed)
        assert not site.run(RID, select="deep_copied").success
    assert site.run(RID, select="deep_copied").success
    (row,) = site.drs.rows([RID])
    (noted,) = [entry.data for entry in row.entries if "deep_copied" in entry.data]
    assert len(noted["deep_copied"]) == 2


def test_a_file_that_rotted_since_its_sync_is_named_and_not_copied(site: TrialSite, aws: Aws, bucket: str) -> None:
    """The deep archive would have the rotten page, and nobody would know."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)), select="*synced_archive")
    (site.place(RID) / f"images/{GROUP}/0001.jpg").write_bytes(b"pagf")
    result = site.run(RID, select="deep_copied")
    assert not result.success
    failure = result.failure_data_for_node("deep_copied")
    assert failure
    assert failure.user_failure_data
    assert f"images/{GROUP}/0001.jpg: has another sha512 than was proven" in str(failure.user_failure_data.description)
    assert not checked(result).passed
    assert objects(aws, bucket) == []
    (row,) = site.drs.rows([RID])
    assert any("not deep-copied" in entry.data for entry in row.entries)


def test_what_came_from_that_bucket_is_not_sent_back_there(tmp_path: Path, aws: Aws) -> None:
    """Each restore of a work would make another copy of it."""
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        site = with_copies(trial, 'intake = "demo"')
        result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        assert result.success
        assert checked(result).description == "it came from the deep archive, which has it"
        assert len(objects(aws, trial.intake.bucket)) == 1


def test_what_no_delivery_proved_is_a_warning() -> None:
    """A copy of what nobody has proven is better than none, and less than a proven one."""
    said = said_of({"W1": CopiedWork((), 0, 3, ("W1-I9",), None)})
    assert "3 files of these were in the archive" in said
    assert "the deep archive still has W1-I9" in said


OTHER, CHANGES = f"{RID}-I2", f"{RID}-2025-03-02-inventory"


def test_of_parts_from_elsewhere_each_brings_what_the_deep_archive_lacks(
    site: TrialSite, aws: Aws, bucket: str
) -> None:
    """What the other parts brought is proven by them: it is no file that nobody has proven."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"page"}))
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"n"}))
    assert run_part(site, GROUP, group, select="*synced_archive").success
    result = run_part(site, RID, rest)
    assert result.success
    assert (checked(result).passed, checked(result).description) == (
        True,
        "2 parts, each with the checksum that S3 computed",
    )
    other = run_part(site, OTHER, restored(site, OTHER, part_zip(OTHER, {f"images/{OTHER}/1.jpg": b"page"})))
    assert (checked(other).passed, len(objects(aws, bucket))) == (True, 3)
    assert len(aws.s3.list_object_versions(Bucket=bucket)["Versions"]) == 3
    entries = [entry for row in site.drs.rows_of(RID) for entry in row.entries if "deep_copied" in entry.data]
    assert {entry.data.get("part"): len(entry.data["deep_copied"]) for entry in entries} == {None: 2, OTHER: 1}, (
        "what a part's run copied is that part's"
    )


def test_a_part_that_came_late_is_no_fault_of_what_a_newer_one_wrote(site: TrialSite, aws: Aws, bucket: str) -> None:
    """It was compared with the older part's digest, and no copy was made until somebody looked for rot."""
    rest = restored(site, RID, part_zip(RID, {"sources/n": b"old", "sources/m": b"m"}))
    change = restored(site, CHANGES, part_zip(CHANGES, {"sources/n": b"new"}))
    assert run_part(site, CHANGES, change).success
    result = run_part(site, RID, rest)
    assert result.success
    assert checked(result).passed
    inventory, whole = objects(aws, bucket)
    assert "-inventory" in inventory
    newest = payload_of(aws.s3.get_object(Bucket=bucket, Key=whole)["Body"].read(), RID)
    assert newest == {f"{RID}/sources/n": b"new"}, "copied first, before the rest had come"
    assert run_part(site, RID, select="deep_copied").success


@pytest.mark.parametrize("found", [b"pagf", None], ids=["rotten", "gone"])
def test_what_another_part_proved_and_the_archive_has_no_more_is_named(
    site: TrialSite, aws: Aws, bucket: str, found: bytes | None
) -> None:
    """The deep archive's newest version would be without the page, or with the rotten one, and nobody would know."""
    group = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"page", f"images/{GROUP}/2.jpg": b"2"}))
    assert run_part(site, GROUP, group, select="*synced_archive").success
    page = site.place(RID) / f"images/{GROUP}/1.jpg"
    page.unlink()
    if found:
        page.write_bytes(found)
    result = run_part(site, RID, restored(site, RID, part_zip(RID, {"sources/n": b"n"})))
    assert f"images/{GROUP}/1.jpg" in failure_of(result)
    assert objects(aws, bucket) == []


def test_a_part_that_came_from_that_bucket_is_not_sent_back_there(tmp_path: Path, aws: Aws) -> None:
    """Of a work of a thousand groups each would be copied a thousand times."""
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        site = with_copies(trial, 'intake = "demo"')
        body = restored(site, GROUP, part_zip(GROUP, {f"images/{GROUP}/1.jpg": b"page"}))
        result = run_part(site, GROUP, body)
        assert checked(result).passed
        assert checked(result).description == "it came from the deep archive, which has it"
        assert len(aws.s3.list_object_versions(Bucket=trial.intake.bucket)["Versions"]) == 1
