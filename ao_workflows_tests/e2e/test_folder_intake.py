"""A folder as an intake, as a site has it: the real daemon, its code server and its run workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from ao_workflows.resources.drs import Drs
from ao_workflows.site import parse
from ao_workflows_tests.folder_sites import folder_site_toml
from ao_workflows_tests.sites import PAGE, bag_zip

RID = "W1NLM4712"
CHECKOUT = Path(__file__).resolve().parents[2]
AT_MOST_SECONDS = 200


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A site in a folder, whose daemon runs."""
    for folder in ("drop", "dagster", *(f"archive/Archive{share}" for share in range(4))):
        (tmp_path / folder).mkdir(parents=True)
    text = folder_site_toml(tmp_path, tmp_path / "drop")
    (tmp_path / "site.toml").write_text(text)
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path / "dagster")
    Drs(url=parse(text, "the test's site").drs.url).init()
    # Dagster's tables, before two processes look at them: each would make what it misses.
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        instance.get_runs_count()
        instance.get_dynamic_partitions("works")
        instance.all_instigator_state()
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        "AO_SITE": str(tmp_path / "site.toml"),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "ao_workflows.definitions"]
    with (tmp_path / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )
    try:
        yield tmp_path
    finally:
        # All that it started is in its group: the code server ends, at the latest, with the second.
        daemon.terminate()
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def test_a_zip_that_is_put_into_the_folder_is_found_in_the_archive(root: Path) -> None:
    """All parts together: a person drops a file, and nobody does anything more."""
    under_way = root / "drop/.upload"
    under_way.write_bytes(bag_zip(RID, {"images/0001.jpg": PAGE}))
    (root / "drop/notes.txt").write_text("read me")
    under_way.rename(root / f"drop/{RID}.bag.zip")
    page, save = root / f"archive/Archive0/12/{RID}/images/0001.jpg", root / "drop/save"
    until = time.monotonic() + AT_MOST_SECONDS
    with dg.DagsterInstance.from_config(str(root / "dagster")) as instance:
        runs: list[dg.DagsterRun] = []
        while not (runs and all(run.is_finished for run in runs)) and time.monotonic() < until:
            time.sleep(0.2)
            runs = list(instance.get_runs())
    log = (root / "daemon.log").read_text(errors="replace")
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS], log[-4000:]
    assert runs[0].tags["dagster/partition"] == RID
    assert page.read_bytes() == PAGE
    assert os.listdir(save) == []
    assert sorted(os.listdir(root / "drop")) == ["notes.txt", "save"]
