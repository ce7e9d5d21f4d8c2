"""bagit over files in memory: the library's own reading of tag files, from the very bytes that were hashed.

What belongs here: bagit's module, executed once more over a mapping instead of a disk. What does not: what a bag's tag
files mean (``declarations``).

bagit reads from the disk alone, by the names ``os`` and ``open_text_file`` of its module, and can be given no other
source. From a folder it would read each tag file a second time, and what it judges would not be what is proven. So its
module is executed privately for each bag, with those two names replaced. When bagit reads by other names, good bags
are refused; ``test_bagit_in_memory`` says so on the day it does.
"""

from __future__ import annotations

import importlib.util
import io
import posixpath
import re
from collections.abc import Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

_NOWHERE = "/bag"
"""The folder that bagit takes the bag to lie in."""

_FETCH = re.compile(r"[ \t]*(\S+)[ \t]+(\S+)[ \t]+(.*\S.*)")


class BagitInMemory:
    """bagit, which finds ``files`` where it looks for a bag's tag files; their names are relative to the bag."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._read = ["bagit.txt"]
        self._module = _executed_over(files, self._read)
        self.errors: tuple[type[Exception], ...] = (
            self._module.BagError,
            ValueError,
            LookupError,
            AttributeError,
            TypeError,
        )
        """What bagit raises where a tag file is not what it should be."""

    @property
    def last_read(self) -> str:
        """The file that bagit read last: the one that an error is about."""
        return self._read[-1]

    def open(self) -> Any:
        """Returns bagit's ``Bag`` of the files. It has read bagit.txt and bag-info.txt, and no manifest.

        :raises Exception: one of ``errors``.
        """
        return _bag_class(self._module, self._files)(_NOWHERE)


def without_place(message: str) -> str:
    """Returns a message of bagit's without the folder that it took the bag to lie in."""
    return message.replace(f"{_NOWHERE}: ", "").replace(f"{_NOWHERE}/", "")


def _executed_over(files: Mapping[str, bytes], read: list[str]) -> ModuleType:
    """bagit's own module once more, with ``files`` in place of the disk; the names of what it reads go to ``read``."""
    spec = importlib.util.find_spec("bagit")
    if spec is None or spec.loader is None:
        raise ImportError("bagit is not installed")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def name_of(path: str) -> str:
        return posixpath.relpath(path, _NOWHERE)

    def open_text_file(path: str, _mode: str = "r", encoding: str = "utf-8") -> io.TextIOWrapper:
        read.append(name_of(path))
        content = io.BytesIO(files[read[-1]])
        content.name = path
        return io.TextIOWrapper(content, encoding=encoding, errors="strict")

    def is_there(path: str) -> bool:
        return name_of(path) in files

    names: dict[str, Any] = vars(module)
    names["open_text_file"] = open_text_file
    names["os"] = SimpleNamespace(
        sep="/", path=SimpleNamespace(**vars(posixpath) | {"isfile": is_there, "exists": is_there})
    )
    return module


def _bag_class(module: ModuleType, files: Mapping[str, bytes]) -> Any:
    class Bag(module.Bag):  # type: ignore[name-defined, misc]
        encoding: str

        def _load_manifests(self) -> None:
            # ``manifests`` reads them: bagit takes spaces off the end of names.
            pass

        def fetch_entries(self) -> Iterator[tuple[str, str, str]]:
            # bagit's own asks the disk of each path, five times.
            if "fetch.txt" not in files:
                return
            for line in io.TextIOWrapper(io.BytesIO(files["fetch.txt"]), encoding=self.encoding):
                entry = _FETCH.fullmatch(line.removesuffix("\n"))
                if entry is None:
                    raise ValueError("a line is not a URL, a length and a path")
                if entry[3].startswith(("/", "~", "../")) or entry[3] == "..":
                    raise module.BagError(f"the path {entry[3]!r} leads out of the bag")
                yield entry[1], entry[2], entry[3]

    return Bag
