"""site.toml: read once, checked whole, every mistake in one message, every key to be overridden."""

from __future__ import annotations

import json
import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ao_workflows.errors import SiteError
from ao_workflows.site.demo import demo_site
from ao_workflows.site.loading import load, parse
from ao_workflows.site.sections import CHECKOUT, FolderIntakeSection, IntakeSection, Site

WHOLE = """
environment = "dev"
aws_credentials = "/run/secrets/aws"
max_queued_runs = 7

[staging]
root = "/home/ao/data"
keep = "3 days"

[[intake]]
name = "fpl"
queue = "FplReadyToIntake"
bucket = "glacier.staging.fpl.bdrc.org"
region = "ap-northeast-2"
environment = "prod"
aws_profile = "ap_northeast"
endpoint_url = "http://127.0.0.1:5000"
events = ["ObjectRestore:Completed", "ObjectCreated:*"]
keys = ["*.bag.zip", "*.zip"]

[archive]
parent = "/mnt/Archive"
web = "s3://archive.tbrc.org/Works"

[sync]
script = "syncOneWork.sh"
timeout_minutes = 5
verify = "size"
env = {AUDIT_HOME = "/opt/audit"}

[drs]
config = "prod:/run/secrets/db_apps"
"""

FOLDER = """
[[intake]]
name = "drop"
kind = "folder"
folder = "/mnt/drop"
environment = "dev"
"""

OVERRIDES: dict[str, tuple[str, Any]] = {
    "environment": ("prod", "prod"),
    "aws_credentials": ("/run/other", Path("/run/other")),
    "max_queued_runs": ("9", 9),
    "staging.root": ("/other", Path("/other")),
    "staging.keep": ("until-synced", "until-synced"),
    "staging.reserve_gib": ("2.5", 2.5),
    "staging.room_wait_hours": ("2.5", 2.5),
    "download.part_mib": ("9", 9),
    "download.parallel": ("9", 9),
    "download.megabytes_per_second": ("2.5", 2.5),
    "download.stall_seconds": ("2.5", 2.5),
    "download.restore_wait_hours": ("2.5", 2.5),
    "intake.fpl.queue": ("Other", "Other"),
    "intake.fpl.bucket": ("other.bucket", "other.bucket"),
    "intake.fpl.region": ("us-east-1", "us-east-1"),
    "intake.fpl.environment": ("dev", "dev"),
    "intake.fpl.aws_profile": ("other", "other"),
    "intake.fpl.endpoint_url": ("https://other", "https://other"),
    "intake.fpl.events": ('["ObjectCreated:Put"]', ("ObjectCreated:Put",)),
    "intake.fpl.keys": ('["*.zip"]', ("*.zip",)),
    "intake.fpl.layout": ("{rid}.zip", "{rid}.zip"),
    "intake.fpl.batches": ("true", True),
    "intake.drop.batches": ("true", True),
    "intake.fpl.formerly": ('["bdrc"]', ("bdrc",)),
    "intake.drop.formerly": ('["dropped"]', ("dropped",)),
    "intake.drop.folder": ("/mnt/other", Path("/mnt/other")),
    "intake.drop.environment": ("prod", "prod"),
    "debag.max_members": ("9", 9),
    "debag.max_bytes": ("9", 9),
    "debag.max_ratio": ("9", 9),
    "debag.control_characters": ("true", True),
    "debag.time_zone": ("Asia/Seoul", "Asia/Seoul"),
    "debag.unproven": ("refuse", "refuse"),
    "archive.parent": ("/mnt/Other", Path("/mnt/Other")),
    "archive.web": ("s3://other/Works", "s3://other/Works"),
    "sync.script": ("/opt/other.sh", "/opt/other.sh"),
    "sync.timeout_minutes": ("6", 6),
    "sync.verify": ("checksum", "checksum"),
    "sync.env": ('{"MORE": "yes"}', {"AUDIT_HOME": "/opt/audit", "MORE": "yes"}),
    "sync.options": ("/etc/ao/sync.yml", Path("/etc/ao/sync.yml")),
    "sync.works_may": ('["web", "replace"]', ("web", "replace")),
    "sync.keep_replaced_days": ("7", 7),
    "watch.nightly": ("03:30", "03:30"),
    "watch.stuck_hours": ("2.5", 2.5),
    "watch.restore_hours": ("2.5", 2.5),
    "watch.expiring_days": ("2.5", 2.5),
    "backup.to": ("s3://backups/ao", "s3://backups/ao"),
    "backup.keep_days": ("7", 7),
    "housekeeping.keep_days": ("7", 7),
    "drs.config": ("test:/run/secrets/other", "test:/run/secrets/other"),
}


@pytest.fixture(autouse=True)
def no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("AO_"):
            monkeypatch.delenv(name)


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(SiteError) as raised:
        parse(text, "site.toml")
    return raised.value.mistakes


def changed(**sections: Any) -> str:
    """The whole file with some tables' keys changed, or taken out where None; a list takes the intakes' place."""
    values: dict[str, Any] = tomllib.loads(WHOLE)
    for section, keys in sections.items():
        if isinstance(keys, dict):
            place = values["intake"][0] if section == "intake" else values[section]
            place |= keys
            for key in [key for key, value in keys.items() if value is None]:
                del place[key]
        else:
            values[section] = keys
    return as_toml(values)


def as_toml(values: dict[str, Any]) -> str:
    def inline(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(inline, value)) + "]"
        return json.dumps(value)

    return "\n".join(f"{key} = {inline(value)}" for key, value in values.items())


def leaves(model: type[BaseModel], path: str = "") -> list[str]:
    """Every key below a model; a queue's have the name ``fpl``, a folder's ``drop``."""
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if name == "intake":
            found += leaves(IntakeSection, f"{path}intake.fpl.")
            found += leaves(FolderIntakeSection, f"{path}intake.drop.")
        elif isinstance(inner, type) and issubclass(inner, BaseModel):
            found += leaves(inner, f"{path}{name}.")
        else:
            found.append(path + name)
    return found


def at(read: Site, key: str) -> Any:
    place: Any = read
    for part in key.split("."):
        place = place[part] if isinstance(place, dict) else getattr(place, part)
    return place


def variable(key: str) -> str:
    return "AO_" + key.upper().replace(".", "__")


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


def test_every_mistake_is_told_at_once_by_its_key() -> None:
    """One mistake a start is an afternoon of restarts."""
    text = changed(
        environment="production",
        max_queued_runs=0,
        staging={"root": "data", "keep": "3 weeks", "kep": "1 days"},
        intake={"queue": "https://sqs/1/q", "region": None, "endpoint_url": "localhost", "keys": []},
        archive={"web": "archive.tbrc.org"},
        sync={"verify": "md5", "script": None, "timeout_minutes": "long"},
        drs={"url": "sqlite:///x"},
    )
    told = "\n".join(mistakes(text))
    for key in (
        "environment: must be 'demo', 'dev' or 'prod' (is: 'production')",
        "max_queued_runs: must be greater than 0 (is: 0)",
        "staging.root: must be an absolute path",
        "staging.keep: must be 'until-synced' or '<n> days' (is: '3 weeks')",
        "staging.kep: is no setting",
        "intake.fpl.queue: must be an SQS queue's name, not its URL",
        "intake.fpl.region: is missing",
        "intake.fpl.endpoint_url: must begin with http:// or https://",
        "intake.fpl.keys: ",
        "archive.web: must begin with s3://",
        "sync.verify: must be 'checksum' or 'size' (is: 'md5')",
        "sync.script: is missing",
        "sync.timeout_minutes: must be a valid integer",
        "drs: needs either url or config",
    ):
        assert key in told
    assert len(mistakes(text)) == 14


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("environment =", "is no TOML"),
        (WHOLE.replace("[drs]", "[more]\na = 1\n[drs]"), "more: is no setting"),
        (changed(intake={"name": "FPL"}), "at most 40 lower-case letters"),
        (changed(intake={"name": None}), "intake number 1: needs a name"),
        (WHOLE.replace("[[intake]]", "[intake]"), "must be an array of tables"),
        (WHOLE.replace("[archive]", '[[intake]]\nname = "fpl"\n[archive]'), "intake.fpl: is there twice"),
        (changed(drs={"config": None}), "drs: needs either url or config"),
        (changed(drs={"config": "db_apps"}), "section:/path/to"),
        (changed(staging={"keep": "99999999999 days"}), "staging.keep"),
        (changed(intake={"events": []}), "intake.fpl.events"),
        (changed(intake={"layout": "{nn}/all.zip"}), "intake.fpl.layout: must be a key with {rid} in it"),
        (changed(intake={"layout": "{rid}/{name}.zip"}), "intake.fpl.layout: must be a key with {rid} in it"),
        (changed(intake={"layout": "{rid"}), "intake.fpl.layout: must be a key with {rid} in it"),
        (f"{WHOLE}[watch]\nstuck_hours = inf", "watch.stuck_hours: must be less than or equal to 87600"),
        (f"{WHOLE}[watch]\nrestore_hours = 1e7", "watch.restore_hours: must be less than or equal to 87600"),
        (f"{WHOLE}[watch]\nexpiring_days = 1e12", "watch.expiring_days: must be less than or equal to 3650"),
        (changed(intake={"events": ["s3:ObjectRestore:Completed"]}), "without 's3:'"),
        (changed(intake={"events": ["ObjectRestore:Complete"]}), "must match an event: ObjectCreated:Put"),
        (changed(intake={"keys": ["*.bag"]}), "must end with '.zip' or '*'"),
    ],
)
def test_a_mistake_is_told_in_words(text: str, told: str) -> None:
    """Patterns and stack traces are no answer to an operator."""
    assert told in "\n".join(mistakes(text))


def test_a_refused_databases_password_is_not_told() -> None:
    """A mistake in the URL goes into logs and the web page; the password in it must not."""
    word = "p@s" + "s"
    (told,) = mistakes(changed(drs={"config": None, "url": f"mysql://drs:{word}@db/drs"}))
    assert "drs.url: must begin with mysql+pymysql://" in told
    assert word not in told
    assert "@db/drs" in told


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's site must not come up in its stead."""
    (tmp_path / "latin").write_bytes(b"# \xe9")
    for path in (tmp_path / "none", tmp_path, tmp_path / "latin"):
        monkeypatch.setenv("AO_SITE", str(path))
        with pytest.raises(SiteError, match=f"{path}: 1 mistake:\n.*cannot be read.*AO_SITE"):
            load()


def test_ao_site_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of a deployment finds the same site by it."""
    (tmp_path / "site.toml").write_text(WHOLE)
    monkeypatch.setenv("AO_SITE", str(tmp_path / "site.toml"))
    assert load() == load(tmp_path / "site.toml") == parse(WHOLE, "site.toml")


def test_every_key_has_an_override_that_is_tried_here() -> None:
    """A key that is added without one could not be set in a container."""
    apart = ["drs.url", "intake.fpl.kind", "intake.drop.kind"]
    assert sorted([*OVERRIDES, *apart]) == sorted(leaves(Site))


@pytest.mark.parametrize("key", OVERRIDES)
def test_the_environment_lies_over_the_file(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key changes, and its neighbours stay."""
    plain = parse(WHOLE + FOLDER, "site.toml")
    text, value = OVERRIDES[key]
    monkeypatch.setenv(variable(key), text)
    read = parse(WHOLE + FOLDER, "site.toml")
    assert at(read, key) == value != at(plain, key)
    assert [other for other in OVERRIDES if other != key and at(read, other) != at(plain, other)] == []


def test_the_databases_url_has_an_override_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the other of two ways, so the file has none of its own here."""
    monkeypatch.setenv("AO_DRS__URL", "sqlite:////other")
    assert parse(changed(drs={"config": None}), "site.toml").drs.url == "sqlite:////other"


def test_a_variable_for_the_script_keeps_its_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """The script reads AUDIT_HOME; given as audit_home, it would go on with what it had."""
    monkeypatch.setenv("AO_SYNC__ENV__AUDIT_HOME", "/opt/other")
    monkeypatch.setenv("AO_SYNC__ENV__MixedCase", '{"no": "JSON is read"}')
    monkeypatch.setenv("AO_SYNC__ENV__IN__THREE__PARTS", "whole")
    assert parse(WHOLE, "site.toml").sync.env == {
        "AUDIT_HOME": "/opt/other",
        "MixedCase": '{"no": "JSON is read"}',
        "IN__THREE__PARTS": "whole",
    }
    monkeypatch.setenv("AO_SYNC__ENV", '{"MORE": "yes"}')
    assert parse(WHOLE, "site.toml").sync.env["MORE"] == "yes"


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


def test_an_override_by_a_former_name_is_refused_with_the_name_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose variables were forgotten in the renaming would read another queue than it was to."""
    monkeypatch.setenv("AO_INTAKE__BDRC__QUEUE", "Other")
    told = mistakes(WHOLE.replace('name = "fpl"', 'name = "fpl"\nformerly = ["bdrc"]'))
    assert told[0] == ("AO_INTAKE__BDRC__QUEUE: the intake bdrc is called fpl now; is AO_INTAKE__FPL__QUEUE meant?")


def test_an_override_is_checked_like_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong override is a mistake of its key, and hides no other."""
    monkeypatch.setenv("AO_STAGING__ROOT", "relative")
    monkeypatch.setenv("AO_SYNC__VERFY", "size")
    monkeypatch.setenv("AO_MAX_QUEUED_RUNS", "0")
    told = "\n".join(mistakes(WHOLE))
    assert "staging.root: must be an absolute path" in told
    assert "sync.verfy: is no setting" in told
    assert "max_queued_runs: must be greater than 0" in told


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("AO_STAGNG__ROOT", "is AO_STAGING__ROOT meant"),
        ("AO_STAGING_ROOT", "is AO_STAGING__ROOT meant"),
        ("AO_ENVIROMENT", "is AO_ENVIRONMENT meant"),
        ("AO_INTAK__FPL__QUEUE", "is AO_INTAKE__FPL__QUEUE meant"),
        ("AO_Enviroment", "is AO_ENVIRONMENT meant"),
        ("AO_XYZZY__PLUGH", "there is no section xyzzy"),
    ],
)
def test_an_override_that_is_misspelt_is_refused_with_the_name_that_is_near(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    """Ignored, it lets the site work on the disk, or with the queue, that it was to leave alone."""
    monkeypatch.setenv(variable, "/data")
    (told,) = mistakes(WHOLE)
    assert told.startswith(f"{variable}: overrides no setting; ")
    assert meant in told


def test_no_variable_that_the_project_reads_is_taken_for_a_misspelt_override(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose, the tests and a person's shell have variables of their own that begin like an override."""
    found: set[str] = set()
    for place in ("ao_workflows", "ao_workflows_tests", "docker", "docs", "docker-compose.yml", "Makefile"):
        top = CHECKOUT / place
        for path in top.rglob("*") if top.is_dir() else [top]:
            if path.is_file() and path.suffix not in {".png", ".pyc"} and path != Path(__file__):
                found |= set(re.findall(r"\bAO_[A-Z]+(?:_[A-Z]+)*\b", path.read_text()))
    own = found - {variable(key) for key in OVERRIDES}
    assert {"AO_SITE", "AO_PORT", "AO_PICTURES", "AO_SERVICE", "AO_UP"} <= own
    for name in own:
        monkeypatch.setenv(name, "/data")
    assert parse(WHOLE, "site.toml")


def test_the_demos_site_is_whole(tmp_path: Path) -> None:
    """A checkout without a site.toml must load."""
    read = parse(demo_site(tmp_path, "http://127.0.0.1:9"), "the demo's site")
    assert read.environment == "demo"
    assert Path(read.sync.script).is_file()
    assert [intake.environment for intake in read.intake.values()] == ["demo"]
