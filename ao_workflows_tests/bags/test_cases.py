"""The cases that people reported of other tools, and the conformance suite: a zip is judged as its folder is."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from ao_workflows.bags.debagging import debag, validate
from ao_workflows.errors import ZipRefused
from ao_workflows_tests.support.zip_bytes import tree

HALF_PAST_NINE_IN_SEOUL = 1_622_853_000

TAKEN = {
    "name-ends-in-a-space": {"sources/field notes ", "images/0001.jpg"},
    "icon-cr": {"Icon\r", "images/0001.jpg"},
    "members-begin-with-dot-slash": {"images/0001.jpg", "images/empty.txt"},
    "percent-in-names": {"a%b.jpg", "a%25b.jpg"},
    "appledouble-beside-the-bag": {"images/0001.jpg"},
    "dos-host-attributes": {"images/0001.jpg"},
    "7z-utc-times": {"images/0001.jpg"},
}
"""Each case that is right, and the payload that it must bring."""


def case(shared_data: Path, name: str) -> Path:
    return shared_data / f"cases/{name}.bag.zip"


def unzipped(path: Path, into: Path) -> Path:
    """The zip's bag as a folder, by another reader of zips."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into)
    return into if (into / "bagit.txt").exists() else next(found for found in into.iterdir() if found.is_dir())


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_right_is_taken_whole(shared_data: Path, tmp_path: Path, name: str) -> None:
    """Each was refused, and its reporter's works with it, or dated wrongly."""
    path = shutil.copy(case(shared_data, name), tmp_path / "W1NLM4700.bag.zip")
    done = debag(path, tmp_path / "out")
    found = {path for path, content in tree(tmp_path / "out/W1NLM4700").items() if content is not None}
    assert {path for path in found if not path.startswith("W1NLM4700.bag/")} == TAKEN[name]
    assert done.works[0].proven
    assert all(warning.isprintable() for warning in done.warnings)
    assert bool(done.warnings) == (name in ("icon-cr", "appledouble-beside-the-bag"))


def test_times_of_7_zip_are_utc(shared_data: Path, tmp_path: Path) -> None:
    """By the machine's zone the pages were dated hours off."""
    debag(case(shared_data, "7z-utc-times"), tmp_path / "out")
    assert (tmp_path / "out/W1NLM4700/images/0001.jpg").stat().st_mtime == HALF_PAST_NINE_IN_SEOUL


def test_what_follows_a_zip_is_told_as_that(shared_data: Path, tmp_path: Path) -> None:
    """That it is no zip, or truncated, was the reason given."""
    with pytest.raises(ZipRefused) as caught:
        debag(case(shared_data, "two-bytes-after-the-end"), tmp_path / "out")
    assert "2 bytes follow its end record" in caught.value.reason


def test_a_case_is_judged_alike_as_a_folder_and_as_a_zip(shared_data: Path, tmp_path: Path) -> None:
    """What validates on a share and is refused as a zip, or the other way round, leaves nobody to be believed."""
    names = {path.name.removesuffix(".bag.zip") for path in (shared_data / "cases").glob("*.zip")}
    assert set(TAKEN) < names
    different = []
    for name in sorted(names - {"two-bytes-after-the-end"}):
        folder = unzipped(case(shared_data, name), tmp_path / name)
        verdicts = validate(folder).valid, validate(case(shared_data, name)).valid
        if verdicts[0] != verdicts[1] or (name in TAKEN and not all(verdicts)):
            different.append((name, verdicts))
    assert different == []


def test_the_conformance_suites_folders_are_judged_alike_as_zips(shared_data: Path, tmp_path: Path) -> None:
    """All of them: what the suite warns of, and what it holds to be another system's trouble, too."""
    suite = shared_data / "bagit-conformance-suite"
    cases = [found for found in suite.glob("v*/*/*") if found.is_dir()]
    assert len(cases) > 40
    different = []
    for found in cases:
        path = Path(shutil.make_archive(str(tmp_path / found.name), "zip", found.parent, found.name))
        in_zip, in_folder = validate(path), validate(found)
        if in_zip.valid != in_folder.valid or bool(in_zip.warnings) != bool(in_folder.warnings):
            different.append((found, in_zip, in_folder))
    assert different == []
