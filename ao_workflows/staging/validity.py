"""Validity: whether what a receipt names is still there.

What belongs here: the comparison of a zip or a tree with its receipt. What does not: which receipts are those of the
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
    """Returns how the files that a receipt names are to be compared with it.

    By size if they were written since the machine was booted, else by checksum: files are not flushed to the disk, so
    they may have been lost when the machine went down.
    """
    return "size" if receipt.boot == boot_id() else "checksum"


def zip_is_there(path: Path) -> Callable[[Downloaded, Depth], bool]:
    """Returns a function that says whether the zip at ``path`` is still what its receipt says.

    The function takes the receipt, and how to compare: by size, or by size and checksum.
    """

    def there(downloaded: Downloaded, depth: Depth) -> bool:
        if not path.exists() or path.stat().st_size != downloaded.zip.size:
            return False
        return depth == "size" or file_crc64nvme(path) == downloaded.zip.crc64nvme

    return there


def tree_is_there(folder: Path, fixity: Path) -> Callable[[Debagged, Depth], bool]:
    """Returns a function that says whether the works in ``folder`` are still what their list of fixity says.

    The function takes the receipt, and how to compare each file: by size, or by checksum.

    :param fixity: the path of the list of fixity. It must itself be whole: see ``list_is_whole``.
    """

    def there(debagged: Debagged, depth: Depth) -> bool:
        if not list_is_whole(fixity, debagged) or not folder.is_dir():
            return False
        return not compare_tree(folder, ((f"{file.work}/{file.path}", file) for file in read_fixity(fixity)), depth)

    return there


def list_is_whole(fixity: Path, debagged: Debagged) -> bool:
    """Whether the list of fixity is the one that ``debagged_work`` wrote.

    A power cut may cut the list off and spare the receipt. Each of the lines that remain would still be right. So the
    list must have, of each work, as many files and bytes of payload as the receipt, which has them from the manifests,
    and as many files in all.
    """
    try:
        lines, payload = payload_counts(read_fixity(fixity), {work.rid: work.tags for work in debagged.works})
    except (OSError, ValueError, TypeError, KeyError):
        return False
    named = {work.rid: (work.files, work.bytes) for work in debagged.works}
    return lines == debagged.files_listed and payload == named
