"""Downloads against a server that misbehaves: in the end the right file, or words that a stranger understands."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from ao_workflows.aws.connections import AwsConnection
from ao_workflows.aws.s3 import S3, Download, DownloadSettings
from ao_workflows.download.download import Places
from ao_workflows.download.in_order_digest import ROUNDS_AHEAD, InOrderDigest
from ao_workflows.errors import DownloadMismatch, ObjectChanged, ObjectError, ObjectMissing, ServiceError
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.moto_server import PROFILE, REGION, write_credentials
from ao_workflows_tests.support.s3_server import Asked, Fault, Held, S3Server, held

pytestmark = pytest.mark.usefixtures("_without_aws_variables")

MIB = 1 << 20
PARALLEL = 4
CONTENT = os.urandom(8 * MIB + 4321)
OTHER = os.urandom(7 * MIB + 1)
KILLED = os.urandom(16 * MIB + 4321)
KILLS = 50


class Side:
    """This side of the line: one object on the server, and the way to bring it to a folder."""

    def __init__(self, server: S3Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.places = places(folder / "staging")
        self.credentials = folder / "credentials"
        write_credentials(self.credentials)
        self.hold(held(CONTENT))

    def hold(self, kept: Held) -> None:
        self.server.objects["/b/W1.zip"] = kept

    def s3(self, **settings: float) -> S3:
        return reach(self.server.url, self.credentials, **settings)

    def bring(self, tell: Callable[[int], None] = lambda _there: None, **settings: float) -> Download:
        s3 = self.s3(**settings)
        return s3.download("fpl", s3.look("fpl", "b", "W1.zip", None), self.places, tell)

    def holds(self, content: bytes) -> bool:
        """Whether the file is the object, and nothing is left beside it but the journal."""
        left = sorted(path.name for path in self.places.final.parent.iterdir())
        return left == ["W1.zip", "W1.zip.journal"] and self.places.final.read_bytes() == content

    def holds_nothing(self) -> bool:
        return not list(self.places.final.parent.iterdir())


def places(folder: Path) -> Places:
    return Places(folder / "W1.zip", folder / "W1.zip.part", folder / "W1.zip.journal")


def reach(url: str, credentials: Path, **settings: float) -> S3:
    wanted = {"part_mib": 1, "parallel": PARALLEL, "stall_seconds": 60, "backoff_seconds": 0.01} | settings
    connection = AwsConnection(region=REGION, profile=PROFILE, endpoint_url=url, credentials_file=str(credentials))
    return S3(connections={"fpl": connection}, settings=DownloadSettings(**wanted))  # type: ignore[arg-type]


@pytest.fixture
def side(s3_server: S3Server, tmp_path: Path) -> Side:
    return Side(s3_server, tmp_path)


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def only(number: int, fault: Fault) -> Callable[[Asked], Fault | None]:
    return lambda asked: fault if asked.number == number else None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(after=300_000, reset=True),
        Fault(after=300_000, cut=True),
        Fault(after=0, cut=True),
        Fault(status=500, code="InternalError"),
        Fault(status=503, code="SlowDown"),
    ],
    ids=["reset", "cut", "empty", "500", "503"],
)
def test_what_a_line_or_a_server_drops_is_fetched_again(side: Side, fault: Fault) -> None:
    """Every third answer fails: with hundreds of GB, each of these is met every night."""
    side.server.fault = lambda asked: fault if asked.number % 3 == 1 else None
    side.bring()
    assert side.holds(CONTENT)


def test_a_part_that_was_cut_short_goes_on_from_where_it_ended(side: Side) -> None:
    """A link that drops every minute would never bring a large part, were each begun anew."""
    side.server.fault = only(1, Fault(after=600_000, cut=True))
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.retries == 1
    assert side.server.served == len(CONTENT)


def test_a_burst_of_slow_down_that_outlasts_boto_s_retries_is_waited_out(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 gives up after a few; S3's bursts last longer than that."""
    monkeypatch.setattr("ao_workflows.aws.connections.ATTEMPTS", 1)
    side.server.fault = lambda asked: Fault(status=503, code="SlowDown") if asked.number <= 3 * PARALLEL else None
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.retries == 3 * PARALLEL


def test_a_connection_that_stalls_is_given_up_and_made_anew(side: Side) -> None:
    """Without a time-out a run would hang for days on a connection that nobody serves any more."""
    side.server.fault = lambda asked: Fault(after=500_000, stall=True) if asked.number in {1, 2} else None
    done = side.bring(stall_seconds=0.5)
    assert side.holds(CONTENT)
    assert done.brought.retries >= 1


def test_a_server_that_stays_down_is_told_and_what_came_is_kept(side: Side) -> None:
    """A whole night's download is not to be lost for an hour's outage."""
    side.server.fault = lambda asked: Fault(after=0, cut=True) if asked.number > 4 else None
    with pytest.raises(ServiceError, match=r"downloading failed at s3://b/W1\.zip") as raised:
        side.bring()
    assert raised.value.transient
    assert not side.places.final.exists()
    side.server.clear()
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.brought.resumed == 4 * MIB
    assert side.server.served == len(CONTENT) - 4 * MIB


def test_no_part_is_far_ahead_of_a_digest_of_all_bytes_in_order(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast network would take the processor from the digest, and what it reads from the page cache."""
    beyond, waited = threading.Event(), []
    digest = InOrderDigest.run

    def digest_late(in_order: InOrderDigest, handle: int) -> None:
        waited.append(beyond.wait(0.5))
        digest(in_order, handle)

    def note(asked: Asked) -> None:
        if asked.number > ROUNDS_AHEAD + 1:
            beyond.set()

    side.server.fault = note
    monkeypatch.setattr(InOrderDigest, "run", digest_late)
    side.bring(parallel=1)
    assert waited == [False]
    assert side.holds(CONTENT)


def test_a_flipped_byte_is_fetched_again(side: Side) -> None:
    """Hardware between here and S3 flips bits, and TCP's checksum misses one in 65,536."""
    side.server.fault = lambda asked: Fault(flip=5 * MIB + 7) if asked.number <= 9 else None
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.proof == "MD5 (ETag)"
    assert side.server.served == 2 * len(CONTENT)


def test_a_byte_that_is_always_wrong_is_refused_with_what_was_expected_and_found(side: Side) -> None:
    """A wrong file must never be called done, nor a file kept that nobody will use."""
    side.server.fault = lambda _asked: Fault(flip=5 * MIB + 7)
    wrong = bytearray(CONTENT)
    wrong[5 * MIB + 7] ^= 1
    with pytest.raises(DownloadMismatch) as raised:
        side.bring()
    assert not raised.value.transient
    assert raised.value.expected == hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
    assert raised.value.found == hashlib.md5(wrong, usedforsecurity=False).hexdigest()
    for fact in ("s3://b/W1.zip", raised.value.expected, raised.value.found, PROFILE):
        assert fact in str(raised.value)
    assert side.holds_nothing()


def test_where_s3_tells_each_part_s_checksum_only_the_wrong_part_is_fetched_again(side: Side) -> None:
    """One flipped bit in 400 GB is not to cost 400 GB."""
    pieces = [CONTENT[at : at + 2 * MIB] for at in range(0, len(CONTENT), 2 * MIB)]
    digests = b"".join(hashlib.sha256(piece).digest() for piece in pieces)
    etags = b"".join(hashlib.md5(piece, usedforsecurity=False).digest() for piece in pieces)
    side.hold(
        Held(
            CONTENT,
            f"{hashlib.md5(etags, usedforsecurity=False).hexdigest()}-{len(pieces)}",
            {"x-amz-checksum-sha256": f"{sha256(digests)}-{len(pieces)}", "x-amz-checksum-type": "COMPOSITE"},
            tuple((len(piece), {"x-amz-checksum-sha256": sha256(piece)}) for piece in pieces),
        )
    )
    side.server.fault = lambda asked: Fault(flip=5 * MIB + 7) if asked.number <= len(pieces) else None
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.proof == f"composite SHA-256 of {len(pieces)} parts"
    assert side.server.served == len(CONTENT) + 2 * MIB


def test_parts_of_an_upload_that_are_not_alike_are_proven_all_the_same(side: Side) -> None:
    """S3 lets an uploader cut as it likes; the MD5s are over those cuts, and larger than what is fetched at once."""
    cuts = [CONTENT[: 3 * MIB], CONTENT[3 * MIB : 3 * MIB + 77], CONTENT[3 * MIB + 77 :]]
    etags = b"".join(hashlib.md5(cut, usedforsecurity=False).digest() for cut in cuts)
    etag = f"{hashlib.md5(etags, usedforsecurity=False).hexdigest()}-3"
    side.hold(Held(CONTENT, etag, parts=tuple((len(cut), {}) for cut in cuts)))
    assert side.bring().proof == "MD5 of the MD5s of 3 parts (ETag)"
    assert side.holds(CONTENT)


def test_an_etag_that_is_no_md5_and_no_checksum_is_size_only_and_says_so(side: Side) -> None:
    """An object under a KMS key would else be called wrong for ever, or right without proof."""
    side.hold(Held(CONTENT, "0" * 32, {"x-amz-server-side-encryption": "aws:kms"}))
    done = side.bring()
    assert side.holds(CONTENT)
    assert done.proof.startswith("size only: ")
    assert "aws:kms" in done.proof


def test_an_object_that_changes_on_the_way_is_begun_anew(side: Side) -> None:
    """Half of one upload and half of the next is no bag; its size may even be right."""

    def change(asked: Asked) -> None:
        if asked.number == 4:
            side.hold(held(OTHER))

    side.server.fault = change
    done = side.bring()
    assert side.holds(OTHER)
    assert done.object.stated.etag == held(OTHER).etag


def test_an_object_that_changes_and_changes_is_given_up_in_words(side: Side) -> None:
    """Somebody writes to it all the time: a person must learn that, and the disk be free."""

    def change(asked: Asked) -> None:
        if asked.number % 4 == 0:
            side.hold(held(os.urandom(8 * MIB)))

    side.server.fault = change
    with pytest.raises(ObjectChanged, match="changed twice while it was being downloaded") as raised:
        side.bring()
    assert not raised.value.transient
    assert side.holds_nothing()


def test_an_object_that_changed_since_the_last_run_is_begun_anew(side: Side) -> None:
    """Parts of the old one must not be taken for parts of the new one."""
    with pytest.raises(InterruptedError):
        side.bring(raise_at(4 * MIB))
    side.hold(held(OTHER))
    assert side.bring().brought.resumed == 0
    assert side.holds(OTHER)


def test_a_server_that_knows_no_ranges_brings_the_whole_in_one_piece(side: Side) -> None:
    """Some proxies strip the header: eight copies of the first part would be the file."""
    side.server.fault = lambda _asked: Fault(range_ignored=True)
    side.bring()
    assert side.holds(CONTENT)


def test_a_server_that_knows_no_ranges_and_drops_is_begun_again(side: Side) -> None:
    """What was whole by then need not be written, but must be read past."""

    def fault(asked: Asked) -> Fault:
        drop = side.server.served < 2 * len(CONTENT) and asked.number <= PARALLEL + 2
        return Fault(range_ignored=True, after=3 * MIB, cut=drop)

    side.server.fault = fault
    assert side.bring().brought.retries >= 1
    assert side.holds(CONTENT)


def test_an_object_that_goes_away_leaves_nothing_behind(side: Side) -> None:
    """A .part file of an object that is gone is of no use to anybody."""
    side.server.fault = lambda asked: Fault(status=404, code="NoSuchKey") if asked.number > 3 else None
    with pytest.raises(ObjectMissing, match="was there when the download began"):
        side.bring()
    assert side.holds_nothing()


def test_a_restore_that_expires_on_the_way_is_told(side: Side) -> None:
    """Hundreds of GB over a slow line may outlast the days that were asked for; what came is of use again."""
    side.server.fault = lambda asked: Fault(status=403, code="InvalidObjectState") if asked.number > 3 else None
    with pytest.raises(ObjectError, match="restored copy expired") as raised:
        side.bring()
    assert not raised.value.transient
    assert side.places.part.exists()


def test_credentials_that_expire_on_the_way_are_read_again(side: Side) -> None:
    """A token lives an hour, a download longer."""
    before = side.credentials.read_text().split()[3]

    def fault(asked: Asked) -> Fault | None:
        if asked.number == 4:
            write_credentials(side.credentials)
        return Fault(status=400, code="ExpiredToken") if asked.number >= 4 and asked.key_id == before else None

    side.server.fault = fault
    side.bring()
    assert side.holds(CONTENT)
    assert {asked.key_id for asked in side.server.asked} == {before, side.credentials.read_text().split()[3]}


def test_credentials_that_nobody_renews_are_told(side: Side) -> None:
    """Which profile, and what to do; then what came is gone on with."""
    side.server.fault = lambda asked: Fault(status=400, code="ExpiredToken") if asked.number > 3 else None
    with pytest.raises(ServiceError, match="put new credentials into the profile") as raised:
        side.bring()
    assert raised.value.transient
    assert f"profile {PROFILE}" in str(raised.value)
    side.server.clear()
    assert side.bring().brought.resumed > 0
    assert side.holds(CONTENT)


def test_a_refusal_on_the_way_is_told_and_not_tried_for_ever(side: Side) -> None:
    """Half an hour of retries gives no permission."""
    side.server.fault = lambda asked: Fault(status=403, code="AccessDenied") if asked.number > 3 else None
    with pytest.raises(ObjectError, match="s3:GetObject") as raised:
        side.bring()
    assert not raised.value.transient


def test_an_empty_object_is_an_empty_file(side: Side) -> None:
    """A range of nothing cannot be asked for."""
    side.hold(held(b""))
    side.bring()
    assert side.holds(b"")
    assert side.server.asked == []


def raise_at(there: int) -> Callable[[int], None]:
    """What a cancelled run does to a download: an exception in the thread that waits for it."""

    def tell(now: int) -> None:
        if now >= there:
            raise InterruptedError

    return tell


def test_a_cancelled_download_ends_its_threads_and_is_gone_on_with(side: Side) -> None:
    """A thread that wrote on would write into what the next run holds."""
    before = set(threading.enumerate())
    stalled = Fault(after=100, stall=True)
    side.server.fault = lambda asked: stalled if asked.number > 6 else None
    with pytest.raises(InterruptedError):
        side.bring(raise_at(5 * MIB))
    ours = [thread for thread in threading.enumerate() if thread not in before and "_guarded" in thread.name]
    assert ours == []
    side.server.clear()
    assert side.bring().brought.resumed >= MIB
    assert side.holds(CONTENT)


def test_after_a_boot_only_what_the_disk_still_has_is_believed(side: Side) -> None:
    """Nothing is flushed on the way: after a power cut the journal may name parts that the disk never got."""
    with pytest.raises(InterruptedError):
        side.bring(raise_at(6 * MIB))
    journal = side.places.journal.read_text().splitlines(keepends=True)
    finished = [json.loads(line)[0] for line in journal[1:]]
    assert len(finished) >= 2
    head = json.loads(journal[0]) | {"boot": "an earlier one"}
    side.places.journal.write_text(json.dumps(head) + "\n" + "".join(journal[1:]))
    with side.places.part.open("r+b") as part:
        part.seek(finished[0] * MIB + 5)
        part.write(b"\0\0\0\0")
    side.server.clear()
    side.bring()
    assert side.holds(CONTENT)
    fetched = {asked.start // MIB for asked in side.server.asked}
    assert finished[0] in fetched
    assert not fetched & set(finished[1:])


def test_a_torn_last_line_of_the_journal_is_none(side: Side) -> None:
    """A process that dies while it writes must not leave a journal that nobody can read."""
    with pytest.raises(InterruptedError):
        side.bring(raise_at(6 * MIB))
    text = side.places.journal.read_bytes()
    side.places.journal.write_bytes(text[:-9])
    side.server.clear()
    side.bring()
    assert side.holds(CONTENT)
    assert side.places.journal.read_bytes().count(b"\n") == 1 + 9


def test_a_run_that_dies_before_its_receipt_fetches_nothing_again(side: Side) -> None:
    """Between the file's last name and the receipt lies a moment, and in it 400 GB."""
    side.bring()
    side.server.clear()
    done = side.bring()
    assert side.holds(CONTENT)
    assert side.server.asked == []
    assert done.brought.resumed == len(CONTENT)


def kill_me(url: str, credentials: Path, folder: Path) -> None:
    """One download, in a process that will not end by itself."""
    s3 = reach(url, credentials)
    s3.download("fpl", s3.look("fpl", "b", "W1.zip", None), places(folder))


def test_killed_fifty_times_at_random_moments_it_is_right_and_fetches_little_again(side: Side) -> None:
    """SIGKILL leaves no time to tidy up: whatever is on the disk then must be gone on with, and never be wrong."""
    seed = int(os.environ.get("AO_SEED", random.SystemRandom().getrandbits(32)))
    print(f"AO_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    moments = random.Random(seed)  # noqa: S311
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["boto3", __name__])
    side.hold(held(KILLED))
    kills = 0
    while kills < KILLS:
        in_this_download = 0
        while not side.places.final.exists():
            moment = side.server.served + moments.randrange(len(KILLED) // 2)
            killed = _run_until(context, side, moment if kills < KILLS else None)
            kills += killed
            in_this_download += killed
            assert side.server.served <= len(KILLED) + in_this_download * PARALLEL * MIB
        assert side.holds(KILLED)
        _run_until(context, side, None)
        assert side.holds(KILLED)
        side.places.remove()
        side.server.clear()


def _run_until(context: ForkServerContext, side: Side, served: int | None) -> bool:
    """Runs a download in a process, and kills it when the server has sent so much. Whether it was killed."""
    process = context.Process(target=kill_me, args=(side.server.url, side.credentials, side.places.final.parent))
    process.start()
    over = threading.Event()
    # One thread alone asks for the exit code: it is read from a pipe, once.
    ended = threading.Thread(target=lambda: (process.join(), over.set(), side.server.count(0)))
    ended.start()
    with side.server.lock:
        side.server.lock.wait_for(lambda: over.is_set() or (served is not None and side.server.served >= served))
    process.kill()
    ended.join()
    assert process.exitcode in {0, -9}
    return process.exitcode == -9


_IN_A_SMALL_DISK = """
import subprocess, sys
from pathlib import Path
from ao_workflows.errors import StagingError
from ao_workflows_tests.download import test_download as t
url, credentials, folder, how = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=True)
if how == "ro":
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
try:
    t.kill_me(url, Path(credentials), Path(folder))
except StagingError as error:
    print(type(error).__name__, error.transient, error)
print(sorted(path.name for path in Path(folder).iterdir()))
"""


@pytest.mark.parametrize(
    ("how", "told"),
    [("rw", "StagingFull True staging: {part}: the disk is full: 0.01 GiB are wanted and 0.00 GiB are free"),
     ("ro", "StagingError False staging: {part}: cannot be written: Read-only file system")],
    ids=["full", "read-only"],
)  # fmt: skip
def test_a_disk_that_is_full_or_read_only_is_met_before_the_first_byte(side: Side, how: str, told: str) -> None:
    """After 300 of 400 GB it would have cost a night; told as S3's fault, it would be looked for in the wrong place."""
    unshare = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.geteuid() else [])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        skip_or_fail("a file system cannot be mounted here: unshare --mount is not allowed")
    folder = side.folder / "small"
    folder.mkdir()
    done = subprocess.run(
        [*unshare, sys.executable, "-c", _IN_A_SMALL_DISK, side.server.url, side.credentials, folder, how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()[-2:]
    assert said.startswith(told.format(part=places(folder).part))
    assert left == "[]"
    assert side.server.asked == []


def test_the_object_as_a_whole_may_be_smaller_than_a_part(side: Side) -> None:
    """A small work is the usual one in a test, and its only range is the whole."""
    small = replace(held(CONTENT[:1000]))
    side.hold(small)
    side.server.fault = lambda _asked: Fault(range_ignored=True)
    side.bring()
    assert side.holds(CONTENT[:1000])
