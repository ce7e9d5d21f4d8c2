"""What a person has asked of a run, where it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ao_workflows_tests.support.moto_server import Aws
from ao_workflows_tests.support.part_sites import RID, archived, failure_of, part_zip, restored, run_part
from ao_workflows_tests.support.sites import PAGE, TrialSite, trial_site


@pytest.fixture
def site(tmp_path: Path, aws: Aws) -> Iterator[TrialSite]:
    with trial_site(tmp_path, aws) as trial:
        yield trial


def test_a_part_is_not_taken_for_the_whole_work_by_a_persons_word(site: TrialSite) -> None:
    """With it, all that the other parts brought would be removed, a thousand image groups but for one."""
    name = f"{RID}-I1"
    body = restored(site, name, part_zip(name, {f"images/{name}/1.jpg": PAGE}))
    said = failure_of(run_part(site, name, body, word={"replace": True}))
    assert f"{name} of {RID}: it is a part of the work" in said
    assert not site.place(RID).exists()
    assert run_part(site, name, body).success
    assert archived(site.place(RID)) == {f"images/{name}/1.jpg": PAGE}
