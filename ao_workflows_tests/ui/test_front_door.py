"""The web page through the front door, in a real browser: it works, and it stays live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from ao_workflows_tests.support.crowd import as_many_as_one_may, crowd
from ao_workflows_tests.support.demo_fixture import FinishedDemo
from ao_workflows_tests.support.proxy import Proxy, running_proxy
from ao_workflows_tests.ui.browser import FLAGS, SHOWN_WITHIN_MILLISECONDS, WINDOW


@pytest.fixture(scope="module")
def proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with running_proxy(tmp_path_factory.mktemp("proxy"), address.removeprefix("http://")) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def page(chromium: str, proxy: Proxy) -> Iterator[Page]:
    """A window of someone who has logged in as an operator."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        context = browser.new_context(
            ignore_https_errors=True,
            http_credentials={"username": "anna", "password": proxy.passwords["anna"]},
            viewport=WINDOW,
        )
        page = context.new_page()
        page.set_default_timeout(SHOWN_WITHIN_MILLISECONDS)
        yield page
        browser.close()


def test_the_page_works_and_a_runs_log_grows_while_one_looks(
    page: Page, proxy: Proxy, finished_demo: FinishedDemo
) -> None:
    """A rule too many, and the page stays empty, or stands still until somebody reloads it."""
    refused: list[str] = []
    page.on(
        "response", lambda answer: refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None
    )
    with dg.DagsterInstance.from_config(str(_home(finished_demo))) as instance:
        (record,) = instance.get_run_records(limit=1)
        with page.expect_websocket() as opened:
            page.goto(f"{proxy.origin}/runs/{record.dagster_run.run_id}")
        assert opened.value.url == f"wss://{proxy.host}/graphql"
        expect(page.get_by_text("synced_archive").first).to_be_visible()
        # A browser asks without the login first, and is asked for it.
        assert [answer for answer in refused if not answer.startswith("401 ")] == []
        said = "said while somebody looks"
        shown = page.get_by_text(said).first
        until = time.monotonic() + SHOWN_WITHIN_MILLISECONDS / 1000
        while not shown.is_visible() and time.monotonic() < until:
            # Again and again, as a run does: Dagster tells of no event between its first look and its watching.
            instance.report_engine_event(said, record.dagster_run)
            page.wait_for_timeout(500)
        expect(shown).to_be_visible()


def test_a_browser_works_while_a_crowd_stands_at_the_door(page: Page, proxy: Proxy) -> None:
    """Whoever opens many connections and says nothing on them shut everybody out."""
    page.goto(f"{proxy.origin}/runs")
    with crowd(proxy, as_many_as_one_may(10_000), addresses=400, after_tls=100):
        page.goto(f"{proxy.origin}/assets/synced_archive")
        expect(page.get_by_text("synced_archive").first).to_be_visible()
        (waited,) = page.evaluate(
            "performance.getEntriesByType('navigation').map(entry => entry.responseStart - entry.startTime)"
        )
    assert waited < 1000


def _home(demo: FinishedDemo) -> Path:
    (home,) = {path.parent for path in demo.folder.rglob("dagster.yaml")}
    return home
