"""Redoing a work: what a run that starts from one stage will do, and what its receipts spare it.

What belongs here: that decision, made from plain values. What does not: looking at the scratch disk, and requesting the
run (``ao_workflows.cli.reprocess``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ao_workflows.errors import NothingStored
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipts import StageReceipt
from ao_workflows.status.advice import start_from
from ao_workflows.works.parts import part_staged_as
from ao_workflows.works.stages import RUN_STAGES, Stage


@dataclass(frozen=True)
class OnDisk:
    """What the scratch disk has of a work.

    ``zip_whole`` and ``tree_whole`` say whether the zip and the unpacked works are there as their receipts describe
    them. A zip that is there without a receipt is not whole; nor is a tree.
    """

    zip_whole: bool
    tree_whole: bool


@dataclass(frozen=True)
class Redo:
    """The run to request.

    ``stages`` has its stages in order, ``words`` a sentence for each that says what it will do, and ``thrown_away`` the
    stages whose receipts must be removed before.
    """

    rid: str
    stages: tuple[str, ...]
    words: tuple[str, ...]
    thrown_away: tuple[str, ...]


def plan_redo(
    staged: str,
    start: str,
    receipts: Receipts,
    disk: OnDisk,
    boot: str,
    *,
    fresh: bool,
    event_given: bool,
    word: Mapping[str, Any] | None = None,
) -> Redo:
    """Returns what redoing a work, or a part, from the stage ``start`` will do.

    :param staged: its name on the scratch disk: see ``ao_workflows.works.parts``.
    :param boot: the machine's present boot: files of an earlier one are compared by their checksums.
    :param fresh: no stage is skipped, whatever its receipt says.
    :param event_given: whether the run's config has a restore event. Then none need be stored, and the run starts from
        the first stage.
    :param word: what a person decided for this run, as in the config of ``synced_archive``: what the sync may
        ``replace``, which ``others`` it may change, and which works it must ``leave`` as they are.
    :raises NothingStored: if the stage's input is not there; the error says which stage to start from.
    """
    part = part_staged_as(staged)
    rid = str(part)
    if not event_given and receipts.restored is None:
        raise NothingStored(rid, "no restore event is stored", None, part.redo)
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
        raise NothingStored(rid, f"{missing} is not on the scratch disk", first, part.redo)
    changes = bool(word and (word["replace"] or word["others"]))
    if (fresh or changes) and start == Stage.SYNCED_ARCHIVE and not has_tree:
        # Only the receipt shows that the work was synced: without it nothing could be compared or replaced.
        missing = "the unpacked work is not on the scratch disk"
        raise NothingStored(rid, missing, Stage.DOWNLOADED_BAG, part.redo)
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
    return Redo(staged, tuple(stage.value for stage in stages), tuple(words), tuple(thrown_away))


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
    """Returns, in words, what a run will do in the stage, and whether it skips the stage.

    :param there: whether what the stage made is whole on the scratch disk.
    :param certain: whether no earlier stage is done anew, so that the stage's input stays the same.
    :param freed: whether the work was synced and is no longer on the scratch disk.
    """
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
