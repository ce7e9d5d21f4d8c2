"""Redoing a work: what a run that starts from one stage will do, and what its receipts spare it.

What belongs here: that decision, of plain values. What does not: looking at the scratch disk, and asking for the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ao_workflows.errors import NothingStored
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import StageReceipt
from ao_workflows.status.advice import start_from
from ao_workflows.works.stages import RUN_STAGES, Stage


@dataclass(frozen=True)
class OnDisk:
    """What the scratch disk holds of the work, each as its receipt has it: ``zip_whole``, ``tree_whole``. A zip that
    is there and has no receipt is not whole.
    """

    zip_whole: bool
    tree_whole: bool


@dataclass(frozen=True)
class Redo:
    """The run to ask for: its stages in order, each with what it will do, in words; and the receipts to throw away."""

    rid: str
    stages: tuple[str, ...]
    words: tuple[str, ...]
    thrown_away: tuple[str, ...]


def plan_redo(
    rid: str,
    start: str,
    receipts: Receipts,
    disk: OnDisk,
    boot: str,
    *,
    fresh: bool,
    event_given: bool,
    word: Mapping[str, Any] | None = None,
) -> Redo:
    """What redoing a work from the stage ``start`` comes to. With ``fresh`` no stage is spared.

    ``event_given`` says that the run's config has the restore event, which need not be stored then. ``word`` is a
    person's for this run: what the sync may replace, and what it leaves alone.

    :raises NothingStored: if the stage's input is not there; it says which stage to start from.
    """
    if not event_given and receipts.restored is None:
        raise NothingStored(rid, "no restore event is stored", None)
    if event_given:
        start = Stage.RESTORED_MESSAGE
    stages = [stage for stage in RUN_STAGES if RUN_STAGES.index(stage) >= RUN_STAGES.index(Stage(start))]
    stored = None if event_given else receipts.restored
    valid = receipts.in_force(stored.event.identity).by_stage() if stored else {}
    has_zip = disk.zip_whole and Stage.DOWNLOADED_BAG in valid
    has_tree = disk.tree_whole and Stage.DEBAGGED_WORK in valid
    freed = not disk.tree_whole and Stage.SYNCED_ARCHIVE in valid
    first = start_from(start, zip_there=has_zip, tree_there=has_tree or freed)
    if first != start:
        missing = "the zip" if start == Stage.DEBAGGED_WORK else "the unpacked work"
        raise NothingStored(rid, f"{missing} is not on the scratch disk", first)
    changes = bool(word and (word["replace"] or word["others"]))
    if (fresh or changes) and start == Stage.SYNCED_ARCHIVE and not has_tree:
        # Only the receipt says that the work was synced: without it nothing could be compared, nor replaced.
        raise NothingStored(rid, "the unpacked work is not on the scratch disk", Stage.DOWNLOADED_BAG)
    words = []
    certain = True
    for stage in stages:
        receipt = None if fresh else valid.get(stage)
        there = {Stage.DOWNLOADED_BAG: has_zip, Stage.DEBAGGED_WORK: has_tree}.get(stage, False)
        said, spared = _words(stage, receipt, there=there, certain=certain, boot=boot, freed=freed and not fresh)
        certain = certain and (spared or stage is Stage.RESTORED_MESSAGE)
        if stage is Stage.SYNCED_ARCHIVE and word:
            if changes:
                said = f"the sync script runs{_said(word)}; the archive's copy is compared"
            said += _left(word)
        words.append(f"{stage.value}: {said}")
    thrown_away = [stage.value for stage in stages if stage is not Stage.RESTORED_MESSAGE] if fresh else []
    return Redo(rid, tuple(stage.value for stage in stages), tuple(words), tuple(thrown_away))


def _said(word: Mapping[str, Any]) -> str:
    others = ", ".join(word["others"])
    may_change = f"; {others} may change what the archive has of {'it' if len(word['others']) == 1 else 'them'}"
    return (" and replaces what the archive has" if word["replace"] else "") + (may_change if others else "")


def _left(word: Mapping[str, Any]) -> str:
    leave = word["leave"]
    return f"; of {', '.join(leave)} the archive keeps what it has" if leave else ""


def _words(
    stage: Stage, receipt: StageReceipt | None, *, there: bool, certain: bool, boot: str, freed: bool
) -> tuple[str, bool]:
    """What a run will do in the stage, and whether that is nothing. ``certain``: nothing before it is done anew."""
    match stage:
        case Stage.RESTORED_MESSAGE:
            return "its message is stored and noted again", False
        case Stage.SYNCED_ARCHIVE if freed and certain:
            return "the archive's copy is compared again; the scratch disk has nothing to sync", False
        case Stage.SYNCED_ARCHIVE:
            return "the sync script runs, and the archive's copy is compared", False
    again = "downloaded from S3" if stage is Stage.DOWNLOADED_BAG else "unpacked and proven"
    if receipt is None or not there:
        return f"{again} anew", False
    spared = f"done on {receipt.at:%Y-%m-%d %H:%M} UTC"
    if receipt.boot != boot:
        spared += ", if its bytes are still right: the machine was restarted since"
    return (f"skipped, {spared}" if certain else f"skipped if its input is what it was, {spared}"), True
