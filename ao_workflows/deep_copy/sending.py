"""Sending a part's bag to S3: in parts, a few at a time, resumed after a kill, and proven by S3's own checksum.

What belongs here: when an upload is begun, resumed, given up or not needed, and its proof. What does not: S3's calls
(``ao_workflows.aws.uploads``), and the bag's bytes (``ao_workflows.deep_copy.bag_stream``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ao_workflows.aws.uploads import ObjectThere, SentPart, Uploads
from ao_workflows.deep_copy.bag_stream import Block, difference, read_bag
from ao_workflows.deep_copy.journal import JournalFound, UploadJournal, read_journal
from ao_workflows.deep_copy.part_bag import FoundFile, PartBag
from ao_workflows.errors import DeepCopyError, PartRefused
from ao_workflows.fixity.digests import joined, new_digest
from ao_workflows.fixity.s3_checksums import in_base64

PART_SIZE = 5 << 20
"""S3 takes no smaller one, save the last."""
MOST_PARTS = 9_000
"""S3 takes 10,000 parts of one upload."""
SENDERS = 4
MEMORY = 128 << 20
"""Bytes of parts that are held at a time: of larger ones two are sent at once, not four."""

_CRC = "crc64nvme"
_IDENTITY = "ao-bag"


@dataclass(frozen=True)
class SentBag:
    """A bag that the bucket has: its version, its bytes, and the CRC64NVME that S3 has computed of them, in hex.

    ``found`` is what was found in each file. ``resumed`` are the bytes that an earlier attempt had sent. ``was_there``
    says that the object was in the bucket before, the same byte by byte.
    """

    version_id: str | None
    size: int
    crc64nvme: str
    found: tuple[FoundFile, ...]
    resumed: int = 0
    was_there: bool = False


def part_size(size: int, least: int = PART_SIZE) -> int:
    """Returns the bytes of an upload's parts: so many that an object of that size has not too many of them."""
    mib = 1 << 20
    return max(least, -(-size // (MOST_PARTS * mib)) * mib)


@dataclass(frozen=True)
class Sending:
    """Sends the bag of one part to ``key``; ``place`` is the folder of the work ``rid`` in the archive."""

    uploads: Uploads
    key: str
    rid: str
    place: Path
    journal: Path
    storage_class: str
    tags: Mapping[str, str]
    least_part: int = PART_SIZE

    def send(self, bag: PartBag) -> SentBag:
        """Sends the bag, or what an earlier attempt has not sent of it, and proves what the bucket has then.

        The journal stays until the caller removes it: whoever does not get so far goes on with it.

        :raises DeepCopyError: if a file of the archive is not what it must be; nothing of the upload is left then.
        :raises PartRefused: if the bucket has another object there and keeps no versions, or has not what was sent.
        :raises ServiceError: if S3 does not answer; the next attempt goes on where this one ended.
        """
        size = part_size(bag.size, self.least_part)
        about = {"bag": bag.identity(), "part_size": size, "bucket": self.uploads.bucket, "key": self.key}
        earlier = read_journal(self.journal)
        found = self._resumed(earlier, bag, size) if earlier and earlier.about == about else None
        if isinstance(found, SentBag):
            return found
        if earlier and not found:
            give_up(self.uploads, earlier)
            self.journal.unlink(missing_ok=True)
        there = self.uploads.look(self.key)
        if there and not found and (same := self._same(bag, there)):
            return same
        if there and not self.uploads.keeps_versions():
            raise PartRefused(
                self.uploads.where(self.key),
                "there is an object with other content, and the bucket keeps no versions, so it would be lost. Turn "
                "the bucket's versioning on, or move the object away",
            )
        with UploadJournal(self.journal) as journal:
            if found:
                journal.go_on(found)
            else:
                journal.begin(about)
                upload = self.uploads.begin(self.key, self.storage_class, self.tags, {_IDENTITY: str(about["bag"])})
                journal.note_upload(upload)
                found = JournalFound(about, datetime.now(UTC), upload)
            try:
                return self._sent(bag, journal, found, size, is_new=there is None)
            except (DeepCopyError, PartRefused):
                self.uploads.abort(self.key, found.upload)
                self.journal.unlink(missing_ok=True)
                raise

    def _resumed(self, earlier: JournalFound, bag: PartBag, size: int) -> JournalFound | SentBag | None:
        """What can be gone on with; the bag, if the earlier attempt died when the upload was complete already."""
        pairs = zip(bag.files, earlier.files, strict=False)
        if not earlier.upload or any(difference(file, found) for file, found in pairs):
            return None
        there = self.uploads.parts(self.key, earlier.upload)
        if there is None:
            return self._completed(earlier, bag, size)
        count = 0
        while (part := earlier.parts.get(count + 1)) and there.get(count + 1) == part.etag:
            count += 1
        # What a part has of a file needs what was found in all files before.
        count = min(count, bag.starts[len(earlier.files)] // size) if len(earlier.files) < len(bag.files) else count
        files = max(0, bisect_right(bag.starts, count * size) - 1)
        parts = {number: earlier.parts[number] for number in range(1, count + 1)}
        return JournalFound(earlier.about, earlier.begun, earlier.upload, earlier.files[:files], parts)

    def _completed(self, earlier: JournalFound, bag: PartBag, size: int) -> SentBag | None:
        parts = [earlier.parts[number] for number in sorted(earlier.parts)]
        if len(parts) < -(-bag.size // size) or len(earlier.files) < len(bag.files):
            return None
        crc = _of_the_whole(parts, bag.size, size)
        there = self.uploads.look(self.key)
        if there is None or _why_not(there, bag.size, crc):
            return None
        return SentBag(there.version_id, bag.size, crc, tuple(earlier.files), bag.size)

    def _same(self, bag: PartBag, there: ObjectThere) -> SentBag | None:
        """The object that is there, if it is this bag, byte by byte: the files are read for it, and nothing is sent."""
        if there.metadata.get(_IDENTITY) != bag.identity() or there.stated.size != bag.size:
            return None
        found: list[FoundFile] = []
        digest = new_digest(_CRC)
        for block in read_bag(bag, self.rid, self.place, found, 0, lambda _found: None):
            digest.update(block)
        if _why_not(there, bag.size, digest.hexdigest()):
            return None
        return SentBag(there.version_id, bag.size, digest.hexdigest(), tuple(found), was_there=True)

    def _sent(self, bag: PartBag, journal: UploadJournal, begun: JournalFound, size: int, *, is_new: bool) -> SentBag:
        found, parts, before = list(begun.files), dict(begun.parts), len(begun.parts)
        stream = read_bag(bag, self.rid, self.place, found, before * size, journal.note_file)

        def send(number: int, content: bytearray) -> SentPart:
            digest = new_digest(_CRC)
            digest.update(memoryview(content))
            return self.uploads.send(self.key, begun.upload, number, content, digest.hexdigest())

        waiting: deque[tuple[int, bytearray, Future[SentPart]]] = deque()
        spare: list[bytearray] = []

        def collect() -> None:
            number, content, future = waiting.popleft()
            parts[number] = future.result()
            journal.note_part(number, parts[number])
            spare.append(content)

        senders = SENDERS if (SENDERS + 1) * size <= MEMORY else 2
        with ThreadPoolExecutor(senders) as pool:
            try:
                for number, content in enumerate(_cut(stream, size, spare), before + 1):
                    waiting.append((number, content, pool.submit(send, number, content)))
                    if len(waiting) >= senders:
                        collect()
                while waiting:
                    collect()
            finally:
                for *_, future in waiting:
                    future.cancel()
        sent = [parts[number] for number in sorted(parts)]
        crc = _of_the_whole(sent, bag.size, size)
        version = self.uploads.complete(self.key, begun.upload, sent, crc, bag.size, is_new=is_new)
        there = self.uploads.look(self.key, version)
        if why := _why_not(there, bag.size, crc):
            called = f" as version {version}" if version else ""
            raise PartRefused(
                self.uploads.where(self.key), f"what S3 has there now{called} is not what was sent: {why}"
            )
        return SentBag(version, bag.size, crc, tuple(found), before * size)


def give_up(uploads: Uploads, earlier: JournalFound) -> None:
    """Has S3 forget the upload that a journal is about, and what was begun of it when its id could not be noted."""
    key = str(earlier.about.get("key", ""))
    if earlier.about.get("bucket") != uploads.bucket:
        return
    for upload in [earlier.upload] if earlier.upload else list(uploads.begun_since(key, earlier.begun)):
        uploads.abort(key, upload)


def _cut(stream: Iterable[Block], size: int, spare: list[bytearray]) -> Iterator[bytearray]:
    """The stream in parts of so many bytes; the last one has what is left. Parts that are ``spare`` are used again."""
    part, have = bytearray(size), 0
    for block in stream:
        left = memoryview(block)
        while left:
            taken = min(len(left), size - have)
            part[have : have + taken] = left[:taken]
            left, have = left[taken:], have + taken
            if have == size:
                yield part
                part, have = spare.pop() if spare else bytearray(size), 0
    if have:
        del part[have:]
        yield part


def _of_the_whole(parts: list[SentPart], size: int, each: int) -> str:
    """The CRC64NVME of the whole bag from those of its parts."""
    sizes = [min(each, size - at) for at in range(0, size, each)]
    return joined(_CRC, [part.crc64nvme for part in parts], sizes)


def _why_not(there: ObjectThere | None, size: int, crc: str) -> str:
    """Why an object is not the bag of that size and CRC, by what S3 has computed of it; empty if it is."""
    if there is None:
        return "there is no object"
    if there.stated.size != size:
        return f"it has {there.stated.size} bytes, not {size}"
    computed = there.stated.checksums.get(_CRC)
    if computed is None or there.stated.checksum_type == "COMPOSITE":
        return "S3 states no CRC64NVME of the whole, so nothing proves it"
    return "" if computed == in_base64(crc) else f"its CRC64NVME is {computed}, not {in_base64(crc)}"
