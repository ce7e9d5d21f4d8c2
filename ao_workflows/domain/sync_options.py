"""Sync options: what a work's ``config/sync.yml`` asks of the sync script.

What belongs here: the options as values, and the words and variables that they become. What does not: running
the script (``ao_workflows.resources.sync_script``).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SyncOptions:
    """``archive`` and ``web`` say where to, ``replace`` instead of adding, ``update_web`` refreshes the web's copy.

    ``audit_pre`` and ``audit_post`` are words for the audit tool before and after.
    """

    archive: bool = True
    web: bool = True
    replace: bool = False
    update_web: bool = True
    audit_pre: tuple[str, ...] = ()
    audit_post: tuple[str, ...] = ()

    def words(self, archive_parent: str, web_parent: str | None) -> tuple[str, ...]:
        """The script's options; ``-w`` is left out at a site without a web prefix."""
        words: list[str] = []
        if self.archive:
            words += ["-a", archive_parent, *(["-A"] if self.replace else [])]
        if self.web and web_parent is not None:
            words += ["-w", web_parent, *(["-W"] if self.replace else [])]
        return tuple(words)

    def environment(self) -> dict[str, str]:
        """The variables that the script reads of these options."""
        return {
            "LOCAL_AUDIT_OPTIONS": " ".join(self.audit_pre),
            "REPO_AUDIT_OPTIONS": " ".join(self.audit_post),
        } | ({} if self.update_web else {"NO_REFRESH_WEB": "Yes"})
