"""The soak: a site under load, whose processes are killed and whose shares are unmounted, until all is quiet; then
everything must be right, and every work in the archive its newest delivery.

    python -m ao_workflows_tests.soak [--works 250] [--kills 40] [--every 10] [--seed N] [--give-up 7200] [--hasty]

The seed settles what is sent, in which order, and which process is to be killed when; what each was just doing is
the machine's own. Exits 0 if every work is right, 1 if one is not, and leaves the folder then.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import dagster as dg

from ao_workflows.demo.processes import Processes
from ao_workflows.demo.run import DemoFolder
from ao_workflows.drs.client import Drs
from ao_workflows.machine.processes import no_interrupts, signals_interrupt
from ao_workflows.site.loading import load
from ao_workflows_tests.soak.machine import TARGETS, Machine, Queue, Target
from ao_workflows_tests.soak.shares import Shares, with_mounts_of_our_own
from ao_workflows_tests.soak.traffic import Traffic, make_deliveries, make_traffic
from ao_workflows_tests.soak.verdict import Standing, look, wrong_in_archive

QUIET_SECONDS = 150.0
"""Longer than any watch of the platform's takes to see what is wrong: after it, nothing will mend itself."""

STUCK_SECONDS = 60.0
LOOK_EVERY_SECONDS = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ao_workflows_tests.soak")
    parser.add_argument("--works", type=int, default=250)
    parser.add_argument("--kills", type=int, default=40, help="at least so many")
    parser.add_argument("--every", type=float, default=10.0, help="seconds from one kill to the next, on the average")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--give-up", type=float, default=7200.0, help="after so many seconds")
    parser.add_argument("--hasty", action="store_true", help="what a site finds out in a minute or more, sooner")
    given = parser.parse_args()
    mounts = with_mounts_of_our_own()
    if not mounts:
        said = "unshare --mount is not allowed here: no share is unmounted"
        if os.environ.get("CI"):
            parser.error(said)
        print(said)
    root = Path(tempfile.mkdtemp(prefix="ao-soak-"))
    print(f"seed {given.seed} (SEED={given.seed} repeats it), in {root}", flush=True)
    right = _soak(DemoFolder(root), given, mounts=mounts)
    if right:
        shutil.rmtree(root)
    return 0 if right else 1


def _soak(folder: DemoFolder, given: argparse.Namespace, *, mounts: bool) -> bool:
    random = Random(given.seed)  # noqa: S311 - to be repeated, not to be secret
    deliveries = make_deliveries(given.works, random)
    folder.make_anew()
    shares = Shares(folder) if mounts else None
    os.environ |= folder.environment
    processes = Processes(folder.logs, folder.environment)
    with signals_interrupt():
        try:
            machine = Machine(folder, processes, random, shares, hasty=given.hasty)
            queue = machine.start_aws()
            Drs(url=load(folder.site).drs.url).init()
            traffic = make_traffic(deliveries, [queue.upload(delivery) for delivery in deliveries], random)
            with dg.DagsterInstance.from_config(str(folder.dagster_home)) as instance:
                instance.get_runs_count()
                instance.get_dynamic_partitions("works")
                instance.all_instigator_state()
                started = time.monotonic()
                standing = _until_quiet(
                    instance,
                    folder,
                    machine,
                    queue,
                    traffic,
                    random,
                    given.kills,
                    given.every,
                    started + given.give_up,
                    mounts=mounts,
                )
                seconds = time.monotonic() - started
        finally:
            with no_interrupts():
                processes.end()
    machine.mount_all()
    faults = [*standing.faults, *wrong_in_archive(folder, traffic)]
    faults += [f"written below a mount point: {path}" for path in (shares.below() if shares else ())]
    if (killed := machine.kills.total()) < given.kills:
        faults.append(f"only {killed} processes were killed, not {given.kills}")
    print(_table(traffic, machine, standing, seconds, given.seed))
    for fault in faults:
        print(f"NOT AS IT MUST BE: {fault}")
    return not faults


def _until_quiet(
    instance: dg.DagsterInstance,
    folder: DemoFolder,
    machine: Machine,
    queue: Queue,
    traffic: Traffic,
    random: Random,
    kills: int,
    every: float,
    until: float,
    *,
    mounts: bool,
) -> Standing:
    """Sends, kills and starts again until everything is right, or nothing moves any more."""
    to_send = list(traffic.messages)
    _send(queue, to_send, len(to_send) // 2)
    started = next_look = progress = moved = killed_at = time.monotonic()
    next_kill, next_target = started + random.uniform(0, 2 * every), _choose(random, mounts)
    before: Counter[str] = Counter()
    done = False
    while True:
        machine.tend()
        now = time.monotonic()
        # A run has succeeded since the last kill, on the busiest machine too: where things are killed faster than
        # they start, nothing is ever done, and nothing shown. Where all is done, there is no such run to wait for.
        if now >= next_kill and (progress > killed_at or done or now > killed_at + STUCK_SECONDS):
            if machine.kill(next_target):
                print(f"  {now - started:6.0f} s  killed: {next_target}", flush=True)
                killed_at, next_kill = now, now + random.uniform(0, 2 * every)
                _send(queue, to_send, random.randint(0, 2 * len(traffic.messages) // kills))
                next_target = _choose(random, mounts)
            elif done or now > next_kill + STUCK_SECONDS:  # no run worker to kill for so long: something else, then
                next_kill, next_target = now, _choose(random, mounts)
        if now >= next_look:
            standing = look(instance, folder, queue, traffic)
            waiting = queue.waiting()
            if standing.runs["SUCCESS"] != before["SUCCESS"]:
                progress = now
            if standing.runs != before:
                before, moved = standing.runs, now
                to_come = f"{waiting} messages in the queue, {len(to_send)} to come"
                print(f"  {now - started:6.0f} s  {dict(standing.runs)}, {to_come}", flush=True)
            done = not to_send and not standing.faults and not standing.under_way
            if machine.kills.total() >= kills:
                _send(queue, to_send, len(to_send))
            elif not standing.under_way and not waiting:
                _send(queue, to_send, 1)  # or the site would wait for the next kill, and that for the site's next run
            quiet = now > max(moved, killed_at) + QUIET_SECONDS and not standing.under_way and not waiting
            if (machine.kills.total() >= kills and (done or quiet)) or now > until:
                return standing
            next_look = now + LOOK_EVERY_SECONDS
        time.sleep(0.05)


def _send(queue: Queue, to_send: list[str], most: int) -> None:
    for _ in range(min(most, len(to_send))):
        queue.send(to_send.pop())


def _choose(random: Random, mounts: bool) -> Target:
    targets = {target: often for target, often in TARGETS.items() if mounts or target != "share"}
    return random.choices(list(targets), list(targets.values()))[0]


def _table(traffic: Traffic, machine: Machine, standing: Standing, seconds: float, seed: int) -> str:
    rows = {
        "works": len(traffic.files),
        "messages": len(traffic.messages),
        "events": f"{len(traffic.events)}; older: {len(traffic.overtaken)}; another work's bag: {len(traffic.refused)}",
        "poison": len(traffic.poison),
        "runs": f"{standing.runs.total()}, {standing.retries} of them retries: {dict(standing.runs)}",
        "kills": f"{machine.kills.total()}: {dict(machine.kills)}",
        "seconds": round(seconds),
        "seed": seed,
    }
    return "\n".join(f"{name:>10}  {value}" for name, value in rows.items())


if __name__ == "__main__":
    sys.exit(main())
