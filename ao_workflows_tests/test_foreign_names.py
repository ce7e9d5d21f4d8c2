"""Whose names stand in which room: Dagster's private ones in ``instance/``, and each vendor's client in its own.

The layers are import-linter's. What it cannot say is held here: names that are private by an underscore or by never
having been documented, and names that are written as text.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import dagster as dg
import pytest
from dagster._annotations import is_public

from ao_workflows_tests.test_dagster_contracts import UNDOCUMENTED

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = sorted(path.relative_to(CHECKOUT).as_posix() for path in (CHECKOUT / "ao_workflows").rglob("*.py"))

INSTANCE = "ao_workflows/instance/"

ROOMS = {
    "apprise": (),
    "awscrt": ("ao_workflows/fixity/",),
    "bagit": ("ao_workflows/bags/bagit_in_memory.py",),
    "boto3": ("ao_workflows/aws/", "ao_workflows/instance/compute_logs_on_s3.py"),
    "botocore": ("ao_workflows/aws/", "ao_workflows/instance/compute_logs_on_s3.py"),
    "celery": (INSTANCE,),
    "docker": (INSTANCE,),
    "grpc": (INSTANCE,),
    "grpc_health": (INSTANCE,),
    "isal": ("ao_workflows/bags/", "ao_workflows/deep_copy/"),
    "kombu": (INSTANCE,),
    "kubernetes": (),
    "moto": ("ao_workflows/demo/",),
    "psutil": ("ao_workflows/machine/",),
    "psycopg2": (),
    "pymysql": ("ao_workflows/drs/",),
    "redis": (INSTANCE,),
    "s3transfer": ("ao_workflows/aws/",),
    "sqlalchemy": ("ao_workflows/drs/", "ao_workflows/instance/old_records.py"),
    "uvicorn": (INSTANCE,),
}
"""The vendors' clients, and the rooms that may import each. ``compute_logs_on_s3`` catches what dagster-aws's manager
lets through of boto3's errors; ``old_records`` deletes rows in tables that Dagster declares with SQLAlchemy."""

PRIVATE_OF_OTHERS = {
    "ao_workflows/aws/connections.py": {"_cache"},  # botocore reads each service's description anew for each client
    "ao_workflows/aws/ranges.py": {"_raw_stream"},  # botocore gives no other way of hurrying a stalled read
    "ao_workflows/machine/processes.py": {"_HANDLER"},  # the type checkers' name for what ``signal`` has no name for
}
"""Private names of other libraries than Dagster's, each with its reason."""

_OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
_NAMED_AS_TEXT = re.compile(r"\bdagster(_\w+)?(\.\w+)*\._\w+")


def private_names(path: str, code: str) -> Iterator[str]:
    """What a module names that Dagster or its libraries have not made public, where it may not."""
    if path.startswith(INSTANCE):
        return
    tree = ast.parse(code)
    theirs = PRIVATE_OF_OTHERS.get(path, ())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        for module, name in imported(node):
            library = module.partition(".")[0]
            if library.startswith("dagster_") or (library == "dagster" and (module != library or name.startswith("_"))):
                yield f"{path}:{node.lineno}: {module} {name}".rstrip()
        if (
            isinstance(node, ast.Attribute)
            and is_private(node.attr)
            and not (is_own(node.value) or node.attr in theirs)
        ):
            yield f"{path}:{node.lineno}: .{node.attr}"
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "hasattr", "setattr"):
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            if is_private(str(name)) and name not in theirs:
                yield f"{path}:{node.lineno}: .{name}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for found in _NAMED_AS_TEXT.finditer(node.value):
                yield f"{path}:{node.lineno}: {found[0]}"


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The modules that a node imports, each with the name that it takes of it; by ``import_module`` too."""
    if isinstance(node, ast.Import):
        yield from ((each.name, "") for each in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from ((node.module, each.name) for each in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if called in ("import_module", "find_spec", "__import__"):
            yield str(node.args[0].value), ""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in _OF_NAMED_TUPLES


def is_own(value: ast.expr) -> bool:
    """Whether a private name of this is the class's own, as far as can be read; its bases are looked at apart."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def vendors_astray(path: str, code: str) -> Iterator[str]:
    """The vendors' clients that a module imports, and may not."""
    for node in ast.walk(ast.parse(code)):
        for module, _ in imported(node):
            rooms = ROOMS.get(module.partition(".")[0])
            if rooms is not None and not path.startswith(rooms):
                yield f"{path}:{node.lineno}: {module}"  # type: ignore[attr-defined]


def undocumented_names(path: str, code: str) -> Iterator[str]:
    """What a module uses of Dagster's instance that is undocumented, and is tried by no contract."""
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = getattr(node.value, "attr", getattr(node.value, "id", ""))
        if owner in ("instance", "_instance", "DagsterInstance") and not is_documented(node.attr):
            yield f"{path}:{node.lineno}: instance.{node.attr}"


def is_documented(name: str) -> bool:
    """Whether Dagster documents this of its instance, or a contract tries it, or the instance has no such thing."""
    if name in UNDOCUMENTED or not hasattr(dg.DagsterInstance, name):
        return True
    found = inspect.getattr_static(dg.DagsterInstance, name)
    return is_public(getattr(found, "__func__", found))


def names_of_bases(module: str) -> Iterator[str]:
    """The private names that a module's classes use or replace of Dagster classes which they extend."""
    loaded = importlib.import_module(module)
    for node in ast.walk(ast.parse(inspect.getsource(loaded))):
        kind = getattr(loaded, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not isinstance(kind, type) or kind.__module__ != module:
            continue
        theirs = [base for base in kind.__mro__ if base.__module__.partition(".")[0].startswith("dagster")]
        used = {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute) and is_own(each.value)}
        for name in sorted({*used, *vars(kind)}):
            if is_private(name) and not name.startswith("_abc") and any(name in vars(base) for base in theirs):
                yield f"{module}.{kind.__name__}: {name}"


def in_the_package(found: Callable[[str, str], Iterator[str]]) -> list[str]:
    return [each for path in PACKAGE for each in found(path, (CHECKOUT / path).read_text())]


def test_private_names_of_dagster_are_in_one_room() -> None:
    """They move without a word; in sixteen files, nobody knew which of them an upgrade would break."""
    assert in_the_package(private_names) == [], "move these to ao_workflows/instance/"


def test_each_vendors_client_is_in_its_room() -> None:
    """Each has its own time-outs, errors and words, which the room keeps to itself."""
    assert in_the_package(vendors_astray) == [], "see ROOMS, and ask the room for it"


def test_what_is_undocumented_of_the_instance_is_tried() -> None:
    """A method without an underscore may go as well; ``UNDOCUMENTED`` says what breaks then."""
    assert in_the_package(undocumented_names) == [], "write these into UNDOCUMENTED, with what breaks"
    package = "".join((CHECKOUT / path).read_text() for path in PACKAGE)
    assert [name for name in UNDOCUMENTED if not re.search(rf"\b{name}\b", package)] == [], "nothing uses these"


def test_no_class_hangs_on_private_names_of_a_dagster_class() -> None:
    """A name of ours that Dagster's base has too is Dagster's, whoever wrote it first."""
    modules = [path for path in PACKAGE if not path.startswith(INSTANCE) and "dg." in (CHECKOUT / path).read_text()]
    names = [
        PurePosixPath(path).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__") for path in modules
    ]
    assert [each for name in names for each in names_of_bases(name)] == []


@pytest.mark.parametrize(
    "code",
    [
        "from dagster._core.storage.tags import RUN_KEY_TAG",
        "import dagster._time",
        "from dagster import _check",
        "def late():\n    from dagster_postgres.utils import DagsterPostgresException",
        "import dagster as dg\ndg._core",
        "def look(instance): return instance._run_storage",
        "def look(manager): return getattr(manager, '_base_dir', None)",
        "import importlib\nimportlib.import_module('dagster._core')",
        "WORDS = ['-m', 'dagster._daemon', 'run']",
    ],
)
def test_a_private_name_is_found_wherever_it_is_put(code: str) -> None:
    """A check that finds nothing holds nothing."""
    assert len(list(private_names("ao_workflows/status/runs.py", code))) >= 1
    assert list(private_names("ao_workflows/instance/opening.py", code)) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("ao_workflows/intake/sqs.py", "import boto3"),
        ("ao_workflows/cli/status.py", "def late():\n    from botocore.exceptions import ClientError"),
        ("ao_workflows/status/gathering.py", "from sqlalchemy import select"),
        ("ao_workflows/instance/opening.py", "import sqlalchemy.exc"),
        ("ao_workflows/health/connections.py", "import pymysql"),
        ("ao_workflows/defs/sensors/lost_runs.py", "from celery import Celery"),
        ("ao_workflows/services/running.py", "import docker"),
        ("ao_workflows/bags/rules.py", "import bagit"),
        ("ao_workflows/services/running.py", "import uvicorn"),
        ("ao_workflows/cli/__init__.py", "from importlib import import_module\nimport_module('boto3')"),
    ],
)
def test_a_client_outside_its_room_is_found(path: str, code: str) -> None:
    """A check that finds nothing holds nothing."""
    assert len(list(vendors_astray(path, code))) == 1


def test_an_undocumented_method_that_no_contract_tries_is_found() -> None:
    """A check that finds nothing holds nothing."""
    code = "def look(context): return context.instance.get_run_stats('a')"
    assert len(list(undocumented_names("ao_workflows/status/runs.py", code))) == 1
    assert list(undocumented_names("ao_workflows/status/runs.py", code.replace("get_run_stats", "get_run_by_id"))) == []


def test_a_class_that_replaces_a_private_method_of_dagsters_is_found() -> None:
    """The launchers do so, in the room where they may."""
    found = list(names_of_bases("ao_workflows.instance.compute_logs_on_s3"))
    assert "ao_workflows.instance.compute_logs_on_s3.ComputeLogsOnS3: _on_capture_complete" in found
