"""The tests' own site: what their user's shell, and the checkout's last demo, say of one is no test's business."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ao_workflows.site.loading import load
from ao_workflows_tests.conftest import CHECKOUT


def test_no_test_sees_the_checkouts_demo() -> None:
    """A test that passes in a new clone and fails after `make demo`, or writes into the demo, tells nobody anything."""
    site = load()
    assert not site.staging.root.is_relative_to(CHECKOUT)
    assert site.intake == {}


def test_no_test_sees_the_site_that_its_users_shell_is_set_up_for(tmp_path: Path) -> None:
    """Who looks after a site has its variables set: the tests would fail, or touch the site."""
    of_a_site = {"AO_SITE": f"{tmp_path}/none", "DAGSTER_HOME": f"{tmp_path}/none", "AO_SYNC__VERIFY": "nonsense"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "checkouts_demo", __file__],
        cwd=CHECKOUT,
        env=os.environ | of_a_site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
