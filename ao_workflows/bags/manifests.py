"""The lines of a manifest: what each lists, and the names that a path in one may stand for.

What belongs here: the lines' form (RFC 8493, 2.1.3 and 2.2.1, and what older tools wrote). What does not: which
manifests there are (``declarations``), and whether files are as they are listed (``rules``).

``bagit`` reads the lines differently: it takes spaces off the end of a line, which may belong to a name, and decodes
the first two encoded characters of a name and no percent sign.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

from ao_workflows.bags.first_few import FirstFew
from ao_workflows.bags.layout import PAYLOAD
from ao_workflows.bags.member_names import PATH_LENGTH
from ao_workflows.bags.tag_lines import Refuse, TagLines

_LINE = re.compile(r"[ \t]*(\S+)[ \t]+(\*?)((?:\./)*)(.*\S.*)")
_NOTHING = "\ufeff \t\r\n"
_OUTSIDE = ("/", "~", "../")
_ENCODED = re.compile(r"%0[AaDd]|%25")
_BARE_PERCENT = re.compile(r"%(?!0[AaDd]|25)")
_PART_SHOWN = 200


class ManifestReader:
    """Reads a manifest that is fed to it in pieces, and holds none of it.

    ``note`` is given each path, as it is written but for a leading ``*`` and ``./``, and its digest in lower-case hex;
    it returns the digest that the path had before, or None. ``wrong`` says what makes lines unusable, ``unusual`` what
    is only odd. ``bare_percent`` says that a path has a percent sign that encodes nothing, so whoever wrote the
    manifest does not encode.

    :param strict: whether the rules hold that came with version 1.0.
    :raises LookupError: if there is no such encoding of text.
    """

    def __init__(
        self, encoding: str, note: Callable[[str, str], str | None], refuse: Refuse, *, of_tags: bool, strict: bool
    ) -> None:
        self.wrong = FirstFew[str]()
        self.unusual = FirstFew[str]()
        self.bare_percent = False
        self._note = note
        self._of_tags = of_tags
        self._strict = strict
        self._begun = self._marked = False
        self._lines = TagLines(encoding, self._line, refuse)
        self.feed = self._lines.feed

    def end(self) -> None:
        """Takes the end of the manifest.

        :raises ValueError: if the content is not in its encoding.
        """
        self._lines.end()
        if self._marked:
            self.unusual.append("has paths that begin with '*' or './'")

    def _line(self, line: str) -> None:
        if not self._begun and line.startswith("\ufeff"):
            self.unusual.append("begins with a byte-order mark")
            line = line[1:]
        self._begun = True
        if not line.strip(_NOTHING) or line.startswith("#"):
            return
        entry = _LINE.fullmatch(line)
        if entry is None:
            self.wrong.append(f"{_shown(line.strip())} is not a digest and a path")
            return
        digest, star, dots, path = entry.groups()
        self._marked = self._marked or bool(star or dots)
        name = posixpath.normpath(path.lstrip("*"))
        if name.startswith(_OUTSIDE) or ".." in path.split("/"):
            self.wrong.append(f"the path {_shown(path)} is unsafe: it has '..' in it, or leads out of the bag")
            return
        if self._of_tags and self._strict and path.startswith("tagmanifest-"):
            self.wrong.append(f"it lists the tag manifest {_shown(path)}")
        elif not self._of_tags and not path.startswith(PAYLOAD):
            self.wrong.append(f"{_shown(path)} is no payload")
        self.bare_percent = self.bare_percent or ("%" in name and _BARE_PERCENT.search(name) is not None)
        digest = digest.lower()
        before = self._note(name, digest)
        if before is not None:
            if before != digest:
                self.wrong.append(f"it lists {_shown(name)} twice, with two digests")
            else:
                (self.wrong if self._strict else self.unusual).append(
                    f"lists {_shown(name)} twice, with the same digest"
                )


def _shown(text: str) -> str:
    """The text with its odd characters written out; of what is no name at all, a part."""
    return repr(text if len(text) <= PATH_LENGTH else f"{text[:_PART_SHOWN]}…")


def decoded(written: str) -> str:
    """Returns the name that a path in a manifest stands for: CR, LF and the percent sign are encoded, and no others."""
    return _ENCODED.sub(lambda match: chr(int(match[0][1:], 16)), written) if "%" in written else written


def names_meant(written: str, *, decode_first: bool, strict: bool) -> Iterator[str]:
    """Yields the names that a path in a manifest may stand for, the likeliest first.

    Drafts before 1.0 leave percent signs as they are, and so does bagit in every version. After what the RFC says come
    the names that tools wrote in other ways: some filled lines up with spaces, and some wrote a Mac's ``Icon\\r`` as it
    is, whose CR a reader of lines takes for a part of the line's end.
    """
    plain = (decoded(written), written) if decode_first else (written, decoded(written))
    yield from dict.fromkeys(plain)
    if (stripped := written.rstrip(" \t")) != written:
        yield stripped
    if not strict:
        yield f"{written}\r"
