"""The image with the archive's own scripts and the audit tool in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows_tests.stack.deployment import CHECKOUT, IMAGE, run

pytestmark = pytest.mark.timeout(1200)

TAG = f"{IMAGE}-inputs"

SCRIPT = """\
#!/usr/bin/env bash
python - <<'PY'
import importlib.metadata, sys
print(sys.prefix, importlib.metadata.version("toposort"))
try:
    import dagster
except ImportError:
    print("no dagster")
PY
neighbour.sh
audit-tool
"""


@pytest.fixture(scope="module")
def built(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What ``docker/build`` printed. The collection needs another version of a package than the platform does."""
    folder = tmp_path_factory.mktemp("inputs")
    scripts = folder / "scripts"
    scripts.mkdir()
    for name, text in {"syncOneWork.sh": SCRIPT, "neighbour.sh": "#!/bin/sh\necho a neighbour\n"}.items():
        (scripts / name).write_text(text)
        (scripts / name).chmod(0o755)
    (scripts / "requirements.txt").write_text("toposort==1.9\n")
    (scripts / "credentials").write_text("never committed")
    run("git", "init", "-q", cwd=scripts)
    run("git", "add", "syncOneWork.sh", "neighbour.sh", "requirements.txt", cwd=scripts)
    words = ("--tag", TAG, "--scripts", str(scripts), "--audit-tool", str(_audit_tool(folder)))
    done = run("docker/build", *words, "--", "--network", "host", timeout=900, cwd=CHECKOUT)
    try:
        yield done.stdout
    finally:
        run("docker", "image", "rm", "-f", TAG, check=False)


def _audit_tool(folder: Path) -> Path:
    tree = folder / "audit-tool"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: audit-tool\nVersion: 1.2.3\nArchitecture: all\nMaintainer: A Test <test@example.org>\n"
        "Description: stands in for the archive's own\n"
    )
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/audit-tool").write_text("#!/bin/sh\necho an audit\n")
    (tree / "usr/bin/audit-tool").chmod(0o755)
    package = folder / "audit-tool.deb"
    run("dpkg-deb", "--root-owner-group", "-b", str(tree), str(package))
    return package


def _in_image(*command: str) -> str:
    return run("docker", "run", "--rm", "--user", "5000", "--network", "none", TAG, *command).stdout


def test_the_build_says_what_went_in_and_with_which_version(built: str) -> None:
    """Who debugs a sync must know whose script it was, and which audit tool."""
    assert "The archive's scripts: " in built
    assert ", 3 files" in built
    assert "syncOneWork.sh: the archive's own, " in built
    assert "audit-tool: audit-tool 1.2.3" in built
    assert "  toposort==1.9\n" in built.partition("The archive's scripts', in /opt/archive/venv:")[2]
    assert "  toposort==1.10\n" in built.partition("The archive's scripts', in /opt/archive/venv:")[0]


def test_the_archive_s_script_sees_its_own_python_and_its_neighbours(built: str) -> None:
    """Its requirements and ours cannot both be met in one environment; merged, one of the two breaks."""
    said = _in_image("syncOneWork.sh", "-s", "list", "work")
    assert said.splitlines() == ["/opt/archive/venv 1.9", "no dagster", "a neighbour", "an audit"]


def test_the_platform_sees_none_of_it(built: str) -> None:
    """A script of the collection that is called `python` must not become the platform's."""
    said = _in_image(
        "python", "-c", "import toposort, dagster, sys, importlib.metadata as m; print(m.version('toposort'))"
    )
    assert said.strip() == "1.10"
    assert "missing" in _in_image("sh", "-c", "command -v neighbour.sh || echo missing")


def test_what_git_does_not_know_stays_out(built: str) -> None:
    """A work tree is where credentials lie about."""
    assert "credentials" not in _in_image("find", "/opt/archive/scripts")
