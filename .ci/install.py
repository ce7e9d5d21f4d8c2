"""Installs what constraints.txt has, into the environment whose Python runs this: ``install.py [--alone] WORD…``.

A WORD is an extra of pyproject.toml, or a package that constraints.txt has. With them come what they need, what the
project itself needs, and what builds it; with ``--alone`` none of the project's. pip takes a file only where its hash
is in constraints.txt. It builds nothing but what has an extra ``NAME-build``, which is installed first: what pip would
take by itself to build something has no hash.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
INSTALL = (
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--require-hashes",
    "--only-binary",
    ":all:",
)
REFUSED = """install.py: it was not installed. Where the hashes differ, what the index has is not what was locked:
do not install it by another way, and find out which of the two is right. Where a version or a file is missing, the
index has not all of constraints.txt, or nobody made it for this machine. `make constraints` locks what pyproject.toml
asks for, and keeps the versions that are there."""


def main(words: list[str]) -> int:
    alone = "--alone" in words
    try:
        wanted = requirements([word for word in words if word != "--alone"], alone=alone)
        built = [name for name in wanted if f"{name}-build" in extras()]
        builders = requirements([f"{name}-build" for name in built], alone=True)
    except LookupError as error:
        print(f"install.py: {error.args[0]}", file=sys.stderr)
        return 2
    done = install(builders.values()) if built else 0
    from_source = [word for name in built for word in ("--no-binary", name)]
    done = done or install(wanted.values(), "--no-build-isolation", *from_source)
    # Each entry was asked for by itself; this finds what none of them brought.
    done = done or subprocess.run([sys.executable, "-m", "pip", "check"], stdout=2, check=False).returncode
    if done:
        print(REFUSED, file=sys.stderr)
    return done


def install(entries: Iterable[str], *options: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "locked.txt")
        listed.write_text("".join(entries))
        words = [sys.executable, "-m", "pip", *INSTALL, *options, "-r", str(listed)]
        return subprocess.run(words, check=False).returncode


def extras() -> dict[str, list[str]]:
    found: dict[str, list[str]] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    return found


def requirements(words: Iterable[str], *, alone: bool) -> dict[str, str]:
    """The part of constraints.txt that is installed for some words: of each package its entry, with its hashes."""
    stated = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    project, locked = stated["project"], read((CHECKOUT / "constraints.txt").read_text())
    asked = [] if alone else [*stated["build-system"]["requires"], *project["dependencies"]]
    known, opened = extras(), set[str]()
    stack = [*asked, *words]
    needed: list[str] = []
    while stack:
        each = stack.pop()
        if each in known:
            further = {each}
        elif name_of(each) == name_of(project["name"]):
            further = set(re.findall(r"[\w-]+", each.partition("[")[2].partition("]")[0]))
        else:
            needed.append(each)
            continue
        stack += [need for extra in sorted(further - opened) for need in known[extra]]
        opened |= further
    wanted: set[str] = set()
    while needed:
        # A package may be named as an extra of ours is.
        name = name_of(each := needed.pop())
        if name not in locked:
            raise LookupError(f"{each} is no extra of pyproject.toml, and is not in constraints.txt: make constraints")
        if name not in wanted:
            wanted.add(name)
            needed += [other for other, (_, needed_by) in locked.items() if name in needed_by]
    return {name: locked[name][0] for name in sorted(wanted)}


def read(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Of each package its entry, and what needs it, as uv notes it behind ``# via``."""
    entries = re.findall(r"^[^\s#].*\n(?:[ \t]+.*\n)*", lock, flags=re.MULTILINE)
    found = {}
    for entry in entries:
        lines = entry.splitlines(keepends=True)
        notes = [
            line.strip().lstrip("# ").removeprefix("via").strip() for line in lines if line.strip().startswith("#")
        ]
        kept = "".join(line for line in lines if not line.strip().startswith("#"))
        found[name_of(entry)] = (kept.rstrip("\\\n ") + "\n", {name_of(note) for note in notes if note})
    return found


def name_of(requirement: str) -> str:
    """A package's name, in the one form that an index knows."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
