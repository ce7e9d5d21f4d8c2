"""Reading sync.yml: a work's file or the site's, found, parsed, and its faults told with their lines.

What belongs here: finding the file, and reading YAML with the line of each value. What does not: which options there
are (``sync_options``).

A work's file comes from outside, in its bag. Tags are refused, so that no Python object is constructed; aliases are
refused, so that a small file cannot grow large in memory; and the file's size and depth are limited.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ao_workflows.archive.sync_options import WISHES, Permissions, SyncOptions, WrittenValue, parse_options
from ao_workflows.errors import SyncOptionsError

if TYPE_CHECKING:
    import yaml

_LONGEST = 1 << 16
_DEEPEST = 8

_BOOL, _STR = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:str"
_TRUE = {"true", "yes", "on"}
"""The words, in upper or lower case, that YAML 1.1 reads as true. Its other truth values are false."""


def read_options(
    work: Path, sites: Path | None, may: Collection[str] = WISHES, redo: str = "", *, replacing: bool = False
) -> SyncOptions:
    """Returns the options from the work's ``config/sync.yml``, else from the site's file, else the defaults.

    :param work: the work's folder.
    :param sites: the site's own sync.yml, if it has one.
    :param may: which options the work's file may set differently from the site.
    :param redo: the arguments of ``ao reprocess`` that name the work.
    :param replacing: whether a person has asked for this run to replace what is there, whatever the files say.
    :raises SyncOptionsError: if a file cannot be used, with each mistake's line and key.
    """
    options = SyncOptions()
    if sites is not None:
        text = _text(sites)
        if text is None:
            raise SyncOptionsError(sites, ["is not there; [sync] options in site.toml names it"])
        options = parse_options(sites, _written(sites, text))
    own = work / "config" / "sync.yml"
    # A link could lead out of the work, so it is not followed. The site's file may be a link: Kubernetes mounts it so.
    text = _text(own, os.O_NOFOLLOW)
    if text is not None:
        granted = replace(options, replace=options.replace or replacing)
        options = parse_options(own, _written(own, text), Permissions(may, granted, redo))
    return replace(options, replace=options.replace or replacing)


def _text(path: Path, flags: int = 0) -> str | None:
    """Returns the file's text, or None if there is no file."""
    try:
        # O_NONBLOCK: opening a pipe would otherwise wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SyncOptionsError(path, ["is no file"])
            data = stream.read(_LONGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise SyncOptionsError(path, [f"cannot be read: {error.strerror}"]) from error
    if len(data) > _LONGEST:
        raise SyncOptionsError(path, [f"has more than {_LONGEST} bytes"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SyncOptionsError(path, [f"line {line}: is no UTF-8"]) from error


def _written(path: Path, text: str) -> WrittenValue | None:
    import yaml

    try:
        _refuse_what_may_grow(path, yaml.parse(text, Loader=yaml.SafeLoader))
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        # An empty document is read as a scalar with an empty value.
        return None if node is None or node.value == "" else _of_node(path, node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise SyncOptionsError(path, [f"{place}is no YAML: {error.problem or error.context}"]) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise SyncOptionsError(path, [f"line {line}: is no YAML: the character {error.character:#x}"]) from error
    except (ValueError, OverflowError) as error:
        # A number in an escape or a directive is none that Unicode or YAML allows. The library does not say where.
        raise SyncOptionsError(path, [f"is no YAML: {error}"]) from error


def _refuse_what_may_grow(path: Path, events: Iterator[yaml.Event]) -> None:
    import yaml

    depth = documents = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            continue
        depth += isinstance(event, yaml.CollectionStartEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        reason = ""
        if getattr(event, "anchor", None):
            reason = f"{event.anchor!r}: anchors and aliases are not read; write the value out"
        elif getattr(event, "tag", None):
            reason = f"{event.tag!r}: tags are not read; leave it out"
        elif depth > _DEEPEST:
            reason = f"more than {_DEEPEST} levels"
        elif documents > 1:
            reason = "a second document; one is read"
        if reason:
            raise SyncOptionsError(path, [f"line {event.start_mark.line + 1}: {reason}"])


def _of_node(path: Path, node: yaml.Node, line: int | None = None) -> WrittenValue:
    import yaml

    line = line or node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return WrittenValue(line, [_of_node(path, item) for item in node.value], "a list")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, WrittenValue] = {}
        for key, value in node.value:
            at = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise SyncOptionsError(path, [f"line {at}: a key must be a word"])
            if key.value in found:
                said = f"line {at}: {key.value}: is there twice, first in line {found[key.value].line}"
                raise SyncOptionsError(path, [said])
            found[key.value] = _of_node(path, value, at)
        return WrittenValue(line, found, "a mapping")
    assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - YAML has no fourth kind
    if node.tag == _BOOL:
        return WrittenValue(line, node.value.lower() in _TRUE, node.value)
    return WrittenValue(line, node.value if node.tag == _STR else None, node.value)
