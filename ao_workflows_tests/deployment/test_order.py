"""What an order's source files say, or why they cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.deployment.order import required_text, text_of
from ao_workflows.errors import DeployError


def test_a_file_that_is_not_there_is_no_text_and_one_that_is_needed_is_told(tmp_path: Path) -> None:
    """A missing sync.yml is a site without one; a missing site.toml is a mistake."""
    assert text_of(tmp_path / "sync.yml") is None
    with pytest.raises(DeployError, match=r"site\.toml: is missing: the site's description"):
        required_text(tmp_path / "site.toml", "the site's description")
    (tmp_path / "site.toml").write_text("")
    assert required_text(tmp_path / "site.toml", "the site's description") == ""


def test_a_file_that_cannot_be_read_is_not_taken_for_a_missing_one(tmp_path: Path) -> None:
    """A secret that is made anew takes the place of the one that could not be read."""
    (tmp_path / "odd").write_bytes(b"\xff")
    for path in (tmp_path, tmp_path / "odd"):
        with pytest.raises(DeployError, match="cannot be read"):
            text_of(path)
