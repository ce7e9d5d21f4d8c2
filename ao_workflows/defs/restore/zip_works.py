"""All works of one zip: synced one after the other, each under the lock of its place, the event's own last.

What belongs here: their order, and which of them are synced, fail or are left alone. What does not: how one is synced
(``ao_workflows.defs.restore.syncing``), and how the outcome is reported (``ao_workflows.defs.restore.synced_works``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ao_workflows.defs.restore.synced_works import SyncedWork
from ao_workflows.defs.restore.syncing import Syncing
from ao_workflows.defs.restore.words import heed_word
from ao_workflows.errors import AoError, DeliveryHeld


def sync_each(syncing: Syncing, works: Sequence[str]) -> tuple[dict[str, SyncedWork], dict[str, AoError]]:
    """Syncs each of a zip's works; returns the synced ones, and the error of each one that failed.

    A work that a person has left alone is in neither. If one work fails, the others are still synced.

    The event's own work comes last, since its place stays locked until the work is recorded in DRS: otherwise two runs
    of which each has the other's work in its zip would wait for one another.

    :param works: the RIDs of the works in the zip.
    :raises DeliveryHeld: if another host has synced a newer delivery in the meantime.
    :raises WordInVain: before anything is synced, if what a person asked of this run cannot be done with these works.
    :raises SyncScriptMissing: before anything is synced, if the script cannot be executed.
    """
    heed_word(syncing, works)
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
