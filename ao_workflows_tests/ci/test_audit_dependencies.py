"""What is made of pip-audit's report: a fault is an exit code, and what was not looked up is no pass."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from ao_workflows_tests.conftest import CHECKOUT

KNOWN = {"name": "dagster", "version": "1.13.27", "vulns": []}
FAULTY = {"name": "yarl", "version": "1.25.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.25.2"]}]}
UNKNOWN = {"name": "isal", "skip_reason": "Dependency not found on PyPI"}


def verdict(*found: dict[str, Any]) -> int:
    return _script().verdict(json.dumps({"dependencies": found}), "WARNING: something", "the database")  # type: ignore[no-any-return]


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("audit_dependencies", CHECKOUT / ".ci/audit_dependencies.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_known_fault_is_named_with_its_cure_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that looks at the exit code alone must stop."""
    assert verdict(KNOWN, FAULTY) == 1
    assert "yarl 1.25.1: PYSEC-1, mended in 1.25.2" in capsys.readouterr().out


def test_what_could_not_be_looked_up_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """pip-audit says `No known vulnerabilities found` of it."""
    assert verdict(KNOWN, UNKNOWN) == 0
    out = capsys.readouterr().out
    assert "1 packages looked up in the database: no known faults" in out
    assert "isal" in out


def test_a_database_that_knows_nothing_is_no_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """Behind a mirror without PyPI's own pages every package is unknown, and all seemed well."""
    assert verdict(UNKNOWN, UNKNOWN) == 0
    assert capsys.readouterr().out.startswith("SKIPPED, nothing was looked up: the database knows none of the 2")


def test_without_a_network_it_is_skipped_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A green line would say that somebody had looked."""
    assert _script().verdict("", "Traceback\nConnectionError: no route to host\n", "the database") == 0
    assert capsys.readouterr().out == (
        "SKIPPED, nothing was looked up: the database does not answer: ConnectionError: no route to host\n"
    )


def test_an_auditor_that_cannot_be_had_is_skipped_with_pips_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """What stands last is what to do about it, and no reason."""
    assert _script().not_installed("ERROR: No matching distribution found for pip-audit\nit was not installed\n") == 0
    assert "cannot be installed: ERROR: No matching distribution" in capsys.readouterr().out


def test_an_auditor_that_is_not_the_locked_one_is_no_skip(capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody has put another file into its place."""
    said = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    pip-audit==1\n"
    assert _script().not_installed(said) == 1
    assert "pip-audit==1" in capsys.readouterr().out
