"""The archive's shares: set up once, and known from then on by what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows.archive import mounted_shares as archive_shares
from ao_workflows.errors import ArchiveShareLost
from ao_workflows_tests.support.archive_site import Site
from ao_workflows_tests.support.mounts import LoopDisk, loop_disk


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


@pytest.fixture
def disk(site: Site) -> Iterator[LoopDisk]:
    """Share 0, mounted."""
    with loop_disk(site.folder, site.tree(0)) as disk:
        yield disk


OTHERS = ("--plain-folder", "1", "--plain-folder", "2", "--plain-folder", "3")


def test_two_hosts_at_once_make_one_marker(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have found none; the second one's must not lie over the first one's, which is noted already."""
    really_mark = archive_shares._mark

    def after_another(tree: Path, share: int) -> object:
        really_mark(tree, share)
        return really_mark(tree, share)

    monkeypatch.setattr(archive_shares, "_mark", after_another)
    ids = site.ids("--plain-folder", "all")
    assert ids["2"] == json.loads(site.marker(2).read_text())["id"]


def test_a_mounted_share_is_not_set_up_again_while_it_is_away(site: Site, disk: LoopDisk) -> None:
    """Whoever runs the command to mend a share that is lost would make the mount point below the share."""
    ids = site.ids(*OTHERS)
    disk.unmount()
    for words in ((), ("--plain-folder", "all"), ("--exchanged", "0")):
        result = site.init(*words)
        assert result.exit_code == 1
        assert f"{site.tree(0)}: " in result.stderr
        assert not site.marker(0).exists()
    with pytest.raises(ArchiveShareLost):
        site.shares.look(0)
    disk.mount()
    assert site.ids() == ids


def test_a_disk_that_was_exchanged_is_taken_once_that_is_said(site: Site, disk: LoopDisk) -> None:
    """A new disk is no share that was lost, and a share that was lost is no new disk: only a person knows."""
    ids = site.ids(*OTHERS)
    disk.unmount()
    with loop_disk(site.folder / "staging", site.tree(0)):
        refused = site.init()
        assert (refused.exit_code, "--exchanged 0" in refused.stderr) == (1, True)
        assert site.ids("--exchanged", "0")["0"] != ids["0"]
        site.shares.look(0)
    # By then it is the old one that is another.
    disk.mount()
    assert "--exchanged 0" in site.init().stderr


def test_shares_that_are_swapped_or_copied_are_refused_on_a_new_host_too(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look must not make the mistake the rule."""
    site.ids("--plain-folder", "all")
    site.tree(0).rename(site.tree(9))
    site.tree(1).rename(site.tree(0))
    site.tree(9).rename(site.tree(1))
    site.use(monkeypatch, "staging-of-another-host")
    said = site.init("--plain-folder", "all", "--exchanged", "0").stderr
    assert f"{site.tree(0)}: is marked as share 1, and is mounted as share 0" in said
    assert f"{site.tree(1)}: is marked as share 0, and is mounted as share 1" in said


def test_one_tree_that_is_mounted_as_two_shares_is_refused(site: Site) -> None:
    """One typing error in fstab, and half the archive is where nobody looks for it."""
    site.tree(1).rmdir()
    site.tree(1).symlink_to(site.tree(0))
    for _ in range(2):
        said = site.init("--plain-folder", "all").stderr
        assert f"{site.tree(1)}: is marked as share 0, and is mounted as share 1" in said


def test_a_folder_that_is_not_there_and_a_marker_that_is_none_are_told(site: Site) -> None:
    """Each with what to do, and the others are set up all the same."""
    site.tree(0).rmdir()
    site.marker(1).parent.mkdir()
    site.marker(1).write_text("{")
    result = site.init("--plain-folder", "all")
    assert result.exit_code == 1
    assert f"ao: {site.tree(0)}: No such file or directory. Mount it" in result.stderr
    assert f"{site.marker(1)}: is there, and is no marker that can be read: remove it" in result.stderr
    assert f"{site.tree(2)}: " in result.stdout


def test_notes_that_cannot_be_read_are_told(site: Site) -> None:
    """Guessed anew, they would accept whatever is mounted now."""
    site.ids("--plain-folder", "all")
    (site.folder / "staging/archive-shares.json").write_text("half")
    result = site.init("--plain-folder", "all")
    assert result.exit_code == 1
    assert "archive-shares.json: is not what was noted of the archive's shares" in result.stderr


def test_a_full_share_is_left_without_half_a_marker(site: Site, disk: LoopDisk) -> None:
    """An empty marker was in the way of the next try, which told to mount what was mounted."""
    site.marker(0).parent.mkdir()
    filler = disk.path / "filler"
    with filler.open("wb") as out, pytest.raises(OSError, match="No space left"):
        while True:
            out.write(bytes(4096))
            out.flush()
    refused = site.init(*OTHERS)
    assert "No space left on device. Free some room on it" in refused.stderr
    filler.unlink()
    assert site.init(*OTHERS).exit_code == 0
