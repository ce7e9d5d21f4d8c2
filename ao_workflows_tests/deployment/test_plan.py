"""What becomes of each file of the folder that compose runs from, and which secret is production's."""

from __future__ import annotations

import pytest

from ao_workflows.deployment.plan import (
    Change,
    WantedFile,
    digest_of,
    merge_env,
    of_production,
    only_sections,
    plan_files,
    sections_of,
)

NEW = WantedFile("config/site.toml", b"new")
RECORDED_NEW = {"config/site.toml": digest_of(b"new")}
RECORDED_OLD = {"config/site.toml": digest_of(b"old")}


@pytest.mark.parametrize(
    ("found", "recorded", "replace", "change"),
    [
        (None, {}, (), Change.NEW),
        (None, RECORDED_NEW, (), Change.NEW),
        (b"new", {}, (), Change.SAME),
        (b"old", RECORDED_OLD, (), Change.UPDATED),
        (b"edited", RECORDED_NEW, (), Change.KEPT),
        (b"edited", RECORDED_OLD, (), Change.CONFLICT),
        (b"edited", {}, (), Change.CONFLICT),
        (b"edited", RECORDED_NEW, ("config/site.toml",), Change.REPLACED),
        (b"edited", RECORDED_NEW, ("upgrade",), Change.KEPT),
    ],
)
def test_what_an_operator_edited_is_never_overwritten_unasked(
    found: bytes | None, recorded: dict[str, str], replace: tuple[str, ...], change: Change
) -> None:
    """An update that undoes a night's repair is found out the next night."""
    there = {} if found is None else {"config/site.toml": found}
    (step,) = plan_files([NEW], there, recorded, replace)
    assert step.change is change
    assert step.beside == "config/site.toml.new"


def test_a_file_that_was_merged_has_the_edits_in_it_already() -> None:
    """Beside ``.env`` there would lie an ``.env.new`` after each update."""
    merged = WantedFile(".env", b"A=1\nB=2\n", ours_to_merge=True)
    (step,) = plan_files([merged], {".env": b"A=1\n"}, {}, ())
    assert step.change is Change.UPDATED


def test_env_keeps_what_stands_there_and_says_what_it_would_be() -> None:
    """A value that an operator set is his, and so are his comments."""
    text, said = merge_env("# mine\nTZ=Asia/Seoul\nMINE=1\n", {"TZ": "UTC", "RUNS": "2"}, {})
    assert text == "# mine\nTZ=Asia/Seoul\nMINE=1\nRUNS=2\n"
    assert said == ["TZ: Asia/Seoul is kept; the default is UTC", "RUNS=2 is added"]


def test_env_takes_what_is_given_now_and_says_nothing_of_what_is_the_same() -> None:
    """A line for each setting at each update, and nobody would read any."""
    text, said = merge_env("TZ=\nRUNS=2\n", {"TZ": "UTC", "RUNS": "2"}, {"TZ": "Asia/Seoul", "RUNS": "2"})
    assert text == "TZ=Asia/Seoul\nRUNS=2\n"
    assert said == ["TZ: empty becomes Asia/Seoul"]


def test_a_new_env_has_the_defaults_under_what_is_given_and_nothing_is_said_of_it() -> None:
    """All of it is new."""
    assert merge_env(None, {"TZ": "UTC"}, {"TZ": "X", "UID": "1"}) == ("TZ=X\nUID=1\n", [])


def test_only_the_sections_that_are_named_are_copied_as_they_stand() -> None:
    """A secret that is not asked for stays where it is."""
    text = "# top\n[a]\nk = 1\n\n[ b ]\n# its own\nk = 2\n[c]\nk = 3\n"
    assert sections_of(text) == ["a", "b", "c"]
    assert only_sections(text, ["b", "missing"]) == "[ b ]\n# its own\nk = 2\n"
    assert only_sections(text, []) == ""


@pytest.mark.parametrize(
    ("section", "belongs"),
    [
        ("prod", True),
        ("Production", True),
        ("drs-prod", True),
        ("prod.reader", True),
        ("ap_northeast", True),
        ("products", False),
        ("reproduction", False),
        ("dev", False),
    ],
)
def test_what_is_production_s_is_known_by_its_name_and_by_production_s_intakes(section: str, belongs: bool) -> None:
    """A dev folder with production's keys can restore, and pay, in its name."""
    assert list(of_production([section], {"ap_northeast"})) == ([section] if belongs else [])
