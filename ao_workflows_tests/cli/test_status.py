"""``ao status``: where works stand, read from real runs, receipts, DRS and Dagster."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.cli.status import _lines
from ao_workflows.download.progress import ProgressReporter
from ao_workflows.drs.rows import DrsRow
from ao_workflows.staging.staging import Staging
from ao_workflows.status.evidence import Evidence
from ao_workflows.status.standing import StuckLimits, standing_of
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite
from ao_workflows_tests.support.works_in_trouble import GOOD, QUEUED, REFUSED, beat, works_in_trouble


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, aws: Aws) -> Iterator[TrialSite]:
    with works_in_trouble(tmp_path_factory.mktemp("status"), aws, REFUSED) as trial:
        yield trial


@pytest.fixture(autouse=True)
def _as_an_operator(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AO_SITE", str(site.folder / "site.toml"))
    monkeypatch.setenv("DAGSTER_HOME", str(site.folder / "dagster"))
    beat(site, time.time())


def ao(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def works(*words: str) -> dict[str, dict[str, Any]]:
    told: list[dict[str, Any]] = json.loads(ao("status", *words, "--json").stdout)
    return {each["rid"]: each for each in told}


def test_each_work_that_is_not_in_the_archive_is_told_of_and_what_to_do() -> None:
    """Someone called at night asks one thing: what is wrong."""
    told = ao("status")
    assert told.exit_code == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].startswith(f"{REFUSED}  debagged_work failed")
    assert "is not a valid bag" in told.stdout
    assert "made and uploaded again" in told.stdout
    assert "ao reprocess" not in told.stdout
    assert "W1NLM4712  waits its turn" in told.stdout
    assert GOOD not in told.stdout
    assert lines[-1] == "1 failed, 1 waits its turn. DRS has 2 rows, 1 of them synced."
    assert max(len(line) for line in lines if " /" not in line) <= 80


def test_works_that_are_named_are_told_of_in_their_order_also_when_all_is_well(site: TrialSite) -> None:
    """An archivist asks for one work."""
    told = ao("status", "W1NLM4700", REFUSED)
    assert told.exit_code == 0, told.stderr
    assert told.stdout.splitlines()[0].startswith("W1NLM4700  in the archive")
    found = works("W1NLM4700")["W1NLM4700"]
    assert found["state"] == "in the archive"
    assert list(found["done"]) == ["restored_message", "downloaded_bag", "debagged_work", "synced_archive"]
    assert found["disagreements"] == []


def test_failed_and_stuck_narrow_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits its turn is nobody's trouble."""
    assert list(works("--failed")) == [REFUSED]
    assert list(works("--stuck")) == []
    monkeypatch.setenv("AO_WATCH__STUCK_HOURS", "0.000001")
    assert list(works("--stuck")) == [REFUSED]
    assert "debagged_work failed, stuck" in ao("status", "--stuck").stdout
    assert ao("status", GOOD, "--failed").stdout == ""


def test_a_download_under_way_is_told_with_percent_and_rate(site: TrialSite) -> None:
    """The figures are the run's own, as it writes them; the lock says that a process is at it."""
    path = site.layout.progress(QUEUED)
    lock = site.layout.lock(QUEUED)
    lock.parent.mkdir(parents=True, exist_ok=True)
    clock = iter((0.0, 0.0, 2.0))
    with lock.open("w") as held, ProgressReporter(QUEUED, 200_000_000, "", path, print, lambda: next(clock)) as tell:
        fcntl.flock(held, fcntl.LOCK_EX)
        tell(0)
        tell(50_000_000)
        (run,) = site.instance.get_runs(limit=1)
        record = json.loads(path.read_text()) | {"run_id": run.run_id}
        path.write_text(json.dumps(record))
        site.instance.report_run_canceled(run)
        told = ao("status", QUEUED)
        assert works(QUEUED)[QUEUED]["transfer"]["megabytes_per_second"] == 25.0
    lock.unlink()
    assert "25 % at 25.0 MB/s, 0 min 06 s left" in told.stdout
    assert "They disagree: A process has the work's lock" in told.stdout
    assert ao("status", QUEUED).stdout.startswith(f"{QUEUED}  stopped before restored_message")


def test_a_lock_that_its_process_did_not_take_back_is_seen(site: TrialSite) -> None:
    """A killed run looks to Dagster as if it went on for ever."""
    run_id = site.instance.create_run_for_job(
        _job(site), tags={"dagster/partition": REFUSED}, asset_selection=None
    ).run_id
    run = site.instance.get_run_by_id(run_id)
    assert run
    site.instance.report_run_canceling(run)
    lock = site.layout.lock(REFUSED)
    lock.write_text("run of a process that was killed\n")
    try:
        found = works(REFUSED)[REFUSED]
        assert found["state"] == "under way"
        assert "was killed" in found["disagreements"][0]
    finally:
        lock.unlink()
        site.instance.delete_run(run_id)


def test_a_stage_that_is_tried_again_says_after_what(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A work that waits half an hour for a database looks as if it went on."""
    other = Staging(root=str(site.site.staging.root))
    other.hold(GOOD, "somebody else")
    seen: list[str] = []

    def wait(_policy: dg.RetryPolicy, attempt: int) -> float:
        # Asked before Dagster notes the try that has just failed: at the second, the first is there.
        if attempt > 1:
            seen.append(ao("status", GOOD).stdout)
            other.release()
        return 0.0

    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", wait)
    assert site.run(GOOD, select="downloaded_bag").success
    assert seen[0].startswith(f"{GOOD}  downloaded_bag under way")
    assert "Tried again after: W1NLM4700 is being worked on by somebody else" in " ".join(seen[0].split())


def _job(site: TrialSite) -> Any:
    from ao_workflows.definitions import build

    return build(site.site).resolve_job_def("restore_work")


def test_drs_that_forgot_a_work_is_contradicted_by_the_receipts(site: TrialSite) -> None:
    """A database restored from a backup has lost the day's works."""
    database = Path(str(site.site.drs.url).removeprefix("sqlite:///"))
    kept = database.read_bytes()
    try:
        import sqlite3

        with sqlite3.connect(database) as shell:
            shell.execute("UPDATE glacier_sync_progress SET sync_complete_on = NULL WHERE object_name = ?", (GOOD,))
        shell.close()
        told = ao("status")
        assert f"{GOOD}  in the archive" in told.stdout
        assert "They disagree: synced_archive: done by the receipt, and not by DRS." in told.stdout
        assert f"ao reprocess {GOOD} --from synced_archive" in told.stdout
    finally:
        database.write_bytes(kept)


def test_what_cannot_be_asked_is_told_and_the_rest_is_asked(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The night on which the database is down is the night on which somebody asks."""
    monkeypatch.setenv("AO_DRS__URL", f"sqlite:///{site.folder}/none.sqlite")
    without_drs = ao("status", GOOD)
    assert without_drs.exit_code == 1
    assert "there is no such file" in without_drs.stderr
    assert without_drs.stdout.startswith(f"{GOOD}  in the archive")
    monkeypatch.undo()
    monkeypatch.setenv("AO_SITE", str(site.folder / "site.toml"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    without_dagster = ao("status", GOOD)
    assert without_dagster.exit_code == 1
    assert "DAGSTER_HOME is not set" in without_dagster.stderr
    assert without_dagster.stdout.startswith(f"{GOOD}  in the archive")


def test_nobody_is_sent_to_glacier_for_what_could_not_be_looked_up(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Glacier is paid for it, and the work may be in the archive."""
    assert "ao restore request W1NOPE" in ao("status", "W1NOPE").stdout
    monkeypatch.setenv("AO_DRS__URL", f"sqlite:///{site.folder}/none.sqlite")
    told = ao("status", "W1NOPE")
    assert "Ask again when DRS can be asked: it may be done already." in told.stdout
    assert "restore request" not in told.stdout


@pytest.mark.parametrize("spoil", ["folder for a file", "file for a folder", "receipt of nothing", "progress"])
def test_one_work_whose_files_are_odd_is_told_of_with_the_others(site: TrialSite, spoil: str) -> None:
    """What a person or a full disk left there ended the list of all works."""
    layout = site.layout
    path = {
        "folder for a file": layout.receipt(QUEUED, "restored_message"),
        "file for a folder": layout.receipt(QUEUED, "restored_message").parent,
        "receipt of nothing": layout.receipt(QUEUED, "restored_message"),
        "progress": layout.progress(QUEUED),
    }[spoil]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        path.rmdir()
    if spoil == "folder for a file":
        path.mkdir()
    elif spoil == "receipt of nothing":
        receipt = {"stage": "restored_message", "rid": QUEUED, "took": {}, "left": {}, "run_id": "r", "boot": "b"}
        path.write_text(json.dumps(receipt | {"at": "2026-11-21T06:32:44+00:00"}))
    else:
        path.write_text('{"at": "x"}')
    try:
        told = ao("status")
        redone = ao("reprocess", QUEUED)
    finally:
        path.rmdir() if spoil == "folder for a file" else path.unlink()
    assert told.exception is None or isinstance(told.exception, SystemExit)
    assert f"{REFUSED}  debagged_work failed" in told.stdout
    assert QUEUED in told.stdout
    assert redone.exception is None or isinstance(redone.exception, SystemExit)
    if "for a" in spoil:
        assert told.exit_code == 1
        assert f"staging: {layout.receipt(QUEUED, 'restored_message')}: cannot be read: " in told.stderr
    else:
        assert told.exit_code == 0, told.stderr
    if spoil == "receipt of nothing":
        said = " ".join(told.stdout.split())
        assert f"Take note: staging: {path}: is no receipt that can be used: it lacks intake." in said
        assert f"done again, which writes another: ao reprocess {QUEUED}." in said
        assert f"ao: staging: {path}: is no receipt that can be used: it lacks intake." in redone.stderr


def test_half_a_character_in_a_note_of_drs_is_told_as_a_question_mark(site: TrialSite) -> None:
    """A note that another system wrote ended the list of all works."""
    path = str(site.site.drs.url).removeprefix("sqlite:///")
    note = json.dumps([{"time_stamp": "2026-11-21T06:32:44+00:00", "user_data": {"failed": "\ud800 odd"}}])
    site.drs.record("W1NLM4766", Stage.RESTORE_REQUESTED, datetime.now(UTC), {})
    with closing(sqlite3.connect(path)) as table, table:
        table.execute("UPDATE glacier_sync_progress SET user_data = ? WHERE object_name = 'W1NLM4766'", (note,))
    try:
        told, as_json = ao("status"), ao("status", "--json")
    finally:
        with closing(sqlite3.connect(path)) as table, table:
            table.execute("DELETE FROM glacier_sync_progress WHERE object_name = 'W1NLM4766'")
    assert told.exit_code == as_json.exit_code == 0, told.stderr
    assert "? odd" in told.stdout
    assert json.loads(as_json.stdout)


def test_names_of_other_writers_in_drs_are_counted_and_left_out(site: TrialSite) -> None:
    """A row whose name is a path would have been looked for outside of the scratch disk."""
    for name in ("../../etc/x", "/etc/passwd", "W1\nW2"):
        site.drs.record(name, Stage.RESTORE_REQUESTED, datetime.now(UTC), {})
    try:
        told = ao("status")
        assert told.exit_code == 0, told.stderr
        assert " 3 of its names can be no RID, such as " in told.stdout
        assert "etc" not in told.stdout.rpartition("\n\n")[0]
    finally:
        path = str(site.site.drs.url).removeprefix("sqlite:///")
        with closing(sqlite3.connect(path)) as table, table:
            table.execute("DELETE FROM glacier_sync_progress WHERE object_name NOT LIKE 'W1NLM%'")


def test_a_long_name_leaves_room_for_what_is_said_of_it() -> None:
    """The state and its time ran into one another, past the edge of the terminal."""
    rid = "W1NLM4700_I1NLM4700_001"
    found = standing_of(
        Evidence(rid, row=_row(rid)), datetime.now(UTC), StuckLimits(timedelta(hours=1), timedelta(hours=1))
    )
    column = len(rid) + 2
    lines = click.unstyle("\n".join(_lines(found, column, 80))).splitlines()
    assert lines[0] == f"{rid}  stopped before restored_message, stuck"
    assert lines[1] == f"{'':<{column}}since 2020-01-01 00:00 UTC"
    assert max(map(len, lines[:2])) <= 80


@pytest.mark.parametrize(
    "said",
    [
        "It came in the zip of W1NLM4715, and changes nothing. If it is to: ao reprocess W1NLM4715 --others W1NLM4716",
        "Find out why this disk is gone. Was it exchanged on purpose: ao archive init --exchanged 1. Nothing was freed",
        "the zip is not there; start from downloaded_bag: ao reprocess W1NLM4715 --from downloaded_bag; or wait for it",
    ],
)
def test_a_command_stands_on_one_line_wherever_it_is_said(said: str) -> None:
    """Copied from two lines, its second half was another command, or none."""
    found = standing_of(Evidence("W1NLM4715"), datetime.now(UTC), StuckLimits(timedelta(hours=1), timedelta(hours=1)))
    lines = list(_lines(dataclasses.replace(found, failure=said), 11, 80))
    command = re.search("ao [^.;]+", said)
    assert command
    assert any(command[0] in line for line in lines)
    assert max(map(len, lines[1:])) <= 80


def _row(rid: str) -> DrsRow:
    times = {Stage.DOWNLOADED_BAG: datetime(2020, 1, 1, tzinfo=UTC)}
    return DrsRow(1, rid, times, (), datetime(2020, 1, 1, tzinfo=UTC), None)


def test_a_daemon_that_is_gone_is_told(site: TrialSite) -> None:
    """Works that wait their turn wait for ever then, and look as if nothing were wrong."""
    beat(site, time.time() - 3600)
    told = ao("status")
    assert told.exit_code == 1
    assert "daemon has not been heard of since" in told.stderr


def test_a_work_that_nobody_knows_and_a_name_that_is_none_are_told_apart() -> None:
    """A misspelled RID must not read as a work that is well."""
    assert ao("status", "W1NOPE").exit_code == 1
    assert ao("status", "W1NOPE").stdout.startswith("W1NOPE  not known")
    wrong = ao("status", "../W1")
    assert wrong.exit_code == 2
    assert "cannot be a work's RID" in wrong.stderr


def test_help_comes_without_importing_dagster() -> None:
    """It costs a second, and one that asks for help has asked for nothing else."""
    script = (
        "import sys\nfrom ao_workflows.cli import main\n"
        "try: main(sys.argv[1:])\nfinally: sys.exit('dagster' in sys.modules)"
    )
    for command in ("status", "reprocess"):
        done = subprocess.run(
            [sys.executable, "-c", script, command, "--help"], env=os.environ, capture_output=True, check=False
        )
        assert done.returncode == 0
        assert b"Usage" in done.stdout
