"""Loading: site.toml found, read, and checked whole, with every mistake in one message.

What belongs here: the file, its overrides by environment variables, and mistakes in words. What does not: the settings
(``ao_workflows.site.sections``).
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from ao_workflows.errors import SiteError
from ao_workflows.site.demo import FOLDER, demo_site
from ao_workflows.site.overrides import misspelt, renamed
from ao_workflows.site.sections import Site

_LARGEST = 1 << 20

_SETTINGS = [
    f"{name}.{key}" if key else name
    for name, field in Site.model_fields.items()
    for key in ("", *getattr(field.annotation, "model_fields", ()))
]


def load(path: Path | None = None) -> Site:
    """Returns the site that a site.toml describes.

    :param path: the file; without it, the file that ``AO_SITE`` names, or else the demo's.
    :raises SiteError: with every mistake in one message.
    """
    if path is None and (named := os.environ.get("AO_SITE")):
        path = Path(named)
    if path is None:
        path = FOLDER / "site.toml"
        if not path.exists():
            return parse(demo_site(path.parent, endpoint_url=None), "the demo's site")
    try:
        text = _text_of(path)
    except (OSError, UnicodeDecodeError) as error:
        raise SiteError(str(path), [f"cannot be read: {error}; AO_SITE says which file it is"]) from error
    return parse(text, str(path))


def _text_of(path: Path) -> str:
    """The file's text, without the mark that some editors put at the beginning. A pipe that nobody writes into would be
    waited for, and a device read until memory is full.
    """
    size = path.stat().st_size
    if not path.is_file() or size > _LARGEST:
        what = f"it has {size:,} bytes, and at most {_LARGEST:,} are read" if path.is_file() else "it is no file"
        raise SiteError(str(path), [f"cannot be read: {what}; AO_SITE says which file it is"])
    return path.read_text(encoding="utf-8-sig")


def parse(text: str, source: str) -> Site:
    """Returns the site that a TOML text describes, after checking all of it.

    :param source: what the text is called in errors.
    :raises SiteError: with every mistake in one message.
    """
    try:
        return _parsed(text, source)
    except RecursionError:
        # Neither Python's reader of TOML nor its JSON, for an override, says where.
        raise SiteError(source, [_TOO_DEEP]) from None


_TOO_DEEP = "cannot be read: its brackets, or those of an AO_ variable, are nested too deeply; no setting nests twice"


def _parsed(text: str, source: str) -> Site:
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SiteError(source, [f"is no TOML: {error}"]) from error
    except ValueError:  # Python's, of a number with thousands of digits
        raise SiteError(source, ["is no TOML: a number in it has more digits than any setting"]) from None
    mistakes = [*misspelt(os.environ, _SETTINGS), *_intakes_by_name(values)]
    mistakes += [f"{key}: has a NUL in it, which no name of a file may have" for key in _with_nul(values)]
    mistakes += renamed(os.environ, values.get("intake", {}))
    try:
        site = Site(**values)
    except ValidationError as error:
        mistakes += [_in_words(fault) for fault in error.errors(include_url=False)]
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - pydantic-settings wraps a value that is no JSON in errors of its own
        mistakes.append(str(error))
    if mistakes:
        raise SiteError(source, mistakes)
    return site


def _intakes_by_name(values: dict[str, Any]) -> list[str]:
    """Turns the array ``[[intake]]`` into a table by name, in place; leaves out what cannot be used, and
    returns why.
    """
    entries = values.get("intake", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        values.pop("intake")
        return ["intake: must be an array of tables, each headed [[intake]]"]
    mistakes = []
    by_name: dict[str, Any] = {}
    for number, entry in enumerate(entries, 1):
        name = entry.pop("name", None)
        if not isinstance(name, str):
            mistakes.append(f"intake number {number}: needs a name")
        elif name in by_name:
            mistakes.append(f"intake.{name}: is there twice")
        else:
            by_name[name] = entry
    values["intake"] = by_name
    return mistakes


def _with_nul(values: Any, key: str = "") -> Iterator[str]:
    """The keys whose values have a NUL."""
    if isinstance(values, str):
        yield from [key] if "\0" in values else []
    elif isinstance(values, list):
        for each in values:
            yield from _with_nul(each, key)
    elif isinstance(values, dict):
        for name, value in values.items():
            yield from _with_nul(value, f"{key}.{name}" if key else name)


def _in_words(fault: Any) -> str:
    """Returns one of pydantic's faults as ``key: what is allowed (is: value)``."""
    place = [str(part) for part in fault["loc"] if part != "[key]"]
    if place[:1] == ["intake"] and place[2:3] in (["queue"], ["folder"]):
        del place[2]  # the kind, by which the rules were chosen
    key = ".".join(place)
    match fault["type"]:
        case "union_tag_invalid":
            return f"{key}.kind: must be 'queue' or 'folder' (is: {fault['ctx']['tag']!r})"
        case "missing":
            return f"{key}: is missing"
        case "extra_forbidden":
            return f"{key}: is no setting"
        case "string_pattern_mismatch":
            said = _PATTERNS.get(fault["ctx"]["pattern"], f"must match {fault['ctx']['pattern']}")
        case "value_error":
            said = str(fault["ctx"]["error"])
        case _:
            said = re.sub(r"^Input should", "must", fault["msg"])
    return f"{key}: {said}{_shown(key, fault['input'])}"


def _shown(key: str, value: object) -> str:
    """Returns what a wrong value is, without what may be secret in it: these words stand on Dagster's page, too."""
    text = repr(value)
    if isinstance(value, dict) or key.startswith("sync.env") or (key.startswith("drs") and "@" not in text):
        return ""
    # An address that is refused may still hold a password.
    before = "^.*@" if key.startswith("drs") else "//.*@"
    return f" (is: {re.sub(before, '//…@', text)})"


_PATTERNS = {
    r"^(until-synced|[0-9]{1,4} days)$": "must be 'until-synced' or '<n> days'",
    r"(\.zip|\*)$": "must end with '.zip' or '*': no other object holds a work",
    r"^[A-Za-z0-9_-]{1,80}(\.fifo)?$": "must be an SQS queue's name, not its URL",
    r"^[a-z0-9-]+$": "must be an AWS region, such as 'us-east-1'",
    r"^https?://": "must begin with http:// or https://",
    r"^s3://[^/]+": "must begin with s3://",
    r"^(/|s3://[^/]+).*": "must be an absolute path, or begin with s3://",
    r"^(mysql\+pymysql|sqlite)://": "must begin with mysql+pymysql:// or sqlite:///",
    r"^[^:]+:/[^/].*": "must be 'section:/path/to/db_apps.config'",
    r"^([01][0-9]|2[0-3]):[0-5][0-9]$": "must be a time such as '03:30', in UTC",
    r"^[a-z][a-z0-9_]{0,39}$": "the name must be at most 40 lower-case letters, digits and '_', a letter first",
}
