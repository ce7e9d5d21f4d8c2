"""Processes: each known from all others, found below another or by a variable, and ended."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import ao_workflows
from ao_workflows.machine import processes
from ao_workflows.machine.boot import boot_id
from ao_workflows.machine.processes import Prepared, ProcessId, below, command_line, end, identify, is_alive, marked


@contextmanager
def started(*words: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is ended with the test."""
    with subprocess.Popen(words, env={**os.environ, **more}, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def identified(process: subprocess.Popen[bytes]) -> ProcessId:
    found = identify(process.pid)
    assert found is not None
    return found


def test_a_process_is_known_by_its_number_its_start_and_the_boot() -> None:
    """The record of ``ao up`` from an earlier version has the kernel's own figure: it must mean the same."""
    with started("sleep", "600") as process:
        fields = Path(f"/proc/{process.pid}/stat").read_bytes().rpartition(b")")[2].split()
        assert identify(process.pid) == ProcessId(process.pid, int(fields[19]), boot_id())


def test_it_stays_the_same_when_the_clock_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a correction of the clock each service would be another process: started twice, and never ended."""
    with started("sleep", "600") as process:
        before = identified(process)
        boot = psutil.boot_time()
        # The clock is set between two looks, and once in the middle of one.
        moments = iter([boot, boot + 3600, boot + 3600])
        monkeypatch.setattr(psutil, "boot_time", lambda: next(moments, boot + 3600))
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot + 3600)
        assert identify(process.pid) == before
        assert is_alive(before)


def test_another_process_with_the_number_is_not_it_and_gets_no_signal() -> None:
    """A number is given again: ``ao down`` would end a stranger."""
    with started("sleep", "600") as process:
        it = identified(process)
        for other in (replace(it, started=it.started - 1), replace(it, boot="another")):
            assert not is_alive(other)
            end([other], 0)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)


def test_what_has_ended_is_not_there_though_nobody_has_waited_for_it() -> None:
    """A zombie serves nothing: ``ao up`` would wait for it."""
    with started("true") as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}").exists()
        assert identify(process.pid) is None
        assert command_line(ProcessId(process.pid, 0, "")) == []
    assert identify(process.pid) is None


def test_who_heeds_the_signal_has_its_grace_and_who_does_not_is_killed() -> None:
    """A service that hangs must not be left, and one that clears up must not be killed."""
    program = "trap '{}' TERM; echo up; while :; do sleep 0.05; done"
    with (
        started("sh", "-c", program.format("echo cleared up; exit 0")) as heeds,
        started("sh", "-c", program.format("")) as ignores,
    ):
        for each in (heeds, ignores):
            assert each.stdout is not None
            assert each.stdout.readline() == b"up\n"
        end([identified(heeds), identified(ignores)], 1.0)
        assert heeds.stdout is not None
        assert heeds.stdout.read() == b"cleared up\n"
        assert (heeds.wait(), ignores.wait()) == (0, -signal.SIGKILL)


def test_what_was_given_a_variable_is_found_whoever_started_it() -> None:
    """A run whose code server was killed is nobody's child."""
    mark = f"test-{os.getpid()}"
    with started("sh", "-c", "sleep 600 & echo $!; wait", AO_TEST_MARK=mark) as process, started("sleep", "600"):
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            assert {each.pid for each in marked("AO_TEST_MARK", mark)} == {process.pid, child}
            assert marked("AO_TEST_MARK", mark[:-1]) == []
        finally:
            os.kill(child, signal.SIGKILL)


def test_what_is_below_a_process_is_found_but_not_below_what_is_left_out() -> None:
    """A demo ends what it started, and nothing of a server's that was there before."""
    program = "sleep 600 & echo $!; wait"
    with started("sh", "-c", program) as mine, started("sh", "-c", program) as others:
        children = []
        for each in (mine, others):
            assert each.stdout is not None
            children.append(int(each.stdout.readline()))
        try:
            found = {each.pid for each in below(os.getpid(), {identified(others)})}
            assert found >= {mine.pid, children[0]}
            assert not found & {others.pid, children[1]}
        finally:
            for child in children:
                os.kill(child, signal.SIGKILL)


def test_a_child_that_has_ended_is_reaped_by_who_looks_below() -> None:
    """A demo that takes in orphans would keep a row of each in the kernel's table."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert child not in {each.pid for each in below(os.getpid())}
    assert not Path(f"/proc/{child}").exists()


def test_a_prepared_process_does_nothing_until_it_is_begun(tmp_path: Path) -> None:
    """It is recorded before it acts: whoever comes after a crash knows of it."""
    with (tmp_path / "log").open("wb") as log:
        prepared = Prepared([sys.executable, "-c", "print('begun')"], tmp_path, os.environ, log)
        assert is_alive(prepared.id)
        assert (tmp_path / "log").read_text() == ""
        prepared.begin()
        assert processes.wait_gone([prepared.id], 60) == []
    assert (tmp_path / "log").read_text() == "begun\n"


def test_a_prepared_process_ends_with_who_prepared_it(tmp_path: Path) -> None:
    """Nobody would ever begin it."""
    program = (
        "import os, sys; from pathlib import Path; from ao_workflows.machine.processes import Prepared\n"
        "p = Prepared(['touch', 'done'], Path(sys.argv[1]), os.environ, open(os.devnull, 'wb'))\n"
        "print(p.id.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        waiting = identify(int(worker.stdout.readline()))
        assert waiting is not None
        worker.kill()
    until = time.monotonic() + 60
    while is_alive(waiting) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_alive(waiting)
    assert not (tmp_path / "done").exists()


def test_no_other_module_looks_for_processes() -> None:
    """Two did, each by reading /proc in a way of its own."""
    package = Path(ao_workflows.__file__).parent
    look = [path for path in package.rglob("*.py") if re.search(r"psutil\.|/proc/\{", path.read_text(encoding="utf-8"))]
    assert look == [package / "machine/processes.py"]


def test_a_signal_is_not_lost_that_comes_while_an_object_is_cleared_away() -> None:
    """Python drops what is raised there: the command would go on as if nobody had pressed Ctrl-C."""

    class Cleared:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)  # the handler is called here

    def clear() -> None:
        Cleared()
        for _ in range(1000):
            time.sleep(0.001)

    hook = sys.unraisablehook
    with pytest.raises(processes.Interrupted), processes.signals_interrupt():
        clear()
    assert sys.unraisablehook is hook
