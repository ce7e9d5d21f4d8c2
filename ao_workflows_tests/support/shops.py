"""A site whose intake is ``demo``, its DRS, and ``ao restore`` on it: on moto's AWS, or on an S3 that misbehaves.

What belongs here: the site, the command, and objects to ask for. What does not: what is tested with them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.drs.client import Drs
from ao_workflows.site.demo import demo_site
from ao_workflows.works.object_keys import LAYOUT, object_key
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import PROFILE, Aws, write_credentials
from ao_workflows_tests.support.s3_server import Held, S3Server

ARCHIVED = {"x-amz-storage-class": "GLACIER"}
EARLIER = datetime(2026, 10, 1, 12, tzinfo=UTC)


@dataclass
class Shop:
    """A site whose intake is ``demo``, its DRS, and the command on it."""

    folder: Path
    text: str
    drs: Drs = field(init=False)

    def __post_init__(self) -> None:
        self.drs = Drs(url=f"sqlite:///{self.folder}/drs.sqlite")
        self.drs.init()
        self.write(self.text)

    def write(self, text: str) -> None:
        (self.folder / "site.toml").write_text(text)

    def ao(self, *words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(main, ["restore", *words], input=given, env={"AO_SITE": f"{self.folder}/site.toml"})

    def told(self, *words: str, given: str | None = None) -> list[dict[str, Any]]:
        result = self.ao(*words, "--json", given=given)
        found: list[dict[str, Any]] = json.loads(result.stdout)
        return found

    def requested(self, rid: str) -> datetime | None:
        rows = self.drs.rows([rid])
        return rows[0].times.get(Stage.RESTORE_REQUESTED) if rows else None


def site_text(folder: Path, endpoint_url: str, bucket: str, credentials: Path, region: str = "us-east-1") -> str:
    text = demo_site(folder, endpoint_url).replace("glacier.staging.demo", bucket)
    text = text.replace(f"{folder}/aws-credentials", str(credentials)).replace(
        'region = "us-east-1"', f'region = "{region}"'
    )
    return text.replace('aws_profile = "demo"', f'aws_profile = "{PROFILE}"')


def another_intake(text: str, name: str, bucket: str, **changed: str) -> str:
    """The site with one more intake, like the demo's but for its name, its bucket, and what is ``changed``."""
    intake = text[text.index("[[intake]]") :].replace('name = "demo"', f'name = "{name}"')
    intake = intake.replace(
        next(line for line in intake.splitlines() if line.startswith("bucket")), f'bucket = "{bucket}"'
    )
    for key, value in changed.items():
        intake = intake.replace(
            next(line for line in intake.splitlines() if line.startswith(key)), f'{key} = "{value}"'
        )
    return f"{text}\n{intake}"


@pytest.fixture
def bucket(aws: Aws) -> str:
    return aws.make_bucket()


@pytest.fixture
def shop(aws: Aws, bucket: str, tmp_path: Path) -> Shop:
    """On moto's AWS."""
    credentials = Path(str(aws.connection.credentials_file))
    return Shop(tmp_path, site_text(tmp_path, aws.endpoint_url, bucket, credentials, aws.connection.region))


@pytest.fixture
def odd_shop(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """On an S3 that answers as AWS does, and as it is told to; its bucket is ``b-1``."""
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    write_credentials(tmp_path / "credentials")
    yield Shop(tmp_path, site_text(tmp_path, s3_server.url, "b-1", tmp_path / "credentials"))


def put(aws: Aws, bucket: str, rid: str, storage: str = "GLACIER") -> str:
    key = object_key(LAYOUT, rid)
    aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass=storage)
    return key


def hold(server: S3Server, rid: str, **headers: str) -> str:
    path = f"/b-1/{object_key(LAYOUT, rid)}"
    server.objects[path] = Held(
        b"x", "e", {**ARCHIVED, **{f"x-amz-{k.replace('_', '-')}": v for k, v in headers.items()}}
    )
    return path
