"""What a person has asked of a run, by ``ao reprocess`` or in the web page, looked at before anything is synced.

What belongs here: whether it can be done with the works that the zip brought. What does not: doing it
(``ao_workflows.defs.restore.syncing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ao_workflows.archive.places import standing_place
from ao_workflows.errors import PartReplacesNothing, WordInVain

if TYPE_CHECKING:
    from ao_workflows.defs.restore.syncing import Syncing


def heed_word(syncing: Syncing, works: Sequence[str]) -> None:
    """Checks that what a person asked of this run can be done with the zip's works.

    Otherwise a run that did nothing of what was asked would succeed.

    :param works: the RIDs of the works in the zip.
    :raises WordInVain: if it cannot be done. :raises PartReplacesNothing: if a part is to replace the whole work.
    """
    if unknown := [name for name in syncing.others if name not in works]:
        raise WordInVain(syncing.rid, f"--others {', '.join(unknown)} is none of these", works)
    if unknown := [name for name in syncing.leave if name == syncing.rid or name not in works]:
        raise WordInVain(syncing.rid, f"--leave {', '.join(unknown)} is none of these beside its own", works)
    if both := [name for name in syncing.leave if name in syncing.others]:
        raise WordInVain(syncing.rid, f"--others and --leave both name {', '.join(both)}", works)
    if syncing.staged:
        # A work that is left alone is removed from the scratch disk, too, so the archive must have it.
        syncing.shares.look_for_all(syncing.leave)
        if nowhere := [name for name in syncing.leave if not standing_place(syncing.parent, name).is_dir()]:
            said = f"the archive has nothing of {', '.join(nowhere)} that --leave could leave"
            raise WordInVain(syncing.rid, said, works)
    if syncing.replace and syncing.own.is_only_a_part:
        raise PartReplacesNothing(str(syncing.part), syncing.part.redo)
    if syncing.replace and all(map(syncing.is_guest, works)):
        raise WordInVain(syncing.rid, f"--replace is for {syncing.rid} itself, which did not come", works)
