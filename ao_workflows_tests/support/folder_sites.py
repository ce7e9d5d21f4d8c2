"""A site whose intake is a folder: real staging, archive, DRS on SQLite, the reference script.

What belongs here: making one, its ticks and its runs. What does not: what is judged of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.archive.places import archive_place
from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.sensors.folders import folder_sensor
from ao_workflows.drs.client import Drs
from ao_workflows.intake.folders import Folders
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import Site
from ao_workflows.staging.layout import StagingLayout

SENSOR = "drop_intake"


@dataclass(frozen=True)
class FolderSite:
    """A site in ``root``, with the folder ``drop``, and Dagster's instance."""

    root: Path
    drop: Path
    site: Site
    instance: dg.DagsterInstance

    @property
    def layout(self) -> StagingLayout:
        return StagingLayout(self.site.staging.root)

    @property
    def drs(self) -> Drs:
        return Drs(url=self.site.drs.url)

    @property
    def folders(self) -> Folders:
        return Folders(folders={"drop": str(self.drop)})

    def place(self, rid: str) -> Path:
        return archive_place(self.site.archive.parent, rid)

    def put(self, name: str, data: bytes, age: float = 0) -> Path:
        """Puts a complete file into the folder, as a rename does; ``age`` in seconds."""
        path = self.drop / name
        under_way = self.drop / f".{name}.under-way"
        under_way.write_bytes(data)
        found = under_way.stat()
        os.utime(under_way, (found.st_atime - age, found.st_mtime - age - 1))
        return under_way.rename(path)

    def saved(self) -> list[str]:
        save = self.drop / "save"
        return sorted(os.listdir(save)) if save.exists() else []

    def tick(self, cursor: str | None = None, intake: str = "drop") -> dg.SensorResult:
        sensor = folder_sensor(intake, self.site.folders["drop"], self.site)
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, sensor_name=f"{intake}_intake", resources={"folders": self.folders}
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def run_requested(self, result: dg.SensorResult) -> list[dg.ExecuteInProcessResult]:
        """Runs what a tick requested, as the daemon does: once for a run key."""
        done = []
        for request in result.run_requests or ():
            tags = {RUN_KEY_TAG: str(request.run_key), SENSOR_NAME_TAG: SENSOR}
            if not self.instance.get_runs(dg.RunsFilter(tags=tags)):
                done.append(self.run(str(request.partition_key), run_config=dict(request.run_config), tags=tags))
        return done

    def run(self, rid: str, select: str = "group:restore", **more: Any) -> dg.ExecuteInProcessResult:
        self.instance.add_dynamic_partitions("works", [rid])
        return dg.materialize(
            list(build(self.site).assets or ()),  # type: ignore[arg-type]
            selection=select,
            partition_key=rid,
            instance=self.instance,
            resources=resources(self.site),
            raise_on_error=False,
            **more,
        )


def folder_site_toml(root: Path, drop: Path, environment: str = "demo") -> str:
    """The site.toml of such a site."""
    return (
        demo_site(root, endpoint_url=None).replace("1 days", "until-synced")
        + f'\n[[intake]]\nname = "drop"\nkind = "folder"\nfolder = "{drop}"\nenvironment = "{environment}"\n'
    )


@contextmanager
def folder_site(root: Path, drop: Path | None = None, environment: str = "demo") -> Iterator[FolderSite]:
    """A site in ``root``; its folder is ``drop``, which is made."""
    drop = drop or root / "drop"
    drop.mkdir(parents=True, exist_ok=True)
    site = parse(folder_site_toml(root, drop, environment), "the test's site")
    make_archive(clients.archive_shares(site))
    Drs(url=site.drs.url).init()
    with dg.DagsterInstance.ephemeral() as instance:
        yield FolderSite(root, drop, site, instance)


@dataclass(frozen=True)
class Step:
    """What a process was about to do when it was killed."""

    number: int
    killed: bool


def killed_before_step(
    number: int, roots: Sequence[Path], work: Callable[[], object], *, renames_only: bool = False
) -> Step:
    """Does ``work`` in a process of its own, which SIGKILL ends just before its ``number``-th step below the ``roots``.

    A step is what the interpreter is asked to do to a file: rename, remove, make a folder, open for writing; or the
    first two alone.
    """
    child = os.fork()
    if child == 0:
        seen = 0

        def listen(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            changes = (
                event in {"os.rename", "os.remove"}
                or (not renames_only and event in {"os.mkdir", "os.rmdir", "os.truncate"})
                or (
                    not renames_only
                    and event == "open"
                    and isinstance(arguments[2], int)
                    and arguments[2] & (os.O_WRONLY | os.O_RDWR)
                )
            )
            if not changes or not str(arguments[0]).startswith(tuple(map(str, roots))):
                return
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            sys.addaudithook(listen)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or os.WEXITSTATUS(status) == 0, "the process failed by itself"
    return Step(number, killed)
