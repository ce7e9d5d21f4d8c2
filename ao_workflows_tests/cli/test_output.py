"""Output that cannot be written: said in words, by every command, with an exit code that a script can go by."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows.cli.output import output_in_words
from ao_workflows.drs.client import Drs
from ao_workflows.site.demo import demo_site

AO = Path(sys.executable).with_name("ao")


def ao(words: str, folder: Path, unbuffered: str = "", **streams: object) -> subprocess.CompletedProcess[str]:
    (folder / "site.toml").write_text(demo_site(folder, None))
    Drs(url=f"sqlite:///{folder}/drs.sqlite").init()
    env = {**os.environ, "AO_SITE": f"{folder}/site.toml", "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run([AO, *words.split()], env=env, text=True, check=False, **streams)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize(
    ("words", "unbuffered"), [("--help", ""), ("--help", "1"), ("status", "1"), ("drs init --json", "")]
)
def test_an_output_that_takes_nothing_is_said_in_words(words: str, unbuffered: str, tmp_path: Path) -> None:
    """`ao status > /dev/full` ended in a traceback; a report on a full disk was cut short with exit code 0 or 120."""
    with Path("/dev/full").open("w") as full:
        done = ao(words, tmp_path, unbuffered, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ao: standard output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_where_neither_output_takes_anything_the_exit_code_says_so(tmp_path: Path) -> None:
    """A job of cron's with both on a full disk is told by nothing else."""
    with Path("/dev/full").open("w") as full:
        assert ao("drs init", tmp_path, stdout=full, stderr=full).returncode == 1


def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    """`ao status | head -1` is how people look; a complaint after it would be noise."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = ao("--help", tmp_path, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert done.stderr == ""


def test_a_file_that_no_command_put_into_words_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A demo in a folder that cannot be made ended in a traceback."""
    with pytest.raises(SystemExit, match="1"), output_in_words():
        Path("/dev/null/demo").mkdir()
    assert capsys.readouterr().err == "ao: /dev/null/demo: Not a directory\n"


def test_a_mistake_of_ours_is_not_hidden() -> None:
    """Without its traceback, nobody could mend it."""
    with pytest.raises(OSError, match="Bad file descriptor"), output_in_words():
        os.read(-1, 1)
