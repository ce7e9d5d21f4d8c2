"""The sync script: one run of the archive's ``syncOneWork.sh`` for one work.

What belongs here: its words, environment, logs and process. What does not: whether the archive then holds the
work (``ao_workflows.domain.fixity``).
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from ao_workflows.domain.errors import ArchiveNotFlushed, SyncFailed, SyncScriptMissing
from ao_workflows.domain.sync_options import SyncOptions

_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_TAIL = 40
_GRACE_SECONDS = 10


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
            raise SyncScriptMissing(
                self.script, "may not be executed" if there else "is neither a file nor on PATH"
            )
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

        :raises SyncFailed: if it exits with another code than 0, does not name the work in its success list, or
            runs for longer than the site allows.
        """
        script = self.found()
        environment = self.environment(options, at, run_id)
        temporary = Path(environment["syncLogTempDir"])
        temporary.mkdir(parents=True, exist_ok=True)
        log = Path(environment["syncLogDateTimeFile"])
        success_list = temporary / f"{rid}.success"
        success_list.write_text("")
        command = (
            str(script),
            *options.words(self.archive_parent, self.web_parent),
            "-s",
            str(success_list),
            str(work),
        )
        started = datetime.now().astimezone()
        tail: deque[str] = deque(maxlen=_TAIL)
        with log.open("a", encoding="utf-8") as out:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            late = threading.Timer(self.timeout_minutes * 60, _end_group, [process])
            late.start()
            try:
                assert process.stdout is not None  # noqa: S101 - it was asked for above
                for line in process.stdout:
                    text = line.rstrip("\n")
                    out.write(text + "\n")
                    tail.append(text)
                    say(text)
                code = process.wait()
            finally:
                overdue = late.finished.is_set()
                late.cancel()
                _end_group(process)
        reason = None
        if overdue:
            reason = f"ran for longer than {self.timeout_minutes} minutes and was ended"
        elif code != 0:
            reason = f"exited with {code}"
        elif rid not in success_list.read_text().split():
            reason = f"exited with 0, but did not name the work in its success list {success_list}"
        if reason:
            raise SyncFailed(rid, command, reason, log, tail)
        return Synced(command, log, (datetime.now().astimezone() - started).total_seconds())

    def flush(self, places: Iterable[str]) -> None:
        """Has the archive's file systems put on disk what they were given, before scratch is freed.

        :raises ArchiveNotFlushed: if one does not.
        """
        for place in places:
            done = subprocess.run(["sync", "-f", place], capture_output=True, text=True, check=False)  # noqa: S607
            if done.returncode != 0:
                raise ArchiveNotFlushed(place, done.stderr.strip())

    def environment(self, options: SyncOptions, at: datetime, run_id: str) -> dict[str, str]:
        """The variables that the script is given, and no others. ``at`` names its log folders, in local time.

        Two works that sync in the same second do not share a log: the log folder's name ends with the run's id.
        """
        date, clock = at.strftime("%Y-%m-%d"), at.strftime("%H.%M.%S")
        stamp = f"{date}_{clock}"
        folder = f"{stamp}-{run_id[:8]}"
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
        passed_on = {
            name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("AWS_")
        }
        if self.credentials_file:
            own["AWS_SHARED_CREDENTIALS_FILE"] = self.credentials_file
        return passed_on | own | options.environment() | dict(self.env)


def _user() -> str:
    """The user's name; a container's user may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _end_group(process: subprocess.Popen[str]) -> None:
    """Ends the script and everything it started: asked first, and killed where that does not help."""
    for ending, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, ending)
        except ProcessLookupError:
            return
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
