"""``ao up`` and ``ao down`` where they can do nothing. What they do is in ``services/test_running.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ao_workflows.cli import main
from ao_workflows.site.demo import demo_site


@pytest.mark.parametrize("command", ["up", "down"])
def test_without_a_site_it_asks_for_one(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The demo's site would be empty: its AWS ends with the demo."""
    monkeypatch.setenv("AO_SITE", "")
    asked = CliRunner().invoke(main, [command])
    assert asked.exit_code == 1
    assert "set AO_SITE, or give --site" in asked.output


def test_a_site_that_has_nothing_up_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is no mistake, and a script that ends a site twice must go on."""
    (tmp_path / "site.toml").write_text(demo_site(tmp_path, None))
    monkeypatch.setenv("AO_SITE", str(tmp_path / "site.toml"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    asked = CliRunner().invoke(main, ["down"])
    assert asked.exit_code == 0, asked.output
