"""An intake that was renamed: what was queued, stored, kept or claimed under its old name is still done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from ao_workflows.clients import resources
from ao_workflows.defs.sensors.folders import folder_sensor
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows.staging.receipt_files import read_receipts
from ao_workflows_tests.support.folder_sites import FolderSite, folder_site, folder_site_toml
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site
from ao_workflows_tests.test_whose_work import joined

RID = "W1NLM4712"
FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def _renamed(site: TrialSite, more: str = "", intakes: str = "") -> Site:
    """The site whose intake ``demo`` is called ``new``; ``more`` are keys of that, ``intakes`` others."""
    text = (site.folder / "site.toml").read_text().replace('name = "demo"', f'name = "new"\n{more}')
    return parse(text + intakes, "the renamed site")


def _like(site: TrialSite, name: str, bucket: str, profile: str) -> str:
    """Another intake of the same region."""
    return (
        f'\n[[intake]]\nname = "{name}"\nqueue = "Other"\nbucket = "{bucket}"\nregion = "{site.intake.region}"\n'
        f'environment = "demo"\nendpoint_url = "{site.intake.endpoint_url}"\naws_profile = "{profile}"\n'
    )


def _failure(result: dg.ExecuteInProcessResult, stage: str = "downloaded_bag") -> str:
    data = result.failure_data_for_node(stage)
    assert data
    assert data.user_failure_data
    return str(data.user_failure_data.description)


@pytest.mark.parametrize("how", ["formerly", "bucket and region", "its name is another's now"])
def test_a_run_that_was_queued_and_a_reprocess_go_by_the_renamed_intake(site: TrialSite, how: str) -> None:
    """All that waits in the queue failed after a renaming, and so did each later reprocess."""
    body = site.restore(RID, bag_zip(RID, FILES))
    more = 'formerly = ["demo"]' if how == "formerly" else ""
    intakes = _like(site, "beside", site.intake.bucket, "none") if how == "formerly" else ""
    if how == "its name is another's now":
        intakes = _like(site, "demo", "another.bucket", "none")
    renamed = replace(site, site=_renamed(site, more, intakes))
    assert renamed.run(RID, body).success, "its config says demo"
    assert renamed.run(RID, select="downloaded_bag").success, "so does its stored event"


@pytest.mark.parametrize("how", ["formerly", "bucket and region", "its name is another's now"])
@pytest.mark.parametrize("takes_batches", [True, False])
def test_batches_are_asked_of_the_intake_by_which_the_zip_is_downloaded(
    site: TrialSite, how: str, takes_batches: bool
) -> None:
    """By its name alone, a batch of a renamed intake was refused for good; by a name that had gone over to another
    intake, that one's batches were let in.
    """
    second = bag_zip("W1NLM4788", FILES)
    body = site.restore(RID, joined(bag_zip("W1NLM4713", FILES), second))
    batches = f"batches = {str(takes_batches).lower()}"
    more = f'{batches}\nformerly = ["demo"]' if how == "formerly" else batches
    intakes = ""
    if how == "its name is another's now":
        intakes = f"{_like(site, 'demo', 'another.bucket', 'none')}batches = {str(not takes_batches).lower()}\n"
    result = replace(site, site=_renamed(site, more, intakes)).run(RID, body)
    assert result.success is takes_batches
    if not takes_batches:
        assert "batches = true of it" in _failure(result, "debagged_work")
    assert site.place("W1NLM4788").exists() is takes_batches


def test_a_name_that_means_no_intake_is_told_with_the_way_out(site: TrialSite) -> None:
    """`KeyError: 'demo'` says nothing to who did not rename it; nor may one of two buckets' keys be guessed."""
    body = site.restore(RID, bag_zip(RID, FILES))
    both = replace(site, site=_renamed(site, intakes=_like(site, "beside", site.intake.bucket, "none")))
    said = _failure(both.run(RID, body))
    assert said.startswith("intake 'demo': is not in site.toml, whose intakes are: beside, new.")
    assert 'formerly = ["…"]' in said


def test_two_queues_of_one_bucket_that_are_reached_alike_are_no_choice(site: TrialSite) -> None:
    """Either has the object: nobody need be asked which."""
    intakes = _like(site, "beside", site.intake.bucket, str(site.intake.aws_profile))
    renamed = replace(site, site=_renamed(site, intakes=intakes))
    assert renamed.run(RID, site.restore(RID, bag_zip(RID, FILES))).success


@pytest.mark.parametrize("taken", [True, False])
def test_whether_a_batch_is_taken_is_asked_of_the_renamed_intake(site: TrialSite, taken: bool) -> None:
    """Found by its bucket for the download, it was not for this: its batches were refused, or another's terms held."""
    body = site.restore(RID, joined(bag_zip("W1NLM4788", FILES), bag_zip("W1NLM4799", FILES)))
    more, other = ("batches = true", "") if taken else ("", "batches = true\n")
    renamed = replace(site, site=_renamed(site, more, _like(site, "demo", "another.bucket", "none") + other))
    assert renamed.run(RID, body).success == taken
    renamed = replace(site, site=_renamed(site, more))
    assert renamed.run(RID, select="downloaded_bag+").success == taken


def _folder_renamed(site: FolderSite, more: str) -> Site:
    text = folder_site_toml(site.root, site.drop).replace('name = "drop"', f'name = "new"\n{more}')
    return parse(text, "the renamed site")


@pytest.fixture
def drop(tmp_path: Path) -> Iterator[FolderSite]:
    with folder_site(tmp_path / "site") as trial:
        yield trial


def _tick(site: FolderSite) -> dg.SensorResult:
    """A tick of the renamed intake's sensor, which has no cursor yet."""
    sensor = folder_sensor("new", site.site.folders["new"], site.site)
    clients = {"folders": resources(site.site)["folders"]}
    with dg.build_sensor_context(instance=site.instance, sensor_name="new_intake", resources=clients) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_file_that_was_claimed_under_the_old_name_is_asked_for_by_the_new_sensor(drop: FolderSite) -> None:
    """It lay in save/ for ever, as if another site had it."""
    drop.put(f"{RID}.bag.zip", bag_zip(RID, FILES))
    (lost,) = drop.tick().run_requests or ()
    renamed = replace(drop, site=_folder_renamed(drop, 'formerly = ["older", "drop"]'))
    (asked,) = _tick(renamed).run_requests or ()
    assert asked.run_key == lost.run_key
    tags = {RUN_KEY_TAG: str(asked.run_key), SENSOR_NAME_TAG: "new_intake"}
    assert renamed.run(RID, run_config=dict(asked.run_config), tags=tags).success
    assert renamed.saved() == [], "and its original goes"
    assert not _tick(renamed).run_requests


@pytest.mark.parametrize("more", ['formerly = ["drop"]', ""])
def test_a_stored_event_of_a_folder_is_redone_under_its_new_name(drop: FolderSite, more: str) -> None:
    """By its former name, or by the folder that the event names."""
    drop.put(f"{RID}.bag.zip", bag_zip(RID, FILES))
    (request,) = drop.tick().run_requests or ()
    assert drop.run(RID, select="restored_message", run_config=dict(request.run_config)).success
    renamed = replace(drop, site=_folder_renamed(drop, more))
    assert renamed.run(RID, select="downloaded_bag").success
    downloaded = read_receipts(drop.layout, RID).downloaded
    assert downloaded
    assert downloaded.zip.original
    assert downloaded.zip.original.intake == "new"
    assert renamed.run(RID, select="downloaded_bag").success, "what is there is compared with its original"
    assert renamed.run(RID, select="debagged_work").success
    assert renamed.run(RID, select="synced_archive").success
    assert renamed.saved() == []


def test_a_file_whose_run_stored_nothing_is_found_under_the_new_name(drop: FolderSite) -> None:
    """`ao reprocess` said that no event is stored, with the file in save/."""
    drop.put(f"{RID}.bag.zip", bag_zip(RID, FILES))
    drop.tick()
    renamed = replace(drop, site=_folder_renamed(drop, 'formerly = ["drop"]'))
    assert renamed.run(RID, select="restored_message").success
    stored = read_receipts(drop.layout, RID).restored
    assert stored
    assert stored.intake == "new"
