"""The demo's site.toml."""

from __future__ import annotations

from pathlib import Path

from ao_workflows.site.sections import CHECKOUT

FOLDER = CHECKOUT / ".demo"
"""The folder in which the demo is made unless a person names another one."""


def demo_site(folder: Path, endpoint_url: str | None) -> str:
    """Returns the text of the demo's site.toml, in which everything is in ``folder``.

    :param endpoint_url: the address of S3 and SQS; without it, the site has no intake.
    """
    intake = f"""
[[intake]]
name = "demo"
queue = "ReadyToIntake"
bucket = "glacier.staging.demo"
region = "us-east-1"
aws_profile = "demo"
environment = "demo"
endpoint_url = "{endpoint_url}"
"""
    return f"""\
environment = "demo"
aws_credentials = "{folder}/aws-credentials"

[staging]
root = "{folder}/staging"
keep = "1 days"  # so that a work can be redone when the demo's S3 is gone
reserve_gib = 1

[archive]
parent = "{folder}/archive/Archive"

[sync]
script = "{CHECKOUT}/docker/sync/syncOneWork.sh"

[drs]
url = "sqlite:///{folder}/drs.sqlite"
{intake if endpoint_url else ""}"""
