"""The lines of a manifest: what each lists, and the names that a path in one may stand for.

What belongs here: the lines' form (RFC 8493, 2.1.3 and 2.2.1, and what older tools wrote). What does not: which
manifests there are (``declarations``), and whether files are as they are listed (``rules``).

``bagit`` reads the lines differently: it takes spaces off the end of a line, which may belong to a name, and decodes
the first two encoded characters of a name and no percent sign.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ao_workflows.bags.layout import PAYLOAD

_LINE = re.compile(r"[ \t]*(\S+)[ \t]+(\*?)((?:\./)*)(.*\S.*)")
_NOTHING = "\ufeff \t\r\n"
_OUTSIDE = ("/", "~", "../")
_ENCODED = re.compile(r"%0[AaDd]|%25")
_BARE_PERCENT = re.compile(r"%(?!0[AaDd]|25)")


@dataclass
class ManifestContent:
    """What a manifest lists: digests in lower-case hex by path, as it is written but for a leading ``*`` and ``./``.

    ``wrong`` says what makes lines unusable, ``unusual`` what is only odd. ``bare_percent`` says that a path has a
    percent sign that encodes nothing, so whoever wrote the manifest does not encode.
    """

    digests: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)
    bare_percent: bool = False


def read_manifest(content: bytes, encoding: str, *, of_tags: bool, strict: bool) -> ManifestContent:
    """Reads a manifest's lines.

    :param strict: whether the rules hold that came with version 1.0.
    :raises ValueError: if the content is not in that encoding.
    """
    listed, marked = ManifestContent(), False
    for number, line in enumerate(io.TextIOWrapper(io.BytesIO(content), encoding=encoding)):
        if number == 0 and line.startswith("\ufeff"):
            listed.unusual.append("begins with a byte-order mark")
            line = line[1:]  # noqa: PLW2901
        if not line.strip(_NOTHING) or line.startswith("#"):
            continue
        entry = _LINE.fullmatch(line.removesuffix("\n"))
        if entry is None:
            listed.wrong.append(f"{line.strip()!r} is not a digest and a path")
            continue
        digest, star, dots, path = entry.groups()
        marked = marked or bool(star or dots)
        name = posixpath.normpath(path.lstrip("*"))
        if name.startswith(_OUTSIDE) or ".." in path.split("/"):
            listed.wrong.append(f"the path {path!r} is unsafe: it has '..' in it, or leads out of the bag")
            continue
        if of_tags and strict and path.startswith("tagmanifest-"):
            listed.wrong.append(f"it lists the tag manifest {path!r}")
        elif not of_tags and not path.startswith(PAYLOAD):
            listed.wrong.append(f"{path!r} is no payload")
        listed.bare_percent = listed.bare_percent or ("%" in name and _BARE_PERCENT.search(name) is not None)
        before = listed.digests.setdefault(name, digest := digest.lower())
        if before is not digest:
            if before != digest:
                listed.wrong.append(f"it lists {name!r} twice, with two digests")
            else:
                (listed.wrong if strict else listed.unusual).append(f"lists {name!r} twice, with the same digest")
    if marked:
        listed.unusual.append("has paths that begin with '*' or './'")
    return listed


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
