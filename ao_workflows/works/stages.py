"""Stages: the four steps of a restore, and the request before them, with the column of DRS that each has."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """A step of a restore, for which DRS has a column. All but the first have the name of their asset."""

    RESTORE_REQUESTED = "restore_requested"
    RESTORED_MESSAGE = "restored_message"
    DOWNLOADED_BAG = "downloaded_bag"
    DEBAGGED_WORK = "debagged_work"
    SYNCED_ARCHIVE = "synced_archive"

    @property
    def column(self) -> str:
        """The name of the column that holds the time at which the stage was done."""
        return _COLUMNS[self]


_COLUMNS = {
    Stage.RESTORE_REQUESTED: "restore_requested_on",
    Stage.RESTORED_MESSAGE: "restore_complete_on",
    Stage.DOWNLOADED_BAG: "download_complete_on",
    Stage.DEBAGGED_WORK: "debag_complete_on",
    Stage.SYNCED_ARCHIVE: "sync_complete_on",
}


DEEP_COPIED = "deep_copied"
"""The asset after these, in sites that have a deep archive: DRS has no column for it, and a restore is done without."""


RUN_STAGES = tuple(stage for stage in Stage if stage is not Stage.RESTORE_REQUESTED)
"""The stages that a run has, in their order."""
