"""A test to be interrupted by ``test_leftovers``: it begins what Ctrl-C does not reach, and waits."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from ao_workflows_tests.support.leftovers import remove_at_the_end


@pytest.mark.skipif("AO_INTERRUPTED" not in os.environ, reason="nobody would interrupt it")
def test_that_is_interrupted(tmp_path: Path) -> None:
    """Its child has a session of its own and heeds no TERM; its mount and its folder go with no fixture."""
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 600 & wait; wait"], start_new_session=True)
    outside = Path(tempfile.mkdtemp(prefix="ao-left-"))
    remove_at_the_end(outside)
    (disk := tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True)
    Path(os.environ["AO_INTERRUPTED"]).write_text(f"{child.pid}\n{outside}\n{disk}\n")
    time.sleep(600)
