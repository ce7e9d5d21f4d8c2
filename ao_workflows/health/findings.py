"""What a check of a site finds, and what of it is decided without looking: levels, mounts, tags.

What belongs here: values, and rules on them. What does not: looking (``ao_workflows.health.disks``,
``ao_workflows.health.connections``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ao_workflows.errors import WrongEnvironment
from ao_workflows.site.environments import refuse_other_environment


class Level(StrEnum):
    """``WARN`` is what a person should know of, and works may pass all the same."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, what was ``said`` of it, and what to ``do`` where it is not well."""

    what: str
    level: Level
    said: str
    do: str = ""


def ok(what: str, said: str) -> Finding:
    return Finding(what, Level.OK, said)


def warn(what: str, said: str, do: str) -> Finding:
    return Finding(what, Level.WARN, said, do)


def fail(what: str, said: str, do: str) -> Finding:
    return Finding(what, Level.FAIL, said, do)


def without_secrets(text: str) -> str:
    """A text of a vendor's that may repeat a URL with a password in it."""
    return re.sub(r"//\S*@", "//…@", text)


def mount_of(path: Path, mountinfo: str) -> tuple[Path, str]:
    """Where the file system that has ``path`` is mounted, and its type, by the text of /proc/self/mountinfo.

    https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html
    """
    found = (Path("/"), "unknown")
    for line in mountinfo.splitlines():
        fields, _, of_the_disk = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split()[4]))
        # Of two on the same point, the later one lies on top
        if path.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = (point, of_the_disk.split()[0])
    return found


def nothing_mounted(what: str, path: Path, mountinfo: str) -> Finding | None:
    """A warning where the root disk has what should have a disk, or a share, of its own."""
    point, kind = mount_of(path, mountinfo)
    if point != Path("/"):
        return None
    said = f"nothing is mounted on {path} or above it: what is written there fills the root disk ({kind})"
    return warn(what, said, "mount its disk or share; leave it so where the root disk is meant")


def judge_tag(what: str, intake: str, belongs_to: str, tag: str | None, site: str) -> Finding:
    """Whether a queue is the site's own, by site.toml and by its tag ``environment``."""
    try:
        refuse_other_environment(intake, belongs_to, site)
        refuse_other_environment(intake, tag, site)
    except WrongEnvironment as error:
        return fail(what, str(error), "take the intake out, or set the environment right")
    if tag is None:
        do = f"tag it environment={belongs_to}, so that no site of another environment can empty it"
        return warn(what, "answers, and has no tag 'environment'", do)
    if tag != belongs_to:
        do = "set the intake's environment, or the queue's tag, right"
        return warn(what, f"is tagged environment={tag}, and site.toml says {belongs_to}", do)
    return ok(what, f"answers, and is tagged environment={tag}")
