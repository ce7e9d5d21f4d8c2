"""One intake's sensor, tick by tick, against a queue over HTTP and a real instance."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._grpc.utils import default_sensor_grpc_timeout

from ao_workflows.clients import resources
from ao_workflows.definitions import build
from ao_workflows.defs.sensors import queues as sensors
from ao_workflows.defs.sensors.queues import intake_sensor
from ao_workflows.errors import ServiceError, WrongEnvironment
from ao_workflows.events.s3_events import parse_message
from ao_workflows.intake.queue_rules import QueueCursor, plan_tick
from ao_workflows.staging import rejected_limit
from ao_workflows.staging.staging import Staging
from ao_workflows.status.noted_events import last_noted
from ao_workflows.status.noted_events import works as noted_works
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.sites import TrialSite, trial_site


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def _event(bucket: str, key: str, time: str = "2026-11-21T06:32:44.000Z") -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectRestore:Completed",
        "eventTime": time,
        "awsRegion": "ap-northeast-2",
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, "size": 3, "eTag": "ab"}},
    }


def _send(site: TrialSite, *bodies: object) -> None:
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    for body in bodies:
        site.aws.sqs.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))


def _restored(site: TrialSite, *rids: str) -> dict[str, Any]:
    return {"Records": [_event(site.intake.bucket, f"Archive0/12/{rid}/{rid}.bag.zip") for rid in rids]}


def _in_queue(site: TrialSite) -> tuple[int, int]:
    """How many messages are to be had, and how many are hidden."""
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = site.aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return int(found[names[0]]), int(found[names[1]])


def _tick(site: TrialSite, cursor: str | None = None) -> dg.SensorResult:
    sensor = intake_sensor("demo", site.intake, site.site)
    clients = {name: client for name, client in resources(site.site).items() if name in ("sqs", "staging")}
    with dg.build_sensor_context(
        instance=site.instance, cursor=cursor, sensor_name="demo_intake", resources=clients
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return result


def _make_runs(site: TrialSite, result: dg.SensorResult) -> None:
    """As the daemon does after the tick."""
    for request in result.run_requests or ():
        create_run_for_test(site.instance, tags={RUN_KEY_TAG: str(request.run_key), SENSOR_NAME_TAG: "demo_intake"})


def test_a_tick_requests_a_run_for_each_work_and_deletes_nothing(site: TrialSite) -> None:
    """A message deleted in the tick that requests its run is lost with a daemon that dies before it makes the run."""
    _send(site, _restored(site, "W1NLM4712", "W1NLM4788"))
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4712", "W1NLM4788"]
    assert len({request.run_key for request in result.run_requests or ()}) == 2
    assert _in_queue(site) == (0, 1)


def test_a_later_tick_deletes_the_message_once_its_runs_are_there(site: TrialSite) -> None:
    """A message that is never deleted comes back for ever."""
    _send(site, _restored(site, "W1NLM4712", "W1NLM4788"))
    first = _tick(site)
    second = _tick(site, first.cursor)
    assert _in_queue(site) == (0, 1), "its runs are not there yet"
    _make_runs(site, first)
    third = _tick(site, second.cursor)
    assert _in_queue(site) == (0, 0)
    assert QueueCursor.parse(third.cursor) == QueueCursor()


def test_a_message_whose_runs_never_came_is_forgotten_when_sqs_shows_it_again(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its receipt handle is stale then; the next delivery requests the runs anew."""
    _send(site, _restored(site, "W1NLM4712"))
    first = _tick(site)
    monkeypatch.setattr("time.time", lambda: QueueCursor.parse(first.cursor).pending[0].hidden_until + 1)
    assert QueueCursor.parse(_tick(site, first.cursor).cursor) == QueueCursor()
    assert _in_queue(site)[1] == 1


def test_the_same_event_again_is_the_same_run_and_a_second_restore_another(site: TrialSite) -> None:
    """SQS delivers at least once, and Dagster makes one run for a run key."""
    again = _restored(site, "W1NLM4712")
    later = {"Records": [_event(site.intake.bucket, "Archive0/12/W1NLM4712/W1NLM4712.bag.zip", "2026-12-21T00:00:00Z")]}
    _send(site, again, again, later)
    keys = [request.run_key for request in _tick(site).run_requests or ()]
    assert len(keys) == len(set(keys)) == 2


def test_messages_that_ask_for_no_run_are_deleted_at_once(site: TrialSite) -> None:
    """S3's test event, and events of other kinds, would fill the queue."""
    other = _restored(site, "W1NLM4712")
    other["Records"][0]["eventName"] = "ObjectRestore:Post"
    _send(site, {"Service": "Amazon S3", "Event": "s3:TestEvent"}, other)
    result = _tick(site)
    assert not result.run_requests
    assert _in_queue(site) == (0, 0)


@pytest.mark.parametrize("body", ["no JSON", '{"a": 1}', '{"Records": [{"eventSource": "aws:s3"}]}'])
def test_a_message_that_cannot_be_used_is_kept_whole_before_it_is_deleted(site: TrialSite, body: str) -> None:
    """It may be the only news of a work."""
    _send(site, body)
    _tick(site)
    assert _in_queue(site) == (0, 0)
    (kept,) = site.layout.rejected_messages().iterdir()
    assert json.loads(kept.read_text())["body"] == body


def test_a_message_that_cannot_be_kept_stays_in_the_queue(site: TrialSite) -> None:
    """A full disk must not eat a message."""
    site.layout.rejected_messages().parent.parent.mkdir(parents=True, exist_ok=True)
    site.layout.rejected_messages().parent.write_text("in the way")
    _send(site, "no JSON")
    with pytest.raises(Exception, match="staging"):
        _tick(site)
    assert sum(_in_queue(site)) == 1


def test_a_rid_that_cannot_be_one_is_set_aside_and_its_neighbour_runs(site: TrialSite) -> None:
    """Dagster refuses some partition keys: one of them must not stop the tick, and with it the queue."""
    bad = _event(site.intake.bucket, "Archive0/00/W..1/W...1.bag.zip")
    _send(site, {"Records": [bad, *_restored(site, "W1NLM4712")["Records"]]})
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4712"]
    (kept,) = site.layout.rejected_messages().iterdir()
    assert "W...1" in json.loads(kept.read_text())["reason"]
    _make_runs(site, result)
    _tick(site, result.cursor)
    assert _in_queue(site) == (0, 0)


def test_a_record_that_cannot_be_read_is_kept_and_its_neighbour_runs(site: TrialSite) -> None:
    """The message is on the disk before it leaves the queue, and the good work does not wait for a person."""
    _send(site, {"Records": [*_restored(site, "W1NLM4712")["Records"], {"eventSource": "aws:s3"}]})
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4712"]
    (kept,) = site.layout.rejected_messages().iterdir()
    assert len(json.loads(json.loads(kept.read_text())["body"])["Records"]) == 2
    assert _in_queue(site) == (0, 1), "its run is not there yet"
    _make_runs(site, result)
    _tick(site, result.cursor)
    assert _in_queue(site) == (0, 0)


def test_a_message_that_cannot_be_kept_does_not_stop_the_others(site: TrialSite) -> None:
    """It is the scratch disk's trouble, and it stays in the queue until that is over, also with a good record in it."""
    site.layout.rejected_messages().parent.parent.mkdir(parents=True, exist_ok=True)
    site.layout.rejected_messages().parent.write_text("in the way")
    _send(site, {"Records": [*_restored(site, "W1NLM4712")["Records"], {}]}, _restored(site, "W1NLM4788"))
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4712", "W1NLM4788"]
    _make_runs(site, result)
    _tick(site, result.cursor)
    assert _in_queue(site) == (0, 1)


def test_beyond_the_limit_messages_stay_in_the_queue_and_good_ones_run(
    site: TrialSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of messages that cannot be used would fill the disk, and so stop every work."""
    monkeypatch.setattr(rejected_limit, "MOST_MESSAGES", 1)
    _send(site, "no JSON", "none either", _restored(site, "W1NLM4788"))
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4788"]
    assert len(list(site.layout.rejected_messages().iterdir())) == 1
    assert _in_queue(site) == (0, 2), "one of them, and the good one until its run is there"


def test_an_intake_that_was_renamed_does_no_work_again(site: TrialSite) -> None:
    """Dagster keeps run keys apart by the sensor's name: under the new one it knows of none."""
    again = _restored(site, "W1NLM4712")
    run_key = parse_message(json.dumps(again))[0].identity
    create_run_for_test(site.instance, tags={RUN_KEY_TAG: run_key, SENSOR_NAME_TAG: "former_name_intake"})
    _send(site, again, _restored(site, "W1NLM4712", "W1NLM4788"))
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4788"]
    assert _in_queue(site) == (0, 1), "the message whose only run is there is gone"


def _of_many(site: TrialSite, number: int) -> dict[str, Any]:
    """One message with a record for each of so many works, as short as records get."""
    records = [_event(site.intake.bucket, f"W1NLM{each:04d}.bag.zip") for each in range(number)]
    return {"Records": [{**each, "awsRegion": "r", "eventTime": "2026-11-21T06:32:44Z"} for each in records]}


def _receptions(site: TrialSite) -> list[int]:
    """How often each message that is to be had was received before."""
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    found = site.aws.sqs.receive_message(QueueUrl=url, AttributeNames=["All"], MaxNumberOfMessages=10)
    return [int(each["Attributes"]["ApproximateReceiveCount"]) - 1 for each in found.get("Messages", [])]


def _in_parts(site: TrialSite) -> list[Path]:
    folder = site.layout.messages_in_parts()
    return sorted(folder.iterdir()) if folder.exists() else []


def _go_through(site: TrialSite, cursor: str | None, ticks: int) -> list[str]:
    """Ticks with a daemon that makes the runs that each requests, and a machine that does them; the works asked for."""
    asked: list[str] = []
    for _ in range(ticks):
        result = _tick(site, cursor)
        requests = result.run_requests or []
        assert len(requests) <= min(site.site.max_queued_runs, sensors.BATCH)
        asked += [str(request.partition_key) for request in requests]
        _make_runs(site, result)
        for run in site.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.NOT_STARTED])):
            site.instance.report_run_canceled(run)
        cursor = result.cursor
    return asked


def test_1400_records_of_one_object_ask_for_one_run_the_newest_one_s(site: TrialSite) -> None:
    """Each of 1,400 runs downloaded the work anew, one after the other, and nothing else had its turn."""
    record = _event(site.intake.bucket, "W1NLM4712.bag.zip")
    times = [f"2026-11-21T{number // 60:02d}:{number % 60:02d}:00Z" for number in range(1400)]
    records = [{**record, "awsRegion": "r", "eventTime": at} for at in times]
    _send(site, {"Records": records[700:] + records[:700]})
    result = _tick(site)
    (request,) = result.run_requests or ()
    assert str(request.run_key).endswith(times[-1])
    _make_runs(site, result)
    _tick(site, result.cursor)
    assert _in_queue(site) == (0, 0)


def test_a_message_of_1400_works_asks_for_as_many_runs_as_there_is_room_for(site: TrialSite) -> None:
    """It asked for 1,400 at once. It stays hidden in its queue, delivered once, until all have their runs."""
    _send(site, _of_many(site, 1400))
    first = _tick(site)
    assert len(first.run_requests or ()) == site.site.max_queued_runs == 100
    assert (_in_queue(site), len(_in_parts(site))) == ((0, 1), 1)
    asked = _go_through(site, first.cursor, 14)
    assert _in_queue(site) == (0, 1), "the runs of the last part were requested just now"
    assert sorted(asked) == [f"W1NLM{each:04d}" for each in range(1400)]
    assert len(first.cursor or "") < 1000, "each tick's is kept"


def test_several_messages_in_parts_end_one_after_the_other_and_are_delivered_once(site: TrialSite) -> None:
    """Given back for want of room they would come again each tick, and after some times be dead letters."""
    site = replace(site, site=site.site.model_copy(update={"max_queued_runs": 4}))
    bodies = [
        {"Records": [_event(site.intake.bucket, f"W{message}NLM47{number:02d}.bag.zip") for number in range(6)]}
        for message in range(1, 6)
    ]
    _send(site, *bodies)
    result = _tick(site)
    assert len(result.run_requests or ()) == 4
    assert _in_queue(site) == (1, 4)
    _make_runs(site, result)
    for run in site.instance.get_runs():
        site.instance.report_run_canceled(run)
    asked = _go_through(site, result.cursor, 9)
    assert len(asked) == len(set(asked)) == 5 * 6 - 4
    assert (_in_queue(site), _in_parts(site)) == ((0, 0), [])


@pytest.mark.parametrize("lost", ["the cursor", "the file", "both"])
def test_a_message_in_parts_goes_on_whatever_a_crash_took(site: TrialSite, lost: str) -> None:
    """Dagster's database is put back, a sensor has a new name, or the scratch disk is new: no event is lost by it."""
    site = replace(site, site=site.site.model_copy(update={"max_queued_runs": 3}))
    _send(site, _of_many(site, 8))
    result = _tick(site)
    _make_runs(site, result)
    for run in site.instance.get_runs():
        site.instance.report_run_canceled(run)
    asked = [str(request.partition_key) for request in result.run_requests or ()]
    if lost != "the cursor":
        for path in _in_parts(site):
            path.unlink()
    (part,) = QueueCursor.parse(result.cursor).parts
    if lost != "the file":
        result = dg.SensorResult(cursor=None)
    if lost != "the cursor":  # it is hidden for ten minutes, and then comes again
        url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
        site.aws.sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=part.receipt_handle, VisibilityTimeout=0)
    asked += _go_through(site, result.cursor, 5)
    assert sorted(asked) == [f"W1NLM{each:04d}" for each in range(8)]
    assert _in_parts(site) == []
    assert _in_queue(site) == ((0, 1) if lost == "the cursor" else (0, 0)), "what nobody has a receipt of comes again"


def test_a_message_in_parts_is_kept_hidden_and_goes_on_where_sqs_refuses(site: TrialSite) -> None:
    """Its part of the queue may take hours: delivered every ten minutes, it would be a dead letter after some."""
    site = replace(site, site=site.site.model_copy(update={"max_queued_runs": 3}))
    _send(site, _of_many(site, 8))
    (part,) = QueueCursor.parse(_tick(site).cursor).parts
    soon = replace(part, hidden_until=time.time() + 60)
    (kept,) = QueueCursor.parse(_tick(site, QueueCursor((), (soon,)).dump()).cursor).parts
    assert kept.hidden_until > time.time() + 500
    stale = replace(soon, receipt_handle="of an earlier delivery")
    again = _tick(site, QueueCursor((), (stale,)).dump())
    assert QueueCursor.parse(again.cursor).parts == (replace(part, receipt_handle="", hidden_until=0),)
    assert len(again.run_requests or ()) == 3


def test_each_event_is_noted_on_the_disk_before_its_run_is_requested(site: TrialSite) -> None:
    """Once its message is deleted, an event whose run has not begun is in Dagster's database alone."""
    _send(site, _restored(site, "W1NLM4712", "W1NLM4788"))
    result = _tick(site)
    staging = Staging(root=str(site.layout.root))
    for request in result.run_requests or ():
        noted = last_noted(staging, str(request.partition_key), None)
        assert noted
        assert (noted.event.identity, noted.intake) == (request.run_key, "demo")
    assert sorted(noted_works(staging, 9)) == ["W1NLM4712", "W1NLM4788"]


def test_a_disk_that_takes_no_note_leaves_the_messages_in_the_queue(site: TrialSite) -> None:
    """Received again and again, they would be dead letters by the time that there is room on the disk."""
    site.layout.root.mkdir(parents=True, exist_ok=True)
    site.layout.events("any").parent.write_text("in the way")
    _send(site, _restored(site, "W1NLM4712"))
    for _ in range(3):
        with pytest.raises(Exception, match="staging"):
            _tick(site)
    assert _receptions(site) == [0]


def test_an_event_that_cannot_be_noted_is_not_requested_and_its_message_comes_again(site: TrialSite) -> None:
    """The other works of the tick do not wait for it."""
    site.layout.events("any").parent.mkdir(parents=True)
    site.layout.events("W1NLM4712").write_text("in the way")
    _send(site, _restored(site, "W1NLM4712"), _restored(site, "W1NLM4788"))
    result = _tick(site)
    assert [request.partition_key for request in result.run_requests or ()] == ["W1NLM4788"]
    _make_runs(site, result)
    _tick(site, result.cursor)
    assert _in_queue(site) == (0, 1)


def test_no_tick_lists_all_partitions_or_all_runs(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 100,000 works, the list alone would take longer than a tick may."""
    with dg.DagsterInstance.local_temp() as instance:
        stored = replace(site, instance=instance)
        asked = []
        for name in ("get_dynamic_partitions", "get_runs", "get_run_records"):
            monkeypatch.setattr(instance, name, lambda *words, name=name, **others: asked.append(name))
        monkeypatch.setattr(instance, "get_run_ids", _only_by_tag(instance.get_run_ids))
        _send(stored, *(_restored(stored, f"W1NLM47{number:02d}") for number in range(5)))
        first = _evaluate(stored)
        assert len(first.run_requests or ()) == 5
        _evaluate(stored, first.cursor)
    assert asked == []


def _only_by_tag(get_run_ids: Any) -> Any:
    def get(filters: dg.RunsFilter, limit: int) -> Any:
        assert (list(filters.tags), limit) == ([RUN_KEY_TAG], 1)
        return get_run_ids(filters, limit=limit)

    return get


def _evaluate(site: TrialSite, cursor: str | None = None) -> Any:
    """The whole of a tick in the code server: what Dagster makes of the result, too."""
    repository = build(site.site).get_repository_def()
    with dg.SensorEvaluationContext(
        instance_ref=site.instance.get_ref(),
        instance=site.instance,
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=cursor,
        repository_name=repository.name,
        repository_def=repository,
        sensor_name="demo_intake",
        resources=repository.get_top_level_resources(),
    ) as context:
        return repository.get_sensor_def("demo_intake").evaluate_tick(context)


@pytest.fixture
def slow(aws: Aws) -> Iterator[str]:
    """The same AWS, which takes a second for each answer to a reception."""

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["X-Amz-Target"].endswith("ReceiveMessage"):
                time.sleep(1)
            server = http.client.HTTPConnection(aws.endpoint_url.removeprefix("http://"))
            server.request("POST", self.path, body, dict(self.headers))
            said = server.getresponse().read()
            server.close()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *words: object) -> None:
            """The test says what went wrong."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_slow_queue_ends_a_tick_in_time_and_loses_nothing(
    site: TrialSite, slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tick that Dagster cuts off at its time limit fails, and what it received is hidden for nothing."""
    monkeypatch.setattr(sensors, "RECEIVE_SECONDS", 4.0)
    _send(site, *(_restored(site, f"W1NLM47{number:02d}") for number in range(60)))
    intake = site.intake.model_copy(update={"endpoint_url": slow})
    settings = site.site.model_copy(update={"intake": {"demo": intake}})
    result = _tick(replace(site, site=settings))
    requested = len(result.run_requests or ())
    assert 0 < requested < 60
    assert len(QueueCursor.parse(result.cursor).pending) == requested
    assert _in_queue(site) == (60 - requested, requested)


def test_a_tick_has_an_end_below_a_third_of_its_time_limit() -> None:
    """The limit is Dagster's, and a tick that it cuts off loses its work."""
    assert default_sensor_grpc_timeout() / 3 > sensors.TICK_MOST_SECONDS
    assert sensors.RECEIVE_SECONDS <= sensors.TICK_MOST_SECONDS - sensors.REST_SECONDS


def test_a_tick_whose_time_is_up_gives_back_what_it_received(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden for ten minutes, the messages would wait for nobody."""
    _send(site, *(_restored(site, f"W1NLM47{number:02d}") for number in range(5)))
    monkeypatch.setattr(sensors, "plan_tick", lambda *words: plan_tick(*words[:-1], lambda: False))
    result = _tick(site)
    assert not result.run_requests
    assert _in_queue(site) == (5, 0)


def test_nothing_is_received_while_the_run_queue_is_full(site: TrialSite) -> None:
    """SQS keeps messages for days; Dagster's queue of 100,000 runs keeps nobody's."""
    for _ in range(site.site.max_queued_runs):
        create_run_for_test(site.instance, status=dg.DagsterRunStatus.NOT_STARTED)
    _send(site, _restored(site, "W1NLM4712"))
    result = _tick(site)
    assert not result.run_requests
    assert "queue is full" in str(result.skip_reason)
    assert _in_queue(site) == (1, 0)


@pytest.mark.parametrize("how", ["site.toml", "tag"])
def test_a_site_that_is_not_production_takes_nothing_of_production_s(tmp_path: Path, aws: Aws, how: str) -> None:
    """A developer's laptop that eats production's backlog loses works of the archive."""
    with trial_site(tmp_path, aws, environment="prod" if how == "site.toml" else "demo") as site:
        if how == "tag":
            url = aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
            aws.sqs.tag_queue(QueueUrl=url, Tags={"environment": "prod"})
        _send(site, _restored(site, "W1NLM4712"))
        with pytest.raises(WrongEnvironment, match=r"intake 'demo' belongs to 'prod', and this site is 'demo'"):
            _tick(site)
        assert _in_queue(site) == (1, 0)


def test_a_queue_that_is_not_there_is_named_with_its_region_and_profile(site: TrialSite) -> None:
    """Whoever is called at night must see which of five queues it is."""
    url = site.aws.sqs.get_queue_url(QueueName=site.intake.queue)["QueueUrl"]
    site.aws.sqs.delete_queue(QueueUrl=url)
    with pytest.raises(ServiceError) as raised:
        _tick(site)
    for said in (site.intake.queue, site.intake.region, str(site.intake.aws_profile)):
        assert said in str(raised.value)


def test_sensors_start_stopped_everywhere_but_in_the_demo(site: TrialSite) -> None:
    """A person starts what takes messages."""
    dev = site.site.model_copy(update={"environment": "dev"})
    assert intake_sensor("a", site.intake, dev).default_status is dg.DefaultSensorStatus.STOPPED
    assert intake_sensor("a", site.intake, site.site).default_status is dg.DefaultSensorStatus.RUNNING


def test_a_tick_takes_no_more_than_its_batch(site: TrialSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that never ends is killed at its time limit, and its messages come again."""
    monkeypatch.setattr(sensors, "BATCH", 3)
    _send(site, *(_restored(site, f"W1NLM47{number:02d}") for number in range(5)))
    assert len(_tick(site).run_requests or ()) == 3
    assert _in_queue(site) == (2, 3)
