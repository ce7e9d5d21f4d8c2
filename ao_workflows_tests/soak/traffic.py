"""What is sent to the soak's queue, and what must come of it.

What belongs here: the works' zips, the messages in their order, and the runs, trees and kept messages that they must
give. What does not: uploading and sending them (``machine``), or comparing (``verdict``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from ao_workflows.events.s3_events import parse_message
from ao_workflows.works.object_keys import LAYOUT, object_key
from ao_workflows_tests.support.sites import bag_zip

BUCKET = "glacier.staging.demo"

FIRST = "2026-11-21T06:32:44.000Z"
CORRECTED = "2026-12-01T09:15:00.000Z"
AGAIN = "2026-12-24T08:00:00.000Z"


@dataclass(frozen=True)
class Delivery:
    """A zip that lies in the bucket under a work's ``key``, with the ``files`` of the bag of ``holds`` in it.

    Of two deliveries of one key the later is the one that counts.
    """

    rid: str
    holds: str
    files: Mapping[str, bytes]

    @property
    def key(self) -> str:
        return object_key(LAYOUT, self.rid)

    @property
    def zip(self) -> bytes:
        return bag_zip(self.holds, self.files)


@dataclass(frozen=True)
class Traffic:
    """``files`` is each work's newest payload. ``events`` has the RID for the identity of each event whose run must
    succeed, ``overtaken`` of each whose run may come too late, and is then held, and ``refused`` of each whose run must
    be refused. ``poison`` is what must be kept.
    """

    files: Mapping[str, Mapping[str, bytes]]
    messages: Sequence[str]
    events: Mapping[str, str]
    overtaken: Mapping[str, str]
    refused: Mapping[str, str]
    poison: frozenset[str]


def make_deliveries(works: int, random: Random) -> list[Delivery]:
    """The zips for ``works`` works, in the order of their uploads.

    One work in ten is delivered twice: first with a page that has other bytes of the same number, and with one page
    less. One in twenty-five comes with another work's bag under its name, which has other bytes of that one's page.
    """
    pages = {f"W1SK{number:04d}": {PAGE: random.randbytes(2000)} for number in range(1, works + 1)}
    twice = random.sample(list(pages), _one_in(10, works))
    older = [Delivery(rid, rid, {PAGE: random.randbytes(2000)}) for rid in twice]
    newest = [
        Delivery(rid, rid, files | ({SECOND_PAGE: random.randbytes(2000)} if rid in twice else {}))
        for rid, files in pages.items()
    ]
    foreign = [
        Delivery(f"W1SF{number:04d}", random.choice(list(pages)), {PAGE: random.randbytes(2000)})
        for number in range(1, _one_in(25, works) + 1)
    ]
    return [*older, *newest, *foreign]


PAGE, SECOND_PAGE = "images/0001.jpg", "images/0002.jpg"


def make_traffic(deliveries: Sequence[Delivery], versions: Sequence[str], random: Random) -> Traffic:
    """The messages for these deliveries, which lie in the bucket as these ``versions``: for 250 works, some 340.

    One work in twenty is restored twice, one in ten announced twice, and for each thirty there is a message that
    cannot be used, for each fifty S3's test event. They come in any order, so that of two deliveries of one work the
    older comes after the newer as often as before it, or at the same moment.
    """
    newest = {delivery.rid: (delivery, version) for delivery, version in zip(deliveries, versions, strict=True)}
    overtaken = [
        _restored(delivery, FIRST, version)
        for delivery, version in zip(deliveries, versions, strict=True)
        if newest[delivery.rid][0] is not delivery
    ]
    foreign = [_restored(delivery, FIRST, version) for delivery, version in newest.values() if _is_foreign(delivery)]
    own = {rid: found for rid, found in newest.items() if not _is_foreign(found[0])}
    restores = [_restored(delivery, CORRECTED, version) for delivery, version in own.values()]
    works = len(own)
    again = [_restored(own[rid][0], AGAIN, own[rid][1]) for rid in random.sample(list(own), _one_in(20, works))]
    # Of two restores of the same bytes, the earlier one may be done or held: nothing follows from it.
    restored_again = {_rid(body) for body in again}
    before = [body for body in restores if _rid(body) in restored_again]
    twice = random.sample(restores, _one_in(10, works))
    poison = [_POISON[number % len(_POISON)](number) for number in range(_one_in(30, works))]
    tests = [json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})] * _one_in(50, works)
    messages = [*restores, *again, *twice, *overtaken, *foreign, *poison, *tests]
    random.shuffle(messages)
    return Traffic(
        files={rid: delivery.files for rid, (delivery, _) in own.items()},
        messages=messages,
        events=_by_identity([body for body in restores + again if body not in before]),
        overtaken=_by_identity(overtaken + before),
        refused=_by_identity(foreign),
        poison=frozenset(poison),
    )


def _is_foreign(delivery: Delivery) -> bool:
    return delivery.rid != delivery.holds


def _by_identity(messages: Sequence[str]) -> dict[str, str]:
    return {parse_message(body)[0].identity: _rid(body) for body in messages}


def _rid(body: str) -> str:
    return parse_message(body)[0].key.split("/")[2]


def _one_in(share: int, works: int) -> int:
    return max(1, works // share)


def _restored(delivery: Delivery, time: str, version: str, bucket: str = BUCKET) -> str:
    record = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": time,
        "awsRegion": "us-east-1",
        "s3": {"bucket": {"name": bucket}, "object": {"key": delivery.key, "versionId": version}},
    }
    return json.dumps({"Records": [record]})


_POISON = (
    lambda number: f"no JSON, number {number}",
    lambda number: _restored(Delivery(f"W..{number}", "", {}), FIRST, "v"),
    lambda number: json.dumps({"Records": [{"eventSource": "aws:s3", "number": number}]}),
    lambda number: _restored(Delivery(f"W1SK{number:04d}", "", {}), FIRST, "v", bucket="of-somebody-else"),
)
