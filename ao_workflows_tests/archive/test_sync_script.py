"""The sync script's contract, with real scripts: their words, environment and logs, and how they end."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ao_workflows.archive import sync_script
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.errors import ArchiveNotFlushed, StagingError, SyncFailed, SyncScriptMissing
from ao_workflows.machine import child_process, logged_command
from ao_workflows.machine.logged_command import Ended
from ao_workflows.shown_names import shown

AT = datetime(2026, 11, 21, 6, 32, 44, tzinfo=UTC)
RUN_ID = "0af1c2d3-1111-2222-3333-444455556666"

OPTIONS = """
while getopts a:w:s:AW option; do [ "$option" = s ] && list=$OPTARG; done
shift $((OPTIND - 1))
succeed() { basename "$1" >>"$list"; }
"""
"""What begins each script here: it finds its success list, and leaves the work's path as ``$1``."""


@dataclass
class Desk:
    """A folder with a script, a work and logs, and what a run of the script printed."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def write(self, body: str, shell: str = "#!/bin/bash\n" + OPTIONS) -> None:
        path = self.folder / "syncOneWork.sh"
        path.write_text(shell + body)
        path.chmod(0o755)

    def resource(self) -> SyncScript:
        settings: dict[str, Any] = {
            "script": str(self.folder / "syncOneWork.sh"),
            "archive_parent": "/mnt/Archive",
            "web_parent": "s3://archive.tbrc.org/Works",
            "logs": str(self.folder / "logs"),
            "timeout_minutes": 5,
            "db_config": "prod:/run/secrets/db_apps",
        }
        return SyncScript(**(settings | self.settings))

    def run(
        self,
        rid: str = "W1",
        options: SyncOptions | None = None,
        say: Callable[[str], None] | None = None,
        work: Path | None = None,
    ) -> Ended:
        return self.resource().run(
            rid, work or self.folder / "works" / rid, options or SyncOptions(), RUN_ID, say or self.said.append, AT
        )

    def failure(self, **how: Any) -> SyncFailed:
        with pytest.raises(SyncFailed) as raised:
            self.run(**how)
        return raised.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Watched:
    """A process that is nobody's child here, by a handle that stays its own when its number is another's."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    def has_ended(self) -> bool:
        return bool(select.select([self._handle], [], [], 0)[0])

    def await_end(self) -> None:
        select.select([self._handle], [], [])
        os.close(self._handle)

    def kill(self) -> None:
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        self.await_end()


class Clock:
    """The time that the time limit is measured by, which a test may put forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (logged_command, child_process):
        monkeypatch.setattr(module, "monotonic", clock)
    return clock


def test_the_script_gets_its_words_in_the_contracts_order(desk: Desk) -> None:
    """The archive's script is not ours to change."""
    desk.write('printf "<%s>" "$0" "${all[@]}"; echo; succeed "$1"', '#!/bin/bash\nall=("$@")\n' + OPTIONS)
    synced = desk.run(options=SyncOptions(replace=True))
    success_list = desk.folder / "logs/sync-logs/2026-11-21" / synced.log.parent.name / "tempFiles/W1.success"
    words = [
        str(desk.folder / "syncOneWork.sh"),
        *("-a", "/mnt/Archive", "-A", "-w", "s3://archive.tbrc.org/Works", "-W"),
        *("-s", str(success_list), str(desk.folder / "works/W1")),
    ]
    assert desk.said == ["".join(f"<{word}>" for word in words)]
    assert synced.command == tuple(words)


@pytest.mark.parametrize("name", ["a b", "$(touch pwned)", "`touch pwned`", "; touch pwned", "*", "a\nb", "བསྟན", "-A"])
def test_no_word_is_read_by_a_shell(desk: Desk, name: str) -> None:
    """A folder's name must not become a command."""
    desk.write('printf "%s\\0" "$1" >"$1/../../got"; echo W1 >>"$list"')
    work = desk.folder / "works" / name
    work.mkdir(parents=True)
    (desk.folder / "got").touch()
    desk.run(work=work)
    assert (desk.folder / "got").read_bytes() == os.fsencode(work) + b"\0"
    assert not list(desk.folder.rglob("pwned"))


def test_the_environment_is_the_contracts_and_nothing_else(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own settings and secrets are none of the script's business."""
    passed_on = {
        "PATH": os.environ["PATH"],
        "HOME": "/home/ao",
        "LANG": "C.UTF-8",
        "TZ": "Asia/Kathmandu",
        "AWS_REGION": "us-east-1",
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "localhost",
    }
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in passed_on.items():
        monkeypatch.setenv(name, value)
    for name in ("DAGSTER_HOME", "AO_SITE", "LD_PRELOAD", "BASH_ENV", "NO_REFRESH_WEB", "DB_CONFIG", "USER", "PS1"):
        monkeypatch.setenv(name, "")
    desk.settings = {"env": {"AUDIT_HOME": "/opt/audit"}, "credentials_file": "/run/secrets/aws"}
    desk.write('env -0 >"$list.env"; succeed "$1"', "#!/bin/sh\n" + OPTIONS)
    options = SyncOptions(audit_pre=("-i", "-d"), audit_post=("-v",), update_web=False)
    log = desk.run(options=options).log
    found = dict(
        entry.split("=", 1) for entry in (log.parent / "tempFiles/W1.success.env").read_text().split("\0") if entry
    )
    found.pop("PWD", None)  # the shell's own
    logs, folder = desk.folder / "logs", log.parent.name
    expected = passed_on | {
        "AUDIT_HOME": "/opt/audit",
        "AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/aws",
        "DB_CONFIG": "prod:/run/secrets/db_apps",
        "logDipVersion": found["logDipVersion"],
        "auditToolVersion": found["auditToolVersion"],
        "hostName": os.uname().nodename,
        "userName": found["userName"],
        "jobDate": "2026-11-21",
        "jobTime": "06.32.44",
        "jobDateTime": "2026-11-21_06.32.44",
        "auditToolLogDateTimeDir": f"{logs}/audit-test-logs/2026-11-21/{folder}",
        "syncLogDateTimeDir": f"{logs}/sync-logs/2026-11-21/{folder}",
        "syncLogDateTimeFile": f"{logs}/sync-logs/2026-11-21/{folder}/sync-2026-11-21_06.32.44.log",
        "syncLogTempDir": f"{logs}/sync-logs/2026-11-21/{folder}/tempFiles",
        "LOCAL_AUDIT_OPTIONS": "-i -d",
        "REPO_AUDIT_OPTIONS": "-v",
        "NO_REFRESH_WEB": "Yes",
    }
    assert found == expected
    assert folder.startswith("2026-11-21_06.32.44")
    assert found["userName"]


def test_the_list_of_what_differs_is_named_where_there_is_one(desk: Desk) -> None:
    """The reference script would else read the archive once more."""
    desk.write('printf "<%s>" "${syncChangedFiles-none}"; echo; succeed "$1"')
    desk.run()
    listed = desk.folder / "W1.changed"
    desk.resource().run("W1", desk.folder / "works/W1", SyncOptions(), RUN_ID, desk.said.append, AT, changed=listed)
    assert desk.said == ["<none>", f"<{listed}>"]


def test_the_site_may_say_otherwise(desk: Desk) -> None:
    """A script that asks for a version of its own tools gets the site's."""
    desk.settings = {"env": {"auditToolVersion": "2.0", "PATH": "/usr/bin:/bin"}}
    desk.write('echo "$auditToolVersion $PATH"; succeed "$1"')
    desk.run()
    assert desk.said == ["2.0 /usr/bin:/bin"]


def test_two_works_of_one_run_in_the_same_second_have_logs_of_their_own(desk: Desk) -> None:
    """A zip of two works: the second one's failure would be looked for in the first one's log."""
    desk.write('echo "$1"; succeed "$1"')
    logs = [desk.run(rid).log for rid in ("W1", "W2")]
    assert [log.read_text() for log in logs] == [f"{desk.folder}/works/{rid}\n" for rid in ("W1", "W2")]
    environments = [desk.resource().environment("W1", SyncOptions(), AT, run) for run in ("aaaaaaaa-1", "bbbbbbbb-2")]
    for name in ("auditToolLogDateTimeDir", "syncLogDateTimeDir", "syncLogDateTimeFile", "syncLogTempDir"):
        assert environments[0][name] != environments[1][name]


def test_each_line_is_in_the_log_before_the_next_is_waited_for(desk: Desk) -> None:
    """An operator who follows the log of a sync of ten hours sees where it is."""
    desk.write('mkfifo "$list.go"; echo "$list.go"; read -r _ <"$list.go"; echo 2 >&2; succeed "$1"')
    logged: list[str] = []

    def say(line: str) -> None:
        logged.append(next(desk.folder.rglob("sync-*.log")).read_text())
        if line != "2":
            Path(line).write_text("go\n")

    log = desk.run(say=say).log
    assert [len(text.splitlines()) for text in logged] == [1, 2]
    assert log.read_text() == logged[1]


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (r"\377\376 \340\275\226\n", ["\ufffd\ufffd བ"]),
        (r" 1%%\r 50%%\r100%%\r\ndone\n", ["100%", "done"]),
        (r" 1%%\r 50%%\r\r\n", [" 50%"]),
        (r" 1%%\rfailed\n", ["failed"]),
        (r"no end", ["no end"]),
        (r"cut in a character \340\275", ["cut in a character \ufffd"]),
        (r"a\0b\n\n\v\n", ["a\0b", "", "\v"]),
        (r"last\r", ["last"]),
    ],
)
def test_whatever_the_script_prints_is_lines(desk: Desk, printed: str, lines: list[str]) -> None:
    """Names of files in no encoding, and rsync's progress: neither may fail a sync that went well. The run's log shows
    what a terminal would obey, the file has it.
    """
    desk.write(f"printf '{printed}'; succeed \"$1\"")
    log = desk.run().log
    assert desk.said == [shown(line) for line in lines]
    assert log.read_bytes().decode().split("\n") == [*lines, ""]


def test_a_flood_of_output_is_read_to_its_end(desk: Desk) -> None:
    """A full pipe would stop the script for ever; a line without an end would fill the worker's memory."""
    desk.write("seq 200000; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last >&2; succeed \"$1\"")
    lines = desk.run().log.read_text().splitlines()
    assert lines[:200_000] == [str(number) for number in range(1, 200_001)]
    assert sum(map(len, lines[200_000:-1])) == 3_000_000
    assert max(map(len, lines)) < 1_000_000
    assert lines[-1] == "last"


def test_a_flood_is_a_thousand_rows_in_the_runs_log_and_then_one_a_minute(desk: Desk) -> None:
    """Each is a row of Dagster's database: a night of rsync's names would be millions."""
    desk.write('seq 3000; echo x{1..2000}; seq 4; succeed "$1"')
    log = desk.run().log
    assert desk.said[:1000] == [str(number) for number in range(1, 1001)]
    assert 1 <= len(desk.said) - 1000 <= 2
    assert all(re.match(r"… [\d,]+ more lines? in .*sync-.*\.log, the last: ", line) for line in desk.said[1000:])
    assert desk.said[-1].endswith("the last: 4")
    assert max(map(len, desk.said)) < 1500
    assert len(log.read_text().splitlines()) == 3005


_FLOODED = """
import resource, sys
from datetime import UTC, datetime
from pathlib import Path
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
script = SyncScript(script=sys.argv[1], archive_parent="/a", logs=sys.argv[2], timeout_minutes=5)
rows = []
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
synced = script.run("W1", Path("/works/W1"), SyncOptions(), "run", rows.append, datetime.now(UTC))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(rows), synced.log.stat().st_size)
synced.log.unlink()
"""


@pytest.mark.parametrize(
    ("piece", "megabytes", "most_logged"),
    [
        # A gigabyte of one line that is overwritten again and again, then a quarter of one in lines.
        (" 12,345,678  42%\r", 1000, 10_000),
        ("images/W1-I0001/W1-I00010001.tif is as it was, and was not sent again\n", 250, 250_100_000),
    ],
    ids=["one line", "lines"],
)
def test_a_flood_of_output_takes_little_memory_and_few_rows(
    desk: Desk, piece: str, megabytes: int, most_logged: int
) -> None:
    """A worker that dies of its script's chatter takes the other works of its machine along."""
    (desk.folder / "megabyte").write_text((piece * (1_000_000 // len(piece) + 1))[:1_000_000], newline="")
    desk.write(f'cd {desk.folder}; cat $(yes megabyte | head -n {megabytes}); echo; succeed "$1"')
    done = subprocess.run(
        [sys.executable, "-c", _FLOODED, str(desk.folder / "syncOneWork.sh"), str(desk.folder / "logs")],
        capture_output=True,
        text=True,
        check=True,
    )
    more_kib, rows, logged = map(int, done.stdout.split())
    assert more_kib < 20_000
    assert rows < 1010
    assert logged <= most_logged


def test_a_failure_says_which_work_how_and_what_was_printed_last(desk: Desk) -> None:
    """All that a person needs to begin with, without a search through logs."""
    desk.write('seq 100; echo W1 >>"$list"; exit 23')
    error = desk.failure()
    assert (error.rid, error.reason) == ("W1", "exited with 23")
    assert error.tail == tuple(str(number) for number in range(61, 101))
    assert error.command[0] == str(desk.folder / "syncOneWork.sh")
    assert error.log.read_text().startswith("1\n2\n")
    said = str(error)
    assert said.startswith("W1: the sync script exited with 23. ")
    assert f"{desk.folder}/syncOneWork.sh -a /mnt/Archive -w s3://archive.tbrc.org/Works -s " in said
    assert str(error.log) in said
    assert said.endswith("\n  | 99\n  | 100")
    assert not error.transient


def test_a_script_that_dies_of_a_signal_is_told_so(desk: Desk) -> None:
    """``exited with -9`` sends nobody to look at the machine's memory."""
    desk.write("kill -KILL $$")
    assert desk.failure().reason == "was ended by signal 9 (Killed)"


@pytest.mark.parametrize(
    "body", ["true", 'echo W11 >>"$list"', 'echo "not-W1" >>"$list"', 'rm "$list"', "printf '\\377' >>\"$list\""]
)
def test_a_success_that_does_not_name_the_work_is_none(desk: Desk, body: str) -> None:
    """The archive's script exits with 0 also where a work was skipped."""
    desk.write(body)
    assert "did not name the work" in desk.failure().reason


def test_the_work_may_be_named_among_others(desk: Desk) -> None:
    """A script may write what else it likes there, in bytes of its own choice."""
    desk.write("printf 'W0\\n\\377\\nW1\\nW2\\n' >>\"$list\"")
    desk.run()


def test_a_script_that_is_not_there_or_cannot_be_run_is_named(desk: Desk) -> None:
    """Before anything starts, and with the setting that names it."""
    with pytest.raises(SyncScriptMissing, match=r"neither a file nor on PATH; \[sync\] script"):
        desk.run()
    desk.write("true")
    (desk.folder / "syncOneWork.sh").chmod(0o644)
    with pytest.raises(SyncScriptMissing, match="may not be executed"):
        desk.run()
    desk.write("true", "#!/no/such/shell\n")
    with pytest.raises(SyncScriptMissing, match="cannot be started: No such file"):
        desk.run()
    desk.write("", "")
    with pytest.raises(SyncScriptMissing, match="cannot be started: Exec format error"):
        desk.run()


def test_a_script_is_found_on_path(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A site may name it without saying where it is."""
    desk.write("true")
    monkeypatch.setenv("PATH", str(desk.folder), prepend=os.pathsep)
    desk.settings = {"script": "syncOneWork.sh"}
    assert desk.resource().found() == desk.folder / "syncOneWork.sh"


def test_logs_that_cannot_be_written_are_the_disks_failure(desk: Desk) -> None:
    """Nothing is started whose output would be lost."""
    desk.write('touch "$1"; succeed "$1"')
    (desk.folder / "logs").write_text("no folder")
    with pytest.raises(StagingError, match="cannot be written: Not a directory"):
        desk.run()
    assert not (desk.folder / "works").exists()


GRANDCHILD = """
bash -c 'trap "" TERM; echo $BASHPID; while :; do sleep 1000 & wait $!; done' &
{own}
wait
"""


@pytest.mark.parametrize("own", ["", "trap '' TERM"])
def test_the_time_limit_ends_the_script_and_all_that_it_started(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    """An rsync that goes on writes into the archive beside the next run's."""
    monkeypatch.setattr(sync_script, "GRACE_SECONDS", 0.2)
    desk.write(GRANDCHILD.format(own=own))
    started: list[Watched] = []

    def say(line: str) -> None:
        started.append(Watched(int(line)))
        clock.ahead = 5 * 60

    assert desk.failure(say=say).reason == "ran for longer than 5 minutes and was ended"
    started[0].await_end()


def test_a_script_that_never_stops_printing_is_ended_too(desk: Desk, clock: Clock) -> None:
    """A progress bar must not keep the time limit from being looked at."""
    desk.write("exec yes")

    def say(_line: str) -> None:
        clock.ahead = 5 * 60

    assert desk.failure(say=say).reason == "ran for longer than 5 minutes and was ended"


def test_asked_to_end_the_script_may_clear_up_and_say_so(desk: Desk, clock: Clock) -> None:
    """It is asked first: a script that is killed at once leaves half a file in the archive."""
    desk.write('trap \'rm "$list.half"; exit 1\' TERM; touch "$list.half"; echo ready; while :; do sleep 0.05; done')

    def say(_line: str) -> None:
        clock.ahead = 5 * 60

    log = desk.failure(say=say).log
    assert not list(log.parent.rglob("*.half"))


def test_what_it_prints_once_it_was_asked_to_end_is_kept(desk: Desk, clock: Clock) -> None:
    """Its last words say how it left the archive; and a full pipe would hold up its clearing up until it is killed."""
    desk.write(
        """trap 'seq 20000; touch "$list.settled"; echo the archive is as it was; exit 1' TERM\n"""
        "echo ready; while :; do sleep 0.05; done"
    )

    def say(_line: str) -> None:
        clock.ahead = 5 * 60

    failure = desk.failure(say=say)
    assert failure.tail[-2:] == ("20000", "the archive is as it was")
    assert failure.log.read_text().endswith("\n20000\nthe archive is as it was\n")
    assert list(failure.log.parent.rglob("*.settled"))


def test_what_a_finished_script_leaves_behind_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in the background that keeps the output open would hold the work until the time limit."""
    monkeypatch.setattr(sync_script, "GRACE_SECONDS", 0.2)
    desk.write(
        'sleep 1000 & echo "left $!"; mkfifo "$list.up"\n'
        """setsid -f bash -c 'echo "escaped $BASHPID"; echo >"$0"; exec sleep 1000' "$list.up"\n"""
        'read -r _ <"$list.up"; succeed "$1"'
    )
    started: dict[str, Watched] = {}

    def say(line: str) -> None:
        name, pid = line.split()
        started[name] = Watched(int(pid))

    desk.run(say=say)
    started["left"].await_end()
    assert not started["escaped"].has_ended()
    started["escaped"].kill()


def test_what_is_still_printed_when_the_script_has_ended_is_read(desk: Desk) -> None:
    """Many a script prints through ``tee``, which ends after it."""
    desk.write('exec > >(while read -r line; do sleep 0.05; echo "$line"; done) 2>&1; seq 5; succeed "$1"')
    desk.run()
    assert desk.said == ["1", "2", "3", "4", "5"]


def test_a_run_that_is_cancelled_ends_the_script(desk: Desk) -> None:
    """The next run of the work would meet it in the archive."""

    class Cancelled(BaseException):
        """As Dagster interrupts a run: in the middle of anything."""

    started: list[Watched] = []

    def say(line: str) -> None:
        started.append(Watched(int(line)))
        raise Cancelled

    desk.write("echo $$; exec sleep 1000")
    with pytest.raises(Cancelled):
        desk.run(say=say)
    assert started[0].has_ended()


_WORKER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive import sync_script
sync_script.GRACE_SECONDS = 0.2
resource = sync_script.SyncScript(script=sys.argv[1], archive_parent="/a", logs=sys.argv[2], timeout_minutes=5)
say = lambda line: print(line, flush=True)
resource.run("W1", Path("/works/W1"), SyncOptions(), "run", say, datetime.now(UTC))
"""


def test_a_worker_that_is_killed_takes_the_script_with_it(desk: Desk) -> None:
    """Its lock is free at once: the next run would sync the same work beside the orphan."""
    desk.write(GRANDCHILD.format(own="echo $$"))
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(desk.folder / "syncOneWork.sh"), str(desk.folder / "logs")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout
    started = [Watched(int(worker.stdout.readline())) for _ in range(2)]
    assert not any(process.has_ended() for process in started)
    worker.kill()
    worker.communicate()
    for process in started:
        process.await_end()


_CANCELLED = """
import sys
from pathlib import Path
import dagster as dg
from ao_workflows.archive.sync_options import SyncOptions
from ao_workflows.archive.sync_script import SyncScript
from datetime import UTC, datetime

@dg.op
def sync():
    resource = SyncScript(script=sys.argv[1], archive_parent="/a", logs=sys.argv[2], timeout_minutes=5)
    say = lambda line: print(line, flush=True)
    resource.run("W1", Path("/works/W1"), SyncOptions(), "run", say, datetime.now(UTC))

@dg.job(executor_def=dg.in_process_executor)
def job():
    sync()

if __name__ == "__main__":
    from dagster._utils.interrupts import setup_interrupt_handlers
    setup_interrupt_handlers()
    job.execute_in_process()
"""


def test_a_run_that_dagster_ends_ends_the_script(desk: Desk) -> None:
    """A person presses Terminate; Dagster sends the run's process a TERM and waits for it."""
    desk.write("echo $$; exec sleep 1000")
    with subprocess.Popen(
        [sys.executable, "-c", _CANCELLED, str(desk.folder / "syncOneWork.sh"), str(desk.folder / "logs")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as worker:
        assert worker.stdout
        script = Watched(int(worker.stdout.readline()))
        assert not script.has_ended()
        worker.terminate()
        script.await_end()
        worker.communicate()
    assert worker.returncode != 0


def test_the_archive_is_flushed_or_it_is_told(desk: Desk) -> None:
    """Scratch is freed next: what is only in memory yet may be the last copy."""
    desk.resource().flush(desk.folder)
    with pytest.raises(ArchiveNotFlushed, match=f"sync -f {desk.folder}/none failed: .*No such file") as raised:
        desk.resource().flush(desk.folder / "none")
    assert raised.value.transient


def test_a_flush_that_hangs_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that went away hangs whoever asks for it; the run would hold its place for ever."""
    slow = desk.folder / "bin/sync"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 1000\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    monkeypatch.setattr(sync_script, "_FLUSH_SECONDS", 0.3)
    with pytest.raises(ArchiveNotFlushed, match=r"had not ended after 0.005 minutes; is the archive's disk"):
        desk.resource().flush(desk.folder)


def test_the_web_is_reached_as_the_script_reaches_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked for with other credentials or elsewhere, what was sent would not be found."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    desk.settings = {"credentials_file": "/run/secrets/aws"}
    plain = desk.resource().web_connection()
    assert (plain.region, plain.profile, plain.endpoint_url) == ("us-east-1", None, None)
    assert plain.credentials_file == "/run/secrets/aws"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    desk.settings["env"] = {"AWS_PROFILE": "web", "AWS_ENDPOINT_URL_S3": "http://s3"}
    given = desk.resource().web_connection()
    assert (given.region, given.profile, given.endpoint_url) == ("eu-west-1", "web", "http://s3")


def test_the_web_has_a_place_only_where_the_script_is_to_touch_it(desk: Desk) -> None:
    """Else a work that is to leave the web alone would fail for what is not there."""
    place = desk.resource().web_place("W1", SyncOptions())
    assert place
    assert place.endswith("/W1/images/")
    assert desk.resource().web_place("W1", SyncOptions(web=False)) is None
    assert desk.resource().web_place("W1", SyncOptions(update_web=False)) is None
    desk.settings = {"env": {"NO_REFRESH_WEB": "Yes"}}
    assert desk.resource().web_place("W1", SyncOptions()) is None
    desk.settings = {"web_parent": None}
    assert desk.resource().web_place("W1", SyncOptions()) is None
