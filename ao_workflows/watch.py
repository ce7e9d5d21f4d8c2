"""The night's look at all works: an asset of its own, which says which works are stuck and which restores end unused.

What belongs here: gathering, and saying it to a person, as a table and as two checks. What does not: when a work is
stuck (``ao_workflows.domain.standing``), a restored copy's end (``ao_workflows.domain.expiring``), and the hour
(``ao_workflows.schedules``).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from ao_workflows.domain.errors import ObjectError, ObjectNotRestored, ServiceError
from ao_workflows.domain.expiring import Undownloaded, end_in_words, undownloaded
from ao_workflows.domain.standing import Standing, standing
from ao_workflows.resources.drs import Drs
from ao_workflows.resources.s3 import S3
from ao_workflows.resources.staging import Staging
from ao_workflows.resources.standings import LOOKED_AT, Sources, of_unfinished
from ao_workflows.site import WatchSection

SHOWN = 100
"""As many works are shown in a table; ``ao status`` has the others."""

NAME = "stuck_works"


def stuck_works(watch: WatchSection) -> dg.AssetsDefinition:
    """The asset, by what the site calls stuck."""
    nobody_is_stuck = dg.AssetCheckSpec(
        "no_work_is_stuck", asset=NAME, description=f"No work is in one stage for longer than {watch.stuck_hours:g} h."
    )
    no_copy_ends = dg.AssetCheckSpec(
        "no_restore_ends_unused",
        asset=NAME,
        description=f"No restored copy ends within {watch.expiring_days:g} days before it is downloaded.",
    )

    @dg.asset(name=NAME, group_name="watch", kinds={"table"}, check_specs=[nobody_is_stuck, no_copy_ends])
    def asset(context: dg.AssetExecutionContext, staging: Staging, drs: Drs, s3: S3) -> dg.MaterializeResult:  # type: ignore[type-arg]
        """The works that nothing has happened to for too long, and those whose restored copy in S3 is about to end.

        What to do for each is in the last column; `ao status` says the same of any work.
        """
        now = datetime.now(UTC)
        gathered = of_unfinished(Sources(staging, drs, context.instance), now)
        if gathered.drs_error:
            raise dg.Failure(str(gathered.drs_error)) from gathered.drs_error
        works = [(each, standing(each, now, watch.limits)) for each in gathered.evidence]
        stuck = [found for _, found in works if found.stuck]
        ending = _ending(s3, undownloaded(works), now, timedelta(days=watch.expiring_days))
        said_stuck = _counted(stuck, "work is stuck", "works are stuck")
        said_ending = _counted(ending, "restored copy ends unused", "restored copies end unused")
        context.log.info(f"{len(works)} unfinished works looked at: {said_stuck}; {said_ending}")
        metadata: dict[str, Any] = {
            "works looked at": len(works),
            "stuck": len(stuck),
            "ending": len(ending),
            "stuck works": _stuck_table(stuck),
            "restored copies that end": _ending_table(ending),
        }
        if gathered.cut:
            metadata["not looked at"] = f"more than the newest {LOOKED_AT} of a kind"
        return dg.MaterializeResult(
            metadata=metadata,
            check_results=[
                dg.AssetCheckResult(check_name=spec.name, asset_key=spec.asset_key, passed=not found, description=said)
                for spec, found, said in (
                    (nobody_is_stuck, stuck, said_stuck),
                    (no_copy_ends, ending, said_ending),
                )
            ],
        )

    return asset


def _ending(s3: S3, works: Sequence[Undownloaded], now: datetime, within: timedelta) -> list[tuple[Undownloaded, str]]:
    """The works whose copy ends within that time, with its end in words. S3 is asked, whose answer may be later than
    the event's: a copy's days can be prolonged.
    """
    found = []
    for work in [work for work in works if work.ends_before(now + within)][:SHOWN]:
        event, until, doubt = work.event, work.until, ""
        try:
            until = s3.restored_until(work.intake, event.bucket, event.key, event.version_id)
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
                each.rid,
                f"{each.stage} {each.state.value}: {each.failure.partition(chr(10))[0]}".rstrip(": "),
                f"{each.since:%Y-%m-%d %H:%M} UTC" if each.since else "",
                each.advice,
            )
            for each in stuck[:SHOWN]
        ],
    )


def _ending_table(ending: Sequence[tuple[Undownloaded, str]]) -> dg.TableMetadataValue:
    columns = ("work", "object", "its restored copy")
    return _table(columns, [(work.rid, f"s3://{work.event.bucket}/{work.event.key}", said) for work, said in ending])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> dg.TableMetadataValue:
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in rows],
        # An empty table has no record to take its columns from.
        schema=dg.TableSchema([dg.TableColumn(name) for name in columns]),
    )
