"""Which intake a name means that was written down before the intakes were renamed."""

from __future__ import annotations

import pytest

from ao_workflows.events.intake_names import clash, meant_by, not_meant

KNOWN = ("fpl", "nlm")
FORMERLY = {"bdrc": "fpl"}


@pytest.mark.parametrize(
    ("name", "alike", "meant"),
    [
        ("fpl", [], "fpl"),
        ("bdrc", [], "fpl"),
        ("gone", [], None),
        ("gone", ["nlm"], "nlm"),
        ("gone", ["fpl", "nlm"], None),
        ("fpl", ["fpl", "nlm"], "fpl"),
        ("bdrc", ["fpl", "nlm"], "fpl"),
        # The name was given to another intake since, which has another bucket.
        ("fpl", ["nlm"], "nlm"),
        ("bdrc", ["nlm"], "nlm"),
    ],
)
def test_a_name_means_the_intake_that_has_or_had_it_or_the_only_one_alike(
    name: str, alike: list[str], meant: str | None
) -> None:
    """Each of a renamed intake's queued runs, and each later reprocess of its works, failed."""
    assert meant_by(name, KNOWN, FORMERLY, alike) == meant


def test_a_name_that_means_none_is_told_with_those_that_are_there_and_the_way_out() -> None:
    """Whoever renamed the intake is not who is called at night."""
    said = not_meant({"nlm", "fpl"})
    assert "fpl, nlm" in said
    assert "formerly = [" in said


def test_names_that_mean_one_intake_each_do_not_clash() -> None:
    """A second renaming keeps the first one's name."""
    assert clash({"fpl": ("a", "b"), "nlm": ("c",)}) is None
    assert str(clash({"fpl": ("nlm",), "nlm": ()})) == (
        "intake.fpl.formerly: 'nlm' is the name of another intake today"
    )
