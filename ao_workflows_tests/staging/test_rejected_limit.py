"""Messages that cannot be used may not fill the disk: a limit that is told, and a part of the reserve."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.errors import StagingError
from ao_workflows.staging import rejected_limit
from ao_workflows.staging.rejected_limit import KeptSize, kept_size
from ao_workflows.staging.rejected_messages import keep, kept_messages, remove
from ao_workflows.staging.staging import Staging

MIB = 1 << 20


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(root=str(tmp_path / "staging"))


def kept(staging: Staging, name: str, size: int) -> None:
    keep(staging, "fpl", "FplReady", name, "x" * size, "it is no JSON")


def test_what_is_beyond_the_limit_is_refused_with_the_way_out(
    staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may send to the queue filled the scratch disk, a quarter of a megabyte a message."""
    monkeypatch.setattr(rejected_limit, "MOST_BYTES", 2 * MIB)
    kept(staging, "a", MIB)
    with pytest.raises(StagingError, match=r"1 of at most 5,000 messages.* of at most 2 MiB.*ao intake rejected"):
        kept(staging, "b", MIB)
    assert [each.message_id for each in kept_messages(staging)] == ["a"], "nothing of it is left behind"
    kept(staging, "a", MIB)
    remove(staging, "a")
    kept(staging, "b", MIB)


def test_many_small_ones_have_a_limit_too(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a place in the disk's table of files, and a second of who lists them."""
    monkeypatch.setattr(rejected_limit, "MOST_MESSAGES", 3)
    for name in "abc":
        kept(staging, name, 1)
    with pytest.raises(StagingError, match="3 of at most 3 messages"):
        kept(staging, "d", 1)


def test_a_person_is_told_before_the_limit_is_reached() -> None:
    """At the limit, messages begin to grow old in their queue."""
    assert not KeptSize(3_000, 100 * MIB).much
    assert KeptSize(4_000, 0).much
    assert KeptSize(1, 210 * MIB).much


def test_where_nothing_is_kept_there_is_no_folder_to_look_into(staging: Staging) -> None:
    """The first message of a site makes it."""
    assert kept_size(staging.layout) == KeptSize()
