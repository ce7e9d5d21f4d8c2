"""What a check of a site finds, and what can be decided without looking: levels, mounts, tags.

What belongs here: values, and rules on them. What does not: looking (``disks``, ``connections``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ao_workflows.errors import WrongEnvironment
from ao_workflows.site.environments import refuse_other_environment


class Level(StrEnum):
    """How well something is. With ``WARN`` works get on, but a person should know of it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: how it is, what there is to say of it, and what to ``do`` if it is not well."""

    what: str
    level: Level
    said: str
    do: str = ""


def ok(what: str, said: str) -> Finding:
    """Returns the finding that something is well."""
    return Finding(what, Level.OK, said)


def warn(what: str, said: str, do: str) -> Finding:
    """Returns the finding that a person should look at something."""
    return Finding(what, Level.WARN, said, do)


def fail(what: str, said: str, do: str) -> Finding:
    """Returns the finding that something is not well."""
    return Finding(what, Level.FAIL, said, do)


def without_secrets(text: str) -> str:
    """Returns a vendor's text without the password of a URL in it."""
    return re.sub(r"//\S*@", "//…@", text)


def mount_of(path: Path, mountinfo: str) -> tuple[Path, str]:
    """Returns where the file system with ``path`` is mounted, and its type.

    :param mountinfo: the text of /proc/self/mountinfo,
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
    """Returns a warning if something is on the root disk that should have a disk, or a share, of its own; else None."""
    point, kind = mount_of(path, mountinfo)
    if point != Path("/"):
        return None
    said = f"nothing is mounted on {path} or above it: what is written there fills the root disk ({kind})"
    return warn(what, said, "mount its disk or share; leave it so where the root disk is meant")


def tag_finding(what: str, intake: str, belongs_to: str, tag: str | None, site: str) -> Finding:
    """Returns whether a queue is the site's own, by site.toml and by its tag ``environment``.

    :param belongs_to: the intake's environment by site.toml; ``tag`` is the queue's, and ``site`` the site's own.
    """
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
