"""How much memory reading a zip takes: no more than the site allows, whatever it holds, or it is refused and told.

The attacks are those that worked. Each is read by a process of its own, whose memory at its highest is compared.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ao_workflows.bags.debagging import debag, validate
from ao_workflows.bags.memory import Memory, held_for_folder, held_for_name
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.errors import BagInvalid, ZipRefused
from ao_workflows_tests.support.debagging import as_folder
from ao_workflows_tests.support.zip_bytes import (
    DEFLATED,
    Entry,
    bag_files,
    end_record,
    entries_of,
    manifest,
    write_zip,
    zip_bytes,
)

MIB = 1 << 20
BESIDES = 24
"""MiB for the buffers of two threads and the window on the directory, which no zip makes larger."""

PROGRAM = """
import json, sys
from pathlib import Path
from ao_workflows.bags.debagging import validate
from ao_workflows.bags.zip_directory import ZipLimits
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1024
before = peak()
found = validate(Path(sys.argv[1]), limits=ZipLimits(**json.loads(sys.argv[2])), threads=2)
print(json.dumps([peak() - before, [[it.path, it.reason] for it in found.problems[:3]]]))
"""


def read_apart(path: Path, **limits: Any) -> tuple[float, list[tuple[str, str]]]:
    """The MiB that it took to read the zip or folder in a process of its own, and the first problems."""
    command = [sys.executable, "-c", PROGRAM, str(path), json.dumps(limits)]
    grown, problems = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return grown, [(path, reason) for path, reason in problems]


def with_noise(files: dict[str, bytes], size: int) -> list[Entry]:
    """The members of a bag, deflated, with bytes beside that no zip makes smaller: the zip is no bomb by its ratio."""
    noise = entries_of(bag_files({"noise": os.urandom(size)}), "W2.bag")
    return [*entries_of(files, method=DEFLATED), *noise]


LONG_LINE = "External-Description: 😀".encode() + b"a" * 60_000_000


@pytest.mark.parametrize("name", ["bag-info.txt", "bagit.txt", "fetch.txt", "manifest-sha256.txt"])
def test_one_long_line_of_a_tag_file_is_refused_while_it_is_read(tmp_path: Path, name: str) -> None:
    """3.5 MB of zip with a line of 350 MB and one emoji in it took 4.2 GB, and the run was killed three times."""
    files = bag_files({"a": b"x"}, tags={name: LONG_LINE})
    path = write_zip(tmp_path / "W1.bag.zip", with_noise(files, 600_000))
    grown, problems = read_apart(path)
    assert grown < 40, "MiB"
    ((member, reason),) = problems
    assert member == f"W1.bag/{name}"
    assert "memory" in reason or "line of more than" in reason or "more than" in reason


def test_the_same_line_is_refused_in_a_folder(tmp_path: Path) -> None:
    """A folder is judged as its zip."""
    folder = as_folder(tmp_path / "W1.bag", bag_files({"a": b"x"}, tags={"bag-info.txt": LONG_LINE[:20_000_000]}))
    grown, problems = read_apart(folder)
    assert grown < 40, "MiB"
    assert [path for path, _ in problems] == ["bag-info.txt"]


def test_a_manifest_of_files_that_are_not_there_takes_little_and_tells_them(tmp_path: Path) -> None:
    """One of 32 MB took 473 MB."""
    lines = b"".join(b"%032x  data/%08d\n" % (number, number) for number in range(40_000))
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({"a": b"x"}, tags={"manifest-md5.txt": lines})))
    grown, problems = read_apart(path)
    assert grown < 35, "MiB"
    assert {reason for _, reason in problems} == {"it is in the manifest and not in the bag"}
    grown, problems = read_apart(path, memory_mib=16)
    assert grown < 16 + BESIDES
    ((member, reason),) = problems
    assert member.startswith("data/")
    assert "16 MiB that [debag] memory_mib in site.toml allows" in reason


def test_what_is_wrong_with_long_names_takes_little_too(tmp_path: Path) -> None:
    """Ten thousand sentences with a name of 120 KB in each, from a zip of 2 MB, took 1.2 GB, and none was counted."""
    name = "\U000e0001" * 3000 + "😀"
    lines = b"".join(b"%032x  data/%s\n" % (number % 2, name.encode()) for number in range(1500))
    files = bag_files({"a": b"x"}, tags={"manifest-md5.txt": lines})
    grown, problems = read_apart(write_zip(tmp_path / "W1.bag.zip", with_noise(files, 300_000)), memory_mib=64)
    assert grown < 64, "MiB"
    assert ["lists 'data/" in reason for _, reason in problems] == [True] * 3


def directory_of(count: int, said: int) -> bytes:
    """A zip that has a directory and no members: of ``count`` entries, of which its end record says ``said``."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 3 << 8 | 45, 45, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0)
    directory = b"".join([entry + b"W1/%06d" % number for number in range(count)])
    return directory + end_record(said, len(directory), 0)


def test_a_directory_is_counted_before_it_is_held(tmp_path: Path) -> None:
    """One of 1.3 million entries that said 54,816 took 429 MB before its count was looked at."""
    path = tmp_path / "W1.bag.zip"
    path.write_bytes(directory_of(200_000, 200_000 & 0xFFFF))
    grown, ((_, reason),) = read_apart(path, members=150_000)
    assert grown < BESIDES
    assert reason == "it has more than the 150000 members allowed"
    grown, ((_, reason),) = read_apart(path, memory_mib=64)
    assert grown < BESIDES
    assert "memory_mib" in reason


def test_a_directory_that_has_more_than_it_says_is_refused_at_the_first_that_is_too_many(tmp_path: Path) -> None:
    """Where no count can have overflowed, the rest need not be read."""
    path = tmp_path / "W1.bag.zip"
    path.write_bytes(directory_of(30_000, 5))
    grown, ((_, reason),) = read_apart(path)
    assert reason == "it says that it has 5 members, and lists more"
    assert grown < BESIDES


def test_folders_that_names_only_imply_are_counted_too(tmp_path: Path) -> None:
    """A name of 3,000 bytes may imply a hundred folders of half as many: a directory of 10 MB took a gigabyte."""
    deep = "/".join(["d" * 29] * 98)
    path = write_zip(tmp_path / "W1.bag.zip", [Entry(f"W1.bag/{number:03}/{deep}/a") for number in range(1000)])
    grown, ((member, reason),) = read_apart(path, memory_mib=64)
    assert grown < 64 + BESIDES
    assert member.endswith(deep + "/a")
    assert "memory_mib" in reason
    grown, ((member, reason),) = read_apart(
        write_zip(tmp_path / "W2.bag.zip", [Entry("W2.bag/" + "d/" * 1500 + "a")]), memory_mib=64
    )
    assert "levels deep" in reason


def test_what_is_refused_says_the_file_the_setting_and_leaves_nothing(tmp_path: Path) -> None:
    """A run that is killed says nothing, and is tried again."""
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({f"{number}": b"" for number in range(800)})))
    with pytest.raises(ZipRefused, match=r"W1\.bag\.zip: .*1 MiB that \[debag\] memory_mib in site\.toml allows"):
        debag(path, tmp_path / "out", limits=ZipLimits(memory_mib=1))
    assert [it.name for it in tmp_path.iterdir()] == ["W1.bag.zip"]
    assert debag(path, tmp_path / "out", limits=ZipLimits(memory_mib=4)).works[0].files == 800


def test_names_in_wide_characters_and_folders_cost_more() -> None:
    """One emoji makes each character of a name four bytes."""
    assert held_for_name("aaa😀") == 4 * held_for_name("aaaa")
    assert held_for_folder("a") > held_for_name("a")
    memory = Memory(Path("a.zip"), 1)
    memory.take(MIB)
    with pytest.raises(ZipRefused, match=r"a\.zip: member 'b'"):
        memory.take(1, "b")


NAMES = st.builds(
    lambda letters, length, number: f"{number:05}{(letters * length)[:length]}",
    st.sampled_from(["a", "é", "་", "😀", "A", "%41", "a/", "b/c/"]),
    st.integers(1, 60),
    st.integers(0, 99_999),
)
LINES = st.sampled_from(
    [b"", b"a b", b"%05d", b"0  data/%05d", b"x" * 300 + b"%05d", b"%032x  data/%05d", b"\xf0\x9f\x98\x80 data/%05d",
     b"%032x  \xf0\x9f\x98\x80%05d", b"T%05d: \xf0\x9f\x98\x80",
     b" folded %05d", b"http://e.org/ 1 data/%05d", b"\r\r\r"]
)  # fmt: skip


@st.composite
def hostile_files(draw: st.DrawFn) -> dict[str, bytes]:
    """A bag of up to some thousand files, each of whose tag files may be made of one line many times."""
    stems = draw(st.lists(NAMES, min_size=1, max_size=5))
    each = draw(st.sampled_from([1, 50, 600]))
    payload = {f"{stem}.{number}".replace("//", "/"): b"x" for stem in stems for number in range(each)}
    files = bag_files(payload, algorithms=draw(st.sampled_from([("md5",), ("sha512", "md5"), ("sha3_512",)])))
    for name in draw(st.sets(st.sampled_from(["bag-info.txt", "fetch.txt", "manifest-md5.txt", "tagmanifest-md5.txt",
                                              "manifest-sha1.txt", "bagit.txt"]), max_size=2)):  # fmt: skip
        line, count = draw(LINES), draw(st.sampled_from([1, 1000, 15_000]))
        more = b"".join((line.replace(b"%032x", b"%032d") % ((at,) * line.count(b"%"))) + b"\n" for at in range(count))
        files[name] = (files.get(name, b"") if draw(st.booleans()) else b"") + more
    if draw(st.booleans()):
        files["tagmanifest-md5.txt"] = manifest({name: it for name, it in files.items() if "/" not in name}, "md5")
    return files


@given(hostile_files(), st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_whatever_a_zip_holds_it_takes_no_more_memory_than_it_may(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], unpacked: bool
) -> None:
    """The next attack is one that nobody has thought of."""
    folder = tmp_path_factory.mktemp("fuzzed")
    path = folder / "W1.bag.zip"
    path.write_bytes(zip_bytes(entries_of(files, method=DEFLATED)))
    limits = ZipLimits(ratio=1 << 30, memory_mib=MOST)
    del files
    tracemalloc.start()
    try:
        if unpacked:
            debag(path, folder / "out", limits=limits, threads=2)
        else:
            validate(path, limits=limits, threads=2)
    except (ZipRefused, BagInvalid):
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < (MOST + BESIDES) * MIB


MOST = 8
