"""Algorithms: the digests that a manifest may be made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashlib import _Hash


HASHES: dict[str, Callable[[], _Hash]] = {
    name: partial(getattr(hashlib, name), usedforsecurity=False)
    for name in sorted(hashlib.algorithms_guaranteed)
    if not name.startswith("shake_")
}
"""Every algorithm with a digest of one length that each Python has."""
