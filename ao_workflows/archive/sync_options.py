"""Sync options: which options a ``sync.yml`` may have, and what each becomes for the sync script.

What belongs here: the options as values, the rules that a file must keep, and the script's arguments and variables for
them. What does not: reading YAML (``sync_yml``) and running the script (``sync_script``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ao_workflows.errors import SyncOptionsError
from ao_workflows.fixity.trees import Depth


@dataclass(frozen=True)
class WrittenValue:
    """A value in a file, and the line that it, or its key, begins in, counted from 1.

    ``value`` is a truth value, a text, a list or a mapping, and None for anything else. ``text`` is what was written,
    for messages.
    """

    line: int
    value: bool | str | list[WrittenValue] | Mapping[str, WrittenValue] | None
    text: str = ""


@dataclass(frozen=True)
class SyncOptions:
    """What the sync script is asked to do.

    ``archive`` and ``web`` say where the work goes; ``replace`` replaces what is there instead of adding to it;
    ``update_web`` refreshes the web's copy. ``audit_pre`` and ``audit_post`` are arguments of the audit tool before and
    after.
    """

    archive: bool = True
    web: bool = True
    replace: bool = False
    update_web: bool = True
    audit_pre: tuple[str, ...] = ()
    audit_post: tuple[str, ...] = ()

    def words(self, archive_parent: str, web_parent: str | None) -> tuple[str, ...]:
        """Returns the script's arguments; ``-w`` is left out at a site without a web prefix."""
        words: list[str] = []
        if self.archive:
            words += ["-a", archive_parent, *(["-A"] if self.replace else [])]
        if self.web and web_parent is not None:
            words += ["-w", web_parent, *(["-W"] if self.replace else [])]
        return tuple(words)

    def environment(self) -> dict[str, str]:
        """Returns the variables by which the script reads these options."""
        return {
            "LOCAL_AUDIT_OPTIONS": " ".join(self.audit_pre),
            "REPO_AUDIT_OPTIONS": " ".join(self.audit_post),
        } | ({} if self.update_web else {"NO_REFRESH_WEB": "Yes"})


Wish = Literal["archive", "web", "update_web", "audit", "replace"]
"""What a sync.yml can ask for."""

WISHES: tuple[Wish, ...] = ("archive", "web", "update_web", "audit", "replace")

WORKS_MAY: tuple[Wish, ...] = ("archive", "web", "update_web", "audit")
"""What a work's own file may ask for where the site says nothing of it: nothing that destroys."""

VERIFY: Depth = "checksum"
"""How the archive's copy is compared with what was bagged where the site says nothing of it."""

KEEP_REPLACED_DAYS = 30
"""So long what syncs change or remove of the archive's files is kept, unless the site says otherwise."""


@dataclass(frozen=True)
class Permissions:
    """Which options a work's own file ``may`` set otherwise than the ``site`` has them.

    ``redo`` is how ``ao reprocess`` names the work: by its partition, with ``--others`` if it is not that partition's
    own.
    """

    may: Collection[str]
    site: SyncOptions
    redo: str

    def lets(self, wish: str, name: str, value: object) -> bool:
        """Whether the file may set the option to this value. To replace nothing is always allowed, and so is what the
        site has.
        """
        asks_for_less = wish == "replace" and value is False
        return wish in self.may or asks_for_less or value == getattr(self.site, name)

    def refusal(self, wish: str) -> str:
        """Returns why the option was not granted, and who may set it."""
        listed = ", ".join(self.may) or "nothing"
        said = f"a work may not ask for this; [sync] works_may in site.toml lets works ask for {listed}"
        return f"{said}. A person may, for one run: ao reprocess {self.redo} --replace" if wish == "replace" else said


_SWITCHES = ("archive", "web", "replace", "update_web")
_AUDITS = ("pre", "post")
_KNOWN: Mapping[str, tuple[str, ...]] = {"audit": _AUDITS, "sync": _SWITCHES}

# A bag comes from outside, and a site's own script may hand these words to a shell: nothing that one reads as more
# than a word is let through.
_WORD = re.compile(r"[A-Za-z0-9_.,:=/+@%-]+(?: +[A-Za-z0-9_.,:=/+@%-]+)*")


def parse_options(source: Path, written: WrittenValue | None, limit: Permissions | None = None) -> SyncOptions:
    """Returns the options that a file asks for, over the defaults.

    An option that the limit does not grant is as the site has it, except that nothing is replaced.

    :param written: the file's content; None for an empty file.
    :raises SyncOptionsError: with every mistake, each with its line and key, and with what the limit does not grant.
    """
    mistakes: list[tuple[int, str]] = []
    values: dict[str, bool | tuple[str, ...]] = {}

    def mistake(at: WrittenValue, key: str, reason: str) -> None:
        mistakes.append((at.line, f"line {at.line}: {key}: {reason}" if key else f"line {at.line}: {reason}"))

    def entries(at: WrittenValue, key: str, known: tuple[str, ...]) -> dict[str, WrittenValue]:
        listed = ", ".join(known)
        if not isinstance(at.value, Mapping):
            mistake(at, key, f"must be a mapping with any of {listed}{_shown(at)}")
            return {}
        prefix = f"{key}." if key else ""
        for name, value in at.value.items():
            if name not in known:
                mistake(value, f"{prefix}{name}", f"is no option; there are {listed}")
        return {name: value for name, value in at.value.items() if name in known}

    for section, at in (entries(written, "", tuple(_KNOWN)) if written else {}).items():
        for name, value in entries(at, section, _KNOWN[section]).items():
            if section == "sync":
                if not isinstance(value.value, bool):
                    mistake(value, f"sync.{name}", f"must be true or false{_shown(value)}")
                    continue
                values[name] = value.value
                if limit and not limit.lets(name, name, value.value):
                    mistake(value, f"sync.{name}: {value.text}", limit.refusal(name))
            elif not isinstance(value.value, list):
                mistake(value, f"audit.{name}", f"must be a list of words, such as [-v]{_shown(value)}")
            else:
                for word in value.value:
                    if not isinstance(word.value, str):
                        mistake(word, f"audit.{name}", f"must be a word, in quotation marks{_shown(word)}")
                    elif not _WORD.fullmatch(word.value):
                        mistake(
                            word,
                            f"audit.{name}",
                            f"a word has letters, digits, spaces inside, and any of _.,:=/+@%-{_shown(word)}",
                        )
                words = values[f"audit_{name}"] = tuple(str(word.value) for word in value.value)
                if limit and not limit.lets("audit", f"audit_{name}", words):
                    mistake(value, f"audit.{name}", limit.refusal("audit"))
    if mistakes:
        raise SyncOptionsError(source, [said for _, said in sorted(mistakes)])
    fixed = {} if limit is None else {name: getattr(limit.site, name) for name in _fixed(limit.may)}
    return SyncOptions(**(values | fixed))


def _fixed(may: Collection[str]) -> list[str]:
    """The options that are the site's alone."""
    audits = [] if "audit" in may else [f"audit_{name}" for name in _AUDITS]
    return [name for name in _SWITCHES if name not in may and name != "replace"] + audits


def _shown(at: WrittenValue) -> str:
    longest = 60
    text = at.text if len(at.text) <= longest else at.text[:longest] + "…"
    return f" (is: {text!r})" if at.text else ""
