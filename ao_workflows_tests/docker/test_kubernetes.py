"""The platform on Kubernetes: applied by kubectl as the documentation says, a run launched by dagster-k8s itself.

The cluster is a small API that takes only what Kubernetes' schemas allow; no container is started.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.execution.api import create_execution_plan
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster_k8s import K8sRunLauncher
from dagster_k8s.client import DagsterK8sUnrecoverableAPIError

from ao_workflows.definitions import build
from ao_workflows.errors import RunRefused
from ao_workflows.site.loading import parse
from ao_workflows_tests.conftest import skip_or_fail
from ao_workflows_tests.support.kubernetes_api import KubernetesApi, serving
from ao_workflows_tests.support.postgres import Postgres

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / "docker/kubernetes"
SECRETS = ("pg_service", "viewer_pg_service", "db_apps.config", "drs.config", "aws-credentials", "compute-logs")
WORK = "W1NLM4700"


@dataclass
class Cluster:
    """The API with the platform applied to it, the operator's folder, and what is secret in it."""

    api: KubernetesApi
    folder: Path
    words: dict[str, str]

    def kubectl(self, command: str) -> str:
        """What kubectl prints."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "KUBECONFIG": str(self.folder / "config")}
        done = subprocess.run(
            command.split(), cwd=self.folder / "ao", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self, name: str) -> dict[str, str]:
        """A ConfigMap's."""
        return dict(self.api.of("ConfigMap")[name]["data"])

    def pods(self) -> dict[str, dict[str, Any]]:
        """What pods are to be, by the Deployment or the Job that has them."""
        owners = {**self.api.of("Deployment"), **self.api.of("Job")}
        return {name: owner["spec"]["template"]["spec"] for name, owner in owners.items()}

    def containers(self) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
        """What each container is to be, with its pod, by the pod's name; the second one's is its own."""
        for name, pod in self.pods().items():
            for number, container in enumerate(pod["containers"]):
                yield container["name"] if number else name, container, pod


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The folder made as docs/kubernetes.md says, and applied."""
    if shutil.which("kubectl") is None:
        skip_or_fail("kubectl is not installed")
    folder = tmp_path_factory.mktemp("kubernetes")
    shutil.copytree(FOLDER, folder / "ao")
    shutil.copy(CHECKOUT / "docker/config/workspace.yaml", folder / "ao")
    shutil.copy(CHECKOUT / "docker/trial/site.toml", folder / "ao")
    (folder / "ao/sync.yml").touch()
    (folder / "ao/secrets").mkdir()
    words = {name: secrets.token_urlsafe(24) for name in SECRETS}
    for name, word in words.items():
        (folder / "ao/secrets" / name).write_text(f"[{name}]\npassword={word}\n")
    with serving() as api:
        api.write_kubeconfig(folder / "config")
        made = Cluster(api, folder, words)
        # The schemas are checked by the API: kubectl's own check would ask it for all of them.
        made.kubectl("kubectl apply -k . --validate=false")
        yield made


@pytest.fixture(scope="module")
def instance(cluster: Cluster) -> Iterator[dg.DagsterInstance]:
    """The daemon's instance: the ConfigMap's dagster.yaml and environment, on SQLite, and outside of the cluster."""
    settings = yaml.safe_load(cluster.data("ao-config")["dagster.yaml"])
    home = cluster.folder / "home"
    home.mkdir()
    settings["storage"] = {"sqlite": {"base_dir": str(home)}}
    settings["local_artifact_storage"]["config"]["base_dir"] = str(home)
    settings["compute_logs"]["config"]["folder"] = str(home)
    settings["run_launcher"]["config"] |= {
        "load_incluster_config": False,
        "kubeconfig_file": str(cluster.folder / "config"),
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (cluster.data("ao-environment") | {"AO_NAMESPACE": "ao"}).items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(home)) as made:
            yield made


def make_run(
    instance: dg.DagsterInstance, cluster: Cluster, brings: Mapping[str, Any] | None = None, **tags: str
) -> dg.DagsterRun:
    """A run of a work, whose code is that of the code server but for what it ``brings``."""
    site = parse(cluster.data("ao-config")["site.toml"], "site.toml")
    job = build(site).resolve_job_def("restore_work")
    origin = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=ModuleCodePointer("ao_workflows.definitions", "defs", working_directory=None),
        **{"container_image": cluster.data("ao-environment")["DAGSTER_CURRENT_IMAGE"]} | dict(brings or {}),
    )
    return instance.create_run_for_job(
        job_def=job,
        execution_plan=create_execution_plan(job),
        tags={"dagster/partition": WORK} | tags,
        job_code_origin=JobPythonOrigin("restore_work", origin),
        status=dg.DagsterRunStatus.STARTED,
    )


@pytest.fixture(scope="module")
def run(instance: dg.DagsterInstance, cluster: Cluster) -> dg.DagsterRun:
    """A run that was launched."""
    made = make_run(instance, cluster)
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=made, workspace=None))
    return made


@pytest.fixture
def job(cluster: Cluster, run: dg.DagsterRun) -> dict[str, Any]:
    """The Job that it became."""
    return cluster.api.of("Job")[f"dagster-run-{run.run_id}"]


def test_it_is_applied_again_without_a_change(cluster: Cluster, run: dg.DagsterRun) -> None:
    """An operator repeats what he is not sure of; and a Job that changes its name each time is started each time."""
    again = cluster.kubectl("kubectl apply -k . --validate=false").splitlines()
    assert len(again) > 25
    assert [line for line in again if not line.endswith(" unchanged")] == []
    assert "webserver" in cluster.kubectl("kubectl -n ao get deployments")
    assert f"dagster-run-{run.run_id}" in cluster.kubectl("kubectl -n ao get jobs -l ao-workflows/part=run")


def test_a_run_is_a_job_of_the_code_server_s_image(job: dict[str, Any], run: dg.DagsterRun) -> None:
    """Else it would execute other code than that which took the work from the queue."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    *_, command, subcommand, given = container["args"]
    assert (command, subcommand) == ("api", "execute_run")
    assert run.run_id in given
    assert container["image"] == f"ao-workflows:{_version()}"
    assert job["metadata"]["labels"]["dagster/run-id"] == run.run_id
    assert job["metadata"]["labels"]["ao-workflows/part"] == "run"
    assert job["metadata"]["namespace"] == "ao"


def test_a_run_has_limits_and_goes_a_day_after_its_end(job: dict[str, Any]) -> None:
    """One that Kubernetes starts again by itself is a second run of the work; one that stays fills the cluster."""
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["backoffLimit"], spec["ttlSecondsAfterFinished"]) == (0, 86400)
    assert (pod["restartPolicy"], pod["terminationGracePeriodSeconds"]) == ("Never", 60)
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}


def test_every_pod_is_the_archive_s_user_and_can_be_no_other(cluster: Cluster, job: dict[str, Any]) -> None:
    """A file of root's in the archive stops the next sync; a group for its disk would change every file's."""
    assert len(cluster.pods()) >= 5
    for name, container, pod in cluster.containers():
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 1001,
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        }, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["limits"]["memory"]
        assert pod["enableServiceLinks"] is False


def test_runs_and_the_code_server_have_the_archive_and_the_pages_do_not(cluster: Cluster, job: dict[str, Any]) -> None:
    """The paths of site.toml are those of every container; and a page that is broken into must not reach the works."""
    disks = {"/mnt": "ao-archive", "/staging": "ao-staging", "/staging/logs": "ao-logs", "/processing": "ao-processing"}
    for name, container, pod in cluster.containers():
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["volumes"]
            if "persistentVolumeClaim" in volume
        }
        mounted = {
            mount["mountPath"]: claims[mount["name"]] for mount in container["volumeMounts"] if mount["name"] in claims
        }
        pages = {"/staging/logs": "ao-logs"} if name in {"webserver", "viewer", "daemon"} else disks
        assert mounted == ({} if name == "viewer-code" else pages), name
        assert not any("hostPath" in volume for volume in pod["volumes"])


def test_secrets_are_files_of_those_who_need_them_and_nowhere_else(cluster: Cluster, job: dict[str, Any]) -> None:
    """What is in the environment is in every process, and in `kubectl describe`."""
    held = {name: _files(cluster, container, pod) for name, container, pod in cluster.containers()}
    assert held.pop("viewer-code") == set()
    assert held.pop(job["metadata"]["name"]) == held.pop("code") == {"pg_service", "db_apps", "drs_cnf", "aws"}
    assert held == {name: {"pg_service", "compute_logs"} for name in ("webserver", "viewer", "daemon")}
    (storage,) = [each["secret"] for each in cluster.pods()["viewer"]["volumes"] if each["name"] == "storage"]
    held_by_viewer = base64.b64decode(cluster.api.of("Secret")[storage["secretName"]]["data"]["pg_service"]).decode()
    assert cluster.words["viewer_pg_service"] in held_by_viewer, "the user that may only read"
    for name, container, _ in cluster.containers():
        every = [] if name == "viewer-code" else [{"configMapRef": {"name": "ao-environment"}}]
        assert container.get("envFrom", []) == every
        assert not any("secretKeyRef" in each.get("valueFrom", {}) for each in container["env"])
    shown = json.dumps([each for (kind, *_), each in cluster.api.objects.items() if kind != "Secret"])
    for word in cluster.words.values():
        for form in (word, base64.b64encode(word.encode()).decode()[:-4]):
            assert form not in shown


def _files(cluster: Cluster, container: Mapping[str, Any], pod: Mapping[str, Any]) -> set[str]:
    """The files below /run/secrets, each of which is a key of a Secret that is there."""
    keys = {name: set(secret["data"]) for name, secret in cluster.api.of("Secret").items()}
    found = set()
    for volume in pod["volumes"]:
        sources = [each["secret"]["name"] for each in volume.get("projected", {}).get("sources", [])]
        names = sources or ([volume["secret"]["secretName"]] if "secret" in volume else [])
        for mount in container["volumeMounts"]:
            if names and mount["name"] == volume["name"]:
                assert mount["readOnly"]
                of_volume = set().union(*(keys[name] for name in names))
                whole = mount["mountPath"] == "/run/secrets"
                # The token is mounted below /var/run/secrets, which is the same folder: a volume there is in its way.
                assert whole == (pod.get("automountServiceAccountToken") is False)
                assert whole or (
                    mount["mountPath"] == f"/run/secrets/{mount['subPath']}" and mount["subPath"] in of_volume
                )
                found |= of_volume if whole else {mount["subPath"]}
    return found


def test_whatever_a_pod_names_is_there(cluster: Cluster, job: dict[str, Any]) -> None:
    """A pod that waits for a ConfigMap says so nowhere but in its own events."""
    for name, pod in cluster.pods().items():
        for volume in pod["volumes"]:
            match volume:
                case {"configMap": {"name": named}}:
                    assert named in cluster.api.of("ConfigMap"), name
                case {"persistentVolumeClaim": {"claimName": named}}:
                    assert named in cluster.api.of("PersistentVolumeClaim"), name
        assert pod.get("serviceAccountName", "default") in {"default", *cluster.api.of("ServiceAccount")}
    config = cluster.data("ao-config")
    assert config.keys() == {"dagster.yaml", "workspace.yaml", "site.toml", "sync.yml"}
    (server,) = [each["grpc_server"] for each in yaml.safe_load(config["workspace.yaml"])["load_from"]]
    service = cluster.api.of("Service")[server["host"]]["spec"]
    assert service["ports"] == [{"port": server["port"]}]
    asked = set(re.findall(r"env: ([A-Z_]+)", config["dagster.yaml"]))
    assert asked - {"AO_NAMESPACE"} <= cluster.data("ao-environment").keys()


def test_the_services_do_what_those_of_compose_do(cluster: Cluster) -> None:
    """What was found out about a service's options on one of the two holds on the other."""
    compose = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())["services"]
    containers = {name: container for name, container, _ in cluster.containers()}
    for name in ("code", "viewer-code", "webserver", "viewer", "daemon"):
        container = containers[name]
        listens = "127.0.0.1" if name == "viewer-code" else "0.0.0.0"  # noqa: S104 - as compose has it
        assert container["args"] == [listens if word == "0.0.0.0" else word for word in compose[name]["command"]]  # noqa: S104
        assert {"name": "AO_SERVICE", "value": compose[name]["environment"]["AO_SERVICE"]} in container["env"]


def test_no_run_and_no_archivists_page_reaches_the_code_server(cluster: Cluster, job: dict[str, Any]) -> None:
    """Whoever connects to it has code executed with all secrets. A pod of which no policy speaks is open to all."""
    owners = [*cluster.api.of("Deployment").values(), job]
    may: dict[str, list[str]] = {}
    for policy in cluster.api.of("NetworkPolicy").values():
        peers = [peer["podSelector"] for rule in policy["spec"]["ingress"] for peer in rule["from"]]
        for part in _parts(policy["spec"]["podSelector"]):
            assert part not in may, "what policies of one pod allow adds up"
            may[part] = [name for peer in peers for name in _parts(peer)]
    assert may.pop("code") == ["webserver", "daemon"]
    assert may == {"webserver": ["proxy"], "viewer": ["proxy"], "daemon": [], "run": []}
    labels = {owner["spec"]["template"]["metadata"]["labels"]["ao-workflows/part"] for owner in owners}
    assert labels == may.keys() | {"code"}


def test_the_archivists_page_has_its_definitions_from_a_container_that_has_nothing(cluster: Cluster) -> None:
    """By the name that workspace.yaml has: Dagster finds a sensor's ticks by where its code is. Kubernetes puts a token
    into each container in which nothing else is at its place.
    """
    pod = cluster.pods()["viewer"]
    assert pod["hostAliases"] == [{"ip": "127.0.0.1", "hostnames": ["code"]}]
    _, server = pod["containers"]
    assert server["name"] == "viewer-code"
    empty = {volume["name"] for volume in pod["volumes"] if "emptyDir" in volume}
    places = {mount["mountPath"]: mount["name"] for mount in server["volumeMounts"]}
    assert places.pop("/etc/ao") == "config"
    assert places.keys() == {"/tmp", "/var/run/secrets/kubernetes.io/serviceaccount"}  # noqa: S108 - its own
    assert set(places.values()) < empty
    shared = empty & {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    assert not shared & set(places.values())


def _parts(selector: Mapping[str, Any]) -> list[str]:
    """The parts of the platform that a selector of pods chooses."""
    if "matchLabels" in selector:
        return list(selector["matchLabels"].values())
    (expression,) = selector["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("ao-workflows/part", "In")
    return list(expression["values"])


def test_the_instance_is_that_of_compose_but_for_where_runs_are(cluster: Cluster) -> None:
    """A setting that is changed in one file is forgotten in the other."""
    ours = yaml.safe_load(cluster.data("ao-config")["dagster.yaml"])
    compose = yaml.safe_load((CHECKOUT / "docker/config/dagster.yaml").read_text())
    for settings in (ours, compose):
        del settings["run_launcher"], settings["run_monitoring"]["start_timeout_seconds"]
    assert ours == compose


def test_the_image_is_that_of_this_version(cluster: Cluster) -> None:
    """Else the last one's would be started."""
    images = {container["image"] for _, container, _ in cluster.containers()}
    assert images == {cluster.data("ao-environment")["DAGSTER_CURRENT_IMAGE"]} == {f"ao-workflows:{_version()}"}


def _version() -> str:
    return str(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"])


@pytest.mark.parametrize(
    ("brings", "tags", "named"),
    [
        ({}, {"dagster-k8s/config": '{"container_config": {"image": "another"}}'}, r"its own tag dagster-k8s/config"),
        ({}, {"dagster-k8s/resource_requirements": "{}"}, r"its own tag dagster-k8s/resource_requirements"),
        (
            {"container_context": {"k8s": {"namespace": "kube-system", "volumes": [{"name": "disk"}]}}},
            {},
            r"its own setting k8s\.namespace, setting k8s\.volumes",
        ),
        ({"entry_point": ["sh", "-c", "cat /run/secrets/*"]}, {}, "its own entry point"),
    ],
)
def test_a_run_cannot_be_given_another_user_command_or_disk(
    instance: dg.DagsterInstance, cluster: Cluster, brings: dict[str, Any], tags: dict[str, str], named: str
) -> None:
    """Whoever may launch a run in the web page, or write one into the storage, would be root on a node."""
    made = make_run(instance, cluster, brings, **tags)
    with pytest.raises(RunRefused, match=named):
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=made, workspace=None))
    assert f"dagster-run-{made.run_id}" not in cluster.api.of("Job")


def test_a_job_has_this_deployment_s_image_whatever_the_run_names(
    instance: dg.DagsterInstance, cluster: Cluster
) -> None:
    """It has the archive's secrets: another image could send them anywhere."""
    made = make_run(instance, cluster, {"container_image": "evil/image:latest"})
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=made, workspace=None))
    job = cluster.api.objects.pop(("Job", "ao", f"dagster-run-{made.run_id}"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == cluster.data("ao-environment")["DAGSTER_CURRENT_IMAGE"]
    assert container["args"][:5] == ["python", "-m", "ao_workflows.instance.run_process", "api", "execute_run"]
    assert "evil" not in json.dumps(job)


def test_a_run_whose_pod_was_killed_is_found_out(
    instance: dg.DagsterInstance, cluster: Cluster, run: dg.DagsterRun, job: dict[str, Any]
) -> None:
    """It would hold its place in the queue for ever."""
    launcher = instance.run_launcher
    assert isinstance(launcher, K8sRunLauncher)
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    cluster.api.asked.clear()
    job["status"] |= {"active": 0, "failed": 1}
    try:
        health = launcher.check_run_worker_health(run)
        assert health.status is WorkerStatus.FAILED
        assert "kubectl describe job" in str(launcher.get_run_worker_debug_info(run))
    finally:
        job["status"] |= {"active": 1, "failed": 0}
    assert _missing_rights(cluster, "ao-daemon") == set()


def test_a_run_is_launched_and_cancelled_with_the_rights_that_the_services_have(
    instance: dg.DagsterInstance, cluster: Cluster
) -> None:
    """The daemon starts and ends runs, the operators' page ends them, and the archivists' page does nothing."""
    launcher = instance.run_launcher
    cluster.api.asked.clear()
    other = make_run(instance, cluster)
    launcher.launch_run(LaunchRunContext(dagster_run=other, workspace=None))
    assert _missing_rights(cluster, "ao-daemon") == set()
    cluster.api.asked.clear()
    assert launcher.terminate(other.run_id)
    assert f"dagster-run-{other.run_id}" not in cluster.api.of("Job")
    ending = instance.get_run_by_id(other.run_id)
    assert ending and ending.status is dg.DagsterRunStatus.CANCELING
    for account in ("ao-daemon", "ao-webserver"):
        assert _missing_rights(cluster, account) == set()
    accounts = {binding["subjects"][0]["name"] for binding in cluster.api.of("RoleBinding").values()}
    assert accounts == {"ao-daemon", "ao-webserver"}


def _missing_rights(cluster: Cluster, account: str) -> set[tuple[str, str]]:
    """What was asked of the API since it was cleared, that the account may not."""
    (role,) = [
        binding["roleRef"]["name"]
        for binding in cluster.api.of("RoleBinding").values()
        if binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "ao"}]
    ]
    rules = cluster.api.of("Role")[role]["rules"]
    may = {(verb, resource) for rule in rules for verb in rule["verbs"] for resource in rule["resources"]}
    asked = set()
    for method, path in cluster.api.asked:
        plural, _, rest = path.partition("/namespaces/ao/")[2].partition("/")
        sub = rest.partition("/")[2]
        verb = {"POST": "create", "DELETE": "delete"}.get(method, "get" if rest else "list")
        asked.add((verb, f"{plural}/{sub}" if sub else plural))
    assert asked
    return asked - may


def test_a_service_account_without_the_right_is_told_at_launch(instance: dg.DagsterInstance, cluster: Cluster) -> None:
    """The run fails then, and says why, instead of waiting for a Job that nobody made."""
    cluster.api.refused["POST", "/jobs"] = 403
    try:
        with pytest.raises(DagsterK8sUnrecoverableAPIError) as raised:
            instance.run_launcher.launch_run(LaunchRunContext(dagster_run=make_run(instance, cluster), workspace=None))
    finally:
        cluster.api.refused.clear()
    assert "Forbidden" in str(raised.value.__cause__)


def test_the_storage_s_password_is_read_from_a_file_that_a_group_may_read(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: Cluster
) -> None:
    """Kubernetes gives a Secret's file to root and a group. libpq takes no password file that a group may read."""
    place = sqlalchemy.make_url(postgres.database())
    word = postgres.passfile.read_text().strip().rpartition(":")[2]
    service = tmp_path / "pg_service"
    service.write_text(f"[dagster]\nhost={place.host}\nport={place.port}\nuser={place.username}\n")
    with service.open("a") as out:
        out.write(f"dbname={place.database}\npassword={word}\n")
    passfile = shutil.copy(postgres.passfile, tmp_path)
    for path in (service, Path(passfile)):
        path.chmod(0o440)
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    with sqlalchemy.create_engine(cluster.data("ao-environment")["DAGSTER_STORAGE"]).connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT current_database()")) == place.database
    refused = sqlalchemy.create_engine(place.update_query_dict({"passfile": passfile}))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="no password supplied"):
        refused.connect()
