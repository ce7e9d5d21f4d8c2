"""The transfer: an object's missing parts fetched in parallel into one file, and digested meanwhile.

What belongs here: the threads, the retries of a part, the pace, and the digests of what goes by. What does not: how
S3 is asked (``ao_workflows.aws.ranges``), and whether the digests are the right ones
(``ao_workflows.download.download``).

Each part's bytes are digested by the thread that fetches them, while they are in the processor's cache. Where the
proof needs all bytes in order, one more thread follows the finished front of the file, out of the page cache
(``ao_workflows.download.in_order_digest``).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.download.in_order_digest import InOrderDigest, Stopped
from ao_workflows.download.journal import FinishedPart, Journal, PartDigests
from ao_workflows.download.pace import LeastRate, Pace, RateLimit
from ao_workflows.download.plan import TransferPlan
from ao_workflows.download.source import BLOCK, Body, Opened, RangeSource
from ao_workflows.errors import ServiceError
from ao_workflows.machine.disk import disk_error

WRITTEN = 32 << 10
"""What is written at once. The kernel takes the memory for a write in one piece, and small pieces are at hand. On a
virtual machine that hands free memory back to its host, large ones must be had from there again: with writes of 1 MiB
a download took more than twice as long as with these.
"""

SLOW_BLOCK = 16 << 10
"""What is read at once where the last read took a second: what is on its way is known only when a read returns."""

LEAVE_SECONDS = 5.0
"""How long a cancelled transfer waits for a thread that hangs in a call of the network's. It holds nothing of ours."""


@dataclass(frozen=True)
class Transferred:
    """What a transfer did: bytes ``fetched``, ``retries``, and the digests of the pieces of the proof in order."""

    fetched: int
    retries: int
    digests: tuple[str, ...]


class Transfer:
    """One transfer into the file ``part``. ``finished`` are the parts that are there, and grows."""

    def __init__(
        self,
        source: RangeSource,
        part: Path,
        plan: TransferPlan,
        algorithm: str | None,
        journal: Journal,
        finished: dict[int, FinishedPart],
        pace: Pace,
    ) -> None:
        self._source = source
        self._part = part
        self._plan = plan
        self._algorithm = algorithm
        self._journal = journal
        self._finished = finished
        self._pace = pace
        self._limit = RateLimit(pace.megabytes_per_second)
        self._least = LeastRate(pace)
        self._block = SLOW_BLOCK
        self._reading: set[Body] = set()
        self._slow: set[Body] = set()
        self._missing = iter([number for number in range(plan.parts) if number not in finished])
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._bodies: set[Body] = set()
        self._streaming = False
        self._failure: BaseException | None = None
        self._running = 0
        self._fetched = 0
        self._retries = 0
        self._in_order: InOrderDigest | None = None
        if plan.way == "in order" and algorithm:
            self._in_order = InOrderDigest(part, plan, algorithm, finished, self._changed, self._stop)

    def run(self, tell: Callable[[int], None]) -> Transferred:
        """Fetches what is missing. ``tell`` is called in this thread, each second and each tenth, with the bytes there.

        :raises ServiceError: if a part could not be fetched, however often it was tried.
        :raises StagingError: if the file cannot be written.
        """
        there = sum(end - start for start, end in map(self._plan.span, self._finished))
        workers = min(self._plan.parallel, self._plan.parts - len(self._finished))
        threads = [threading.Thread(target=self._guarded, args=(self._fetch_parts,)) for _ in range(workers)]
        if self._in_order:
            threads.append(threading.Thread(target=self._guarded, args=(self._in_order.run,)))
        self._running = len(threads)
        try:
            for thread in threads:
                thread.daemon = True
                thread.start()
            while self._under_way():
                tell(there + self._fetched)
        finally:
            self._end(threads)
        if self._failure:
            raise self._failure
        return Transferred(self._fetched, self._retries, self._digests())

    def _under_way(self) -> bool:
        """Waits for news, and says whether there is more to wait for."""
        with self._changed:
            if self._running and not self._failure:
                self._changed.wait(timeout=1.0)
            slow: set[Body] = set()
            if self._least.too_slow(self._fetched, waiting=bool(self._reading)):
                slow = set(self._reading)
                self._slow |= slow
            under_way = bool(self._running) and not self._failure
        for body in slow:
            body.abort()
        return under_way

    def _end(self, threads: list[threading.Thread]) -> None:
        """Ends what is under way, and waits for it; after a transfer that went well there is nothing to end."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
            under_way = list(self._bodies)
        for body in under_way:
            body.abort()
        until = time.monotonic() + LEAVE_SECONDS
        for thread in threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _guarded(self, work: Callable[[int], None]) -> None:
        """Runs a thread's work on its own handle to the file; the first failure ends all."""
        try:
            handle = os.open(self._part, os.O_RDWR | os.O_CLOEXEC)
            try:
                work(handle)
            finally:
                os.close(handle)
        except Stopped:
            pass
        except OSError as error:
            self._fail(disk_error(self._part, "cannot be written", error, self._plan.size))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller's thread raises it
            self._fail(error)
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._failure = self._failure or error
        self._stop.set()

    def _fetch_parts(self, handle: int) -> None:
        while True:
            with self._changed:
                number = next(self._missing, None)
            if number is None or self._stop.is_set():
                return
            if self._in_order:
                self._in_order.wait_near(number)
            try:
                self._fetch(number, handle)
            except _RangeIgnored:
                with self._changed:
                    mine, self._streaming = not self._streaming, True
                if mine:
                    self._stream(handle)
                return

    def _fetch(self, number: int, handle: int) -> None:
        """Fetches one part; a try that was cut short is gone on with from where it ended."""
        digests = PartDigests(self._algorithm, number, self._plan.pieces_of(number))
        at, end = self._plan.span(number)
        tries = 0
        while at < end:
            began = at
            try:
                with self._opened(at, end) as body:
                    if body.whole:
                        raise _RangeIgnored
                    while at < end:
                        block = self._next_block(body, end - at)
                        digests.update(block)
                        _write(handle, block, at)
                        at += len(block)
            except _TooSlow as slow:
                tries = self._tried(slow.error, tries + 1)
            except ServiceError as error:
                tries = self._tried(error, 1 if at > began else tries + 1)
        self._finish(digests.finished())

    def _stream(self, handle: int) -> None:
        """Takes the object from its first byte to its last, in one answer: the server knows no ranges."""
        tries = 0
        while len(self._finished) < self._plan.parts:
            began = len(self._finished)
            try:
                with self._opened(0, self._plan.size) as body:
                    for number in range(self._plan.parts):
                        self._stream_part(body, number, handle)
            except _TooSlow as slow:
                tries = self._tried(slow.error, tries + 1)
            except ServiceError as error:
                tries = self._tried(error, 1 if len(self._finished) > began else tries + 1)

    def _stream_part(self, body: Body, number: int, handle: int) -> None:
        digests = PartDigests(self._algorithm, number, self._plan.pieces_of(number))
        there = number in self._finished
        at, end = self._plan.span(number)
        while at < end:
            block = self._next_block(body, end - at)
            if not there:
                digests.update(block)
                _write(handle, block, at)
            at += len(block)
        if not there:
            self._finish(digests.finished())

    def _opened(self, start: int, end: int) -> Opened:
        self._check_stop()
        return Opened(self._source.open(start, end), self._bodies, self._changed)

    def _next_block(self, body: Body, wanted: int) -> bytes:
        """The next bytes, at most ``wanted``.

        :raises ServiceError: if there are none.
        """
        self._check_stop()
        block = self._read(body, min(self._block, wanted))
        with self._changed:
            before = self._fetched
            self._fetched += len(block)
            if before * 10 // self._plan.size != self._fetched * 10 // self._plan.size:
                self._changed.notify_all()
        self._limit.take(len(block), self._stop)
        return block

    def _read(self, body: Body, amount: int) -> bytes:
        began = time.monotonic()
        with self._changed:
            self._reading.add(body)
        failure: ServiceError | None = None
        block = b""
        try:
            block = body.read(amount)
        except ServiceError as error:
            failure = error
        with self._changed:
            self._reading.discard(body)
            slow = body in self._slow
            self._slow.discard(body)
        if slow:
            said = (
                f"less than {self._pace.least_kilobytes_per_second:g} kB/s came for {self._pace.slow_seconds:g} s, the "
                "least that [download] least_kilobytes_per_second in site.toml allows"
            )
            raise _TooSlow(ServiceError("downloading", self._source.where, said)) from failure
        if failure or not block:
            raise failure or ServiceError("downloading", self._source.where, "the answer ended too soon")
        self._block = BLOCK if time.monotonic() - began < 1 else SLOW_BLOCK
        return block

    def _tried(self, error: ServiceError, tries: int) -> int:
        """Waits before the next try of a part.

        :raises ServiceError: that of the last try, where there were enough.
        """
        self._check_stop()
        if tries >= self._pace.tries:
            raise error
        with self._changed:
            self._retries += 1
        self._stop.wait(self._pace.pause(tries))
        return tries

    def _finish(self, entry: FinishedPart) -> None:
        self._journal.add(entry)
        with self._changed:
            self._finished[entry.part] = entry
            if self._in_order:
                self._changed.notify_all()

    def _digests(self) -> tuple[str, ...]:
        if self._in_order:
            return self._in_order.digests
        return tuple(digest for number in range(self._plan.parts) for digest in self._finished[number].digests)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped


class _TooSlow(Exception):
    """Too little came: the next try counts, though something came. Else a trickle would be tried again for months."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(str(error))
        self.error = error


class _RangeIgnored(Exception):
    """The server sends the whole object when asked for a part."""


def _write(handle: int, block: bytes, at: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(handle, view[:WRITTEN], at)
        view, at = view[written:], at + written
