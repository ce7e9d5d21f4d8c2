"""What is decided of a site without looking at it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ao_workflows.health.findings import Level, mount_of, nothing_mounted, tag_finding, without_secrets

MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:50 / /mnt/Archive0 rw,relatime shared:1 master:2 - nfs4 nas:/a0 rw
41 27 0:51 / /mnt/with\040space rw,relatime - xfs /dev/vdb rw
42 27 0:52 / /srv rw - xfs /dev/vdc rw
43 42 0:53 / /srv rw - autofs systemd-1 rw
""".lstrip()


@pytest.mark.parametrize(
    ("path", "point", "kind"),
    [
        ("/mnt/Archive0", "/mnt/Archive0", "nfs4"),
        ("/mnt/Archive0/12", "/mnt/Archive0", "nfs4"),
        ("/mnt/Archive01", "/", "ext4"),
        ("/mnt/Archive1", "/", "ext4"),
        ("/mnt/with space/x", "/mnt/with space", "xfs"),
        ("/srv/x", "/srv", "autofs"),
    ],
)
def test_a_paths_mount_is_the_nearest_one_above_it(path: str, point: str, kind: str) -> None:
    """Archive01 is not below Archive0, and of two mounts on one point the later lies on top."""
    assert mount_of(Path(path), MOUNTS) == (Path(point), kind)


def test_a_mount_point_with_nothing_on_it_is_warned_of() -> None:
    """After a reboot without the share, works would be synced into an empty folder of the root disk."""
    found = nothing_mounted("archive", Path("/mnt/Archive1"), MOUNTS)
    assert found is not None
    assert found.level is Level.WARN
    assert "nothing is mounted on /mnt/Archive1" in found.said
    assert nothing_mounted("archive", Path("/mnt/Archive0/12"), MOUNTS) is None


@pytest.mark.parametrize(
    ("belongs_to", "tag", "site", "level"),
    [
        ("prod", "prod", "prod", Level.OK),
        ("dev", "dev", "dev", Level.OK),
        ("prod", None, "prod", Level.WARN),
        ("dev", "demo", "dev", Level.WARN),
        ("prod", "prod", "dev", Level.FAIL),
        ("dev", "prod", "dev", Level.FAIL),
        ("prod", "dev", "prod", Level.FAIL),
    ],
)
def test_a_queue_of_another_environment_fails(belongs_to: str, tag: str | None, site: str, level: Level) -> None:
    """A trial site that empties production's queue is the worst that a wrong line in site.toml can do."""
    assert tag_finding("q", "fpl", belongs_to, tag, site).level is level


def test_a_vendors_text_is_shown_without_a_urls_password() -> None:
    """PostgreSQL's and HTTP's errors repeat what they were given."""
    said = without_secrets("no route to postgresql://dagster:very/secret@db/x and http://a:b@c")
    assert "secret" not in said
    assert "a:b" not in said
    assert "db/x" in said
