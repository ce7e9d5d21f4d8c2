"""Deliveries of one work to a trial site: put into its bucket, told to it, and what became of them.

What belongs here: what the tests of several of the stages ask for. What does not: the site (``sites``), and what a
delivery may do.
"""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.events.s3_events import parse_message
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip

RID = "W1NLM4712"
OLD, NEW = {"images/1.jpg": PAGE + b"old"}, {"images/1.jpg": PAGE + b"newer", "more": b""}
AS_LARGE = {"images/1.jpg": PAGE + b"odd"}
DOWNLOAD = ["restored_message", "downloaded_bag"]


def delivered(site: TrialSite, files: dict[str, bytes], hour: int, prefix: str = "Archive0/12", **more: Any) -> str:
    """The message of a delivery at that hour: of a new version of the work's object, below a prefix."""
    key, bucket = f"{prefix}/{RID}/{RID}.bag.zip", site.intake.bucket
    put = site.aws.s3.put_object(Bucket=bucket, Key=key, Body=bag_zip(RID, files), StorageClass="GLACIER")
    return told(site, key, hour, versionId=put["VersionId"], eTag=put["ETag"].strip('"'), **more)


def told(site: TrialSite, key: str, hour: int, **of_object: Any) -> str:
    """The message that a version of an object was restored at that hour."""
    version = {"VersionId": of_object["versionId"]}
    site.aws.s3.restore_object(Bucket=site.intake.bucket, Key=key, **version, RestoreRequest={"Days": 3})
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": f"2026-11-21T{hour:02d}:00:00.000Z",
        "awsRegion": site.intake.region,
        "s3": {"bucket": {"name": site.intake.bucket}, "object": {"key": key, **of_object}},
    }
    return json.dumps({"Records": [record]})


def forced(body: str) -> dict[str, Any]:
    """The run config of a delivery that a person wants done all the same."""
    config: Any = run_config("demo", parse_message(body)[0])
    config["ops"]["restored_message"]["config"]["force"] = True
    return config


def in_archive(site: TrialSite) -> dict[str, bytes]:
    """Which of the bags, by its page: what only another one has is left in the archive."""
    page = (site.place(RID) / "images/1.jpg").read_bytes()
    return next((files for files in (OLD, NEW, AS_LARGE) if files["images/1.jpg"] == page), {})


def of_key(body: str) -> Any:
    return json.loads(body)["Records"][0]["s3"]["object"]


def failed_with(result: dg.ExecuteInProcessResult, step: str) -> tuple[str, str]:
    """The class and the words of the error that a step failed with."""
    found: Any = result.failure_data_for_node(step)
    return found.user_failure_data.metadata["error"].value, found.user_failure_data.description
