"""The demo as a person runs it: the whole of the main job, with the real daemon."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows_tests.support.demo_fixture import FinishedDemo

BIN = Path(sys.executable).parent
BAD = {"W1NLM5043": "its sha512", "W1FPL1405": "not in the bag", "W1NLM6671": "no bag"}


def _environment(demo: FinishedDemo) -> dict[str, str]:
    return os.environ | {
        "AO_SITE": str(demo.folder / "site.toml"),
        "DAGSTER_HOME": str(demo.folder / "dagster"),
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }


def test_the_demo_ends_well(finished_demo: FinishedDemo) -> None:
    """The one test that sees all parts together: an event in the queue becomes a work in the archive."""
    assert finished_demo.exit_code == 0, finished_demo.output
    assert "13 works in the archive" in finished_demo.output


def test_a_bad_bag_leaves_nothing_in_the_archive_and_says_what_is_wrong(finished_demo: FinishedDemo) -> None:
    """An archive that takes a bag with one wrong byte is worth nothing."""
    for rid, reason in BAD.items():
        assert not list((finished_demo.folder / "archive").glob(f"*/*/{rid}"))
        assert re.search(rf"{rid}: .*{reason}", finished_demo.output), finished_demo.output
        assert (finished_demo.folder / "staging/quarantine/works" / rid / "report.json").exists()


def test_the_demo_leaves_no_lock_and_nothing_half_done(finished_demo: FinishedDemo) -> None:
    """What is left behind by a run blocks, or confuses, the next one."""
    staging = finished_demo.folder / "staging"
    unfinished = (".part", ".journal", ".tmp")
    left = [path for path in staging.rglob("*") if path.name.endswith(unfinished)]
    assert [*left, *(staging / "locks").iterdir(), *(staging / "reservations").glob("*.json")] == []


def test_one_work_is_redone_from_its_stored_message(finished_demo: FinishedDemo) -> None:
    """An archivist redoes one work by name, on the same instance, though S3 and the queue are gone."""
    place = finished_demo.folder / "archive/Archive0/00/W1NLM4700"
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    shutil.rmtree(place)
    command = "dagster asset materialize -m ao_workflows.definitions --select downloaded_bag+ --partition W1NLM4700"
    done = subprocess.run(
        command.split(),
        env=_environment(finished_demo),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before


@pytest.mark.parametrize("words", [("-w", "workspace.yaml"), ()])
def test_dagster_loads_the_site_with_the_workspace_file_and_without(
    finished_demo: FinishedDemo, words: tuple[str, ...]
) -> None:
    """Both ways of starting Dagster in the checkout must find the code."""
    done = subprocess.run(
        ["dagster", "definitions", "validate", *words],
        cwd=Path(__file__).parents[2],
        env=_environment(finished_demo),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Validation successful" in done.stderr + done.stdout
