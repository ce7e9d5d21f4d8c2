"""Validity: whether what a receipt names is still there.

What belongs here: the comparison of a zip or a tree with its receipt. What does not: which receipts speak of the
restore at hand (``ao_workflows.staging.receipt_chain``).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ao_workflows.fixity.digests import file_crc64nvme
from ao_workflows.fixity.trees import Depth, compare_tree, payload_counts, read_fixity
from ao_workflows.machine.boot import boot_id
from ao_workflows.staging.receipts import Debagged, Downloaded, Receipt


def depth_for(receipt: Receipt) -> Depth:
    """How what a receipt names is to be compared: see ``still_there``."""
    return "size" if receipt.boot == boot_id() else "checksum"


def zip_is_there(path: Path) -> Callable[[Downloaded, Depth], bool]:
    """Whether a downloaded zip is still what its receipt says."""

    def there(downloaded: Downloaded, depth: Depth) -> bool:
        if not path.exists() or path.stat().st_size != downloaded.zip.size:
            return False
        return depth == "size" or file_crc64nvme(path) == downloaded.zip.crc64nvme

    return there


def tree_is_there(folder: Path, fixity: Path) -> Callable[[Debagged, Depth], bool]:
    """Whether unpacked works are still what their list of fixity says."""

    def there(debagged: Debagged, depth: Depth) -> bool:
        if not list_is_whole(fixity, debagged) or not folder.is_dir():
            return False
        return not compare_tree(folder, ((f"{file.work}/{file.path}", file) for file in read_fixity(fixity)), depth)

    return there


def list_is_whole(fixity: Path, debagged: Debagged) -> bool:
    """Whether the list of fixity is the one that ``debagged_work`` wrote.

    A power cut may leave the receipt and cut the list: each of the lines that are left would still be right. So it must
    have, of each work, the files and bytes of payload that the bag's manifests name.
    """
    try:
        lines, payload = payload_counts(read_fixity(fixity), {work.rid: work.tags for work in debagged.works})
    except (OSError, ValueError, TypeError, KeyError):
        return False
    named = {work.rid: (work.files, work.bytes) for work in debagged.works}
    return lines == debagged.files_listed and payload == named
