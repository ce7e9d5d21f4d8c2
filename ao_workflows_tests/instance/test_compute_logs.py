"""What a run prints, kept on S3: written by a real run's process, read back as the web page reads it.

S3 is moto's server. What is read from a folder, with COMPUTE_LOGS empty, is tried on an engine, in ``stack/``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ao_workflows.errors import StackError
from ao_workflows.instance.compute_logs import ComputeLogs


def test_without_the_setting_logs_are_in_the_folder_and_boto3_is_not_imported(tmp_path: Path) -> None:
    """A site that has no S3 for them must not pay for it with each run."""
    script = f"""import sys
from ao_workflows.instance.compute_logs import ComputeLogs
made = ComputeLogs.from_config_value(None, {{"to": "", "folder": {str(tmp_path)!r}}})
print(type(made).__name__, made.get_captured_local_path(["run"], "err"), "boto3" in sys.modules)"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said == f"LocalComputeLogManager {tmp_path}/run.err False\n"


@pytest.mark.parametrize("to", ["bucket/prefix", "s3://bucket", "s3:///prefix"])
def test_a_setting_that_names_no_prefix_is_refused(to: str) -> None:
    """Logs at the top of a bucket are among whatever else it holds."""
    with pytest.raises(StackError, match=f"COMPUTE_LOGS: is '{to}', and must be s3://bucket/prefix or empty: set it"):
        ComputeLogs.from_config_value(None, {"to": to, "folder": "/nowhere"})
