"""An order: what ``ao deploy`` was asked for, and reading the source files that it names.

What belongs here: the request, and reading its files. What does not: secrets
(``ao_workflows.deployment.secret_files``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ao_workflows.errors import DeployError

UIDS = {"prod": 1001, "dev": 5000}
"""The user that syncs into the archive, in each environment, unless another one is said."""


SECRET_MODE = 0o400
"""A secret is read by its owner alone."""


@dataclass(frozen=True)
class Order:
    """What ``ao deploy`` was asked for: its options, checked and with absolute paths."""

    destination: Path
    environment: str
    source: Path
    secrets: Path
    arch_root: Path = Path("/mnt")
    uid: int | None = None
    image: str | None = None
    aws_sections: tuple[str, ...] = ()
    db_sections: tuple[str, ...] = ()
    certificate: Path | None = None
    replace: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def text_of(path: Path) -> str | None:
    """Returns the text of a file; None if there is none.

    :raises DeployError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError([f"{path}: cannot be read: {error}"]) from error


def required_text(path: Path, what: str) -> str:
    """Returns the text of a file that must be there; ``what`` says what it is needed for.

    :raises DeployError: if it is missing or cannot be read.
    """
    text = text_of(path)
    if text is None:
        raise DeployError([f"{path}: is missing: {what}"])
    return text
