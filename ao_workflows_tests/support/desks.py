"""A trial site at which works are synced, with the reference script and a real archive, and what a test spoils of them.

What belongs here: what the tests of several of the modules that sync ask for. What does not: the site (``sites``), and
the fixtures (``share_disks``).
"""

from __future__ import annotations

import dataclasses
import io
import os
import sys
import zipfile
from typing import Any

import dagster as dg

from ao_workflows.drs.rows import DrsRow
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip

RID, OTHER = "W1NLM4712", "W1NLM4788"
FILES = {"images/W1NLM4712-I1/0001.jpg": PAGE, "images/W1NLM4712-I1/0002.jpg": PAGE[::-1], "text.txt": b"text\n"}


SEND = f"""#!{sys.executable}
import os, sys, boto3
from pathlib import Path
source, (_, _, bucket, prefix) = Path(sys.argv[-2]), sys.argv[-1].split("/", 3)
s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
for number, path in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
    how = dict(ChecksumAlgorithm="SHA256") if number % 2 else {{}}
    s3.put_object(Bucket=bucket, Key=prefix + str(path.relative_to(source)), Body=path.read_bytes(), **how)
"""
"""A stand-in for s5cmd, which the tests do without."""


@dataclasses.dataclass
class Desk:
    """A trial site whose sync script is the reference one, wrapped in what a test wants to go wrong."""

    site: TrialSite

    @property
    def reference(self) -> str:
        return str(self.site.site.sync.script)

    def change(self, section: str, **changes: Any) -> None:
        values = {section: getattr(self.site.site, section).model_copy(update=changes)}
        self.site = dataclasses.replace(self.site, site=self.site.site.model_copy(update=values))

    def wrap(self, body: str) -> None:
        """A script in whose place ``sync "$@"`` is the reference one; each start of it is counted."""
        path = self.site.folder / "wrapped.sh"
        path.write_text(
            f'#!/bin/bash\nsync() {{ "{self.reference}" "$@"; }}\nwork=${{!#}}\nrid=$(basename "$work")\n'
            f'echo "$rid" >>"{self.site.folder}/starts"\n{body}\n'
        )
        path.chmod(0o755)
        self.change("sync", script=str(path))

    @property
    def starts(self) -> list[str]:
        path = self.site.folder / "starts"
        return path.read_text().split() if path.exists() else []

    def put_tool(self, name: str, text: str) -> None:
        path = self.site.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        env = {**self.site.site.sync.env, "PATH": f"{path.parent}:{os.environ['PATH']}"}
        self.change("sync", env=env)

    def open_web(self) -> str:
        """A web on the test's S3; its bucket."""
        bucket = self.site.aws.make_bucket()
        self.put_tool("s5cmd", SEND)
        env = {
            "AWS_PROFILE": str(self.site.aws.connection.profile),
            "AWS_ENDPOINT_URL_S3": str(self.site.aws.endpoint_url),
        }
        self.change("sync", env={**self.site.site.sync.env, **env})
        self.change("archive", web=f"s3://{bucket}/Works")
        return bucket

    def run(self, files: dict[str, bytes] = FILES, **others: Any) -> dg.ExecuteInProcessResult:
        return self.site.run(RID, self.site.restore(RID, bag_zip(RID, files)), **others)

    def again(self, **others: Any) -> dg.ExecuteInProcessResult:
        return self.site.run(RID, select="synced_archive", **others)

    def failure(self, result: dg.ExecuteInProcessResult) -> str:
        assert not result.success
        data: Any = result.failure_data_for_node("synced_archive")
        return str(data.user_failure_data.description)

    def metadata(self, result: dg.ExecuteInProcessResult) -> dict[str, Any]:
        (event,) = result.asset_materializations_for_node("synced_archive")
        return {name: value.value for name, value in event.metadata.items()}

    @property
    def row(self) -> DrsRow:
        (row,) = self.site.drs.rows([RID])
        return row


def two_works(first: dict[str, bytes], second: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as both:
        for rid, files in ((RID, first), (OTHER, second)):
            with zipfile.ZipFile(io.BytesIO(bag_zip(rid, files))) as one:
                for member in one.infolist():
                    both.writestr(member, one.read(member))
    return data.getvalue()
