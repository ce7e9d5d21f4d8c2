"""The pages of the demo's works."""

from __future__ import annotations

from ao_workflows.demo.leaves import as_jpeg, page_on, plate_of


def test_a_page_is_drawn_the_same_each_time_and_unlike_the_next() -> None:
    """The demo compares digests: a page that changes from run to run would be found fault with."""
    plates = [plate_of("W1", "a work", (440, 144)) for _ in range(2)]
    first, again = (as_jpeg(page_on(plate, "W1-I1 0001", "1"), quality=80) for plate in plates)
    assert first == again
    assert as_jpeg(page_on(plates[0], "W1-I1 0002", "2"), quality=80) != first
