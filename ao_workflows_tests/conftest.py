"""What every test module may ask for: the servers' fixtures, and the data that is kept outside the project.

What belongs here: plugging fixtures together. What does not: a fixture of one module, or a server's own workings.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest_plugins = [
    "ao_workflows_tests.resources.mariadb",
    "ao_workflows_tests.demo_fixture",
    "ao_workflows_tests.resources.moto_server",
    "ao_workflows_tests.resources.postgres",
    "ao_workflows_tests.resources.s3_server",
    "ao_workflows_tests.ui.browser",
]

CHECKOUT = Path(__file__).resolve().parents[1]


def skip_or_fail(reason: str) -> None:
    """Skips the test that lacks something of the machine's; where everything must be there, fails it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample events and BagIt's conformance suite, which are no part of the project."""
    folder = (CHECKOUT / os.environ.get("AO_TEST_DATA", "../shared/data")).resolve()
    if not folder.is_dir():
        skip_or_fail(f"the test data is not in {folder}; AO_TEST_DATA says where it is")
    return folder
