"""The folder of a site's services: found, kept to one command at a time, and what is alive of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows.errors import ServicesError
from ao_workflows.machine.processes import ProcessId, identify
from ao_workflows.services.folder import MARK, ServicesFolder, alive
from ao_workflows.services.record import Service, ServicesRecord


@pytest.fixture
def place(tmp_path: Path) -> ServicesFolder:
    return ServicesFolder(tmp_path / "site.toml", tmp_path / "dagster")


def test_a_site_is_given_or_named_by_the_environment_and_its_home_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services of another site would be ended, or started on its instance."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("AO_SITE", str(tmp_path / "named.toml"))
    assert ServicesFolder.find(None) == ServicesFolder(tmp_path / "named.toml", tmp_path / "dagster")
    assert ServicesFolder.find(tmp_path / "given.toml").site == tmp_path / "given.toml"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    assert ServicesFolder.find(None).home == tmp_path / "home"
    monkeypatch.delenv("AO_SITE")
    with pytest.raises(ServicesError, match="no site is named"):
        ServicesFolder.find(None)


def test_one_command_at_a_time_has_the_folder(place: ServicesFolder) -> None:
    """Two that start the same service would each end what the other began."""
    with place.alone(), pytest.raises(ServicesError, match="another ao up or ao down is at work"), place.alone():
        pass
    with place.alone():
        pass


def test_a_folder_that_cannot_be_made_is_told(place: ServicesFolder) -> None:
    """With the variable that names it, which is what a person can change."""
    place.home.write_text("a file in its place")
    with pytest.raises(ServicesError, match="DAGSTER_HOME names its home"), place.alone():
        pass


def test_nothing_recorded_is_no_record_and_one_that_may_not_be_read_is_told(place: ServicesFolder) -> None:
    """Taken for none, it would leave its services up beside the new ones."""
    assert place.recorded() is None
    place.folder.mkdir(parents=True)
    place.record({})
    assert place.recorded() is None
    (place.folder / "services.json").mkdir()
    with pytest.raises(ServicesError, match="cannot be read"):
        place.recorded()


def test_only_a_process_that_is_the_recorded_one_is_alive(place: ServicesFolder) -> None:
    """Its number may be another's by now, or after a boot anybody's."""
    me = identify(os.getpid())
    assert me
    services = {
        "code": Service("code", me, 0.0, 1),
        "daemon": Service("daemon", ProcessId(me.pid, me.started + 1, me.boot), 0.0, None),
        "viewer": Service("viewer", ProcessId(me.pid, me.started, "the boot before"), 0.0, 2),
    }
    assert set(alive(ServicesRecord("s", services))) == {"code"}
    assert alive(None) == {}
    place.folder.mkdir(parents=True)
    place.record(services)
    assert place.recorded() == ServicesRecord(str(place.site), services)
    place.record({})
    assert not (place.folder / "services.json").exists()


def test_what_the_services_started_is_found_by_its_mark_and_is_not_the_services(place: ServicesFolder) -> None:
    """A run whose code server is gone is nobody's child any more."""
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=os.environ | {MARK: str(place.home)}
    )
    try:
        me = identify(child.pid)
        assert me
        place.folder.mkdir(parents=True)
        assert place.below() == [me]
        assert place.below(runs_only=True) == []
        place.record({"code": Service("code", me, 0.0, 1)})
        assert place.below() == []
    finally:
        child.communicate(b"\n")
