"""``ao archive init``: shares are set up once, and known from then on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ao_workflows import clients
from ao_workflows.archive import mounted_shares as archive_shares
from ao_workflows.cli import main
from ao_workflows.errors import ArchiveShareLost
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.mounts import LoopDisk, loop_disk


class Site:
    """A site that is no demo, its archive in ``folder``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.parent = folder / "archive/Archive"
        for share in range(4):
            self.tree(share).mkdir(parents=True)
        self.use(monkeypatch, "staging")

    def use(self, monkeypatch: pytest.MonkeyPatch, staging: str, environment: str = "dev") -> None:
        """Another host's scratch disk."""
        text = demo_site(self.folder, None).replace('environment = "demo"', f'environment = "{environment}"')
        text = text.replace(f"{self.folder}/staging", f"{self.folder}/{staging}")
        (self.folder / "site.toml").write_text(text)
        monkeypatch.setenv("AO_SITE", f"{self.folder}/site.toml")
        self.shares = clients.archive_shares(parse(text, "the test's site"))

    def tree(self, share: int) -> Path:
        return self.parent.with_name(f"Archive{share}")

    def marker(self, share: int) -> Path:
        return self.tree(share) / ".ao-archive/share.json"

    def init(self, *words: str) -> Result:
        return CliRunner().invoke(main, ["archive", "init", *words])

    def ids(self, *words: str) -> dict[str, str]:
        result = self.init("--json", *words)
        assert result.exit_code == 0, result.output
        return {share: noted["id"] for share, noted in json.loads(result.stdout)["shares"].items()}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path, monkeypatch)


@pytest.fixture
def disk(site: Site) -> Iterator[LoopDisk]:
    """Share 0, mounted."""
    with loop_disk(site.folder, site.tree(0)) as disk:
        yield disk


OTHERS = ("--plain-folder", "1", "--plain-folder", "2", "--plain-folder", "3")


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


def test_an_option_that_is_not_known_exits_with_2(site: Site) -> None:
    """Exit code 1 means that a share is not set up."""
    assert site.init("--plain-folder", "4").exit_code == 2


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
