"""Where each thing lies on the scratch disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from ao_workflows.staging.layout import StagingLayout


def test_every_place_in_staging_is_below_its_root_and_no_two_works_share_one() -> None:
    """Freeing one work must not free another's files."""
    assert [field.name for field in fields(StagingLayout)] == ["root"]

    def places(rid: str) -> list[Path]:
        layout = StagingLayout(Path("/scratch"))
        return [
            layout.zip(rid),
            layout.part(rid),
            layout.work(rid),
            layout.work_under_way(rid, "run"),
            layout.receipt(rid, "debagged_work"),
            layout.fixity(rid),
            layout.report(rid),
            layout.lock(rid),
            layout.events(rid),
        ]

    every = places("W1") + places("W1.tmp") + places("W1.bag")
    assert len(set(every)) == len(every)
    assert all(Path("/scratch") in place.parents for place in every)
