"""The folder that docker compose runs from, on disk: read from its sources, compared, written.

What belongs here: what is in the folder, file by file; reading the source folder, the secrets and what is there;
writing with the right owner and mode. What does not: deciding what becomes of an edited file, and which secret is
production's (``domain.deployment``).
"""

from __future__ import annotations

import configparser
import json
import os
import re
import secrets
import stat
import subprocess
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ao_workflows.deployment.plan import (
    Change,
    Step,
    Wanted,
    digest_of,
    merge_env,
    of_production,
    only_sections,
    plan_files,
    sections_of,
)
from ao_workflows.errors import DeployError
from ao_workflows.site.sections import CHECKOUT, Site, parse

UIDS = {"prod": 1001, "dev": 5000}
"""The user that syncs into the archive, in each environment, unless another one is said."""

_RECORD = ".deployed.json"
_SECRET = 0o400
_FOLDERS = {"config": 0o755, "secrets": 0o700, "proxy": 0o755, "certificates": 0o700}
_OF_PROJECT = {
    "docker-compose.yml": "docker-compose.yml",
    "config/dagster.yaml": "docker/config/dagster.yaml",
    "config/workspace.yaml": "docker/config/workspace.yaml",
    "proxy/haproxy.cfg": "docker/proxy/haproxy.cfg",
}
_MOUNTED_SECRETS = "/run/secrets"
_ROLES = ("operator", "archivist")


@dataclass(frozen=True)
class Order:
    """What ``ao deploy`` was asked for."""

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


@dataclass(frozen=True)
class Deployment:
    """What is to be done: the files' steps, the folders with their modes, and what is said about it."""

    root: Path
    uid: int
    steps: tuple[Step, ...]
    folders: tuple[tuple[Path, int], ...]
    said: tuple[str, ...]
    recorded: Mapping[str, str]

    def changes(self) -> bool:
        """Whether anything is to be done at all."""
        return any(step.change not in {Change.SAME, Change.KEPT} for step in self.steps) or any(
            not folder.is_dir() or _owned(folder) != (self.uid, mode) for folder, mode in self.folders
        )


def prepare(order: Order) -> Deployment:
    """What has to be done for the folder to be as ordered; nothing is changed.

    :raises DeployError: with every mistake in what was given.
    :raises SiteError: if the site.toml is not right.
    """
    root = order.destination
    uid = UIDS[order.environment] if order.uid is None else order.uid
    if os.geteuid() not in {0, uid}:
        raise DeployError([f"{root}: its files belong to the user {uid}: run this as root, such as with sudo"])
    found_env = _text(root / ".env")
    defaults, given = _settings(order, uid, root)
    env, said = merge_env(found_env, defaults, given)
    in_force = dict(line.split("=", 1) for line in env.splitlines() if "=" in line and not line.startswith("#"))
    site_text = _required(order.source / "site.toml", "the site's description (docs/site.md)")
    site = parse(site_text, str(order.source / "site.toml"))
    mistakes = _mistakes(site, order, root)
    logs_on_s3 = in_force.get("COMPUTE_LOGS", "")
    if logs_on_s3 and not re.fullmatch(r"s3://[^/]+/.+", logs_on_s3):
        mistakes.append(f".env: COMPUTE_LOGS must be s3://bucket/prefix or empty (is: {logs_on_s3})")
    wanted = [
        Wanted(".env", env.encode(), ours_to_merge=True),
        Wanted("config/site.toml", site_text.encode()),
        Wanted("config/sync.yml", (_text(order.source / "sync.yml") or "").encode()),
        *[Wanted(path, (CHECKOUT / own).read_bytes()) for path, own in _OF_PROJECT.items()],
        Wanted("upgrade", (CHECKOUT / "docker/upgrade").read_bytes(), 0o755),
        *_secrets(order, site, root, mistakes, logs_on_s3=bool(logs_on_s3)),
        *_certificate(order, root, mistakes),
    ]
    if mistakes:
        raise DeployError(mistakes)
    recorded = json.loads(_text(root / _RECORD) or "{}")
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
    """Does it. A file appears whole or stays as it is; what is done is done again in the same way.

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
    """Makes the empty trees ``Archive0`` to ``Archive3``, each with ``00`` to ``99``; says how many were made.

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
    given |= {"AO_FOLDER": str(root), "AO_ENVIRONMENT": order.environment}
    given |= {"SYNC_ACCESS_UID": str(order.uid)} if order.uid is not None else {}
    given |= {"AO_IMAGE": order.image} if order.image else {}
    given |= {"ARCH_ROOT": str(order.arch_root)} if order.arch_root != Path("/mnt") else {}
    return defaults, given


def _version() -> str:
    from importlib.metadata import version

    return version("ao-workflows")


def _mistakes(site: Site, order: Order, root: Path) -> list[str]:
    """What does not fit together."""
    mistakes = []
    before = _environment_before(root)
    if before and before != order.environment:
        mistakes.append(f"{root}: is a {before} folder; a {order.environment} one wants a folder of its own")
    if site.environment != order.environment:
        mistakes.append(f"site.toml: environment is {site.environment}, and --env says {order.environment}")
    if site.staging.root != Path("/staging"):
        mistakes.append("site.toml: staging.root must be /staging, where the scratch disk is in every container")
    if not site.archive.parent.is_relative_to("/mnt"):
        mistakes.append("site.toml: archive.parent must be below /mnt, where ARCH_ROOT is in every container")
    if site.aws_credentials not in {None, Path(_MOUNTED_SECRETS, "aws")}:
        mistakes.append(f"site.toml: aws_credentials must be {_MOUNTED_SECRETS}/aws")
    return mistakes


def _environment_before(root: Path) -> str | None:
    lines = (_text(root / ".env") or "").splitlines()
    return next((line.removeprefix("AO_ENVIRONMENT=") for line in lines if line.startswith("AO_ENVIRONMENT=")), None)


def _secrets(order: Order, site: Site, root: Path, mistakes: list[str], *, logs_on_s3: bool) -> list[Wanted]:
    """The secrets by name: what the site names of the archive's own, and those that are made up here, once."""
    password = _text(root / "secrets/postgres-password") or secrets.token_urlsafe(24)
    wanted = [
        Wanted("secrets/postgres-password", password.encode(), _SECRET),
        Wanted("secrets/pgpass", f"*:*:*:*:{password}\n".encode(), _SECRET),
        Wanted(
            "secrets/redis-password",
            (_text(root / "secrets/redis-password") or secrets.token_urlsafe(24)).encode(),
            _SECRET,
        ),
    ]
    wanted += _people(order, root, mistakes)
    if order.environment == "dev":
        database = _text(root / "secrets/mariadb-password") or secrets.token_urlsafe(24)
        wanted.append(Wanted("secrets/mariadb-password", database.encode(), _SECRET))
    if site.drs.config:
        wanted += _database_secrets(order, site.drs.config, mistakes)
    profiles = {intake.aws_profile for intake in site.queues.values()} - {None}
    production = {intake.aws_profile for intake in site.queues.values() if intake.environment == "prod"} - {None}
    chosen = {str(name) for name in profiles} | set(order.aws_sections) or ({"default"} if site.queues else set())
    # What runs print: they write it with this section of aws-credentials, and the pages read it with keys of their own.
    of_logs = {"compute_logs"} if logs_on_s3 else set()
    readers = _sections(order.secrets / "compute-logs", of_logs, order, set(), mistakes) if of_logs else ""
    wanted.append(Wanted("secrets/compute-logs", readers.encode(), _SECRET))
    if chosen := chosen | of_logs:
        path = order.secrets / "aws-credentials"
        text = _sections(path, chosen, order, {str(name) for name in production}, mistakes)
        wanted.append(Wanted("secrets/aws-credentials", text.encode(), _SECRET))
    return wanted


def _people(order: Order, root: Path, mistakes: list[str]) -> list[Wanted]:
    """Who may come in: the lines ``name role password`` of the secrets' ``people``; in dev, one operator is made up."""
    path = order.secrets / "people"
    text = _text(path)
    if text is None:
        if (root / "secrets/proxy_users").is_file():
            return []
        if order.environment != "dev":
            mistakes.append(f"{path}: is missing: a line `name operator|archivist password` for each person")
            return []
        word = secrets.token_urlsafe(12)
        return [
            Wanted("secrets/operator", f"operator {word}\n".encode(), _SECRET),
            Wanted("secrets/proxy_users", proxy_users([("operator", "operator", word)]).encode(), _SECRET),
        ]
    people = []
    for number, line in enumerate(text.splitlines(), 1):
        match line.split():
            case [] | ["#", *_]:
                continue
            case [name, ("operator" | "archivist") as role, password] if re.fullmatch(r"[A-Za-z0-9._@-]+", name):
                people.append((name, role, password))
            case _:
                mistakes.append(f"{path}, line {number}: must be `name operator|archivist password`")
    before = _text(root / "secrets/proxy_users") or ""
    return [Wanted("secrets/proxy_users", proxy_users(people, before).encode(), _SECRET)]


def _database_secrets(order: Order, named: str, mistakes: list[str]) -> list[Wanted]:
    """db_apps.config with the section that the site names, and the option file with the server that this names."""
    section, _, path = named.partition(":")
    if path != f"{_MOUNTED_SECRETS}/db_apps":
        mistakes.append(f"site.toml: drs.config must name {_MOUNTED_SECRETS}/db_apps")
    apps = _sections(order.secrets / "db_apps.config", {section, "mysql", *order.db_sections}, order, set(), mistakes)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(apps)
    except configparser.Error:
        mistakes.append(f"{order.secrets / 'db_apps.config'}: is no ini file")
        return []
    options = parser.get("mysql", "mySqlCnfPath", fallback=None)
    if options != f"{_MOUNTED_SECRETS}/drs_cnf":
        mistakes.append(
            f"{order.secrets / 'db_apps.config'}: [mysql] mySqlCnfPath must be {_MOUNTED_SECRETS}/drs_cnf, "
            f"where the option file is in every container (is: {options})"
        )
    servers = {parser.get(name, "server", fallback="") for name in parser.sections()} - {""}
    server = _sections(order.secrets / "drs.config", servers, order, set(), mistakes)
    return [
        Wanted("secrets/db_apps.config", apps.encode(), _SECRET),
        Wanted("secrets/drs.config", server.encode(), _SECRET),
    ]


def _sections(
    path: Path, names: Collection[str], order: Order, production: Collection[str], mistakes: list[str]
) -> str:
    """Those sections of a secret file; what is missing, and what is production's in a dev folder, is a mistake."""
    text = _text(path)
    if text is None:
        mistakes.append(f"{path}: is missing; --secrets says which folder has it")
        return ""
    there = sections_of(text)
    mistakes += [f"{path}: has no section [{name}]" for name in sorted(set(names) - set(there))]
    if order.environment != "prod":
        mistakes += [
            f"{path}: [{name}] is production's; a {order.environment} folder does not get it"
            for name in of_production([name for name in there if name in names], production)
        ]
    return only_sections(text, names)


def _certificate(order: Order, root: Path, mistakes: list[str]) -> list[Wanted]:
    """The proxy's certificate and key in one file: the one given, the one there, or, in dev, one signed by itself."""
    path = "certificates/proxy.pem"
    if order.certificate:
        return [Wanted(path, _required(order.certificate, "the proxy's certificate").encode(), _SECRET)]
    if (root / path).is_file():
        return []
    if order.environment != "dev":
        mistakes.append("--certificate: which file has the proxy's certificate and its key? (A dev folder makes one.)")
        return []
    return [Wanted(path, self_signed().encode(), _SECRET)]


def self_signed() -> str:
    """A certificate for localhost and its key, for trials."""
    with tempfile.TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key"), Path(folder, "certificate")
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "825", "-subj", "/CN=localhost"]
        command += [
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ]
        try:
            subprocess.run(command, capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise DeployError([f"openssl cannot make a certificate: {error}; give one with --certificate"]) from error
        return certificate.read_text() + key.read_text()


def proxy_users(people: Iterable[tuple[str, str, str]], before: str = "") -> str:
    """The proxy's list of users, from names, roles ("operator" or "archivist") and passwords, which are hashed.

    A password that is a hash of crypt(3) already, such as ``openssl passwd -6`` prints, stays as it is. The others
    get the salts that they have in the list ``before``: what has not changed is then the same.
    """
    people = list(people)
    salts = dict(re.findall(r"^ +user (\S+) password \$6\$([^$\s]+)\$", before, re.MULTILINE))
    lines = ["userlist people"]
    for role in _ROLES:
        if names := [name for name, given, _ in people if given == role]:
            lines.append(f"    group {role}s users {','.join(names)}")
        else:
            lines.append(f"    group {role}s")
    lines += [f"    user {name} password {_hashed(password, salts.get(name))}" for name, _, password in people]
    return "".join(f"{line}\n" for line in lines)


def _hashed(password: str, salt: str | None) -> str:
    if re.fullmatch(r"\$[0-9a-z]+\$[^\s:]+", password):
        return password
    command = ["openssl", "passwd", "-6", "-stdin", *(["-salt", salt] if salt else [])]
    try:
        return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise DeployError([f"openssl cannot hash a password: {error}"]) from error


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise DeployError([f"{path}: cannot be read: {error}"]) from error


def _required(path: Path, what: str) -> str:
    text = _text(path)
    if text is None:
        raise DeployError([f"{path}: is missing: {what}"])
    return text


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
