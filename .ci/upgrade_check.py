"""Tries the newest Dagster that there is: ``make upgrade-check``.

It makes a fresh environment of what constraints.txt has, takes Dagster and its libraries there as new as the index has
them in step, with no more of the rest than they need, and tries the contracts: with Dagster's private names, with its
settings, and with bagit. What is new is taken without a hash, for none is known. Exits with 0 where all hold, and
with 1 where one does not or nothing could be installed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PLACE = CHECKOUT / ".build/upgrade-check"
PYTHON = PLACE / "bin/python"
EXTRAS = ("kubernetes", "stack")
CONTRACTS = ("ao_workflows_tests/test_dagster_contracts.py", "ao_workflows_tests/bags/test_bagit_in_memory.py")


def main() -> int:
    libraries = dagster_libraries()
    shutil.rmtree(PLACE, ignore_errors=True)
    print(f"Making {PLACE.relative_to(CHECKOUT)} of what constraints.txt has: some minutes", flush=True)
    run(sys.executable, "-m", "venv", str(PLACE))
    run(str(PYTHON), ".ci/install.py", *EXTRAS, "pytest", "pytest-timeout")
    run(*pip("install"), "--no-deps", "--no-index", "--no-build-isolation", "-e", ".")
    before = installed()
    print("Taking Dagster and its libraries as new as they go together", flush=True)
    run(*pip("install"), "--upgrade", "--upgrade-strategy", "only-if-needed", *libraries)
    tried = installed()
    for name in sorted(tried):
        if name.startswith("dagster"):
            print(f"  {name:<18} {before.get(name, 'none'):>9} -> {tried[name]}")
    if others := [name for name in tried if not name.startswith("dagster") and tried[name] != before.get(name)]:
        print("  with it:", ", ".join(f"{name} {before.get(name, 'none')} -> {tried[name]}" for name in others))
    newest = re.search(r"\((.+)\)", run(*pip("index"), "versions", "dagster"))
    if newest and newest[1] != tried["dagster"]:
        print(f"  dagster {newest[1]} is there too, and not yet every library that goes with it")
    outside = [line for line in run(*pip("check"), fails=True).splitlines() if line.startswith("ao-workflows ")]
    print("Trying the contracts", flush=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AO_", "DAGSTER_"))}
    words = [str(PYTHON), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", *CONTRACTS]
    failed = subprocess.run(words, cwd=CHECKOUT, env=environment, check=False).returncode
    what = f"dagster {tried['dagster']} with the libraries {tried['dagster-postgres']}"
    if failed:
        print(f"NOT YET: with {what} something of ours no longer works; see above")
        return 1
    print(f"All contracts hold with {what}")
    if outside:
        print(
            "pyproject.toml does not let it in yet; widen the range there, then `make constraints`:",
            *outside,
            sep="\n  ",
        )
    return 0


def dagster_libraries() -> list[str]:
    """Dagster and its libraries, as pyproject.toml names them, of whatever version."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *(each for extra in EXTRAS for each in project["optional-dependencies"][extra])]
    names = [match[0] for each in needed if (match := re.match(r"[A-Za-z0-9-]+", each))]
    return sorted(name for name in names if name.startswith("dagster"))


def pip(command: str) -> list[str]:
    return [str(PYTHON), "-m", "pip", command, "--disable-pip-version-check"]


def installed() -> dict[str, str]:
    lines = run(*pip("freeze"), "--exclude-editable").splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def run(*words: str, fails: bool = False) -> str:
    """What a command prints.

    :param fails: whether it may fail.
    """
    ran = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if ran.returncode and not fails:
        sys.exit(f"{ran.stdout}{ran.stderr}\nfailed: {' '.join(words)}")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
