"""Who reaches whom on the engine's networks, tried from inside the services: by name, and by every address.

From inside a run, ``test_works`` tries it, which has one that takes its time.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from ao_workflows_tests.stack.deployment import ARCHIVIST, OPERATOR, SERVICES, Deployment, run, wait_until

pytestmark = pytest.mark.timeout(1200)

PORTS = {"code": 4000, "viewer-code": 4000, "webserver": 3000, "viewer": 3000, "postgres": 5432}

CONNECT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reached(place):
    try:
        socket.create_connection(tuple(place), 3).close()
        return True
    except OSError:
        return False

places = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(places)) as each:
    print(json.dumps([place for place, found in zip(places, each.map(reached, places)) if found]))
"""

NAMED = """
import json, socket
try:
    print(json.dumps(sorted({each[4][0] for each in socket.getaddrinfo("code", 4000)})))
except OSError:
    print("[]")
"""

FILES = """
import json, os
found = {}
for folder in ("/run", "/var/run", "/etc/ao", "/mnt", "/staging", "/processing", "/backups", "/home/ao", "/tmp"):
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            try:
                found[path] = open(path, errors="replace").read()
            except OSError as error:
                found[path] = str(error)
print(json.dumps({"files": found, "environment": dict(os.environ)}))
"""


def in_container(container: str, script: str, *words: str) -> Any:
    """What a script prints in a container, read as JSON."""
    return json.loads(run("docker", "exec", container, "python", "-c", script, *words).stdout)


def addresses(deployment: Deployment, service: str) -> list[str]:
    """The service's name, and its address in each of its networks. `code` is another's name for one page."""
    networks = deployment.inspect(deployment.container(service))["NetworkSettings"]["Networks"]
    return [service] * (service != "code") + [each["IPAddress"] for each in networks.values()]


def reached_from(deployment: Deployment, container: str) -> set[str]:
    """The services to which a connection can be made from a container, by any way."""
    places = {service: addresses(deployment, service) for service in PORTS}
    tried = [[host, PORTS[service]] for service, hosts in places.items() for host in hosts]
    reached = in_container(container, CONNECT, json.dumps(tried))
    return {service for service, hosts in places.items() if any([host, PORTS[service]] in reached for host in hosts)}


def test_what_the_archivists_page_calls_code_is_that_server(deployment: Deployment) -> None:
    """Nor does the name lead to the other one while its own is down: there would be a way to every secret."""
    page, server = deployment.container("viewer"), deployment.container("viewer-code")
    networks = deployment.inspect(server)["NetworkSettings"]["Networks"]
    (own,) = [each["IPAddress"] for each in networks.values()]
    assert in_container(page, NAMED) == [own]
    run("docker", "stop", "-t", "5", server)
    try:
        assert in_container(page, NAMED) == []
        assert in_container(page, CONNECT, '[["code", 4000]]') == []
    finally:
        run("docker", "start", server)
    wait_until("it is healthy again", lambda: deployment.is_healthy("viewer-code"), 120, every=1)


def test_the_archivists_page_reaches_a_code_server_of_its_own_and_no_other(deployment: Deployment) -> None:
    """It is the page that most people reach: who breaks into it would have had every secret, and every run."""
    assert reached_from(deployment, deployment.container("viewer")) == {"viewer", "viewer-code", "postgres"}


def test_the_daemon_and_the_operators_page_reach_the_code_server(deployment: Deployment) -> None:
    """What has been closed to others must be open to those two."""
    assert reached_from(deployment, deployment.container("daemon")) == {"code", "webserver", "postgres"}
    assert reached_from(deployment, deployment.container("webserver")) == {"code", "webserver"}


def test_a_program_that_postgresql_starts_reaches_no_code_server_that_has_secrets(deployment: Deployment) -> None:
    """Its superuser may have it start one, and each run is that user."""
    tried = {
        service: [f"</dev/tcp/{host}/{PORTS[service]}" for host in addresses(deployment, service)]
        for service in ("code", "webserver", "postgres")
    }
    script = "; ".join(
        f"timeout 3 bash -c '{each}' 2>/dev/null && echo {service}" for service, all_ in tried.items() for each in all_
    )
    copied = f"COPY said FROM PROGRAM $${script}; true$$"
    sql = ["CREATE TEMP TABLE said (line text)", copied, "SELECT DISTINCT line FROM said"]
    words = ["psql", "-qXAtU", "dagster", "-d", "dagster", "-c", "; ".join(sql)]
    assert run("docker", "exec", deployment.container("postgres"), *words).stdout.split() == ["postgres"]


def test_the_archivists_code_server_has_no_secret_and_no_way_out(deployment: Deployment) -> None:
    """Whoever connects to it has code executed there, too: there must be nothing to have."""
    container = deployment.container("viewer-code")
    found = in_container(container, FILES)
    texts = found["files"] | found["environment"]
    held = {place: what for what, secret in deployment.secrets.items() for place in texts if secret in texts[place]}
    assert held == {}
    assert {path for path in found["files"] if path.startswith("/etc/ao/")} >= {"/etc/ao/site.toml"}
    assert not any(path.startswith(("/run/secrets", "/mnt", "/staging", "/processing")) for path in found["files"])
    of_image = {line.partition("=")[0] for line in deployment.inspect(deployment.image)["Config"]["Env"]}
    assert found["environment"].keys() - of_image == {"AO_SERVICE", "DAGSTER_CURRENT_IMAGE", "HOSTNAME", "TZ"} | (
        found["environment"].keys() & {"LC_CTYPE"}
    )
    assert [mount["Destination"] for mount in deployment.inspect(container)["Mounts"]] == ["/etc/ao"]
    assert reached_from(deployment, container) == {"viewer-code", "viewer", "postgres"}
    (network,) = deployment.inspect(container)["NetworkSettings"]["Networks"]
    assert run("docker", "network", "inspect", "-f", "{{.Internal}}", network).stdout.strip() == "true"


def test_both_pages_show_the_same_works_and_switches(deployment: Deployment) -> None:
    """They ask two code servers, and one storage: what an operator switches on is on for archivists too."""
    query = """{ sensorsOrError(repositorySelector: {repositoryLocationName: "ao_workflows",
                                                     repositoryName: "__repository__"}) {
        ... on Sensors { results { name sensorState { status ticks(limit: 1) { status } } } } }
      workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } }
      assetNodes { assetKey { path } partitionStats { numPartitions } } }"""
    deployment.page(
        OPERATOR,
        "mutation($sensor: SensorSelector!) { startSensor(sensorSelector: $sensor) { __typename } }",
        sensor={
            "repositoryLocationName": "ao_workflows", "repositoryName": "__repository__", "sensorName": "demo_intake",
        },
    )  # fmt: skip

    def shown(user: str) -> dict[str, Any]:
        page = deployment.page(user, query)
        for sensor in page["sensorsOrError"]["results"]:
            sensor["sensorState"]["ticks"] = bool(sensor["sensorState"]["ticks"])
        return page

    def alike() -> bool:
        archivists = shown(ARCHIVIST)
        (intake,) = [each for each in archivists["sensorsOrError"]["results"] if each["name"] == "demo_intake"]
        return bool(archivists == shown(OPERATOR) and intake["sensorState"] == {"status": "RUNNING", "ticks": True})

    wait_until("both pages show that the intake is on, and its ticks", alike, 90, every=2)


def test_every_service_is_in_no_other_network_than_docker_compose_yml_says(deployment: Deployment) -> None:
    """Compose leaves a container that it did not make anew in the networks that it had."""
    in_networks = {
        service: {
            name.removeprefix(f"{deployment.project}_")
            for name in deployment.inspect(deployment.container(service))["NetworkSettings"]["Networks"]
        }
        for service in SERVICES
    }
    assert in_networks["code"] == {"control"}
    assert in_networks["postgres"] == {deployment.project, "viewing"}
    assert in_networks["viewer"] == {"showing", "viewing"}
    assert in_networks["viewer-code"] == {"viewing"}
    assert in_networks["webserver"] == {"control", "front"}
    assert in_networks["proxy"] == {"front", "showing"}
