"""What the platform refuses is said in one way, whatever the command."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import ao_workflows.cli
from ao_workflows.cli import main
from ao_workflows.errors import AoError

COMMANDS = Path(ao_workflows.cli.__file__).parent


@pytest.mark.parametrize(
    "words",
    [
        "archive init",
        "backup list",
        "drs init",
        "intake peek",
        "intake rejected",
        "reprocess W1NLM4700",
        "restore request W1NLM4700",
        "restore status W1NLM4700",
        "status",
        "up",
    ],
)
def test_a_site_that_cannot_be_read_is_said_and_ends_every_command(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback hides which file is meant, and a script that goes on by the exit code would go on."""
    monkeypatch.setenv("AO_SITE", str(tmp_path / "none.toml"))
    done = CliRunner().invoke(main, words.split())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("ao: ")
    assert "none.toml" in done.stderr


def test_a_program_reads_the_error_where_it_reads_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json a command that the group's own words ended would leave a program with nothing to read."""
    monkeypatch.setenv("AO_SITE", str(tmp_path / "none.toml"))
    done = CliRunner().invoke(main, ["drs", "init", "--json"])
    assert (done.exit_code, done.stderr) == (1, "")
    assert "none.toml" in json.loads(done.stdout)["error"]


def test_an_error_of_ours_is_not_taken_for_a_mistake_in_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and a line on usage, would send a person to the manual."""

    @click.command()
    def refused() -> None:
        raise AoError("the disk is gone")

    monkeypatch.setattr("ao_workflows.cli.status.status", refused)
    done = CliRunner().invoke(main, ["status"])
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", "ao: the disk is gone\n")


def test_the_line_is_written_in_one_place() -> None:
    """Fourteen places said it, and each caught what it thought of."""
    found = [
        (path.name, node.value)
        for path in COMMANDS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("ao: ")
    ]
    assert found == [("complaints.py", "ao: ")]
