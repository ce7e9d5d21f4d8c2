"""Which messages become runs, and which may be deleted when: no event lost, none done twice."""

from __future__ import annotations

import json
from pathlib import Path

from ao_workflows.events.message_parts import MessageInParts
from ao_workflows.intake.queue_rules import (
    PendingMessage,
    QueueCursor,
    ReceivedMessage,
    Selection,
    TickPlan,
    acknowledge,
    plan_tick,
)
from ao_workflows.intake.queue_rules import select_events as judge_for
from ao_workflows_tests.events.test_s3_events import RESTORED, message, of_object, record, sample

EVENTS = ("ObjectRestore:Completed",)
KEYS = ("*.bag.zip",)
BUCKET = "b"


def judge(body: str, events: tuple[str, ...], keys: tuple[str, ...], bucket: str = BUCKET) -> Selection:
    return judge_for(body, bucket, events, keys)


def test_only_what_the_intake_wants_becomes_a_run(shared_data: Path) -> None:
    """The event that a restore has begun would start a run hours too early."""
    verdict = judge(sample(shared_data, "s3-two-records-one-wanted.json"), EVENTS, KEYS, RESTORED.bucket)
    assert [wanted.staged for wanted in verdict.wanted] == ["W1NLM4700"]
    assert verdict.rejected is None


def test_events_and_keys_are_shell_patterns_that_mind_capitals() -> None:
    """An intake for new objects names them by class, and not each by itself."""
    created = message(record(eventName="ObjectCreated:Put"))
    assert judge(created, ("ObjectCreated:*",), KEYS).wanted
    assert not judge(created, ("ObjectRestore:*",), KEYS).wanted
    assert not judge(message(of_object(key="W1.BAG.ZIP")), EVENTS, KEYS).wanted
    assert [w.staged for w in judge(message(of_object(key="a/W1.zip")), EVENTS, ("*.zip",)).wanted] == ["W1"]


def test_a_message_of_which_nothing_is_wanted_is_no_mistake(shared_data: Path) -> None:
    """A quarantine full of inventories and test events hides the message that matters."""
    for body in (sample(shared_data, "s3-test-event.json"), message(of_object(key="inventory.csv"))):
        verdict = judge(body, EVENTS, KEYS)
        assert (verdict.wanted, verdict.rejected) == ((), None)


def test_an_unreadable_message_is_rejected_with_its_reason() -> None:
    """Deleted in silence, its work would never come."""
    verdict = judge("{", EVENTS, KEYS)
    assert verdict.wanted == ()
    assert verdict.rejected
    assert "no JSON" in verdict.rejected


def test_a_good_record_is_taken_though_its_neighbours_rid_is_none() -> None:
    """Two works in one message: the wrong name of the one must not cost the other its restore."""
    body = message(of_object(key="x/..bag.zip"), of_object(key="x/W1 copy.bag.zip"), of_object(key="x/W2.bag.zip"))
    verdict = judge(body, EVENTS, KEYS)
    assert [wanted.staged for wanted in verdict.wanted] == ["W2"]
    assert verdict.rejected
    assert "record 2 of 3: 'W1 copy'" in verdict.rejected


def test_a_good_record_is_taken_though_its_neighbour_cannot_be_read() -> None:
    """Kept as a whole, the message waits for a person; the work that is named well need not."""
    verdict = judge(message(of_object(key="x/W1.bag.zip"), record(s3=[])), EVENTS, KEYS)
    assert [wanted.staged for wanted in verdict.wanted] == ["W1"]
    assert verdict.rejected
    assert verdict.rejected.startswith("record 2 of 2: 's3'")


def test_an_event_of_another_bucket_is_rejected() -> None:
    """A message that anybody may have sent must not lead the intake's credentials to another bucket's objects."""
    verdict = judge(message(of_object(key="W1.bag.zip")), EVENTS, KEYS, bucket="ours")
    assert verdict.wanted == ()
    assert verdict.rejected == "it names the bucket 'b', and the intake's is 'ours'"


def test_a_message_whose_runs_could_not_all_be_looked_for_goes_on_from_there() -> None:
    """A message of thousands of records would be looked through from its first one in each tick, and never end."""
    message = received(1, *(f"W{number}.bag.zip" for number in range(7)))
    there = {wanted.event.identity for wanted in judge(message.body, EVENTS, KEYS).wanted}
    looks = iter([True] * 4)
    found = planned([message], there, in_time=lambda: next(looks, False))
    (taken,) = found.taken
    assert (found.requests, taken.run_keys, taken.done, len(taken.rest)) == ((), (), 3, 7)
    assert planned([message], there).taken[0].rest == ()


def test_the_cursor_comes_back_as_it_was() -> None:
    """A cursor that forgets a message leaves it in the queue for ever, delivered again and again."""
    cursor = QueueCursor((PendingMessage("handle-1", ("a|b", "བ"), 12.5), PendingMessage("handle-2", ("c",), 13.0)))
    assert QueueCursor.parse(cursor.dump()) == cursor
    in_parts = QueueCursor((), (MessageInParts("id", 3, "handle", 12.5), MessageInParts("other")))
    assert QueueCursor.parse(in_parts.dump()) == in_parts
    assert QueueCursor.parse(None) == QueueCursor.parse("") == QueueCursor()


def test_a_cursor_stays_plain_json() -> None:
    """A colleague reads it in the web page when an intake hangs."""
    assert json.loads(QueueCursor((PendingMessage("h", ("k",), 1.0),)).dump()) == {
        "pending": [{"receipt_handle": "h", "run_keys": ["k"], "hidden_until": 1.0}]
    }


def test_a_message_is_deleted_only_once_all_its_runs_are_there() -> None:
    """A daemon that dies between request and run leaves nothing else to start the run from."""
    both, one, none = (
        PendingMessage("both", ("a", "b"), 100),
        PendingMessage("one", ("a", "c"), 100),
        PendingMessage("none", ("c",), 100),
    )
    sorted_out = acknowledge([both, one, none], {"a", "b"}.__contains__, now=50)
    assert sorted_out.deletable == (both,)
    assert sorted_out.waiting == (one, none)


def test_a_message_that_others_see_again_is_forgotten_unless_its_runs_are_there() -> None:
    """Kept, it would take room in the queue's limit for ever; its receipt handle is no good any more."""
    lapsed, done = PendingMessage("lapsed", ("c",), 50), PendingMessage("done", ("a",), 50)
    sorted_out = acknowledge([lapsed, done], {"a"}.__contains__, now=50)
    assert sorted_out.deletable == (done,)
    assert sorted_out.waiting == ()


def received(number: int, *keys: str) -> ReceivedMessage:
    return ReceivedMessage(f"id-{number}", f"handle-{number}", message(*(of_object(key=key) for key in keys)), 100.0)


def planned(
    messages: list[ReceivedMessage], there: set[str] = frozenset(), most: int = 100, **others: object
) -> TickPlan:  # type: ignore[assignment]
    return plan_tick(messages, lambda body: judge(body, EVENTS, KEYS), there.__contains__, most, **others)  # type: ignore[arg-type]


def test_the_same_event_twice_is_requested_once_and_both_messages_wait_for_it() -> None:
    """SQS delivers at least once; either message may be the only one that a crash leaves."""
    found = planned([received(1, "W1.bag.zip"), received(2, "W1.bag.zip"), received(3, "W2.bag.zip")])
    assert [wanted.staged for wanted in found.requests] == ["W1", "W2"]
    assert [len(taken.run_keys) for taken in found.taken] == [1, 1, 1]


def test_an_event_that_has_its_run_asks_for_none() -> None:
    """An intake that was renamed, and a message that could not be deleted, must not do a work again."""
    messages = [received(1, "W1.bag.zip"), received(2, "W1.bag.zip", "W2.bag.zip")]
    key = planned(messages).requests[0].event.identity
    found = planned(messages, {key})
    assert [wanted.staged for wanted in found.requests] == ["W2"]
    assert [len(taken.run_keys) for taken in found.taken] == [0, 1], "the first may be deleted now"


def test_no_message_is_taken_beyond_the_room_nor_after_the_time() -> None:
    """One message asked for 1,400 runs with room for one. None goes back: that counts as a delivery."""
    messages = [received(1, *(f"W{number}.bag.zip" for number in range(7))), received(2, "W9.bag.zip")]
    found = planned(messages, most=3)
    assert [wanted.staged for wanted in found.requests] == ["W0", "W1", "W2"]
    assert [[wanted.staged for wanted in taken.rest] for taken in found.taken] == [[f"W{n}" for n in range(7)], ["W9"]]
    assert found.given_back == ()
    assert planned(messages, in_time=lambda: False) == TickPlan((), (), tuple(messages))
