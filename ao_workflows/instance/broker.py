"""The workers' broker: where Redis is, and what Celery is told at both of its ends.

What belongs here: the address with its password, and Celery's settings, each with its reason. What does not: what is
sent (``run_workers``) and what is done with it (``worker``).

dagster-celery has no public function that makes its app. If ``make_app`` is moved or renamed, neither the launcher nor
a worker starts.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from celery import Celery
from dagster_celery.make_app import make_app

from ao_workflows.errors import StackError

LONGEST_RUN = timedelta(days=14)
"""How long Redis waits for a worker to acknowledge a run. After that it gives the run to another worker, which then
finds that the run has ended.
"""

RUNS_OF_A_PROCESS = 100
"""After so many runs, a worker's process is replaced by a new one, forked from a parent that has loaded Dagster: this
frees whatever has leaked.
"""

QUEUE = "dagster"
"""The name that dagster-celery itself gives the queue."""


def celery_app(broker: str) -> Celery:
    """Returns the Celery app that the launcher and the workers use.

    :param broker: the address of Redis: see ``with_password``.
    :raises StackError: if the file with the password cannot be read.
    """
    address = with_password(broker)
    seconds = int(LONGEST_RUN.total_seconds())
    settings = {
        "result_expires": seconds,
        "broker_transport_options": {"visibility_timeout": seconds},
        "result_backend_transport_options": {"visibility_timeout": seconds},
        "broker_connection_retry_on_startup": True,
        # A worker reserves no run while it executes one: that run would wait for hours while another worker is idle.
        "worker_concurrency": 1,
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        # A run whose process was killed is not given to the next worker: Dagster retries it as a new run.
        "task_reject_on_worker_lost": False,
        "worker_max_tasks_per_child": RUNS_OF_A_PROCESS,
        "worker_proc_alive_timeout": 60,
        # A run's output is caught by Dagster, which needs the real streams.
        "worker_redirect_stdouts": False,
        "worker_send_task_events": True,  # for the workers' page
        "task_send_sent_event": True,
    }
    return make_app({"broker": address, "backend": address, "config_source": settings, "task_default_queue": QUEUE})


def with_password(broker: str) -> str:
    """Returns the broker's address with the password from the file that its parameter ``passfile`` names, as
    PostgreSQL's addresses do; an address without ``passfile`` is returned as it is.

    :raises StackError: if that file cannot be read.
    """
    parts = urlsplit(broker)
    query = dict(parse_qsl(parts.query))
    passfile = query.pop("passfile", None)
    if passfile is None:
        return broker
    try:
        password = Path(passfile).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StackError("WORKERS_BROKER", f"names {passfile}, which cannot be read: {error.strerror}") from error
    return urlunsplit(parts._replace(netloc=f":{quote(password, safe='')}@{parts.netloc}", query=urlencode(query)))
