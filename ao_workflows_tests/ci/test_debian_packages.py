"""The set-up's Debian packages: installed where they are missing and where it may, and asked for where it may not."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / ".ci/debian-packages"


def _tools(folder: Path, user: int, sudo: int = 1) -> Path:
    """A PATH on which apt-get writes down what it is asked, and the user is another."""
    for name, body in {
        "apt-get": f'echo "$@" >>"{folder}/asked"',
        "id": f"echo {user}",
        "sudo": f'[ "$1" = -n ] && exit {sudo}; exec "$@"',
        "env": 'shift; exec "$@"',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    return folder


def _run(path: Path, *pairs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", SCRIPT, *pairs], env={"PATH": f"{path}:/bin"}, capture_output=True, text=True, check=False
    )


def _asked(folder: Path) -> str:
    asked = folder / "asked"
    return asked.read_text() if asked.exists() else ""


def test_nothing_is_asked_for_where_all_is_there(tmp_path: Path) -> None:
    """A second run must repeat no set-up."""
    assert _run(_tools(tmp_path, 1000), "sh:dash").returncode == 0
    assert _asked(tmp_path) == ""


def test_a_library_is_known_by_its_file(tmp_path: Path) -> None:
    """It has no command to look for, and what needs it ends without a word."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libsome.so.1").touch()
    assert _run(_tools(tmp_path, 1000), f"{tmp_path}/l*/libsome.so.1:libsome1").returncode == 0
    assert _run(_tools(tmp_path, 1000), f"{tmp_path}/l*/libother.so.1:libother1").returncode == 2


def test_where_it_may_not_it_prints_the_one_command_and_exits_2(tmp_path: Path) -> None:
    """A person without root must know what to ask the one who has it for."""
    done = _run(_tools(tmp_path, 1000), "sh:dash", "no-such-thing:thing", "nor-this:other")
    assert done.returncode == 2
    assert "sudo apt-get install -y --no-install-recommends thing other\n" in done.stderr
    assert _asked(tmp_path) == ""


def test_root_and_a_sudo_without_a_password_install_what_is_missing_alone(tmp_path: Path) -> None:
    """Installing what is there already may replace what the machine's owner chose."""
    for folder, user, sudo in ((tmp_path / "root", 0, 1), (tmp_path / "sudo", 1000, 0)):
        folder.mkdir()
        assert _run(_tools(folder, user, sudo), "sh:dash", "no-such-thing:thing").returncode == 0
        assert _asked(folder).splitlines()[-1] == "install -y --no-install-recommends thing"
