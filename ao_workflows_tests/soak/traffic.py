"""What is sent to the soak's queue, and what must come of it.

What belongs here: the works' zips, the messages in their order, and the runs and kept messages that they must give.
What does not: sending them (``machine``), or comparing (``verdict``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ao_workflows.domain.events import parse_message
from ao_workflows_tests.sites import bag_zip

BUCKET = "glacier.staging.demo"


@dataclass(frozen=True)
class Traffic:
    """``files`` is each work's payload, ``events`` the RID for each event's identity, ``poison`` what must be kept."""

    files: Mapping[str, Mapping[str, bytes]]
    messages: Sequence[str]
    events: Mapping[str, str]
    poison: frozenset[str]

    def zip(self, rid: str) -> bytes:
        return bag_zip(rid, self.files[rid])


def make_traffic(works: int, random: Random) -> Traffic:
    """The messages for ``works`` works: of 250, three hundred.

    One work in twenty is restored twice, one in ten announced twice, and for each thirty there is a message that
    cannot be used, for each fifty S3's test event.
    """
    files = {f"W1SK{number:04d}": {"images/0001.jpg": random.randbytes(2000)} for number in range(1, works + 1)}
    rids = list(files)
    restores = [_restored(rid, "2026-11-21T06:32:44.000Z") for rid in rids]
    again = [_restored(rid, "2026-12-24T08:00:00.000Z") for rid in random.sample(rids, _one_in(20, works))]
    twice = random.sample(restores, _one_in(10, works))
    poison = [_POISON[number % len(_POISON)](number) for number in range(_one_in(30, works))]
    tests = [json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})] * _one_in(50, works)
    events = {parse_message(body)[0].identity: _rid(body) for body in [*restores, *again]}
    messages = [*restores, *again, *twice, *poison, *tests]
    random.shuffle(messages)
    return Traffic(files, messages, events, frozenset(poison))


def key(rid: str) -> str:
    return f"Archive0/{rid[-2:]}/{rid}/{rid}.bag.zip"


def _one_in(share: int, works: int) -> int:
    return max(1, works // share)


def _rid(body: str) -> str:
    return parse_message(body)[0].key.split("/")[2]


def _restored(rid: str, time: str, bucket: str = BUCKET) -> str:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": time,
        "awsRegion": "us-east-1",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key(rid)}},
    }
    return json.dumps({"Records": [record]})


_POISON = (
    lambda number: f"no JSON, number {number}",
    lambda number: _restored(f"W..{number}", "2026-11-21T06:32:44.000Z"),
    lambda number: json.dumps({"Records": [{"eventSource": "aws:s3", "number": number}]}),
    lambda number: _restored(f"W1SK{number:04d}", "2026-11-21T06:32:44.000Z", bucket="of-somebody-else"),
)
