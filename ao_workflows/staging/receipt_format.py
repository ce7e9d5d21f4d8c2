"""The format of receipts: a receipt as JSON, and JSON as a receipt.

What belongs here: version 1, and the files without a version that were written before it. What does not: what a receipt
means (``ao_workflows.staging.receipts``).

A field that this release does not know, in a file of version 1, is ignored, so a later release may add fields. A
release that removes a field, or gives it another meaning, must count up ``VERSION``: a release refuses the versions
that are newer than its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ao_workflows.errors import ReceiptRefused
from ao_workflows.machine.times import moment_with_zone
from ao_workflows.staging.receipts import Debagged, Downloaded, Held, Placed, Receipt, Restored, Synced, placed_name

VERSION = 1

Kind = TypeVar("Kind", bound=Receipt)
Table = dict[str, Any]


def dump(receipt: Receipt) -> str:
    """Returns the receipt as JSON."""
    found = asdict(receipt) | {"at": receipt.at.isoformat()}
    return json.dumps({"version": VERSION, "stage": receipt.name, **found}, indent=1, ensure_ascii=False)


def parse(kind: type[Kind], text: bytes, path: Path) -> Kind:
    """Returns the receipt that a file contains.

    :param kind: the class of the receipt.
    :param text: what is in the file.
    :param path: the file's path: its name must be that of the stage in the receipt.
    :raises ReceiptRefused: if the text is not a receipt of that kind, or not one that this release can read.
    """
    found = _table(text, path)
    version = found.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ReceiptRefused(path, f"its version is {version!r}, which no release has written")
    if version > VERSION:
        raise ReceiptRefused(path, f"it is of version {version}, of a newer release; this one reads up to {VERSION}")
    if found.get("stage") != path.stem:
        raise ReceiptRefused(path, f"it says that it is of the stage {found.get('stage')!r}")
    if "version" not in found:
        found = _from_unversioned(kind, found, path)
    # The defaults of fields are for new receipts only: one that is read must have every field.
    if missing := [each.name for each in fields(kind) if each.name not in found]:
        raise ReceiptRefused(path, f"it lacks {', '.join(missing)}")
    at = moment_with_zone(found["at"])
    if at is None:
        raise ReceiptRefused(path, f"at: must be a time with a zone, of RFC 3339 (is: {found['at']!r})")
    try:
        receipt: Kind = _adapters(kind).validate_json(json.dumps(found | {"at": at.isoformat()}), strict=True)
    except ValidationError as error:
        raise ReceiptRefused(path, _in_words(error)) from error
    return receipt


def _table(text: bytes, path: Path) -> Table:
    if not text.strip():
        raise ReceiptRefused(path, "it is empty")
    try:
        found = json.loads(text.decode())
    except UnicodeDecodeError as error:
        raise ReceiptRefused(path, "it is no text in UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ReceiptRefused(path, f"it is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ReceiptRefused(path, "it is JSON, but no object")
    return found


# An adapter is made when the first receipt of its kind is read: that takes milliseconds, and many importers read none.
_adapters: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    if place[:1] == ["event"] and len(place) > 1:
        return "event: is neither an object's event nor a dropped file's"
    if not place:
        return f"it is no JSON: {first['msg'].removeprefix('Invalid JSON: ')}"
    words = "is missing" if first["type"] == "missing" else re.sub(r"^Input should", "must", first["msg"])
    value = "" if isinstance(first["input"], dict | list) else f" (is: {str(first['input'])[:80]!r})"
    return f"{'.'.join(place)}: {words}{value}"


# Before version 1 a receipt had its input under the key `took`, and what its stage made under `left`. Some of their
# fields came later than others. Where a file lacks one of those, it gets the value here that it meant by lacking it.


def _from_unversioned(kind: type[Receipt], found: Table, path: Path) -> Table:
    """Returns the content of a file without a version, under the names of version 1."""
    frame = {"stage", "rid", "took", "left", "run_id", "boot", "at"}
    if found.keys() != frame:
        wrong = [f"it lacks {', '.join(sorted(frame - found.keys()))}"] if frame - found.keys() else []
        wrong += [f"it has {', '.join(sorted(found.keys() - frame))}"] if found.keys() - frame else []
        raise ReceiptRefused(path, f"it has no version, and {' and '.join(wrong)}")
    took, left = found["took"], found["left"]
    for name in ("took", "left"):
        if not isinstance(found[name], dict):
            raise ReceiptRefused(path, f"{name}: must be an object")
    try:
        return {name: found[name] for name in ("rid", "run_id", "boot", "at")} | _UNVERSIONED[kind](took, left, path)
    except KeyError as error:
        raise ReceiptRefused(path, f"it lacks {error.args[0]}") from error
    except (TypeError, AttributeError) as error:
        raise ReceiptRefused(path, f"it has something else than its stage wrote: {error}") from error


def _restored(_took: Table, left: Table, _path: Path) -> Table:
    by_word = left.get("force") is True
    return {"intake": left["intake"], "event": _event(left), "over": left.get("over", []) if by_word else None}


def _held(_took: Table, left: Table, _path: Path) -> Table:
    return {"event": _event(left)} | {name: left[name] for name in ("intake", "error", "why")}


def _event(left: Table) -> Any:
    return left["file"] if "file" in left else left["event"]


def _downloaded(took: Table, left: Table, _path: Path) -> Table:
    counts = {name: left[name] for name in ("crc64nvme", "seconds", "fetched", "resumed", "parts", "retries")}
    zip_ = {"size": left["bytes"], "proven_by": left["proof"], **counts, "object": None, "original": None}
    if original := left.get("original"):
        zip_["original"] = {"folder": "", **original}
    else:
        named: Mapping[str, Any] = left.get("object", {})
        zip_["object"] = {
            "bucket": named.get("bucket", ""),
            "key": named.get("key", ""),
            "version_id": left["version"],
            "etag": left["etag"],
            "size": left["bytes"],
            "modified": left.get("modified", ""),
        }
    return {"event": took.get("event", ""), "zip": zip_, "room": left["room"]}


def _debagged(took: Table, left: Table, _path: Path) -> Table:
    works = [{"tags": "", "proven": False, **work} for work in left["works"]]
    return {
        "origin": _origin(took),
        "works": works,
        "seconds": left["seconds"],
        "files_listed": left.get("listed"),
        "warnings": left.get("warnings", []),
    }


def _placed(took: Table, left: Table, path: Path) -> Table:
    called = {"options": took["words"], "environment": took["environment"]}
    at = {name: left[name] for name in ("place", "log", "web")}
    return {"work": path.stem.removeprefix(placed_name("")), "origin": _origin(took), **called, **at}


def _synced(took: Table, left: Table, _path: Path) -> Table:
    done = {name: left[name] for name in ("places", "logs", "seconds", "kept")}
    return {"origin": _origin(took), "left_alone": left.get("left_alone", []), **done}


def _origin(took: Table) -> Table:
    return {"event": took.get("event", ""), "crc64nvme": took["crc64nvme"], "size": took["bytes"]}


_UNVERSIONED: Mapping[type[Receipt], Callable[[Table, Table, Path], Table]] = {
    Restored: _restored,
    Held: _held,
    Downloaded: _downloaded,
    Debagged: _debagged,
    Placed: _placed,
    Synced: _synced,
}
