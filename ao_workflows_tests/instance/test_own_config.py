"""What a run may be configured with: what its stages are told, and no setting of the site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ao_workflows.definitions import build
from ao_workflows.errors import RunRefused
from ao_workflows.instance.own_config import brought_settings, refuse_brought
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse

TOLD = {"intake": "demo", "name": "ObjectRestore:Completed", "size": None, "force": False}
ELSEWHERE = {
    "demo": {"region": "us-east-1", "endpoint_url": "http://evil.example", "credentials_file": "/run/secrets/aws"}
}

BROUGHT: list[tuple[dict[str, Any], list[str]]] = [
    ({"resources": {"s3": {"config": {"connections": ELSEWHERE}}}}, ["configuration of resources.s3"]),
    ({"resources": {"staging": {"config": {"root": "/mnt"}}}}, ["configuration of resources.staging"]),
    ({"resources": {"debagger": {"config": {"memory_mib": 1 << 20}}}}, ["configuration of resources.debagger"]),
    ({"resources": {"io_manager": {"config": {"base_dir": "/mnt"}}}}, ["configuration of resources.io_manager"]),
    ({"execution": {"config": {"multiprocess": {}}}}, ["configuration of execution.config"]),
    ({"loggers": {"console": {"config": {"name": {"env": "TOKEN"}}}}}, ["configuration of loggers.console"]),
    (
        {"ops": {"restored_message": {"config": {"key": {"env": "TOKEN"}}}}},
        ["value of ops.restored_message.config.key"],
    ),
    ({"ops": {"a": {"config": {"others": ["W1", {"env": "TOKEN"}]}}}}, ["value of ops.a.config.others"]),
    ({"ops": {"a": {"inputs": {"b": {"pickle": {"path": "/staging/evil"}}}}}}, ["configuration of ops.a.inputs"]),
    ({"ops": {"a": {"ops": {"b": {"config": {}}}}}}, ["configuration of ops.a.ops"]),
    ({"inputs": {"b": {"pickle": {"path": "/staging/evil"}}}}, ["configuration of inputs.b"]),
    ({"resources": "evil"}, ["configuration of resources"]),
]


@pytest.mark.parametrize(("run_config", "names"), BROUGHT, ids=[names[0] for _, names in BROUGHT])
def test_a_run_with_settings_of_its_own_is_refused_by_their_names(run_config: dict[str, Any], names: list[str]) -> None:
    """A run had the site's credentials used at a server that the run named, and a variable's value in its log."""
    assert list(brought_settings(run_config)) == names
    with pytest.raises(RunRefused, match=r"site\.toml") as refused:
        refuse_brought("0a1b", brought_settings(run_config))
    assert "evil" not in str(refused.value)
    assert "TOKEN" not in str(refused.value)


@pytest.mark.parametrize(
    "run_config",
    [
        None,
        {},
        {"resources": {}, "execution": {}, "ops": None},
        {"ops": {"restored_message": {"config": TOLD}}},
        {
            "ops": {
                "synced_archive": {"config": {"replace": True, "others": ["W1"], "leave": []}},
                "debagged_work": None,
            }
        },
        {"ops": {"synced_archive": {}}},
    ],
    ids=str,
)
def test_what_the_stages_are_told_is_no_setting(run_config: object) -> None:
    """As the intakes, `ao reprocess` and a person on the page make runs."""
    assert list(brought_settings(run_config)) == []


def test_dagster_takes_what_is_refused_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the tests above show nothing: the scratch disk is the run's, by what a variable says."""
    monkeypatch.setenv("TOKEN", str(tmp_path / "evil"))
    site = parse(demo_site(tmp_path, "http://127.0.0.1:9"), "the test's site")
    told = {"ops": {"restored_message": {"config": TOLD | {"time": {"env": "TOKEN"}}}}}
    evil = told | {"resources": {"staging": {"config": {"root": {"env": "TOKEN"}}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("works", ["W1"])
        job: Any = build(site).resolve_job_def("restore_work")
        job.execute_in_process(evil, instance=instance, partition_key="W1", raise_on_error=False)
    assert (tmp_path / "evil").is_dir()
