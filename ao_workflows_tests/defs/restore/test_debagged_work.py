"""The second stage's proof: a bag that is not what its manifests say goes no further, and says why."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site
from ao_workflows_tests.support.zip_bytes import DEFLATED, bag_files, entries_of, zip_bytes

RID = "W1NLM4712"


FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "archive/དཔེ་ཆ།.tif": PAGE * 3, "empty.txt": b""}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def _failure(result: dg.ExecuteInProcessResult, step: str) -> dg.StepFailureData | Any:
    return result.failure_data_for_node(step)


@pytest.mark.parametrize(
    ("files", "manifest", "kind", "path"),
    [
        (FILES | {"empty.txt": b"x"}, FILES, "checksum", "data/empty.txt"),
        ({"empty.txt": b""}, FILES, "missing", "data/archive/དཔེ་ཆ།.tif"),
        (FILES | {"more.txt": b"x"}, FILES, "unexpected", "data/more.txt"),
    ],
)
def test_a_bad_bag_fails_at_once_with_a_report_and_nothing_in_the_archive(
    site: TrialSite, files: dict[str, bytes], manifest: dict[str, bytes], kind: str, path: str
) -> None:
    """A bag with one wrong byte must be seen by a person, and by nobody else."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, files, manifest=manifest)))
    assert not result.success
    failure = _failure(result, "debagged_work")
    assert failure.user_failure_data.description.startswith(f"{RID}.bag")
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    report = json.loads(site.layout.report(RID).read_text())
    assert any(problem["kind"] == kind and problem["path"].endswith(path) for problem in report["problems"]), report
    assert not site.place(RID).exists()
    assert list(site.layout.work(RID).parent.iterdir()) == []
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert check.check_name == "is_a_valid_bag"
    assert check.partition == RID
    (row,) = site.drs.rows([RID])
    assert Stage.DEBAGGED_WORK not in row.times
    assert any("refused" in entry.data for entry in row.entries)


def test_a_zip_that_is_none_is_refused_by_name(site: TrialSite) -> None:
    """An upload that was cut short is no bag."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)[:-30]))
    assert f"{RID}.bag.zip" in _failure(result, "debagged_work").user_failure_data.description
    assert not site.place(RID).exists()


def test_a_zip_that_takes_too_much_memory_is_refused_once_with_a_report(
    tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that the kernel kills says nothing, and is tried three times."""
    monkeypatch.setenv("AO_DEBAG__MEMORY_MIB", "64")
    files = bag_files({"noise": os.urandom(50_000)}, tags={"bag-info.txt": b"Note: x\n" * 400_000})
    with trial_site(tmp_path, aws) as site:
        result = site.run(RID, site.restore(RID, zip_bytes(entries_of(files, f"{RID}.bag", DEFLATED))))
        assert not result.success
        assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
        (problem,) = json.loads(site.layout.report(RID).read_text())["problems"]
        assert problem["path"] == f"{RID}.bag/bag-info.txt"
        assert "64 MiB that [debag] memory_mib in site.toml allows" in problem["reason"]
        assert site.layout.zip(RID).exists()
    monkeypatch.setenv("AO_DEBAG__MEMORY_MIB", "512")
    (tmp_path / "roomy").mkdir()
    with trial_site(tmp_path / "roomy", aws) as site:
        assert site.run(RID, site.restore(RID, zip_bytes(entries_of(files, f"{RID}.bag", DEFLATED)))).success


def test_a_good_bag_after_a_bad_one_takes_the_report_away(site: TrialSite) -> None:
    """A report of what was mended long ago sends people to look for nothing."""
    site.run(RID, site.restore(RID, bag_zip(RID, {}, manifest=FILES)))
    assert site.layout.report(RID).exists()
    assert site.run(RID, site.restore(RID, bag_zip(RID, FILES)).replace("06:32:44", "07:00:00")).success
    assert not site.layout.report(RID).exists()


def test_a_list_of_fixity_that_was_cut_proves_nothing(tmp_path: Path, aws: Aws) -> None:
    """Each line that a power cut left is right, and none of the lost files would be missed."""
    with trial_site(tmp_path, aws, keep="3 days") as site:
        site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
        fixity = site.layout.fixity(RID)
        fixity.write_text(fixity.read_text().splitlines(keepends=True)[0])
        assert not site.run(RID, select="synced_archive").success
        assert site.run(RID, select="downloaded_bag+").success


def test_what_a_killed_run_left_half_unpacked_is_removed_by_the_next(site: TrialSite) -> None:
    """A work of 300 GB, half unpacked twice, fills the scratch disk."""
    left = site.layout.work_under_way(RID, "0b9d1f2a-dead")
    other = site.layout.work_under_way(f"{RID}.1", "0b9d1f2a-dead")
    half = site.layout.receipt(RID, "debagged_work").with_name(".debagged_work.json.4711.tmp")
    for folder in (left, other, half.parent):
        folder.mkdir(parents=True)
    half.write_text("{")
    assert site.run(RID, site.restore(RID, bag_zip(RID, FILES))).success
    assert not left.exists()
    assert not half.exists()
    assert other.exists()
