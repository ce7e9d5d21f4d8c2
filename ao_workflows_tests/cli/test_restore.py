"""``ao restore``: what Glacier is asked, what DRS then knows, what is printed, and the exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.moto_server import PROFILE, Aws
from ao_workflows_tests.support.s3_server import S3Server
from ao_workflows_tests.support.shops import EARLIER, Shop, another_intake, hold, put

_AO = "from ao_workflows.cli import main; main(prog_name='ao')"


def test_a_work_is_found_by_the_layout_asked_for_and_noted_in_drs(shop: Shop, aws: Aws, bucket: str) -> None:
    """The whole of it, on S3 as far as moto is one: S3 then says that it restores, and DRS since when."""
    key = put(aws, bucket, "W1NLM4751")
    before = datetime.now(UTC).replace(microsecond=0)
    result = shop.ao("request", "W1NLM4751", "--days", "3")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "W1NLM4751: asked; it is in GLACIER\n", "")
    assert 'ongoing-request="false"' in aws.s3.head_object(Bucket=bucket, Key=key)["Restore"]
    assert before <= (shop.requested("W1NLM4751") or EARLIER) <= datetime.now(UTC)
    (row,) = shop.drs.rows(["W1NLM4751"])
    noted = row.entries[0].data
    assert (noted["tier"], noted["days"], noted["object"]) == ("Bulk", 3, f"s3://{bucket}/{key}")


def test_what_is_asked_for_restored_or_not_in_glacier_is_left_and_told_apart(
    odd_shop: Shop, s3_server: S3Server
) -> None:
    """None of the three is an error, and none costs a second request."""
    hold(s3_server, "W1A01", restore='ongoing-request="true"')
    hold(s3_server, "W1A02", restore='ongoing-request="false", expiry-date="Fri, 04 Dec 2099 00:00:00 GMT"')
    hold(s3_server, "W1A03", storage_class="GLACIER_IR")
    hold(s3_server, "W1A04", storage_class="INTELLIGENT_TIERING")
    result = odd_shop.ao("request", "W1A01", "W1A02", "W1A03", "W1A04")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "W1A01: already asked; Glacier is at it",
        "W1A02: restored until 2099-12-04 00:00 UTC",
        "W1A03: not in Glacier but in GLACIER_IR: it can be read as it is",
        "W1A04: not in Glacier but in INTELLIGENT_TIERING: it can be read as it is",
        "4 works: 1 under way, 1 restored, 2 not in glacier",
    ]
    assert s3_server.restores == []
    assert odd_shop.requested("W1A02") is None


def test_a_request_that_drs_missed_is_noted_by_the_next(odd_shop: Shop, s3_server: S3Server) -> None:
    """A command that was killed between S3 and DRS left DRS without it; one that DRS knows keeps its time."""
    hold(s3_server, "W1A01", restore='ongoing-request="true"')
    hold(s3_server, "W1A02", restore='ongoing-request="true"')
    odd_shop.drs.record("W1A02", Stage.RESTORE_REQUESTED, EARLIER, {})
    assert odd_shop.ao("request", "W1A01", "W1A02").exit_code == 0
    assert odd_shop.requested("W1A01") is not None
    assert odd_shop.requested("W1A02") == EARLIER


def test_an_object_of_intelligent_tierings_archives_is_asked_for_without_days(
    odd_shop: Shop, s3_server: S3Server
) -> None:
    """S3 refuses a number of days for it, and needs one for every other."""
    hold(s3_server, "W1A01", storage_class="INTELLIGENT_TIERING", archive_status="ARCHIVE_ACCESS")
    hold(s3_server, "W1A02", storage_class="DEEP_ARCHIVE")
    one, other = odd_shop.told("request", "W1A01", "W1A02", "--tier", "Standard", "--days", "9")
    assert (one["storage_class"], one["archive_status"], one["asked_now"]) == (
        "INTELLIGENT_TIERING",
        "ARCHIVE_ACCESS",
        True,
    )
    assert other["asked_now"] is True
    bodies = [body for _, body in s3_server.restores]
    assert ["<Days>" in body for body in bodies] == [False, True]
    assert "<Days>9</Days>" in bodies[1]
    assert all("<Tier>Standard</Tier>" in body for body in bodies)


def test_expedited_retrievals_that_cannot_be_had_say_what_can(odd_shop: Shop, s3_server: S3Server) -> None:
    """The one who needs it today must learn at once that another tier is to be asked for."""
    hold(s3_server, "W1A01", storage_class="DEEP_ARCHIVE")
    hold(s3_server, "W1A02")
    s3_server.restore_fault = lambda _path: (503, "GlacierExpeditedRetrievalNotAvailable")
    result = odd_shop.ao("request", "W1A01", "W1A02", "--tier", "Expedited")
    assert result.exit_code == 1
    deep, full = [line for line in result.stderr.splitlines() if line.startswith("ao:")]
    assert "it is in DEEP_ARCHIVE, which knows no Expedited retrieval: ask with --tier Standard" in deep
    assert "no capacity for Expedited now: ask with --tier Standard, or again later" in full
    assert {path for path, _ in s3_server.restores} == {"/b-1/Archive0/02/W1A02/W1A02.bag.zip"}
    assert odd_shop.requested("W1A01") is odd_shop.requested("W1A02") is None


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        ((409, "RestoreAlreadyInProgress"), "W1A01: already asked; Glacier is at it"),
        ((403, "InvalidObjectState"), "W1A01: not in Glacier"),
        ((403, "ObjectAlreadyInActiveTierError"), "W1A01: not in Glacier"),
    ],
)
def test_what_becomes_so_between_the_look_and_the_request_is_no_error(
    odd_shop: Shop, s3_server: S3Server, refusal: tuple[int, str], said: str
) -> None:
    """Two people ask for the same work in the same minute."""
    hold(s3_server, "W1A01")
    s3_server.restore_fault = lambda _path: refusal
    result = odd_shop.ao("request", "W1A01")
    assert result.exit_code == 0
    assert result.stdout.startswith(said)


def test_one_work_that_cannot_be_asked_for_does_not_stop_the_rest(odd_shop: Shop, s3_server: S3Server) -> None:
    """A list of a thousand with a typing error in its second line."""
    for rid in ("W1A01", "W1A05"):
        hold(s3_server, rid)
    forbidden = hold(s3_server, "W1A04")
    s3_server.restore_fault = lambda path: (403, "AccessDenied") if path == forbidden else None
    result = odd_shop.ao("request", "W1A01", "W1/02", "W1A03", "W1A04", "W1A05", "s3://other/W1.zip")
    assert result.exit_code == 1
    assert "W1A05: asked" in result.stdout
    assert "6 works: 2 asked now, 4 failed" in result.stdout
    bad, missing, denied, elsewhere = result.stderr.splitlines()
    assert bad.startswith("ao: W1/02: 'W1/02' cannot be a work's RID")
    assert "ao: W1A03: s3://b-1/Archive0/03/W1A03/W1A03.bag.zip" in missing
    assert missing.endswith("there is no such object")
    assert f"profile {PROFILE}" in denied
    assert denied.endswith("the profile needs s3:RestoreObject on it")
    assert "is the bucket of no intake; they have b-1" in elsewhere
    assert [odd_shop.requested(rid) is None for rid in ("W1A01", "W1A04", "W1A05")] == [False, True, False]


def test_an_object_that_may_not_be_looked_at_is_told_with_what_is_needed(odd_shop: Shop, s3_server: S3Server) -> None:
    """S3 gives no reason with the answer to HEAD."""
    s3_server.head_refusal = 403
    result = odd_shop.ao("request", "W1A01")
    assert result.exit_code == 1
    assert "the profile needs s3:GetObject on it, and it must be there" in result.stderr


def test_a_list_is_asked_for_once_however_often_it_is_given(odd_shop: Shop, s3_server: S3Server) -> None:
    """A list of a thousand is run again after it was cut: only the rest may cost anything."""
    for number in range(1, 6):
        hold(s3_server, f"W1A0{number}")
    text = "# works of May\nW1A01\n\nW1A02 # for Karma\nW1A01\n"
    assert [told["rid"] for told in odd_shop.told("request", "--list", "-", given=text)] == ["W1A01", "W1A02"]
    (odd_shop.folder / "works.txt").write_text(text + "W1A03\nW1A04\n")
    told = odd_shop.told("request", "W1A05", "--list", f"{odd_shop.folder}/works.txt")
    assert {each["rid"]: each["asked_now"] for each in told} == {
        "W1A05": True, "W1A01": False, "W1A02": False, "W1A03": True, "W1A04": True
    }  # fmt: skip
    assert len(s3_server.restores) == 5


def test_an_argument_is_taken_as_it_is(odd_shop: Shop, s3_server: S3Server) -> None:
    """What follows a ``#`` was cut off as in a list, and Glacier was asked, and paid, for another work."""
    hold(s3_server, "W1A01")
    result = odd_shop.ao("request", "W1A01#99", "W1A01 # for Karma")
    assert (result.exit_code, result.stdout) == (1, "2 works: 2 failed\n")
    assert "'W1A01#99' cannot be a work's RID" in result.stderr
    assert s3_server.restores == []


def test_a_work_that_came_into_the_archive_is_asked_for_again_only_if_that_is_said(
    odd_shop: Shop, s3_server: S3Server
) -> None:
    """The same list a month later would restore, and pay for, what the archive has. A new request is a new row."""
    hold(s3_server, "W1A01")
    for days, stage in enumerate(Stage):
        odd_shop.drs.record("W1A01", stage, EARLIER + timedelta(days=days), {})
    result = odd_shop.ao("request", "W1A01")
    assert (result.exit_code, s3_server.restores) == (0, [])
    assert (
        "in the archive since 2026-10-05 12:00 UTC, its restored copy gone; --again asks for another" in result.stdout
    )
    assert "asked; it is in GLACIER" in odd_shop.ao("request", "W1A01", "--again").stdout
    (row,) = odd_shop.drs.rows(["W1A01"])
    assert set(row.times) == {Stage.RESTORE_REQUESTED}


def test_status_tells_the_states_apart_and_asks_for_nothing(odd_shop: Shop, s3_server: S3Server) -> None:
    """Asked, under way, restored until, expired, not asked."""
    hold(s3_server, "W1A01")
    hold(s3_server, "W1A02")
    hold(s3_server, "W1A03", restore='ongoing-request="true"')
    hold(s3_server, "W1A04", restore='ongoing-request="false", expiry-date="Fri, 04 Dec 2099 00:00:00 GMT"')
    hold(s3_server, "W1A05")
    now = datetime.now(UTC)
    odd_shop.drs.record("W1A02", Stage.RESTORE_REQUESTED, now, {})
    odd_shop.drs.record("W1A03", Stage.RESTORE_REQUESTED, EARLIER, {})
    odd_shop.drs.record("W1A05", Stage.RESTORE_REQUESTED, EARLIER, {})
    told = odd_shop.told("status", "W1A01", "W1A02", "W1A03", "W1A04", "W1A05")
    assert [each["state"] for each in told] == ["not asked", "asked", "under way", "restored", "expired"]
    assert told[3]["expires"] == "2099-12-04T00:00:00+00:00"
    assert told[2]["requested_on"] == EARLIER.isoformat()
    lines = odd_shop.ao("status", "W1A03", "W1A05").stdout.splitlines()
    assert lines[0] == "W1A03: already asked on 2026-10-01 12:00 UTC; Glacier is at it"
    assert lines[1] == "W1A05: expired; it was asked for on 2026-10-01 12:00 UTC"
    assert s3_server.restores == []
    missing = odd_shop.ao("status", "W1A99")
    assert (missing.exit_code, "there is no such object" in missing.stderr) == (1, True)


def test_a_site_with_several_intakes_finds_the_bucket_that_has_the_work(shop: Shop, aws: Aws, bucket: str) -> None:
    """A RID does not say whose it is; one that two buckets have is not guessed."""
    other = aws.make_bucket()
    shop.write(another_intake(shop.text, "nlm", other))
    put(aws, bucket, "W1A01")
    put(aws, other, "W1A02")
    put(aws, bucket, "W1A03")
    put(aws, other, "W1A03")
    first, second, both = shop.told("request", "W1A01", "W1A02", "W1A03")
    assert [(each["intake"], each["bucket"]) for each in (first, second)] == [("demo", bucket), ("nlm", other)]
    assert "the work is in each of them; --intake says which one is meant" in both["error"]
    shop.write(another_intake(shop.text, "nlm", other).replace('"nlm"', '"nlm"\nformerly = ["loc"]'))
    (chosen,) = shop.told("request", "W1A03", "--intake", "loc")
    assert (chosen["bucket"], chosen["asked_now"], chosen["intake"]) == (other, True, "nlm")
    assert "there is no such object in any of them" in shop.ao("request", "W1A04").stderr


def test_another_environments_bucket_is_not_asked(shop: Shop, aws: Aws, bucket: str) -> None:
    """What a trial site restores in production's bucket, production's queue hears of."""
    put(aws, bucket, "W1A01")
    shop.write(shop.text.replace('environment = "demo"\nendpoint', 'environment = "prod"\nendpoint'))
    result = shop.ao("request", "W1A01")
    assert result.exit_code == 1
    assert "intake 'demo' belongs to 'prod', and this site is 'demo': it is left alone." in result.stderr
    assert "received" not in result.stderr
    assert shop.requested("W1A01") is None


def test_a_layout_of_the_sites_own_or_an_address_finds_the_work(shop: Shop, aws: Aws, bucket: str) -> None:
    """Not every bucket is laid out as the archive's, nor every object within one."""
    for key in ("bags/W1A01.zip", "odd one/W1A02.bag.zip"):
        aws.s3.put_object(Bucket=bucket, Key=key, Body=b"x", StorageClass="DEEP_ARCHIVE")
    shop.write(f'{shop.text}places = ["bags/{{rid}}.zip"]\n')
    told = shop.told("request", "W1A01", f"s3://{bucket}/odd one/W1A02.bag.zip")
    assert [(each["key"], each["asked_now"], each["error"]) for each in told] == [
        ("bags/W1A01.zip", True, None),
        ("odd one/W1A02.bag.zip", True, None),
    ]
    assert shop.requested("W1A02") is not None


def test_without_drs_nothing_is_asked(odd_shop: Shop, s3_server: S3Server) -> None:
    """Nobody would know of the request, and the next run of the list would not either."""
    hold(s3_server, "W1A01")
    (odd_shop.folder / "drs.sqlite").unlink()
    result = odd_shop.ao("request", "W1A01")
    assert result.exit_code == 1
    assert "`ao drs init` makes it" in result.stderr
    assert s3_server.restores == []


def test_a_drs_that_fails_under_way_ends_the_list_and_says_how_far_it_came(odd_shop: Shop, s3_server: S3Server) -> None:
    """Glacier has been asked for the one, DRS does not know: the rest must wait until it can."""
    for number in range(1, 4):
        hold(s3_server, f"W1A0{number}")

    def lose(_path: str) -> None:
        (odd_shop.folder / "drs.sqlite").unlink()

    s3_server.restore_fault = lose
    result = odd_shop.ao("request", "W1A01", "W1A02", "W1A03")
    assert result.exit_code == 1
    assert result.stdout == "W1A01: asked; it is in GLACIER\n"
    assert "ao: W1A01: DRS: " in result.stderr
    assert "Ended early, as DRS failed: 1 of 3 works done (1 failed). The same command goes on" in result.stderr
    assert len(s3_server.restores) == 1
    odd_shop.drs.init()
    s3_server.restore_fault = lambda _path: None
    assert odd_shop.ao("request", "W1A01", "W1A02", "W1A03").exit_code == 0
    assert len(s3_server.restores) == 3
    assert odd_shop.requested("W1A01") is not None


def test_an_s3_that_is_away_ends_a_long_list(odd_shop: Shop, s3_server: S3Server) -> None:
    """A thousand time-outs one after the other are a night."""
    s3_server.head_refusal = 400
    result = odd_shop.ao("request", *(f"W1A{number:02d}" for number in range(1, 9)))
    assert result.exit_code == 1
    assert "Ended early, as S3 failed 5 times in a row: 5 of 8 works done (5 failed)." in result.stderr


def test_no_more_is_asked_in_a_minute_than_was_said(odd_shop: Shop, s3_server: S3Server) -> None:
    """Works that all come back in one hour fill the scratch disk."""
    times: list[datetime] = []
    for number in range(1, 4):
        hold(s3_server, f"W1A0{number}")
    s3_server.restore_fault = lambda _path: times.append(datetime.now(UTC))
    assert odd_shop.ao("request", "W1A01", "W1A02", "W1A03", "--per-minute", "120").exit_code == 0
    assert times[2] - times[0] >= timedelta(seconds=0.9)


@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupt_notes_what_was_asked_and_says_how_far_it_came(
    odd_shop: Shop, s3_server: S3Server, twice: bool
) -> None:
    """Ctrl-C between S3's answer and DRS must not lose the one; the list goes on where it stopped."""
    for rid in ("W1A01", "W1A02", "W1A03"):
        hold(s3_server, rid)
    asking, go_on = Event(), Event()

    def held_up(path: str) -> None:
        if "W1A02" in path:
            asking.set()
            go_on.wait(60)

    s3_server.restore_fault = held_up
    command = subprocess.Popen(
        [sys.executable, "-c", _AO, "restore", "request", "W1A01", "W1A02", "W1A03"],
        env={**os.environ, "AO_SITE": f"{odd_shop.folder}/site.toml"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert asking.wait(60)
        command.send_signal(signal.SIGINT)
        assert command.stdout
        assert command.stderr
        assert "ao: ending after the work that is under way" in command.stderr.readline()
        if twice:
            command.send_signal(signal.SIGINT)
            assert "ended at once: Glacier may have been asked for one work more" in command.stderr.readline()
        go_on.set()
        # Not communicate(): it reads past the lines that readline() above has taken from the pipe already.
        err = command.stderr.read()
        out = command.stdout.read()
        command.wait(60)
    finally:
        go_on.set()
        command.kill()
        command.communicate()
    assert command.returncode == 130
    done = ["W1A01"] if twice else ["W1A01", "W1A02"]
    assert out.splitlines() == [f"{rid}: asked; it is in GLACIER" for rid in done]
    assert f"Ended early, as SIGINT came: {len(done)} of 3 works done ({len(done)} asked now)." in err
    assert [rid for rid in ("W1A01", "W1A02", "W1A03") if odd_shop.requested(rid)] == done


@pytest.mark.parametrize(
    "words",
    [
        ["request"],
        ["status"],
        ["request", "W1A01", "--tier", "Fast"],
        ["request", "W1A01", "--days", "0"],
        ["request", "W1A01", "--per-minute", "0"],
        ["request", "--list", "/nowhere/at/all"],
        ["request", "--list", os.devnull],
        ["request", "W1A01", "--intake", "nobody"],
    ],
)
def test_a_command_that_is_not_understood_exits_with_2(odd_shop: Shop, words: list[str]) -> None:
    """Exit code 1 means that a work could not be asked for; a typing error must not."""
    result = odd_shop.ao(*words)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


def test_a_site_that_cannot_be_used_is_told(odd_shop: Shop) -> None:
    """No stack of pydantic's for who has a list to restore."""
    odd_shop.write(odd_shop.text[: odd_shop.text.index("[[intake]]")])
    assert "intake: there is none" in odd_shop.ao("request", "W1A01").stderr
    odd_shop.write('environment = "moon"')
    result = odd_shop.ao("request", "W1A01")
    assert (result.exit_code, "environment: must be" in result.stderr) == (1, True)


def test_help_is_there_without_dagster() -> None:
    """Who looks up an option does not wait seconds for it."""
    check = "import atexit, sys; atexit.register(lambda: print('dagster' in sys.modules));"
    program = "from ao_workflows.cli import main; main(['restore', 'request', '--help'])"
    run = subprocess.run([sys.executable, "-c", check + program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"
    assert "--per-minute" in run.stdout
