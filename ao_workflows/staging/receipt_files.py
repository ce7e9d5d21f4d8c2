"""Receipt files: a work's receipts, read from the scratch disk and written to it.

What belongs here: which files there are, and what is done if one cannot be used. What does not: what is in one
(``ao_workflows.staging.receipt_format``).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from ao_workflows.errors import ReceiptRefused, StagingError
from ao_workflows.machine.files import write_whole
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.staging.receipt_chain import Receipts
from ao_workflows.staging.receipt_format import dump, parse
from ao_workflows.staging.receipts import Debagged, Downloaded, Held, Placed, Receipt, Restored, Synced, placed_name

Kind = TypeVar("Kind", bound=Receipt)


def read_receipts(layout: StagingLayout, rid: str) -> Receipts:
    """Reads the receipts of a work. The error of one that cannot be used is in ``refused`` of what is returned.

    :raises StagingError: if a file cannot be read.
    """
    refused: list[ReceiptRefused] = []

    def read(kind: type[Kind]) -> Kind | None:
        try:
            return _read(layout, rid, kind, kind.stage)
        except ReceiptRefused as error:
            refused.append(error)
            return None

    found = Receipts(read(Restored), read(Downloaded), read(Debagged), read(Synced), read(Held))
    return replace(found, refused=tuple(refused))


def read_synced(layout: StagingLayout, rid: str) -> Synced | None:
    """Reads only the receipt of the work's sync; returns None if there is none that can be used.

    :raises StagingError: if the file cannot be read.
    """
    with suppress(ReceiptRefused):
        return _read(layout, rid, Synced, Synced.stage)
    return None


def read_placed(layout: StagingLayout, rid: str, work: str) -> Placed | None:
    """Reads the receipt of one work of a zip; returns None if there is none.

    :param rid: the RID of the partition under which the zip came.
    :param work: the work's own RID.
    :raises ReceiptRefused: if the receipt cannot be used.
    :raises StagingError: if the file cannot be read.
    """
    return _read(layout, rid, Placed, placed_name(work))


def write_receipt(layout: StagingLayout, receipt: Receipt, *, flush: bool = False) -> None:
    """Writes a receipt to its file, replacing the one before.

    :param flush: return only when the file is on the disk, and not in memory alone.
    :raises StagingError: if it cannot be written.
    """
    write_whole(layout.receipt(receipt.rid, receipt.name), dump(receipt), flush=flush)


def _read(layout: StagingLayout, rid: str, kind: type[Kind], name: str) -> Kind | None:
    path = layout.receipt(rid, name)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StagingError(path, f"cannot be read: {error.strerror}") from error
    found = parse(kind, text, path)
    if found.rid == rid:
        return found
    # On a disk that does not distinguish `w1` from `W1`, the file may be the other work's receipt.
    if found.rid.casefold() == rid.casefold():
        return None
    raise ReceiptRefused(path, f"it says that it is of the work {found.rid!r}")
