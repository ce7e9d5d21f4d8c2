"""What a user without rights here gets: a process of its own, for root may do everything.

What belongs here: that process. What does not: which rights anything is to have.
"""

from __future__ import annotations

import os
from collections.abc import Callable

NOBODY = 65534


def as_nobody(work: Callable[[], object]) -> str:
    """What ``work`` returns or raises in a process whose user has no rights here."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            said = str(work())
        except BaseException as error:  # noqa: BLE001 - told by the test
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said
