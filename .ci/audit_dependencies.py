"""Looks constraints.txt up in a database of known faults: ``make audit-dependencies``.

pip-audit asks PyPI's own database, or with AUDIT_DATABASE an OSV server that the site has, such as
https://osv.example.org/v1/query. Exits with 0 where nothing is known against any version, with 1 where something is,
and with 0 and the reason where it had to be skipped: without a network, or a database that does not answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PLACE = CHECKOUT / ".build/audit-dependencies"


def main() -> int:
    auditor = [str(PLACE / "bin/python"), "-m", "pip_audit"]
    if not Path(auditor[0]).exists():
        print(f"Installing pip-audit in {PLACE.relative_to(CHECKOUT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(PLACE)], check=True)
    words = [auditor[0], ".ci/install.py", "--alone", "audit"]
    patience = {"PIP_RETRIES": "1"} | os.environ
    done = subprocess.run(words, cwd=CHECKOUT, env=patience, capture_output=True, text=True, check=False)
    if done.returncode:
        return not_installed(done.stderr)
    words = [
        "--requirement",
        "constraints.txt",
        "--no-deps",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    ]
    if database := os.environ.get("AUDIT_DATABASE"):
        words += ["--vulnerability-service", "osv", "--osv-url", database]
    done = subprocess.run([*auditor, *words, *sys.argv[1:]], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    return verdict(done.stdout, done.stderr, database or "the database of PyPI")


def verdict(found: str, said: str, database: str) -> int:
    """Prints what pip-audit has found, and returns the exit code.

    :param found: its report, in JSON; ``said`` is what it wrote besides.
    """
    try:
        looked_at = json.loads(found)["dependencies"]
    except (ValueError, KeyError):
        return skipped(f"{database} does not answer", said)
    # pip-audit finds no fault in what it could not look up, and exits with 0.
    unknown = [each["name"] for each in looked_at if "skip_reason" in each]
    if len(unknown) == len(looked_at):
        return skipped(f"{database} knows none of the {len(looked_at)} packages", said)
    faults = 0
    for each in looked_at:
        for fault in each.get("vulns", ()):
            faults += 1
            mended = ", ".join(fault["fix_versions"]) or "no version"
            print(f"{each['name']} {each['version']}: {fault['id']}, mended in {mended}")
    print(f"{len(looked_at) - len(unknown)} packages looked up in {database}: {faults or 'no'} known faults")
    if unknown:
        print(f"Not looked up, since it does not know them: {', '.join(unknown)}")
    return 1 if faults else 0


def not_installed(said: str) -> int:
    """What pip says of its failure: a file that is not the one that was locked is a fault, and nothing to skip."""
    if "DO NOT MATCH THE HASHES" in said:
        print(said)
        return 1
    errors = [line for line in said.splitlines() if line.startswith("ERROR:")]
    return skipped("pip-audit cannot be installed", "\n".join(errors) or said)


def skipped(what: str, said: str) -> int:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    print(f"SKIPPED, nothing was looked up: {what}: {lines[-1] if lines else 'no reason was given'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
