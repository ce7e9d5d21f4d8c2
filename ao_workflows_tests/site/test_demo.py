"""The demo's own site.toml."""

from __future__ import annotations

from pathlib import Path

from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse


def test_the_demos_site_is_whole(tmp_path: Path) -> None:
    """A checkout without a site.toml must load."""
    read = parse(demo_site(tmp_path, "http://127.0.0.1:9"), "the demo's site")
    assert read.environment == "demo"
    assert Path(read.sync.script).is_file()
    assert [intake.environment for intake in read.intake.values()] == ["demo"]
