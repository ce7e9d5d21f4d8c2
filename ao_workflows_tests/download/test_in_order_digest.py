"""The digest in order: right whatever order the parts come in, never far behind, and ended with its transfer."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ao_workflows.download.in_order_digest import ROUNDS_AHEAD, InOrderDigest, Stopped
from ao_workflows.download.plan import TransferPlan
from ao_workflows.errors import StagingError

PART = 1000
PLAN = TransferPlan(size=19_500, part_size=PART, parallel=2, way="in order", pieces=(12_345, 7_155))
BYTES = os.urandom(PLAN.size)
RIGHT = tuple(hashlib.sha256(piece).hexdigest() for piece in (BYTES[: PLAN.pieces[0]], BYTES[PLAN.pieces[0] :]))


@dataclass
class Desk:
    """A file whose parts a test finishes, and what the digest is told of that."""

    path: Path
    finished: set[int] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)
    stop: threading.Event = field(default_factory=threading.Event)

    def digest(self) -> InOrderDigest:
        return InOrderDigest(self.path, PLAN, "sha256", self.finished, self.changed, self.stop)

    def finish(self, parts: Iterable[int]) -> None:
        for part in parts:
            start, end = PLAN.span(part)
            with self.path.open("r+b") as out:
                out.seek(start)
                out.write(BYTES[start:end])
            with self.changed:
                self.finished.add(part)
                self.changed.notify_all()

    def run(self, digest: InOrderDigest) -> None:
        handle = os.open(self.path, os.O_RDWR)
        try:
            digest.run(handle)
        finally:
            os.close(handle)

    def end(self) -> None:
        self.stop.set()
        with self.changed:
            self.changed.notify_all()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    (tmp_path / "zip.part").touch()
    return Desk(tmp_path / "zip.part")


@pytest.fixture
def pool(desk: Desk) -> Iterator[ThreadPoolExecutor]:
    """Threads that end with the test, though it fails while one waits."""
    with ThreadPoolExecutor() as pool:
        try:
            yield pool
        finally:
            desk.end()


def _waits(future: Future[None]) -> bool:
    """Whether it has not ended, though it has had time to."""
    try:
        future.result(0.2)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize(
    "order",
    [range(PLAN.parts), range(PLAN.parts - 1, -1, -1), [*range(1, PLAN.parts, 2), *range(0, PLAN.parts, 2)]],
    ids=["in order", "from behind", "odd ones first"],
)
def test_the_digests_are_those_of_the_bytes_in_order(
    desk: Desk, pool: ThreadPoolExecutor, order: Iterable[int]
) -> None:
    """A part that was read before it was whole would make a sound download a wrong one."""
    digest = desk.digest()
    running = pool.submit(desk.run, digest)
    desk.finish(order)
    running.result(60)
    assert digest.digests == RIGHT


def test_what_an_earlier_transfer_fetched_is_digested_too(desk: Desk) -> None:
    """Nobody finishes a part any more, and nobody notifies."""
    desk.finish(range(PLAN.parts))
    digest = desk.digest()
    desk.run(digest)
    assert digest.digests == RIGHT


def test_a_part_waits_until_the_digest_is_near(desk: Desk, pool: ThreadPoolExecutor) -> None:
    """What is far ahead has left the page cache when the digest comes, and is read from the disk again."""
    digest = desk.digest()
    near = ROUNDS_AHEAD * PLAN.parallel
    digest.wait_near(near)
    waiting = pool.submit(digest.wait_near, near + 2)
    running = pool.submit(desk.run, digest)
    assert _waits(waiting)
    desk.finish([0])
    assert _waits(waiting)
    desk.finish([1])
    waiting.result(60)
    desk.end()
    with pytest.raises(Stopped):
        running.result(60)


def test_no_part_waits_while_what_was_there_is_read_again(desk: Desk, pool: ThreadPoolExecutor) -> None:
    """After a crash at nine tenths, the rest would come only after an hour of reading."""
    desk.finish(range(3))
    digest = desk.digest()
    digest.wait_near(PLAN.parts - 1)
    running = pool.submit(desk.run, digest)
    desk.finish(range(3, 5))
    # Whoever asks before it has read what was there does not wait.
    until = time.monotonic() + 60
    while digest._digested < 3 and time.monotonic() < until:
        time.sleep(0.01)
    waiting = pool.submit(digest.wait_near, PLAN.parts - 1)
    assert _waits(waiting)
    desk.end()
    for future in (waiting, running):
        with pytest.raises(Stopped):
            future.result(60)


def test_a_file_that_became_shorter_is_an_error_and_no_digest(desk: Desk) -> None:
    """Whatever else wrote to it, what is digested would be nobody's bytes; and an end is waited for in vain."""
    desk.finish(range(PLAN.parts))
    os.truncate(desk.path, 15_000)
    digest = desk.digest()
    with pytest.raises(StagingError, match="is shorter than it was"):
        desk.run(digest)
    assert digest.digests == ()
