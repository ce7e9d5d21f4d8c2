"""Names as people see them: on a terminal, in a log, in Dagster's web page.

What belongs here: making a text from outside harmless to look at. What does not: whether a bag may have such a name
(``ao_workflows.bags.member_names``). Programs get names as they are.
"""

from __future__ import annotations

import re

_NOT_SHOWN = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, which terminals obey; line ends; what turns the direction of writing; halves of characters."""

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def shown(text: str) -> str:
    """Returns the text with unprintable characters escaped as Python writes them: ``Icon\\r``, ``\\x1b``.

    A text that was escaped before stays the same.
    """
    return text if text.isascii() and text.isprintable() else _NOT_SHOWN.sub(_escaped, text)


def shown_json(text: str) -> str:
    """Returns JSON, made with ``ensure_ascii=False``, with unprintable characters escaped; it means the same."""
    return _NOT_SHOWN.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return _SHORT.get(match[0]) or (f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}")  # noqa: PLR2004
