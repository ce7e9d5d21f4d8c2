"""What every test module may ask for: the servers' fixtures, and the data that is kept outside the project.

What belongs here: plugging fixtures together, keeping the machine's own site and settings out of every test, and
which tests keep together where several processes share them. What does not: a fixture of one module, or a server's own
workings.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from ao_workflows.site.demo import demo_site
from ao_workflows.site.sections import Site
from ao_workflows_tests.support.leftovers import MARK, watched

pytest_plugins = [
    "ao_workflows_tests.support.mariadb",
    "ao_workflows_tests.support.demo_fixture",
    "ao_workflows_tests.support.share_disks",
    "ao_workflows_tests.support.moto_server",
    "ao_workflows_tests.support.postgres",
    "ao_workflows_tests.support.instances",
    "ao_workflows_tests.support.s3_server",
    "ao_workflows_tests.support.shops",
    "ao_workflows_tests.ui.browser",
]

CHECKOUT = Path(__file__).resolve().parents[1]

# How long an example takes is the machine's business.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Gives the tests, and what they start, an empty site of their own, before anything loads the definitions.

    Else they would see the checkout's last demo, or the site that the shell of their user is set up for.
    """
    of_a_site = {"AO_SITE", "DAGSTER_HOME"} | {f"AO_{key}".upper() for key in Site.model_fields}
    for name in [name for name in os.environ if name.upper().partition("__")[0] in of_a_site]:
        del os.environ[name]
    folder = Path(tempfile.mkdtemp(prefix="ao-tests-", dir=os.environ.get(MARK)))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    site = folder / "site.toml"
    site.write_text(demo_site(site.parent, endpoint_url=None))
    os.environ["AO_SITE"] = str(site)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Has what the session leaves behind removed, however it ends: before it begins any process."""
    config = session.config
    # Of pytest-xdist's processes, the one that begins the others watches for all.
    if not hasattr(config, "workerinput"):
        folder = Path(os.environ["AO_SITE"]).parent
        config.add_cleanup(watched(folder, config._tmp_path_factory.getbasetemp()))  # type: ignore[attr-defined]


TOGETHER = {
    "ao_workflows_tests/e2e/test_demo.py": "demo",
    "ao_workflows_tests/ui": "demo",
    "ao_workflows_tests/stack": "stack",
}
"""Where the tests share what is too dear, or too large, to be there once for each of pytest-xdist's processes."""

FIRST = ("soak", "e2e", "ui")
"""The folders with the longest tests: begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest tests first."""
    items.sort(key=lambda item: FIRST.index(item.path.parent.name) if item.path.parent.name in FIRST else len(FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With pytest-xdist, a module's tests are one process', and so are those that share more than a module's fixtures.

    Not by its own groups: the released one cannot mark them in pytest 9.2, and says nothing.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByModule(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            return TOGETHER.get(module) or TOGETHER.get(str(Path(module).parent)) or module

    return ByModule(config, log)


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
