"""The bucket of deep copies, tried: whether it is there, and keeps versions.

What belongs here: that check, which writes nothing. What does not: the other buckets
(``ao_workflows.health.connections``).
"""

from __future__ import annotations

from collections.abc import Iterator

from ao_workflows import clients
from ao_workflows.errors import AoError
from ao_workflows.health.findings import Finding, fail, ok, warn, without_secrets
from ao_workflows.site.sections import Site


def check_deep_copies(site: Site) -> Iterator[Finding]:
    """Checks the bucket that synced works are copied to."""
    what = "deep copies"
    try:
        uploads = clients.deep_copies(site).uploads
        keeps = uploads.keeps_versions()
    except AoError as error:
        do = "see [deep_copy] in site.toml; the profile needs s3:GetBucketVersioning"
        yield fail(what, without_secrets(str(error)), do)
        return
    where = uploads.where("")
    if keeps:
        yield ok(what, f"{where} answers, and keeps versions")
    else:
        do = "turn its versioning on: a part that changed is refused there, since what it was would be lost"
        yield warn(what, f"{where} answers, and keeps no versions", do)
