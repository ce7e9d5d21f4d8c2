"""The checks of a site: which there are, and that each has its say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ao_workflows.health.checks import checks_of_site, checks_of_works, run_all
from ao_workflows.health.connections import check_drs
from ao_workflows.health.findings import Finding, ok
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import parse


def test_a_check_that_hangs_or_breaks_hides_no_other(tmp_path: Path) -> None:
    """A share whose server is gone answers never. Here it is a pipe to which nobody writes."""
    os.mkfifo(tmp_path / "db_apps")
    text = demo_site(tmp_path, None).replace(
        f'url = "sqlite:///{tmp_path}/drs.sqlite"', f'config = "prod:{tmp_path}/db_apps"'
    )
    hangs = partial(check_drs, parse(text, "the test's site"))
    late, well = run_all([("DRS", hangs), ("even", lambda: iter([ok("even", "well")]))], 2)
    assert (late.level, late.said, well.said) == ("fail", "no answer within 2 s", "well")

    def breaks() -> Iterator[Finding]:
        yield ok("first", "is kept")
        raise ZeroDivisionError("of //u:p@x")

    kept, broken, other = run_all([("odd", breaks), ("even", lambda: iter([ok("even", "well")]))], 30)
    assert (kept.said, broken.level, other.said) == ("is kept", "fail", "well")
    assert "ZeroDivisionError: of //…@x" in broken.said


def test_all_that_works_need_is_checked_of_the_site_too_and_each_intake_by_its_kind() -> None:
    """A part that ao health alone looks at is found missing only when works wait for it."""
    folder = '\n[[intake]]\nname = "drop"\nkind = "folder"\nfolder = "/drop"\nenvironment = "demo"\n'
    site = parse(demo_site(Path("/demo"), "http://127.0.0.1:1") + folder, "the test's site")
    of_works, of_site = ([name for name, _ in checks] for checks in (checks_of_works(site), checks_of_site(site)))
    assert of_works == ["staging", "archive 0", "archive 1", "archive 2", "archive 3", "DRS", "Dagster"]
    assert [name for name in of_site if name in of_works] == of_works
    assert set(of_site) - set(of_works) == {
        "sync script",
        "intake demo: queue",
        "intake demo: bucket",
        "intake drop: folder",
    }
