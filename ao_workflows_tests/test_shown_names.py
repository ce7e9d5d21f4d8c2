"""Names as people are shown them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.shown_names import shown, shown_json

TIBETAN = "བོད་ཡིག"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("W1/page 1.jpg", "W1/page 1.jpg"),
        (TIBETAN, TIBETAN),
        ("a\u00a0b\u3000", "a\u00a0b\u3000"),
        ("Icon\r", "Icon\\r"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202efdp.exe", "\\u202efdp.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_must_not_be_printed_is_written_out(name: str, expected: str) -> None:
    """Scripts of all peoples stay as they are; what a terminal obeys does not."""
    assert shown(name) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_printed_and_shown_twice_and_json_says_the_same(text: str) -> None:
    """The message of an error is shown where it is made, and again where it is printed."""
    once = shown(text)
    once.encode()
    assert shown(once) == once
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in once)
    as_json = shown_json(json.dumps({"a": text}, indent=1, ensure_ascii=False))
    as_json.encode()
    assert json.loads(as_json) == {"a": text}
