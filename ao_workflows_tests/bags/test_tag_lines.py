"""Tag files in pieces: lines as Python's own text files have them, and bounds on what is held."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.bags.tag_lines import LONGEST_LINE, SmallFile, TagLines


class Refused(Exception):
    """What a file of the test is refused with."""


def refuse(reason: str) -> None:
    raise Refused(reason)


def lines_of(pieces: Sequence[bytes], encoding: str = "utf-8") -> list[str]:
    found: list[str] = []
    reader = TagLines(encoding, found.append, refuse)  # type: ignore[arg-type]
    for piece in pieces:
        reader.feed(piece)
    reader.end()
    return found


@given(
    st.text(st.sampled_from("aé་😀 \t\r\n\u2028\x85"), max_size=60),
    st.integers(1, 7),
    st.sampled_from(["utf-8", "utf-16", "utf-32"]),
)
def test_lines_are_those_of_a_text_file_wherever_the_pieces_end(text: str, step: int, encoding: str) -> None:
    """A piece that ends within a character, or between CR and LF, would make a line of its own or a damaged name."""
    content = text.encode(encoding)
    by_python = [line.removesuffix("\n") for line in io.TextIOWrapper(io.BytesIO(content), encoding=encoding)]
    assert lines_of([content[at : at + step] for at in range(0, len(content), step)], encoding) == by_python


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "idna", "utf-7"])
def test_a_line_without_an_end_is_refused_as_soon_as_it_is_too_long(encoding: str) -> None:
    """One of 350 MB was held whole; a codec that waits for a point holds it in another place."""
    reader = TagLines(encoding, pytest.fail, refuse)  # type: ignore[arg-type]
    piece = "a".encode(encoding) * LONGEST_LINE
    with pytest.raises(Refused, match=f"more than {LONGEST_LINE} characters"):
        for _ in range(3):
            reader.feed(piece)


def test_the_longest_line_that_may_be_is_taken() -> None:
    """A bound must not be one less than it says."""
    assert [len(line) for line in lines_of([b"a" * LONGEST_LINE + b"\n", b"b\n"])] == [LONGEST_LINE, 1]


@pytest.mark.parametrize("encoding", ["base64", "no-such"])
def test_an_encoding_that_is_none_of_text_is_an_error_before_a_byte_is_read(encoding: str) -> None:
    """Python has codecs that inflate what they are given."""
    with pytest.raises(LookupError):
        TagLines(encoding, pytest.fail, refuse)  # type: ignore[arg-type]


def test_a_file_that_has_to_be_small_is_held_whole_and_refused_when_it_grows() -> None:
    """A folder's file may grow after its size was looked at."""
    small = SmallFile(5, refuse)  # type: ignore[arg-type]
    small.feed(b"ab")
    small.feed(b"c\nd")
    assert small.content() == b"abc\nd"
    with pytest.raises(Refused, match="more than 5 bytes"):
        small.feed(b"e")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_small_file_s_lines_have_their_bound_too(end: bytes) -> None:
    """bagit copies a line several times, and with one odd character each takes four bytes."""
    whole = SmallFile(1 << 20, refuse)  # type: ignore[arg-type]
    whole.feed((b"a" * (LONGEST_LINE - 1) + end) * 3)
    assert len(whole.content()) > 3 * (LONGEST_LINE - 1)
    with pytest.raises(Refused, match="line"):
        whole.feed(b"a" * (LONGEST_LINE + 1))
    within = SmallFile(1 << 20, refuse)  # type: ignore[arg-type]
    within.feed(b"a" * (LONGEST_LINE + 1) + end)
    with pytest.raises(Refused, match="line"):
        within.content()
