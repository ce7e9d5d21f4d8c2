"""The stages of a restore: one enumeration has their names, and all else takes them from there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

import ao_workflows
from ao_workflows.definitions import defs
from ao_workflows.works.stages import RUN_STAGES, Stage

PACKAGE = Path(ao_workflows.__file__).parent
NAME = re.compile("|".join(Stage))


def _texts(source: str) -> Iterator[str]:
    """The texts in a module that the program uses: all but documentation."""
    tree = ast.parse(source)
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_the_assets_of_a_restore_are_called_as_its_stages_are() -> None:
    """A run's config, its receipts and DRS name a stage by the one, and Dagster by the other."""
    graph = defs.resolve_asset_graph()
    restore = [key.to_user_string() for key in graph.toposorted_asset_keys if graph.get(key).group_name == "restore"]
    assert restore == list(RUN_STAGES)
    job = defs.resolve_job_def("restore_work")
    assert isinstance(job, dg.JobDefinition)
    assert {node.name for node in job.nodes} == set(RUN_STAGES)


def test_no_other_module_spells_a_stage_s_name() -> None:
    """A stage that is renamed in all places but one is never found there again, and nothing says so."""
    assert list(_texts('"""downloaded_bag"""\nx = f"--select {y} synced_archive+"')) == [
        "--select ",
        " synced_archive+",
    ]
    modules = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "works/stages.py"]
    assert len(modules) > 100
    spelt = [
        f"{path.relative_to(PACKAGE)}: {text!r}"
        for path in modules
        for text in _texts(path.read_text())
        if NAME.search(text)
    ]
    assert spelt == []
