"""``ao intake``: what it shows, what it leaves as it was, and what it exits with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ao_workflows.cli import main
from ao_workflows.site.demo import demo_site
from ao_workflows.staging.rejected_messages import keep, kept_messages
from ao_workflows.staging.staging import Staging
from ao_workflows_tests.support.moto_server import Aws

AO = [sys.executable, "-c", "from ao_workflows.cli import main; main(prog_name='ao')"]
BUCKET = "glacier.staging.demo"


class Trial:
    """A site.toml with two intakes on the test's AWS, and ``ao`` run with it."""

    def __init__(self, folder: Path, aws: Aws) -> None:
        self.aws, self.queue, self.other = aws, aws.make_queue(), aws.make_queue()
        text = demo_site(folder, aws.endpoint_url).replace("us-east-1", aws.connection.region)
        text = text.replace('aws_profile = "demo"', f'aws_profile = "{aws.connection.profile}"')
        text = text.replace(f"{folder}/aws-credentials", str(aws.connection.credentials_file))
        head, intake = text.split("[[intake]]")
        second = intake.replace('name = "demo"', 'name = "fpl"').replace("ReadyToIntake", self.other)
        self.toml = folder / "site.toml"
        self.toml.write_text(f"{head}[[intake]]{intake.replace('ReadyToIntake', self.queue)}[[intake]]{second}")
        self.staging = Staging(root=str(folder / "staging"))
        self.env = {"PATH": os.environ["PATH"], "AO_SITE": str(self.toml), "TZ": "UTC"}

    def ao(self, *words: str) -> Result:
        """In this process: importing Dagster anew for each command would take a minute."""
        return CliRunner(env=self.env).invoke(main, ["intake", *words])

    def send(self, *bodies: str, queue: str | None = None) -> None:
        url = self.aws.sqs.get_queue_url(QueueName=queue or self.queue)["QueueUrl"]
        for body in bodies:
            self.aws.sqs.send_message(QueueUrl=url, MessageBody=body)

    def in_queue(self, queue: str | None = None) -> tuple[int, int]:
        """How many messages are to be had, and how many are hidden."""
        url = self.aws.sqs.get_queue_url(QueueName=queue or self.queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])


@pytest.fixture
def trial(tmp_path: Path, aws: Aws) -> Iterator[Trial]:
    yield Trial(tmp_path, aws)


def restored(rid: str) -> str:
    record: dict[str, Any] = {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": "2026-11-21T06:32:44.000Z",
        "awsRegion": "ap-northeast-2",
        "s3": {"bucket": {"name": BUCKET}, "object": {"key": f"a/{rid}.bag.zip"}},
    }
    return json.dumps({"Records": [record]})


def test_peek_shows_what_waits_and_leaves_it_as_it_was(trial: Trial) -> None:
    """Whoever looks because an intake hangs must not be who makes it hang."""
    trial.send(restored("W1NLM4712"), "no JSON", '{"Event": "s3:TestEvent"}')
    trial.ao("peek", "demo")
    run = trial.ao("peek")
    assert run.exit_code == 0, run.stderr
    assert trial.in_queue() == (3, 0)
    assert f"queue {trial.queue} (region ap-northeast-2, profile restorer" in " ".join(run.stdout.split())
    assert "about 3 wait, 0 are hidden" in run.stdout
    (line,) = [line for line in run.stdout.splitlines() if "W1NLM4712" in line]
    assert line.split()[0] == "1", "it was looked at before"
    assert "cannot be used: it is no JSON" in run.stdout
    assert "nothing that this intake wants" in run.stdout
    assert trial.other in run.stdout


def test_peek_fits_a_terminal(trial: Trial) -> None:
    """A table that wraps at 80 columns cannot be read."""
    trial.send(json.dumps({"Records": json.loads(restored("W1"))["Records"] + ["garbled"] * 9}))
    keep(trial.staging, "demo", trial.queue, "5fea7756-0ea4-451a-a703-a558b933e274", "{", "it is no JSON, " * 9)
    shown = trial.ao("peek", "demo").stdout + trial.ao("rejected").stdout
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert "W1, and cannot be used otherwise: record 2 of 10" in shown


def test_peek_tells_a_program_everything(trial: Trial) -> None:
    """Of more than one queue, and how often each message was received before."""
    trial.send(restored("W1NLM4712"))
    (look,) = json.loads(trial.ao("peek", "demo", "--json").stdout)
    (message,) = look["messages"]
    assert (message["works"], message["received_before"], message["rejected"]) == (["W1NLM4712"], 0, None)
    assert message["body"] == restored("W1NLM4712")
    assert look["queue"]["visible"] == 1


def test_peek_of_a_queue_that_is_not_there_is_told_and_the_others_are_shown(trial: Trial) -> None:
    """One region's outage hides no other."""
    trial.aws.sqs.delete_queue(QueueUrl=trial.aws.sqs.get_queue_url(QueueName=trial.queue)["QueueUrl"])
    run = trial.ao("peek")
    assert run.exit_code == 1
    assert "there is no such queue" in run.stderr
    assert trial.other in run.stdout


def test_peek_receives_nothing_of_production_s(trial: Trial) -> None:
    """Each look counts as a reception, and may send a message to production's dead letters."""
    url = trial.aws.sqs.get_queue_url(QueueName=trial.queue)["QueueUrl"]
    trial.aws.sqs.tag_queue(QueueUrl=url, Tags={"environment": "prod"})
    trial.send(restored("W1NLM4712"))
    run = trial.ao("peek", "demo")
    assert run.exit_code == 1
    assert "belongs to 'prod'" in run.stderr
    (message,) = trial.aws.sqs.receive_message(QueueUrl=url, AttributeNames=["ApproximateReceiveCount"])["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_peek_that_is_interrupted_gives_everything_back(trial: Trial, number: signal.Signals) -> None:
    """Hidden messages of a look that was broken off are hidden from the sensor."""
    trial.send(*[restored(f"W1NLM47{n:02d}") for n in range(12)])
    command = [*AO, "intake", "peek", "demo", "--most", "1000"]  # more than there are: it waits for the next
    looking = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=trial.env)
    deadline = time.monotonic() + 60
    while trial.in_queue()[1] == 0 and looking.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    looking.send_signal(number)
    _, said = looking.communicate(timeout=60)
    assert b"Traceback" not in said
    assert looking.returncode in (128 + number, 0), said
    assert trial.in_queue() == (12, 0)


def test_peek_of_an_intake_that_is_not_there_names_those_that_are(trial: Trial) -> None:
    """A misspelt name must not look like an empty queue."""
    run = trial.ao("peek", "fpi")
    assert run.exit_code == 2
    assert "there are demo, fpl" in run.stderr


def test_rejected_lists_what_was_kept_and_sends_one_back(trial: Trial) -> None:
    """Once what was wrong is mended, the message is worth another try."""
    assert trial.ao("rejected").stdout == "No message is kept.\n"
    keep(trial.staging, "a_former_name", trial.queue, "id-1", restored("W1"), "it names the bucket 'b'")
    keep(trial.staging, "demo", trial.queue, "id-2", "no JSON", "it is no JSON")
    listed = trial.ao("rejected").stdout
    assert "2 of at most 5,000 messages are kept" in listed
    assert "id-1" in listed
    assert "it names the bucket 'b'" in listed
    assert [each["body"] for each in json.loads(trial.ao("rejected", "--json").stdout)] == [restored("W1"), "no JSON"]

    run = trial.ao("rejected", "--send-back", "id-1")
    assert (run.exit_code, run.stdout) == (0, f"id-1 is in {trial.queue} again\n")
    url = trial.aws.sqs.get_queue_url(QueueName=trial.queue)["QueueUrl"]
    (message,) = trial.aws.sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == restored("W1")
    assert [each.message_id for each in kept_messages(trial.staging)] == ["id-2"]
    assert trial.ao("rejected", "--send-back", "id-1").exit_code == 2


def test_a_kept_message_whose_time_is_none_is_listed_with_the_others(trial: Trial) -> None:
    """One file that a person has edited hid all the others behind a stack trace."""
    for number, at in enumerate(("9999-12-31T23:59:59-23:59", "yesterday")):
        path = keep(trial.staging, "demo", trial.queue, f"id-{number}", "{", "it is no JSON")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"at": at}))
    listed = trial.ao("rejected")
    assert listed.exit_code == 0, listed.exception
    assert [line for line in listed.stdout.splitlines() if line.endswith("demo  unknown")] == [
        "id-0  demo  unknown",
        "id-1  demo  unknown",
    ]


def test_what_cannot_be_sent_back_stays_kept(trial: Trial) -> None:
    """It is the last copy of the message."""
    keep(trial.staging, "demo", trial.queue, "id-1", "body", "reason")
    keep(trial.staging, "demo", "NobodysQueue", "id-2", "body", "reason")
    trial.aws.sqs.delete_queue(QueueUrl=trial.aws.sqs.get_queue_url(QueueName=trial.queue)["QueueUrl"])
    gone = trial.ao("rejected", "--send-back", "id-1")
    assert gone.exit_code == 1
    assert "there is no such queue" in gone.stderr
    nobodys = trial.ao("rejected", "--send-back", "id-2")
    assert nobodys.exit_code == 2
    assert "no intake of this site has it" in nobodys.stderr
    assert len(kept_messages(trial.staging)) == 2


def test_a_message_of_a_renamed_intake_goes_back_to_the_queue_of_that_intake(trial: Trial) -> None:
    """Its queue may have been renamed with it, and another region's may have the queue's name."""
    text = trial.toml.read_text()
    trial.toml.write_text(text.replace('name = "fpl"', 'name = "fpl"\nformerly = ["bdrc", "a_former_name"]'))
    keep(trial.staging, "bdrc", "BdrcReadyToIntake", "id-1", restored("W1"), "reason")
    assert trial.ao("rejected", "--send-back", "id-1").stdout == f"id-1 is in {trial.other} again\n"
    assert (trial.in_queue(trial.other), trial.in_queue()) == ((1, 0), (0, 0))
    assert trial.ao("peek", "bdrc").exit_code == 0

    two_of_one_name = trial.toml.read_text().replace(f'"{trial.queue}"', f'"{trial.other}"')
    trial.toml.write_text(two_of_one_name)
    keep(trial.staging, "a_former_name", trial.other, "id-2", restored("W1"), "reason")
    assert json.loads(trial.ao("rejected", "--send-back", "id-2", "--json").stdout)[0]["intake"] == "fpl"
    keep(trial.staging, "nobodys", trial.other, "id-3", restored("W1"), "reason")
    several = trial.ao("rejected", "--send-back", "id-3")
    assert several.exit_code == 2
    assert "several have: demo, fpl" in several.stderr
    assert 'formerly = ["nobodys"]' in several.stderr
    assert [each.message_id for each in kept_messages(trial.staging)] == ["id-3"]


def test_a_site_with_mistakes_is_told_in_words(trial: Trial) -> None:
    """Whoever types the command reads what to mend, not a stack."""
    trial.toml.write_text('environment = "test"\n')
    run = trial.ao("peek")
    assert run.exit_code == 1
    assert run.stderr.startswith(f"ao: {trial.toml}: ")
