"""``docker/build`` before it reaches an engine: what it refuses. What it builds is tried in ``stack/``."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "docker/build"


def refused(*words: str) -> str:
    """What is said of a call that is refused."""
    done = subprocess.run([BUILD, *words], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 2, done
    return done.stderr


def test_a_collection_without_the_sync_script_is_refused(tmp_path: Path) -> None:
    """The image would have the reference script instead, and nobody would notice."""
    assert f"there is no syncOneWork.sh at the top of {tmp_path}" in refused("--scripts", str(tmp_path))


def test_a_sync_script_that_cannot_be_executed_is_refused(tmp_path: Path) -> None:
    """The first work to be synced would tell it."""
    (tmp_path / "syncOneWork.sh").write_text("#!/bin/sh\n")
    assert "chmod +x it" in refused("--scripts", str(tmp_path))


def test_an_audit_tool_that_is_no_package_is_refused(tmp_path: Path) -> None:
    """A page that says `not found`, saved under the package's name."""
    package = tmp_path / "audit-tool.deb"
    package.write_text("<html>")
    assert "is no Debian package" in refused("--audit-tool", str(package))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--script", "x"], "--script is no option"),
        (["--scripts", "/nowhere"], "/nowhere is no folder"),
        (["--scripts-requirements", "/dev/null"], "goes with --scripts"),
    ],
)
def test_words_that_cannot_be_meant_are_refused(words: list[str], said: str) -> None:
    """A misspelt option must not build an image without what it was to bring."""
    assert said in refused(*words)


def test_the_extras_that_are_asked_for_reach_the_engine(tmp_path: Path) -> None:
    """A daemon without dagster-k8s does not start, on a cluster that is hours away from this machine."""
    engine = tmp_path / "docker"
    engine.write_text(f'#!/bin/sh\n[ "$1" != build ] || echo "$@" >{tmp_path}/asked\n')
    engine.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "DOCKER": str(engine)}
    for words, extras, tag in (
        ([], "EXTRAS=stack ", r"ao-workflows:[0-9.]+"),
        (["--kubernetes"], "EXTRAS=stack kubernetes ", r"ao-workflows:[0-9.]+"),
        (["--dev"], "EXTRAS=stack demo ", r"ao-workflows:[0-9.]+-dev"),
    ):
        subprocess.run([BUILD, *words], capture_output=True, check=True, env=environment)
        asked = (tmp_path / "asked").read_text()
        assert extras in asked
        assert re.search(rf" -t {tag} ", asked)


def test_the_images_are_told_and_noted_with_their_digests(tmp_path: Path) -> None:
    """A tag is another image next month: which one a site's was made from, nobody could say."""
    engine = tmp_path / "docker"
    engine.write_text(
        f"""#!/bin/sh
case "$1 $2" in
"build -f"*) printf '%s\\n' "$@" >{tmp_path}/asked ;;
"image inspect") case "$*" in *Digests*postgres*) ;; *Digests*) echo "$5@sha256:12" ;; *) echo sha256:34 ;; esac ;;
esac
"""
    )
    engine.chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "DOCKER": str(engine)}
    told = subprocess.run([BUILD], capture_output=True, check=True, env=environment, text=True).stdout
    base = "python:3.11-slim-bookworm"
    assert f"BASE={base} ({base}@sha256:12)" in (tmp_path / "asked").read_text().splitlines()
    assert "PROXY_IMAGE=haproxy:2.6@sha256:12" in told.splitlines()
    loaded = "# POSTGRES_IMAGE: postgres:15-bookworm has no digest of a registry; here it is sha256:34"
    assert loaded in told.splitlines(), "one that came by docker load"
    assert set((CHECKOUT / ".build/images.env").read_text().splitlines()) <= set(told.splitlines())


def test_the_help_names_every_option() -> None:
    """It is the first thing that one asks."""
    shown = subprocess.run([BUILD, "--help"], capture_output=True, text=True, check=True).stdout
    for option in (
        "--tag",
        "--dev",
        "--kubernetes",
        "--scripts",
        "--scripts-requirements",
        "--audit-tool",
        "-- OPTION",
    ):
        assert option in shown


@pytest.mark.parametrize("script", ["docker/build", "docker/image/syncOneWork.sh", "docker/image/contents"])
def test_the_scripts_are_without_fault_to_shellcheck(script: str) -> None:
    """An unquoted path with a space in it."""
    subprocess.run(["shellcheck", CHECKOUT / script], check=True)
