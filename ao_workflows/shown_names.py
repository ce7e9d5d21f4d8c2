"""Names as people are shown them: on a terminal, in a log, in the web page.

What belongs here: making a text from outside harmless to look at. What does not: whether such a name is taken
(``member_names``); data for programs has names as they are.
"""

from __future__ import annotations

import re

_NOT_SHOWN = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which terminals obey; line ends; what turns the direction of writing; halves of characters."""

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def shown(text: str) -> str:
    """The text with each character that must not be printed as Python writes it: ``Icon\\r``, ``\\x1b``.

    What is shown once is the same when it is shown again.
    """
    return text if text.isascii() and text.isprintable() else _NOT_SHOWN.sub(_escaped, text)


def shown_json(text: str) -> str:
    """JSON, made with ``ensure_ascii=False``, in which such characters are escaped as JSON does: it says the same."""
    return _NOT_SHOWN.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004
