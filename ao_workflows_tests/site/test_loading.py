"""A site.toml read: every mistake at once, and in words."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from ao_workflows.errors import SiteError
from ao_workflows.site.loading import load, parse
from ao_workflows.site.sections import FolderIntakeSection, IntakeSection, Site
from ao_workflows_tests.support.site_texts import FOLDER, OVERRIDES, WHOLE, changed, mistakes, variable


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
        (changed(intake={"places": ["{nn}/all.zip"]}), "intake.fpl.places.0: must be a key with {rid} in it"),
        (changed(intake={"places": ["{rid}/{name}.zip"]}), "intake.fpl.places.0: must be a key with {rid} in it"),
        (changed(intake={"places": ["{rid"]}), "intake.fpl.places.0: must be a key with {rid} in it"),
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


@pytest.mark.parametrize(
    "wrong",
    [
        {"drs": {"config": None, "url": "mysql+pymysql:/drs:WORD@db/drs"}},
        {"drs": {"config": None, "url": "drs:WORD"}},
        {"drs": {"config": None, "url": ["WORD"]}},
        {"drs": {"config": "mysql+pymysql://drs:WORD@db/drs"}},
        {"drs": {"config": None, "password": "WORD"}},
        {"intake": {"endpoint_url": "http://key:WORD@s3"}},
        {"sync": {"env": "TOKEN=WORD"}},
        {"sync": {"env": {"TOKEN": ["WORD"]}}},
    ],
)
def test_no_mistake_tells_what_may_be_secret(wrong: dict[str, Any]) -> None:
    """What is wrong with site.toml stands on the page that archivists look at, until it is mended."""
    word = secrets.token_hex(8)
    text = changed(**json.loads(json.dumps(wrong).replace("WORD", word)))
    assert word in text
    told = "\n".join(mistakes(text))
    assert re.search(r"^(drs|intake\.fpl|sync)\.\w+", told, re.MULTILINE)
    assert word not in told


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
    "deep",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{a = " * 5000 + "1" + "}" * 5000,
        f"x = [{{{'a.' * 5000}b = 1}}]",
        "[" + "a." * 5000 + "b]",
        "[[intake]]\nname = " + "[" * 5000 + "]" * 5000,
    ],
    ids=["arrays", "tables", "keys", "a header", "a name"],
)
def test_what_is_nested_too_deeply_to_be_read_is_said_in_words(deep: str) -> None:
    """It ended in thirty lines of Python's own, the last of which named no file."""
    (told,) = [each for each in mistakes(f"{deep}\n") if "is missing" not in each]
    assert "nested too deeply" in told or "is no setting" in told


@pytest.mark.parametrize("name", ["staging", "sync__env", "intake"])
def test_an_override_that_is_nested_too_deeply_is_said_in_words(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as JSON, which gives up in another way than TOML."""
    monkeypatch.setenv(f"AO_{name.upper()}", "[" * 5000 + "]" * 5000)
    assert "AO_ variable" in "\n".join(mistakes(WHOLE))
