"""Secret files: those that a deployment's folder has, taken from the site's own or made up once.

What belongs here: which secrets there are, who may come in, the certificate. What does not: writing the folder
(``ao_workflows.deployment.folder``).
"""

from __future__ import annotations

import configparser
import re
import secrets
import subprocess
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from ao_workflows.deployment.order import SECRET_MODE, Order, required_text, text_of
from ao_workflows.deployment.plan import (
    WantedFile,
    of_production,
    only_sections,
    sections_of,
)
from ao_workflows.errors import DeployError
from ao_workflows.site.sections import Site

MOUNTED_SECRETS = "/run/secrets"
VIEWER = "dagster_viewer"
"""The user of PostgreSQL by which the archivists' page reads (``ao_workflows.instance.storage_reader``)."""

_ROLES = ("operator", "archivist")


def wanted_secrets(order: Order, site: Site, root: Path, mistakes: list[str], *, logs_on_s3: bool) -> list[WantedFile]:
    """Returns the secret files: what the site uses of the archive's own, and those that are generated here, once.

    :param mistakes: gets a line for each secret that is missing or must not be used.
    :param logs_on_s3: whether compute logs go to S3, which needs a profile of its own.
    """
    password = text_of(root / "secrets/postgres-password") or secrets.token_urlsafe(24)
    viewer = text_of(root / "secrets/viewer-pgpass") or f"*:*:*:{VIEWER}:{secrets.token_urlsafe(24)}\n"
    wanted = [
        WantedFile("secrets/postgres-password", password.encode(), SECRET_MODE),
        WantedFile("secrets/pgpass", f"*:*:*:*:{password}\n".encode(), SECRET_MODE),
        WantedFile("secrets/viewer-pgpass", viewer.encode(), SECRET_MODE),
        WantedFile(
            "secrets/redis-password",
            (text_of(root / "secrets/redis-password") or secrets.token_urlsafe(24)).encode(),
            SECRET_MODE,
        ),
    ]
    wanted += _people(order, root, mistakes)
    if order.environment == "dev":
        database = text_of(root / "secrets/mariadb-password") or secrets.token_urlsafe(24)
        wanted.append(WantedFile("secrets/mariadb-password", database.encode(), SECRET_MODE))
    if site.drs.config:
        wanted += _database_secrets(order, site.drs.config, mistakes)
    profiles = {intake.aws_profile for intake in site.queues.values()} - {None}
    production = {intake.aws_profile for intake in site.queues.values() if intake.environment == "prod"} - {None}
    chosen = {str(name) for name in profiles} | set(order.aws_sections) or ({"default"} if site.queues else set())
    # What runs print: they write it with this section of aws-credentials, and the pages read it with keys of their own.
    of_logs = {"compute_logs"} if logs_on_s3 else set()
    readers = _sections(order.secrets / "compute-logs", of_logs, order, set(), mistakes) if of_logs else ""
    wanted.append(WantedFile("secrets/compute-logs", readers.encode(), SECRET_MODE))
    if chosen := chosen | of_logs:
        path = order.secrets / "aws-credentials"
        text = _sections(path, chosen, order, {str(name) for name in production}, mistakes)
        wanted.append(WantedFile("secrets/aws-credentials", text.encode(), SECRET_MODE))
    return wanted


def _people(order: Order, root: Path, mistakes: list[str]) -> list[WantedFile]:
    """Who may come in: the lines ``name role password`` of the secrets' ``people``; in dev, one operator is made up."""
    path = order.secrets / "people"
    text = text_of(path)
    if text is None:
        if (root / "secrets/proxy_users").is_file():
            return []
        if order.environment != "dev":
            mistakes.append(f"{path}: is missing: a line `name operator|archivist password` for each person")
            return []
        word = secrets.token_urlsafe(12)
        return [
            WantedFile("secrets/operator", f"operator {word}\n".encode(), SECRET_MODE),
            WantedFile("secrets/proxy_users", proxy_users([("operator", "operator", word)]).encode(), SECRET_MODE),
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
    before = text_of(root / "secrets/proxy_users") or ""
    return [WantedFile("secrets/proxy_users", proxy_users(people, before).encode(), SECRET_MODE)]


def _database_secrets(order: Order, named: str, mistakes: list[str]) -> list[WantedFile]:
    """db_apps.config with the section that the site names, and the option file with the server that this names."""
    section, _, path = named.partition(":")
    if path != f"{MOUNTED_SECRETS}/db_apps":
        mistakes.append(f"site.toml: drs.config must name {MOUNTED_SECRETS}/db_apps")
    apps = _sections(order.secrets / "db_apps.config", {section, "mysql", *order.db_sections}, order, set(), mistakes)
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(apps)
    except configparser.Error:
        mistakes.append(f"{order.secrets / 'db_apps.config'}: is no ini file")
        return []
    options = parser.get("mysql", "mySqlCnfPath", fallback=None)
    if options != f"{MOUNTED_SECRETS}/drs_cnf":
        mistakes.append(
            f"{order.secrets / 'db_apps.config'}: [mysql] mySqlCnfPath must be {MOUNTED_SECRETS}/drs_cnf, "
            f"where the option file is in every container (is: {options})"
        )
    servers = {parser.get(name, "server", fallback="") for name in parser.sections()} - {""}
    server = _sections(order.secrets / "drs.config", servers, order, set(), mistakes)
    return [
        WantedFile("secrets/db_apps.config", apps.encode(), SECRET_MODE),
        WantedFile("secrets/drs.config", server.encode(), SECRET_MODE),
    ]


def _sections(
    path: Path, names: Collection[str], order: Order, production: Collection[str], mistakes: list[str]
) -> str:
    """Those sections of a secret file; what is missing, and what is production's in a dev folder, is a mistake."""
    text = text_of(path)
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


def certificate_files(order: Order, root: Path, mistakes: list[str]) -> list[WantedFile]:
    """Returns the proxy's certificate and key in one file: the one given, else the one there, else in dev a self-signed
    one.
    """
    path = "certificates/proxy.pem"
    if order.certificate:
        return [WantedFile(path, required_text(order.certificate, "the proxy's certificate").encode(), SECRET_MODE)]
    if (root / path).is_file():
        return []
    if order.environment != "dev":
        mistakes.append("--certificate: which file has the proxy's certificate and its key? (A dev folder makes one.)")
        return []
    return [WantedFile(path, self_signed().encode(), SECRET_MODE)]


def self_signed() -> str:
    """Returns a certificate for localhost and its key, for trials."""
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
    """Returns the proxy's list of users.

    A password that is a hash of crypt(3) already, such as ``openssl passwd -6`` prints, stays as it is; others are
    hashed. They get the salts that they have in the list ``before``, so that what has not changed stays the same.

    :param people: names, roles ("operator" or "archivist") and passwords.
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
