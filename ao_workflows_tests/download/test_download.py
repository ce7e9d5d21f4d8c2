"""Downloads against a server that misbehaves: in the end the right file, or words that a stranger understands."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from ao_workflows.errors import DownloadMismatch, ObjectChanged
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.download_side import (
    CONTENT,
    MIB,
    OTHER,
    PARALLEL,
    Side,
    places,
    raise_at,
    reach,
    sha256,
)
from ao_workflows_tests.support.moto_server import PROFILE
from ao_workflows_tests.support.s3_server import Asked, Fault, Held, held

pytestmark = pytest.mark.usefixtures("_without_aws_variables")

KILLED = os.urandom(16 * MIB + 4321)
KILLS = 50


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


def test_an_empty_object_is_an_empty_file(side: Side) -> None:
    """A range of nothing cannot be asked for."""
    side.hold(held(b""))
    side.bring()
    assert side.holds(b"")
    assert side.server.asked == []


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
