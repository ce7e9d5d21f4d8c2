"""``ao bag``: bags validated and unpacked by hand, without a site and without Dagster.

What belongs here: arguments, what is printed, exit codes. What does not: anything about bags
(``ao_workflows.bags.debagging``).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from ao_workflows.bags.debagging import DebaggedZip, Validated, debag, validate
from ao_workflows.cli.complaints import FAILED, complain
from ao_workflows.errors import AoError, BagInvalid, Problem, ZipRefused
from ao_workflows.machine.new_trees import put_in_place
from ao_workflows.shown_names import shown, shown_json

SHOWN = 100
"""How many problems of one bag are printed for people; ``--json`` has all."""


def _time_zone(_context: click.Context, _option: click.Parameter, name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        raise click.BadParameter(f"{name!r} is no time zone; one is called like Asia/Seoul") from None


@click.group()
def bag() -> None:
    """Validate BagIt bags and unpack zips of them."""


@bag.command("validate")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list with everything, for programs.")
def validate_command(paths: tuple[Path, ...], as_json: bool) -> None:
    """Say whether each PATH, a bag's folder or a zip of bags, is what its manifests say.

    A zip is read, not unpacked. Exits with 0 if all are valid, 1 if one is not, 2 if the command was not understood.
    """
    results: list[dict[str, Any]] = []
    for path in paths:
        try:
            with _progress(path) as tell:
                result = _as_json(validate(path, progress=tell))
        except AoError as error:
            result = {"path": str(path), "valid": False, "problems": [], "warnings": [], "error": str(error)}
        results.append(result)
        if not as_json:
            _print_result(result)
    if as_json:
        _print_json(results)
    sys.exit(0 if all(result["valid"] for result in results) else FAILED)


@bag.command("debag")
@click.argument("zip_path", metavar="ZIP", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder in which each work is put, under its RID, in place of an earlier one.",
)
@click.option(
    "--time-zone",
    metavar="ZONE",
    callback=_time_zone,
    help="The zone of the zip's local times, such as Asia/Seoul.  [this machine's]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with everything, for programs.")
def debag_command(zip_path: Path, into: Path, time_zone: ZoneInfo | None, as_json: bool) -> None:
    """Unpack the works of ZIP into DIR, every byte proven, and print their RIDs.

    Exits with 0 if it is done, 1 if the zip was refused and nothing was left behind, 2 if the command was not
    understood.
    """
    try:
        done = _debag_beside_others(zip_path, into, time_zone)
    except AoError as error:
        problems = error.problems if isinstance(error, BagInvalid | ZipRefused) else ()
        if as_json:
            refusal = {"zip": str(zip_path), "error": str(error), "problems": [asdict(each) for each in problems]}
            _print_json(refusal)
        else:
            complain(error)
            if len(problems) > 1:
                _print_problems([asdict(each) for each in problems])
        sys.exit(FAILED)
    if as_json:
        _print_json(_summary(zip_path, into, done))
        return
    for line in done.warnings:
        click.echo(f"warning: {line}", err=True)
    for work in done.works:
        click.echo(work.rid)


def _debag_beside_others(zip_path: Path, into: Path, time_zone: ZoneInfo | None) -> DebaggedZip:
    """Unpacks into a new folder inside ``into``, then puts each work in the place of an earlier one of its name."""
    made = not into.exists()
    if made and not into.absolute().parent.is_dir():
        raise click.UsageError(f"there is no folder {into.absolute().parent}")
    into.mkdir(exist_ok=True)
    new = into / f".{zip_path.name}.new"
    try:
        with _progress(zip_path) as tell:
            done = debag(zip_path, new, time_zone=time_zone, progress=tell)
    except BaseException:
        if made:
            into.rmdir()
        raise
    for work in done.works:
        if left := put_in_place(new / work.rid, into / work.rid):
            click.echo(f"warning: {left}, which was {work.rid} before, could not be removed", err=True)
    new.rmdir()
    return done


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int, int], None] | None]:
    """Shows a progress bar if standard error is a terminal, else nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=shown(path.name), file=sys.stderr, width=0) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = max(total, 1)
            bar.update(done - bar.pos)

        yield tell


def _as_json(result: Validated) -> dict[str, Any]:
    return {
        "path": str(result.path),
        "valid": result.valid,
        "bags": list(result.bags),
        "files": result.files,
        "bytes": result.bytes,
        "problems": [asdict(problem) for problem in result.problems],
        "warnings": list(result.warnings),
        "seconds": round(result.seconds, 3),
    }


def _summary(zip_path: Path, into: Path, done: DebaggedZip) -> dict[str, Any]:
    return {
        "zip": str(zip_path),
        "into": str(into),
        "works": [asdict(work) for work in done.works],
        "bytes": done.bytes,
        "warnings": list(done.warnings),
        "seconds": round(done.seconds, 3),
    }


def _print_json(value: object) -> None:
    click.echo(shown_json(json.dumps(value, indent=1, ensure_ascii=False)))


def _print_result(result: dict[str, Any]) -> None:
    if result["valid"]:
        click.echo(f"{shown(result['path'])}: valid, {result['files']} files, {result['bytes']} bytes")
    else:
        click.echo(f"{shown(result['path'])}: " + (result.get("error") or f"not valid, {_counted(result['problems'])}"))
        _print_problems(result["problems"])
    for line in result["warnings"]:
        click.echo(f"  warning: {line}")


def _counted(problems: list[dict[str, Any]]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _print_problems(problems: list[dict[str, Any]]) -> None:
    for each in problems[:SHOWN]:
        problem = Problem(**each)
        click.echo(shown(f"  {problem.kind}: {problem.path}: {problem.reason}"))
        if problem.expected or problem.found:
            click.echo(shown(f"    expected {problem.expected}, found {problem.found}"))
    if len(problems) > SHOWN:
        click.echo(f"  and {len(problems) - SHOWN} more; --json lists all")
