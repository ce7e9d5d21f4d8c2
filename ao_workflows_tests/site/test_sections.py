"""site.toml: read once, checked whole, every mistake in one message, every key to be overridden."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from ao_workflows.site.loading import parse
from ao_workflows_tests.support.site_texts import FOLDER, WHOLE, changed, mistakes


def test_a_whole_file_is_read_into_its_types() -> None:
    """What a section says must not be lost between the file and the code."""
    read = parse(WHOLE, "site.toml")
    assert read.environment == "dev"
    assert read.staging.keep_for == timedelta(days=3)
    assert read.intake["fpl"].queue == "FplReadyToIntake"
    assert read.intake["fpl"].events == ("ObjectRestore:Completed", "ObjectCreated:*")
    assert read.archive.parent == Path("/mnt/Archive")
    assert read.sync.env == {"AUDIT_HOME": "/opt/audit"}
    assert (read.drs.config, read.drs.url) == ("prod:/run/secrets/db_apps", None)


def test_what_may_be_left_out_has_the_safe_value() -> None:
    """Left out, the proof must not become the weaker one, nor the work stay on scratch."""
    text = changed(staging={"keep": None}, sync={"verify": None, "timeout_minutes": None, "env": None})
    read = parse(text, "site.toml")
    assert read.staging.keep_for == timedelta()
    assert (read.sync.verify, read.sync.timeout_minutes, read.sync.env) == ("checksum", 720, {})


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http://a b",
        "https://:9000",
        "http:///path",
        "http://a:port",
        "http://a:99999",
        "http://a\n",
        "http://[",
    ],
)
def test_an_endpoint_without_a_host_is_refused(url: str) -> None:
    """boto3 refused it at the first call, in every tick and every run."""
    (told,) = mistakes(changed(intake={"endpoint_url": url}))
    assert "intake.fpl.endpoint_url: must name a host" in told


@pytest.mark.parametrize(
    "url", ["http://minio:9000", "https://s3.example.org/", "http://[::1]:9000", "http://127.0.0.1"]
)
def test_an_endpoint_with_a_host_is_taken(url: str) -> None:
    """A rule that is too strict would keep out a store that works."""
    assert parse(changed(intake={"endpoint_url": url}), "site.toml").queues["fpl"].endpoint_url == url


@pytest.mark.parametrize("parent", ["/", "//", "/mnt/.."])
def test_an_archive_whose_name_takes_no_digit_is_refused(parent: str) -> None:
    """The first work would end in a stack trace, hours after the start."""
    (told,) = mistakes(changed(archive={"parent": parent}))
    assert "archive.parent: must end with a name that takes a digit: '/mnt/Archive'" in told


def test_an_intakes_kind_chooses_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue unless it says otherwise; and a mistake must name the key, not the rules that were tried."""
    read = parse(WHOLE + FOLDER, "site.toml")
    assert (list(read.queues), list(read.folders)) == (["fpl"], ["drop"])
    assert read.queues["fpl"].kind == "queue"
    assert mistakes(WHOLE + FOLDER.replace('"folder"', '"drawer"')) == (
        "intake.drop.kind: must be 'queue' or 'folder' (is: 'drawer')",
    )
    monkeypatch.setenv("AO_INTAKE__DROP__KIND", "queue")
    assert set(mistakes(WHOLE + FOLDER)) == {
        "intake.drop.folder: is no setting",
        "intake.drop.queue: is missing",
        "intake.drop.bucket: is missing",
        "intake.drop.region: is missing",
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WHOLE + FOLDER.replace("/mnt/drop", "drop"), "intake.drop.folder: must be an absolute path"),
        (WHOLE + FOLDER.replace("folder = ", "queue = "), "intake.drop.folder: is missing"),
        (WHOLE + FOLDER.replace("folder = ", "queue = "), "intake.drop.queue: is no setting"),
        (WHOLE + FOLDER + FOLDER.replace('"drop"', '"two"'), "the intakes drop and two have one folder, /mnt/drop"),
        (WHOLE + FOLDER.replace("/mnt/drop", "/home/ao/data/in"), "/home/ao/data/in, and staging.root must be apart"),
        (WHOLE + FOLDER.replace("/mnt/drop", "/home"), "/home, and staging.root must be apart"),
    ],
)
def test_a_folder_intakes_mistakes_are_told(text: str, told: str) -> None:
    """Two sensors in one folder would each name what the other took; and staging is swept."""
    assert told in "\n".join(mistakes(text))


@pytest.mark.parametrize(
    ("fpl", "drop", "told"),
    [
        (["drop"], [], "intake.fpl.formerly: 'drop' is the name of another intake today"),
        (["fpl"], [], "intake.fpl.formerly: 'fpl' is its name today"),
        (["a"], ["b", "a"], "intake.drop.formerly: 'a' is claimed by the intake fpl too"),
        (["a", "a"], [], "intake.fpl.formerly: 'a' is there twice"),
        (["A b"], [], "intake.fpl.formerly.0: the name must be at most 40 lower-case letters"),
    ],
)
def test_a_former_name_that_could_mean_two_intakes_is_refused(fpl: list[str], drop: list[str], told: str) -> None:
    """A work would be downloaded with the credentials of another bucket."""
    text = WHOLE.replace('name = "fpl"', f'name = "fpl"\nformerly = {json.dumps(fpl)}')
    assert told in "\n".join(mistakes(text + FOLDER + f"formerly = {json.dumps(drop)}\n"))


def test_an_intake_is_known_by_its_former_names() -> None:
    """Runs that were queued before it was renamed have the old one in their config."""
    read = parse(WHOLE.replace('name = "fpl"', 'name = "fpl"\nformerly = ["a", "b"]') + FOLDER, "site.toml")
    assert read.formerly == {"a": "fpl", "b": "fpl"}
    assert [read.intake_called(name) for name in ("a", "fpl", "drop", "x")] == ["fpl", "fpl", "drop", "x"]
