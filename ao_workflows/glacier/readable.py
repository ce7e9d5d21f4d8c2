"""A part that lies in no archive: the event that S3 would send of it if it had been restored.

What belongs here: that message's text. What does not: sending it (``ao_workflows.glacier.requests``), and reading one
(``ao_workflows.events.s3_events``).

The archive's tool puts its bags into STANDARD_IA, and a rule moves them to Glacier later. Until then S3 restores
nothing and says nothing, and the newest changes of a work would be missing from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote_plus

from ao_workflows.glacier.rules import ObjectAddress

EVENT = "ObjectRestore:Completed"


def takes_events(patterns: Sequence[str]) -> bool:
    """Whether an intake wants the event, by its patterns; otherwise the message would be deleted."""
    return any(fnmatchcase(EVENT, pattern) for pattern in patterns)


def restored_message_of(address: ObjectAddress, head: Mapping[str, Any], region: str, at: datetime) -> str:
    """Returns the message's text.

    :param head: S3's answer to HeadObject.
    :param region: the bucket's.
    :param at: with a time zone.
    """
    found = {"key": quote_plus(address.key), "size": head["ContentLength"], "eTag": head["ETag"].strip('"')}
    if version := head.get("VersionId"):
        found["versionId"] = version
    record = {
        "eventSource": "aws:s3",
        "eventName": EVENT,
        "eventTime": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "awsRegion": region,
        "s3": {"bucket": {"name": address.bucket}, "object": found},
    }
    return json.dumps({"Records": [record]})
