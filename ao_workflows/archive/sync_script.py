"""The sync script: one run of the archive's ``syncOneWork.sh`` for one work.

What belongs here: its words, its environment, the places of its logs, and what its end means. What does not: a command
that is run and logged (``ao_workflows.machine.logged_command``), and whether the archive then holds the work
(``ao_workflows.fixity.trees``).
"""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg
from pydantic import Field

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
"""What the reference script takes for no in ``NO_REFRESH_WEB``."""
_PROBE = 64 << 10
_FLUSH_SECONDS = 1800

GRACE_SECONDS = 10.0
"""How long a script that is asked to end may clear up before it is killed."""


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
    ) -> Ended:
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
            failure = SyncFailed(rid, command, fault, log, ended.last_lines)
            # A script whose logs found no room fails as it may; it is tried again when there is room.
            if full := full_at(log, _PROBE):
                raise full from failure
            raise failure
        return ended

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


def _empty(success_list: Path, log: Path) -> None:
    """Makes an empty success list, with its folder; ``log`` is what its disk is for."""
    try:
        success_list.parent.mkdir(parents=True, exist_ok=True)
        success_list.write_bytes(b"")
    except OSError as error:
        raise disk_error(log, "cannot be written", error) from error


def _words(success_list: Path) -> list[bytes]:
    """What the script wrote there; a script may also have removed it."""
    try:
        return success_list.read_bytes().split()
    except FileNotFoundError:
        return []
