"""What a site needs of this machine: each thing that may be wrong is found, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.clients import archive_shares
from ao_workflows.health import disks
from ao_workflows.health.disks import check_folder, check_script, check_share, check_staging
from ao_workflows.health.findings import Finding, Level
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows_tests.support.other_users import as_nobody

FOLDER = '[[intake]]\nname = "drop"\nkind = "folder"\nfolder = "{folder}/drop"\nenvironment = "{environment}"\n'


def a_site(folder: Path, environment: str = "demo", **changes: str) -> Site:
    text = demo_site(folder, None).replace('environment = "demo"', f'environment = "{environment}"')
    for old, new in changes.items():
        text = text.replace(f"{old} = ", f"{old} = {new} # ")
    return parse(text + FOLDER.format(folder=folder, environment=environment), "the test's site")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for place in ("staging", "drop", *(f"archive/Archive{share}/0{share}" for share in range(4))):
        (tmp_path / place).mkdir(parents=True)
    site = a_site(tmp_path)
    make_archive(archive_shares(site))
    return site


def levels(findings: object) -> list[Level]:
    found: list[Finding] = list(findings)  # type: ignore[call-overload]
    assert all(each.do for each in found if each.level is not Level.OK), "what is not well has a way out"
    return [each.level for each in found]


def test_a_scratch_disk_that_is_well_is_so_and_nothing_is_left_on_it(site: Site) -> None:
    """The check runs beside works, on their disk."""
    assert levels(check_staging(site)) == [Level.OK]
    assert list(site.staging.root.iterdir()) == [site.staging.root / "archive-shares.json"]


def test_a_scratch_disk_that_is_not_there_or_locks_nothing_fails(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs would have the same work."""
    with monkeypatch.context() as patched:
        patched.setattr(disks, "_locks_work", lambda _path: False)
        (finding,) = check_staging(site)
        assert (finding.level, "two runs could have the same work" in finding.do) == (Level.FAIL, True)
    site.staging.root.rename(site.staging.root.with_name("elsewhere"))
    assert levels(check_staging(site)) == [Level.FAIL]


def test_names_that_are_one_where_they_differ_in_case_are_found(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two works would be one folder."""
    monkeypatch.setattr(disks, "_folds", lambda _path: True)
    assert Level.FAIL in levels(check_staging(site))
    assert Level.FAIL in levels(check_share(site, 0))


def test_a_share_is_well_only_as_the_one_that_was_noted(site: Site) -> None:
    """A folder with nothing mounted on it looks like an empty share."""
    assert levels(check_share(site, 1)) == [Level.OK, Level.OK]
    shares = archive_shares(site)
    marker = shares.tree(1) / ".ao-archive/share.json"
    there = marker.read_text()
    marker.write_text((shares.tree(2) / ".ao-archive/share.json").read_text())
    assert levels(check_share(site, 1)) == [Level.OK, Level.FAIL]
    marker.write_text(there)
    shares.notes.unlink()
    *_, finding = check_share(site, 1)
    assert "was never set up" in finding.said
    shares.notes.mkdir()
    assert levels(check_share(site, 1)) == [Level.OK, Level.FAIL]


def test_a_share_that_is_not_there_or_may_not_be_written_fails(site: Site) -> None:
    """The first sync would find it out, after hours."""
    tree = archive_shares(site).tree(1)
    (tree / "02").mkdir(mode=0o555)

    def closed() -> str:
        return next(each.said for each in check_share(site, 1))

    tree.parent.parent.chmod(0o755)
    assert "02" in as_nobody(closed) or "Permission denied" in as_nobody(closed)
    tree.rename(tree.with_name("away"))
    assert levels(check_share(site, 1)) == [Level.FAIL]


def test_a_folder_intake_is_there_and_of_the_site_s_environment(site: Site, tmp_path: Path) -> None:
    """A trial that claims production's files takes them away from it."""
    assert levels(check_folder(site, "drop")) == [Level.OK]
    assert list((tmp_path / "drop").iterdir()) == []
    other = site.model_copy(update={"environment": "prod"})
    (finding,) = check_folder(other, "drop")
    assert (finding.level, finding.do) == (Level.FAIL, "take it out of site.toml, or correct its environment")
    (tmp_path / "drop").rmdir()
    assert levels(check_folder(site, "drop")) == [Level.FAIL]


def test_programs_are_looked_for_where_the_script_looks(site: Site, tmp_path: Path) -> None:
    """What the operator's own shell finds says nothing of the script's."""
    (tmp_path / "bin").mkdir()
    sync = site.sync.model_copy(update={"env": {"PATH": str(tmp_path / "bin")}})
    bare = site.model_copy(update={"sync": sync})
    by_what = {each.what: each.level for each in check_script(bare)}
    assert (by_what["rsync"], by_what["audit-tool"]) == (Level.FAIL, Level.WARN)
    own = tmp_path / "own.sh"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    another = bare.model_copy(update={"sync": sync.model_copy(update={"script": str(own)})})
    assert {each.what: each.level for each in check_script(another)}["rsync"] is Level.WARN
    for program in ("rsync", "audit-tool"):
        (tmp_path / "bin" / program).write_text("#!/bin/sh\n")
        (tmp_path / "bin" / program).chmod(0o755)
    assert set(levels(check_script(bare))) == {Level.OK}
    own.chmod(0o644)
    assert levels(check_script(another)) == [Level.FAIL]


def test_a_sync_yml_of_the_site_s_with_mistakes_is_told(site: Site, tmp_path: Path) -> None:
    """Each work's sync would fail for it."""
    (tmp_path / "sync.yml").write_text("sync: {archive: maybe}\n")
    sync = site.sync.model_copy(update={"options": tmp_path / "sync.yml"})
    found = {each.what: each.level for each in check_script(site.model_copy(update={"sync": sync}))}
    assert found["sync options"] is Level.FAIL
    (tmp_path / "sync.yml").write_text("sync: {archive: true}\n")
    found = {each.what: each.level for each in check_script(site.model_copy(update={"sync": sync}))}
    assert found["sync options"] is Level.OK


def test_a_lock_that_is_held_cannot_be_had_again_here(tmp_path: Path) -> None:
    """The probe itself must tell a disk that locks from one that does not."""
    (tmp_path / "file").touch()
    assert disks._locks_work(tmp_path / "file")
    assert not disks._folds(tmp_path / "file")
    (tmp_path / "FILE").touch()
    assert disks._folds(tmp_path / "file")
