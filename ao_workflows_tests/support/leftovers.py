"""What a test session leaves behind when it is ended in its middle: ended and removed by a process of its own.

What belongs here: that process, and how it knows what is the session's. What does not: the servers of the tests, which
``parent`` ends too.

Ctrl-C reaches pytest, its processes and what shares their terminal. A second one leaves no fixture the time to tidy
up, and what has a session of its own (the demo's services, a sync script, ``ao up``) is not reached at all. So a
watcher waits for the end of a pipe that pytest holds, whatever ends it, and goes by a mark in the environment.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

MARK = "AO_TESTS_OF"
GRACE_SECONDS = 2.0
_NOTES = "remove"


def watched(folder: Path, base: Path) -> Callable[[], None]:
    """Marks all that this process begins from now on, and begins the watcher; returns what ends it, when it has tidied.

    :param folder: the session's own, by whose name it is known, and which is removed.
    :param base: pytest's folder, which stays; what is mounted in it does not.
    """
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    watcher = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    os.environ[MARK] = str(folder)

    def end() -> None:
        os.environ.pop(MARK, None)
        assert watcher.stdin
        watcher.stdin.close()
        watcher.wait()

    return end


def remove_at_the_end(folder: Path) -> None:
    """Notes a folder outside of pytest's own, which goes with the session."""
    if session := os.environ.get(MARK):
        with Path(session, _NOTES).open("a") as notes:
            notes.write(f"{folder}\n")


def of_session(folder: str) -> Iterator[int]:
    """Yields the processes that the session began, and those that they began."""
    wanted = f"{MARK}={folder}".encode()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in Path(entry.path, "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def _end_all(folder: str) -> None:
    """Asks the processes of a session to end, and kills those that do not."""
    until = time.monotonic() + GRACE_SECONDS
    asked: set[int] = set()
    while left := set(of_session(folder)):
        late = time.monotonic() > until
        for process in left if late else left - asked:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL if late else signal.SIGTERM)
        asked |= left
        time.sleep(0.05)


def _unmount(base: Path) -> None:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    for place in reversed([line.split()[4] for line in lines]):
        if Path(place).is_relative_to(base):
            subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def main() -> None:
    """Waits for the session's end, and tidies up."""
    folder, base = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdin.buffer.read()
    _end_all(folder)
    _unmount(Path(base))
    notes = Path(folder, _NOTES)
    for other in notes.read_text().splitlines() if notes.exists() else ():
        shutil.rmtree(other, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
