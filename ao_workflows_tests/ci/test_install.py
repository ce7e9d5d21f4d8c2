"""``.ci/install.py`` with a real pip and an index that is a folder: a file that is not the locked one is refused."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ao_workflows_tests.conftest import CHECKOUT

PROJECT = """
[build-system]
requires = ["builder"]
[project]
name = "ours"
dependencies = ["first>=0.5"]
[project.optional-dependencies]
tool = ["lonely"]
more = ["ours[tool]"]
"""


class Site:
    """A checkout with a lock file, and the index that it was made from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.index, self.target = folder, folder / "index", folder / "installed"
        self.index.mkdir()
        (folder / ".ci").mkdir()
        shutil.copy(CHECKOUT / ".ci/install.py", folder / ".ci")
        (folder / "pyproject.toml").write_text(PROJECT)
        entries = {
            "builder": "ours (pyproject.toml)",
            "first": "ours (pyproject.toml)",
            "second": "first",
            "lonely": "",
        }
        lines = []
        for name, needed_by in entries.items():
            needs = "Requires-Dist: second>=0.1\n" if name == "first" else ""
            lines.append(f"{name}==1.0 \\\n    --hash=sha256:{self.put(name, needs)}\n    # via {needed_by}\n")
        (folder / "constraints.txt").write_text("".join(lines))

    def put(self, name: str, needs: str = "", code: str = "") -> str:
        """Puts a package into the index, and tells its hash."""
        wheel = self.index / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as opened:
            opened.writestr(f"{name}.py", code)
            opened.writestr(
                f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}"
            )
            opened.writestr(
                f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            opened.writestr(f"{name}-1.0.dist-info/RECORD", "")
        return hashlib.sha256(wheel.read_bytes()).hexdigest()

    def install(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")} | {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PIP_TARGET": str(self.target),
            "PYTHONPATH": str(self.target),
        }
        command = [sys.executable, self.folder / ".ci/install.py", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def script(self) -> Any:
        """The module itself."""
        spec = importlib.util.spec_from_file_location("install", self.folder / ".ci/install.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def installed(self) -> list[str]:
        return sorted(path.stem for path in self.target.glob("*.py"))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_a_word_needs_is_installed_and_no_more(site: Site) -> None:
    """The project's own, what that needs in turn, and what builds it; of the extras, the one that is named."""
    assert site.install().returncode == 0
    assert site.installed() == ["builder", "first", "second"]


def test_an_extra_is_found_through_another_one(site: Site) -> None:
    """``test`` is ``ao-workflows[demo,stack]`` and some more."""
    assert list(site.script().requirements(["more"], alone=True)) == ["lonely"]


def test_a_file_that_is_not_the_locked_one_is_refused(site: Site) -> None:
    """Whoever may change the index would have his code executed with all secrets, be it as the need of a need."""
    site.put("second", code="print('not what was looked at')")
    done = site.install()
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert "second==1.0" in done.stderr
    assert "it was not installed" in done.stderr
    assert site.installed() == []


def test_a_need_that_is_not_locked_is_refused(site: Site) -> None:
    """What the lock file lacks must neither be whatever the index has, nor be missed at its first use."""
    lock = site.folder / "constraints.txt"
    lock.write_text(lock.read_text().replace("# via first", "# via nobody"))
    done = site.install()
    assert done.returncode == 1
    assert "first 1.0 requires second, which is not installed" in done.stderr
    assert "second" not in site.installed()


def test_a_file_that_would_have_to_be_built_is_refused(site: Site) -> None:
    """pip builds in an environment of its own, and what it takes into that has no hash."""
    (site.index / "lonely-1.0-py3-none-any.whl").unlink()
    with zipfile.ZipFile(site.index / "lonely-1.0.zip", "w") as opened:
        opened.writestr("lonely-1.0/setup.py", "raise SystemExit('was executed')")
    done = site.install("--alone", "tool")
    assert done.returncode == 1
    assert "was executed" not in done.stderr
    assert "No matching distribution found for lonely==1.0" in done.stderr


def test_a_word_that_says_nothing_is_refused(site: Site) -> None:
    """A misspelt extra would be an environment without what it was to bring."""
    done = site.install("tols")
    assert done.returncode == 2
    assert done.stderr == (
        "install.py: tols is no extra of pyproject.toml, and is not in constraints.txt: make constraints\n"
    )


def test_the_lock_file_has_hashes_and_no_place() -> None:
    """One entry without a hash is one that may be anything; one with an address works on one machine only."""
    text = (CHECKOUT / "constraints.txt").read_text()
    assert not re.search(r"://|--(?!hash=)|\bfile:|@", text)
    entries = re.findall(r"^[^\s#].*\n(?:[ \t]+.*\n)*", text, flags=re.MULTILINE)
    assert len(entries) > 170
    for entry in entries:
        kept = re.sub(r"^ +#.*\n", "", entry, flags=re.MULTILINE)
        assert re.fullmatch(
            r"[a-z0-9-]+==[A-Za-z0-9_.+!-]+( ; [^\\\n]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n", kept
        ), entry


def test_each_extra_can_be_had_from_the_lock_file(site: Site) -> None:
    """An extra whose need is not locked shows when somebody makes a new environment, which is the worst time."""
    script = site.script()
    script.CHECKOUT = CHECKOUT
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in extras:
        assert script.requirements([extra], alone=False)
    image = set(script.requirements(["stack", "kubernetes"], alone=False))
    assert {"setuptools", "dagster-pipes"} <= image, "what builds it, and a need of a need"
    assert not {"pytest", "moto", "ruff", "uv"} & image


def test_a_package_that_is_named_as_an_extra_is_found_as_a_need(site: Site) -> None:
    """``dagster-k8s`` needs ``kubernetes``, which is an extra of the project too."""
    script = site.script()
    script.CHECKOUT = CHECKOUT
    locked = script.read((CHECKOUT / "constraints.txt").read_text())
    for extra in script.extras():
        wanted = script.requirements([extra], alone=False).keys()
        assert [name for name, (_, needed_by) in locked.items() if needed_by & wanted and name not in wanted] == []
