"""Where each member of a zip goes: every payload file to where its name says, and tag files beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import bagit
import pytest

from ao_workflows.bags import unpacking
from ao_workflows.bags.debagging import DebaggedZip, debag, validate
from ao_workflows.bags.layout import DEEPEST
from ao_workflows_tests.bags.test_debagging import zipped
from ao_workflows_tests.support.debagging import debagged, invalid, refused
from ao_workflows_tests.support.zip_bytes import FOLDER, Entry, bag_files, entries_of, tree, write_zip


def files_of(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in tree(folder).items() if content is not None}


def listed(done: DebaggedZip) -> set[str]:
    return {file.path for file in done.files}


def test_a_payload_folder_named_like_the_bag_comes_out(shared_data: Path, tmp_path: Path) -> None:
    """All below data/<RID>.bag/ was counted as proven, and dropped: RFC 8493, 2.1.2, gives payload names no meaning."""
    done = debag(shared_data / "cases/payload-folder-named-like-the-bag.bag.zip", tmp_path / "out")
    found = files_of(tmp_path / "out/W1NLM4700")
    assert found["W1NLM4700.bag/notes/field.txt"] == b"only copy"
    assert found["images/0001.jpg"]
    assert "W1NLM4700.bag.1/bagit.txt" in found
    assert listed(done) == set(found)


@pytest.mark.parametrize("named", ["W1.bag/bagit.txt", "W1.bag/x/y", "W1.bag", "w1.BAG/z"])
def test_what_is_named_like_the_bag_is_payload_like_any(tmp_path: Path, named: str) -> None:
    """Neither a name, nor that it is a file or in capitals, may cost a payload file, or mix it with the bag's own."""
    files = bag_files({"a": b"1", named: b"payload"}, tags={"x/y": b"tag"})
    done = debagged(tmp_path, entries_of(files))
    tags = {f"W1.bag.1/{name}": data for name, data in files.items() if not name.startswith("data/")}
    assert files_of(tmp_path / "out/W1") == {"a": b"1", named: b"payload", **tags}
    assert listed(done) == {"a", named, *tags}
    assert (done.works[0].files, done.works[0].bytes, done.works[0].tags) == (2, 8, "W1.bag.1")


def test_an_empty_payload_folder_named_like_the_bag_is_kept_apart_too(tmp_path: Path) -> None:
    """Else the tree would differ by whether a tool wrote members for folders."""
    debagged(tmp_path, [*entries_of(bag_files({"a": b"1"})), Entry("W1.bag/data/W1.bag/", mode=FOLDER)])
    assert list((tmp_path / "out/W1/W1.bag").iterdir()) == []
    assert (tmp_path / "out/W1/W1.bag.1/bagit.txt").exists()


def test_a_work_that_is_bagged_again_from_the_archive_keeps_every_bags_files(tmp_path: Path) -> None:
    """A restored work has its bag's files in it; bagged again and again, each bag's manifests stay where they are."""
    work = tmp_path / "W1"
    (work / "images").mkdir(parents=True)
    (work / "images/0001.jpg").write_bytes(b"page")
    expected: dict[str, bytes] = files_of(work)
    for tags in ("W1.bag", "W1.bag.1", "W1.bag.2"):
        bagit.make_bag(str(work), checksums=["sha512"], bag_info={"Note": tags})
        path = zipped(work, tmp_path / "W1.bag.zip")
        own = {name: data for name, data in files_of(work).items() if not name.startswith("data/")}
        done = debag(path, tmp_path / "out")
        again = debag(path, tmp_path / "again")
        expected |= {f"{tags}/{name}": data for name, data in own.items()}
        assert files_of(tmp_path / "out/W1") == expected
        assert tree(tmp_path / "again/W1") == tree(tmp_path / "out/W1"), "restored twice, it is another tree"
        assert (done.works[0].tags, again.works[0].tags) == (tags, tags)
        shutil.rmtree(work)
        shutil.copytree(tmp_path / "out/W1", work)


def test_of_two_bags_in_one_zip_each_has_a_folder_by_its_own_payload(tmp_path: Path) -> None:
    """One work's payload says nothing of another's tag files."""
    entries = entries_of(bag_files({"W2.bag/a": b"1"}), "W1.bag") + entries_of(bag_files({"W2.bag/a": b"1"}), "W2.bag")
    assert {work.rid: work.tags for work in debagged(tmp_path, entries).works} == {"W1": "W1.bag", "W2": "W2.bag.1"}


def test_a_payload_file_that_the_plan_leaves_out_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next rule that drops a file by its name must not have it counted as proven."""
    place = unpacking._target

    def drops_one(name: str, *about: Any) -> str | None:
        return "" if name == "data/b" else place(name, *about)

    monkeypatch.setattr(unpacking, "_target", drops_one)
    monkeypatch.setattr(unpacking.UnpackingPlan, "folders", lambda _: ["W1", "W1/W1.bag"])
    (problem,) = invalid(tmp_path, entries_of(bag_files({"a": b"1", "b": b"2"}))).problems
    assert (problem.kind, problem.path) == ("structure", "W1.bag/data/b")


def test_what_is_listed_has_the_digests_that_the_manifests_give(tmp_path: Path) -> None:
    """The archive is compared with what was bagged: what no manifest names is all that was found out here."""
    files = bag_files({"a": b"1", "b": b"2"}, algorithms=("md5", "sha512"), version="0.97")
    files["manifest-md5.txt"] = files["manifest-md5.txt"].splitlines(keepends=True)[0]
    del files["tagmanifest-md5.txt"], files["tagmanifest-sha512.txt"]
    done = debagged(tmp_path, entries_of(files))
    assert {file.path: {*file.digests} for file in done.files if not file.path.startswith("W1.bag/")} == {
        "a": {"md5", "sha512"},
        "b": {"sha512"},
    }


def deep(levels: int) -> str:
    """A path of so many parts, in a bag's folder."""
    return "data/" + "d/" * (levels - 2) + "f"


def test_a_file_too_deep_to_be_removed_again_is_refused(tmp_path: Path) -> None:
    """A folder 990 levels deep was synced, and then ended each attempt to free it."""
    payload = {deep(DEEPEST).removeprefix("data/"): b"1"}
    assert debagged(tmp_path, entries_of(bag_files(payload))).works[0].files == 1
    shutil.rmtree(tmp_path / "out")
    for name in (deep(DEEPEST + 1), deep(990)):
        error = refused(tmp_path, entries_of(bag_files({"a": b"1", name.removeprefix("data/"): b"1"})))
        assert f"more than {DEEPEST} levels" in error.reason
    folders = Entry("W1.bag/data/" + "d/" * DEEPEST, mode=FOLDER)
    assert "levels" in refused(tmp_path, [*entries_of(bag_files({"a": b"1"})), folders]).reason
    assert "levels" in refused(tmp_path, [Entry("W1/images/" + "d/" * 990 + "f", b"1")]).reason


@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1, 1500])
def test_a_folder_and_its_zip_are_held_to_one_depth(tmp_path: Path, levels: int) -> None:
    """Walking into a bag's folder ended in a stack trace where it was deep."""
    files = bag_files({deep(levels).removeprefix("data/"): b"1", "a": b"1"})
    for name, content in files.items():
        place = tmp_path / "W1.bag"
        for part in name.split("/"):
            place.mkdir(exist_ok=True)
            place /= part
        place.write_bytes(content)
    try:
        as_folder = validate(tmp_path / "W1.bag")
    finally:
        # Python's own ways of removing it go down by recursion.
        subprocess.run(["rm", "-r", tmp_path / "W1.bag"], check=True)
    as_zip = validate(write_zip(tmp_path / "W1.bag.zip", entries_of(files)))
    for result in (as_folder, as_zip):
        assert result.valid is (levels <= DEEPEST)
        assert any(f"more than {DEEPEST} levels" in it.reason for it in result.problems) is (levels > DEEPEST)
