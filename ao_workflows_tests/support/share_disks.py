"""A desk for one test, and its archive's first share as a disk.

What belongs here: the fixtures. What does not: the desk (``desks``) and disks (``mounts``), which are imported when a
test asks for them: they load the definitions, which must not be before every test has a site of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ao_workflows_tests.support.desks import Desk
    from ao_workflows_tests.support.moto_server import Aws
    from ao_workflows_tests.support.mounts import LoopDisk


@pytest.fixture
def desk(tmp_path: Path, aws: Aws) -> Iterator[Desk]:
    from ao_workflows_tests.support.desks import Desk
    from ao_workflows_tests.support.sites import trial_site

    with trial_site(tmp_path, aws) as site:
        yield Desk(site)


@pytest.fixture
def disk(desk: Desk, tmp_path: Path) -> Iterator[LoopDisk]:
    """Share 0, in which the work belongs: a disk of 24 MiB. Below it lies an empty folder."""
    from ao_workflows import clients
    from ao_workflows_tests.support.mounts import loop_disk

    tree = desk.site.folder / "archive/Archive0"
    shutil.rmtree(tree)
    with loop_disk(tmp_path, tree) as disk:
        _, refused = clients.archive_shares(desk.site.site).set_up(exchanged=frozenset({0}))
        assert not refused
        yield disk
