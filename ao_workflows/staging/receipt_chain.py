"""The chain of receipts: a work's receipts together, from the restore event to the archive, and which are in force.

What belongs here: the rules by which one receipt follows from another. What does not: the receipts themselves
(``ao_workflows.staging.receipts``), and whether the zip or the folder that one names is still there (``validity``).
"""

from __future__ import annotations

from dataclasses import dataclass

from ao_workflows.errors import ReceiptRefused
from ao_workflows.staging.receipts import Debagged, Downloaded, Held, Restored, StageReceipt, Synced
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class Receipts:
    """A work's receipts; a field is None if the disk has no such receipt that can be used.

    ``refused`` has the errors of the receipts that are there but cannot be used.
    """

    restored: Restored | None = None
    downloaded: Downloaded | None = None
    debagged: Debagged | None = None
    synced: Synced | None = None
    held: Held | None = None
    refused: tuple[ReceiptRefused, ...] = ()

    def by_stage(self) -> dict[Stage, StageReceipt]:
        """Returns the receipts that are there, by their stages and in the order of the stages."""
        found = (self.restored, self.downloaded, self.debagged, self.synced)
        return {Stage(receipt.stage): receipt for receipt in found if receipt}

    def in_force(self, event: str) -> Receipts:
        """Returns the receipts of one restore, each only if it was written for what the stage before it made.

        This is the only such rule: by it a stage finds its input and its own receipt, a redo is planned, and a work's
        standing is found. A receipt of an earlier restore stays on the disk until its stage is done anew. A receipt of
        a version of this program that did not name its whole origin is in force for no event.

        :param event: the restore event's identity.
        """
        restored = self.restored if self.restored and self.restored.event.identity == event else None
        downloaded = self.downloaded if restored and self.downloaded and self.downloaded.event == event else None
        origin = downloaded.origin if downloaded else None
        debagged = self.debagged if self.debagged and self.debagged.origin == origin else None
        synced = self.synced if debagged and self.synced and self.synced.origin == origin else None
        return Receipts(restored, downloaded, debagged, synced)
