"""Parts of a work for one test: zips as the archive's deep archive makes them, put into the bucket of a trial site.

What belongs here: making parts, restoring them at their keys, and what the archive has of a work. What does not: what
any test expects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from ao_workflows.works.part_tags import tags_of
from ao_workflows.works.parts import Part
from ao_workflows_tests.support.sites import TrialSite, bag_zip

RID = "W1NLM4700"


def part_zip(name: str, files: Mapping[str, bytes]) -> bytes:
    """A part's zip of files by their paths in the work: a group inverted, all else in the folder of the work."""
    part = Part(RID, name)
    if not part.group:
        return bag_zip(name, {f"{RID}/{path}": data for path, data in files.items()})
    turned = {}
    for path, data in files.items():
        kind, group, rest = path.split("/", 2)
        turned[f"{group}/{kind}/{rest}"] = data
    return bag_zip(name, turned)


def restored(
    site: TrialSite,
    name: str,
    data: bytes,
    at: str = "2026-11-21T06:32:44.000Z",
    folder: str = RID,
    share: str = "Archive0/00",
) -> str:
    """Uploads a part to Glacier and has it restored; returns the message that says so."""
    bucket, key = site.intake.bucket, f"{share}/{folder}/{name}.bag.zip"
    site.aws.s3.put_object(Bucket=bucket, Key=key, Body=data, StorageClass="GLACIER")
    site.aws.s3.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": 3})
    etag = site.aws.s3.head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    of = {"bucket": {"name": bucket}, "object": {"key": key, "size": len(data), "eTag": etag}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectRestore:Completed", "eventTime": at, "s3": of}
    return json.dumps({"Records": [record | {"awsRegion": site.intake.region}]})


def run_part(site: TrialSite, name: str, body: str | None = None, **more: Any) -> dg.ExecuteInProcessResult:
    """Runs the stages of a part, as the intake's sensor has them run."""
    return site.run(RID, body, tags=tags_of(Part(RID, name)), **more)


def archived(place: Path) -> dict[str, bytes]:
    """The files of a work in the archive."""
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    """What the failed run says."""
    assert not result.success
    failed: Any = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return str(failed[-1].step_failure_data.user_failure_data.description)
