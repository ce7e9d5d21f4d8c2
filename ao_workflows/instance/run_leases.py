"""Leases on runs: which worker executes a run, in Redis, for as long as that worker says so.

What belongs here: taking, renewing and reading leases, and the end of a worker that has lost its own. What does not:
what is done about a run that nobody has a lease on (``ao_workflows.defs.sensors.lost_runs``).

If a worker is killed, Celery's result backend shows its run as started for ever. And Redis gives a run's message to a
second worker while the first one is alive, at once if the connection was lost. A lease shows both: it ends by itself if
nobody renews it, and only one worker has it. The locks of runs in the staging folder cannot: a worker on another host
may have a staging disk of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic

from redis import Redis
from redis.exceptions import RedisError

RENEW_SECONDS = 5.0
ENDS_SECONDS = 20.0
"""A lease ends if it is not renewed for so long. If a run has none at two looks half a minute apart, its worker is
dead.
"""

ASK_SECONDS = 10.0
"""How long Dagster's storage may take to answer a worker that cannot reach Redis."""

_GIVE_BACK = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


class RunLeases:
    """The leases in the Redis at ``address``."""

    def __init__(self, address: str) -> None:
        self._redis = Redis.from_url(address, socket_timeout=5, socket_connect_timeout=5, decode_responses=True)

    def holder(self, run_id: str) -> str | None:
        """Returns the worker that holds the lease of a run, as it called itself; None if nobody does."""
        found = self._redis.get(_key(run_id))
        return None if found is None else str(found)

    @contextmanager
    def held(self, run_id: str, holder: str, is_wanted: Callable[[], bool]) -> Iterator[bool]:
        """Takes the lease of a run, and renews it until the end of the ``with`` block; yields False if another worker
        has it.

        If the lease could not be renewed before it ended, since Redis cannot be reached, this process is killed unless
        ``is_wanted`` returns true in time: the run may count as lost by then, and be started elsewhere.

        :param holder: what this worker calls itself.
        :param is_wanted: returns whether Dagster still wants the run to be executed.
        """
        if not self._redis.set(_key(run_id), holder, nx=True, px=int(ENDS_SECONDS * 1000)):
            yield False
            return
        ended = threading.Event()
        thread = threading.Thread(
            target=self._renew, args=(run_id, holder, is_wanted, ended), name="run-claim", daemon=True
        )
        thread.start()
        try:
            yield True
        finally:
            ended.set()
            thread.join()
            self._give_back(run_id, holder)

    def _renew(self, run_id: str, holder: str, is_wanted: Callable[[], bool], ended: threading.Event) -> None:
        renewed = monotonic()
        while not ended.wait(RENEW_SECONDS):
            try:
                # Redis may have been restarted and know no lease any more: this makes a new one.
                self._redis.set(_key(run_id), holder, px=int(ENDS_SECONDS * 1000))
                renewed = monotonic()
            except RedisError:
                if monotonic() - renewed > ENDS_SECONDS and not _says_yes(is_wanted) and not ended.is_set():
                    os.kill(os.getpid(), signal.SIGKILL)

    def _give_back(self, run_id: str, holder: str) -> None:
        try:
            self._redis.eval(_GIVE_BACK, 1, _key(run_id), holder)
        except RedisError:
            return  # the lease ends by itself


def _key(run_id: str) -> str:
    return f"ao-workflows/run/{run_id}"


def _says_yes(is_wanted: Callable[[], bool]) -> bool:
    """Asks ``is_wanted``. A storage that cannot be reached either does not answer for minutes: that counts as a no."""
    asking = ThreadPoolExecutor(1)
    try:
        return asking.submit(is_wanted).result(ASK_SECONDS)
    except Exception:  # noqa: BLE001 - whatever keeps it from answering
        return False
    finally:
        asking.shutdown(wait=False)
