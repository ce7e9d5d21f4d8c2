"""One tick of the daemon's over a site's sensors, in a process of its own, which may be killed on its way.

What belongs here: the tick, and the points at which it dies. What does not: what must be true after it
(``ao_workflows_tests.test_intake_crashes``). Nothing of the platform's is imported before the site is named.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HIDDEN_SECONDS = 2
"""For ten minutes, as at a site, nobody waits in a test."""

OF_DAGSTER = {
    "the tick is recorded": "TICK_CREATED",
    "the requests are stored": "RUN_IDS_RESERVED",
    "the first run is created": "RUN_CREATED",
    "the first run is launched": "RUN_LAUNCHED",
}
"""Points that Dagster's own tests die at."""

POINTS = (
    "the tick is recorded",
    "the message is received",
    "the partitions are added",
    "the requests are stored",
    "the first run is created",
    "the first run is launched",
    "the message is to be deleted",
    "the message is deleted",
)
"""In the order of the protocol: the tick dies when this is done, and nothing after it."""

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["dagster._daemon.sensor", "dagster._core.test_utils", "boto3"])


def tick(folder: Path, sensor: str = "demo_intake", dies_when: str | None = None) -> int:
    """Runs one tick of the site in ``folder``; returns the process' exit code, which is -9 where it died."""
    process = _processes.Process(target=_tick, args=(folder, sensor, dies_when))
    process.start()
    process.join(120)
    if process.exitcode is None:
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    return -1 if code is None else code


def _tick(folder: Path, sensor: str, dies_when: str | None) -> None:
    os.environ |= {"AO_SITE": str(folder / "site.toml"), "DAGSTER_HOME": str(folder / "dagster")}
    import dagster as dg
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.test_utils import create_test_daemon_workspace_context
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
    from dagster._daemon import sensor as daemon

    from ao_workflows.intake import sqs

    received = sqs.Sqs.receive

    def receive(self: Any, *given: Any, **named: Any) -> list[Any]:
        return received(self, *given, **named, hidden=HIDDEN_SECONDS)

    sqs.Sqs.receive = receive  # type: ignore[method-assign]
    daemon.is_under_min_interval = lambda *_: False  # type: ignore[assignment]
    if dies_when == "the message is received":
        _die_around(sqs.Sqs, "receive", after=True)
    elif dies_when == "the partitions are added":
        _die_around(dg.DagsterInstance, "add_dynamic_partitions", after=True)
    elif dies_when == "the message is to be deleted":
        _die_around(sqs.Sqs, "delete", after=False)
    elif dies_when == "the message is deleted":
        _die_around(sqs.Sqs, "delete", after=True)
    flags: dict[str, Mapping[str, Any]] = (
        {sensor: {OF_DAGSTER[dies_when]: signal.SIGKILL}} if dies_when in OF_DAGSTER else {}
    )
    target = LoadableTargetOrigin(module_name="ao_workflows.definitions", working_directory=str(Path.cwd()))
    origin = InProcessCodeLocationOrigin(target, location_name="ao_workflows")
    with (
        dg.DagsterInstance.from_config(str(folder / "dagster")) as instance,
        create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance) as workspace,
    ):
        list(daemon.execute_sensor_iteration(workspace, logging.getLogger("tick"), None, None, debug_crash_flags=flags))


def _die_around(of: type, name: str, *, after: bool) -> None:
    """Has the process die before, or after, the method does its work; a call that is given nothing is none."""
    method = getattr(of, name)

    def and_die(self: Any, first: str, given: Any, *rest: Any, **named: Any) -> Any:
        if given and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = method(self, first, given, *rest, **named)
        if given:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(of, name, and_die)
