"""Debagging and validating as a whole: against the conformance suite, the present tool, chance, and kill -9."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import unicodedata
import zipfile
from pathlib import Path
from types import ModuleType

import bagit
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ao_workflows.bags.debagging import debag, validate
from ao_workflows.bags.member_names import why_unsafe
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.errors import BagInvalid, ZipRefused
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.debagging import right_entries
from ao_workflows_tests.support.zip_bytes import (
    DEFLATED,
    Entry,
    bag_files,
    deflated,
    entries_of,
    manifest,
    tree,
    write_zip,
    zip_bytes,
)

REFUSED = ("invalid", "linux-only")


def zipped(folder: Path, into: Path, name: str = "W1.bag") -> Path:
    """The folder in a zip, as bdrc-bag makes it: a member for each folder, everything stored."""
    with zipfile.ZipFile(into, "w") as archive:
        archive.write(folder, name)
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{name}/{path.relative_to(folder)}")
    return into


def is_debagged(zip_path: Path, into: Path) -> bool:
    try:
        debag(zip_path, into)
    except (BagInvalid, ZipRefused):
        assert not into.exists()
        return False
    return True


def test_the_conformance_suite_is_judged_as_its_folders_say(shared_data: Path, tmp_path: Path) -> None:
    """The Library of Congress's own cases: what others call a bag must be one here, and what they refuse must not."""
    suite = shared_data / "bagit-conformance-suite"
    cases = [case for case in suite.glob("v*/*/*") if case.is_dir() and case.parent.name in ("valid", *REFUSED)]
    assert len(cases) > 40
    wrong = []
    for case in cases:
        path = zipped(case, tmp_path / "W1.bag.zip")
        found = validate(case).valid, validate(path).valid, is_debagged(path, tmp_path / "out")
        if found != (case.parent.name == "valid",) * 3:
            wrong.append((str(case.relative_to(suite)), found))
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert wrong == []


@pytest.mark.parametrize(
    ("case", "valid"),
    [
        ("made-with-md5sum-tools", True),
        ("relative-path", True),
        ("same-filename-listed-twice-with-different-normalization", True),
        ("same-filename-listed-twice-with-the-same-hash", True),
        ("duplicate-file-with-different-case", False),
        ("special-system-files", False),
    ],
)
def test_the_suites_warnings_are_warned_of_or_refused_as_incomplete(shared_data: Path, case: str, valid: bool) -> None:
    """A file that the manifest lists and that is not there is missing, however understandable; the rest is unusual."""
    result = validate(shared_data / "bagit-conformance-suite/v0.97/warning" / case)
    assert result.valid is valid
    assert bool(result.warnings) is valid
    assert valid or "missing" in {problem.kind for problem in result.problems}


@pytest.fixture
def bag_ops() -> ModuleType:
    """The archive's present tool."""
    try:
        from bag import bag_ops as module
    except ImportError:
        skip_or_fail("bdrc-bag is not installed: pip install 'ao-workflows[bench]'")
    assert isinstance(module, ModuleType)
    return module


def make_work(folder: Path, rid: str) -> Path:
    """A small work with what bags stumble over: empty files and folders, Tibetan names, old dates."""
    work = folder / rid
    chance = random.Random(rid)  # noqa: S311 - to fill files
    for name in (f"images/{rid}-I1/{rid}-I10001.jpg", f"images/{rid}-I1/བོད་ཡིག.jpg", "sources/a b.txt", "empty"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(b"" if name == "empty" else chance.randbytes(70_000))
        os.utime(work / name, (1_000_000_000, 1_000_000_000 + 2 * len(name)))
    (work / "folder/within").mkdir(parents=True)
    return work


def snapshot(folder: Path) -> dict[str, tuple[bytes | None, int]]:
    """Each file's bytes and time below a folder, and each folder without."""
    content = tree(folder)
    return {name: (data, 0 if data is None else int((folder / name).stat().st_mtime)) for name, data in content.items()}


def test_bags_of_the_present_tool_become_the_tree_that_it_makes(bag_ops: ModuleType, tmp_path: Path) -> None:
    """All that lies in Glacier was made by it, one work or several a zip."""
    bags = tmp_path / "bags"
    bags.mkdir()
    bag_ops.bag(str(make_work(tmp_path / "works", "W1")), str(bags), True, True)
    zip_path = bags / "W1.bag.zip"
    bag_ops.bag(str(make_work(tmp_path / "works", "W2")), str(bags), True, True, True, str(zip_path))
    done = debag(zip_path, tmp_path / "ours")
    (tmp_path / "theirs").mkdir()
    bag_ops.debag(str(shutil.copy(zip_path, tmp_path / "copy.zip")), str(tmp_path / "theirs"))
    assert {work.rid for work in done.works} == {"W1", "W2"}
    for rid in ("W1", "W2"):
        theirs = snapshot(tmp_path / "theirs" / rid)
        theirs |= {f"{rid}.bag/{name}": kept for name, kept in snapshot(tmp_path / f"theirs/bags/{rid}.bag").items()}
        ours = snapshot(tmp_path / "ours" / rid)
        del ours[f"{rid}.bag"]
        assert ours == theirs
    assert validate(zip_path).valid


names = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp"), blacklist_characters="/\\"), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..") and name[1:2] != ":" and len(name.encode()) < 100)
"""Any name that a bag may have, whatever it begins or ends in."""
payloads = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=3000), min_size=1, max_size=6
).filter(lambda payload: not any(one != other and other.startswith(f"{one}/") for one in payload for other in payload))


@settings(max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(payload=payloads, compressed=st.booleans(), threads=st.integers(1, 3))
@example(payload={"W1.bag": b"a file where the declaration goes"}, compressed=False, threads=1)
def test_any_tree_that_bagit_bags_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, payload: dict[str, bytes], compressed: bool, threads: int
) -> None:
    """The next odd name or size is the one that nobody thought of."""
    folder = tmp_path_factory.mktemp("bag")
    work = folder / "W1.bag"
    for name, content in payload.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    work.mkdir(exist_ok=True)
    bagit.make_bag(str(work), checksums=["md5", "sha256"])
    path = folder / "W1.bag.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        for each in [work, *work.rglob("*")]:
            archive.write(each, each.relative_to(folder))
    done = debag(path, folder / "out", threads=threads)
    found = {name: content for name, content in tree(folder / "out/W1").items() if content is not None}
    declared = {name: content for name, content in found.items() if name.startswith(f"{done.works[0].tags}/")}
    assert {name: content for name, content in found.items() if name not in declared} == payload
    assert {file.path for file in done.files} == set(found)
    assert validate(work).valid
    shutil.rmtree(folder)


odd_parts = st.text(
    st.sampled_from("a%025dD\r\n\t \u00a0\u3000\\.~*#:\x1b\u2028é") | st.characters(exclude_categories=("Cs",)),
    min_size=1,
    max_size=6,
).filter(lambda name: name not in (".", "..") and "/" not in name and "\0" not in name)
odd_payloads = st.dictionaries(
    (st.lists(odd_parts, min_size=1, max_size=2) | st.just(["Icon\r"])).map("/".join),
    st.sampled_from([b"", b"1"]),
    min_size=1,
).filter(lambda payload: not any(one != other and other.startswith(f"{one}/") for one in payload for other in payload))


@settings(max_examples=120, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(payload=odd_payloads, encoded=st.booleans(), allowed=st.booleans())
def test_whatever_its_names_are_a_bag_is_judged_alike_as_a_folder_and_as_a_zip(
    tmp_path_factory: pytest.TempPathFactory, payload: dict[str, bytes], encoded: bool, allowed: bool
) -> None:
    """And rightly: with the names that RFC 8493 has encoded, each that may be taken is."""
    folder = tmp_path_factory.mktemp("bag")
    files = bag_files(payload)
    if encoded:
        rfc = {path.replace("%", "%25"): content for path, content in files.items() if path.startswith("data/")}
        files["manifest-sha256.txt"] = manifest(rfc, "sha256")
        del files["tagmanifest-sha256.txt"]
    for name, content in files.items():
        (folder / "W1.bag" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "W1.bag" / name).write_bytes(content)
    limits = ZipLimits(control_characters=allowed)
    in_folder = validate(folder / "W1.bag", limits=limits)
    zipped = validate(write_zip(folder / "W1.bag.zip", entries_of(files)), limits=limits)
    assert zipped.valid == in_folder.valid
    assert zipped.valid == (not any(why_unsafe(f"W1.bag/data/{name}", allowed) for name in payload)) or not encoded
    shutil.rmtree(folder)


BAG = bag_files({"images/a": b"page" * 30, "ཀ/b": b"\0" * 50}, algorithms=("md5", "sha256"))


@settings(max_examples=250, derandomize=True)
@given(path=st.sampled_from(sorted(BAG)), data=st.data(), compressed=st.booleans())
def test_a_single_byte_changed_in_any_file_of_a_bag_is_refused(
    tmp_path_factory: pytest.TempPathFactory, path: str, data: st.DataObject, compressed: bool
) -> None:
    """One flipped bit in a page, a manifest or a tag file is what fixity is for; the zip's own CRC is made to agree."""
    content = BAG[path]
    at = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[at]))
    changed = content[:at] + bytes([byte]) + content[at + 1 :]
    if path.startswith("tagmanifest-") and means_the_same(content, changed):
        return
    folder = tmp_path_factory.mktemp("changed")
    bag = BAG | {path: changed}
    zip_path = write_zip(folder / "W1.bag.zip", entries_of(bag, method=DEFLATED if compressed else 0))
    assert not is_debagged(zip_path, folder / "out")
    shutil.rmtree(folder)


def means_the_same(one: bytes, other: bytes) -> bool:
    """Whether two tag manifests, which no manifest covers, say the same: spaces and the digests' case say nothing."""

    def entries(text: bytes) -> list[list[bytes]]:
        return [[digest.lower(), path.strip()] for digest, path in (line.split(None, 1) for line in text.splitlines())]

    try:
        return entries(one) == entries(other)
    except ValueError:
        return False


@settings(max_examples=400, derandomize=True)
@given(data=st.data())
def test_a_single_byte_changed_anywhere_in_the_zip_is_refused_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever a disk or a network does to a zip, no other work than the one that was bagged may come out."""
    folder = tmp_path_factory.mktemp("changed")
    whole = zip_bytes(entries_of(BAG, method=data.draw(st.sampled_from([0, DEFLATED]))))
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    (folder / "W1.bag.zip").write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
    if is_debagged(folder / "W1.bag.zip", folder / "out"):
        found = {name: content for name, content in tree(folder / "out/W1").items() if content is not None}
        declared = {name: content for name, content in BAG.items() if not name.startswith("data/")}
        expected = {name.removeprefix("data/"): content for name, content in BAG.items() if name.startswith("data/")}
        assert found == expected | {f"W1.bag/{name}": content for name, content in declared.items()}
    shutil.rmtree(folder)


def test_killed_at_any_moment_the_step_run_again_ends_right(tmp_path: Path) -> None:
    """Workers are killed by deployments and by full memory; half a work must never stand under a work's name."""
    payload = {f"images/{number:03}": random.Random(number).randbytes(60_000) for number in range(150)}  # noqa: S311
    zip_path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files(payload)))
    into = tmp_path / "out"
    program = (
        "import sys; from pathlib import Path; from ao_workflows.bags.debagging import debag; print(flush=True);"
        "debag(Path(sys.argv[1]), Path(sys.argv[2])); print(flush=True)"
    )
    expected: dict[str, bytes | None] | None = None
    chance = random.Random(7)  # noqa: S311 - of moments
    longest, killed = 0.05, 0
    for _ in range(50):
        run = subprocess.Popen([sys.executable, "-c", program, str(zip_path), str(into)], stdout=subprocess.PIPE)
        assert run.stdout is not None
        run.stdout.readline()
        try:
            run.wait(chance.uniform(0, longest))
            longest *= 0.9
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            killed += 1
        run.stdout.close()
        if into.exists():
            if expected is None:
                expected = {f"W1/{name}": content for name, content in payload.items()}
            found = tree(into)
            assert expected.items() <= found.items(), "a partial folder stood under the final name"
            shutil.rmtree(into)
    assert killed > 10
    debag(zip_path, into)
    assert {f"W1/{name}": content for name, content in payload.items()}.items() <= tree(into).items()
    assert {path.name for path in tmp_path.iterdir()} == {"W1.bag.zip", "out"}


def test_validating_a_zip_writes_nothing(tmp_path: Path) -> None:
    """Whoever validates a bag of 300 GB has no room for it twice."""
    path = write_zip(tmp_path / "W1.bag.zip", right_entries())
    program = """
import os, sys
written = []
def watch(event, args):
    if event in ("os.mkdir", "os.rename", "shutil.copyfile") or event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR):
        written.append((event, args))
from pathlib import Path
from ao_workflows.bags.debagging import validate
sys.addaudithook(watch)
assert validate(Path(sys.argv[1])).valid
print(written)
"""
    run = subprocess.run([sys.executable, "-B", "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_validating_tells_all_that_debagging_would(tmp_path: Path) -> None:
    """A zip that validates and then does not unpack would be a riddle."""
    files = bag_files({"a": b"x", "b": b"y"}) | {"data/a": b"?", "data/new": b"!"}
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(files))
    with pytest.raises(BagInvalid) as caught:
        debag(path, tmp_path / "out")
    result = validate(path)
    assert result.problems == caught.value.problems
    assert (result.valid, result.bags, result.files) == (False, ("W1",), 3)


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        zip_bytes([*right_entries(), Entry("../x", b"")]),
        zip_bytes([Entry("W1.bag/data/x", b"x", DEFLATED, content=deflated(b"xx"))]),
    ],
    ids=["no zip", "unsafe", "bomb"],
)
def test_a_zip_that_is_refused_is_not_valid(tmp_path: Path, content: bytes) -> None:
    """Validation tells; it does not fall over."""
    path = tmp_path / "W1.bag.zip"
    path.write_bytes(content)
    result = validate(path)
    assert not result.valid
    assert result.problems[0].reason


def test_works_without_a_bag_are_not_valid(tmp_path: Path) -> None:
    """There is nothing to prove them by, and 'valid' would say that they are proven."""
    result = validate(write_zip(tmp_path / "W1.zip", [Entry("W1/images/a", b"x")]))
    assert not result.valid
    assert "no manifest" in result.problems[0].reason


def test_names_come_out_as_the_zip_has_them(tmp_path: Path) -> None:
    """The archive's catalogue has the names of the zip; the manifest's form is for comparing only."""
    nfd = unicodedata.normalize("NFD", "é")
    files = bag_files({"é": b"x"})
    files[f"data/{nfd}"] = files.pop("data/é")
    done = debag(write_zip(tmp_path / "W1.bag.zip", entries_of(files)), tmp_path / "out")
    assert nfd in os.listdir(tmp_path / "out/W1")
    assert nfd in {file.path for file in done.files}
