"""The sync script: one run of the archive's ``syncOneWork.sh`` for one work.

What belongs here: its words, environment, logs and process. What does not: whether the archive then holds the
work (``ao_workflows.domain.fixity``).
"""

from __future__ import annotations

import codecs
import getpass
import io
import os
import platform
import selectors
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Literal

import dagster as dg

from ao_workflows.domain.errors import ArchiveNotFlushed, StagingError, SyncFailed, SyncScriptMissing
from ao_workflows.domain.sync_options import SyncOptions

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
)
_TAIL = 40
_READ = 1 << 16
_LONGEST_LINE = 1 << 16
_GRACE_SECONDS = 10

_WATCH = 'read -r _; kill -s TERM -- "-$1"; sleep "$2"; kill -s KILL -- "-$1"'
"""Reads until the worker is gone, however it ended, then ends the script's group."""


@dataclass(frozen=True)
class Synced:
    """A run of the script that ended well: the words it was started with, its log, its time in seconds."""

    command: tuple[str, ...]
    log: Path
    seconds: float


class SyncScript(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The script named ``script`` (a path, or a name on PATH), and what the site gives it."""

    script: str
    archive_parent: str
    web_parent: str | None = None
    logs: str
    timeout_minutes: int
    verify: Literal["checksum", "size"] = "checksum"
    env: Mapping[str, str] = {}
    db_config: str = ""
    credentials_file: str | None = None

    def found(self) -> Path:
        """The script's path.

        :raises SyncScriptMissing: where there is none, or it may not be executed.
        """
        path = shutil.which(self.script)
        if path is None:
            there = Path(self.script).exists()
            raise SyncScriptMissing(self.script, "may not be executed" if there else "is neither a file nor on PATH")
        return Path(path)

    def run(
        self,
        rid: str,
        work: Path,
        options: SyncOptions,
        run_id: str,
        say: Callable[[str], None],
        at: datetime,
    ) -> Synced:
        """Runs the script for one work and waits for its end; each line that it prints goes to ``say`` and its log.

        :raises SyncScriptMissing: if there is no script that can be started.
        :raises SyncFailed: if it exits with another code than 0, does not name the work in its success list, or
            runs for longer than the site allows.
        :raises StagingError: if its log cannot be written.
        """
        script = self.found()
        environment = self.environment(rid, options, at, run_id)
        log = Path(environment["syncLogDateTimeFile"])
        success_list = Path(environment["syncLogTempDir"]) / f"{rid}.success"
        command = (
            str(script),
            *options.words(self.archive_parent, self.web_parent),
            "-s",
            str(success_list),
            str(work),
        )
        started = datetime.now().astimezone()
        tail: deque[str] = deque(maxlen=_TAIL)
        until = monotonic() + self.timeout_minutes * 60
        with _opened(log, success_list) as out:
            process = self._started(command, environment)
            with _ended_with_its_group(process):
                output = _Output(process)
                for text in output.lines(until):
                    _write_line(out, text, log)
                    tail.append(text)
                    say(text)
        reason = None
        if output.overdue:
            reason = f"ran for longer than {self.timeout_minutes} minutes and was ended"
        elif process.returncode < 0:
            reason = f"was ended by signal {-process.returncode} ({signal.strsignal(-process.returncode)})"
        elif process.returncode > 0:
            reason = f"exited with {process.returncode}"
        elif rid.encode() not in _words(success_list):
            reason = f"exited with 0, but did not name the work in its success list {success_list}"
        if reason:
            raise SyncFailed(rid, command, reason, log, tail)
        return Synced(command, log, (datetime.now().astimezone() - started).total_seconds())

    def _started(self, command: tuple[str, ...], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SyncScriptMissing(self.script, f"cannot be started: {error.strerror}") from error

    def flush(self, places: Iterable[str]) -> None:
        """Has the archive's file systems put on disk what they were given, before scratch is freed.

        :raises ArchiveNotFlushed: if one does not.
        """
        for place in places:
            done = subprocess.run(["sync", "-f", place], capture_output=True, text=True, check=False)  # noqa: S607
            if done.returncode != 0:
                raise ArchiveNotFlushed(place, done.stderr.strip())

    def environment(self, rid: str, options: SyncOptions, at: datetime, run_id: str) -> dict[str, str]:
        """The variables that the script is given, and no others. ``at`` names its log folders, in local time.

        Two works that sync in the same second do not share a log, be they of one run or of two: the log folder's name
        ends with the work's RID and the run's id.
        """
        date, clock = at.strftime("%Y-%m-%d"), at.strftime("%H.%M.%S")
        stamp = f"{date}_{clock}"
        folder = f"{stamp}-{rid}-{run_id[:8]}"
        sync_logs = Path(self.logs) / "sync-logs" / date / folder
        own = {
            "DB_CONFIG": self.db_config,
            "hostName": platform.node(),
            "userName": _user(),
            "logDipVersion": "1.0",
            "auditToolVersion": "1.0",
            "jobDate": date,
            "jobTime": clock,
            "jobDateTime": stamp,
            "auditToolLogDateTimeDir": str(Path(self.logs) / "audit-test-logs" / date / folder),
            "syncLogDateTimeDir": str(sync_logs),
            "syncLogDateTimeFile": str(sync_logs / f"sync-{stamp}.log"),
            "syncLogTempDir": str(sync_logs / "tempFiles"),
        }
        passed_on = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("AWS_")}
        if self.credentials_file:
            own["AWS_SHARED_CREDENTIALS_FILE"] = self.credentials_file
        return passed_on | own | options.environment() | dict(self.env)


def _user() -> str:
    """The user's name; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@contextmanager
def _opened(log: Path, success_list: Path) -> Iterator[io.TextIOWrapper]:
    """The log, line by line on its way to the disk, and an empty success list, with the folders that they are in."""
    try:
        success_list.parent.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        success_list.write_bytes(b"")
        out = log.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise StagingError(log, f"cannot be written: {error.strerror}") from error
    with out:
        yield out


def _write_line(out: io.TextIOWrapper, line: str, log: Path) -> None:
    try:
        out.write(line + "\n")
    except OSError as error:
        raise StagingError(log, f"cannot be written: {error.strerror}") from error


def _words(success_list: Path) -> list[bytes]:
    """What the script wrote there; a script may also have removed it."""
    try:
        return success_list.read_bytes().split()
    except FileNotFoundError:
        return []


class _Output:
    """What a process prints, until it has ended. ``overdue`` says, afterwards, that it had not by the time limit."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.overdue = False

    def lines(self, until: float) -> Iterator[str]:
        """Each line, without its end; a carriage return ends one too, and no bytes are too odd for one."""
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
        begun = ""
        for chunk in self._chunks(until):
            *whole, begun = (begun + decoder.decode(chunk)).split("\n")
            yield from whole
            if len(begun) > _LONGEST_LINE:
                yield begun
                begun = ""
        if begun := begun + decoder.decode(b"", final=True):
            yield begun.removesuffix("\n")

    def _chunks(self, until: float) -> Iterator[bytes]:
        """What comes, until nobody can print any more; what a script leaves behind may do so for a grace only."""
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        printed = self._process.stdout.fileno()
        ended = os.pidfd_open(self._process.pid)
        has_ended = False
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(printed, selectors.EVENT_READ)
                selector.register(ended, selectors.EVENT_READ)
                while selector.get_map():
                    left = until - monotonic()
                    if left <= 0:
                        self.overdue = not has_ended
                        return
                    for key, _ in selector.select(left):
                        if key.fd == ended:
                            has_ended = True
                            until = min(until, monotonic() + _GRACE_SECONDS)
                            selector.unregister(ended)
                        elif chunk := os.read(printed, _READ):
                            yield chunk
                        else:
                            selector.unregister(printed)
        finally:
            os.close(ended)


@contextmanager
def _ended_with_its_group(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends the script and everything it started on the way out, and also where this process is killed inside."""
    watch = None
    try:
        watch = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(process.pid), str(_GRACE_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        yield
    finally:
        _end_group(process)
        if watch:
            watch.kill()
            watch.communicate()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the script and everything it started: asked first, and killed where that does not help."""
    for ending, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 0)):
        until = monotonic() + seconds
        try:
            os.killpg(process.pid, ending)
            while monotonic() < until:
                process.poll()
                os.killpg(process.pid, 0)
                sleep(0.02)
        except (ProcessLookupError, PermissionError):
            break
    process.wait()
    if process.stdout:
        process.stdout.close()
