"""A work's way round: into the deep archive, out of the archive, asked for, and back through the queue, as it was."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from ao_workflows.cli import main
from ao_workflows.clients import resources
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.drs.parts import known_parts
from ao_workflows.site.loading import parse
from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.deep_copies import MTIME
from ao_workflows_tests.support.folder_sites import FolderSite
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import RID
from ao_workflows_tests.support.sites import PAGE, TrialSite, bag_zip, trial_site

HOME = f"Archive0/00/{RID}/"
ONE, TWO = f"{RID}-I1NLM4700_001", f"{RID}-I1NLM4700_002"
FIRST = {
    f"images/{ONE}/0001.jpg": PAGE,
    f"images/{ONE}/བོད ཡིག 2.jpg": b"two",
    f"images/{TWO}/0001.jpg": PAGE[::-1],
    f"archive/{TWO}/0001.tif": b"tif",
    "sources/a note.txt": b"note",
    "sources/ü/ē 1.txt": b"deep",
    "eBooks/b.txt": b"",
}
CHANGED = {f"images/{TWO}/0001.jpg": b"scanned anew", "sources/a note.txt": b"note, mended"}
MORE = {f"images/{TWO}/0002.jpg": b"a page that was missed"}
Tree = dict[str, tuple[bytes, int]]


def timed_zip(files: Mapping[str, bytes], since: int) -> bytes:
    """A bag of the whole work, in which each file has a time of its own, to the second."""
    out = io.BytesIO()
    plain = zipfile.ZipFile(io.BytesIO(bag_zip(RID, files)))
    with plain, zipfile.ZipFile(out, "w") as timed:
        for number, info in enumerate(plain.infolist()):
            info.extra = struct.pack("<HHBl", 0x5455, 5, 1, since + number)
            timed.writestr(info, plain.read(info.filename))
    return out.getvalue()


@dataclass
class Round:
    """The site: a folder that whole works come by, and the intake whose bucket is the deep archive."""

    trial: TrialSite
    folder: FolderSite
    cursor: str | None = None

    @property
    def place(self) -> Path:
        return self.trial.place(RID)

    def comes_by_folder(self, files: Mapping[str, bytes], since: int, number: int) -> dg.ExecuteInProcessResult:
        """A whole work is put into the folder, and the run that this starts is done."""
        self.folder.put(f"{RID}.bag.zip", timed_zip(files, since), age=60 - number)
        self.cursor = self.folder.tick(self.cursor).cursor
        result = self.folder.tick(self.cursor)
        self.cursor = result.cursor
        (done,) = self.folder.run_requested(result)
        return done

    def tree(self) -> Tree:
        """What the archive has of the work: each file, and its time."""
        found = {}
        for path in self.place.rglob("*"):
            if path.is_file():
                found[path.relative_to(self.place).as_posix()] = (path.read_bytes(), int(path.stat().st_mtime))
        return found

    def newest(self) -> dict[str, str]:
        """The version that the deep archive has of each part."""
        listed = self.trial.aws.s3.list_object_versions(Bucket=self.trial.intake.bucket, Prefix=HOME)["Versions"]
        return {
            each["Key"].removeprefix(HOME).removesuffix(".bag.zip"): each["VersionId"]
            for each in listed
            if each["IsLatest"]
        }

    def asked(self) -> str:
        """What ``ao restore request`` says; what came into the archive before is asked for again."""
        environment = {"AO_SITE": str(self.trial.folder / "site.toml")}
        result = CliRunner().invoke(main, ["restore", "request", RID, "--yes", "--again"], env=environment)
        assert result.exit_code == 0, result.output
        return result.output

    def come_back(self, names: Sequence[str]) -> None:
        """The queue says in this order that the parts are restored, and the runs that the sensor asks for are done."""
        aws, intake = self.trial.aws, self.trial.intake
        url = aws.sqs.get_queue_url(QueueName=intake.queue)["QueueUrl"]
        runs: list[dg.RunRequest] = []
        for name in names:
            key = f"{HOME}{name}.bag.zip"
            head = aws.s3.head_object(Bucket=intake.bucket, Key=key)
            of = {"key": key, "size": head["ContentLength"], "eTag": head["ETag"].strip('"')}
            record = {"eventSource": "aws:s3", "eventName": "ObjectRestore:Completed", "awsRegion": intake.region}
            record |= {"eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
            body = json.dumps({"Records": [record | {"s3": {"bucket": {"name": intake.bucket}, "object": of}}]})
            aws.sqs.send_message(QueueUrl=url, MessageBody=body)
            runs += self._sensed()
        assert [run.tags.get("ao/part", RID) for run in runs] == list(names)
        for run in runs:
            result = self.trial.run(RID, config=run.run_config, tags=run.tags)
            assert result.success, "\n".join(failures(result))
            assert checked(result).description == "it came from the deep archive, which has it"
            assert all(each.passed for each in result.get_asset_check_evaluations())

    def _sensed(self) -> list[dg.RunRequest]:
        sensor = intake_sensor("demo", self.trial.intake, self.trial.site)
        with dg.build_sensor_context(
            instance=self.trial.instance, sensor_name="demo_intake", resources=resources(self.trial.site)
        ) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return [*(result.run_requests or ())]


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[Round]:
    with trial_site(tmp_path, aws) as trial:
        aws.s3.put_bucket_versioning(Bucket=trial.intake.bucket, VersioningConfiguration={"Status": "Enabled"})
        drop = tmp_path / "drop"
        drop.mkdir()
        text = (tmp_path / "site.toml").read_text()
        text += f'\n[[intake]]\nname = "drop"\nkind = "folder"\nfolder = "{drop}"\nenvironment = "demo"\n'
        text += '\n[deep_copy]\nintake = "demo"\nstorage_class = "DEEP_ARCHIVE"\n'
        (tmp_path / "site.toml").write_text(text)
        parsed = parse(text, "the test's site")
        again = TrialSite(tmp_path, parsed, aws, trial.instance)
        yield Round(again, FolderSite(tmp_path, drop, parsed, trial.instance))


def without_tags(tree: Tree) -> dict[str, bytes]:
    """The work's files without those that the archive keeps of its bag."""
    return {path: content for path, (content, _) in tree.items() if not path.startswith(f"{RID}.bag/")}


def failures(result: dg.ExecuteInProcessResult) -> list[str]:
    """What the steps that failed say."""
    failed: Any = [event for event in result.all_events if event.event_type_value == "STEP_FAILURE"]
    return [str(event.step_failure_data.user_failure_data.description) for event in failed]


def checked(result: dg.ExecuteInProcessResult) -> Any:
    return next(each for each in result.get_asset_check_evaluations() if each.check_name == "is_in_deep_archive")


def test_a_work_comes_back_from_the_deep_archive_as_it_was_and_so_does_its_newest_state(site: Round) -> None:
    """What the deep archive has is worth what comes back of it, and that is tried before the archive is lost."""
    done = site.comes_by_folder(FIRST, MTIME, 1)
    assert done.success, failures(done)
    before, copied = site.tree(), site.newest()
    assert without_tags(before) == FIRST
    assert len({time for _, time in before.values()}) == len(before), "each has a time of its own"
    assert set(copied) == {RID, ONE, TWO}
    shutil.rmtree(site.place)
    assert "3 asked now" in site.asked()
    site.come_back([TWO, RID, ONE])
    assert site.tree() == before
    (row,) = [row for row in site.trial.drs.rows_of(RID) if known_parts([row])]
    assert Stage.SYNCED_ARCHIVE in row.times, "all that were asked for are in"

    done = site.comes_by_folder(FIRST | CHANGED | MORE, MTIME + 86_400, 2)
    assert done.success, failures(done)
    newest, again = site.tree(), site.newest()
    (changes,) = again.keys() - copied.keys()
    assert changes.endswith("-inventory")
    assert {name for name in copied if again[name] != copied[name]} == {TWO}, "no more than what changed"
    shutil.rmtree(site.place)
    assert f"{RID}: in 4 parts" in site.asked()
    assert set(known_parts(site.trial.drs.rows_of(RID))) == again.keys()
    site.come_back([changes, TWO, ONE, RID])
    assert without_tags(newest) == FIRST | CHANGED | MORE
    assert site.tree() == newest
    assert os.listdir(site.place.parent) == [RID]
