"""``ao reprocess``: works put into Dagster's queue, and done by the real daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.instance.run_queue import LOCATION
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import RID as PARTS_RID
from ao_workflows_tests.support.part_sites import part_zip, restored, run_part
from ao_workflows_tests.support.sites import TrialSite, bag_zip
from ao_workflows_tests.support.works_in_trouble import CHECKOUT, FREED, GOOD, QUEUED, beat, queue, works_in_trouble

AT_MOST_SECONDS = 180


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[TrialSite]:
    with works_in_trouble(tmp_path_factory.mktemp("reprocess"), aws, FREED) as trial:
        yield trial


@pytest.fixture(autouse=True)
def _as_an_operator(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AO_SITE", str(site.folder / "site.toml"))
    monkeypatch.setenv("DAGSTER_HOME", str(site.folder / "dagster"))
    beat(site, time.time())


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def _unqueued(site: TrialSite, rid: str) -> dg.DagsterRun:
    """The work's newest run, which is taken out of the queue."""
    (run,) = site.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": rid}), limit=1)
    assert run.status is dg.DagsterRunStatus.QUEUED
    site.instance.run_coordinator.cancel_run(run.run_id)
    return run


def _runs(site: TrialSite) -> int:
    return site.instance.get_runs_count()


def test_a_run_is_queued_as_the_web_page_does_and_what_it_will_do_is_said_before(site: TrialSite) -> None:
    """The queue's limits go by the partition's tag; the page shows the stages by the run's asset selection."""
    told = ao("reprocess", GOOD, "--from", "debagged_work")
    assert told.exit_code == 0, told.stderr
    assert "debagged_work: skipped, done on" in told.stdout
    assert "synced_archive: the sync script runs" in told.stdout
    run = _unqueued(site, GOOD)
    assert run.run_id in told.stdout.splitlines()[-1]
    assert run.job_name == "restore_work"
    assert run.tags["dagster/partition"] == GOOD
    assert run.asset_selection == {dg.AssetKey("debagged_work"), dg.AssetKey("synced_archive")}
    assert run.remote_job_origin
    assert run.remote_job_origin.location_name == LOCATION
    assert run.run_config == {}


def test_where_works_are_copied_into_the_deep_archive_one_that_is_redone_is_too(site: TrialSite) -> None:
    """What it brought would be in the archive, and never in the deep archive."""
    words = [str(Path(sys.executable).with_name("ao")), "reprocess", GOOD, "--from", "synced_archive"]
    told = subprocess.run(
        words, env=os.environ | {"AO_DEEP_COPY__INTAKE": "demo"}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "deep_copied: what has changed goes into the deep archive" in told.stdout
    assert _unqueued(site, GOOD).asset_selection == {dg.AssetKey("synced_archive"), dg.AssetKey("deep_copied")}


def test_a_person_s_word_for_one_run_is_that_run_s_config(site: TrialSite) -> None:
    """Set for the whole site, `replace` would go for every other work too."""
    told = ao("reprocess", GOOD, "--replace", "--others", FREED, "--leave", "W1", "--leave", "W2")
    assert told.exit_code == 0, told.stderr
    assert "replaces what the archive has" in told.stdout
    assert "of W1, W2 the archive keeps what it has" in told.stdout
    run = _unqueued(site, GOOD)
    word = {"replace": True, "others": [FREED], "leave": ["W1", "W2"]}
    assert run.run_config == {"ops": {"synced_archive": {"config": word}}}
    assert ao("reprocess", GOOD, "--others", "../x").exit_code == 2
    assert ao("reprocess", GOOD, "--leave", "../x").exit_code == 2


def test_one_part_of_a_work_is_queued_by_its_name_or_its_groups(site: TrialSite) -> None:
    """A thousand groups are not redone for one that failed."""
    name = f"{PARTS_RID}-0886"
    assert run_part(site, name, restored(site, name, part_zip(name, {f"images/{name}/1.jpg": b"1"}))).success
    for called in (name, "I0886"):
        told = ao("reprocess", PARTS_RID, "--part", called, "--fresh")
        assert told.exit_code == 0, told.stderr
        assert f"{name} of {PARTS_RID}:" in told.stdout
        assert _unqueued(site, PARTS_RID).tags["ao/part"] == name
    assert ao("reprocess", PARTS_RID, FREED, "--part", name).exit_code == 2


def test_a_reader_who_leaves_early_keeps_no_work_out_of_the_queue(site: TrialSite) -> None:
    """`ao reprocess … | head -1` queued the first and passed over the others without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    words = [sys.executable, "-c", "from ao_workflows.cli import main; main()", "reprocess", GOOD, FREED]
    try:
        done = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    assert _unqueued(site, GOOD).run_id != _unqueued(site, FREED).run_id


def test_fresh_throws_the_receipts_away_and_keeps_the_event_s(site: TrialSite) -> None:
    """Without the event's nothing could be downloaded."""
    kept = {path: path.read_bytes() for path in site.layout.receipt(GOOD, "x").parent.iterdir()}
    told = ao("reprocess", GOOD, "--fresh")
    assert told.exit_code == 0, told.stderr
    assert "downloaded_bag: downloaded from S3 anew" in told.stdout
    left = sorted(path.name for path in site.layout.receipt(GOOD, "x").parent.glob("*.json"))
    _unqueued(site, GOOD)
    for path, text in kept.items():
        path.write_bytes(text)
    assert left == ["restored_message.json"]


def test_fresh_touches_nothing_of_a_work_that_a_process_has(site: TrialSite) -> None:
    """A run from the command line is in no queue: its lock alone says that it goes on."""
    other = Staging(root=str(site.site.staging.root))
    other.hold(GOOD, "dagster asset materialize")
    try:
        told = ao("reprocess", GOOD, "--fresh")
    finally:
        other.release()
    assert told.exit_code == 1, told.stdout
    assert "is being worked on by dagster asset materialize" in told.stderr
    assert site.layout.receipt(GOOD, "downloaded_bag").exists()


def test_a_stage_whose_input_was_cleaned_away_is_refused_with_the_one_to_start_from(site: TrialSite) -> None:
    """A run that is bound to fail wastes its turn in the queue."""
    before = _runs(site)
    told = ao("reprocess", FREED, "--from", "debagged_work", "--fresh")
    assert told.exit_code == 1, told.stdout
    assert f"start from downloaded_bag: ao reprocess {FREED} --from downloaded_bag" in told.stderr
    assert site.layout.receipt(FREED, "debagged_work").exists()
    assert _runs(site) == before


def test_a_work_with_a_run_in_flight_and_one_that_nobody_knows_are_refused_and_the_others_are_queued(
    site: TrialSite,
) -> None:
    """A list of a hundred works must not stop at its first misspelled one."""
    told = ao("reprocess", QUEUED, "W1NOPE", GOOD)
    assert told.exit_code == 1, told.stdout
    assert f"{QUEUED} has a run already" in told.stderr
    assert "which is queued" in told.stderr
    assert "W1NOPE is not known" in told.stderr
    assert "queued as run" in told.stdout
    _unqueued(site, GOOD)


def test_an_event_that_only_a_run_s_config_has_is_taken_from_there(site: TrialSite) -> None:
    """A run that was canceled in the queue has stored nothing: its message is gone from SQS, and must not be lost."""
    rid = "W1NLM4799"
    queue(site, rid, site.restore(rid, bag_zip(rid, {"a": b"x"})))
    canceled = _unqueued(site, rid)
    told = ao("reprocess", rid)
    assert told.exit_code == 0, told.stderr
    assert "restored_message: its message is stored" in told.stdout
    assert _unqueued(site, rid).run_config == canceled.run_config


def test_the_code_is_where_the_newest_run_of_the_daemon_had_it(site: TrialSite) -> None:
    """By a name that is not in its workspace the daemon finds no code, and fails the run."""
    (run,) = site.instance.get_runs(limit=1)
    assert run.remote_job_origin
    location = run.remote_job_origin.repository_origin.code_location_origin._replace(location_name="elsewhere")
    repository = run.remote_job_origin.repository_origin._replace(code_location_origin=location)
    origin = run.remote_job_origin._replace(repository_origin=repository)
    other = run._replace(run_id=dg.DagsterInstance.__name__, remote_job_origin=origin)
    site.instance.add_run(other)
    try:
        assert ao("reprocess", GOOD).exit_code == 0
        taken = _unqueued(site, GOOD).remote_job_origin
        assert taken
        assert taken.location_name == "elsewhere"
    finally:
        for each in site.instance.get_runs(dg.RunsFilter(tags={"ao/reprocess": "with its receipts"})):
            site.instance.delete_run(each.run_id)
        site.instance.delete_run(other.run_id)


@pytest.mark.parametrize(
    ("home", "says"),
    [(None, "DAGSTER_HOME is not set"), ("elsewhere", "there is no dagster.yaml in DAGSTER_HOME")],
)
def test_an_instance_that_is_not_there_is_told(
    site: TrialSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str | None, says: str
) -> None:
    """Dagster would make an empty one, put the run there, and nobody would ever run it."""
    monkeypatch.delenv("DAGSTER_HOME")
    if home:
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / home))
    told = ao("reprocess", GOOD)
    assert told.exit_code == 1, told.stdout
    assert says in told.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_nothing_is_queued_where_no_daemon_would_take_it(site: TrialSite) -> None:
    """A person would wait for a run that never starts."""
    before = _runs(site)
    beat(site, time.time() - 3600)
    told = ao("reprocess", GOOD)
    assert told.exit_code == 1, told.stdout
    assert "dagster-daemon run" in told.stderr
    assert _runs(site) == before


def test_the_daemon_takes_the_run_and_the_work_is_in_the_archive_again(site: TrialSite) -> None:
    """All of it: the command, the queue, the daemon with the workspace file, a run in a process of its own."""
    shutil.rmtree(site.place(FREED))
    log = (site.folder / "daemon.log").open("wb")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "dagster._daemon", "run", "-w", "workspace.yaml"],
        cwd=CHECKOUT,
        # So that its sensor takes nothing: the queue is not what is tried here.
        env=os.environ | {"AO_INTAKE__DEMO__ENVIRONMENT": "prod"},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        told = ao("reprocess", FREED, "--from", "downloaded_bag", "--fresh")
        assert told.exit_code == 0, told.stderr
        run_id = told.stdout.split()[-1]
        until = time.monotonic() + AT_MOST_SECONDS
        while time.monotonic() < until:
            run = site.instance.get_run_by_id(run_id)
            if daemon.poll() is not None or (run and run.is_finished):
                break
            time.sleep(0.2)
        assert run
        assert run.status is dg.DagsterRunStatus.SUCCESS, (site.folder / "daemon.log").read_text()[-4000:]
        assert (site.place(FREED) / "images/0001.jpg").exists()
        assert ao("status", FREED).stdout.startswith(f"{FREED}  in the archive")
    finally:
        daemon.terminate()
        daemon.wait(60)
        log.close()
