"""The demo's own judgement: is what was bagged in the archive, and was each bad bag refused for the right reason?

What belongs here: comparing the archive's files with what the samples' maker knows about them. What does not: the
platform's own proof, which must not judge itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.demo.samples import Sample
from ao_workflows.demo.watch import SampleProgress
from ao_workflows.works.stages import Stage

_KIND = {"checksum": "checksum", "missing": "missing", "no bag": "zip"}


@dataclass(frozen=True)
class Verdict:
    """The verdict on one sample.

    ``faults`` says what is not as it should be. For a bad sample, ``reason`` is why it was refused, and ``report`` the
    path at which its report should be; for a good one, they are empty and None.
    """

    sample: Sample
    faults: tuple[str, ...]
    reason: str = ""
    report: Path | None = None


def judge(sample: Sample, progress: SampleProgress, archive: Path, staging: Path) -> Verdict:
    """Judges one sample from the files in the archive and on the scratch disk, and from how its run ended.

    :param archive: the folder that contains Archive0 to Archive3.
    :param staging: the scratch disk's folder.
    """
    if sample.wrong is None:
        faults = [fault for rid, files in sample.works.items() for fault in _wrong_in_archive(archive, rid, files)]
        if progress.stage != "in the archive":
            faults.append(f"{sample.rid}: its run did not succeed: {progress.stage}: {progress.doing}")
        return Verdict(sample, tuple(faults))
    faults = [
        f"{rid}: is in the archive at {place}, though its bag is bad"
        for rid in {sample.rid, *sample.works}
        for place in _places(archive, rid)
    ]
    report = staging / "quarantine/works" / sample.rid / "report.json"
    reason = ""
    if report.exists():
        problems = json.loads(report.read_text(encoding="utf-8"))["problems"]
        reason = "; ".join(f"{problem['path']}: {problem['reason']}" for problem in problems)
        right = [
            problem
            for problem in problems
            if problem["kind"] == _KIND[sample.wrong] and problem["path"].endswith(sample.bad_path or "")
        ]
        if not right:
            faults.append(f"{sample.rid}: was refused, but not for {sample.title}: {reason}")
    else:
        faults.append(f"{sample.rid}: has no report at {report}")
    if progress.stage != "refused":
        faults.append(f"{sample.rid}: should have been refused, and is: {progress.stage}")
    return Verdict(sample, tuple(faults), reason, report)


def _wrong_in_archive(archive: Path, rid: str, files: dict[str, str]) -> list[str]:
    places = _places(archive, rid)
    if len(places) != 1:
        return [f"{rid}: should be in the archive once, and is there {len(places)} times"]
    (place,) = places
    there = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    tag_folder = f"{rid}.bag/"
    return [
        *(f"{rid}: {name} is missing in {place}" for name in sorted(files.keys() - there.keys())),
        *(
            f"{rid}: {name} is in {place}, and was never bagged"
            for name in sorted(there.keys() - files.keys())
            if not name.startswith(tag_folder)
        ),
        *(
            f"{rid}: {name} in {place} is not what was bagged"
            for name in sorted(files.keys() & there.keys())
            if hashlib.sha256(there[name].read_bytes()).hexdigest() != files[name]
        ),
    ]


def _places(archive: Path, rid: str) -> list[Path]:
    """Returns every place in the archive's shares that has the work, including places where it should not be."""
    return sorted(archive.glob(f"Archive[0-3]/[0-9][0-9]/{rid}"))


def summary(verdicts: Sequence[Verdict], seconds: float, folder: Path) -> str:
    """Returns the text that the demo prints at its end.

    :param seconds: how long the works took.
    :param folder: the demo's folder.
    """
    good = [verdict.sample for verdict in verdicts if verdict.sample.wrong is None]
    return "\n".join(
        [
            *result(verdicts, seconds),
            "",
            f"The archive:   {_near(folder / 'archive')}",
            "The web page:  make ui",
            f"Redo a work:   . {_near(folder / 'env')}",
            "               dagster asset materialize -m ao_workflows.definitions \\",
            f"                 --select '{Stage.DOWNLOADED_BAG}+' --partition {good[1].rid}",
        ]
    )


def result(verdicts: Sequence[Verdict], seconds: float) -> list[str]:
    """Returns lines about the samples: what is in the archive, or what is not as it should be, and what was refused."""
    good = [verdict.sample for verdict in verdicts if verdict.sample.wrong is None]
    works = sum(len(sample.works) for sample in good)
    files, size = sum(sample.files for sample in good), sum(sample.bytes for sample in good)
    faults = [fault for verdict in verdicts for fault in verdict.faults]
    lines = [
        "",
        f"{works} works in the archive, {files:,} files, {size / 1e6:,.1f} MB in {seconds:.1f} s: "
        f"{size / 1e6 / seconds:.1f} MB/s, all of it compared with what was bagged."
        if not faults
        else "NOT AS IT SHOULD BE:",
        *(f"  - {fault}" for fault in faults),
        "",
        "Refused, and nothing of them in the archive:",
    ]
    for verdict in verdicts:
        if verdict.report:
            lines += [f"  {verdict.sample.rid}: {verdict.reason}", f"    report: {_near(verdict.report)}"]
    return lines


def _near(path: Path) -> str:
    """Returns the path as one types it in the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
