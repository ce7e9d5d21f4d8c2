"""``ao site check``: each thing that may be wrong is found, all are found at once, and no secret is printed."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster._daemon.types import DaemonHeartbeat

from ao_workflows import clients
from ao_workflows.archive.mounted_shares import make_archive
from ao_workflows.cli import main
from ao_workflows.cli import site as command
from ao_workflows.drs.client import Drs
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse
from ao_workflows_tests.support.moto_server import PROFILE, Aws

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb

DAGSTER_YAML = Path(__file__).resolve().parents[2] / "dagster.yaml"


class Trial:
    """A site that is well, and whose text a test makes worse."""

    def __init__(self, folder: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self.queue = aws.make_queue(environment="demo")
        self.bucket = aws.make_bucket()
        for place in ("staging", "home", "bin", *(f"archive/Archive{share}/0{share}" for share in range(4))):
            (folder / place).mkdir(parents=True)
        for program in ("audit-tool", "s5cmd"):
            (folder / "bin" / program).write_text("#!/bin/sh\n")
            (folder / "bin" / program).chmod(0o755)
        (folder / "home/dagster.yaml").write_text(DAGSTER_YAML.read_text())
        Drs(url=f"sqlite:///{folder}/drs.sqlite").init()
        text = demo_site(folder, aws.endpoint_url).replace("ReadyToIntake", self.queue)
        text = text.replace("glacier.staging.demo", self.bucket).replace("us-east-1", aws.connection.region)
        text = text.replace('aws_profile = "demo"', f'aws_profile = "{PROFILE}"')
        text = text.replace(f"{folder}/aws-credentials", str(aws.connection.credentials_file))
        self.text = text.replace(
            "[sync]", f'web = "s3://{self.bucket}/Works"\n\n[sync]\nenv = {{PATH = "{folder}/bin:/usr/bin"}}'
        )
        make_archive(clients.archive_shares(parse(self.text, "the test's site")))
        monkeypatch.setenv("AO_SITE", f"{folder}/site.toml")
        monkeypatch.delenv("DAGSTER_HOME", raising=False)
        monkeypatch.setattr(command, "LIMIT_SECONDS", 120.0)  # the machine that runs the tests may be busy
        # The web prefix is reached as the sync script reaches it: by the default profile, at AWS's own address
        monkeypatch.setenv("AWS_PROFILE", PROFILE)
        monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
        monkeypatch.setenv("COLUMNS", "80")

    def ao(self, *words: str) -> Result:
        (self.folder / "site.toml").write_text(self.text)
        return CliRunner().invoke(main, ["site", "check", *words])

    def found(self) -> dict[str, dict[str, Any]]:
        """The worst of each thing's findings, by what it is of."""
        by_what: dict[str, dict[str, Any]] = {}
        result = self.ao("--json")
        all_found = json.loads(result.stdout)
        assert result.exit_code == ("fail" in {each["level"] for each in all_found})
        for each in all_found:
            assert each["level"] == "ok" or each["do"], "what is not well has a way out"
            if each["what"] not in by_what or by_what[each["what"]]["level"] == "ok":
                by_what[each["what"]] = each
        return by_what

    def fails(self) -> dict[str, str]:
        return {what: each["said"] for what, each in self.found().items() if each["level"] == "fail"}

    def use_dagster(self) -> None:
        """Only where a test is of it: making its storage takes a second."""
        self._monkeypatch.setenv("DAGSTER_HOME", f"{self.folder}/home")

    def heard_of_the_daemon(self, seconds_ago: float) -> None:
        with dg.DagsterInstance.get() as instance:
            for name in instance.get_required_daemon_types():
                instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - seconds_ago, name, "1"))


@pytest.fixture
def trial(tmp_path: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    yield Trial(tmp_path, aws, monkeypatch)


def test_a_site_that_is_well_is_told_line_by_line(trial: Trial) -> None:
    """Who has set up a site wants to see what was looked at, on a terminal of 80 columns."""
    trial.use_dagster()
    trial.heard_of_the_daemon(10)
    result = trial.ao()
    assert result.exit_code == 0, result.output
    assert {line[:4] for line in result.stdout.splitlines()} <= {"ok  ", "    "}, result.output
    assert max(len(line) for line in result.stdout.splitlines() if " " in line[6:]) <= 80
    told = " ".join(result.stdout.split())
    for what in (
        "site.toml: ",
        "files, renaming and locks work; ",
        *(f"Archive{share}: 1 buckets, writable" for share in range(4)),
        *(f"share {share}: {trial.folder}/archive/Archive{share} is " for share in range(4)),
        "syncOneWork.sh",
        "rsync: /usr/bin/rsync",
        "audit-tool: ",
        "web sender: ",
        f"queue {trial.queue}: answers, and is tagged environment=demo",
        f"bucket {trial.bucket}: answers",
        "web: answers",
        "DRS: sqlite 3",
        "DAGSTER_HOME: ",
        "Dagster's storage: answers, and has 0 runs",
        "Dagster's daemon: was heard of",
    ):
        assert what in told
    assert list(trial.folder.rglob(".ao-site-check-*")) == []


def test_a_disk_or_share_that_takes_two_names_for_one_is_refused(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """``w1`` and ``W1`` would be one folder, of both works' pages. (Few machines may mount such a disk: a fake.)"""
    exists = Path.exists
    monkeypatch.setattr(
        Path, "exists", lambda path: exists(path.with_name(path.name.lower()) if path.name == "NEW" else path)
    )
    places = {"staging": trial.folder / "staging"}
    places |= {f"archive {tree}": tree for share in range(4) for tree in [trial.folder / f"archive/Archive{share}"]}
    fails = trial.fails()
    assert {what: fails[what] for what in places} == {
        what: f"{place}: names that differ in case only are one" for what, place in places.items()
    }
    assert list(trial.folder.rglob(".ao-site-check-*")) == []


def test_a_folder_intake_is_looked_at_and_one_that_is_not_there_is_told(trial: Trial) -> None:
    """Whoever drops zips beside an unmounted share waits for ever."""
    inbox = trial.folder / "inbox"
    trial.text += f'\n[[intake]]\nname = "inbox"\nkind = "folder"\nfolder = "{inbox}"\nenvironment = "demo"\n'
    what = f"intake inbox: folder {inbox}"
    assert trial.fails()[what] == "No such file or directory"
    inbox.mkdir()
    assert trial.found()[what]["said"] == "is there, and files can be claimed in it"
    assert list(inbox.iterdir()) == []
    trial.text = trial.text.replace('environment = "demo"\n', 'environment = "prod"\n')
    trial.text = trial.text.replace('environment = "prod"\n', 'environment = "demo"\n', 1)
    assert "belongs to 'prod'" in trial.fails()[what]


def test_everything_that_is_wrong_is_found_at_once(trial: Trial) -> None:
    """One fault a start is an afternoon of restarts."""
    shutil.rmtree(trial.folder / "archive/Archive2")
    (trial.folder / "script.sh").write_text("#!/bin/sh\n")
    (trial.folder / "drs.sqlite").unlink()
    (trial.folder / "home/dagster.yaml").unlink()
    trial.use_dagster()
    text = trial.text.replace(trial.queue, "NoSuchQueue").replace(f'"{trial.bucket}"', '"no-such-bucket"')
    text = text.replace(f"s3://{trial.bucket}", "s3://no-such-web").replace(
        f'root = "{trial.folder}/staging"', 'root = "/proc"'
    )
    trial.text = text.replace(
        next(line for line in text.splitlines() if line.startswith("script")), f'script = "{trial.folder}/script.sh"'
    )
    fails = trial.fails()
    assert set(fails) == {
        "staging",
        f"archive {trial.folder}/archive/Archive2",
        # What was noted of the others is on the scratch disk.
        *("share 0", "share 1", "share 3"),
        "sync script",
        "intake demo: queue NoSuchQueue",
        "intake demo: bucket no-such-bucket",
        "web",
        "DRS",
        "DAGSTER_HOME",
    }
    assert "there is no such queue" in fails["intake demo: queue NoSuchQueue"]
    assert "NoSuchBucket" in fails["intake demo: bucket no-such-bucket"]
    assert "may not be executed" in fails["sync script"]
    assert "`ao drs init` makes it" in fails["DRS"]
    assert "has no dagster.yaml" in fails["DAGSTER_HOME"]


def test_mistakes_in_site_toml_are_all_told_and_dagster_is_still_checked(trial: Trial) -> None:
    """What does not hang on the file need not wait until it is right."""
    trial.text = trial.text.replace('environment = "demo"', 'environment = "moon"').replace(
        "reserve_gib = 1", "reserve_gib = -1"
    )
    result = trial.ao("--json")
    assert result.exit_code == 1
    said = [each["said"] for each in json.loads(result.stdout) if each["what"] == "site.toml"]
    assert any("environment: must be" in each for each in said)
    assert any("staging.reserve_gib" in each for each in said)
    assert "DAGSTER_HOME" in trial.found()


def test_no_secret_is_printed(trial: Trial, aws: Aws, mariadb_server: MariaDb) -> None:
    """The output is pasted into tickets."""
    password = secrets.token_urlsafe(12)
    url = mariadb_server.url("drs").replace(mariadb_server.password, password)
    trial.text = trial.text.replace(f"sqlite:///{trial.folder}/drs.sqlite", url)
    trial.use_dagster()
    (trial.folder / "home/dagster.yaml").write_text(
        f"storage:\n  postgres:\n    postgres_url: postgresql://dagster:{password}@127.0.0.1:9/dagster\n"
    )
    result = trial.ao()
    assert result.exit_code == 1
    assert "Access denied" in " ".join(result.stdout.split())
    assert "fail  Dagster's storage" in result.stdout
    keys = Path(str(aws.connection.credentials_file)).read_text().split()
    for word in (password, keys[3], keys[-1]):
        assert word not in result.output


def test_production_s_queue_is_refused_to_another_site_and_left_alone(trial: Trial, aws: Aws) -> None:
    """Found by a check, and not by production's missing works."""
    queue = aws.make_queue(environment="prod")
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="{}")
    trial.text = trial.text.replace(trial.queue, queue)
    assert "belongs to 'prod', and this site is 'demo'" in trial.fails()[f"intake demo: queue {queue}"]
    attributes = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert attributes["Attributes"] == {"ApproximateNumberOfMessages": "1"}


def test_what_the_script_needs_is_looked_for_where_it_looks(trial: Trial) -> None:
    """Its PATH is the one of [sync.env], not that of who checks."""
    trial.text = trial.text.replace(f"{trial.folder}/bin:/usr/bin", str(trial.folder))
    found = trial.found()
    assert (found["rsync"]["level"], found["audit-tool"]["level"], found["web sender"]["level"]) == (
        "fail",
        "warn",
        "warn",
    )


def test_a_scratch_disk_without_its_reserve_fails(trial: Trial) -> None:
    """Every work would wait for room, and nobody know why."""
    trial.text = trial.text.replace("reserve_gib = 1", "reserve_gib = 10000000")
    assert "GiB are free, 1e+07 GiB of them the site's reserve" in trial.fails()["staging"]


def test_an_old_heartbeat_fails_and_none_at_all_is_warned_of(trial: Trial) -> None:
    """A daemon that died is an alarm; one that was never started is a site being set up."""
    trial.use_dagster()
    never = trial.found()["Dagster's daemon"]
    assert (never["level"], never["said"]) == ("warn", "has never run here")
    trial.heard_of_the_daemon(1200)
    assert "was last heard of 20 minutes ago" in trial.fails()["Dagster's daemon"]


def test_the_root_disk_is_warned_of_where_a_share_should_be(trial: Trial) -> None:
    """The demo may have it so; a site may not have meant it."""
    if trial.folder.stat().st_dev != Path("/").stat().st_dev:
        pytest.skip("the tests' folder has a disk of its own")
    trial.text = trial.text.replace('environment = "demo"', 'environment = "dev"')
    found = trial.found()
    for what in ("staging", f"archive {trial.folder}/archive/Archive3"):
        assert (found[what]["level"], "nothing is mounted on" in found[what]["said"]) == ("warn", True)


def test_a_share_that_is_not_what_was_noted_fails_and_so_does_one_of_which_nothing_was(trial: Trial) -> None:
    """Found here it costs nothing; found by a work it has the work in the wrong place."""
    marker = trial.folder / "archive/Archive1/.ao-archive/share.json"
    id_of_1 = json.loads(marker.read_text())["id"]
    assert id_of_1 in trial.found()["share 1"]["said"]
    marker.rename(trial.folder / "archive/Archive2/.ao-archive/share.json")
    fails = trial.fails()
    assert "has no marker" in fails["share 1"]
    assert "is marked as share 1, and is mounted as share 2" in fails["share 2"]
    (trial.folder / "staging/archive-shares.json").unlink()
    found = trial.found()["share 0"]
    assert (found["level"], "never set up" in found["said"], "ao archive init" in found["do"]) == ("fail", True, True)


def test_an_unknown_option_exits_with_2(trial: Trial) -> None:
    """Exit code 1 means that the site is not well."""
    assert trial.ao("--what").exit_code == 2
