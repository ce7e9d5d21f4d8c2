"""What a demo ends when it ends."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from ao_workflows.demo.processes import Processes


def test_all_that_was_started_ends_and_what_was_there_before_stays(tmp_path: Path) -> None:
    """A server that others still use must not go with the demo that began after it; what a killed one left must."""
    server = subprocess.Popen(["sh", "-c", "sleep 300; exit 1"])
    try:
        processes = Processes(tmp_path, {})
        left = tmp_path / "pid"
        program = f"import subprocess; print(subprocess.Popen(['sleep', '300']).pid, file=open({str(left)!r}, 'w'))"
        processes.start("starter", ["-c", program]).wait()
        orphan = Path("/proc") / left.read_text().strip()
        assert "sleep" in (orphan / "cmdline").read_text()
        processes.end()
        until = time.monotonic() + 10
        while orphan.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert not orphan.exists()
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()
