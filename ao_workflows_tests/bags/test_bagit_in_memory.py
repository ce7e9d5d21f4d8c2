"""bagit over files in memory: what of bagit's the platform relies on, which a new release may change.

Each failure says which bags are then judged wrongly. The platform's own code is called, not bagit's.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import bagit
import pytest

from ao_workflows.bags.bagit_in_memory import BagitInMemory, without_place

BAG = {
    "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: ISO-8859-1\n",
    "bag-info.txt": "Source-Organization: Bibliothèque\nPayload-Oxum: 3.1\n".encode("latin-1"),
    "manifest-sha256.txt": b"no line of a manifest",
    "fetch.txt": b"https://example.org/a 3 data/a\n",
}

THIS = f"bagit {version('bagit')}"


@contextmanager
def watched_disk() -> Iterator[list[str]]:
    """Notes the paths that this process opens or lists meanwhile."""
    touched: list[str] = []
    watching = [True]

    def note(event: str, args: tuple[Any, ...]) -> None:
        if watching[0] and event in ("open", "os.listdir", "os.scandir"):
            touched.append(str(args[0]))

    sys.addaudithook(note)  # it cannot be removed, only silenced
    try:
        yield touched
    finally:
        watching[0] = False


def opened(files: dict[str, bytes]) -> tuple[BagitInMemory, Any]:
    reader = BagitInMemory(files)
    try:
        return reader, reader.open()
    except reader.errors as error:
        pytest.fail(f"With {THIS} every good bag is refused: it reads its tag files by another way ({error!r})")


def test_a_good_bag_is_opened_and_its_tag_files_are_the_bytes_given() -> None:
    """Were bagit to read otherwise, every bag of the archive would be refused as damaged."""
    reader, bag = opened(BAG)
    assert bag.version_info == (1, 0), f"with {THIS}, a bag's version is not known: the rules of 1.0 are not applied"
    assert bag.encoding == "ISO-8859-1", f"with {THIS}, manifests are read in another encoding than their bag's"
    assert bag.tag_file_name == "bag-info.txt", f"with {THIS}, the Payload-Oxum is not found"
    assert bag.info == {"Source-Organization": "Bibliothèque", "Payload-Oxum": "3.1"}, (
        f"with {THIS}, the Payload-Oxum is not read as it is written"
    )
    assert reader.last_read == "bag-info.txt", f"with {THIS}, errors name the wrong file"


def test_a_bag_of_an_early_draft_has_its_own_tag_file() -> None:
    """The archive has bags of the drafts, whose Payload-Oxum lies in package-info.txt."""
    early = {"bagit.txt": BAG["bagit.txt"].replace(b"1.0", b"0.95"), "package-info.txt": b"Payload-Oxum: 3.1\n"}
    _, bag = opened(early)
    assert bag.info == {"Payload-Oxum": "3.1"}, f"with {THIS}, the Payload-Oxum of early bags is passed over"


def test_no_file_of_the_disk_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bagit judges has to be what was hashed, and a path that a bag names must not be looked for."""
    opened(BAG)  # what Python loads for it is loaded by now
    followed: list[str] = []
    monkeypatch.setattr("posixpath.realpath", lambda path: followed.append(path) or path)
    reader = BagitInMemory(BAG)
    with watched_disk() as touched:
        reader.open().validate_fetch()
    assert touched == [], f"with {THIS}, reading a bag's declarations touches the disk"
    assert followed == [], f"with {THIS}, the paths of a fetch.txt are followed on the disk"


def test_manifests_are_left_to_the_platform() -> None:
    """bagit takes spaces off the end of names, so that a file named with one is refused as missing."""
    reader, _ = opened(BAG)
    assert "manifest-sha256.txt" not in reader._read, f"with {THIS}, bagit reads manifests by another method"


@pytest.mark.parametrize("entry", [b"https://example.org/a 3 ../a\n", b"no-url 3 data/a\n", b"two words\n"])
def test_a_wrong_fetch_txt_is_found(entry: bytes) -> None:
    """bagit's check has to ask the entries of the method that is replaced; else nothing is checked."""
    reader, bag = opened(BAG | {"fetch.txt": entry})
    try:
        bag.validate_fetch()
    except reader.errors:
        return
    pytest.fail(f"With {THIS} a fetch.txt whose entries are wrong is taken for good")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bagit.txt", b"BagIt-Version: 1.0\n"),
        ("bagit.txt", b"BagIt-Version: one\nTag-File-Character-Encoding: UTF-8\n"),
        ("bagit.txt", b"BagIt-Version: 1.0\nTag-File-Character-Encoding: no-such\n"),
        ("bag-info.txt", b"no colon\n"),
        ("bag-info.txt", b"Title: \xff\xfe\n"),
    ],
)
def test_a_wrong_tag_file_is_refused_and_named(name: str, content: bytes) -> None:
    """The report names the file that a person has to look at."""
    files = BAG | {"bagit.txt": BAG["bagit.txt"].replace(b"ISO-8859-1", b"UTF-8"), name: content}
    reader = BagitInMemory(files)
    try:
        reader.open()
    except reader.errors as error:
        assert reader.last_read == name, f"with {THIS}, the fault is reported of another file"
        assert "/bag" not in without_place(str(error)), f"with {THIS}, messages name a folder that does not exist"
        return
    pytest.fail(f"With {THIS} a wrong {name} is taken for good")


def test_bagit_itself_is_left_as_it_is() -> None:
    """Other code of the process that uses bagit has to find the real disk."""
    opened(BAG)
    assert inspect.ismodule(bagit.os), "bagit's own module was changed, and not a copy of it"
    assert bagit.open_text_file.__module__ != "ao_workflows.bags.bagit_in_memory"
