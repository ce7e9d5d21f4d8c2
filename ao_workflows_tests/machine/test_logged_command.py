"""A logged command, with real processes: what is kept of its output, and that nothing of it outlives its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ao_workflows.errors import CommandNotStarted, StagingError
from ao_workflows.machine import logged_command
from ao_workflows.machine.logged_command import Ended, run_logged


@dataclass
class Desk:
    """A folder for a command's log, and what was said of its output."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / "logs" / "command.log"

    def run(
        self,
        program: str,
        *,
        say: Callable[[str], None] | None = None,
        time_limit: float = 300,
        grace: float = 10,
        stop: signal.Signals = signal.SIGTERM,
    ) -> Ended:
        command = ["bash", "-c", program]
        return run_logged(
            command, os.environ, self.log, say or self.said.append, time_limit=time_limit, grace=grace, stop=stop
        )

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").split("\n")[:-1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Watched:
    """A process that is nobody's child here, by a handle that stays its own when its number is another's."""

    def __init__(self, pid: int) -> None:
        self._handle = os.pidfd_open(pid)

    def has_ended(self, within: float = 0) -> bool:
        return bool(select.select([self._handle], [], [], within)[0])

    def kill(self) -> None:
        signal.pidfd_send_signal(self._handle, signal.SIGKILL)


def test_what_ended_well_has_no_fault_and_its_whole_output_is_logged(desk: Desk) -> None:
    """Both streams, in the order in which they came."""
    ended = desk.run("echo one; echo two >&2; echo three")
    assert (ended.code, ended.fault, ended.log) == (0, "", desk.log)
    assert ended.command == ("bash", "-c", "echo one; echo two >&2; echo three")
    assert desk.said == desk.lines() == list(ended.last_lines) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("program", "code", "fault"),
    [("exit 3", 3, "exited with 3"), ("kill -KILL $$", -9, "was ended by signal 9 (Killed)")],
)
def test_a_fault_is_said_in_words(desk: Desk, program: str, code: int, fault: str) -> None:
    """Whoever reads it need not know what a negative number means."""
    ended = desk.run(program)
    assert (ended.code, ended.fault) == (code, fault)


def test_the_environment_is_the_one_that_is_given(desk: Desk) -> None:
    """A step in a container must not get the worker's secrets."""
    run_logged(["/usr/bin/env"], {"ONLY": "this"}, desk.log, desk.said.append, time_limit=60, grace=1)
    assert desk.said == ["ONLY=this"]


def test_a_flood_is_logged_whole_and_said_in_part(desk: Desk) -> None:
    """Each line that is said is a row of a database; a full pipe would stop the command for ever."""
    ended = desk.run("seq 200000")
    assert desk.lines() == [str(number) for number in range(1, 200_001)]
    assert desk.said[:1000] == desk.lines()[:1000]
    assert len(desk.said) <= 1003
    assert desk.said[-1].endswith(f"more lines in {desk.log}, the last: 200000")
    assert ended.last_lines == tuple(str(number) for number in range(199_961, 200_001))


def test_what_is_not_told_is_summed_up_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a sync of ten hours sees that it is alive, and where."""
    said, ahead = list[str](), [0.0]
    monkeypatch.setattr(logged_command, "monotonic", lambda: time.monotonic() + ahead[0])
    watcher = logged_command._Watcher(said.append, Path("/log"))
    watcher.tell([str(number) for number in range(1003)])
    assert said[1000:] == ["… 3 more lines in /log, the last: 1002"]
    for number in range(500):
        watcher.tell([str(number)])
    assert len(said) == 1001
    ahead[0] = 61
    watcher.tell(["a minute later"])
    watcher.tell(["and the end"])
    watcher.end()
    watcher.end()
    assert said[1001:] == [
        "… 501 more lines in /log, the last: a minute later",
        "… 1 more line in /log, the last: and the end",
    ]


def test_a_line_without_end_is_cut_for_who_watches_and_whole_in_the_log(desk: Desk) -> None:
    """A row of three megabytes would be one too large for a database."""
    desk.run("head -c 3000000 /dev/zero | tr '\\0' x")
    assert "".join(desk.lines()) == "x" * 3_000_000
    assert max(map(len, desk.said)) < 1100


def test_what_is_not_utf_8_is_shown_all_the_same(desk: Desk) -> None:
    """A file's name in an encoding of 1998 must not fail what goes well."""
    ended = desk.run(r"printf '\377\376 \340\275\226\n'; printf 'red \033[31m\n'; printf 'cut \340\275'")
    assert ended.last_lines == ("\ufffd\ufffd བ", "red \x1b[31m", "cut \ufffd")
    assert desk.said[0] == "\ufffd\ufffd བ"
    assert "\x1b" not in desk.said[1]


def test_a_grandchild_that_holds_the_pipe_is_waited_for_no_longer_than_the_grace(desk: Desk) -> None:
    """A process in the background that keeps the output open would hold the work until the time limit."""
    program = """sleep 600 & echo $!; setsid -f bash -c 'echo $BASHPID; echo >"$0"; exec sleep 600' up
    until [ -s up ]; do sleep 0.02; done"""
    started: list[Watched] = []
    before = time.monotonic()
    ended = desk.run(f"cd {desk.folder}; {program}", say=lambda line: started.append(Watched(int(line))), grace=0.3)
    assert ended.fault == ""
    assert time.monotonic() - before < 60
    in_the_group, escaped = started
    assert in_the_group.has_ended(within=60)
    assert not escaped.has_ended()
    escaped.kill()


def test_what_closes_its_output_and_lives_on_is_waited_for(desk: Desk) -> None:
    """The end of the output is not the end of the command: its files may be half written."""
    ended = desk.run(f"echo closing; exec >&- 2>&-; sleep 0.5; touch {desk.folder}/done; exit 4")
    assert (desk.folder / "done").exists()
    assert (ended.fault, ended.last_lines) == ("exited with 4", ("closing",))


def test_what_closes_its_output_and_lives_on_has_its_time_limit_too(desk: Desk) -> None:
    """Nothing is read any more that could remind of it."""
    ended = desk.run("exec >&- 2>&-; exec sleep 600", time_limit=0.3)
    assert ended.fault == "ran for longer than 0.005 minutes and was ended"


@pytest.mark.parametrize("own", ["", "trap '' TERM;"], ids=["heeds TERM", "ignores TERM"])
def test_the_time_limit_ends_the_whole_group(desk: Desk, own: str) -> None:
    """What goes on writes beside the next run's command."""
    started: list[Watched] = []
    ended = desk.run(
        f"""bash -c 'trap "" TERM; echo $BASHPID; while :; do sleep 600 & wait $!; done' & {own} echo $$; wait""",
        say=lambda line: started.append(Watched(int(line))),
        time_limit=1,
        grace=0.3,
    )
    assert ended.fault.startswith("ran for longer than ")
    assert ended.code == (-signal.SIGKILL if own else -signal.SIGTERM)
    assert len(started) == 2
    assert all(process.has_ended(within=60) for process in started)


def test_it_is_asked_by_the_signal_that_is_named_and_its_last_words_are_kept(desk: Desk) -> None:
    """A container's client passes on the signal that its container knows; what it prints then says how it ended."""
    ended = desk.run(
        "trap 'seq 20000; printf \"as it was\"; exit 1' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done",
        time_limit=1,
        stop=signal.SIGUSR1,
    )
    assert ended.code == 1
    assert ended.last_lines[-2:] == ("20000", "as it was")
    assert desk.lines()[-1] == "as it was"


def test_a_caller_that_is_cancelled_ends_the_command(desk: Desk) -> None:
    """Dagster interrupts a run in the middle of anything."""
    started: list[Watched] = []

    def say(line: str) -> None:
        started.append(Watched(int(line)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.run("echo $$; exec sleep 600", say=say)
    assert started[0].has_ended()


_WORKER = """
import os, signal, sys
from pathlib import Path
from ao_workflows.machine.logged_command import run_logged
program = '''bash -c 'trap "" TERM USR1; echo $BASHPID; while :; do sleep 600 & wait $!; done' &
trap 'touch asked; exit' USR1; echo $$; wait'''
say = lambda line: print(line, flush=True)
run_logged(["bash", "-c", program], os.environ, Path("log"), say, time_limit=600, grace=0.3, stop=signal.SIGUSR1)
"""


def test_a_killed_parent_takes_the_group_with_it(desk: Desk) -> None:
    """Its lock is free at once: the next run would do the same beside the orphan."""
    with subprocess.Popen(
        [sys.executable, "-c", _WORKER], stdout=subprocess.PIPE, text=True, cwd=desk.folder
    ) as worker:
        assert worker.stdout is not None
        started = [Watched(int(worker.stdout.readline())) for _ in range(2)]
        assert not any(process.has_ended() for process in started)
        worker.kill()
    assert all(process.has_ended(within=60) for process in started)
    assert (desk.folder / "asked").exists()


def test_a_command_that_cannot_be_started_is_named_with_the_reason(desk: Desk) -> None:
    """The three look alike to the system's caller; each has another way out."""
    (desk.folder / "plain").write_text("#!/bin/sh\n")
    (desk.folder / "no-shell").write_text("#!/no/such/shell\n")
    (desk.folder / "no-shell").chmod(0o755)
    reasons = {
        "nothing": "No such file or directory",
        "": "is a folder",
        "plain": "Permission denied",
        "no-shell": "No such file or directory",
    }
    for name, reason in reasons.items():
        path = str(desk.folder / name)
        with pytest.raises(CommandNotStarted) as raised:
            run_logged([path], os.environ, desk.log, desk.said.append, time_limit=60, grace=1)
        assert str(raised.value) == f"{path} cannot be started: {reason}"
    with pytest.raises(CommandNotStarted, match=r"^no-such-command-anywhere cannot be started: No such file"):
        run_logged(["no-such-command-anywhere"], os.environ, desk.log, print, time_limit=60, grace=1)


def test_nothing_is_started_whose_log_cannot_be_written(desk: Desk) -> None:
    """Its output would be lost."""
    (desk.folder / "logs").write_text("no folder")
    with pytest.raises(StagingError, match="cannot be written: "):
        desk.run(f"touch {desk.folder}/started")
    assert not (desk.folder / "started").exists()


def test_a_descriptor_is_inherited_where_it_is_named(desk: Desk) -> None:
    """A lock must be held until the command has ended, though its caller is killed."""
    reading, writing = os.pipe()
    run_logged(
        ["bash", "-c", f"echo through >&{writing}"],
        os.environ,
        desk.log,
        desk.said.append,
        time_limit=60,
        grace=1,
        inherits=[writing],
    )
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == "through\n"
