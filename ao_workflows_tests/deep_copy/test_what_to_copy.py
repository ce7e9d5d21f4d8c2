"""What a deep copy makes, by what the archive has, what was proven, and what was copied before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ao_workflows.deep_copy.part_layout import part_of_file
from ao_workflows.deep_copy.what_to_copy import (
    ArchivedFile,
    CopiedBefore,
    CopiedFile,
    CopiedPart,
    CopyPlan,
    Digests,
    plan_copy,
)

WORK = ("images/W1-I1/1.jpg", "archive/W1-I1/1.tif", "images/W1-I2/1.jpg", "sources/a.txt", "sources/b.txt")
INVENTORY = "W1-2026-11-02-inventory"


def files(paths: Iterable[str] = WORK, *, at: Mapping[str, int] | None = None) -> list[ArchivedFile]:
    return [ArchivedFile(path, 3, (at or {}).get(path, 7)) for path in paths]


def proven(paths: Iterable[str] = WORK, *, changed: Iterable[str] = ()) -> dict[str, Digests]:
    return {path: {"sha512": f"{path} new" if path in changed else path} for path in paths}


def part(name: str, paths: Iterable[str], at: str = "1") -> CopiedPart:
    its = {path: CopiedFile(path, 3, 7, {"sha512": path}) for path in paths if part_of_file("W1", path)[0] == name}
    return CopiedPart(name, at, its or {path: CopiedFile(path, 3, 7, {"sha512": path}) for path in paths})


def before(*more: CopiedPart, complete: bool = True) -> CopiedBefore:
    parts = [*(part(name, WORK) for name in ("W1-I1", "W1-I2", "W1")), *more]
    return CopiedBefore(complete, {each.name: each for each in parts})


def made(plan: CopyPlan) -> dict[str, list[str]]:
    return {part.name: [file.payload for file in part.files] for part in plan.parts}


def test_the_first_time_every_part_is_made() -> None:
    """A work of which a group is missing in the deep archive is not whole there."""
    plan = plan_copy("W1", files(), proven(), CopiedBefore(), INVENTORY)
    assert made(plan) == {
        "W1-I1": ["W1-I1/archive/1.tif", "W1-I1/images/1.jpg"],
        "W1-I2": ["W1-I2/images/1.jpg"],
        "W1": ["W1/sources/a.txt", "W1/sources/b.txt"],
    }
    assert all(file.digests for part in plan.parts for file in part.files)


def test_what_a_killed_first_copy_has_made_is_not_made_again() -> None:
    """And what is left goes into whole parts, not into one of changes."""
    done = CopiedBefore(False, {"W1-I1": part("W1-I1", WORK)})
    assert list(made(plan_copy("W1", files(), proven(), done, INVENTORY))) == ["W1-I2", "W1"]


def test_nothing_is_made_of_what_has_not_changed() -> None:
    """Each copy of an unchanged group costs the archive its storage again."""
    plan = plan_copy("W1", files(), proven(), before(), INVENTORY)
    assert (plan.parts, plan.changed, plan.gone) == ([], [], [])


def test_a_group_that_changed_goes_again_whole_and_the_rest_in_one_part_of_changes() -> None:
    """So the archive's own tool does it: a group is restored from one zip."""
    news = {"images/W1-I1/1.jpg", "sources/b.txt"}
    plan = plan_copy("W1", files(), proven(changed=news), before(), INVENTORY)
    assert made(plan) == {
        "W1-I1": ["W1-I1/archive/1.tif", "W1-I1/images/1.jpg"],
        INVENTORY: ["W1/sources/b.txt"],
    }
    assert plan.changed == sorted(news)


def test_a_page_that_went_has_its_group_made_again() -> None:
    """Else the page comes back with the group."""
    left = [path for path in WORK if path != "archive/W1-I1/1.tif"]
    assert made(plan_copy("W1", files(left), proven(left), before(), INVENTORY)) == {"W1-I1": ["W1-I1/images/1.jpg"]}


def test_of_a_file_outside_of_groups_that_went_all_others_are_made_again() -> None:
    """A part of changes cannot say that something is no more."""
    left = [path for path in WORK if path != "sources/a.txt"]
    assert made(plan_copy("W1", files(left), proven(left), before(), INVENTORY)) == {"W1": ["W1/sources/b.txt"]}


def test_a_later_part_of_changes_is_over_the_whole_one_and_an_earlier_is_not() -> None:
    """Else a file would be copied at each sync from then on, or never again."""
    change = {"sources/b.txt": CopiedFile("sources/b.txt", 3, 7, {"sha512": "sources/b.txt new"})}
    later, earlier = CopiedPart("W1-c1", "2", change), CopiedPart("W1-c1", "0", change)
    now = proven(changed=["sources/b.txt"])
    assert made(plan_copy("W1", files(), now, before(later), INVENTORY)) == {}
    assert made(plan_copy("W1", files(), now, before(earlier), INVENTORY)) == {INVENTORY: ["W1/sources/b.txt"]}


def test_what_the_last_sync_did_not_bring_must_still_be_what_was_copied() -> None:
    """A page that rotted in the archive would go into the deep archive with its group, and be all that is left."""
    brought = ["images/W1-I1/1.jpg"]
    plan = plan_copy("W1", files(), proven(brought, changed=brought), before(), INVENTORY)
    (group,) = plan.parts
    assert {file.path: file.digests for file in group.files} == {
        "images/W1-I1/1.jpg": {"sha512": "images/W1-I1/1.jpg new"},
        "archive/W1-I1/1.tif": {"sha512": "archive/W1-I1/1.tif"},
    }


def test_what_the_sync_proved_and_the_archive_lacks_is_told_and_nothing_is_made() -> None:
    """A copy without it would be green."""
    plan = plan_copy("W1", files(WORK[1:]), proven(), CopiedBefore(), INVENTORY)
    assert (plan.missing, plan.parts) == ([WORK[0]], ())


def test_a_list_of_what_was_proven_holds_for_a_work_that_is_kept_turned_round() -> None:
    """The zip has a page under one path, and an archive of the second structure under another."""
    kept = ["W1-I1/images/1.jpg", "W1-I1/archive/1.tif", "W1-I2/images/1.jpg", *WORK[3:]]
    plan = plan_copy("W1", files(kept), proven(), CopiedBefore(), INVENTORY)
    assert [file.digests["sha512"] for file in plan.parts[0].files] == ["archive/W1-I1/1.tif", "images/W1-I1/1.jpg"]
    assert plan.missing == ()


def test_what_another_wrote_into_the_archive_since_counts_as_changed_and_unproven() -> None:
    """Two systems may write into one archive for a while; what nobody has proven is said to be so."""
    plan = plan_copy("W1", files(at={"sources/a.txt": 8}), {}, before(), INVENTORY)
    assert made(plan) == {INVENTORY: ["W1/sources/a.txt"]}
    assert plan.parts[0].files[0].digests == {}


def test_digests_that_cannot_be_compared_are_not_the_same() -> None:
    """A bag with other algorithms may bring other files."""
    plan = plan_copy("W1", files(), {path: {"md5": "1"} for path in WORK}, before(), INVENTORY)
    assert list(made(plan)) == ["W1-I1", "W1-I2", INVENTORY]


def test_a_part_of_which_the_archive_has_nothing_any_more_is_told() -> None:
    """The bucket keeps it, and it would come back with the work."""
    left = [path for path in WORK if "I2" not in path and "sources" not in path]
    assert plan_copy("W1", files(left), proven(left), before(), INVENTORY).gone == ["W1", "W1-I2"]
