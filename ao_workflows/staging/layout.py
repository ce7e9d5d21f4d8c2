"""The layout: every place that a work has on the scratch disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.works.parts import part_staged_as


@dataclass(frozen=True)
class StagingLayout:
    """The paths of everything on the scratch disk below ``root``; a work's are named after its partition's RID.

    Of a work in parts each part has paths of its own, named after ``Part.staged``, which is what ``rid`` is then. Only
    the lock is the work's.

    A RID may be any name. So where a folder's entries are named after RIDs, every other entry begins with a dot, as no
    RID does. A hidden name ends with a token without dots and ``.tmp``, so the RID in it cannot be mistaken for another
    that begins alike.
    """

    root: Path

    def incoming(self, rid: str) -> Path:
        """Returns the folder of the downloaded zip."""
        return self.root / "incoming" / rid

    def zip(self, rid: str) -> Path:
        """Returns the path of the downloaded zip."""
        return self.incoming(rid) / f"{part_staged_as(rid).name}.bag.zip"

    def part(self, rid: str) -> Path:
        """Returns the path of the zip while it is being downloaded."""
        return self.zip(rid).with_suffix(".zip.part")

    def journal(self, rid: str) -> Path:
        """Returns the path of the download's journal, which lists the parts of the zip that have arrived whole."""
        return self.zip(rid).with_suffix(".zip.journal")

    def progress(self, rid: str) -> Path:
        """Returns the path of the file that says how far a download under way has come."""
        return self.incoming(rid) / "progress.json"

    def reservation(self, rid: str) -> Path:
        """Returns the path of the file that says how much room the work was promised, or waits for."""
        return self.root / "reservations" / f"{rid}.json"

    def reservations_lock(self) -> Path:
        """Returns the path of the file that a process locks while it reads and changes the reservations."""
        return self.root / "reservations" / ".lock"

    def work(self, rid: str) -> Path:
        """Returns the folder that holds the unpacked works of the zip, each in a folder named by its own RID."""
        return self.root / "works" / rid

    def work_under_way(self, rid: str, run_id: str) -> Path:
        """Returns the hidden folder into which a run unpacks these works, and which it then renames to ``work``."""
        return self.root / "works" / f".{rid}.{run_id}.tmp"

    def left_over(self, rid: str) -> re.Pattern[str]:
        """Returns the pattern of the hidden names, in ``incoming`` and ``works``, of what a run of the work left half
        unpacked or half removed.
        """
        return re.compile(rf"\.{re.escape(rid)}\.[^.]+\.tmp")

    def may_have_left_overs(self) -> tuple[Path, Path]:
        """Returns the folders that may have left-overs: that of all works' downloads, and that of their trees."""
        return self.root / "incoming", self.root / "works"

    def receipt(self, rid: str, stage: str) -> Path:
        """Returns the path of the receipt of one stage."""
        return self.root / "receipts" / rid / f"{stage}.json"

    def fixity(self, rid: str) -> Path:
        """Returns the path of the list of fixity: a JSON array a line, with the digests of one unpacked file."""
        return self.root / "receipts" / rid / "fixity.jsonl"

    def report(self, rid: str) -> Path:
        """Returns the path of the report that says what is wrong with the work's bag."""
        return self.root / "quarantine" / "works" / rid / "report.json"

    def rejected_messages(self) -> Path:
        """Returns the folder of the queue messages that could not be used, each kept whole in a file."""
        return self.root / "quarantine" / "messages"

    def events(self, rid: str) -> Path:
        """Returns the folder of the work's events that came from a queue and whose run has not begun."""
        return self.root / "events" / rid

    def messages_in_parts(self) -> Path:
        """Returns the folder of the messages that have more records than the run queue had room for."""
        return self.root / "messages"

    def lock(self, rid: str) -> Path:
        """Returns the path of the file that a run locks while it works on the work."""
        return self.root / "locks" / f"{part_staged_as(rid).rid}.lock"

    def archive_shares(self) -> Path:
        """Returns the path of the file that says what was noted of each of the archive's shares at its set-up."""
        return self.root / "archive-shares.json"

    def deep_copies(self, rid: str) -> Path:
        """Returns the folder with the records of what the bucket of deep copies has of the work."""
        return self.root / "deep-copies" / rid

    def runs(self) -> Path:
        """Returns the folder of the files that runs lock for as long as their processes live."""
        return self.root / "runs"

    def logs(self) -> Path:
        """Returns the folder of the sync script's logs."""
        return self.root / "logs"

    def sync_logs(self) -> tuple[Path, ...]:
        """Returns the folders in ``logs`` that syncs write into, each under its day and second."""
        return self.logs() / "sync-logs", self.logs() / "audit-test-logs"
