"""A site for one test: real staging, archive, DRS on SQLite, the reference script, a queue and a bucket of its own."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.archive.places import archive_place
from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.sensors.intakes import run_config
from ao_workflows.drs.client import Drs
from ao_workflows.events.s3_events import parse_message
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows.staging.layout import StagingLayout
from ao_workflows.works.object_keys import LAYOUT, object_key
from ao_workflows_tests.support.moto_server import Aws

PAGE = bytes(range(256)) * 40


def bag_zip(rid: str, files: Mapping[str, bytes], *, manifest: Mapping[str, bytes] | None = None) -> bytes:
    """A zipped bag of ``files``, whose manifest is that of ``manifest`` where the two are to differ."""
    listed = files if manifest is None else manifest
    tags = {
        "bagit.txt": b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n",
        "manifest-sha512.txt": "".join(
            f"{hashlib.sha512(data).hexdigest()}  data/{path}\n" for path, data in listed.items()
        ).encode(),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.mkdir(f"{rid}.bag")
        for path, data in tags.items() | {(f"data/{path}", data) for path, data in files.items()}:
            archive.writestr(f"{rid}.bag/{path}", data)
    return out.getvalue()


@dataclass(frozen=True)
class TrialSite:
    """A site in ``folder``, with Dagster's instance beside it."""

    folder: Path
    site: Site
    aws: Aws
    instance: dg.DagsterInstance

    @property
    def layout(self) -> StagingLayout:
        return StagingLayout(self.site.staging.root)

    @property
    def drs(self) -> Drs:
        return Drs(url=self.site.drs.url)

    @property
    def intake(self) -> Any:
        return self.site.intake["demo"]

    def place(self, rid: str) -> Path:
        """Where the archive has the work."""
        return archive_place(self.site.archive.parent, rid)

    def restore(self, rid: str, data: bytes) -> str:
        """Uploads a zip to Glacier and has it restored, so that the queue says so; the message's body."""
        key = object_key(LAYOUT, rid)
        self.aws.s3.put_object(Bucket=self.intake.bucket, Key=key, Body=data, StorageClass="GLACIER")
        self.aws.s3.restore_object(Bucket=self.intake.bucket, Key=key, RestoreRequest={"Days": 3})
        head = self.aws.s3.head_object(Bucket=self.intake.bucket, Key=key)
        return json.dumps(
            {
                "Records": [
                    {
                        "eventSource": "aws:s3",
                        "eventName": "ObjectRestore:Completed",
                        "eventTime": "2026-11-21T06:32:44.000Z",
                        "awsRegion": self.intake.region,
                        "s3": {
                            "bucket": {"name": self.intake.bucket},
                            "object": {"key": key, "size": len(data), "eTag": head["ETag"].strip('"')},
                        },
                    }
                ]
            }
        )

    def run(
        self,
        rid: str,
        body: str | None = None,
        select: str | Sequence[str] = "*",
        config: Mapping[str, Any] | None = None,
        word: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        **others: Any,
    ) -> dg.ExecuteInProcessResult:
        """Runs the work's assets here, for the event in ``body``; without, by ``config``, or from what is stored.
        ``word`` is the config of ``synced_archive``.
        """
        given = run_config("demo", parse_message(body)[0]) if body else config or {}
        if word:
            given = {"ops": {**given.get("ops", {}), "synced_archive": {"config": dict(word)}}}
        self.instance.add_dynamic_partitions("works", [rid])
        assets: Any = build(self.site).assets or ()
        return dg.materialize(
            [asset for asset in assets if asset.partitions_def],
            selection=select,
            partition_key=rid,
            instance=self.instance,
            resources=resources(self.site) | others,
            run_config=given or None,
            tags=dict(tags or {}),
            raise_on_error=False,
        )


@contextmanager
def trial_site(folder: Path, aws: Aws, *, environment: str = "demo", **staging: str) -> Iterator[TrialSite]:
    """A site in ``folder`` with a bucket and a queue of its own on the test's AWS."""
    text = demo_site(folder, aws.endpoint_url).replace("1 days", staging.get("keep", "until-synced"))
    text = text.replace("ReadyToIntake", aws.make_queue()).replace("glacier.staging.demo", aws.make_bucket())
    text = text.replace("us-east-1", aws.connection.region).replace('"demo"\nendpoint', f'"{environment}"\nendpoint')
    text = text.replace('aws_profile = "demo"', f'aws_profile = "{aws.connection.profile}"')
    text = text.replace(f"{folder}/aws-credentials", str(aws.connection.credentials_file))
    (folder / "site.toml").write_text(text)
    site = parse(text, "the test's site")
    make_archive(clients.archive_shares(site))
    Drs(url=site.drs.url).init()
    with dg.DagsterInstance.ephemeral() as instance:
        yield TrialSite(folder, site, aws, instance)
