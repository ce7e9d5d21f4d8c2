"""Dagster's web page over the finished demo, and Debian's Chromium to look at it with.

What belongs here: serving, the window, taking a picture. What does not: what a page must show.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.error import URLError

import pytest
from playwright.sync_api import FloatRect, Locator, Page, ViewportSize, expect, sync_playwright

from ao_workflows.machine.processes import free_port
from ao_workflows_tests.support.demo_fixture import AO, FinishedDemo
from ao_workflows_tests.support.parent import tidy_up_with_it

SERVED_WITHIN_SECONDS = 120
SHOWN_WITHIN_MILLISECONDS = 30_000
WINDOW: ViewportSize = {"width": 1280, "height": 720}
ROOM_BELOW = 180
PICTURE_BYTES = 200_000
"""The README's reader loads every picture: none may be heavier."""

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
    # An archive's machine may have no way out: the page must be whole without one.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

# What is expected has a limit of its own, of 5 s, whatever a page's is.
expect.set_options(timeout=SHOWN_WITHIN_MILLISECONDS)


class WebPage:
    """The web page of ``demo`` at ``address``, in a window whose pictures go into ``pictures``."""

    def __init__(self, demo: FinishedDemo, address: str, page: Page, pictures: Path) -> None:
        self.demo = demo
        self.page = page
        self._address = address
        self._pictures = pictures

    def open(self, path: str) -> Page:
        """Opens one of its addresses."""
        self.page.goto(self._address + path)
        return self.page

    def place(self, shown: Locator) -> FloatRect:
        """Where in the window something is that is shown, in pixels."""
        box = shown.bounding_box()
        assert box, f"{shown} is not shown"
        return box

    def take_picture(self, name: str, of: Sequence[Locator] = ()) -> None:
        """Keeps what the window shows as ``<name>.png``: the whole, or its top down to just below ``of``."""
        self.page.wait_for_load_state("networkidle")
        height = max((self.place(shown)["y"] + ROOM_BELOW for shown in of), default=WINDOW["height"])
        path = self._pictures / f"{name}.png"
        clip: FloatRect = {"x": 0, "y": 0, "width": WINDOW["width"], "height": min(height, WINDOW["height"])}
        self.page.screenshot(path=path, clip=clip, animations="disabled", caret="hide")
        assert path.stat().st_size < PICTURE_BYTES, f"{path} is too heavy for the README"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Debian's Chromium is. Of the session, as the demo is: pytest then asks for it first."""
    found = shutil.which("chromium")
    if found is None:
        reason = "chromium is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that AO_PICTURES names, made where it is missing, else one that pytest throws away."""
    named = os.environ.get("AO_PICTURES")
    folder = Path(named) if named else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def address(chromium: str, finished_demo: FinishedDemo) -> Iterator[str]:
    """Where ``ao ui`` serves the finished demo. Without Chromium nobody would look, and no demo is run."""
    assert finished_demo.exit_code == 0, finished_demo.output
    port = free_port()
    log = finished_demo.folder / "ui.log"
    with log.open("wb") as out:
        served = subprocess.Popen(
            [AO, "ui", "--folder", finished_demo.folder, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=tidy_up_with_it,  # noqa: PLW1509 - one call of the kernel
        )
    try:
        _await_answer(f"http://127.0.0.1:{port}/server_info", served, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        served.terminate()
        served.wait()


@pytest.fixture(scope="module")
def web_page(chromium: str, finished_demo: FinishedDemo, address: str, pictures: Path) -> Iterator[WebPage]:
    """The demo's web page in a window of Chromium's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport=WINDOW, locale="en-GB", timezone_id="UTC")
        page.set_default_timeout(SHOWN_WITHIN_MILLISECONDS)
        shown = WebPage(finished_demo, address, page, pictures)
        # The page remembers it, and leaves the width to what an archivist comes to see.
        shown.open("/assets").get_by_text("Hide navigation", exact=True).click()
        yield shown
        browser.close()


def _await_answer(url: str, served: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + SERVED_WITHIN_SECONDS
    while True:
        assert served.poll() is None, f"ao ui ended:\n{log.read_text()}"
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - it is http on 127.0.0.1
                return
        except (URLError, TimeoutError, ConnectionError):
            assert time.monotonic() < until, f"{url} does not answer:\n{log.read_text()}"
            time.sleep(0.1)
