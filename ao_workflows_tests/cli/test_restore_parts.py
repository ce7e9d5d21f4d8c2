"""``ao restore`` of a work in parts: what is asked for, noted and told, part by part."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ao_workflows.aws.objects import ObjectStorage
from ao_workflows.cli.restore_parts import notices, summary, table
from ao_workflows.drs.parts import by_parts, known_parts
from ao_workflows.events.s3_events import ObjectEvent, parse_message
from ao_workflows.glacier.rules import RestoreState, RestoreStatus
from ao_workflows.works.stages import RUN_STAGES, Stage
from ao_workflows_tests.conftest import CHECKOUT
from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.s3_server import Held, S3Server
from ao_workflows_tests.support.shops import ARCHIVED, EARLIER, Shop

RID = "W1NLM4700"
HOME = f"Archive0/00/{RID}/"
NAMES = (RID, f"{RID}-2025-03-02-inventory", f"{RID}-I1NLM4700_001", f"{RID}-I1NLM4700_002")
THERE = 'ongoing-request="false", expiry-date="Fri, 04 Dec 2099 00:00:00 GMT"'
PRICES = """
[restore]
currency = "USD"
[restore.prices.GLACIER]
Bulk = { requests = 25, gb = 0.0025 }
Standard = { requests = 50, gb = 0.01 }
"""
_AO = "from ao_workflows.cli import main; main(prog_name='ao')"


def hold_part(server: S3Server, name: str, *, size: int = 3, modified: str = "", restore: str = "") -> str:
    path = f"/b-1/{HOME}{name}"
    headers = {**ARCHIVED, **({"x-amz-restore": restore} if restore else {})}
    held = Held(b"x" * size, "e", headers)
    server.objects[path] = replace(held, modified=modified) if modified else held
    return path


@pytest.fixture
def parts(s3_server: S3Server) -> dict[str, str]:
    """The parts' paths by their names; the bag of changes is the latest."""
    return {
        name: hold_part(s3_server, f"{name}.bag.zip", modified="2025-03-02T12:00:00.000Z" * ("2025" in name))
        for name in NAMES
    }


def asked_of(server: S3Server) -> list[str]:
    return [path.rpartition("/")[2].removesuffix(".bag.zip") for path, _ in server.restores]


def noted(shop: Shop) -> dict[str, dict[Stage, datetime]]:
    rows = shop.drs.rows([RID])
    return {part: dict(row.times) for part, row in by_parts(rows[0]).items()} if rows else {}


def test_each_part_of_the_archive_s_own_deep_archive_is_asked_for_once(
    shop: Shop, aws: Aws, bucket: str, shared_data: Path
) -> None:
    """Its bags, as its tool names and lays them down, on S3 as far as moto is one."""
    for path in sorted((shared_data / "parts").iterdir(), key=lambda path: "inventory" in path.name):
        aws.s3.put_object(Bucket=bucket, Key=HOME + path.name, Body=path.read_bytes(), StorageClass="GLACIER")
    result = shop.ao("request", RID, given="y\n")
    assert result.exit_code == 0
    assert f"{RID}: in 4 parts, 20.6 KB: 4 not asked\n" in result.stdout
    assert "To ask for: 4 parts of 1 work, 20.6 KB\n" in result.stdout
    assert "site.toml has no [restore] prices" in result.stdout
    assert f"{RID}: in 4 parts, 20.6 KB: 4 asked now\n" in result.stdout
    assert set(noted(shop)) == set(NAMES)
    (row,) = shop.drs.rows_of(RID)
    assert {entry.data["key"] for entry in row.entries if entry.stage} == {f"{HOME}{name}.bag.zip" for name in NAMES}
    # Moto restores at once, and its listings show no restores
    assert [each["state"] for each in shop.told("status", RID)[0]["parts"]] == ["restored"] * 4
    assert shop.ao("request", RID).stdout == f"{RID}: in 4 parts, 20.6 KB: 4 restored\n"


def test_nothing_is_asked_for_without_a_yes(odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]) -> None:
    """A thousand groups are not cheap; and a script that answers nothing must notice."""
    for given in ("n\n", "\n", ""):
        result = odd_shop.ao("request", RID, given=given)
        assert result.exit_code == 1
        assert "none of them was asked for; --yes asks without a question" in result.stderr
    assert s3_server.restores == []
    assert noted(odd_shop) == {}
    assert odd_shop.ao("request", RID, "--yes").exit_code == 0
    assert sorted(asked_of(s3_server)) == sorted(parts)


def test_a_later_complete_copy_makes_earlier_changes_needless(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """And the older version of a work never goes over the newer: the bag that is not asked for does not come."""
    hold_part(s3_server, f"{RID}.bag.zip", modified="2026-01-01T00:00:00.000Z")
    result = odd_shop.ao("request", RID, "--yes")
    assert "in 3 parts, 9 B: 3 not asked; 1 more not needed" in result.stdout
    assert NAMES[1] not in asked_of(s3_server)
    assert "not needed: a later bag has it" in odd_shop.ao("status", RID).stdout


def test_the_cost_is_said_by_each_tier_from_the_site_s_own_prices(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """A person who is in no hurry sees what that saves."""
    odd_shop.write(odd_shop.text + PRICES)
    lines = odd_shop.ao("request", RID, "--tier", "Standard", given="n\n").stdout.splitlines()
    assert lines[1:5] == [
        "To ask for: 4 parts of 1 work, 12 B",
        "    Bulk      0.10 USD",
        "  * Standard  0.20 USD",
        "    Expedited no price for GLACIER in site.toml",
    ]
    assert "Ask Glacier for them, Standard, to stay for 14 days? [y/N]" in lines[5]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--only", "images"], NAMES[2:]),
        (["--only", "rest"], NAMES[:2]),
        (["--group", "I1NLM4700_002"], NAMES[3:]),
        (["--group", f"{RID}-I1NLM4700_001", "--group", "I1NLM4700_002"], NAMES[2:]),
    ],
)
def test_some_parts_alone_may_be_meant(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str], words: list[str], names: tuple[str, ...]
) -> None:
    """A page that is broken needs its group, and not the work's four terabytes."""
    assert odd_shop.ao("request", RID, "--yes", *words).exit_code == 0
    assert sorted(asked_of(s3_server)) == list(names)
    assert set(noted(odd_shop)) == set(names)
    assert known_parts(odd_shop.drs.rows_of(RID)) == NAMES


def test_an_image_group_is_found_by_its_name_in_the_catalogue(odd_shop: Shop, s3_server: S3Server) -> None:
    """Those of four digits have no I on disk."""
    for name in (f"{RID}-0886", f"{RID}-0887"):
        hold_part(s3_server, f"{name}.bag.zip")
    assert odd_shop.ao("request", RID, "--yes", "--group", "I0886").exit_code == 0
    assert asked_of(s3_server) == [f"{RID}-0886"]


def test_a_group_that_is_not_there_is_told_and_nothing_asked_for(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """A mistyped name among three."""
    result = odd_shop.ao("request", RID, "--yes", "--group", "I1NLM4700_001", "--group", "I1NLM4700_003")
    assert result.exit_code == 1
    assert f"{RID} has no image group I1NLM4700_003; it has {NAMES[2]}, {NAMES[3]}" in result.stderr
    s3_server.objects.clear()
    hold_part(s3_server, f"{RID}.bag.zip")
    assert "it lies in one zip: ask without --only" in odd_shop.ao("request", RID, "--only", "images").stderr
    assert s3_server.restores == []


@pytest.mark.parametrize("words", [[RID, "--only", "images"], [RID, "W1NLM4701"], [RID, "--only", "sources"]])
def test_what_cannot_be_meant_together_is_not_understood(odd_shop: Shop, words: list[str]) -> None:
    """A group of which work? And nothing may be asked for by a guess."""
    group = [] if "sources" in words else ["--group", "I1NLM4700_001"]
    assert odd_shop.ao("request", "--yes", *words, *group).exit_code == 2


def test_what_lies_among_the_parts_and_is_none_is_told_and_never_asked_for(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """Its event would start a run for another work, or none."""
    for name in ("notes.txt", "W2-I1.bag.zip", "old/W1NLM4700.bag.zip", "bell\x07.bag.zip"):
        hold_part(s3_server, name)
    result = odd_shop.ao("request", RID, "--yes")
    assert result.exit_code == 0
    assert sorted(asked_of(s3_server)) == sorted(parts)
    assert f"  left alone: {HOME}notes.txt: the object is no .zip\n" in result.stdout
    assert f"  left alone: {HOME}W2-I1.bag.zip: it is named as no part of the work\n" in result.stdout
    assert "\x07" not in result.stdout
    assert len(odd_shop.told("status", RID)[0]["foreign"]) == 4


def test_a_part_that_lies_in_no_archive_comes_by_its_event_in_the_queue(shop: Shop, aws: Aws, bucket: str) -> None:
    """The archive's tool puts its bags into STANDARD_IA: the newest change would be missing until a rule moves it."""
    queue = aws.make_queue()
    shop.write(shop.text.replace("ReadyToIntake", queue))
    for name, storage in ((RID, "GLACIER"), (NAMES[1], "STANDARD_IA")):
        aws.s3.put_object(Bucket=bucket, Key=f"{HOME}{name}.bag.zip", Body=b"x" * 7, StorageClass=storage)
    assert "not in Glacier: STANDARD_IA" in shop.ao("status", RID).stdout
    result = shop.ao("request", RID, "--yes")
    assert result.exit_code == 0
    assert "  1 of them not in Glacier, to be sent to the queue as they are\n" in result.stdout
    assert f"{NAMES[1]}: its event is sent to the queue; it is in STANDARD_IA, and not in Glacier\n" in result.stdout
    assert set(noted(shop)) == set(NAMES[:2])
    url = aws.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    (message,) = aws.sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    (event,) = parse_message(message["Body"])
    assert isinstance(event, ObjectEvent)
    assert (event.name, event.bucket, event.key) == ("ObjectRestore:Completed", bucket, f"{HOME}{NAMES[1]}.bag.zip")
    assert "sent to the queue 20" in shop.ao("status", RID).stdout
    shop.ao("request", RID, "--yes")
    assert (
        aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"]
        == "1"
    )


def test_no_event_is_sent_to_a_queue_of_production_or_one_that_would_delete_it(
    shop: Shop, aws: Aws, bucket: str
) -> None:
    """A trial site would set production's runs going; and a message that nobody wants is lost."""
    aws.s3.put_object(Bucket=bucket, Key=f"{HOME}{NAMES[1]}.bag.zip", Body=b"x", StorageClass="STANDARD_IA")
    shop.write(shop.text.replace("ReadyToIntake", aws.make_queue(environment="prod")))
    result = shop.ao("request", RID, "--yes")
    assert result.exit_code == 1
    assert "belongs to 'prod'" in result.stderr
    shop.write(
        shop.text.replace(
            'environment = "demo"\nendpoint', 'environment = "demo"\nevents = ["ObjectCreated:*"]\nendpoint'
        )
    )
    assert "the intake's `events` leave out ObjectRestore:Completed" in shop.ao("request", RID, "--yes").stderr
    assert noted(shop) == {}


def test_half_of_the_requests_fail_and_the_other_half_is_noted(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """The same command goes on with the rest, and asks for none twice."""
    s3_server.restore_fault = lambda path: (403, "AccessDenied") if "I1NLM" in path else None
    result = odd_shop.ao("request", RID, "--yes")
    assert result.exit_code == 1
    assert f"ao: {RID}: {NAMES[2]}: s3://b-1/" in result.stderr
    assert f"{RID}: in 4 parts, 12 B: 2 asked now, 2 failed" in result.stdout
    assert set(noted(odd_shop)) == set(NAMES[:2])
    s3_server.restore_fault = lambda _path: None
    s3_server.restores.clear()
    result = odd_shop.ao("request", RID, "--yes")
    assert (result.exit_code, sorted(asked_of(s3_server))) == (0, list(NAMES[2:]))
    assert f"{RID}: in 4 parts, 12 B: 2 under way, 2 asked now" in result.stdout
    assert set(noted(odd_shop)) == set(NAMES)


def test_what_glacier_is_at_already_is_noted_and_not_asked_for(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """A command that was killed between S3 and DRS left DRS without them, and the work would be whole without them."""
    for name in NAMES[2:]:
        hold_part(s3_server, f"{name}.bag.zip", restore='ongoing-request="true"')
    s3_server.restore_fault = lambda path: (409, "RestoreAlreadyInProgress") if "inventory" in path else None
    assert odd_shop.ao("request", RID, "--yes").exit_code == 0
    assert sorted(asked_of(s3_server)) == list(NAMES[:2])
    assert set(noted(odd_shop)) == set(NAMES)


def test_status_tells_part_by_part_in_80_columns(odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]) -> None:
    """Which of the parts is missing is what one wants to know of a work that is not whole."""
    hold_part(s3_server, f"{NAMES[2]}.bag.zip", restore='ongoing-request="true"')
    hold_part(s3_server, f"{NAMES[3]}.bag.zip", restore=THERE, size=5_000_000)
    for stage in Stage:
        odd_shop.drs.record(RID, stage, EARLIER, {"part": NAMES[3]}, event="" if stage not in RUN_STAGES else "e")
    odd_shop.drs.record(RID, Stage.RESTORE_REQUESTED, datetime.now(UTC), {"part": RID})
    result = odd_shop.ao("status", RID)
    assert result.exit_code == 0
    heading, *lines = result.stdout.splitlines()
    assert heading == f"{RID}: in 4 parts, 4.8 MB: 1 asked, 1 not asked, 1 under way, 1 synced"
    assert [line[:45].rstrip() for line in lines] == [
        "  W1NLM4700                             3 B",
        "  W1NLM4700-2025-03-02-inventory        3 B",
        "  W1NLM4700-I1NLM4700_001               3 B",
        "  W1NLM4700-I1NLM4700_002            4.8 MB",
    ]
    assert [line[45:54] for line in lines] == ["asked 202", "not asked", "under way", "synced 20"]
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert s3_server.restores == []
    (told,) = odd_shop.told("status", RID)
    assert (told["state"], told["synced_on"]) == ("not asked", None)
    assert [(part["part"], part["size"], part["needed"]) for part in told["parts"]][3] == (NAMES[3], 5_000_000, True)
    assert told["parts"][3]["synced_on"] == EARLIER.isoformat()


def test_a_work_of_hundreds_of_groups_is_asked_for_in_one_command(odd_shop: Shop, s3_server: S3Server) -> None:
    """With as many questions to S3 as it has pages, and one request a part."""
    names = [f"{RID}-I1NLM4700_{number:03}" for number in range(300)]
    for name in names:
        hold_part(s3_server, f"{name}.bag.zip")
    s3_server.page = 100
    result = odd_shop.ao("request", RID, "--yes", "--per-minute", "100000")
    assert result.exit_code == 0
    assert f"{RID}: in 300 parts, 900 B: 300 asked now" in result.stdout
    assert (len(s3_server.listed), asked_of(s3_server)) == (3, names)
    assert set(noted(odd_shop)) == set(names)


def test_a_tier_that_none_of_the_parts_can_have_is_refused_once(odd_shop: Shop, s3_server: S3Server) -> None:
    """A thousand lines that say the same hide what is to be done."""
    for number in (1, 2):
        path = hold_part(s3_server, f"{RID}-I{number}.bag.zip")
        s3_server.objects[path] = replace(s3_server.objects[path], headers={"x-amz-storage-class": "DEEP_ARCHIVE"})
    result = odd_shop.ao("request", RID, "--yes", "--tier", "Expedited")
    assert result.exit_code == 1
    assert "ao: none of the 2 parts can be asked for: it is in DEEP_ARCHIVE, which knows no Expedited" in result.stderr
    assert s3_server.restores == []


def test_a_list_with_works_of_both_kinds_asks_one_question(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """Whoever goes home after the first answer must not find the rest unasked in the morning."""
    key = f"Archive0/01/W1NLM4701/W1NLM4701{'{}'}.bag.zip"
    for number, name in enumerate(("-I1", "-I2")):
        s3_server.objects[f"/b-1/{key.format(name)}"] = Held(b"x" * number, "e", ARCHIVED)
    s3_server.objects["/b-1/Archive0/02/W1NLM4702/W1NLM4702.bag.zip"] = Held(b"x", "e", ARCHIVED)
    result = odd_shop.ao("request", RID, "W1NLM4701", "W1NLM4702", "W1NLM4703", given="y\n")
    assert result.exit_code == 1
    assert "W1NLM4702: asked; it is in GLACIER\n" in result.stdout
    assert "To ask for: 6 parts of 2 works, 13 B\n" in result.stdout
    assert result.stdout.count("[y/N]") == 1
    assert "W1NLM4703: s3://b-1/Archive0/03/W1NLM4703/W1NLM4703.bag.zip" in result.stderr
    assert "4 works: 3 asked now, 1 failed" in result.stdout
    assert len(s3_server.restores) == 7


def test_as_json_the_question_is_no_part_of_the_answer(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """A program reads it."""
    result = odd_shop.ao("request", RID, "--json", given="y\n")
    (told,) = json.loads(result.stdout)
    assert "[y/N]" in result.stderr
    assert {part["part"]: part["asked_now"] for part in told["parts"]} == dict.fromkeys(NAMES, True)


def test_one_part_may_be_asked_for_by_its_address(odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]) -> None:
    """What an error tells a person to do for a part whose copy has expired; it is noted as that work's part."""
    result = odd_shop.ao("request", f"s3:/{parts[NAMES[2]]}")
    assert (result.exit_code, asked_of(s3_server)) == (0, [NAMES[2]])
    assert list(noted(odd_shop)) == [NAMES[2]]
    assert "under way" in odd_shop.ao("status", RID).stdout
    assert "already asked on 20" in odd_shop.ao("request", f"s3:/{parts[NAMES[2]]}").stdout


def test_an_interrupt_between_parts_leaves_each_noted_that_was_asked_for(
    odd_shop: Shop, s3_server: S3Server, parts: dict[str, str]
) -> None:
    """Ctrl-C in the middle of a thousand groups; the same command goes on with the rest."""
    command = subprocess.Popen(
        [sys.executable, "-c", _AO, "restore", "request", RID, "--yes", "--per-minute", "20"],
        env={**os.environ, "AO_SITE": f"{odd_shop.folder}/site.toml"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert command.stdout
        for line in command.stdout:
            if ": asked;" in line:
                break
        command.send_signal(signal.SIGINT)
        out, err = command.stdout.read(), command.communicate()[1]
    finally:
        command.kill()
        command.communicate()
    assert command.returncode == 130
    assert "3 of 4 parts were not asked for" in err
    assert "1 asked now, 3 not asked" in out
    assert list(noted(odd_shop)) == asked_of(s3_server)


def status(*parts: RestoreStatus) -> RestoreStatus:
    return RestoreStatus("W1", "W1", parts=parts, size=7, foreign={"W1/\x1b.txt": "the object is no .zip"})


def test_each_state_fits_beside_a_name_and_a_long_name_has_a_line_of_its_own() -> None:
    """A table that wraps cannot be read."""
    deep = ObjectStorage("INTELLIGENT_TIERING", "ARCHIVE_ACCESS", expires=EARLIER)
    long = "W1" + "-2026-11-21" * 5
    parts = [
        RestoreStatus(
            "W1", "W1", part=part, state=state, storage=deep, size=999 * 2**40, requested=EARLIER, synced=synced
        )
        for part in ("W1-I1", long)
        for state in RestoreState
        for synced in (None, EARLIER)
    ]
    lines = list(table(status(*parts)))
    assert max(map(len, lines)) <= 80
    assert lines.count(f"  {long}") == len(parts) / 2
    (foreign,) = notices(status())
    assert [foreign] == ["  left alone: W1/\\x1b.txt: the object is no .zip"]


def test_a_summary_counts_what_is_needed() -> None:
    """What is not needed is no part that the work waits for."""
    of = [
        RestoreStatus("W1", "W1", part="W1-I1", state=RestoreState.ASKED, asked_now=True),
        RestoreStatus("W1", "W1", part="W1-old", state=RestoreState.NOT_ASKED, needed=False),
    ]
    assert summary(status(*of)) == "in 1 part, 7 B: 1 asked now; 1 more not needed"


def test_the_page_shows_what_status_prints() -> None:
    """Who reads the page looks for the same words."""
    asked, synced = datetime(2026, 11, 21, 12, 28, tzinfo=UTC), datetime(2026, 11, 21, 9, 14, tzinfo=UTC)
    states = (RestoreState.ASKED, RestoreState.NOT_ASKED, RestoreState.UNDER_WAY, RestoreState.RESTORED)
    parts = [RestoreStatus(RID, RID, part=name, state=state, size=3) for name, state in zip(NAMES, states, strict=True)]
    parts[0] = replace(parts[0], requested=asked)
    parts[3] = replace(parts[3], synced=synced, size=5_000_000)
    told = RestoreStatus(RID, RID, parts=tuple(parts), size=5_000_009)
    printed = "\n".join([f"{RID}: {summary(told)}", *table(told)])
    assert f"```\n{printed}\n```" in (CHECKOUT / "docs/restores.md").read_text()
