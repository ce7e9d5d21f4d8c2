"""A site's clients are built in one place, from its settings, and cost what is asked for."""

from __future__ import annotations

import ast
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows import clients
from ao_workflows.archive.sync_script import SyncScript
from ao_workflows.bags.admission import Terms
from ao_workflows.bags.zip_directory import ZipLimits
from ao_workflows.drs.client import Drs
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse

PACKAGE = Path(clients.__file__).parent
BUILT_ELSEWHERE = {
    ("archive/sync_script.py", "AwsConnection"): "the web's S3, as the script's own environment names it",
    ("archive/web_copy.py", "S3"): "the same, by that connection",
    ("defs/restore/syncing.py", "ArchiveShares"): "of the two resources that a run is given",
    ("demo/aws.py", "AwsConnection"): "the emulated AWS, by the credentials that the demo has just written",
    ("instance/compute_logs_on_s3.py", "AwsConnection"): "where Dagster's logs go, which dagster.yaml says",
    ("upkeep/backup.py", "AwsConnection"): "of the prefix that a person or the site names, which has no intake",
}
"""What is no site's client, or not by its settings alone: each with the reason."""

SITE = """
environment = "dev"
[staging]
root = "/data"
keep = "3 days"
reserve_gib = 7
room_wait_hours = 5
[download]
stall_seconds = 8
restore_wait_hours = 9
[archive]
parent = "/mnt/Archive"
[sync]
script = "syncOneWork.sh"
keep_replaced_days = 4
[drs]
url = "sqlite:////data/drs.sqlite"
"""


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _called(tree: ast.Module) -> Iterator[str]:
    """The names of what is called, without what they are attributes of, and as they are where they come from."""
    others = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield others.get(name, name)


def _client_classes() -> set[str]:
    """The classes that ``clients.py`` imports and calls, but those that only say something to a client."""
    tree = _tree(PACKAGE / "clients.py")
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    no_client = {"DownloadSettings", "StagingLayout", "refuse_other_environment", "store_of"}
    return {name for name in _called(tree) if name in imported} - no_client


def test_a_site_s_clients_are_built_in_one_place() -> None:
    """A second place forgets a setting: three had a scratch disk without the site's reserve."""
    classes = _client_classes()
    assert {"Drs", "Staging", "S3", "Sqs", "Folders", "Debagger", "SyncScript", "ArchiveShares", "Glacier"} <= classes
    elsewhere = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in _called(_tree(path))
        if name in classes and path.name != "clients.py"
    }
    assert elsewhere == set(BUILT_ELSEWHERE)


def test_a_client_that_is_imported_by_another_name_is_found() -> None:
    """A second place would hide behind one word."""
    text = "def late():\n    from ao_workflows.drs.client import Drs as Database\n    return Database(url='sqlite://')"
    assert list(_called(ast.parse(text))) == ["Drs"]


def test_each_client_has_what_the_site_says_of_it() -> None:
    """A setting that reaches no client is one that an operator changes in vain."""
    site = parse(SITE, "the test's site")
    staging, s3, script = clients.staging(site), clients.s3(site), clients.sync_script(site)
    assert (staging.root, staging.keep_days, staging.reserve_gib, staging.room_wait_hours) == ("/data", 3, 7, 5)
    assert (s3.settings.stall_seconds, s3.settings.restore_wait_hours) == (8, 9)
    assert script.keep_replaced_days == 4
    assert clients.drs(site, patience=2).patience == 2
    assert clients.drs(site).url == "sqlite:////data/drs.sqlite"
    assert clients.archive_shares(site).notes.is_relative_to("/data")


def test_no_client_has_a_default_that_the_site_has_not() -> None:
    """A test or a benchmark, which has no site, would try another platform than the one that runs."""
    site = parse(re.sub(r"\n(keep|reserve_gib|\w+_(hours|seconds|days)) = .*", "", SITE), "the test's site")
    client: Any
    found = []
    for client in [*clients.resources(site).values(), clients.s3(site).settings]:
        for name, default in _defaults(type(client)):
            if name not in {"url", "settings"}:
                found.append(name)
                assert getattr(client, name) == default, f"{type(client).__name__}.{name}"
    assert {"keep_days", "reserve_gib", "room_wait_hours", "stall_seconds", "verify", "keep_replaced_days"} <= set(
        found
    )
    debag = site.debag
    limits = ZipLimits(debag.max_members, debag.max_bytes, debag.max_ratio, debag.control_characters, debag.memory_mib)
    assert limits == ZipLimits()
    assert clients.debagger(site).unproven == Terms.unproven


def _defaults(client: Any) -> Iterator[tuple[str, Any]]:
    """What a client has where it is not told, by name."""
    for name, field in getattr(client, "model_fields", {}).items():
        if not field.is_required():
            yield name, field.get_default(call_default_factory=True)
    for field in fields(client) if is_dataclass(client) else ():
        if field.default is not MISSING:
            yield field.name, field.default
        elif field.default_factory is not MISSING:
            yield field.name, field.default_factory()


def test_no_run_s_own_configuration_names_another_script_or_database() -> None:
    """Whoever can write a run into Dagster's storage would have its process execute what he likes, with its secrets."""
    site = parse(SITE, "the test's site")

    @dg.asset
    def seen(sync_script: dg.ResourceParam[SyncScript], drs: dg.ResourceParam[Drs]) -> tuple[str, str | None]:
        return sync_script.script, drs.url

    other = {"script": "/brought", "archive_parent": "/brought", "logs": "/brought", "timeout_minutes": 1}
    brought = {"sync_script": {"config": other}, "drs": {"config": {"url": "sqlite:////brought"}}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [seen], resources=clients.resources(site), run_config={"resources": brought}, instance=instance
        )
    assert result.output_for_node("seen") == (site.sync.script, site.drs.url)


def test_what_has_a_secret_is_no_configuration_and_is_not_printed_with_it() -> None:
    """Dagster shows a resource's configuration to archivists; and what is printed goes into a run's log."""
    word = secrets.token_hex(8)
    url = f"mysql+pymysql://drs:{word}@db/drs"
    text = SITE.replace("sqlite:////data/drs.sqlite", url).replace("[drs]", f'env = {{TOKEN = "{word}"}}\n[drs]')
    site = parse(text, "the test's site")
    resources = clients.resources(site)
    holding = {"drs": resources["drs"].url, "sync_script": resources["sync_script"].env["TOKEN"]}
    assert all(word in held for held in holding.values())
    for name, client in resources.items():
        assert word not in repr(client)
        assert name not in holding or not isinstance(client, dg.ConfigurableResource)
    assert word not in repr(site)


@pytest.mark.parametrize(
    ("made", "spared"),
    [
        ("", ["dagster", "pydantic"]),
        (
            "clients.drs(site); clients.staging(site)",
            ["ao_workflows.aws.s3", "ao_workflows.bags.debagger", "isal", "boto3"],
        ),
        (
            "clients.sqs(site); clients.staging(site)",
            ["ao_workflows.bags.debagger", "ao_workflows.drs.client", "boto3"],
        ),
        ("clients.resources(site)", ["boto3", "botocore", "sqlalchemy", "pymysql", "ao_workflows.glacier.client"]),
    ],
    ids=["none", "as ao status", "as ao intake", "as every run"],
)
def test_a_client_costs_nothing_until_it_is_asked_for(made: str, spared: list[str]) -> None:
    """ao status would wait for the debagger's libraries, and each run for those of AWS."""
    read = f"from ao_workflows.site.loading import parse; site = parse({SITE!r}, 'the site')" if made else ""
    code = f"import sys; from ao_workflows import clients; {read}\n{made}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(spared) & set(done.stdout.split())


@pytest.mark.parametrize("command", ["status", "intake", "reprocess", "restore", "drs", "archive", "backup"])
def test_no_command_loads_the_definitions_or_dagster_before_it_needs_them(command: str) -> None:
    """Help would take a second."""
    code = f"import sys, ao_workflows.cli.{command}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"dagster", "ao_workflows.definitions"} & set(done.stdout.split())


@pytest.mark.parametrize("command", ["intake rejected", "status", "drs init"])
def test_no_command_that_reads_loads_the_definitions(command: str, tmp_path: Path) -> None:
    """ao intake loaded all of them to get two clients: every job, sensor and bag's rule."""
    (tmp_path / "site.toml").write_text(demo_site(tmp_path, None))
    code = (
        "import sys; from ao_workflows.cli import main\n"
        "try: main(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    words = [sys.executable, "-c", code, *command.split()]
    done = subprocess.run(words, env={"AO_SITE": f"{tmp_path}/site.toml"}, capture_output=True, text=True, check=False)
    loaded = set(done.stderr.split())
    assert "ao_workflows.clients" in loaded
    assert not {"ao_workflows.definitions", "ao_workflows.bags.debagger", "ao_workflows.aws.s3", "boto3"} & loaded
