"""The words and variables that a work's options become."""

from __future__ import annotations

import pytest

from ao_workflows.archive.sync_options import SyncOptions

PARENT, WEB = "/mnt/Archive", "s3://archive.tbrc.org/Works"


@pytest.mark.parametrize(
    ("options", "web", "words"),
    [
        (SyncOptions(), WEB, ("-a", PARENT, "-w", WEB)),
        (SyncOptions(), None, ("-a", PARENT)),
        (SyncOptions(replace=True), WEB, ("-a", PARENT, "-A", "-w", WEB, "-W")),
        (SyncOptions(replace=True), None, ("-a", PARENT, "-A")),
        (SyncOptions(archive=False), WEB, ("-w", WEB)),
        (SyncOptions(web=False, replace=True), WEB, ("-a", PARENT, "-A")),
        (SyncOptions(archive=False, web=False, replace=True), WEB, ()),
    ],
)
def test_the_options_become_the_scripts_words(options: SyncOptions, web: str | None, words: tuple[str, ...]) -> None:
    """``-A`` without ``-a``, or ``-w`` with nothing after it, would make the script read another word wrongly."""
    assert options.words(PARENT, web) == words


def test_audit_words_are_joined_by_spaces_and_are_there_when_empty() -> None:
    """A script that runs with ``set -u`` ends where a variable of the contract is missing."""
    assert SyncOptions().environment() == {"LOCAL_AUDIT_OPTIONS": "", "REPO_AUDIT_OPTIONS": ""}
    environment = SyncOptions(audit_pre=("-i", "a b"), audit_post=("-v",)).environment()
    assert environment == {"LOCAL_AUDIT_OPTIONS": "-i a b", "REPO_AUDIT_OPTIONS": "-v"}


def test_only_a_work_that_asks_for_it_leaves_the_web_alone() -> None:
    """The script looks whether the variable is there: empty or ``No`` it would still be."""
    assert "NO_REFRESH_WEB" not in SyncOptions().environment()
    assert SyncOptions(update_web=False).environment()["NO_REFRESH_WEB"] == "Yes"
