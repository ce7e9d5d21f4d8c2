"""The folder that docker compose runs from, on disk: read from its sources, compared, written.

What belongs here: what is in the folder, file by file; reading the source folder and what is there; writing with the
right owner and mode. What does not: deciding what happens to an edited file (``plan``), and the secrets
(``secret_files``).
"""

from __future__ import annotations

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ao_workflows.deployment.order import UIDS, Order, required_text, text_of
from ao_workflows.deployment.plan import (
    Change,
    PlannedFile,
    WantedFile,
    digest_of,
    merge_env,
    plan_files,
)
from ao_workflows.deployment.secret_files import MOUNTED_SECRETS, VIEWER, certificate_files, wanted_secrets
from ao_workflows.errors import DeployError
from ao_workflows.site.loading import parse
from ao_workflows.site.sections import CHECKOUT, Site

_RECORD = ".deployed.json"
_FOLDERS = {"config": 0o755, "secrets": 0o700, "proxy": 0o755, "certificates": 0o700}
_OF_PROJECT = {
    "docker-compose.yml": "docker-compose.yml",
    "config/dagster.yaml": "docker/config/dagster.yaml",
    "config/workspace.yaml": "docker/config/workspace.yaml",
    "proxy/haproxy.cfg": "docker/proxy/haproxy.cfg",
}


@dataclass(frozen=True)
class Deployment:
    """What is to be done: what happens to each file, the folders with their modes, and sentences for the operator."""

    root: Path
    uid: int
    steps: tuple[PlannedFile, ...]
    folders: tuple[tuple[Path, int], ...]
    remarks: tuple[str, ...]
    recorded: Mapping[str, str]

    def changes(self) -> bool:
        """Whether anything is to be done at all."""
        return any(step.change not in {Change.SAME, Change.KEPT} for step in self.steps) or any(
            not folder.is_dir() or _owned(folder) != (self.uid, mode) for folder, mode in self.folders
        )


def prepare(order: Order) -> Deployment:
    """Returns what has to be done for the folder to be as ordered; changes nothing.

    :raises DeployError: with every mistake in what was given.
    :raises SiteError: if site.toml has mistakes.
    """
    root = order.destination
    uid = UIDS[order.environment] if order.uid is None else order.uid
    if os.geteuid() not in {0, uid}:
        raise DeployError([f"{root}: its files belong to the user {uid}: run this as root, such as with sudo"])
    found_env = text_of(root / ".env")
    defaults, given = _settings(order, uid, root)
    env, said = merge_env(found_env, defaults, given)
    in_force = dict(line.split("=", 1) for line in env.splitlines() if "=" in line and not line.startswith("#"))
    site_text = required_text(order.source / "site.toml", "the site's description (docs/site.md)")
    site = parse(site_text, str(order.source / "site.toml"))
    mistakes = _mistakes(site, order, root)
    logs_on_s3 = in_force.get("COMPUTE_LOGS", "")
    if logs_on_s3 and not re.fullmatch(r"s3://[^/]+/.+", logs_on_s3):
        mistakes.append(f".env: COMPUTE_LOGS must be s3://bucket/prefix or empty (is: {logs_on_s3})")
    wanted = [
        WantedFile(".env", env.encode(), ours_to_merge=True),
        WantedFile("config/site.toml", site_text.encode()),
        WantedFile("config/sync.yml", (text_of(order.source / "sync.yml") or "").encode()),
        *[WantedFile(path, (CHECKOUT / own).read_bytes()) for path, own in _OF_PROJECT.items()],
        WantedFile("upgrade", (CHECKOUT / "docker/upgrade").read_bytes(), 0o755),
        *wanted_secrets(order, site, root, mistakes, logs_on_s3=bool(logs_on_s3)),
        *certificate_files(order, root, mistakes),
    ]
    if mistakes:
        raise DeployError(mistakes)
    recorded = json.loads(text_of(root / _RECORD) or "{}")
    found = {each.path: (root / each.path).read_bytes() for each in wanted if (root / each.path).is_file()}
    unknown = set(order.replace) - {each.path for each in wanted}
    if unknown:
        raise DeployError([f"--replace {name}: it is none of the files of this folder" for name in sorted(unknown)])
    folders = [(root, 0o755), *((root / name, mode) for name, mode in _FOLDERS.items())]
    folders += [(Path(in_force[name]), 0o755) for name in ("STAGING", "LOGS", "PROCESSING", "BACKUPS")]
    # Where the logs are mounted: no container may make it.
    folders.append((Path(in_force["STAGING"], "logs"), 0o755))
    return Deployment(
        root, uid, tuple(plan_files(wanted, found, recorded, order.replace)), tuple(folders), tuple(said), recorded
    )


def apply(deployment: Deployment) -> None:
    """Does it. A file appears whole or stays as it is; doing it again has the same result.

    :raises DeployError: if the disk refuses.
    """
    try:
        for folder, mode in deployment.folders:
            folder.mkdir(parents=True, exist_ok=True)
            _own(folder, deployment.uid, mode)
        record = dict(deployment.recorded)
        for step in deployment.steps:
            wanted = step.wanted
            if step.change in {Change.NEW, Change.UPDATED, Change.REPLACED}:
                _write(deployment.root / wanted.path, wanted.content, deployment.uid, wanted.mode)
            elif step.change is Change.CONFLICT:
                _write(deployment.root / step.beside, wanted.content, deployment.uid, wanted.mode)
            if step.change not in {Change.KEPT, Change.CONFLICT}:
                record[wanted.path] = digest_of(wanted.content)
        _write(deployment.root / _RECORD, json.dumps(record, indent=1).encode(), deployment.uid, 0o644)
    except OSError as error:
        raise DeployError([f"{error.filename or deployment.root}: {error.strerror}"], begun=True) from error


def init_archive(place: Path, uid: int) -> int:
    """Makes the empty trees ``Archive0`` to ``Archive3``, each with ``00`` to ``99``; returns how many folders were
    made.

    :raises DeployError: if the disk refuses.
    """
    made = 0
    try:
        for share in range(4):
            for bucket in range(100):
                folder = place / f"Archive{share}" / f"{bucket:02}"
                if not folder.is_dir():
                    folder.mkdir(parents=True)
                    for each in (folder, folder.parent):
                        _own(each, uid, 0o755)
                    made += 1
    except OSError as error:
        raise DeployError([f"{error.filename or place}: {error.strerror}"], begun=True) from error
    return made


def _settings(order: Order, uid: int, root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The lines of ``.env``: what they are where nobody says otherwise, and what was said now."""
    socket = Path("/var/run/docker.sock")
    defaults = {
        "AO_FOLDER": str(root),
        "AO_ENVIRONMENT": order.environment,
        "ARCH_ROOT": str(order.arch_root),
        "SYNC_ACCESS_UID": str(uid),
        "DOCKER_GID": str(socket.stat().st_gid) if socket.exists() else "",
        "STAGING": str(root / "staging"),
        "LOGS": str(root / "logs"),
        "PROCESSING": str(root / "processing"),
        "BACKUPS": str(root / "backups"),
        "AO_IMAGE": f"ao-workflows:{_version()}",
        "POSTGRES_IMAGE": "postgres:15-bookworm",
        "PROXY_IMAGE": "haproxy:2.6",
        "RUNS_IN": "containers",
        "RUNS_AT_ONCE": "2",
        "TZ": "UTC",
    }
    given = dict(order.settings)
    if storage := given.get("DAGSTER_STORAGE") or _line_of(root, "DAGSTER_STORAGE"):
        read = re.sub(r"(?<=//)[^@/?]*(?=@)", VIEWER, storage).replace("/pgpass", "/viewer_pgpass")
        defaults["VIEWER_STORAGE"] = read
    given |= {"AO_FOLDER": str(root), "AO_ENVIRONMENT": order.environment}
    given |= {"SYNC_ACCESS_UID": str(order.uid)} if order.uid is not None else {}
    given |= {"AO_IMAGE": order.image} if order.image else {}
    given |= {"ARCH_ROOT": str(order.arch_root)} if order.arch_root != Order.arch_root else {}
    return defaults, given


def _version() -> str:
    from importlib.metadata import version

    return version("ao-workflows")


def _mistakes(site: Site, order: Order, root: Path) -> list[str]:
    """What does not fit together."""
    mistakes = []
    before = _line_of(root, "AO_ENVIRONMENT")
    if before and before != order.environment:
        mistakes.append(f"{root}: is a {before} folder; a {order.environment} one wants a folder of its own")
    if site.environment != order.environment:
        mistakes.append(f"site.toml: environment is {site.environment}, and --env says {order.environment}")
    if site.staging.root != Path("/staging"):
        mistakes.append("site.toml: staging.root must be /staging, where the scratch disk is in every container")
    if not site.archive.parent.is_relative_to("/mnt"):
        mistakes.append("site.toml: archive.parent must be below /mnt, where ARCH_ROOT is in every container")
    if site.aws_credentials not in {None, Path(MOUNTED_SECRETS, "aws")}:
        mistakes.append(f"site.toml: aws_credentials must be {MOUNTED_SECRETS}/aws")
    return mistakes


def _line_of(root: Path, name: str) -> str | None:
    """What ``.env`` says of a name now."""
    lines = (text_of(root / ".env") or "").splitlines()
    return next((line.removeprefix(f"{name}=") for line in lines if line.startswith(f"{name}=")), None)


def _owned(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


def _own(path: Path, uid: int, mode: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, -1, follow_symlinks=False)
    path.chmod(mode)


def _write(path: Path, content: bytes, uid: int, mode: int) -> None:
    """Under another name first, which only its owner can read, then in one rename."""
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        left.unlink()  # by a process that died
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(descriptor)
        _own(Path(name), uid, mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
