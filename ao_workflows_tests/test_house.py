"""The house: a room for each subject, no module too large, and for each that decides something a test of its name."""

from __future__ import annotations

import ast
from pathlib import Path
from statistics import median

import pytest

from ao_workflows_tests.conftest import CHECKOUT

PACKAGE, TESTS = CHECKOUT / "ao_workflows", CHECKOUT / "ao_workflows_tests"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

LONGEST = 350
LONGER = {"errors.py": "one tree, drawn at its top"}

ONLY_WIRE = {
    "bags/debagger.py": "hands a site's settings to bags/debagging.py",
    "cli/demo.py": "calls demo/run.py, which e2e/test_demo.py runs",
    "defs/restore/partitions.py": "one definition",
    "demo/aws.py": "asks the emulated AWS, one call a function; e2e/test_demo.py runs it",
    "demo/run.py": "calls the demo's other modules in their order; e2e/test_demo.py runs it",
    "demo/trial.py": "calls the demo's other modules in their order; stack/test_works.py runs it",
    "fixity/algorithms.py": "one table",
    "instance/reader_rights.py": "SQL; instance/test_storage_reader.py has PostgreSQL refuse what it refuses",
    "instance/run_jobs.py": "hands to dagster-k8s what instance/own_code.py decides; docker/test_kubernetes.py does it",
    "works/run_tags.py": "names; test_dagster_contracts.py holds each against Dagster's own",
}
"""The modules that decide nothing, each with what it does instead."""


def name_of(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_each_module_that_decides_something_has_a_test_of_its_own_name(module: Path) -> None:
    """A rule whose test nobody finds is changed without it; one that has no test is changed by chance."""
    test = TESTS / module.relative_to(PACKAGE).with_name(f"test_{module.name}")
    assert name_of(module) in ONLY_WIRE or test.is_file(), f"there is no {test.relative_to(CHECKOUT)}"


@pytest.mark.parametrize("module", sorted(ONLY_WIRE))
def test_each_exception_is_still_there_and_needs_to_be_one(module: str) -> None:
    """A list of exceptions that nobody prunes lets the next module through by an old name."""
    assert (PACKAGE / module).is_file()
    assert not (TESTS / module).with_name(f"test_{Path(module).name}").exists(), f"{module} has a test of its own name"


@pytest.mark.parametrize("test", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.relative_to(TESTS).as_posix())
def test_each_test_says_which_failure_it_prevents(test: Path) -> None:
    """Whoever breaks it must see whether it was right, or is not needed any more."""
    tree = ast.parse(test.read_text())
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert tests
    for each in tests:
        assert ast.get_docstring(each), f"{each.name} does not say which failure it prevents"


def test_no_module_holds_more_than_one_thing() -> None:
    """Past this length nobody reads a module before changing it."""
    lines = {name_of(module): len(module.read_text().splitlines()) for module in PACKAGE.rglob("*.py")}
    assert {name for name, count in lines.items() if count > LONGEST} <= LONGER.keys()
    assert median(lines.values()) < 110


@pytest.mark.parametrize("room", sorted({module.parent for module in MODULES}), ids=name_of)
def test_each_room_says_what_belongs_there(room: Path) -> None:
    """Who looks for the place of something new reads these first."""
    assert ast.get_docstring(ast.parse((room / "__init__.py").read_text()))
