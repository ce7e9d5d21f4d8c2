"""The web page as an archivist sees it, in a real browser, over a real demo's runs.

What belongs here: that each page shows what a person comes to it for, and the README's pictures of them. What does
not: whether what the pages show is true (``ao_workflows_tests.e2e``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dagster import AssetsDefinition
from playwright.sync_api import expect

from ao_workflows.defs.restore.debagged_work import debagged_work
from ao_workflows.defs.restore.downloaded_bag import downloaded_bag
from ao_workflows.defs.restore.restored_message import restored_message
from ao_workflows.defs.restore.synced_archive import synced_archive

if TYPE_CHECKING:
    from ao_workflows_tests.ui.browser import WebPage

STAGES = (restored_message, downloaded_bag, debagged_work, synced_archive)
GROUP = "/locations/ao_workflows.definitions/asset-groups/restore/lineage"

GOOD = "W1NLM4700"
REFUSED = {
    "W1NLM5043": "its sha512 is not the one in the manifest",
    "W1FPL1405": "is in the manifest and not in the bag",
    "W1NLM6671": "it holds no bag",
}


def test_the_lineage_shows_the_four_stages_in_their_order(web_page: WebPage) -> None:
    """An asset left out of the definitions, or without its dependency, would be missing or out of its place."""
    page = web_page.open(GROUP)
    names = [stage.key.to_user_string() for stage in STAGES]
    nodes = [page.get_by_text(name, exact=True).first for name in names]
    for node in nodes:
        expect(node).to_be_visible()
    lefts = [web_page.place(node)["x"] for node in nodes]
    assert lefts == sorted(lefts)
    expect(page.get_by_text("3 failed").first).to_be_visible()
    for stage in STAGES:
        for kind in next(iter(stage.specs)).kinds:
            expect(page.get_by_text(kind).first).to_be_visible()
    web_page.take_picture("lineage", of=nodes)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.key.to_user_string())
def test_a_stage_says_in_words_what_it_is(stage: AssetsDefinition, web_page: WebPage) -> None:
    """A stage without its description would leave the archivist to guess what its name means."""
    page = web_page.open(f"/assets/{stage.key.to_user_string()}?view=overview")
    (description,) = stage.descriptions_by_key.values()
    for paragraph in description.replace("*", "").split("\n\n"):
        expect(page.locator("body")).to_contain_text(" ".join(paragraph.split()))


def test_a_works_partition_says_what_was_unpacked_and_how_it_was_proven(web_page: WebPage) -> None:
    """Metadata under another partition's key, or none, would hide from the archivist what became of the work."""
    page = web_page.open(f"/assets/debagged_work?view=partitions&partition={GOOD}")
    expect(page.get_by_text("Materialized", exact=True).first).to_be_visible()
    table = page.locator("table").filter(has_text="algorithms")
    expect(table).to_contain_text(GOOD)
    expect(table).to_contain_text("sha512")
    expect(table).to_contain_text(str(web_page.demo.folder / "staging" / "works" / GOOD))
    web_page.take_picture("work")


def test_a_refused_bags_failed_check_says_which_work_it_is_and_what_is_wrong_with_it(web_page: WebPage) -> None:
    """A check without its result, or a result without the reason, would leave the archivist with a red mark and a run's
    log to search, stack traces and all."""
    page = web_page.open("/assets/debagged_work?view=checks")
    page.get_by_role("tab", name="Execution history").click()
    for rid, reason in REFUSED.items():
        row = page.get_by_role("row").filter(has_text=rid)
        expect(row).to_contain_text("Failed")
        expect(row).to_contain_text(reason)
    web_page.take_picture("refused")


def test_a_refused_work_can_be_looked_up_by_its_rid(web_page: WebPage) -> None:
    """A check that does not know its works by name would show the last one's result alone: a refused one among
    thousands would be found by nobody."""
    rid, reason = next(iter(REFUSED.items()))
    page = web_page.open("/assets/debagged_work?view=checks")
    page.get_by_role("tab", name="Execution history").click()
    page.get_by_role("tab", name="Partitions").last.click()
    page.get_by_placeholder("Filter by partition").fill(rid)
    page.get_by_text(rid, exact=True).first.click()
    expect(page.get_by_text(reason).first).to_be_visible()
    expect(
        page.get_by_text(str(web_page.demo.folder / "staging" / "quarantine" / "works" / rid / "report.json"))
    ).to_be_visible()
