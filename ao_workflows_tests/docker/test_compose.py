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


def reached(services: dict[str, Any]) -> dict[str, set[str]]:
    """What each service can connect to of the others, by the networks that they share. A run is in the launcher's."""
    networks = {name: set(service["networks"]) for name, service in services.items()} | {"run": {"back"}}
    return {
        name: {other for other in networks if other != name and networks[name] & networks[other]} for name in networks
    }


def test_the_code_server_is_reached_by_no_run_no_worker_and_no_archivists_page(
    services: dict[str, Any],
) -> None:
    """Whoever connects to it has code executed with all secrets. So has the operators' page, by any run it launches."""
    compose = yaml.safe_load(COMPOSE)
    assert compose["networks"]["back"]["name"] == "${AO_NETWORK:-ao-workflows}"
    env = yaml.safe_load(DAGSTER)["run_launcher"]["config"]["containers"]["network"]["env"]
    assert services["daemon"]["environment"][env] == compose["networks"]["back"]["name"]
    by_whom = {name: {other for other, its in reached(services).items() if name in its} for name in services}
    # These start nobody's programs; PostgreSQL does for its superuser, which every run is.
    listening_to_nobody = {"redis", "mariadb", "aws"}
    assert by_whom["code"] - listening_to_nobody == {"daemon", "webserver"}
    assert by_whom["webserver"] - listening_to_nobody == {"daemon", "code", "proxy", "flower"}
    assert by_whom["viewer"] - listening_to_nobody == {"viewer-code", "proxy", "postgres"}
    assert by_whom["viewer-code"] - listening_to_nobody == {"viewer", "postgres"}
    for name in ("code", "webserver"):
        assert "host=/var/run/postgresql&" in services[name]["environment"]["DAGSTER_STORAGE"]
        assert "/var/run/postgresql" in {mount["target"] for mount in services[name]["volumes"]}


def test_the_archivists_code_server_has_nothing_and_goes_nowhere(services: dict[str, Any]) -> None:
    """It executes what it is told by the page that most people reach. Its site.toml has no secret where sites keep to
    docs/operations.md.
    """
    server = services["viewer-code"]
    assert "secrets" not in server
    assert [(mount["target"], mount["read_only"]) for mount in server["volumes"]] == [("/etc/ao", True)]
    assert server["environment"].keys() == {"AO_SERVICE", "DAGSTER_CURRENT_IMAGE", "DAGSTER_HOME", "TZ"}
    assert list(server["networks"]) == ["viewing"]
    assert yaml.safe_load(COMPOSE)["networks"]["viewing"] == {"internal": True}
    assert server["command"] == services["code"]["command"]


def test_each_page_finds_its_own_code_server_and_can_find_no_other(services: dict[str, Any]) -> None:
    """By one name, or the archivists' page would not show the ticks of sensors: Dagster finds them by where the code
    is. With the other service in its networks, the name would lead there: the page would work, and be an open door.
    """
    (server,) = yaml.safe_load((CHECKOUT / "docker/config/workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"] == {"host": "code", "port": 4000, "location_name": "ao_workflows"}
    called = {
        name: {other for other in reached(services)[name] if "code" in names_for(services, other, name)}
        for name in ("webserver", "daemon", "viewer")
    }
    assert called == {"webserver": {"code"}, "daemon": {"code"}, "viewer": {"viewer-code"}}
    for name in called:
        command = services[name]["command"]
        assert command[command.index("-w") + 1] == "/etc/ao/workspace.yaml"


def names_for(services: dict[str, Any], service: str, asking: str) -> set[str]:
    """What a service is called in the networks that it shares with another one."""
    its = services.get(service, {}).get("networks", [])
    aliases = its if isinstance(its, dict) else {}
    return {service}.union(*(aliases.get(name, {}).get("aliases", []) for name in services[asking]["networks"]))


def test_who_reaches_what_is_documented_as_it_is(services: dict[str, Any]) -> None:
    """An operator who puts something of his own beside the platform chooses its network by this table."""
    section = (CHECKOUT / "docs/operations.md").read_text().partition("**Who reaches what.**")[2].partition("\n\n**")[0]
    documented = {
        who: (set(re.findall("`([a-z]+)`", networks)), set(re.findall("`([a-z-]+)`", reaches)))
        for who, networks, reaches in re.findall(r"^\| `?([a-z -]+?)`? \| (`.*?) \| (.*?) \|", section, re.MULTILINE)
    }
    ours = {name: service for name, service in services.items() if "dev" not in service.get("profiles", ())}
    listening = ours.keys() - {"daemon", "worker"}
    networks = {name: set(service["networks"]) for name, service in ours.items()} | {"each run": {"back"}}
    others = reached(services) | {"each run": reached(services)["run"]}
    assert documented == {name: (networks[name], others[name] & listening) for name in networks}


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
