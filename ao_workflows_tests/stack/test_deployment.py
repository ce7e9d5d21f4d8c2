"""The services as they stand, before any work comes: who may reach what, and who holds what."""

from __future__ import annotations

import pytest

from ao_workflows_tests.stack.deployment import (
    ARCHIVIST,
    OPERATOR,
    SERVICES,
    UID,
    Deployment,
    run,
)

pytestmark = pytest.mark.timeout(1200)

OURS = ("code", "webserver", "viewer", "daemon")


def test_the_page_shows_the_works_assets_through_the_proxy(deployment: Deployment) -> None:
    """The one way in must lead to the platform, whichever of the two pages one asks for."""
    for user in (OPERATOR, ARCHIVIST):
        answer = deployment.page(user, "{ assetNodes { opNames } }")
        names = {node["opNames"][0] for node in answer["assetNodes"]}
        assert {"restored_message", "downloaded_bag", "debagged_work", "synced_archive"} <= names


def test_the_archivists_page_changes_nothing(deployment: Deployment) -> None:
    """Who only looks must not be able to switch an intake off."""
    query = """mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }"""
    sensor = {"repositoryLocationName": "ao_workflows", "repositoryName": "__repository__", "sensorName": "demo_intake"}
    assert deployment.page(ARCHIVIST, query, sensor=sensor)["startSensor"]["__typename"] == "UnauthorizedError"
    assert deployment.page(OPERATOR, query, sensor=sensor)["startSensor"]["__typename"] == "Sensor"


def test_nothing_is_published_but_the_proxy_s_ports(deployment: Deployment) -> None:
    """Dagster's page, its code server and PostgreSQL ask nobody for a name."""
    published = {
        service: ports
        for service in SERVICES
        if (ports := deployment.inspect(deployment.container(service))["HostConfig"]["PortBindings"])
    }
    assert list(published) == ["proxy"]


def test_only_the_daemon_has_docker_s_socket(deployment: Deployment) -> None:
    """Whoever has it is root on the host."""
    having = [
        service
        for service in SERVICES
        if any(
            mount["Destination"] == "/var/run/docker.sock"
            for mount in deployment.inspect(deployment.container(service))["Mounts"]
        )
    ]
    assert having == ["daemon"]


def test_the_archive_s_secrets_are_in_the_code_server_alone(deployment: Deployment) -> None:
    """A web page that is broken into must not have the archive's AWS keys."""
    for service in SERVICES:
        mounts = deployment.inspect(deployment.container(service))["Mounts"]
        held = {mount["Destination"] for mount in mounts} & {
            f"/run/secrets/{name}" for name in ("db_apps", "drs_cnf", "aws")
        }
        assert bool(held) == (service == "code"), service


def test_what_touches_the_archive_is_the_archive_s_user_and_can_be_no_other(deployment: Deployment) -> None:
    """A file of root's in the archive stops the next sync."""
    for service in OURS:
        container = deployment.inspect(deployment.container(service))
        assert container["Config"]["User"] == str(UID)
        assert container["HostConfig"]["CapDrop"] == ["ALL"]
        assert container["HostConfig"]["ReadonlyRootfs"]


def test_every_service_has_limits_and_a_way_back(deployment: Deployment) -> None:
    """A service without them takes the host with it, fills its disk, or stays away after a crash."""
    for service in SERVICES:
        host = deployment.inspect(deployment.container(service))["HostConfig"]
        assert host["Memory"] > 0, service
        assert host["RestartPolicy"]["Name"] == "unless-stopped", service
        assert host["LogConfig"]["Config"].keys() >= {"max-size", "max-file"}, service


def test_the_image_holds_no_compiler_and_is_nobody_s_root(images: str) -> None:
    """What a service does not need helps only who breaks into it."""
    found = run("docker", "run", "--rm", images, "sh", "-c", "id -u; command -v gcc cc c++ make ld as; true").stdout
    assert found.split() == ["1001"]


def test_the_image_says_what_went_into_it(images: str) -> None:
    """An operator must be able to tell which version runs, and whose sync script is in it."""
    contents = run("docker", "run", "--rm", images).stdout
    assert "syncOneWork.sh: the reference script" in contents
    assert "  dagster==1.13.27" in contents
    assert "  dagster-postgres==0.29.27" in contents
