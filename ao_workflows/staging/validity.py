"""Validity: which receipts speak of the restore at hand, and whether what they name is still there.

What belongs here: the chain of receipts, and the comparison of a zip or a tree with its receipt. What does not: the
receipts themselves (``ao_workflows.staging.receipts``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ao_workflows.fixity.digests import file_crc64nvme
from ao_workflows.fixity.trees import Depth, compare_tree, payload_counts, read_fixity
from ao_workflows.machine.boot import boot_id
from ao_workflows.staging.receipts import Receipt
from ao_workflows.works.stages import RUN_STAGES, Stage


def depth_for(receipt: Receipt) -> Depth:
    """How what a receipt names is to be compared: see ``still_there``."""
    return "size" if receipt.boot == boot_id() else "checksum"


def zip_is_there(path: Path) -> Callable[[Receipt, Depth], bool]:
    """Whether a downloaded zip is still what its receipt says."""

    def there(receipt: Receipt, depth: Depth) -> bool:
        if not path.exists() or path.stat().st_size != receipt.left["bytes"]:
            return False
        return depth == "size" or file_crc64nvme(path) == receipt.left["crc64nvme"]

    return there


def tree_is_there(folder: Path, fixity: Path) -> Callable[[Receipt, Depth], bool]:
    """Whether unpacked works are still what their list of fixity says."""

    def there(receipt: Receipt, depth: Depth) -> bool:
        if not list_is_whole(fixity, receipt) or not folder.is_dir():
            return False
        return not compare_tree(folder, ((f"{file.work}/{file.path}", file) for file in read_fixity(fixity)), depth)

    return there


def list_is_whole(fixity: Path, debagged: Receipt) -> bool:
    """Whether the list of fixity is the one that ``debagged_work`` wrote.

    A power cut may leave the receipt and cut the list: each of the lines that are left would still be right. So it must
    have, of each work, the files and bytes of payload that the bag's manifests name.
    """
    try:
        works = debagged.left["works"]
        lines, payload = payload_counts(read_fixity(fixity), {work["rid"]: work["tags"] for work in works})
        named = {work["rid"]: (work["files"], work["bytes"]) for work in works}
        return bool(lines == debagged.left["listed"] and payload == named)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def takes(stage: str, event: str, downloaded: Receipt | None = None) -> dict[str, Any]:
    """What a stage's receipt is to name as taken: all of the chain before it, from the restore ``event`` on.

    A stage after the download takes the zip too, by the receipt of the ``downloaded`` bag. So no receipt of one
    delivery fits another's, though one zip may have the bytes of the next.
    """
    if stage in (Stage.RESTORED_MESSAGE, Stage.DOWNLOADED_BAG):
        return {"event": event}
    left = downloaded.left if downloaded else {}
    return {"event": event, "crc64nvme": left.get("crc64nvme"), "bytes": left.get("bytes")}


def receipts_in_force(receipts: Mapping[str, Receipt], event: str) -> dict[Stage, Receipt]:
    """The receipts that speak of the restore ``event``, each for what the one before it left.

    The one rule by which a stage finds its input and its own receipt, a redo is planned, and a standing is told. A
    receipt of an earlier restore stays on the disk until its stage is done anew; one of a version that did not name the
    whole chain is in force for none.
    """
    found: dict[Stage, Receipt] = {}
    for stage in RUN_STAGES:
        receipt = receipts.get(stage)
        if receipt is None or dict(receipt.took) != takes(stage, event, found.get(Stage.DOWNLOADED_BAG)):
            break
        found[stage] = receipt
    return found
