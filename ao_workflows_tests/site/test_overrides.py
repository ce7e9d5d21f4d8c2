"""Variables that were meant to override a setting, and do not by their spelling."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ao_workflows.site.loading import parse
from ao_workflows.site.sections import CHECKOUT
from ao_workflows_tests.support.site_texts import OVERRIDES, WHOLE, mistakes, variable


def test_an_override_by_a_former_name_is_refused_with_the_name_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose variables were forgotten in the renaming would read another queue than it was to."""
    monkeypatch.setenv("AO_INTAKE__BDRC__QUEUE", "Other")
    told = mistakes(WHOLE.replace('name = "fpl"', 'name = "fpl"\nformerly = ["bdrc"]'))
    assert told[0] == ("AO_INTAKE__BDRC__QUEUE: the intake bdrc is called fpl now; is AO_INTAKE__FPL__QUEUE meant?")


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("AO_STAGNG__ROOT", "is AO_STAGING__ROOT meant"),
        ("AO_STAGING_ROOT", "is AO_STAGING__ROOT meant"),
        ("AO_ENVIROMENT", "is AO_ENVIRONMENT meant"),
        ("AO_INTAK__FPL__QUEUE", "is AO_INTAKE__FPL__QUEUE meant"),
        ("AO_Enviroment", "is AO_ENVIRONMENT meant"),
        ("AO_XYZZY__PLUGH", "there is no section xyzzy"),
    ],
)
def test_an_override_that_is_misspelt_is_refused_with_the_name_that_is_near(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    """Ignored, it lets the site work on the disk, or with the queue, that it was to leave alone."""
    monkeypatch.setenv(variable, "/data")
    (told,) = mistakes(WHOLE)
    assert told.startswith(f"{variable}: overrides no setting; ")
    assert meant in told


def test_no_variable_that_the_project_reads_is_taken_for_a_misspelt_override(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose, the tests and a person's shell have variables of their own that begin like an override."""
    found: set[str] = set()
    for place in ("ao_workflows", "ao_workflows_tests", "docker", "docs", "docker-compose.yml", "Makefile"):
        top = CHECKOUT / place
        for path in top.rglob("*") if top.is_dir() else [top]:
            if path.is_file() and path.suffix not in {".png", ".pyc"} and path != Path(__file__):
                found |= set(re.findall(r"\bAO_[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
    own = found - {variable(key) for key in OVERRIDES}
    assert {"AO_SITE", "AO_PORT", "AO_PICTURES", "AO_SERVICE", "AO_UP"} <= own
    for name in own:
        monkeypatch.setenv(name, "/data")
    assert parse(WHOLE, "site.toml")
