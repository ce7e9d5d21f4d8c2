"""Stuck works: the night's look at all works, and at restored copies that end unused; its asset, job and schedule.

What belongs here: gathering, and reporting to a person, as tables and as two checks. What does not: when a work is
stuck (``ao_workflows.status.standing``), and when a restored copy ends (``ao_workflows.status.expiring``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ao_workflows.aws.s3 import S3
from ao_workflows.drs.client import Drs
from ao_workflows.errors import ObjectError, ObjectNotRestored, ServiceError
from ao_workflows.site.sections import WatchSection
from ao_workflows.staging.staging import Staging
from ao_workflows.status.expiring import Undownloaded, end_in_words, undownloaded
from ao_workflows.status.gathering import EvidenceSources, Gathered, merged, of_unfinished
from ao_workflows.status.standing import Standing, standing_of
from ao_workflows.works.parts import part_staged_as

LOOKED_AT = 5000
"""How many works of each source are looked at, the newest first. If there are more, the checks do not pass."""

SHOWN = 100
"""How many works a table shows at most; ``ao status`` shows the others."""

NAME = "stuck_works"


def stuck_works(watch: WatchSection) -> dg.AssetsDefinition:
    """Makes the asset that reports stuck works, and restored copies that are about to end, with a check for each.

    :param watch: the site's settings: after which time a work is stuck, and how long before its end a copy is reported.
    """
    nobody_is_stuck = dg.AssetCheckSpec(
        "no_work_is_stuck", asset=NAME, description=f"No work is in one stage for longer than {watch.stuck_hours:g} h."
    )
    no_copy_ends = dg.AssetCheckSpec(
        "no_restore_ends_unused",
        asset=NAME,
        description=f"No restored copy ends within {watch.expiring_days:g} days before it is downloaded.",
    )

    @dg.asset(name=NAME, group_name="watch", kinds={"table"}, check_specs=[nobody_is_stuck, no_copy_ends])
    def asset(
        context: dg.AssetExecutionContext, staging: Staging, drs: dg.ResourceParam[Drs], s3: S3
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The works that nothing has happened to for too long, and those whose restored copy in S3 is about to end.

        What to do for each is in the last column; `ao status` says the same of any work.
        """
        now = datetime.now(UTC)
        sources = EvidenceSources(staging, drs, context.instance)
        limits = watch.limits
        gathered = merged(
            of_unfinished(sources, now, limits.least, most=LOOKED_AT), of_unfinished(sources, now, most=LOOKED_AT)
        )
        if gathered.drs_error:
            raise dg.Failure(str(gathered.drs_error)) from gathered.drs_error
        works = [(each, standing_of(each, now, limits)) for each in gathered.evidence]
        stuck = [found for _, found in works if found.stuck]
        ending = _ending(s3, undownloaded(works), now, timedelta(days=watch.expiring_days))
        missed = _missed(gathered)
        said_stuck = _counted(stuck, "work is stuck", "works are stuck") + missed
        said_ending = _counted(ending, "restored copy ends unused", "restored copies end unused") + missed
        context.log.info(f"{len(works)} unfinished works looked at: {said_stuck}; {said_ending}")
        metadata: dict[str, Any] = {
            "works looked at": len(works),
            "stuck": len(stuck),
            "ending": len(ending),
            "stuck works": _stuck_table(stuck),
            "restored copies that end": _ending_table(ending),
        }
        if gathered.odd:
            metadata["names in DRS that can be no RID"] = ", ".join(map(repr, gathered.odd[:SHOWN]))
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(
                    check_name=spec.name, asset_key=spec.asset_key, passed=not (found or missed), description=said
                )
                for spec, found, said in (
                    (nobody_is_stuck, stuck, said_stuck),
                    (no_copy_ends, ending, said_ending),
                )
            ],
        )

    return asset


def _missed(gathered: Gathered) -> str:
    """Returns words for what was not looked at, so that nobody believes that the report is complete; empty if it is."""
    said = f"; only the newest {LOOKED_AT:,} of a kind were looked at" if gathered.cut else ""
    if unread := gathered.unread:
        said += f"; {len(unread)} not looked at whole, such as: {unread[0]}"
    return said


def _ending(s3: S3, works: Sequence[Undownloaded], now: datetime, within: timedelta) -> list[tuple[Undownloaded, str]]:
    """Returns the works whose restored copy ends within that time, each with the copy's end in words.

    S3 is asked, since a copy may end later than its event says: its days can be prolonged.
    """
    found = []
    for work in [work for work in works if work.ends_before(now + within)]:
        event, until, doubt = work.event, work.until, ""
        try:
            intake = s3.intake_for(work.intake, event.bucket, event.region)
            until = s3.restored_until(intake, event.bucket, event.key, event.version_id)
        except ObjectNotRestored:
            continue
        except ObjectError as error:
            found.append((work, error.reason))
            continue
        except ServiceError as error:
            doubt = str(error)
        if until is not None and until < now + within:
            found.append((work, end_in_words(until, now) + (f", by its event; {doubt}" if doubt else "")))
        elif doubt:
            found.append((work, doubt))
    return found


def _counted(found: Sequence[object], one: str, several: str) -> str:
    return f"1 {one}" if len(found) == 1 else f"{len(found) or 'no'} {several}"


def _stuck_table(stuck: Sequence[Standing]) -> dg.TableMetadataValue:
    columns = ("work", "where it stands", "since", "what to do")
    return _table(
        columns,
        [
            (
                each.part or each.rid,
                f"{each.stage} {each.state.value}: {(each.failure or each.held).partition(chr(10))[0]}".strip(": "),
                f"{each.since:%Y-%m-%d %H:%M} UTC" if each.since else "",
                each.advice,
            )
            for each in stuck[:SHOWN]
        ],
    )


def _ending_table(ending: Sequence[tuple[Undownloaded, str]]) -> dg.TableMetadataValue:
    columns = ("work", "object", "its restored copy")
    return _table(
        columns,
        [
            (part_staged_as(work.rid).name, f"s3://{work.event.bucket}/{work.event.key}", said)
            for work, said in ending[:SHOWN]
        ],
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows],
        # The columns are given, since an empty table has no record that shows them.
        schema=dg.TableSchema([dg.TableColumn(name) for name in columns]),
    )


WATCH_WORKS = dg.define_asset_job(
    "watch_works",
    selection=dg.AssetSelection.groups("watch"),
    description="Tells of works that are stuck, and of restored copies that end before they were downloaded.",
)


_HOUR = "03:00"
"""The time of the schedule if the site sets none: it is off then, and a person may switch it on in the web page."""


def nightly(watch: WatchSection) -> dg.ScheduleDefinition:
    """Makes the schedule of the nightly look at all works, at the site's time in UTC; off if the site sets none."""
    hour, minute = (watch.nightly or _HOUR).split(":")
    return dg.ScheduleDefinition(
        name="nightly_watch",
        job=WATCH_WORKS,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING if watch.nightly else dg.DefaultScheduleStatus.STOPPED,
        description="Tells of works that are stuck, and of restored copies that end before they were downloaded.",
    )
