"""What every test module may ask for: the servers' fixtures, and the data that is kept outside the project.

What belongs here: plugging fixtures together, and keeping the machine's own site and settings out of every test. What
does not: a fixture of one module, or a server's own workings.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from ao_workflows.site import Site, demo_site

pytest_plugins = [
    "ao_workflows_tests.resources.mariadb",
    "ao_workflows_tests.demo_fixture",
    "ao_workflows_tests.resources.moto_server",
    "ao_workflows_tests.resources.postgres",
    "ao_workflows_tests.resources.s3_server",
    "ao_workflows_tests.ui.browser",
]

CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """Gives the tests, and what they start, an empty site of their own, before anything loads the definitions.

    Else they would see the checkout's last demo, or the site that the shell of their user is set up for.
    """
    of_a_site = {"AO_SITE", "DAGSTER_HOME"} | {f"AO_{key}".upper() for key in Site.model_fields}
    for name in [name for name in os.environ if name.upper().partition("__")[0] in of_a_site]:
        del os.environ[name]
    folder = tempfile.TemporaryDirectory(prefix="ao-tests-")
    config.add_cleanup(folder.cleanup)
    site = Path(folder.name) / "site.toml"
    site.write_text(demo_site(site.parent, endpoint_url=None))
    os.environ["AO_SITE"] = str(site)


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
