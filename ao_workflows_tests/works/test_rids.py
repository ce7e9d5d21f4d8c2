"""What may be a RID, and every place that follows from one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ao_workflows.errors import RidError
from ao_workflows.works.rids import parse_rid, rid_of_key


@pytest.mark.parametrize("name", ["W1NLM4700", "W1FPL2251", "W22084", "w", "0", "W1-2_3.4", "W" * 64])
def test_the_archives_names_are_rids(name: str) -> None:
    """A rule that is too strict keeps a work from ever being restored."""
    assert parse_rid(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "...",
        "W1..2",
        "W1.",
        ".W1",
        "-rf",
        "_W1",
        "W1/..",
        "../W1",
        "/etc",
        "W1\\2",
        "W1 2",
        " W1",
        "W1\n",
        "W1\0",
        "W1\x1b[31m",
        "W1;rm",
        "$(id)",
        "W1*",
        "བོད",
        "Ｗ１",
        "W1\u202e",
        "W１",
        "W" * 65,
    ],
)
def test_a_name_that_could_lead_elsewhere_is_no_rid(name: str) -> None:
    """A RID becomes a folder, a word of a command, a partition and a row: nothing in it may mean more."""
    with pytest.raises(RidError) as raised:
        parse_rid(name)
    assert repr(name) in str(raised.value)


@given(st.text(max_size=70))
def test_whatever_is_a_rid_is_one_part_of_a_path(name: str) -> None:
    """The places below are made without looking at the RID again."""
    try:
        rid = parse_rid(name)
    except RidError:
        return
    assert Path("/a", rid).resolve() == Path("/a") / rid
    assert rid.isascii()
    assert rid.isprintable()


@pytest.mark.parametrize(
    ("key", "rid"),
    [
        ("Archive0/00/W1NLM4700/W1NLM4700.bag.zip", "W1NLM4700"),
        ("W1.bag.zip", "W1"),
        ("two words, བསྟན/W1FPL2251.bag.zip", "W1FPL2251"),
        ("a/W1.zip", "W1"),
        ("../../W1.bag.zip", "W1"),
    ],
)
def test_a_keys_last_part_names_the_work(key: str, rid: str) -> None:
    """The folders above it are the staging bucket's own order."""
    assert rid_of_key(key) == rid


@pytest.mark.parametrize(
    "key", ["", "W1", "W1.bag", "W1.tar", ".bag.zip", ".zip", "W1/.zip", "a/...zip", "W1.bag.zip.bag.zip/..", "-W1.zip"]
)
def test_a_key_that_names_no_zip_of_a_work_is_refused(key: str) -> None:
    """Taken, it would become a partition that nobody can restore."""
    with pytest.raises(RidError):
        rid_of_key(key)
