"""What a person and a program read of a check's findings."""

from __future__ import annotations

import json
import sys

import pytest

from ao_workflows.cli.findings import output_of_others_on_stderr, print_findings
from ao_workflows.health.findings import Finding, Level

FOUND = [
    Finding("staging", Level.OK, "has 812 GiB of room"),
    Finding(
        "share 2",
        Level.FAIL,
        "the mount point /mnt/Archive2 has nothing mounted on it, and nothing was noted of it",
        "mount it, and then run ao archive init, as docs/operations.md says",
    ),
]


def test_no_line_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that the terminal breaks hides where the next finding begins."""
    monkeypatch.setenv("COLUMNS", "60")
    print_findings(FOUND, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert [line[:4] for line in lines if not line.startswith(" ")] == ["ok  ", "fail"]
    assert [line.strip()[:4] for line in lines if line.strip().startswith("do: ")] == ["do: "]


def test_a_program_reads_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    """A monitoring system that must parse sentences breaks with the next wording."""
    print_findings(FOUND, as_json=True)
    assert [(each["level"], each["what"]) for each in json.loads(capsys.readouterr().out)] == [
        (FOUND[0].level.value, "staging"),
        (FOUND[1].level.value, "share 2"),
    ]


def test_what_libraries_print_is_not_among_the_findings(capsys: pytest.CaptureFixture[str]) -> None:
    """One line of a library's on stdout, and the JSON is none."""
    ours = sys.stdout
    with pytest.raises(ValueError, match="broken"), output_of_others_on_stderr():
        sys.stdout.write("a library says something\n")
        raise ValueError("broken")
    assert sys.stdout is ours
    assert tuple(capsys.readouterr()) == ("", "a library says something\n")
