"""What a person can do about a work: the next command, or whom to ask.

What belongs here: the sentence, and the stage from which a work is done again. What does not: where the work stands
(``ao_workflows.status.standing``), and doing it (``ao_workflows.cli.reprocess``).
"""

from __future__ import annotations

from collections.abc import Sequence

from ao_workflows.events.dropped_files import DroppedFile
from ao_workflows.status.drs_notes import last_of_its_own
from ao_workflows.status.evidence import Evidence, event_in_force
from ao_workflows.status.state import WorkState
from ao_workflows.works.parts import Part, part_staged_as
from ao_workflows.works.stages import DEEP_COPIED, Stage

REFUSALS = ("BagInvalid", "ZipRefused")
"""The classes of errors that a second run cannot mend: the bag must be made again."""

NOTHING_IS_LOST = "Nothing is lost. To do the work again once this is mended: "
"""How the last line of a failed run begins; a command follows."""


PARTS_SHOWN = 10
"""How many parts of a work a message names at most."""


def parts_to_redo(parts: Sequence[Part]) -> str:
    """Returns the words that name a work's parts and say how to redo one; empty if there are none."""
    if not parts:
        return ""
    names = ", ".join(each.name for each in parts[:PARTS_SHOWN])
    more = f" and {len(parts) - PARTS_SHOWN} more" if len(parts) > PARTS_SHOWN else ""
    return f"it came in parts, {names}{more}; to redo one: ao reprocess {parts[0].redo}"


def start_from(stage: str, *, zip_there: bool, tree_there: bool) -> str:
    """Returns the stage to start from so that ``stage`` finds its input: that stage itself, or an earlier one that
    brings again what is gone.

    :param zip_there: whether the scratch disk has the work's zip.
    :param tree_there: whether it has the unpacked work.
    """
    if stage == DEEP_COPIED:
        return Stage.SYNCED_ARCHIVE
    if stage == Stage.DEBAGGED_WORK and zip_there:
        return stage
    if stage == Stage.SYNCED_ARCHIVE and tree_there:
        return stage
    if stage == Stage.SYNCED_ARCHIVE and zip_there:
        return Stage.DEBAGGED_WORK
    return Stage.RESTORED_MESSAGE if stage == Stage.RESTORED_MESSAGE else Stage.DOWNLOADED_BAG


def advise(evidence: Evidence, state: WorkState, stage: str, *, stuck: bool, disagrees: bool) -> str:
    """Returns a text that says what a person can do about a work; empty if there is nothing to do.

    :param state: the work's state.
    :param stage: the stage that it is in or failed in.
    :param stuck: whether it has been there for too long.
    :param disagrees: whether the sources of the evidence contradict each other.
    """
    part = part_staged_as(evidence.rid)
    rid = part.rid
    first = start_from(stage, zip_there=evidence.zip_there, tree_there=evidence.tree_there)
    redo = f"ao reprocess {part.redo}" + (f" --from {first}" if first != Stage.DOWNLOADED_BAG else "")
    in_force = event_in_force(evidence)
    has_event = in_force is not None
    advice = ""
    match state:
        case WorkState.FAILED if _was_refused(evidence):
            if in_force and isinstance(dropped := in_force[1], DroppedFile):
                advice = (
                    f"Have the bag made again and put its zip into {dropped.folder}, which starts a new run; then "
                    f"remove the refused one, {dropped.source}."
                )
            else:
                advice = "Have the bag made and uploaded again; the event that follows starts a new run."
            if evidence.report:
                advice += f" What is wrong with it: {evidence.report}"
        case WorkState.FAILED if evidence.run and evidence.run.again:
            advice = "Dagster runs it again by itself, from what is done, while its daemon is up."
        case WorkState.FAILED if has_event:
            advice = f"When the cause is gone: {redo}"
        case WorkState.STOPPED if has_event:
            advice = f"To go on with it: {redo}"
        case WorkState.FAILED | WorkState.STOPPED | WorkState.UNKNOWN:
            # Each request to Glacier costs money: nobody should make one for a work that may be in the archive.
            advice = (
                f"Ask again when {' and '.join(evidence.not_asked)} can be asked: it may be done already."
                if evidence.not_asked
                else f"No restore event is stored to redo it by, so ask Glacier: ao restore request {rid}"
            )
        case WorkState.ASKED if stuck:
            advice = f"To see how far Glacier is: ao restore status {rid}"
        case WorkState.UNDER_WAY if evidence.lock == "abandoned" and evidence.run:
            advice = f"Dagster's run monitoring ends such a run in a minute or two; then: {redo}"
        case WorkState.UNDER_WAY if stuck:
            advice = f"The run's log says what it waits for. To do it anew, end it in the web page, then: {redo}"
        case WorkState.IN_ARCHIVE if disagrees and has_event:
            compare = f"ao reprocess {part.redo} --from {Stage.SYNCED_ARCHIVE}"
            advice = f"To compare the archive's copy and note it again: {compare}"
    return advice


def _was_refused(evidence: Evidence) -> bool:
    """Whether the work failed because of its bag: as its run says or, if the evidence has no run, as DRS says.

    The evidence has none either if the last run did nothing because its delivery waits for a person.
    """
    if evidence.run:
        return evidence.run.error in REFUSALS
    last = last_of_its_own(evidence.row) if evidence.row else None
    return last is not None and "refused" in last.data
