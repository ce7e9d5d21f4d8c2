"""A deployment for the tests: the images built, a folder with everything that compose reads, and the engine.

What belongs here: making the folder, calling compose and the engine, waiting for what they do. What does not: what must
hold of it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError

import pytest

from ao_workflows.deployment.secret_files import proxy_users
from ao_workflows.machine.processes import free_port
from ao_workflows_tests.conftest import skip_or_fail

T = TypeVar("T")
CHECKOUT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("AO_STACK_NAME", "stack-test")
"""Of everything that is made on the engine: two checkouts that share one engine need two names."""

IMAGE = f"ao-workflows:{NAME}"
UID = 5000
OPERATOR, ARCHIVIST = "anna", "tenzin"
SERVICES = ("postgres", "code", "webserver", "viewer-code", "viewer", "daemon", "proxy", "mariadb", "aws")

SLOWLY = "\n[download]\npart_mib = 1\nparallel = 2\nmegabytes_per_second = 0.8\n"
"""So that there is time to kill a run while it downloads."""

BACKUP = '\n[backup]\nto = "/backups"\n'


_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


def run(*command: str, timeout: float = 120, check: bool = True, **others: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; what it printed is in the error, if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **others)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done


def wait_until(what: str, look: Callable[[], T], seconds: float, every: float = 0.2) -> T:
    """What ``look`` returns, once it is true; fails if it is not for so long."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(every)
    return found


@dataclass
class Deployment:
    """A folder that compose runs from, and what was put into it."""

    folder: Path
    compose_command: Sequence[str]
    project: str = f"ao-{NAME}"
    image: str = IMAGE
    port: int = field(default_factory=free_port)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further lines of ``.env``."""
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def staging(self) -> Path:
        return self.folder / "staging"

    @property
    def processing(self) -> Path:
        return self.folder / "processing"

    @property
    def backups(self) -> Path:
        return self.folder / "backups"

    def write(self) -> None:
        """Makes the folder: the files of the checkout, a site, secrets that are new each time."""
        (self.folder / "secrets").mkdir(parents=True)
        for made in (
            *(self.archive / f"Archive{share}" for share in range(4)),
            self.staging,
            self.processing,
            self.backups,
            self.folder / "logs",
        ):
            made.mkdir(parents=True)
        # Where the logs are mounted: a container may not make it in a folder that is not its user's.
        (self.staging / "logs").mkdir()
        shutil.copy(CHECKOUT / "docker-compose.yml", self.folder)
        shutil.copy(CHECKOUT / "docker/upgrade", self.folder)
        shutil.copytree(CHECKOUT / "docker/config", self.folder / "config")
        shutil.copytree(CHECKOUT / "docker/proxy", self.folder / "proxy")
        (self.folder / "config/site.toml").write_text(
            (CHECKOUT / "docker/trial/site.toml").read_text() + SLOWLY + BACKUP
        )
        dagster_yaml = self.folder / "config/dagster.yaml"
        dagster_yaml.write_text(dagster_yaml.read_text().replace("keep_minutes: 60", "keep_minutes: 1"))
        self._write_secrets()
        self._write_certificate()
        values = {
            "AO_FOLDER": self.folder,
            "AO_IMAGE": self.image,
            "AO_NETWORK": self.project,
            "ARCH_ROOT": self.archive,
            "STAGING": self.staging,
            "LOGS": self.folder / "logs",
            "PROCESSING": self.processing,
            "BACKUPS": self.backups,
            "SYNC_ACCESS_UID": UID,
            "DOCKER_GID": Path("/var/run/docker.sock").stat().st_gid,
            "AO_ADDRESS": "127.0.0.1",
            "AO_PORT": self.port,
            "COMPOSE_PROJECT_NAME": self.project,
            **self.settings,
        }
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, UID, 0)

    def _write_secrets(self) -> None:
        made = {
            name: secrets.token_urlsafe(24)
            for name in ("storage", "viewer", "redis", "drs", "access key", "secret key", OPERATOR, ARCHIVIST)
        }
        self.secrets.update(made)
        texts = {
            "postgres-password": made["storage"],
            "pgpass": f"*:*:*:dagster:{made['storage']}\n",
            "viewer-pgpass": f"*:*:*:dagster_viewer:{made['viewer']}\n",
            "redis-password": made["redis"],
            "mariadb-password": made["drs"],
            "compute-logs": "",
            "proxy_users": proxy_users(
                [(OPERATOR, "operator", made[OPERATOR]), (ARCHIVIST, "archivist", made[ARCHIVIST])]
            ),
            "db_apps.config": "[mysql]\nmySqlCnfPath = /run/secrets/drs_cnf\n[dev]\nserver = devclient\n",
            "drs.config": f"[devclient]\nuser = drs\npassword = {made['drs']}\nhost = mariadb\ndatabase = drs\n",
            "aws-credentials": (
                f"[demo]\naws_access_key_id = {made['access key']}\naws_secret_access_key = {made['secret key']}\n"
            ),
        }
        for name, text in texts.items():
            path = self.folder / "secrets" / name
            path.write_text(text)
            path.chmod(0o400)

    def _write_certificate(self) -> None:
        folder = self.folder / "certificates"
        folder.mkdir()
        words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
        run("openssl", *words.split(), "-keyout", f"{folder}/key.pem", "-out", f"{folder}/certificate.pem")
        (folder / "proxy.pem").write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
        (folder / "proxy.pem").chmod(0o400)
        (folder / "key.pem").unlink()

    def compose(self, *words: str, timeout: float = 300, check: bool = True, **others: Any) -> str:
        """Calls compose in the folder, with the profiles ``dev`` and ``workers``; what it printed."""
        command = (*self.compose_command, "--profile", "dev", "--profile", "workers", *words)
        return run(*command, timeout=timeout, check=check, cwd=self.folder, **others).stdout

    def container(self, service: str) -> str:
        """The id of a service's container, the only one that it has."""
        return self.compose("ps", "-q", service).strip()

    def containers(self, service: str) -> list[str]:
        """The ids of all of a service's."""
        return self.compose("ps", "-q", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        (found,) = json.loads(run("docker", "inspect", container).stdout)
        return dict(found)

    def is_healthy(self, service: str) -> bool:
        containers = self.containers(service)
        states = [self.inspect(each)["State"].get("Health", {}).get("Status") for each in containers]
        return bool(states) and set(states) == {"healthy"}

    def kill(self, service: str) -> None:
        """Kills a service as the kernel does; it is back, and works, when this returns.

        Not by ``docker kill``, after which the engine does not start the container again.
        """
        before = self.inspect(self.container(service))["State"]
        os.kill(before["Pid"], signal.SIGKILL)

        def is_back() -> bool:
            state = self.inspect(self.container(service))["State"]
            return state["StartedAt"] != before["StartedAt"] and state["Health"]["Status"] == "healthy"

        wait_until(f"{service} is back after it was killed", is_back, 240, every=1)

    def run_containers(self, *filters: str) -> list[str]:
        """The containers of runs, those that have ended included."""
        words = [
            word for one in ("label=dagster/run_id", f"network={self.project}", *filters) for word in ("--filter", one)
        ]
        return run("docker", "ps", "-a", "-q", "--no-trunc", *words).stdout.split()

    def python(self, script: str) -> Any:
        """Runs a script in the code server's container; what it prints, read as JSON."""
        return json.loads(self.compose("exec", "-T", "code", "python", "-", input=script))

    def page(self, user: str, query: str, **variables: Any) -> dict[str, Any]:
        """Asks the web page behind the proxy, as a browser does; its answer, and what went wrong is in the error."""
        login = b64encode(f"{user}:{self.secrets[user]}".encode()).decode()
        unproven = ssl.create_default_context()
        unproven.check_hostname, unproven.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"https://localhost:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Basic {login}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60, context=unproven) as answer:  # noqa: S310 - https here
                return dict(json.load(answer)["data"])
        except HTTPError as error:
            raise AssertionError(f"{error}: {error.read().decode()[:2000]}") from error

    def launch(self, job: str, **tags: str) -> str:
        """Launches a job in the operators' page; the run's id."""
        launched = self.page(OPERATOR, _LAUNCH, params={
            "selector": {
                "repositoryLocationName": "ao_workflows", "repositoryName": "__repository__", "jobName": job
            },
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        })["launchRun"]  # fmt: skip
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return str(launched["run"]["runId"])

    def end_of(self, run_id: str) -> str:
        """The status of a run that has ended."""
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

        def ended() -> str | None:
            status = str(self.page(OPERATOR, query, id=run_id)["runOrError"]["status"])
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

        return str(wait_until(f"the run {run_id} ends", ended, 300, every=1))

    def bring_up(self, services: Sequence[str] = SERVICES) -> None:
        """Sets the archive up, starts the services, and waits until each is healthy."""
        self.compose("run", "--rm", "--no-deps", "-T", "code", "ao", "archive", "init")
        self.compose("up", "-d", *services, timeout=600)
        for service in services:
            wait_until(f"{service} is healthy", lambda service=service: self.is_healthy(service), 300, every=1)

    def down(self) -> None:
        for container in self.run_containers():
            run("docker", "rm", "-f", container, check=False)
        self.compose("down", "-v", "-t", "5", check=False)


def _missing() -> str | None:
    """Why there can be no deployment here."""
    if shutil.which("docker") is None or run("docker", "info", check=False).returncode != 0:
        return "no Docker engine answers"
    if os.geteuid() != 0:
        return "a folder for another user's containers is made by root only"
    return None


def compose_command() -> list[str] | None:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and run(*command, "version", check=False).returncode == 0:
            return command
    return None


@pytest.fixture(scope="session")
def images() -> str:
    """The images, built as an operator builds them; the platform's name."""
    if reason := _missing():
        skip_or_fail(reason)
    for words, tag in (((), IMAGE), (("--dev",), f"{IMAGE}-dev")):
        run("docker/build", "--tag", tag, *words, "--", "--network", "host", timeout=900, cwd=CHECKOUT)
    return IMAGE


@pytest.fixture(scope="session")
def deployment(images: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """The deployment of this session, with every service healthy, and nothing of it left afterwards."""
    with deployed(tmp_path_factory.mktemp("stack") / "deployed", SERVICES) as made:
        yield made


@contextmanager
def deployed(folder: Path, services: Sequence[str], **settings: Any) -> Iterator[Deployment]:
    """A deployment with these services healthy; nothing of it is left afterwards."""
    compose = compose_command()
    assert compose, "the images are there, and so is docker-compose"
    made = Deployment(folder, compose, **settings)
    made.write()
    made.down()
    try:
        made.bring_up(services)
        yield made
    finally:
        if os.environ.get("AO_KEEP_STACK") != "1":
            made.down()
