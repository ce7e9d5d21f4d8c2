"""The demo as a person ends it before its end. Apart from ``test_demo``, whose tests wait for one whole demo."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from ao_workflows_tests.support.demo_fixture import AO


@pytest.mark.parametrize("terminal_type", ["xterm", "dumb"])
def test_ctrl_c_ends_the_demo_and_every_process_that_it_started(tmp_path: Path, terminal_type: str) -> None:
    """A daemon that outlives its demo eats the next one's messages, and a person's laptop."""
    folder = tmp_path / "interrupted"
    screen, terminal = pty.openpty()
    demo = subprocess.Popen(
        [AO, "demo", "--folder", folder],
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.STDOUT,
        env=os.environ | {"TERM": terminal_type},
    )
    os.close(terminal)
    shown = b""
    try:
        while b"unpacking" not in shown and b"downloading" not in shown:
            shown += os.read(screen, 65536)
        assert len(_speaking_of(folder)) >= 3, "the demo, the emulator, the daemon and its code server should run now"
        demo.send_signal(signal.SIGINT)
        shown += _rest(screen)
        assert demo.wait(60) == 130
    finally:
        demo.kill()
        os.close(screen)
    assert _speaking_of(folder) == []
    assert b"Interrupted" in shown


def _rest(screen: int) -> bytes:
    shown = b""
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # the terminal's other end is closed
            return shown
        if not piece:
            return shown
        shown += piece


def _speaking_of(folder: Path) -> list[str]:
    """The command lines of the processes that were started with the folder in their environment or words."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                told = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in told:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found
