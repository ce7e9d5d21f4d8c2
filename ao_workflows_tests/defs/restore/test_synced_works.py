"""What became of a zip's works together, in words."""

from __future__ import annotations

from pathlib import Path

from ao_workflows.defs.restore.synced_works import (
    SyncedWork,
    combined_failure,
    left_alone_shown,
    proof_in_words,
    proofs_shown,
    read_back,
)
from ao_workflows.errors import ArchiveMismatch, Problem, ServiceError, WorksNotSynced
from ao_workflows.works.stages import Stage


def synced(**others: object) -> SyncedWork:
    given = {"place": "/a/W1", "log": "", "web": None, "extra": (), "extra_count": 0, "images": 0, "receipt": None}
    return SyncedWork(**(given | others))  # type: ignore[arg-type]


MISMATCH = ArchiveMismatch(
    "W1",
    Path("/a/W1"),
    [Problem("checksum", "1.jpg", "its digest is another")],
    staged=True,
    replacing="W1 --replace",
    start_from=Stage.DOWNLOADED_BAG,
)


def test_a_zip_of_one_work_fails_with_that_work_s_error() -> None:
    """Its name before each file would be in the way."""
    error, problems = combined_failure({}, {"W1": MISMATCH})
    assert error is MISMATCH
    assert [problem.path for problem in problems] == ["1.jpg"]


def test_of_several_works_each_file_is_named_with_its_work() -> None:
    """Two works have a page of the same name, and a person must know which one is wrong."""
    error, problems = combined_failure({"W2": synced()}, {"W1": MISMATCH, "W3": ServiceError("doing", "it", "no")})
    assert isinstance(error, WorksNotSynced)
    assert [problem.path for problem in problems] == ["W1/1.jpg"]


def test_what_a_person_left_alone_is_said_and_nothing_where_there_is_none() -> None:
    """A green run that did not take a work must say so."""
    assert left_alone_shown([]) == {}
    assert "W1 is left as it is" in left_alone_shown(["W1"])["left alone"]
    assert "W1, W2 are left as they are" in left_alone_shown(["W1", "W2"])["left alone"]


def test_only_what_was_found_is_shown_beside_the_works() -> None:
    """An empty line for the web says that it was looked at."""
    assert set(proofs_shown({"W1": synced()})) == {"archive"}
    more = synced(log="/l", web="s3://w", images=3, extra=("old.txt",), extra_count=5)
    shown = proofs_shown({"W1": synced(), "W2": more})
    assert (shown["on the web"], shown["files that only the archive has"]) == ("3 images at s3://w", 5)
    assert shown["such as"] == "W2/old.txt"
    assert {"archive of W1", "archive of W2", "log"} <= set(shown)


def test_the_proof_is_one_sentence_of_what_was_compared() -> None:
    """What was not looked at must not be in it."""
    assert proof_in_words({"W1": synced()}, 7, "checksum") == "7 files compared by checksum"
    more = {"W1": synced(web="s3://w", images=3, extra_count=5)}
    assert proof_in_words(more, 7, "size") == (
        "7 files compared by size alone, as [sync] verify in site.toml says; 3 images on the web too; "
        "the archive has 5 files besides, which were left"
    )
    said = proof_in_words({"W1": synced(web="s3://w", images=3, by_size=2)}, 7, "checksum")
    assert said.endswith("3 images on the web too, 2 of them by size alone, since S3 states no checksum of them")


def test_what_was_compared_by_size_alone_was_not_read() -> None:
    """A file of the same size with other bytes would be called what was bagged."""
    assert read_back({"W1": synced()}, "checksum")
    assert not read_back({"W1": synced()}, "size")
    assert not read_back({"W1": synced(), "W2": synced(by_size=1)}, "checksum")
