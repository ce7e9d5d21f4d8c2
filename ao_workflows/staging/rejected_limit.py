"""How much the messages that could not be used may take up on the scratch disk, and how much they do.

What belongs here: the limit, and the sums. What does not: the messages (``ao_workflows.staging.rejected_messages``),
and the room for works (``ao_workflows.staging.room``).

Whoever may send to a queue could fill the disk with them. They are a part of the site's reserve: works lose no room to
them, as long as the reserve is larger.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.errors import StagingError
from ao_workflows.staging.layout import StagingLayout

MOST_MESSAGES = 5_000
MOST_BYTES = 256 << 20

_MIB = 1 << 20
_ST_BLOCK = 512
_MUCH = 0.8


@dataclass(frozen=True)
class KeptSize:
    """How many messages are kept, and how many ``bytes`` of the disk their files take up."""

    count: int = 0
    bytes: int = 0

    @property
    def much(self) -> bool:
        """Whether a person should deal with them before the limit is reached."""
        return self.count >= _MUCH * MOST_MESSAGES or self.bytes >= _MUCH * MOST_BYTES

    def __str__(self) -> str:
        messages = f"{self.count:,} of at most {MOST_MESSAGES:,} messages"
        return f"{messages} are kept, {self.bytes / _MIB:,.1f} of at most {MOST_BYTES // _MIB} MiB"


def kept_size(layout: StagingLayout, besides: Path | None = None) -> KeptSize:
    """Returns how much is kept; what cannot be looked at counts as nothing.

    :param besides: a file that does not count, since it is about to be written anew.
    """
    count = size = 0
    with suppress(OSError), os.scandir(layout.rejected_messages()) as entries:
        for entry in entries:
            if besides is None or entry.name != besides.name:
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * _ST_BLOCK
                    count += 1
    return KeptSize(count, size)


def refuse_beyond(layout: StagingLayout, path: Path, size: int) -> None:
    """Checks that one more message of ``size`` bytes may be kept at ``path``.

    :raises StagingError: if it would be beyond the limit. The message is then left in its queue.
    """
    kept = kept_size(layout, path)
    if kept.count >= MOST_MESSAGES or kept.bytes + size > MOST_BYTES:
        folder = layout.rejected_messages()
        raise StagingError(
            folder,
            f"takes no more: {kept}. What cannot be used stays in its queue until SQS's retention ends. Look at them "
            f"(ao intake rejected), send back what is to be done, and remove the rest from the folder",
        )
