"""What each stage does around its own work: the lock, the stored event, and errors in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.archive.mounted_shares import ArchiveShares
from ao_workflows.defs.restore.partitions import WORKS
from ao_workflows.defs.restore.stage import stored_event, work_held
from ao_workflows.errors import NothingStored, ServiceError
from ao_workflows.events.s3_events import ObjectEvent
from ao_workflows.staging.staging import Staging
from ao_workflows.works.parts import Part
from ao_workflows_tests.support import receipts
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

RID = "W1NLM4712"


FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "archive/དཔེ་ཆ།.tif": PAGE * 3, "empty.txt": b""}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def _failure(result: dg.ExecuteInProcessResult, step: str) -> dg.StepFailureData | Any:
    return result.failure_data_for_node(step)


def test_a_work_that_nobody_announced_says_so(site: TrialSite) -> None:
    """A partition added by hand has no event to download by."""
    said = _failure(site.run(RID, select="downloaded_bag"), "downloaded_bag").user_failure_data.description
    assert "no restore event is stored" in said


def test_a_second_run_of_a_work_says_who_has_it_and_is_tried_again(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs in one folder would each wreck the other's work."""
    body = site.restore(RID, bag_zip(RID, FILES))
    other = Staging(root=str(site.site.staging.root))
    other.hold(RID, "run 1234")

    def wait(_policy: dg.RetryPolicy, _attempt: int) -> float:
        other.release()
        return 0.0

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait)
    result = site.run(RID, body)
    retries = [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]
    assert result.success
    assert len(retries) == 1
    assert "run 1234" in str(retries[0].step_retry_data.error)


def test_a_run_leaves_no_lock(site: TrialSite) -> None:
    """A lock that outlives its run would stop the next one."""
    site.run(RID, site.restore(RID, bag_zip(RID, FILES)))
    assert list(site.layout.lock(RID).parent.iterdir()) == []


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path))


def test_the_stored_event_is_the_one_that_came(staging: Staging) -> None:
    """A work is redone from it, months later."""
    with pytest.raises(NothingStored, match="ask Glacier for the work again"):
        stored_event(staging.receipts("W1"), Part("W1", "W1"), staging)
    event = ObjectEvent("ObjectRestore:Completed", "2024-04-06T00:11:23Z", "r", "b", "a/བ/W1.bag.zip", 5, None, "v")
    staging.write_receipt(receipts.restored(event))
    stored = stored_event(staging.receipts("W1"), Part("W1", "W1"), staging)
    assert (stored.intake, stored.event) == ("fpl", event)


@pytest.mark.parametrize("error", [ServiceError("downloading", "s3://b/k", "no answer"), KeyError("a mistake of ours")])
def test_a_failed_run_names_the_command_that_does_its_work_again(tmp_path: Path, error: Exception) -> None:
    """The message has left its queue: the failed run is all that is left of the event, and must say what to do."""

    @dg.asset(partitions_def=WORKS)
    def failing(context, staging: Staging) -> None:  # type: ignore[no-untyped-def]
        with work_held(context, staging, ArchiveShares(tmp_path / "Archive", tmp_path / "notes")):
            raise error

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(WORKS.name), ["W1"])
        result = dg.materialize(
            [failing],
            partition_key="W1",
            instance=instance,
            resources={"staging": Staging(root=str(tmp_path))},
            raise_on_error=False,
        )
    failed: Any = result.failure_data_for_node("failing")
    said = failed.user_failure_data.description if failed.user_failure_data else failed.error.to_string()
    assert "once this is mended: ao reprocess W1\n" in f"{said}\n"
    assert str(error) in said
