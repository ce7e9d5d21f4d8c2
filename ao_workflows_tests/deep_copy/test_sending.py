"""A bag sent to S3: gone on with after a kill at any step, proven, and given up where it cannot be right."""

from __future__ import annotations

import os
import random
import re
import signal
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.aws.uploads import Uploads
from ao_workflows.deep_copy.copying import CopiedWork
from ao_workflows.deep_copy.sending import MOST_PARTS, PART_SIZE, part_size
from ao_workflows.errors import DeepCopyError, PartRefused, ServiceError
from ao_workflows_tests.support.deep_copies import LEAST_PART, CopySite, payload_of, write_work
from ao_workflows_tests.support.moto_server import Aws

GROUP = "W1NLM4700-I1"
RANDOM = random.Random(4700)  # noqa: S311 - the same bytes each time
FILES = {f"images/{GROUP}/{number:04}.jpg": RANDOM.randbytes(1 << 20) for number in range(10)}
FILES |= {f"archive/{GROUP}/large.tif": RANDOM.randbytes(6 << 20)}


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> CopySite:
    made = CopySite(aws, tmp_path, aws.make_bucket(versioned=True))
    write_work(made.place, FILES)
    return made


def killed(site: CopySite, moment: str) -> None:
    """Copies the work in a process that is killed before (-) or after (+) the call of S3's that has this number."""
    step, number, after = re.fullmatch(r"(\w+):(\d+)([+-])", moment).groups()  # type: ignore[union-attr]
    really, calls = getattr(Uploads, step), []

    def dying(self: Uploads, *words: Any, **others: Any) -> Any:
        calls.append(step)
        last = len(calls) == int(number)
        if last and after == "-":
            os.kill(os.getpid(), signal.SIGKILL)
        done = really(self, *words, **others)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    child = os.fork()
    if not child:
        with suppress(BaseException):
            setattr(Uploads, step, dying)
            site.copy()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the copy came to its end before it was killed"


def sent_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the parts that are sent from now on."""
    numbers: list[int] = []
    really = Uploads.send

    def noting(self: Uploads, key: str, upload: str, number: int, *others: Any) -> Any:
        numbers.append(number)
        return really(self, key, upload, number, *others)

    monkeypatch.setattr(Uploads, "send", noting)
    return numbers


def whole(site: CopySite, done: CopiedWork) -> bool:
    """Whether the bucket has the work, once, and nothing is left of any upload."""
    paths = {f"{GROUP}/{path.split('/')[0]}/{path.split('/')[2]}": content for path, content in FILES.items()}
    assert payload_of(site.fetch(GROUP), GROUP) == paths
    assert [made.part for made in done.objects] == [GROUP]
    assert not list(site.records.glob("*.journal"))
    return site.versions(GROUP) == 1 and site.open_uploads() == []


@pytest.mark.parametrize(
    ("moment", "fewest", "most"),
    [
        ("begin:1-", 4, 4),  # nothing has begun
        ("send:3+", 1, 4),  # what three calls brought may be noted, or not yet
        ("complete:1-", 0, 0),
        ("complete:1+", 0, 0),
        ("look:2-", 0, 0),  # the proof
    ],
)
def test_a_killed_copy_is_gone_on_with(
    site: CopySite, moment: str, fewest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of 50 GB would be sent from its first byte at each restart of a machine."""
    killed(site, moment)
    numbers = sent_parts(monkeypatch)
    done = site.copy()
    assert fewest <= len(numbers) <= most, numbers
    assert whole(site, done)


def test_an_upload_whose_id_could_not_be_noted_is_found_and_ended(
    site: CopySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 keeps its parts, and their price, until somebody ends it."""
    killed(site, "begin:1+")
    assert len(site.open_uploads()) == 1
    # moto's server says that every upload was begun in 2010.
    long_ago = datetime(2010, 1, 1, tzinfo=UTC)
    really = Uploads.begun_since
    monkeypatch.setattr(Uploads, "begun_since", lambda self, key, _moment: really(self, key, long_ago))
    assert whole(site, site.copy())


def test_what_changed_meanwhile_is_sent_from_its_beginning(site: CopySite) -> None:
    """Half of the old bag and half of the new one are none."""
    killed(site, "send:3+")
    path = f"images/{GROUP}/0001.jpg"
    write_work(site.place, {path: b"corrected"})
    done = site.copy()
    assert done.resumed == 0
    assert payload_of(site.fetch(GROUP), GROUP)[f"{GROUP}/images/0001.jpg"] == b"corrected"
    assert site.open_uploads() == []


def test_the_upload_of_a_part_that_is_not_wanted_any_more_is_ended(site: CopySite) -> None:
    """Nobody would go on with it, or end it."""
    killed(site, "send:3+")
    for path in FILES:
        (site.place / path).unlink()
    write_work(site.place, {"sources/a": b"a"})
    site.copy()
    assert (site.names(), site.open_uploads()) == ([site.rid], [])


def test_while_s3_does_not_answer_nothing_is_lost(site: CopySite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is down for an hour costs what was under way, not what was sent."""
    really, calls = Uploads.send, []

    def failing(self: Uploads, *words: Any) -> Any:
        calls.append(words[2])
        if len(calls) > 2:
            raise ServiceError("sending", "s3://deep", "no answer")
        return really(self, *words)

    with monkeypatch.context() as down:
        down.setattr(Uploads, "send", failing)
        with pytest.raises(ServiceError):
            site.copy()
    assert len(site.open_uploads()) == 1
    done = site.copy()
    assert done.resumed >= LEAST_PART
    assert whole(site, done)


def test_a_rotten_file_completes_no_upload_and_leaves_none(site: CopySite) -> None:
    """A part of an upload costs what an object does, and a whole one would be taken for good."""
    proven = {path: {"sha512": "0" * 128} for path in FILES if path.endswith("0009.jpg")}
    with pytest.raises(DeepCopyError, match=r"0009\.jpg"):
        site.copy(proven)
    assert (site.names(), site.open_uploads(), list(site.records.glob("*.journal"))) == ([], [], [])


def test_an_object_that_s3_computes_something_else_of_is_not_noted(
    site: CopySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is noted is not copied again, and the archive relies on it."""
    monkeypatch.setattr("ao_workflows.deep_copy.sending.in_base64", lambda _digest: "AAAAAAAAAAA=")
    with pytest.raises(PartRefused, match="is not what was sent: its CRC64NVME is"):
        site.copy()
    assert not list(site.records.glob("*.jsonl"))


def test_a_large_bag_has_no_more_parts_than_s3_takes() -> None:
    """S3 refuses the 10,001st, after hours."""
    assert part_size(2 << 30) == PART_SIZE
    for size in (200 << 30, 5 << 40):
        assert -(-size // part_size(size)) <= MOST_PARTS


def test_what_is_sent_is_what_the_files_were_when_they_were_read(site: CopySite) -> None:
    """A page that is written to while its group is sent is in no bag half old and half new."""
    path = site.place / f"archive/{GROUP}/large.tif"
    proven = {f"archive/{GROUP}/large.tif": {"md5": "0" * 32}}
    with pytest.raises(DeepCopyError, match="has another md5"):
        site.copy(proven)
    os.utime(path)
    assert whole(site, site.copy())
