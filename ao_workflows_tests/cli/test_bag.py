"""``ao bag``: what it prints, what it exits with, and how soon."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows_tests.support.debagging import right_entries
from ao_workflows_tests.support.zip_bytes import Entry, bag_files, entries_of, tree, write_zip

AO = [sys.executable, "-c", "from ao_workflows.cli import main; main(prog_name='ao')"]


def ao(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AO, "bag", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "W1.bag.zip", right_entries())


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    files = bag_files({"a": b"x", "b": b"y"}) | {"data/a": b"?", "data/new": b"!"}
    return write_zip(tmp_path / "W2.bag.zip", entries_of(files, "W2.bag"))


def test_validate_exits_with_0_if_all_are_valid_and_1_if_one_is_not(good: Path, bad: Path) -> None:
    """Scripts go by the exit code."""
    assert ao("validate", good).returncode == 0
    run = ao("validate", good, bad)
    assert run.returncode == 1
    assert f"{good}: valid, 2 files" in run.stdout
    assert "checksum: W2.bag/data/a" in run.stdout
    assert "unexpected: W2.bag/data/new" in run.stdout


def test_validate_takes_a_folder(tmp_path: Path) -> None:
    """Bags on a share are folders."""
    for name, content in bag_files({"a": b"x"}).items():
        (tmp_path / "W1.bag" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "W1.bag" / name).write_bytes(content)
    assert ao("validate", tmp_path / "W1.bag").returncode == 0
    (tmp_path / "W1.bag/data/a").write_bytes(b"y")
    assert ao("validate", tmp_path / "W1.bag").returncode == 1


def test_validate_prints_json_with_every_problem(good: Path, bad: Path) -> None:
    """A program must not read what is written for people."""
    one, other = json.loads(ao("validate", "--json", good, bad).stdout)
    assert (one["path"], one["valid"], one["bags"], one["files"], one["problems"]) == (str(good), True, ["W1"], 2, [])
    assert other["valid"] is False
    assert {(problem["kind"], problem["path"]) for problem in other["problems"]} >= {
        ("checksum", "W2.bag/data/a"),
        ("unexpected", "W2.bag/data/new"),
    }


def test_debag_prints_the_works_and_leaves_them_under_their_rids(good: Path, tmp_path: Path) -> None:
    """What it prints goes into the next command."""
    run = ao("debag", good, "--into", tmp_path / "out")
    assert (run.returncode, run.stdout, run.stderr) == (0, "W1\n", "")
    assert tree(tmp_path / "out")["W1/sources/note.txt"] == b"a note"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["W1"]


def test_debag_leaves_everything_else_in_the_folder_alone(good: Path, tmp_path: Path) -> None:
    """``--into .`` must not cost the folder's other works."""
    (tmp_path / "out/W1").mkdir(parents=True)
    (tmp_path / "out/W1/old").write_text("old")
    (tmp_path / "out/W9").mkdir()
    assert ao("debag", good, "--into", tmp_path / "out").returncode == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["W1", "W9"]
    assert not (tmp_path / "out/W1/old").exists()


def test_a_refused_zip_exits_with_1_says_why_and_leaves_nothing(bad: Path, tmp_path: Path) -> None:
    """Half a bag left behind would be taken for one."""
    run = ao("debag", bad, "--into", tmp_path / "out")
    assert run.returncode == 1
    assert "W2.bag/data/a" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == [bad.name]
    unsafe = write_zip(tmp_path / "W3.bag.zip", [*right_entries(), Entry("../evil", b"")])
    (tmp_path / "out").mkdir()
    run = ao("debag", unsafe, "--into", tmp_path / "out", "--json")
    assert run.returncode == 1
    assert json.loads(run.stdout)["problems"][0]["path"] == "../evil"
    assert list((tmp_path / "out").iterdir()) == []


def test_debag_prints_json(good: Path, tmp_path: Path) -> None:
    """A program wants the counts too."""
    run = ao("debag", good, "--into", tmp_path / "out", "--json", "--time-zone", "Asia/Seoul")
    found = json.loads(run.stdout)
    work = {"rid": "W1", "files": 2, "bytes": 14, "algorithms": ["sha256"], "proven": True, "tags": "W1.bag"}
    assert found["works"] == [work]


def test_debag_says_what_is_unproven_or_another_works_to_people_too(tmp_path: Path) -> None:
    """Only a program that read --json learned that no manifest had come with the work."""
    path = write_zip(tmp_path / "W2.bag.zip", [Entry("W1/images/a", b"1")])
    run = ao("debag", path, "--into", tmp_path / "out")
    assert (run.returncode, run.stdout) == (0, "W1\n")
    assert "warning: no manifest came with W1: nothing of it is proven\n" in run.stderr
    assert "warning: W2.bag.zip: holds another work: W1; as the zip of W2 it is refused\n" in run.stderr
    assert "holds another work: W1" in ao("validate", write_zip(path, right_entries())).stdout


def test_debag_refuses_a_work_without_files(tmp_path: Path) -> None:
    """An empty folder under the work's name would take the place of an earlier one."""
    (tmp_path / "out/W1").mkdir(parents=True)
    (tmp_path / "out/W1/page").write_text("page")
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({})))
    run = ao("debag", path, "--into", tmp_path / "out")
    assert run.returncode == 1
    assert "the work W1 has no file in it" in run.stderr
    assert (tmp_path / "out/W1/page").exists()
    assert "warning: W1.bag/data/: has no file" in ao("validate", path).stdout


@pytest.mark.parametrize(
    "words",
    [
        ["validate"],
        ["validate", "nowhere.zip"],
        ["validate", "--what", "."],
        ["debag", "nowhere.zip", "--into", "."],
        ["debag", "."],
        ["debag", __file__],
        ["debag", __file__, "--into", "/nowhere/at/all"],
        ["debag", __file__, "--into", ".", "--time-zone", "Nowhere/Much"],
    ],
)
def test_a_command_that_is_not_understood_exits_with_2(words: list[str]) -> None:
    """Exit code 1 means that a bag is bad; a typing error must not."""
    run = ao(*words)
    assert run.returncode == 2
    assert "Usage" in run.stderr


def test_progress_is_shown_on_a_terminal(good: Path) -> None:
    """A bag of 300 GB takes an hour, in which a silent command looks dead."""
    reader, writer = pty.openpty()
    run = subprocess.run([*AO, "bag", "validate", str(good)], stdout=subprocess.PIPE, stderr=writer, check=True)
    os.close(writer)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert "100%" in shown
    assert b"100%" not in run.stdout


def test_the_command_needs_no_site_and_no_dagster(good: Path) -> None:
    """Importing Dagster costs more than validating a small bag; a laptop has no site.toml."""
    program = (
        "import sys; from ao_workflows.cli import main; main(['bag', 'validate', sys.argv[1]], standalone_mode=False)"
    )
    check = (
        "import atexit, sys; atexit.register(lambda: print(sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'dagster', 'boto3', 'pydantic', 'sqlalchemy', 'rich'})));"
    )
    run = subprocess.run([sys.executable, "-c", check + program, str(good)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


HOSTILE = "a\x1b[2Jb\rc\x9bd\u2028e\u202ef"
"""Clears the screen, writes over its line, begins a command in C1, ends a line, and turns the direction of writing."""


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize("how", [[], ["--json"]], ids=["for people", "json"])
def test_no_name_from_outside_is_printed_raw(tmp_path: Path, how: list[str]) -> None:
    """A terminal does what a name says; JSON says the very name, and does not show it either."""
    files = bag_files({"images/Icon\r": b"x", "b": b"y"}) | {f"data/{HOSTILE}": b"extra"}
    folder = tmp_path / f"{HOSTILE}.bag"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    zipped = write_zip(tmp_path / f"{HOSTILE}.zip", entries_of(files))
    runs = [ao("validate", folder, zipped, *how), ao("debag", zipped, "--into", tmp_path / "out", *how)]
    for run in runs:
        assert run.returncode == 1
        assert "1b[2Jb" in run.stdout + run.stderr
        assert is_harmless(run.stdout)
        assert is_harmless(run.stderr)
    if how:
        in_folder, _ = json.loads(runs[0].stdout)
        assert in_folder["path"] == str(folder)
        assert f"data/{HOSTILE}" in {problem["path"] for problem in in_folder["problems"]}


def test_a_macs_icon_is_told_as_a_warning_and_printed_harmlessly(tmp_path: Path) -> None:
    """Its CR would write the next words over its name."""
    path = write_zip(tmp_path / "W1.bag.zip", entries_of(bag_files({"Icon\r": b"x"})))
    run = ao("validate", path)
    assert run.returncode == 0
    assert "warning: W1.bag/data/Icon\\r: " in run.stdout
    assert is_harmless(run.stdout)
    run = ao("debag", path, "--into", tmp_path / "out")
    assert (run.returncode, run.stdout) == (0, "W1\n")
    assert "warning: W1.bag/data/Icon\\r: " in run.stderr
