"""All works of one zip: synced one after the other, each under the lock of its place, the event's own last.

What belongs here: their order, and which of them fail, are left alone or are done. What does not: how one is synced
(``ao_workflows.defs.restore.syncing``), and what is said of all (``ao_workflows.defs.restore.synced_works``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ao_workflows.defs.restore.synced_works import SyncedWork
from ao_workflows.defs.restore.syncing import Syncing
from ao_workflows.errors import AoError, DeliveryHeld


def sync_each(syncing: Syncing, works: Sequence[str]) -> tuple[dict[str, SyncedWork], dict[str, AoError]]:
    """Syncs each of a zip's works, and returns those that are done and what went wrong with the others. One that a
    person has left alone is in neither.

    The event's own work comes last: its place stays locked until the work is recorded, and two runs of which each has
    the other's work in its zip would wait for one another.

    :raises DeliveryHeld: where another host has synced a newer delivery meanwhile.
    :raises WordInVain, SyncScriptMissing: before anything starts, if there is no such work, or no script.
    """
    syncing.heed_word(works)
    if syncing.staged:
        syncing.script.found()
    synced: dict[str, SyncedWork] = {}
    failed: dict[str, AoError] = {}
    for work in sorted(works, key=lambda work: work == syncing.rid):
        if work in syncing.leave:
            syncing.say(f"{work} came beside {syncing.rid}, and is left as it is in the archive, by a person's word")
            continue
        try:
            with syncing.place_held(work) as lock:
                syncing.still_wanted()
                with syncing.shares.blamed_first(work):
                    done = syncing.sync(work, lock)
                if work != syncing.rid and done.receipt:
                    syncing.record_guest(done.receipt)
                synced[work] = done
        except DeliveryHeld:
            raise
        except AoError as error:
            failed[work] = error
            if len(works) > 1:
                syncing.say(f"{work} failed: {error}")
    in_order = (work for work in works if work in synced)
    return {work: synced[work] for work in in_order}, failed
