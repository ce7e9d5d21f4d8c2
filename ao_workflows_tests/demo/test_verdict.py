"""The demo's own judgement: of files that it knows, and not of what the platform says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ao_workflows.demo.samples import Sample
from ao_workflows.demo.verdict import judge, result, summary
from ao_workflows.demo.watch import SampleProgress

RID = "W1NLM4712"
DONE, REFUSED = SampleProgress("in the archive", ended=True), SampleProgress("refused", "no", ended=True)


def sample(folder: Path, **others: object) -> Sample:
    """A sample of one page."""
    page = {RID: {"1.jpg": sha256(b"page")}}
    return replace(Sample(RID, folder / "x.zip", "a work", page, 1, 4, None, None), **others)  # type: ignore[arg-type]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive that holds the work as it was bagged, its bag's own files beside it."""
    place = tmp_path / "archive/Archive0/12" / RID
    (place / f"{RID}.bag").mkdir(parents=True)
    (place / "1.jpg").write_bytes(b"page")
    (place / f"{RID}.bag/bagit.txt").write_bytes(b"tags")
    return tmp_path / "archive"


def faults(archive: Path, standing: SampleProgress = DONE, **others: object) -> str:
    return "\n".join(judge(sample(archive, **others), standing, archive, archive / "staging").faults)


def test_a_work_that_is_there_as_it_was_bagged_has_no_fault(archive: Path) -> None:
    """A demo that finds fault with what is right teaches nobody to look."""
    assert faults(archive) == ""


def test_each_way_in_which_the_archive_may_be_wrong_is_seen(archive: Path) -> None:
    """It is the one witness that is not the platform itself."""
    place = archive / "Archive0/12" / RID
    assert "its run did not succeed" in faults(archive, REFUSED)
    (place / "1.jpg").write_bytes(b"pagE")
    (place / "more").touch()
    assert f"1.jpg in {place} is not what was bagged" in faults(archive)
    assert f"more is in {place}, and was never bagged" in faults(archive)
    (place / "1.jpg").unlink()
    assert "1.jpg is missing" in faults(archive)
    place.rename(place.parent / "W9")
    assert "is there 0 times" in faults(archive)
    for share in "12":
        (archive / f"Archive{share}/12" / RID).mkdir(parents=True)
    assert "is there 2 times" in faults(archive)


def test_a_bad_bag_is_refused_for_its_own_reason_and_is_nowhere_in_the_archive(archive: Path) -> None:
    """Refused for another one, it would be luck."""
    bad = {"wrong": "checksum", "bad_path": "1.jpg", "rid": "W1BAD", "works": {}}
    report = archive / "staging/quarantine/works/W1BAD/report.json"
    assert "has no report" in faults(archive, REFUSED, **bad)
    report.parent.mkdir(parents=True)
    report.write_text(json.dumps({"problems": [{"kind": "checksum", "path": "W1BAD.bag/data/1.jpg", "reason": "r"}]}))
    assert faults(archive, REFUSED, **bad) == ""
    assert "should have been refused" in faults(archive, DONE, **bad)
    assert "but not for" in faults(archive, REFUSED, **(bad | {"wrong": "missing"}))
    (archive / "Archive3/00/W1BAD").mkdir(parents=True)
    assert "though its bag is bad" in faults(archive, REFUSED, **bad)


def test_the_end_says_what_is_in_the_archive_or_what_is_wrong_and_what_was_refused(archive: Path) -> None:
    """A person reads the last lines only."""
    good = judge(sample(archive), DONE, archive, archive / "staging")
    said = "\n".join(result([good], 2.0))
    assert "1 works in the archive, 1 files" in said
    wrong = replace(good, faults=("W1: lost",))
    said = "\n".join(result([wrong], 2.0))
    assert "NOT AS IT SHOULD BE" in said
    assert "W1: lost" in said
    assert f"--partition {RID}" in summary([good, good], 2.0, archive)
