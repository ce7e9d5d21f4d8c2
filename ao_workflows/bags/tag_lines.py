"""Tag files read in pieces: the lines of one that may be of any size, or all of one that has to be small.

What belongs here: pieces of bytes that become lines of text, or one content, within bounds. What does not: what a line
means (``manifests``, ``declarations``).

A line of 350 MB with one character beyond the first 65,536 takes 1.4 GB as text, and it fits into a zip of 350 KB.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import NoReturn

LONGEST_LINE = 1 << 16
"""Characters of a line. A path has at most 3,072 bytes, and three times as many where each is encoded."""

SMALL = 4 << 20
"""Bytes of bagit.txt and bag-info.txt. bagit holds their content several times over."""

_SLICE = 1 << 16

Refuse = Callable[[str], NoReturn]
"""Raises the error that the file is refused with, which is told the reason."""

_TOO_LONG = f"it has a line of more than {LONGEST_LINE} characters; break the line, as RFC 8493, 2.2.2, lets values be"


class TagLines:
    """Splits what is fed to it into lines, and passes each to ``take`` without its end.

    Lines end as Python's text files let them. No more than a line and a slice is held.

    :raises LookupError: if there is no such encoding of text.
    """

    def __init__(self, encoding: str, take: Callable[[str], object], refuse: Refuse) -> None:
        # It knows which of Python's codecs are not of text.
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        self._decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)(), translate=True)
        self._take = take
        self._refuse = refuse
        self._rest = ""

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes of the file.

        :raises ValueError: if they are not in the file's encoding.
        """
        for start in range(0, len(piece), _SLICE):
            self._split(self._decoder.decode(piece[start : start + _SLICE]))
            if len(self._decoder.getstate()[0]) > LONGEST_LINE:
                self._refuse(_TOO_LONG)

    def end(self) -> None:
        """Takes the end of the file.

        :raises ValueError: if it ends within a character.
        """
        self._split(self._decoder.decode(b"", final=True))
        if self._rest:
            self._take(self._rest)

    def _split(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if len(line) > LONGEST_LINE:
                self._refuse(_TOO_LONG)
            self._take(line)
        if len(self._rest) > LONGEST_LINE:
            self._refuse(_TOO_LONG)


class SmallFile:
    """Holds what is fed to it, up to ``most`` bytes."""

    def __init__(self, most: int, refuse: Refuse) -> None:
        self._most = most
        self._refuse = refuse
        self._pieces: list[bytes] = []
        self._size = 0
        self._open = 0

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes of the file."""
        self._size += len(piece)
        if self._size > self._most:
            self._refuse(f"it has more than {self._most} bytes; what is no manifest is short")
        ended = max(piece.rfind(b"\n"), piece.rfind(b"\r"))
        self._open = self._open + len(piece) if ended < 0 else len(piece) - ended - 1
        if self._open > LONGEST_LINE:
            self._refuse(_TOO_LONG)
        self._pieces.append(piece)

    def content(self) -> bytes:
        """Returns all of the file."""
        content = b"".join(self._pieces)
        # Of any encoding: line ends are bytes in most, and in others no line is taken for a shorter one.
        if any(len(line) > LONGEST_LINE for line in io.TextIOWrapper(io.BytesIO(content), encoding="latin-1")):
            self._refuse(_TOO_LONG)
        return content
