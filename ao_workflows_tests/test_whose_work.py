"""Whose work a run syncs: the one that was asked for, proven by its bag, or none; with the real stages and script."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.bags.admission import Terms
from ao_workflows.cli import status
from ao_workflows.clients import resources
from ao_workflows.staging.staging import Staging
from ao_workflows.status.gathering import EvidenceSources, of_works
from ao_workflows.status.standing import standing_of
from ao_workflows.status.state import WorkState
from ao_workflows.works.parts import Part
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.folder_sites import folder_site
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

RID, OTHER, THIRD = "W1NLM4704", "W1NLM9999", "W1NLM4788"
FILES = {"images/0001.jpg": PAGE, "sources/note.txt": b"a note"}
WRONG = {"images/0001.jpg": b"another page"}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def with_settings(site: TrialSite, *, batches: bool = False, unproven: str = "warn") -> TrialSite:
    intake = site.intake.model_copy(update={"batches": batches})
    debag = site.site.debag.model_copy(update={"unproven": unproven})
    changed = site.site.model_copy(update={"intake": {"demo": intake}, "debag": debag})
    return dataclasses.replace(site, site=changed)


def joined(*zips: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as both:
        for data in zips:
            with zipfile.ZipFile(io.BytesIO(data)) as one:
                for member in one.infolist():
                    both.writestr(member, one.read(member))
    return out.getvalue()


def plain_zip(rid: str, files: Mapping[str, bytes] = FILES) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.mkdir(f"{rid}/images")
        for path, data in files.items():
            archive.writestr(f"{rid}/{path}", data)
    return out.getvalue()


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def refusal(site: TrialSite, result: dg.ExecuteInProcessResult) -> str:
    """What debagging refused with: once, with a report, a failed check and a note, and nothing was synced."""
    assert not result.success
    failure: Any = result.failure_data_for_node("debagged_work")
    assert not any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    (check,) = [found for found in result.get_asset_check_evaluations() if not found.passed]
    assert (check.check_name, check.severity) == ("is_a_valid_bag", dg.AssetCheckSeverity.ERROR)
    assert site.layout.report(RID).exists()
    assert not site.place(RID).exists()
    (row,) = site.drs.rows([RID])
    assert "refused" in row.entries[-1].data
    assert Stage.SYNCED_ARCHIVE not in row.times
    assert not site.layout.receipt(RID, "debagged_work").exists()
    return str(failure.user_failure_data.description)


def told_by_status(site: TrialSite, capsys: pytest.CaptureFixture[str]) -> str:
    sources = EvidenceSources(Staging(root=str(site.site.staging.root)), site.drs, site.instance)
    (evidence,) = of_works(sources, [RID]).evidence
    found = standing_of(evidence, datetime.now(UTC), site.site.watch.limits)
    assert found.state == WorkState.IN_ARCHIVE
    capsys.readouterr()
    status._print([found], 1, "", limited=False)
    return " ".join(capsys.readouterr().out.split())


def test_another_works_bag_is_refused_and_that_work_stays_as_it_was(site: TrialSite, shared_data: Path) -> None:
    """Its pages were written over, and ao status said of the work that was asked for that it is in the archive."""
    assert site.run(OTHER, site.restore(OTHER, bag_zip(OTHER, FILES))).success
    before = snapshot(site.place(OTHER))
    data = (shared_data / "cases/W1NLM4704-holds-W1NLM9999.bag.zip").read_bytes()
    said = refusal(site, site.run(RID, site.restore(RID, data)))
    assert "it was sent as W1NLM4704 and holds another work: W1NLM9999" in said
    assert snapshot(site.place(OTHER)) == before


def test_a_batch_is_taken_from_an_intake_for_batches_and_refused_from_others(
    site: TrialSite, capsys: pytest.CaptureFixture[str]
) -> None:
    """A zip of strangers writes over each of them under the name of none; a site that sends such zips says so.

    Its partition is not in the archive, and status said that it was.
    """
    body = site.restore(RID, joined(bag_zip(OTHER, FILES), bag_zip(THIRD, FILES)))
    assert "batches = true" in refusal(site, site.run(RID, body))
    assert not site.place(OTHER).exists()
    result = with_settings(site, batches=True).run(RID, body)
    assert result.success
    said = f"{RID} itself did not come: its zip brought {THIRD}, {OTHER}"
    told = told_by_status(site, capsys)
    assert said in told
    assert told.startswith(f"{RID} the other works of its zip are in the archive since")
    for stage in ("debagged_work", "synced_archive"):
        (event,) = result.asset_materializations_for_node(stage)
        assert event.metadata["batch"].value == said
    assert site.place(OTHER).is_dir()
    assert site.place(THIRD).is_dir()


def test_a_batch_that_was_unpacked_is_not_synced_once_the_site_takes_none(site: TrialSite) -> None:
    """The receipt that spares the unpacking was the way around what the site says by now."""
    body = site.restore(RID, joined(bag_zip(OTHER, FILES), bag_zip(THIRD, FILES)))
    first = "*debagged_work"
    assert with_settings(site, batches=True).run(RID, body, select=first).success
    assert "batches = true" in refusal(site, site.run(RID, body))
    assert not site.run(RID, select="synced_archive").success
    assert not site.place(OTHER).exists()


def test_a_work_without_a_bag_says_everywhere_that_it_is_unproven(
    site: TrialSite, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the archive, it looks like any other; who asks later must learn that nobody knows what its bytes were."""
    result = site.run(RID, site.restore(RID, plain_zip(RID)))
    assert result.success
    said = f"no manifest came with {RID}: nothing of it is proven"
    for stage in ("debagged_work", "synced_archive"):
        (event,) = result.asset_materializations_for_node(stage)
        assert event.metadata["unproven"].value == said
        assert list(event.metadata).index("unproven") < list(event.metadata).index("seconds"), "it is seen at once"
        assert "warnings" not in event.metadata, "it is said once"
    checks = {found.check_name: found for found in result.get_asset_check_evaluations()}
    assert not checks["is_a_valid_bag"].passed
    assert checks["is_a_valid_bag"].severity == dg.AssetCheckSeverity.WARN
    assert said in str(checks["is_in_the_archive"].description)
    (row,) = site.drs.rows([RID])
    assert [entry.stage for entry in row.entries if entry.data.get("unproven") == said] == [
        Stage.DEBAGGED_WORK,
        Stage.SYNCED_ARCHIVE,
    ]
    assert said in told_by_status(site, capsys)


def test_a_work_with_a_bag_says_nothing_of_that_kind(site: TrialSite) -> None:
    """A warning at every work is read at none."""
    result = site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert all(found.passed for found in result.get_asset_check_evaluations())
    assert not any("unproven" in entry.data for row in site.drs.rows([RID]) for entry in row.entries)


def test_a_site_may_refuse_works_without_a_bag(site: TrialSite) -> None:
    """An archive whose works all have bags knows one without for a mistake."""
    body = site.restore(RID, plain_zip(RID))
    assert 'unproven = "refuse"' in refusal(with_settings(site), with_settings(site, unproven="refuse").run(RID, body))
    assert with_settings(site, unproven="refuse").run(OTHER, site.restore(OTHER, bag_zip(OTHER, FILES))).success


@pytest.mark.parametrize("kind", ["a bag", "a plain work"])
def test_a_work_without_files_is_refused(site: TrialSite, kind: str) -> None:
    """Nothing was copied, nothing differed, and the work was in the archive by every word."""
    data = plain_zip(RID, {})
    if kind == "a bag":
        out = io.BytesIO(bag_zip(RID, {}))
        with zipfile.ZipFile(out, "a") as archive:
            archive.mkdir(f"{RID}.bag/data")
        data = out.getvalue()
    assert f"the work {RID} has no file in it" in refusal(site, site.run(RID, site.restore(RID, data)))


def test_a_payload_folder_named_like_the_bag_reaches_the_archive(site: TrialSite) -> None:
    """It was counted as proven, left out of what was synced, and so never missed."""
    files = FILES | {f"{RID}.bag/notes/field.txt": b"by hand"}
    assert site.run(RID, site.restore(RID, bag_zip(RID, files))).success
    there = {name: content for name, (content, _) in snapshot(site.place(RID)).items()}
    assert {name: there.get(name) for name in files} == files
    assert {name for name in there if name not in files} == {
        f"{RID}.bag.1/bagit.txt",
        f"{RID}.bag.1/manifest-sha512.txt",
    }


def test_a_dropped_zip_with_another_work_is_refused_too(tmp_path: Path) -> None:
    """A file is renamed in a moment: its name alone says which work was meant."""
    with folder_site(tmp_path / "site") as site:
        site.put(f"{RID}.zip", bag_zip(OTHER, WRONG), age=100)
        (result,) = site.run_requested(site.tick())
        assert not result.success
        failure: Any = result.failure_data_for_node("debagged_work")
        assert f"sent as {RID} and holds another work: {OTHER}" in failure.user_failure_data.description
        assert not site.place(OTHER).exists()


@pytest.mark.parametrize("intake", ["demo", "renamed"])
def test_the_intake_by_which_a_zip_came_is_the_one_that_is_asked(site: TrialSite, intake: str) -> None:
    """That one queue brings batches says nothing of the next."""
    debagger = resources(with_settings(site, batches=True).site)["debagger"]
    assert debagger.terms(Part(RID, RID), intake) == Terms(RID, batches=intake == "demo", name=RID)
