"""The reference sync script's own copy of the archive's rule for a RID's bucket and share, for scripts of tests."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCE = Path(__file__).resolve().parents[2] / "docker/sync/syncOneWork.sh"


def _cut(pattern: str) -> str:
    found = re.search(pattern, REFERENCE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found, f"{REFERENCE} has no longer what begins like {pattern}"
    return found[0]


FIND_BUCKET = "\n".join((_cut(r"^readonly BUCKETS_PER_SHARE=\d+$"), _cut(r"^find_bucket\(\) \{$.*?^\}$")))
"""Bash that defines ``find_bucket``, which sets ``bucket`` and ``share`` by ``rid``."""
