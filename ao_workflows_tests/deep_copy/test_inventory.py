"""Inventories: their names, and the form in which the archive's present tool reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

from ao_workflows.deep_copy.inventory import inventory_name, inventory_text
from ao_workflows.works.parts import part_of_key
from ao_workflows_tests.support.peers import deep_archive

SYNCED = datetime(2025, 3, 2, 10, 15, tzinfo=UTC)


def test_a_bag_that_is_named_after_an_inventory_is_a_part_of_its_work() -> None:
    """Else it is restored as a work of its own, in a wrong place."""
    name = inventory_name("W1", SYNCED, ())
    assert name == "W1-2025-03-02T101500-inventory"
    part = part_of_key(f"Archive0/01/W1/{name}.bag.zip")
    assert (part.rid, part.name, part.group) == ("W1", name, None)
    assert inventory_name("W1", SYNCED.astimezone(timezone(timedelta(hours=9))), ()) == name


def test_no_name_is_given_twice() -> None:
    """A second bag under one name hides the first, and with it the files that only that one has."""
    first = inventory_name("W1", SYNCED, ())
    second = inventory_name("W1", SYNCED, [first])
    assert second == f"{first}-2"
    assert inventory_name("W1", SYNCED, [first, second]) == f"{first}-3"


def test_the_archives_own_tool_reads_an_inventory_as_it_is_meant(tmp_path: Path) -> None:
    """It takes the third part of each path for a folder, and fails at a line that has none."""
    paths = ["images/W1-I1/0001.jpg", "archive/W1-0123/0001.tif", "sources/a b/list.txt", "top.txt"]
    path = tmp_path / "inventory"
    path.write_text(inventory_text("W1", paths))
    groups, others = deep_archive().get_image_groups_from_inventory(path)
    assert sorted(groups) == ["W1-0123", "W1-I1"]
    assert [Path(line).relative_to("W1").as_posix() for line in others] == ["sources/a b/list.txt", "top.txt"]
