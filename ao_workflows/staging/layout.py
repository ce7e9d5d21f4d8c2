"""The layout: every place that a work has on the scratch disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StagingLayout:
    """Every place that a work, named by its partition's RID, has on the scratch disk below ``root``.

    A RID may be any word. So no folder holds both what is named by a RID and what has a name of its own, save that
    the second begins with a dot, as no RID does; and what is hidden ends with ``.<no dot>.tmp``, so that the RID before
    it cannot be mistaken for another that begins alike.
    """

    root: Path

    def incoming(self, rid: str) -> Path:
        """The folder of the downloaded zip."""
        return self.root / "incoming" / rid

    def zip(self, rid: str) -> Path:
        """The downloaded zip."""
        return self.incoming(rid) / f"{rid}.bag.zip"

    def part(self, rid: str) -> Path:
        """The zip while it is being downloaded."""
        return self.incoming(rid) / f"{rid}.bag.zip.part"

    def journal(self, rid: str) -> Path:
        """Which parts of that are whole."""
        return self.incoming(rid) / f"{rid}.bag.zip.journal"

    def progress(self, rid: str) -> Path:
        """How far the download is, while it is under way."""
        return self.incoming(rid) / "progress.json"

    def reservation(self, rid: str) -> Path:
        """The room that the work has been promised, or waits for."""
        return self.root / "reservations" / f"{rid}.json"

    def reservations_lock(self) -> Path:
        """The file that is locked by who looks at them all."""
        return self.root / "reservations" / ".lock"

    def work(self, rid: str) -> Path:
        """The folder that holds the zip's works, each under its own RID."""
        return self.root / "works" / rid

    def work_under_way(self, rid: str, run_id: str) -> Path:
        """The same while it is being unpacked."""
        return self.root / "works" / f".{rid}.{run_id}.tmp"

    def left_over(self, rid: str) -> re.Pattern[str]:
        """What hidden names in ``incoming`` and ``works`` have that a run of the work left half unpacked, or about to
        be removed.
        """
        return re.compile(rf"\.{re.escape(rid)}\.[^.]+\.tmp")

    def may_have_left_overs(self) -> tuple[Path, Path]:
        """The folders of all works' downloads and trees."""
        return self.root / "incoming", self.root / "works"

    def receipt(self, rid: str, stage: str) -> Path:
        """The receipt of one stage."""
        return self.root / "receipts" / rid / f"{stage}.json"

    def fixity(self, rid: str) -> Path:
        """The digests of every unpacked file of the zip's works, one JSON array a line."""
        return self.root / "receipts" / rid / "fixity.jsonl"

    def report(self, rid: str) -> Path:
        """What is wrong with the work's bag."""
        return self.root / "quarantine" / "works" / rid / "report.json"

    def rejected_messages(self) -> Path:
        """The folder of the queue messages that could not be used, each kept whole."""
        return self.root / "quarantine" / "messages"

    def events(self, rid: str) -> Path:
        """The folder of the work's events that came from a queue and whose run has not begun."""
        return self.root / "events" / rid

    def messages_in_parts(self) -> Path:
        """The folder of the messages that have more records than the run queue had room for."""
        return self.root / "messages"

    def lock(self, rid: str) -> Path:
        """The file that is locked by the run that has the work."""
        return self.root / "locks" / f"{rid}.lock"

    def archive_shares(self) -> Path:
        """What was noted of each of the archive's shares when it was set up."""
        return self.root / "archive-shares.json"

    def runs(self) -> Path:
        """The folder of the files that are locked by the runs that live."""
        return self.root / "runs"

    def logs(self) -> Path:
        """The folder of the sync script's logs."""
        return self.root / "logs"

    def sync_logs(self) -> tuple[Path, ...]:
        """The folders in it that the syncs write into, each under its day and second."""
        return self.logs() / "sync-logs", self.logs() / "audit-test-logs"
