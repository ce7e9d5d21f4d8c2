"""The boot of the machine, by which a receipt says whether what it names may not have reached the disk."""

from __future__ import annotations

from ao_workflows.machine.boot import boot_id


def test_the_boot_stays_the_same_while_the_machine_runs() -> None:
    """Another boot each time would have each stage read all its bytes again."""
    assert boot_id() == boot_id() != ""
