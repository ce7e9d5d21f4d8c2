"""Sync options: which options a ``sync.yml`` may have, and what each becomes for the sync script.

What belongs here: the options as values, the rules for such a file, and the script's arguments and variables for
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
    """A value in a ``sync.yml``, with its place in the file.

    ``line`` is the line, counted from 1, in which its key begins, or the value itself if it has no key. ``value`` is a
    bool, a string, a list or a mapping, and None for anything else. ``text`` is the value as it was written, for
    messages.
    """

    line: int
    value: bool | str | list[WrittenValue] | Mapping[str, WrittenValue] | None
    text: str = ""


@dataclass(frozen=True)
class SyncOptions:
    """What the sync script is asked to do with a work.

    ``archive`` and ``web`` say where the work goes. ``replace`` means that it replaces the copy that is there, instead
    of being added to it. ``update_web`` refreshes the images on the web. ``audit_pre`` and ``audit_post`` are the
    arguments of the audit tool before and after the sync.
    """

    archive: bool = True
    web: bool = True
    replace: bool = False
    update_web: bool = True
    audit_pre: tuple[str, ...] = ()
    audit_post: tuple[str, ...] = ()

    def words(self, archive_parent: str, web_parent: str | None) -> tuple[str, ...]:
        """Returns the script's arguments for these options.

        :param archive_parent: the path of the archive's shares without their digit.
        :param web_parent: the prefix of all works' images on the web; None if the site has none, so that no ``-w`` is
            among the arguments.
        """
        words: list[str] = []
        if self.archive:
            words += ["-a", archive_parent, *(["-A"] if self.replace else [])]
        if self.web and web_parent is not None:
            words += ["-w", web_parent, *(["-W"] if self.replace else [])]
        return tuple(words)

    def environment(self) -> dict[str, str]:
        """Returns the environment variables from which the script reads the rest of these options."""
        return {
            "LOCAL_AUDIT_OPTIONS": " ".join(self.audit_pre),
            "REPO_AUDIT_OPTIONS": " ".join(self.audit_post),
        } | ({} if self.update_web else {"NO_REFRESH_WEB": "Yes"})


Wish = Literal["archive", "web", "update_web", "audit", "replace"]
"""One of the things that a sync.yml can ask for."""

WISHES: tuple[Wish, ...] = ("archive", "web", "update_web", "audit", "replace")

WORKS_MAY: tuple[Wish, ...] = ("archive", "web", "update_web", "audit")
"""What a work's own file may ask for unless the site says otherwise: nothing that removes or replaces files."""

VERIFY: Depth = "checksum"
"""How the archive's copy is compared with what was bagged, unless the site says otherwise."""

KEEP_REPLACED_DAYS = 30
"""For how many days the files that syncs change or remove are kept, unless the site says otherwise."""


@dataclass(frozen=True)
class Permissions:
    """Which options a work's own file may set.

    ``may`` has what the file may set differently from ``site``, the site's own options. ``redo`` has the arguments of
    ``ao reprocess`` that name the work: its partition, and ``--others`` if it is not that partition's own work.
    """

    may: Collection[str]
    site: SyncOptions
    redo: str

    def lets(self, wish: str, name: str, value: object) -> bool:
        """Whether the file may set an option to this value.

        It may always set what the site has, and always ask that nothing is replaced.

        :param wish: what the option asks for.
        :param name: the option's field in ``SyncOptions``.
        """
        asks_for_less = wish == "replace" and value is False
        return wish in self.may or asks_for_less or value == getattr(self.site, name)

    def refusal(self, wish: str) -> str:
        """Returns a message that says why the file may not ask for something, and who may."""
        listed = ", ".join(self.may) or "nothing"
        said = f"a work may not ask for this; [sync] works_may in site.toml lets works ask for {listed}"
        return f"{said}. A person may, for one run: ao reprocess {self.redo} --replace" if wish == "replace" else said


_SWITCHES = ("archive", "web", "replace", "update_web")
_AUDITS = ("pre", "post")
_KNOWN: Mapping[str, tuple[str, ...]] = {"audit": _AUDITS, "sync": _SWITCHES}

# A bag comes from outside, and a site's own script may hand these words to a shell: nothing that a shell would read as
# more than a plain word is allowed.
_WORD = re.compile(r"[A-Za-z0-9_.,:=/+@%-]+(?: +[A-Za-z0-9_.,:=/+@%-]+)*")


def parse_options(source: Path, written: WrittenValue | None, limit: Permissions | None = None) -> SyncOptions:
    """Returns the options that a file asks for; those that it does not mention have their defaults.

    With a ``limit``, an option that the file may not set is as the site has it. ``replace`` is an exception: it is
    False unless the file asks for it.

    :param source: the file's path, for messages.
    :param written: the file's content; None for an empty file.
    :param limit: what the file may ask for; None for anything.
    :raises SyncOptionsError: with every mistake, by line and key; that includes what the limit does not allow.
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
    """Returns the options that only the site may set."""
    audits = [] if "audit" in may else [f"audit_{name}" for name in _AUDITS]
    return [name for name in _SWITCHES if name not in may and name != "replace"] + audits


def _shown(at: WrittenValue) -> str:
    longest = 60
    text = at.text if len(at.text) <= longest else at.text[:longest] + "…"
    return f" (is: {text!r})" if at.text else ""
