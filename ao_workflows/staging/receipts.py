"""Receipts: what a stage says when it is done, so that a run that comes after need not do it again.

What belongs here: the receipt as a value, as JSON, and the rule that compares its input. What does not: whether
what it names is still there (``ao_workflows.staging.staging``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ao_workflows.events.dropped_files import stored_in
from ao_workflows.machine.times import moment_with_zone
from ao_workflows.works.stages import Stage


@dataclass(frozen=True)
class Receipt:
    """One stage's receipt. ``took`` is the identity of its input, ``left`` what it made; both plain JSON.

    ``at`` is RFC 3339 in UTC; ``boot`` names the boot in which the files were written.
    """

    stage: str
    rid: str
    took: Mapping[str, Any]
    left: Mapping[str, Any]
    run_id: str
    boot: str
    at: str

    def dump(self) -> str:
        """Returns the receipt as JSON."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)

    @classmethod
    def parse(cls, text: str | bytes) -> Receipt | None:
        """The receipt, or None where the text is none: half a receipt is no receipt, and the stage is done again."""
        try:
            receipt = cls(**json.loads(text))
            whole = isinstance(receipt.took, dict) and _is_left_by(receipt.stage, receipt.left)
            return receipt if whole and moment_with_zone(receipt.at) else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


def _is_left_by(stage: str, left: object) -> bool:
    """Whether ``left`` has what others read of the stage; raises what looking for it raises, where it is not there."""
    if not isinstance(left, dict):
        return False
    if stage == Stage.RESTORED_MESSAGE:
        return isinstance(left["intake"], str) and bool(stored_in(left))
    if stage == "held":
        return all(isinstance(left[name], str) for name in ("intake", "error", "why")) and bool(stored_in(left))
    if stage == Stage.DOWNLOADED_BAG:
        return isinstance(left["bytes"], int)
    return True
