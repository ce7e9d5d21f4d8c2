"""Dagster's web page, whose server takes no more over a WebSocket than the page itself sends.

What belongs here: that, for the containers, ``ao up`` and the demo. What does not: how the page is started and whether
it works (``dagster_processes``), and what the front door bounds (``docker/proxy``), which cannot see into a WebSocket.

``python -m ao_workflows.instance.web_page`` is Dagster's command ``dagster-webserver`` with this difference. It has no
option for it, and calls ``uvicorn.run``, which is given the bound on the way. If Dagster starts its server in another
way, the page works, and takes 16 MiB at once from whoever may log in.
"""

from __future__ import annotations

from functools import partial

import uvicorn
from dagster_webserver.cli import main

LARGEST_MESSAGE = 1 << 16
"""Bytes of one message, as of an archivist's question at the front door. The page's have a few KiB."""


def take_small_messages_only() -> None:
    """Has every server that this process starts from now on refuse larger messages of a WebSocket, with code 1009."""
    uvicorn.run = partial(uvicorn.run, ws_max_size=LARGEST_MESSAGE)


if __name__ == "__main__":
    take_small_messages_only()
    main()
