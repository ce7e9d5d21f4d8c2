"""Moto's server, whose SQS shows a message again sooner than the platform asked for.

    python -m ao_workflows_tests.soak.emulator PORT HIDDEN_SECONDS

So that a short soak need not wait ten minutes for what a killed tick had received. To the platform it is a queue that
delivers twice what it was promised to hide: one more thing to survive.
"""

from __future__ import annotations

import sys

from moto.server import main
from moto.sqs.models import Message


def serve(port: str, hidden_seconds: int) -> None:
    asked_for = Message.change_visibility

    def sooner(message: Message, visibility_timeout: int) -> None:
        asked_for(message, min(int(visibility_timeout), hidden_seconds))

    Message.change_visibility = sooner  # type: ignore[method-assign]
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
