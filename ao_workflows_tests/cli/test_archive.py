"""``ao archive init``: shares are set up once, and known from then on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ao_workflows_tests.support.archive_site import Site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


def test_plain_folders_are_set_up_only_where_they_are_meant(site: Site) -> None:
    """Before anything is mounted, a share looks like this, and the folder below would be taken for it."""
    refused = site.init()
    assert refused.exit_code == 1
    assert refused.stderr.count("as a mount point is with nothing mounted on it") == 4
    assert not site.marker(0).exists()
    result = site.init("--plain-folder", "all")
    assert result.exit_code == 0, result.output
    assert len({json.loads(site.marker(share).read_text())["id"] for share in range(4)}) == 4
    for share in range(4):
        assert f"{site.tree(share)}: {site.shares.look(share).id}, " in result.stdout
    # It is known by now that they are folders.
    assert site.init().exit_code == 0


def test_the_demos_folders_need_no_option(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial is one command."""
    site.use(monkeypatch, "staging", "demo")
    assert site.init().exit_code == 0


def test_again_and_on_another_host_the_markers_that_are_there_are_taken(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hosts that gave one share two ids would each refuse what the other has set up."""
    first = site.ids("--plain-folder", "all")
    notes = (site.folder / "staging/archive-shares.json").read_text()
    assert site.ids("--plain-folder", "all") == first
    assert (site.folder / "staging/archive-shares.json").read_text() == notes
    site.use(monkeypatch, "staging-of-another-host")
    assert site.ids("--plain-folder", "all") == first
    site.shares.look(3)


def test_an_option_that_is_not_known_exits_with_2(site: Site) -> None:
    """Exit code 1 means that a share is not set up."""
    assert site.init("--plain-folder", "4").exit_code == 2
