"""A zip with two works, synced with the reference script into a real archive: one may fail, and the other is done."""

from __future__ import annotations

from ao_workflows.works.stages import Stage
from ao_workflows_tests.support.desks import FILES, OTHER, RID, Desk, two_works


def test_of_several_works_the_good_ones_are_done_and_the_bad_one_is_named(desk: Desk) -> None:
    """One bad work of a zip must not keep the others out, nor have them synced anew each time."""
    gate = desk.site.folder / "open"
    desk.wrap(f'[ "$rid" = {RID} ] && [ ! -e {gate} ] && {{ echo no; exit 9; }}; sync "$@"')
    result = desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES)))
    said = desk.failure(result)
    assert said.startswith(f"1 of 2 works failed: {RID}. {OTHER} is done and will not be synced again. ")
    assert f"\n- {RID}: the sync script exited with 9. " in said
    assert desk.starts == [OTHER, RID]
    assert (desk.site.place(OTHER) / "text.txt").exists()
    assert [entry.data.get("synced") for entry in desk.row.entries if "synced" in entry.data] == [OTHER]
    assert Stage.SYNCED_ARCHIVE not in desk.row.times
    gate.touch()
    result = desk.again()
    assert result.success
    assert desk.starts == [OTHER, RID, RID]
    assert Stage.SYNCED_ARCHIVE in desk.row.times
    assert sorted(str(entry.data["synced"]) for entry in desk.row.entries if "synced" in entry.data) == [RID, OTHER]
    assert not desk.site.layout.work(RID).exists()


def test_a_work_that_is_done_but_was_spoiled_since_is_synced_again(desk: Desk) -> None:
    """Its receipt says that it was there; the archive says that it is not."""
    desk.wrap(f'sync "$@"; [ "$rid" = {OTHER} ] || [ $(wc -l <{desk.site.folder}/starts) -gt 2 ]')
    assert "1 of 2 works failed" in desk.failure(desk.site.run(RID, desk.site.restore(RID, two_works(FILES, FILES))))
    (desk.site.place(OTHER) / "text.txt").unlink()
    assert desk.again().success
    assert desk.starts == [OTHER, RID, OTHER, RID]
    assert (desk.site.place(OTHER) / "text.txt").read_bytes() == b"text\n"
