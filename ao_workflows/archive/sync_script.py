"""The sync script: one run of the archive's ``syncOneWork.sh`` for one work.

What belongs here: its arguments, its environment, the places of its logs, and whether it succeeded. What does not:
running and logging a command (``ao_workflows.machine.logged_command``), and whether the archive then has the work
(``ao_workflows.fixity.trees``).
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ao_workflows.archive.places import web_prefix
from ao_workflows.archive.sync_options import KEEP_REPLACED_DAYS, VERIFY, WORKS_MAY, SyncOptions
from ao_workflows.archive.sync_yml import read_options
from ao_workflows.aws.connections import AwsConnection
from ao_workflows.errors import (
    ArchiveNotFlushed,
    CommandNotStarted,
    SyncFailed,
    SyncScriptMissing,
)
from ao_workflows.fixity.trees import Depth
from ao_workflows.machine.disk import disk_error, full_at
from ao_workflows.machine.logged_command import Ended, run_logged

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
"""The values of ``NO_REFRESH_WEB`` that the reference script reads as "no"."""
_PROBE = 64 << 10
_FLUSH_SECONDS = 1800

GRACE_SECONDS = 10.0
"""How long a script that is asked to end has to clean up before it is killed."""


@dataclass(frozen=True, kw_only=True)
class SyncScript:
    """The script named ``script`` (a path, or a name on PATH), and what the site gives it.

    It is no resource with a configuration: Dagster stores that, and shows it to whoever may look at its page, and what
    ``env`` gives the script may be a password. Nor can a run's own configuration name another script.
    """

    script: str
    archive_parent: str
    web_parent: str | None = None
    logs: str
    timeout_minutes: int
    verify: Depth = VERIFY
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    db_config: str = ""
    credentials_file: str | None = None
    options: str | None = None
    works_may: Collection[str] = WORKS_MAY
    keep_replaced_days: int = KEEP_REPLACED_DAYS

    def options_of(self, work: Path, redo: str = "", *, replacing: bool = False) -> SyncOptions:
        """Returns a work's options: from its ``config/sync.yml``, else from the site's ``options``, else the defaults.

        :param work: the work's folder.
        :param redo: the arguments of ``ao reprocess`` that name the work.
        :param replacing: whether a person has asked for this run to replace what is there.
        :raises SyncOptionsError: if a file cannot be used, or asks for something that is unknown, or that ``works_may``
            does not allow.
        """
        sites = Path(self.options) if self.options else None
        return read_options(work, sites, self.works_may, redo, replacing=replacing)

    def web_place(self, rid: str, options: SyncOptions) -> str | None:
        """Returns the S3 prefix to which the script sends the work's images; None if it does not change the web."""
        untouched = not options.update_web or self.env.get("NO_REFRESH_WEB", "") not in _OFF
        if self.web_parent is None or not options.web or untouched:
            return None
        return web_prefix(self.web_parent, rid)

    def web_connection(self) -> AwsConnection:
        """Returns how the web's S3 is reached: as the script's own tools do, by the variables of their environment."""
        given = {**os.environ, **self.env}
        return AwsConnection(
            # If the bucket is in another region, S3 says in which.
            region=given.get("AWS_REGION") or given.get("AWS_DEFAULT_REGION") or "us-east-1",
            profile=self.env.get("AWS_PROFILE"),
            endpoint_url=given.get("AWS_ENDPOINT_URL_S3") or given.get("AWS_ENDPOINT_URL"),
            credentials_file=self.env.get("AWS_SHARED_CREDENTIALS_FILE") or self.credentials_file,
        )

    def found(self) -> Path:
        """Returns the script's path.

        :raises SyncScriptMissing: if there is no such file, or it may not be executed.
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
        called: str = "",
    ) -> Ended:
        """Runs the script for one work and waits until it ends; each line that it prints goes to ``say`` and its log.

        :param work: the work's folder in staging.
        :param at: when the sync begins; it is in the names of the log folders, in local time.
        :param inherits: descriptors that the script inherits. If this process is killed, the locks on them stay until
            the script has ended, too.
        :param changed: a file that lists the work's files which are missing or differ in the archive, if that is known:
            the reference script then need not compare.
        :param called: what a failure names, if that is not the work but a part of it.
        :raises SyncScriptMissing: if there is no script that can be started.
        :raises SyncFailed: if it exits with another code than 0, does not name the work in its success list, or
            runs for longer than the site allows.
        :raises StagingError: if its log cannot be written; ``StagingFull``, too, if the script failed and the disk of
            its log is full.
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
        _empty(success_list, log)
        try:
            ended = run_logged(
                command,
                environment,
                log,
                say,
                time_limit=self.timeout_minutes * 60,
                grace=GRACE_SECONDS,
                inherits=inherits,
            )
        except CommandNotStarted as error:
            raise SyncScriptMissing(self.script, f"cannot be started: {error.reason}") from error
        fault = ended.fault
        if not fault and rid.encode() not in _words(success_list):
            fault = f"exited with 0, but did not name the work in its success list {success_list}"
        if fault:
            failure = SyncFailed(called or rid, command, fault, log, ended.last_lines)
            # A script that has no room for its logs may fail in any way; it is tried again when there is room.
            if full := full_at(log, _PROBE):
                raise full from failure
            raise failure
        return ended

    def flush(self, place: Path | str) -> None:
        """Flushes the archive's file system that ``place`` is on, so that what is compared afterwards is on the disk.

        :raises ArchiveNotFlushed: if that fails, or takes longer than half an hour.
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
            # It is not waited for: a process that hangs in the kernel, as with a lost archive, ignores signals.
            reason = f"had not ended after {_FLUSH_SECONDS / 60:g} minutes; is the archive's disk still there?"
            raise ArchiveNotFlushed(str(place), reason) from error
        finally:
            flushing.kill()
        if flushing.returncode != 0:
            raise ArchiveNotFlushed(str(place), f"failed: {said.decode(errors='replace').strip()}")

    def log_folder(self, rid: str, at: datetime, run_id: str) -> Path:
        """Returns the folder for the logs of the sync that begins at ``at``, which is a local time."""
        folder = f"{at:%Y-%m-%d_%H.%M.%S}-{rid}-{run_id[:8]}"
        return Path(self.logs) / "sync-logs" / f"{at:%Y-%m-%d}" / folder

    def environment(self, rid: str, options: SyncOptions, at: datetime, run_id: str) -> dict[str, str]:
        """Returns the script's whole environment: it gets no other variables.

        Two works whose syncs begin in the same second do not share a log, whether one run or two runs sync them: the
        name of the log folder ends with the work's RID and the run's id.

        :param at: when the sync begins; it is in the names of the log folders, in local time.
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
    """Returns the user's name, or the user's number if there is no name, as may be in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _empty(success_list: Path, log: Path) -> None:
    """Makes an empty success list, with its folder; an error names ``log``, which is on the same disk."""
    try:
        success_list.parent.mkdir(parents=True, exist_ok=True)
        success_list.write_bytes(b"")
    except OSError as error:
        raise disk_error(log, "cannot be written", error) from error


def _words(success_list: Path) -> list[bytes]:
    """Returns the names that the script wrote into its success list; none if the script has removed it."""
    try:
        return success_list.read_bytes().split()
    except FileNotFoundError:
        return []
