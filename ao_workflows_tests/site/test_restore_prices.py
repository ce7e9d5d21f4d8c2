"""The prices of site.toml: by storage class and tier, and nothing else."""

from __future__ import annotations

import re

import pytest

from ao_workflows.site.loading import parse
from ao_workflows_tests.conftest import CHECKOUT
from ao_workflows_tests.support.site_texts import WHOLE, mistakes

PRICES = "[restore.prices.DEEP_ARCHIVE]\nBulk = { requests = 0.025, gb = 0.0025 }\n"


def test_a_site_names_its_prices_or_has_none() -> None:
    """What AWS takes differs by region and year: one of ours would be wrong somewhere."""
    assert parse(WHOLE, "site.toml").restore.prices == {}
    restore = parse(f'{WHOLE}\n[restore]\ncurrency = "USD"\n{PRICES}', "site.toml").restore
    assert (restore.currency, restore.prices["DEEP_ARCHIVE"]["Bulk"].gb) == ("USD", 0.0025)


def test_the_prices_on_the_page_are_such_as_a_site_may_have() -> None:
    """Who copies them must be able to start from them."""
    (shown,) = re.findall(r"^```toml\n(.*?)^```", (CHECKOUT / "docs/restores.md").read_text(), re.MULTILINE | re.DOTALL)
    assert set(parse(f"{WHOLE}\n{shown}", "restores.md").restore.prices["DEEP_ARCHIVE"]) == {"Bulk", "Standard"}


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        (PRICES.replace("DEEP_ARCHIVE", "DEEP"), "restore.prices.DEEP"),
        (PRICES.replace("Bulk", "bulk"), "restore.prices.DEEP_ARCHIVE.bulk"),
        (PRICES.replace(", gb = 0.0025", ""), "restore.prices.DEEP_ARCHIVE.Bulk.gb"),
        (PRICES.replace("0.0025", "-1"), "restore.prices.DEEP_ARCHIVE.Bulk.gb"),
    ],
)
def test_a_price_that_cannot_be_used_is_told_by_its_key(wrong: str, key: str) -> None:
    """It would be missing when the sum is made."""
    assert key in "\n".join(mistakes(f"{WHOLE}\n{wrong}"))
