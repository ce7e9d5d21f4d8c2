"""A site that is no demo, whose archive's shares are folders or disks of a test's own.

What belongs here: what the tests of the command and of the shares ask for. What does not: disks (``mounts``).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ao_workflows import clients
from ao_workflows.cli import main
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse


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
