"""A folder as an intake, as a site has it: the real daemon, its code server and its run workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.drs.client import Drs
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.folder_sites import folder_site_toml
from ao_workflows_tests.support.sites import PAGE, bag_zip

RID = "W1NLM4712"
CHECKOUT = Path(__file__).resolve().parents[2]
AT_MOST_SECONDS = 200


@contextmanager
def site_in(root: Path, name: str = "site") -> Iterator[Path]:
    """A site whose daemon runs; sites in one ``root`` share staging, archive and DRS. The folder of what is its own."""
    own = root / name
    for folder in (own / "drop", own / "dagster"):
        folder.mkdir(parents=True, exist_ok=True)
    text = folder_site_toml(root, own / "drop")
    if (root / "slow.sh").exists():
        text = text.replace(str(CHECKOUT / "docker/sync/syncOneWork.sh"), str(root / "slow.sh"))
    (own / "site.toml").write_text(text)
    shutil.copy(CHECKOUT / "dagster.yaml", own / "dagster")
    site = parse(text, "the test's site")
    make_archive(clients.archive_shares(site))
    Drs(url=site.drs.url).init()
    # Dagster's tables, before two processes look at them: each would make what it misses.
    with dg.DagsterInstance.from_config(str(own / "dagster")) as instance:
        instance.get_runs_count()
        instance.get_dynamic_partitions("works")
        instance.all_instigator_state()
    environment = {
        "AO_SITE": str(own / "site.toml"),
        "DAGSTER_HOME": str(own / "dagster"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "ao_workflows.definitions"]
    with (own / "daemon.log").open("wb") as log:
        daemon = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
            start_new_session=True,
        )
    try:
        yield own
    finally:
        # All that it started is in its group: the code server ends, at the latest, with the second.
        daemon.terminate()
        with suppress(subprocess.TimeoutExpired):
            daemon.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


def drop(own: Path) -> None:
    """Puts the work's zip into the site's folder, as a person does."""
    under_way = own / "drop/.upload"
    under_way.write_bytes(bag_zip(RID, {"images/0001.jpg": PAGE}))
    under_way.rename(own / f"drop/{RID}.bag.zip")


def ended_run(own: Path) -> tuple[dg.DagsterRun, list[str]]:
    """The site's one run, once it has ended, and what its steps that are tried again said."""
    until = time.monotonic() + AT_MOST_SECONDS
    with dg.DagsterInstance.from_config(str(own / "dagster")) as instance:
        runs: list[dg.DagsterRun] = []
        while not (runs and all(run.is_finished for run in runs)) and time.monotonic() < until:
            time.sleep(0.2)
            runs = list(instance.get_runs())
        log = (own / "daemon.log").read_text(errors="replace")
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS], log[-4000:]
        again = instance.all_logs(runs[0].run_id, of_type=dg.DagsterEventType.STEP_UP_FOR_RETRY)
        return runs[0], [str(event.get_dagster_event().step_retry_data.error) for event in again]


def test_a_zip_that_is_put_into_the_folder_is_found_in_the_archive(tmp_path: Path) -> None:
    """All parts together: a person drops a file, and nobody does anything more."""
    with site_in(tmp_path) as own:
        (own / "drop/notes.txt").write_text("read me")
        drop(own)
        run, again = ended_run(own)
    assert again == []
    assert run.tags["dagster/partition"] == RID
    assert (tmp_path / f"archive/Archive0/12/{RID}/images/0001.jpg").read_bytes() == PAGE
    assert os.listdir(own / "drop/save") == []
    assert sorted(os.listdir(own / "drop")) == ["notes.txt", "save"]


def test_of_two_sites_daemons_that_meet_on_one_work_one_works_and_the_other_says_who_has_it(tmp_path: Path) -> None:
    """Two runs in one folder would each wreck the other's work, and no queue knows of both."""
    # The first waits on its way to the archive until the other has met it.
    (tmp_path / "slow.sh").write_text(
        f"#!/bin/sh\ntouch '{tmp_path}/begun'\n"
        f"for _ in $(seq 600); do [ -e '{tmp_path}/met' ] && break; sleep 0.2; done\n"
        f"exec '{CHECKOUT}/docker/sync/syncOneWork.sh' \"$@\"\n"
    )
    (tmp_path / "slow.sh").chmod(0o755)
    with site_in(tmp_path, "here") as here, site_in(tmp_path, "there") as there:
        # One after the other: the later file is the newer delivery, and after it the earlier would be held.
        drop(here)
        until = time.monotonic() + AT_MOST_SECONDS
        while not (tmp_path / "begun").exists():
            assert time.monotonic() < until, _said(here)[-3000:]
            time.sleep(0.2)
        drop(there)
        until = time.monotonic() + AT_MOST_SECONDS
        while "is being worked on by run" not in _said(here) + _said(there):
            assert time.monotonic() < until, _said(here)[-3000:] + _said(there)[-3000:]
            time.sleep(0.2)
        (tmp_path / "met").touch()
        ended = [ended_run(own) for own in (here, there)]
    (one, said_to_one), (other, said_to_other) = ended
    assert said_to_one or said_to_other
    assert all(f"{RID} is being worked on by run {other.run_id}" in said for said in said_to_one)
    assert all(f"{RID} is being worked on by run {one.run_id}" in said for said in said_to_other)
    assert (tmp_path / f"archive/Archive0/12/{RID}/images/0001.jpg").read_bytes() == PAGE
    assert [os.listdir(own / "drop/save") for own in (here, there)] == [[], []]


def _said(own: Path) -> str:
    return (own / "daemon.log").read_text(errors="replace")
