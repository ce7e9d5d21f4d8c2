"""Which checks there are for a site, and running them all at once within a time limit.

What belongs here: the lists of checks, and the threads that they run in. What does not: a check itself
(``ao_workflows.health.disks``, ``ao_workflows.health.connections``), and what is printed (``ao_workflows.cli``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Thread
from time import monotonic

from ao_workflows.archive.shares import SHARES
from ao_workflows.health import connections, deep_copies, disks
from ao_workflows.health.findings import Finding, fail, without_secrets
from ao_workflows.site.sections import Site

Check = tuple[str, Callable[[], Iterator[Finding]]]
"""What a check is of, and the check."""


def checks_of_works(site: Site) -> list[Check]:
    """Returns the checks of what every work needs: the disks that it is written to, DRS and Dagster."""
    return [*_disks(site), *_services(site)]


def checks_of_site(site: Site) -> list[Check]:
    """Returns the checks of all that site.toml names."""
    return [
        *_disks(site),
        ("sync script", partial(disks.check_script, site)),
        *((f"intake {name}: queue", partial(connections.check_queue, site, name)) for name in site.queues),
        *((f"intake {name}: bucket", partial(connections.check_bucket, site, name)) for name in site.queues),
        *((f"intake {name}: folder", partial(disks.check_folder, site, name)) for name in site.folders),
        *([("web", partial(connections.check_web, site))] if site.archive.web else []),
        *([("deep copies", partial(deep_copies.check_deep_copies, site))] if site.deep_copy.is_on else []),
        *_services(site),
    ]


def checks_without_site() -> list[Check]:
    """Returns the checks that need no site.toml."""
    return [("Dagster", connections.check_dagster)]


def _disks(site: Site) -> list[Check]:
    return [
        ("staging", partial(disks.check_staging, site)),
        *((f"archive {share}", partial(disks.check_share, site, share)) for share in SHARES),
    ]


def _services(site: Site) -> list[Check]:
    return [("DRS", partial(connections.check_drs, site)), *checks_without_site()]


def run_all(checks: Sequence[Check], limit: float) -> list[Finding]:
    """Runs the checks all at once, and returns what they find in their order.

    :param limit: after so many seconds nobody waits any longer for a check, and it is told of as one without an answer.
    """
    found: list[list[Finding]] = [[] for _ in checks]
    threads = []
    for (name, check), findings in zip(checks, found, strict=True):
        threads.append(Thread(target=_run, args=(name, check, findings), daemon=True))
        threads[-1].start()
    until = monotonic() + limit
    results = []
    for (name, _), findings, thread in zip(checks, found, threads, strict=True):
        thread.join(max(0.0, until - monotonic()))
        results += list(findings)
        if thread.is_alive():
            results.append(
                fail(name, f"no answer within {limit:g} s", "see whether its server, or its share, is there")
            )
    return results


def _run(name: str, check: Callable[[], Iterator[Finding]], findings: list[Finding]) -> None:
    try:
        for finding in check():
            findings.append(finding)
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        said = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])
        findings.append(fail(name, f"could not be checked: {said}", "tell the developers"))
