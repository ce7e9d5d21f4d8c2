"""What a zip holds, told by its names: bags, works without a manifest, and what belongs to neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.bags.layout import recognise
from ao_workflows.shown_names import shown
from ao_workflows_tests.support.debagging import (
    bytes_debagged,
    bytes_refused,
    debagged,
    invalid,
    refused,
    right_entries,
)
from ao_workflows_tests.support.zip_bytes import FILE, FOLDER, Entry, bag_files, entries_of, tree, zip_bytes


def test_several_bags_in_one_zip_become_several_works(tmp_path: Path) -> None:
    """Small works are sent together; one of them lost would be missed by nobody for years."""
    entries = entries_of(bag_files({"a": b"1"}), "W1.bag") + entries_of(bag_files({"b": b"22"}), "W2.bag")
    done = debagged(tmp_path, entries)
    assert [(work.rid, work.files, work.bytes, work.proven) for work in done.works] == [
        ("W1", 1, 1, True),
        ("W2", 1, 2, True),
    ]
    assert done.bytes == 3
    assert (tmp_path / "out/W1/a").read_bytes() == b"1"
    assert (tmp_path / "out/W2/b").read_bytes() == b"22"


def test_what_a_bag_declared_goes_with_its_work(tmp_path: Path) -> None:
    """The archive keeps by which manifest a work was proven."""
    files = bag_files({"a": b"1"}, tags={"meta/n.txt": b"new"})
    done = debagged(tmp_path, entries_of(files))
    kept = {name: content for name, content in files.items() if not name.startswith("data/")}
    found = tree(tmp_path / "out/W1")
    assert {name.removeprefix("W1.bag/") for name, content in found.items() if content is not None} == {"a", *kept}
    assert {name: found[f"W1.bag/{name}"] for name in kept} == kept
    assert {file.path for file in done.files} == {"a", *(f"W1.bag/{name}" for name in kept)}
    assert (done.works[0].files, done.works[0].tags) == (1, "W1.bag")


@pytest.mark.parametrize("inside", ["archive", "sources", "images", "eBooks", "sync-inventory", "W1-I1/images"])
@pytest.mark.parametrize("above", ["", "delivery/"])
def test_works_without_a_manifest_are_known_by_their_folders(tmp_path: Path, inside: str, above: str) -> None:
    """The oldest restored zips are no bags; their works must not be lost for it, nor pass for proven."""
    done = debagged(tmp_path, [Entry(f"{above}W1/{inside}/a", b"1"), Entry(f"{above}W1/more", b"2")])
    (work,) = done.works
    assert (work.rid, work.files, work.proven, work.algorithms) == ("W1", 2, False, ("sha256",))
    inside = {"W1-I1/images": "images/W1-I1"}.get(inside, inside)
    assert (tmp_path / f"out/W1/{inside}/a").read_bytes() == b"1"
    assert {file.path for file in done.files} == {f"{inside}/a", "more"}
    assert all(len(file.digests["sha256"]) == 64 for file in done.files)


def test_a_zip_that_is_itself_a_work_has_its_own_name(tmp_path: Path) -> None:
    """A work zipped from inside its folder has no folder that bears its RID."""
    content = zip_bytes([Entry("images/W1-I1/a", b"1"), Entry("note", b"2")])
    done = bytes_debagged(tmp_path, content)
    assert [work.rid for work in done.works] == ["W1"]
    assert tree(tmp_path / "out/W1")["images/W1-I1/a"] == b"1"


def test_works_beside_and_below_one_another_are_all_found() -> None:
    """A delivery folder beside a work is no reason to miss the works in it."""
    layout = recognise(["W1/images/a", "box/W2/archive/a", "box/W3/W3-I1/images/a"], "delivery.zip")
    assert layout.works == {"W1/": "W1", "box/W2/": "W2", "box/W3/": "W3"}
    assert not layout.strays


def test_a_zip_with_neither_bag_nor_work_is_refused(tmp_path: Path) -> None:
    """An upload by mistake must be seen by a person, not filed as an empty work."""
    assert "no bag" in refused(tmp_path, [Entry("readme", b"hello"), Entry("W1/pages/a", b"1")]).reason


def test_a_zip_without_members_is_refused(tmp_path: Path) -> None:
    """It is a whole zip, and nothing."""
    assert "no bag" in refused(tmp_path, []).reason


@pytest.mark.parametrize("stray", ["readme.txt", "W2/images/a", "bags/readme"])
def test_what_lies_beside_the_bags_is_refused(tmp_path: Path, stray: str) -> None:
    """The zip is deleted in the end: what was in no bag would be gone."""
    error = refused(tmp_path, [*right_entries(), Entry(stray, b"x")])
    assert error.member == stray


def test_what_desktops_leave_beside_the_bags_is_left_out_with_a_warning(tmp_path: Path) -> None:
    """Every zip made on a Mac has it; refused, none of them could be restored."""
    litter = ["__MACOSX/W1.bag/._bagit.txt", ".DS_Store"]
    done = debagged(tmp_path, [*right_entries(), *(Entry(name, b"x") for name in litter)])
    assert [warning.partition(":")[0] for warning in done.warnings] == litter
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["W1"]


@pytest.mark.parametrize(
    "name",
    [
        "._W1.bag",
        "desktop.ini",
        "Desktop.ini",
        "Thumbs.db",
        "Icon\r",
        "@eaDir/",
        "@eaDir/W1.bag@SynoEAStream",
        "@eaDir/W1.bag/bagit.txt",
        "__MACOSX/._W1.bag",
        ".AppleDouble/W1.bag",
    ],
)
def test_what_a_mac_windows_or_a_nas_leaves_beside_a_bag_is_left_out_with_a_warning(tmp_path: Path, name: str) -> None:
    """Whoever zips a share's folder has it in the zip; each was refused as what belongs to no bag."""
    done = debagged(tmp_path, [*right_entries(), Entry(name, mode=FOLDER if name.endswith("/") else FILE)])
    (warning,) = done.warnings
    assert warning.startswith(f"{shown(name)}: was left behind")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["W1"]


@pytest.mark.parametrize("name", ["._", "._W1.bag", "desktop.ini", "Thumbs.db", "@eaDir/a", "__MACOSX/a"])
def test_the_same_inside_a_bags_payload_is_extra_where_the_manifest_does_not_list_it(tmp_path: Path, name: str) -> None:
    """A bag is what its manifest says: a file that nobody listed may be any."""
    (problem,) = invalid(tmp_path, [*right_entries(), Entry(f"W1.bag/data/{name}", b"")]).problems[:1]
    assert (problem.kind, problem.path) == ("unexpected", f"W1.bag/data/{name}")


@pytest.mark.parametrize("name", ["._folder/page.jpg", "notes/desktop.ini.txt", "x@eaDir/a", "@eaDir", "desktop.ini/a"])
def test_what_is_merely_named_alike_is_not_left_out(tmp_path: Path, name: str) -> None:
    """What is left out is gone with the zip."""
    assert "does not belong" in refused(tmp_path, [*right_entries(), Entry(name, b"x")]).reason


def test_a_macs_own_copy_of_a_works_folders_is_no_second_work(tmp_path: Path) -> None:
    """Finder's zip of a plain work has each folder once more, below ``__MACOSX``, and was refused for it."""
    entries = [Entry("W1/images/a", b"1"), Entry("__MACOSX/W1/images/._a", b"2"), Entry("__MACOSX/._W1", b"3")]
    done = debagged(tmp_path, entries)
    assert [work.rid for work in done.works] == ["W1"]
    assert sum("left behind" in warning for warning in done.warnings) == 2


def test_what_desktops_leave_inside_a_bag_is_payload_like_any(tmp_path: Path) -> None:
    """A bag is what its manifest says, no more and no less."""
    done = debagged(tmp_path, entries_of(bag_files({"a": b"1", ".DS_Store": b"x"})))
    assert (tmp_path / "out/W1/.DS_Store").read_bytes() == b"x"
    assert done.warnings == ()


def test_a_bag_inside_a_payload_is_payload(tmp_path: Path) -> None:
    """A work that once was a bag must not be taken apart."""
    inner = {f"old.bag/{name}": content for name, content in bag_files({"x": b"inner"}).items()}
    debagged(tmp_path, entries_of(bag_files({"a": b"1", **inner})))
    assert (tmp_path / "out/W1/old.bag/data/x").read_bytes() == b"inner"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["W1"]


@pytest.mark.parametrize("folder", ["..bag", "a b.bag", ".bag", "W1..bag", "བོད.bag", "a" * 65 + ".bag"])
def test_a_bag_whose_name_is_no_rid_is_refused(tmp_path: Path, folder: str) -> None:
    """Its folder, partition and database row could not be named."""
    error = refused(tmp_path, entries_of(bag_files({"a": b"1"}), folder))
    assert error.member == f"{folder}/"
    assert "RID" in error.reason


def test_two_folders_for_one_work_are_refused(tmp_path: Path) -> None:
    """One would be written over the other."""
    entries = entries_of(bag_files({"a": b"1"}), "W1.bag") + entries_of(bag_files({"b": b"1"}), "W1")
    assert "second folder" in refused(tmp_path, entries).reason


def test_empty_folders_are_kept(tmp_path: Path) -> None:
    """Works have folders that wait for their contents, and the present tool keeps them."""
    debagged(tmp_path, [*right_entries(), Entry("W1.bag/data/empty/within/", mode=FOLDER)])
    assert (tmp_path / "out/W1/empty/within").is_dir()


AT_THE_TOP = bag_files({"images/0001.jpg": b"page"})
MANIFESTS_ALONE = {name: data for name, data in AT_THE_TOP.items() if name != "bagit.txt"}
WORKS_TAG_FILES = {f"W1/W1.bag/{name}": data for name, data in bag_files({}).items()}


@pytest.mark.parametrize(
    ("files", "where"),
    [
        (AT_THE_TOP | {"sources/mets.xml": b"x"}, "at the zip's top"),
        ({f"box/{name}": data for name, data in MANIFESTS_ALONE.items()} | {"box/sources/a": b"x"}, "in box/"),
        ({f"box/W1.bag/{name}": data for name, data in AT_THE_TOP.items()} | {"box/sources/a": b"x"}, "in box/W1.bag/"),
        ({f"box/W1.bag/{name}": data for name, data in AT_THE_TOP.items()}, "in box/W1.bag/"),
        ({f"W1.bag/W1.bag/{name}": data for name, data in AT_THE_TOP.items()}, "in W1.bag/W1.bag/"),
        (WORKS_TAG_FILES | {"W1/images/0001.jpg": b"page"}, "in W1/W1.bag/"),
        ({"W1/sources/deep/deeper/bagit.txt": b"x", "W1/images/0001.jpg": b"page"}, "in W1/sources/deep/deeper/"),
        ({"W1/BAGIT.TXT": b"x", "W1/images/0001.jpg": b"page"}, "in W1/"),
        ({"W1/manifest-sha512.txt": b"x", "W1/images/0001.jpg": b"page"}, "in W1/"),
        ({"W1/tagmanifest-md5.txt": b"x", "W1/images/0001.jpg": b"page"}, "in W1/"),
        ({"W1/bag-info.txt": b"x", "W1/images/0001.jpg": b"page"}, "in W1/"),
        ({"manifest-sha3_256.txt": b"x", "images/0001.jpg": b"page"}, "at the zip's top"),
    ],
)  # fmt: skip
def test_where_bag_files_lie_no_plain_work_is_seen(tmp_path: Path, files: dict[str, bytes], where: str) -> None:
    """A bag zipped from inside its folder was archived as a work without a manifest, wrong byte and all."""
    error = refused(tmp_path, [Entry(name, data) for name, data in files.items()])
    assert error.reason.startswith(f"bag files lie {where}, so a bag is meant"), error.reason


def test_a_bag_at_the_top_beside_a_folder_of_a_works_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """One byte of its payload is wrong, as its manifest, which was not read, could say."""
    content = (shared_data / "cases/bag-at-the-top-with-a-sources-folder.bag.zip").read_bytes()
    assert "bag files lie at the zip's top" in bytes_refused(tmp_path, content).reason


@pytest.mark.parametrize(
    "name", ["data/bagit.txt", "data/deep/manifest-md5.txt", "data/W1/bag-info.txt", "meta/bagit.txt"]
)
def test_inside_a_bag_the_names_of_bag_files_mean_nothing(tmp_path: Path, name: str) -> None:
    """A work that holds old bags, or writes about them, is a work like any."""
    payload, tags = {"a": b"1"}, {}
    if name.startswith("data/"):
        payload[name.removeprefix("data/")] = b"x"
    else:
        tags[name] = b"x"
    assert debagged(tmp_path, entries_of(bag_files(payload, tags=tags))).works[0].proven


def test_a_plain_works_lists_are_no_manifests(tmp_path: Path) -> None:
    """The oldest zips cannot be made anew: what only looks a little like a bag's file must not shut them out."""
    names = ["manifest.txt", "manifest-2019.txt", "sources/fetch.txt", "sources/my-bagit.txt", "._bagit.txt"]
    done = debagged(tmp_path, [Entry("W1/images/a", b"1"), *(Entry(f"W1/{name}", b"x") for name in names)])
    assert (done.works[0].files, done.works[0].proven) == (6, False)


def test_what_a_mac_adds_to_a_zip_of_a_plain_works_folders_is_left_out(tmp_path: Path) -> None:
    """It is in none of the folders that were zipped, and was archived as a folder of the work's."""
    names = ["images/0001.jpg", "images/.DS_Store", "__MACOSX/images/._0001.jpg", "__MACOSX/._images"]
    done = debagged(tmp_path, [Entry("__MACOSX/", mode=FOLDER), *(Entry(name, b"x") for name in names)])
    assert {file.path for file in done.files} == set(names[:2])
    assert not (tmp_path / "out/W1/__MACOSX").exists()
    assert len([said for said in done.warnings if said.startswith("__MACOSX/")]) == 3


def test_a_bag_without_its_declaration_is_told_that_and_not_where_its_payloads_old_bag_lies(tmp_path: Path) -> None:
    """The report of a bag that was cut short must not send people to look into its payload."""
    files = bag_files({"a": b"1", "W1.bag/bagit.txt": b"old"})
    del files["bagit.txt"]
    assert any(problem.path == "W1.bag/bagit.txt" for problem in invalid(tmp_path, entries_of(files)).problems)
