"""The worker: what ``celery -A ao_workflows.instance.worker worker`` runs, on any host.

What belongs here: the task that executes a run, who may execute it, and the worker's process. What does not: Celery's
settings (``broker``), and what a run does.

Dagster has no public way to execute a run that a launcher was given. So this module does what Dagster's command
``execute_run`` does, in a process that stays for the next run. If those private names change, workers accept runs and
execute none; if Dagster catches interrupts in another way, the run after a cancelled one cannot be cancelled.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from celery import Task
from celery.signals import heartbeat_sent, worker_init, worker_process_init
from celery.utils.log import get_task_logger
from dagster import DagsterInstance, DagsterRunStatus
from dagster._cli.api import _execute_run_command_body
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import unpack_value
from dagster._utils.interrupts import capture_interrupts
from dagster_celery.config import TASK_EXECUTE_JOB_NAME

from ao_workflows.errors import RunRefused, StackError
from ao_workflows.instance.broker import celery_app
from ao_workflows.instance.own_code import check_run
from ao_workflows.instance.run_leases import RunLeases
from ao_workflows.instance.run_process import load_our_code_only

ALIVE = Path(tempfile.gettempdir(), "worker-alive")
"""The worker touches this file while it is connected to its broker; the container's health check looks at it."""

_PR_SET_PDEATHSIG = 1

_log = get_task_logger(__name__)


def _broker() -> str:
    try:
        return os.environ["WORKERS_BROKER"]
    except KeyError:
        raise StackError("WORKERS_BROKER", "is not in the environment of this worker") from None


app = celery_app(_broker())


@app.task(name=TASK_EXECUTE_JOB_NAME, track_started=True, bind=True)
def execute_job(self: Task, execute_job_args_packed: dict[str, Any]) -> str:
    """Executes a run, and returns its status afterwards, or why it was not executed.

    It is not executed if another worker executes it, if it was begun before, if Dagster no longer wants it, or if it
    brings code of its own, which fails it. dagster-celery's own task checks none of these, and makes an instance for
    each run.
    """
    run_id = unpack_value(execute_job_args_packed, ExecuteRunArgs).run_id
    holder = f"{self.request.hostname}, process {os.getpid()} on {socket.gethostname()}"
    with _leases().held(run_id, holder, lambda: _status(run_id) in _WANTED) as is_ours:
        refused = "another worker executes it" if not is_ours else _refusal(_status(run_id))
        if refused:
            _log.warning("Run %s is not executed: %s", run_id, refused)
            return refused
        if foreign := _foreign(run_id):
            _log.warning("%s", foreign)
            return foreign
        _execute(run_id)
        status = _status(run_id)
        return status.value if status else "deleted"


def _execute(run_id: str) -> None:
    """Executes a run, and restores the signals' handlers: a cancelled run interrupts its process, and the next run must
    find them as they were.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with capture_interrupts():
            _execute_run_command_body(run_id, _instance(), lambda _: None, set_exit_code_on_failure=False)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


_WANTED = {DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING}


def _refusal(status: DagsterRunStatus | None) -> str | None:
    """Returns why a run in that state is not executed. One that is being cancelled is passed on to Dagster, which says
    so in its log.
    """
    if status is DagsterRunStatus.STARTED:
        return "it was begun by a worker that is gone; a retry takes its place"
    if status not in _WANTED:
        return f"it is {status.value if status else 'deleted'}"
    return None


def _foreign(run_id: str) -> str | None:
    """Fails a run that brings code or settings of its own, and returns why; None if it may go on."""
    run = _instance().get_run_by_id(run_id)
    if run is None:
        return "it is deleted"
    try:
        check_run(run)
    except RunRefused as error:
        _instance().report_run_failed(run, str(error))
        return str(error)
    return None


def _status(run_id: str) -> DagsterRunStatus | None:
    run = _instance().get_run_by_id(run_id)
    return run.status if run else None


@cache
def _instance() -> DagsterInstance:
    """Returns Dagster's instance, made once in the process that executes, for all of its runs."""
    return DagsterInstance.get()


@cache
def _leases() -> RunLeases:
    return RunLeases(app.conf.broker_url)


@worker_init.connect
def _load(**_: Any) -> None:
    """Loads what a run uses before the processes are forked, so that each begins with all of it. The workers' page
    loads none.
    """
    try:
        for module in ("ao_workflows.definitions", "boto3", "dagster_postgres"):
            import_module(module)
    except Exception as error:
        # Celery would log any other exception, and start a worker whose every run fails.
        raise SystemExit(f"the worker cannot begin: {error}") from error
    load_our_code_only()


@worker_process_init.connect
def _end_with_the_worker(**_: Any) -> None:
    """Has the process end with its worker: otherwise it would end its run unseen, and nobody could stop it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@heartbeat_sent.connect
def _is_alive(**_: Any) -> None:
    ALIVE.touch()
