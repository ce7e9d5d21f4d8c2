"""The text of a whole site.toml, and of ones with something changed or wrong in them.

What belongs here: what the tests of several of the modules that read a site.toml ask for. What does not: what any of
them expects.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.errors import SiteError
from ao_workflows.site.loading import parse
from ao_workflows.site.restore_prices import TierPrice

WHOLE = """
environment = "dev"
aws_credentials = "/run/secrets/aws"
max_queued_runs = 7

[staging]
root = "/home/ao/data"
keep = "3 days"

[[intake]]
name = "fpl"
queue = "FplReadyToIntake"
bucket = "glacier.staging.fpl.bdrc.org"
region = "ap-northeast-2"
environment = "prod"
aws_profile = "ap_northeast"
endpoint_url = "http://127.0.0.1:5000"
events = ["ObjectRestore:Completed", "ObjectCreated:*"]
keys = ["*.bag.zip", "*.zip"]

[archive]
parent = "/mnt/Archive"
web = "s3://archive.tbrc.org/Works"

[sync]
script = "syncOneWork.sh"
timeout_minutes = 5
verify = "size"
env = {AUDIT_HOME = "/opt/audit"}

[deep_copy]
bucket = "glacier.deep.bdrc.org"
region = "us-east-1"
environment = "dev"

[drs]
config = "prod:/run/secrets/db_apps"
"""

FOLDER = """
[[intake]]
name = "drop"
kind = "folder"
folder = "/mnt/drop"
environment = "dev"
"""

OVERRIDES: dict[str, tuple[str, Any]] = {
    "environment": ("prod", "prod"),
    "aws_credentials": ("/run/other", Path("/run/other")),
    "max_queued_runs": ("9", 9),
    "staging.root": ("/other", Path("/other")),
    "staging.keep": ("until-synced", "until-synced"),
    "staging.reserve_gib": ("2.5", 2.5),
    "staging.room_wait_hours": ("2.5", 2.5),
    "download.part_mib": ("9", 9),
    "download.parallel": ("9", 9),
    "download.megabytes_per_second": ("2.5", 2.5),
    "download.stall_seconds": ("2.5", 2.5),
    "download.least_kilobytes_per_second": ("0.5", 0.5),
    "download.restore_wait_hours": ("2.5", 2.5),
    "intake.fpl.queue": ("Other", "Other"),
    "intake.fpl.bucket": ("other.bucket", "other.bucket"),
    "intake.fpl.region": ("us-east-1", "us-east-1"),
    "intake.fpl.environment": ("dev", "dev"),
    "intake.fpl.aws_profile": ("other", "other"),
    "intake.fpl.endpoint_url": ("https://other", "https://other"),
    "intake.fpl.events": ('["ObjectCreated:Put"]', ("ObjectCreated:Put",)),
    "intake.fpl.keys": ('["*.zip"]', ("*.zip",)),
    "intake.fpl.layout": ("parts", "parts"),
    "intake.fpl.places": ('["{rid}.zip"]', ("{rid}.zip",)),
    "intake.fpl.batches": ("true", True),
    "intake.drop.batches": ("true", True),
    "intake.drop.layout": ("whole", "whole"),
    "intake.fpl.formerly": ('["bdrc"]', ("bdrc",)),
    "intake.drop.formerly": ('["dropped"]', ("dropped",)),
    "intake.drop.folder": ("/mnt/other", Path("/mnt/other")),
    "intake.drop.environment": ("prod", "prod"),
    "debag.max_members": ("9", 9),
    "debag.max_bytes": ("9", 9),
    "debag.max_ratio": ("9", 9),
    "debag.control_characters": ("true", True),
    "debag.memory_mib": ("512", 512),
    "debag.time_zone": ("Asia/Seoul", "Asia/Seoul"),
    "debag.unproven": ("refuse", "refuse"),
    "archive.parent": ("/mnt/Other", Path("/mnt/Other")),
    "archive.web": ("s3://other/Works", "s3://other/Works"),
    "sync.script": ("/opt/other.sh", "/opt/other.sh"),
    "sync.timeout_minutes": ("6", 6),
    "sync.verify": ("checksum", "checksum"),
    "sync.env": ('{"MORE": "yes"}', {"AUDIT_HOME": "/opt/audit", "MORE": "yes"}),
    "sync.options": ("/etc/ao/sync.yml", Path("/etc/ao/sync.yml")),
    "sync.works_may": ('["web", "replace"]', ("web", "replace")),
    "sync.keep_replaced_days": ("7", 7),
    "deep_copy.bucket": ("other.bucket", "other.bucket"),
    "deep_copy.region": ("eu-west-1", "eu-west-1"),
    "deep_copy.environment": ("prod", "prod"),
    "deep_copy.aws_profile": ("other", "other"),
    "deep_copy.endpoint_url": ("https://other", "https://other"),
    "deep_copy.storage_class": ("DEEP_ARCHIVE", "DEEP_ARCHIVE"),
    "watch.nightly": ("03:30", "03:30"),
    "watch.stuck_hours": ("2.5", 2.5),
    "watch.restore_hours": ("2.5", 2.5),
    "watch.expiring_days": ("2.5", 2.5),
    "restore.currency": ("USD", "USD"),
    "restore.prices": (
        '{"GLACIER": {"Bulk": {"requests": 0.5, "gb": 0}}}',
        {"GLACIER": {"Bulk": TierPrice(requests=0.5, gb=0)}},
    ),
    "backup.to": ("s3://backups/ao", "s3://backups/ao"),
    "backup.keep_days": ("7", 7),
    "housekeeping.keep_days": ("7", 7),
    "drs.config": ("test:/run/secrets/other", "test:/run/secrets/other"),
}


def variable(key: str) -> str:
    return "AO_" + key.upper().replace(".", "__")


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(SiteError) as raised:
        parse(text, "site.toml")
    return raised.value.mistakes


def changed(**sections: Any) -> str:
    """The whole file with some tables' keys changed, or taken out where None; a list takes the intakes' place."""
    values: dict[str, Any] = tomllib.loads(WHOLE)
    for section, keys in sections.items():
        if isinstance(keys, dict):
            place = values["intake"][0] if section == "intake" else values[section]
            place |= keys
            for key in [key for key, value in keys.items() if value is None]:
                del place[key]
        else:
            values[section] = keys
    return as_toml(values)


def as_toml(values: dict[str, Any]) -> str:
    def inline(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(inline, value)) + "]"
        return json.dumps(value)

    return "\n".join(f"{key} = {inline(value)}" for key, value in values.items())
