"""The four stages of a work, run here with the real script, a real archive folder and S3 over HTTP."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.staging.receipt_files import read_placed, read_receipts
from ao_workflows.staging.receipts import Receipt
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.receipts import unversioned
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

RID = "W1NLM4712"
FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "archive/དཔེ་ཆ།.tif": PAGE * 3, "empty.txt": b""}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def _files(folder: Path) -> dict[str, bytes]:
    """The payload below a folder: what the bag declared, which may lie beside it, is left out."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_relative_to(folder / f"{folder.name}.bag")
    }


def _failure(result: dg.ExecuteInProcessResult, step: str) -> dg.StepFailureData | Any:
    return result.failure_data_for_node(step)


def test_a_restored_work_stands_verified_in_the_archive(site: TrialSite) -> None:
    """The platform's whole reason."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert result.success
    assert _files(site.place(RID)) == FILES
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(result.get_asset_check_evaluations()) == 3
    (row,) = site.drs.rows([RID])
    assert set(row.times) == {
        Stage.RESTORED_MESSAGE,
        Stage.DOWNLOADED_BAG,
        Stage.DEBAGGED_WORK,
        Stage.SYNCED_ARCHIVE,
    }


def test_scratch_is_freed_once_the_archive_has_the_work(site: TrialSite) -> None:
    """A work of 300 GB that stays on the scratch disk stops the next one."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert not site.layout.zip(RID).exists()
    assert not site.layout.work(RID).exists()


def test_metadata_says_what_a_person_wants_to_see(site: TrialSite) -> None:
    """An archivist reads the page, not the log."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    said = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    assert said["restored_message"]["object"].value == f"s3://{site.intake.bucket}/Archive0/12/{RID}/{RID}.bag.zip"
    assert said["downloaded_bag"]["bytes"].value > len(PAGE) * 4
    assert said["downloaded_bag"]["proven by"].value
    assert said["debagged_work"]["files"].value == 3
    assert said["debagged_work"]["bytes"].value == len(PAGE) * 4
    assert said["debagged_work"]["algorithms"].value == "sha512"
    assert said["synced_archive"]["archive"].value == str(site.place(RID))
    assert Path(str(said["synced_archive"]["log"].value)).read_text()
    assert all("RID" in metadata for metadata in said.values())


def test_a_stage_with_its_receipt_does_not_do_the_work_again(tmp_path: Path, aws: Aws) -> None:
    """A run that died late must not download 300 GB again."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        aws.s3.delete_object(Bucket=site.intake.bucket, Key=f"Archive0/12/{RID}/{RID}.bag.zip")
        before = site.layout.zip(RID).stat().st_mtime_ns
        shutil.rmtree(site.place(RID))
        assert site.run(RID, select="downloaded_bag+").success
        assert site.layout.zip(RID).stat().st_mtime_ns == before
        assert _files(site.place(RID)) == FILES


def _receipts(site: TrialSite) -> list[Receipt]:
    receipts = read_receipts(site.layout, RID)
    return [each for each in (*receipts.by_stage().values(), read_placed(site.layout, RID, RID)) if each]


def test_after_an_upgrade_nothing_is_done_again_that_the_release_before_has_done(tmp_path: Path, aws: Aws) -> None:
    """Its receipts have no version: each site would download all that it has on its disk."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        for receipt in (written := _receipts(site)):
            site.layout.receipt(RID, receipt.name).write_text(json.dumps(unversioned(receipt)))
        assert len(written) == 5
        assert _receipts(site) == written
        aws.s3.delete_object(Bucket=site.intake.bucket, Key=f"Archive0/12/{RID}/{RID}.bag.zip")
        before = [path.stat().st_ino for path in (site.layout.zip(RID), site.layout.work(RID))]
        result = site.run(RID, select="downloaded_bag+")
        assert result.success
        assert [path.stat().st_ino for path in (site.layout.zip(RID), site.layout.work(RID))] == before
        said = "\n".join(entry.user_message for entry in site.instance.all_logs(result.run_id))
        assert f"{RID}: the zip is here since {written[1].at.isoformat()}, from run {written[1].run_id}" in said
        assert f"{RID}: synced at {written[4].at.isoformat()} by run {written[4].run_id}, and still as it was" in said
        assert "is no receipt that can be used" not in said


@pytest.mark.parametrize("spoilt", [b'{"version": 99}', b"", b"{", b"[]", b"\xff"])
def test_a_stage_whose_receipt_cannot_be_used_is_done_again_and_says_so(
    tmp_path: Path, aws: Aws, spoilt: bytes
) -> None:
    """After a way back from a newer release, or a power cut: no work is to wait for a person there."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        paths = [site.layout.receipt(RID, receipt.name) for receipt in _receipts(site)[1:]]
        for path in paths:
            path.write_bytes(spoilt)
        before = site.layout.zip(RID).stat().st_mtime_ns
        result = site.run(RID, select="downloaded_bag+")
        assert result.success
        assert site.layout.zip(RID).stat().st_mtime_ns != before
        assert len(_receipts(site)) == 5
        said = "\n".join(entry.user_message for entry in site.instance.all_logs(result.run_id))
        for path in paths:
            assert f"staging: {path}: is no receipt that can be used: it is" in said


def test_a_zip_stays_whose_receipt_cannot_be_used_and_whose_object_is_gone(tmp_path: Path, aws: Aws) -> None:
    """The release that wrote the receipt knows the zip, which may be all that is left of the object."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)), select=["restored_message", "downloaded_bag"])
        site.layout.receipt(RID, "downloaded_bag").write_text('{"version": 99}')
        aws.s3.delete_object(Bucket=site.intake.bucket, Key=f"Archive0/12/{RID}/{RID}.bag.zip")
        assert not site.run(RID, select="downloaded_bag").success
        assert site.layout.zip(RID).exists()


def test_a_stored_event_that_cannot_be_used_is_taken_from_its_message_again(tmp_path: Path, aws: Aws) -> None:
    """The run says which file it is, and what was done for the event is not done again."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        message = site.restore(RID, bag_zip(RID, FILES))
        site.run(RID, message)
        before, path = site.layout.zip(RID).stat().st_mtime_ns, site.layout.receipt(RID, "restored_message")
        path.write_text('{"version": 99}')
        result = site.run(RID)
        assert "no restore event is stored" in _failure(result, "restored_message").user_failure_data.description
        said = "\n".join(entry.user_message for entry in site.instance.all_logs(result.run_id))
        assert f"staging: {path}: is no receipt that can be used: it is of version 99" in said
        assert site.run(RID, message).success
        assert site.layout.zip(RID).stat().st_mtime_ns == before


def test_what_was_written_in_an_earlier_boot_is_read_again_before_it_is_trusted(
    tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is flushed on the way: after a power cut a file may have its size and not its bytes."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        page = site.layout.work(RID) / RID / "archive/དཔེ་ཆ།.tif"
        page.write_bytes(bytes(page.stat().st_size))
        monkeypatch.setattr("ao_workflows.staging.validity.boot_id", lambda: "another boot")
        assert site.run(RID, select="downloaded_bag+").success
        assert page.read_bytes() == FILES["archive/དཔེ་ཆ།.tif"]


def test_a_wrong_byte_in_the_archive_fails_the_sync_and_keeps_scratch(site: TrialSite) -> None:
    """A disk of the archive's that lies is found while the staged work is still there."""
    lying = site.folder / "lying.sh"
    lying.write_text(
        "#!/bin/bash\nset -e\n" + f'"{site.site.sync.script}" "$@"\n' + f'printf X >>"{site.place(RID)}/empty.txt"\n'
    )
    lying.chmod(0o755)
    sync = site.site.sync.model_copy(update={"script": str(lying)})
    site = dataclasses.replace(site, site=site.site.model_copy(update={"sync": sync}))
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert not result.success
    said = _failure(result, "synced_archive").user_failure_data.description
    assert "empty.txt: has 1 bytes, not 0" in said
    assert site.layout.work(RID).exists()
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert check.check_name == "is_in_the_archive"
    (row,) = site.drs.rows([RID])
    assert any("failed" in entry.data for entry in row.entries)


def test_a_stage_whose_input_was_cleaned_away_says_where_to_start(site: TrialSite) -> None:
    """A person who redoes one stage alone must be told the way."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    said = _failure(site.run(RID, select="debagged_work"), "debagged_work").user_failure_data.description
    assert f"--select 'downloaded_bag+' --partition {RID}" in said


def test_a_work_that_was_synced_and_freed_is_compared_again(site: TrialSite) -> None:
    """A run that died after scratch was freed is run again: it must neither fail nor say what it has not seen."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert site.run(RID, select="synced_archive").success
    (site.place(RID) / "empty.txt").write_text("no more")
    said = _failure(site.run(RID, select="synced_archive"), "synced_archive").user_failure_data.description
    assert "empty.txt: has 7 bytes, not 0" in said
    assert "downloaded_bag" in said


def test_a_zip_of_two_bags_gives_two_works(site: TrialSite) -> None:
    """Several works may come in one zip, under one partition."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as both:
        for rid in (RID, "W1NLM4788"):
            with zipfile.ZipFile(io.BytesIO(bag_zip(rid, FILES))) as one:
                for member in one.infolist():
                    both.writestr(member, one.read(member))
    assert site.run(RID, site.restore(RID, data.getvalue())).success
    assert _files(site.place(RID)) == FILES
    assert _files(site.place("W1NLM4788")) == FILES
