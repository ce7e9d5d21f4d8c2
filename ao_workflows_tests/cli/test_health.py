"""``ao health``: what a monitoring system, and a person called at night, are told in one look."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import health as command
from ao_workflows.cli import main
from ao_workflows_tests.cli.test_site import Trial
from ao_workflows_tests.support.moto_server import Aws


@pytest.fixture
def trial(tmp_path: object, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    site = Trial(tmp_path, aws, monkeypatch)  # type: ignore[arg-type]
    monkeypatch.setattr(command, "LIMIT_SECONDS", 120.0)  # the machine that runs the tests may be busy
    (site.folder / "site.toml").write_text(site.text)
    monkeypatch.setenv("DAGSTER_HOME", str(site.folder / "home"))
    yield site


def health(*words: str) -> Result:
    return CliRunner().invoke(main, ["health", *words])


def levels(result: Result) -> dict[str, str]:
    return {each["what"]: each["level"] for each in json.loads(result.stdout)}


def test_it_says_which_share_is_which(trial: Trial) -> None:
    """Called at night, one looks for the disk that is not there: by what was noted of it."""
    result = health()
    for share in range(4):
        marker = json.loads((trial.folder / f"archive/Archive{share}/.ao-archive/share.json").read_text())
        assert f"share {share}" in result.stdout
        assert marker["id"] in "".join(result.stdout.split())


def test_a_share_that_is_not_mounted_is_critical(trial: Trial) -> None:
    """A green light over an archive that takes no work is looked at by nobody."""
    before = levels(health("--json"))
    shutil.rmtree(trial.folder / "archive/Archive2/.ao-archive")
    result = health("--json")
    assert result.exit_code == 2
    worse = {what for what, level in levels(result).items() if level == "fail" and before.get(what) != "fail"}
    assert any("2" in what for what in worse)


def test_without_a_daemon_somebody_should_look(trial: Trial) -> None:
    """Works wait in the queue for ever, and nothing has failed."""
    result = health("--json")
    assert result.exit_code in (1, 2)
    assert "ok" in levels(result).values()


def test_a_site_that_is_wrong_is_told_and_nothing_else_tried(trial: Trial) -> None:
    """A stack trace is no answer to a monitoring system."""
    (trial.folder / "site.toml").write_text("environment = 3")
    result = health()
    assert result.exit_code == 2
    assert "site.toml" in result.stdout
    assert "Traceback" not in result.output
