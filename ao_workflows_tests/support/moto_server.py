"""A private AWS: moto's server in a process of its own, for as long as the tests run.

What belongs here: starting and ending it, and the way to it. What does not: what is tested with it.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ao_workflows.aws.connections import AwsConnection, make_client
from ao_workflows_tests.support.parent import end_with_it

PROFILE = "restorer"
REGION = "ap-northeast-2"

_SERVE = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
"""
"""As ``python -m moto.server`` serves, on a port of the kernel's choice, which it says once it is taken."""


@dataclass(frozen=True)
class Aws:
    """The server's address, the way to it as an intake has it, and clients to set the scene with."""

    endpoint_url: str
    connection: AwsConnection
    s3: Any
    sqs: Any

    def make_bucket(self, *, versioned: bool = False) -> str:
        """A bucket for one test; its name."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        if versioned:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def make_queue(self, **tags: str) -> str:
        """A queue for one test; its name."""
        name = f"queue-{uuid.uuid4().hex}"
        self.sqs.create_queue(QueueName=name, tags=tags)
        return name


def write_credentials(path: Path) -> None:
    """Writes an AWS credentials file with keys made on the spot: the server takes any."""
    path.write_text(
        f"[{PROFILE}]\naws_access_key_id = {secrets.token_hex(10)}\naws_secret_access_key = {secrets.token_hex(20)}\n"
    )
    path.chmod(0o600)


def without_checksums(aws: Aws) -> Any:
    """A client as it was before 2025, which sends no checksum that it was not asked for."""
    session = boto3.Session(aws_access_key_id="key", aws_secret_access_key="word", region_name=REGION)
    return session.client(
        "s3", endpoint_url=aws.endpoint_url, config=Config(request_checksum_calculation="when_required")
    )


@pytest.fixture(scope="session")
def _without_aws_variables() -> Iterator[None]:
    """No test reaches a real account by what the shell of its user holds."""
    held = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("AWS_")}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    try:
        yield
    finally:
        for name in ("AWS_EC2_METADATA_DISABLED", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            os.environ.pop(name, None)
        os.environ.update(held)


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory, _without_aws_variables: None) -> Iterator[Aws]:
    """The server of this session, running, with nothing in it."""
    if importlib.util.find_spec("moto") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("moto is not installed")
        pytest.skip("moto is not installed")
    folder = tmp_path_factory.mktemp("moto")
    log = folder / "log"
    with log.open("wb") as errors:
        server = subprocess.Popen(
            [sys.executable, "-c", _SERVE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            preexec_fn=end_with_it,  # noqa: PLW1509 - one call of the kernel
        )
    try:
        assert server.stdout
        port = server.stdout.readline().strip().decode()
        if not port:
            pytest.fail(f"moto's server did not start:\n{log.read_text()[-4000:]}")
        write_credentials(folder / "credentials")
        connection = AwsConnection(
            region=REGION,
            profile=PROFILE,
            endpoint_url=f"http://127.0.0.1:{port}",
            credentials_file=str(folder / "credentials"),
        )
        yield Aws(
            str(connection.endpoint_url), connection, make_client("s3", connection), make_client("sqs", connection)
        )
    finally:
        server.kill()
        server.communicate()
