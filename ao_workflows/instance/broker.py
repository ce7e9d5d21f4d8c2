"""The workers' broker: where Redis is, and what Celery is told at both of its ends.

What belongs here: the address with its password, and Celery's settings, each with its reason. What does not: what is
sent (``run_workers``) and what is done with it (``worker``).

How dagster-celery makes an app has no public name. When it moves, neither the launcher nor a worker starts.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from celery import Celery
from dagster_celery.make_app import make_app

from ao_workflows.errors import StackError

LONGEST_RUN = timedelta(days=14)
"""After this, Redis gives a run that nobody has acknowledged to another worker, which then finds that it has ended."""

RUNS_OF_A_PROCESS = 100
"""Then a worker's process is made anew from its parent, in which Dagster is loaded: whatever leaks is gone."""

QUEUE = "dagster"
"""dagster-celery's own name of it."""


def celery_app(broker: str) -> Celery:
    """The app of the launcher and of the workers, for the ``broker``.

    :raises StackError: where the file with its password cannot be read.
    """
    address = with_password(broker)
    seconds = int(LONGEST_RUN.total_seconds())
    settings = {
        "result_expires": seconds,
        "broker_transport_options": {"visibility_timeout": seconds},
        "result_backend_transport_options": {"visibility_timeout": seconds},
        "broker_connection_retry_on_startup": True,
        # A worker takes one run at a time, and none to keep: what it kept would wait for hours beside an idle worker.
        "worker_concurrency": 1,
        "worker_prefetch_multiplier": 1,
        "task_acks_late": True,
        # A run whose process was killed is not given to the next one: Dagster runs it again, as a run of its own.
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
    """The address with the password from the file that its ``passfile`` names, as PostgreSQL's addresses do.

    :raises StackError: where that file cannot be read.
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
