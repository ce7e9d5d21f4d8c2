"""The sync script: one run of the archive's ``syncOneWork.sh`` for one work.

What belongs here: its words, environment, logs and process. What does not: whether the archive then holds the
work (``ao_workflows.fixity.trees``).
"""

from __future__ import annotations

import getpass
import io
import os
import platform
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic

import dagster as dg
from pydantic import Field

from ao_workflows.archive.places import web_prefix
from ao_workflows.archive.sync_options import KEEP_REPLACED_DAYS, VERIFY, WORKS_MAY, SyncOptions
from ao_workflows.archive.sync_yml import read_options
from ao_workflows.aws.connections import AwsConnection
from ao_workflows.errors import ArchiveNotFlushed, StagingError, StagingFull, SyncFailed, SyncScriptMissing
from ao_workflows.fixity.trees import Depth
from ao_workflows.machine.child_process import Lines, Output, ended_with_its_group
from ao_workflows.machine.disk import refusal, unfinished
from ao_workflows.shown_names import shown

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
_OFF = {"", "0", "No", "NO", "no", "False", "FALSE", "false"}
"""What the reference script takes for no in ``NO_REFRESH_WEB``."""
_TAIL = 40
_PROBE = 64 << 10
_FLUSH_SECONDS = 1800

_TOLD_WHOLE = 1000
_TOLD_SECONDS = 60
_LONGEST_TOLD = 1000


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
    verify: Depth = VERIFY
    env: Mapping[str, str] = {}
    db_config: str = ""
    credentials_file: str | None = None
    options: str | None = None
    works_may: list[str] = Field(default=[*WORKS_MAY])
    keep_replaced_days: int = KEEP_REPLACED_DAYS

    def options_of(self, work: Path, redo: str = "", *, replacing: bool = False) -> SyncOptions:
        """What the work's ``config/sync.yml`` asks for, else the site's ``options``, else the default.

        ``redo`` is how ``ao reprocess`` names the work; ``replacing`` is a person's word for this run.

        :raises SyncOptionsError: if it asks for something that is not known, or that ``works_may`` does not have.
        """
        sites = Path(self.options) if self.options else None
        return read_options(work, sites, self.works_may, redo, replacing=replacing)

    def web_place(self, rid: str, options: SyncOptions) -> str | None:
        """Where the script puts the work's images on the web; None where it leaves the web as it is."""
        untouched = not options.update_web or self.env.get("NO_REFRESH_WEB", "") not in _OFF
        if self.web_parent is None or not options.web or untouched:
            return None
        return web_prefix(self.web_parent, rid)

    def web_connection(self) -> AwsConnection:
        """The way to the web's S3: the script's own, as its tools read it from the environment."""
        given = {**os.environ, **self.env}
        return AwsConnection(
            # S3 says where a bucket is that is elsewhere.
            region=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or "us-east-1",
            profile=self.env.get("AWS_PROFILE"),
            endpoint_url=given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL"),
            credentials_file=self.env.get("AWS_SHARED_CREDENTIALS_FILE") or self.credentials_file,
        )

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
        inherits: Sequence[int] = (),
        changed: Path | None = None,
    ) -> Synced:
        """Runs the script for one work and waits for its end; each line that it prints goes to ``say`` and its log.

        It ``inherits`` descriptors: where this process is killed, what is locked by them stays so until the script has
        ended, too. ``changed`` is the list of the files that the archive lacks or has otherwise, where that is known:
        the reference script then need not compare.

        :raises SyncScriptMissing: if there is no script that can be started.
        :raises SyncFailed: if it exits with another code than 0, does not name the work in its success list, or
            runs for longer than the site allows.
        :raises StagingError: if its log cannot be written; StagingFull, too, where it failed on a full disk.
        """
        script = self.found()
        environment = self.environment(rid, options, at, run_id)
        if changed:
            environment["syncChangedFiles"] = str(changed)
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
            process = self._started(command, environment, inherits)
            with ended_with_its_group(process, _Late(out, log, tail).add):
                output = Output(process)
                told = _Told(say, log)
                for lines in output.lines(until):
                    _write_lines(out, lines, log)
                    tail.extend(lines[-_TAIL:])
                    told.tell(lines)
                told.end()
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
            failure = SyncFailed(rid, command, reason, log, tail)
            _look_for_room(log, failure)
            raise failure
        return Synced(command, log, (datetime.now().astimezone() - started).total_seconds())

    def _started(
        self, command: tuple[str, ...], environment: Mapping[str, str], inherits: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=inherits,
            )
        except OSError as error:
            raise SyncScriptMissing(self.script, f"cannot be started: {error.strerror}") from error

    def flush(self, place: Path | str) -> None:
        """Has the file system of the archive's ``place`` put on disk what it was given, before that is proven.

        :raises ArchiveNotFlushed: if it does not, or takes longer than half an hour.
        """
        flushing = subprocess.Popen(
            ["sync", "-f", "--", place],  # noqa: S607 - as the site's PATH has it
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            _, said = flushing.communicate(timeout=_FLUSH_SECONDS)
        except subprocess.TimeoutExpired as error:
            # Not waited for: a process that hangs in the kernel, as on an archive that is gone, heeds no signal.
            reason = f"had not ended after {_FLUSH_SECONDS / 60:g} minutes; is the archive's disk still there?"
            raise ArchiveNotFlushed(str(place), reason) from error
        finally:
            flushing.kill()
        if flushing.returncode != 0:
            raise ArchiveNotFlushed(str(place), f"failed: {said.decode(errors='replace').strip()}")

    def log_folder(self, rid: str, at: datetime, run_id: str) -> Path:
        """The folder of the logs of the sync that begins at that moment."""
        folder = f"{at:%Y-%m-%d_%H.%M.%S}-{rid}-{run_id[:8]}"
        return Path(self.logs) / "sync-logs" / f"{at:%Y-%m-%d}" / folder

    def environment(self, rid: str, options: SyncOptions, at: datetime, run_id: str) -> dict[str, str]:
        """The variables that the script is given, and no others. ``at`` names its log folders, in local time.

        Two works that sync in the same second do not share a log, be they of one run or of two: the log folder's name
        ends with the work's RID and the run's id.
        """
        date, clock = at.strftime("%Y-%m-%d"), at.strftime("%H.%M.%S")
        stamp = f"{date}_{clock}"
        sync_logs = self.log_folder(rid, at, run_id)
        own = {
            "DB_CONFIG": self.db_config,
            "hostName": platform.node(),
            "userName": _user(),
            "logDipVersion": "1.0",
            "auditToolVersion": "1.0",
            "jobDate": date,
            "jobTime": clock,
            "jobDateTime": stamp,
            "auditToolLogDateTimeDir": str(Path(self.logs) / "audit-test-logs" / date / sync_logs.name),
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
def _opened(log: Path, success_list: Path) -> Iterator[io.FileIO]:
    """The log, each write of which is in it at once, and an empty success list, with the folders that they are in."""
    try:
        success_list.parent.mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        success_list.write_bytes(b"")
        out = log.open("ab", buffering=0)
    except OSError as error:
        raise refusal(log, "cannot be written", error) from error
    with out:
        yield out


def _write_lines(out: io.FileIO, lines: list[str], log: Path) -> None:
    left = memoryview("".join(f"{line}\n" for line in lines).encode())
    try:
        while left:
            left = left[out.write(left) :]
    except OSError as error:
        raise refusal(log, "cannot be written", error) from error


def _look_for_room(log: Path, failure: SyncFailed) -> None:
    """A script whose logs found no room fails as it may; that it is tried again when there is room is ours to see to.

    :raises StagingFull: instead of ``failure``, where the disk of the logs is full.
    """
    probe = unfinished(log)
    try:
        try:
            probe.write_bytes(bytes(_PROBE))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(full := refusal(log, "cannot be written", error), StagingFull):
            raise full from failure


class _Late:
    """What the script prints once it was asked to end: of use to who reads the failure, and no reason for another."""

    def __init__(self, out: io.FileIO, log: Path, tail: deque[str]) -> None:
        self._lines = Lines()
        self._out = out
        self._log = log
        self._tail = tail

    def add(self, chunk: bytes) -> None:
        lines = self._lines.add(chunk)
        self._tail.extend(lines[-_TAIL:])
        with suppress(StagingError):
            _write_lines(self._out, lines, self._log)


class _Told:
    """What of the output goes into the run's log, where each line is a row of Dagster's database: the first thousand
    lines, then one a minute. The file has all of them.
    """

    def __init__(self, say: Callable[[str], None], log: Path) -> None:
        self._say = say
        self._log = log
        self._whole = _TOLD_WHOLE
        self._passed_over = 0
        self._last = ""
        self._told_at = 0.0

    def tell(self, lines: list[str]) -> None:
        for line in lines[: self._whole]:
            self._say(_short(line))
        rest = lines[self._whole :]
        self._whole -= len(lines) - len(rest)
        if rest:
            self._passed_over += len(rest)
            self._last = rest[-1]
            if monotonic() - self._told_at >= _TOLD_SECONDS:
                self.end()

    def end(self) -> None:
        if self._passed_over:
            more = f"{self._passed_over:,} more line{'s'[: self._passed_over != 1]}"
            self._say(f"… {more} in {self._log}, the last: {_short(self._last)}")
            self._passed_over = 0
            self._told_at = monotonic()


def _short(line: str) -> str:
    # A script tells names as they are; the file has the line itself.
    line = shown(line.expandtabs())
    return line if len(line) <= _LONGEST_TOLD else f"{line[:_LONGEST_TOLD]}…"


def _words(success_list: Path) -> list[bytes]:
    """What the script wrote there; a script may also have removed it."""
    try:
        return success_list.read_bytes().split()
    except FileNotFoundError:
        return []
