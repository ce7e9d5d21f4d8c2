"""docker-compose.yml and what goes with it, as far as it can be judged without an engine. The rest is in ``stack/``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ao_workflows.instance.storage_reader import PASSFILE, USER
from ao_workflows.site.loading import parse

CHECKOUT = Path(__file__).resolve().parents[2]
COMPOSE, DAGSTER = (
    re.sub("(?m)^ *#.*| #.*", "", (CHECKOUT / name).read_text())
    for name in ("docker-compose.yml", "docker/config/dagster.yaml")
)
NAMES = re.compile(r"\$\{([A-Z_]+)")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE)["services"])


def test_what_dagster_yaml_asks_for_is_handed_to_whoever_launches(services: dict[str, Any]) -> None:
    """A name that compose does not pass on stops every run."""
    asked = set(NAMES.findall(DAGSTER)) | set(re.findall(r"env: ([A-Z_]+)", DAGSTER))
    launcher = yaml.safe_load(DAGSTER)["run_launcher"]["config"]["containers"]
    for service in ("code", "daemon", "webserver", "viewer"):
        assert asked | set(launcher["env_vars"]) <= services[service]["environment"].keys()


def test_what_dagster_yaml_asks_for_is_handed_to_the_code_server_and_the_runs(services: dict[str, Any]) -> None:
    """They make the instance from the same file: a name that is not there stops every tick, or every run."""
    launcher = DAGSTER.partition("run_launcher:")[2].partition("\nrun_coordinator:")[0]
    asked = set(re.findall(r"env: ([A-Z_]+)", DAGSTER.replace(launcher, "")))
    assert "COMPUTE_LOGS" in asked
    assert asked <= services["code"]["environment"].keys()
    assert asked <= set(yaml.safe_load(DAGSTER)["run_launcher"]["config"]["containers"]["env_vars"])


def test_a_worker_has_what_a_run_s_container_has(services: dict[str, Any]) -> None:
    """A run must not fail in one of the two for want of a mount that the other has."""
    launcher = yaml.safe_load(DAGSTER)["run_launcher"]["config"]["containers"]
    worker = services["worker"]
    given = launcher["container_kwargs"]
    targets = {mount["Target"] for mount in given["mounts"] if not mount["Target"].startswith("/run/secrets/")}
    assert {mount["target"] for mount in worker["volumes"]} == targets
    held = {mount["Target"].removeprefix("/run/secrets/") for mount in given["mounts"]} - targets
    assert set(worker["secrets"]) >= {name for name in held if "/" not in name}
    assert set(launcher["env_vars"]) <= worker["environment"].keys()
    for key in ("cap_drop", "security_opt", "init", "pids_limit"):
        assert worker[key] == given[key]


def test_the_archivists_page_has_no_secret_by_which_anything_is_written(services: dict[str, Any]) -> None:
    """It is the page that most people reach."""
    assert set(services["viewer"]["secrets"]) == {"viewer_pgpass", "compute_logs"}
    storage = services["viewer"]["environment"]["DAGSTER_STORAGE"]
    assert f"//{USER}@" in storage
    assert str(PASSFILE) in storage
    assert PASSFILE.name in services["webserver"]["secrets"]
    assert services["webserver"]["command"][:3] == ["python", "-m", "ao_workflows.instance.storage_reader"]


def test_what_env_may_hold_is_documented_and_nothing_else() -> None:
    """An operator has no other list."""
    section = (
        (CHECKOUT / "docs/operations.md").read_text().partition("`.env` is the one place")[2].partition("\n\nIn ")[0]
    )
    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("[A-Z_]+", row)
    }
    assert documented == set(NAMES.findall(COMPOSE))


def test_the_image_is_that_of_this_version() -> None:
    """Else `docker-compose up` starts the last one's."""
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    assert set(re.findall(r"ao-workflows:([0-9.]+)", COMPOSE)) == {version}


def test_every_other_image_is_of_one_version() -> None:
    """`latest` is another database one day."""
    others = re.findall(r"\$\{[A-Z]+_IMAGE:-([a-z]+:[^}]*)\}", COMPOSE)
    assert others
    assert all(re.search(r":[0-9]+", image) for image in others)


def test_every_service_has_what_an_operator_relies_on(services: dict[str, Any]) -> None:
    """One that lacks a limit or a check is the one that is looked for at night."""
    for name, service in services.items():
        assert service.keys() >= {"mem_limit", "logging", "restart", "networks"}, name
        assert "healthcheck" in service or name == "trial"


def test_the_trial_s_site_is_a_valid_one() -> None:
    """It is copied by hand."""
    text = (CHECKOUT / "docker/trial/site.toml").read_text()
    assert parse(text, "docker/trial/site.toml").intake["demo"].endpoint_url == "http://aws:5000"
