"""Which database DRS is, and how it is reached.

What belongs here: the two ways in which a site names it, a URL or the archive's own
``section:/path/to/db_apps.config``; MySQL's option file, and its settings of TLS. What does not: connecting, which is
``ao_workflows.drs.client``'s.
"""

from __future__ import annotations

import configparser
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ao_workflows.errors import DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import URL

DRIVERS = ("mysql+pymysql", "sqlite")

DEFAULT_PORT = 3306

_TLS_MODES = ("disabled", "preferred", "required", "verify_ca", "verify_identity")
_OFF = ("0", "off", "false", "no", "disabled")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "s": " ", "\\": "\\", '"': '"', "'": "'"}


@dataclass(frozen=True)
class Tls:
    """The settings of TLS in an option file; ``mode`` is one of MySQL's ``ssl-mode``, in lower case."""

    mode: str
    ca: str | None = None
    capath: str | None = None
    cert: str | None = None
    key: str | None = None
    cipher: str | None = None

    def context(self) -> ssl.SSLContext:
        """Returns the settings in the form that Python's ssl takes.

        :raises OSError: (``ssl.SSLError`` is one) if a file is missing or holds no certificate.
        """
        context = ssl.create_default_context(cafile=self.ca, capath=self.capath)
        # MySQL and MariaDB make themselves certificates that strict X.509 (Python 3.13's default) refuses
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.check_hostname = self.mode == "verify_identity"
        context.verify_mode = ssl.CERT_REQUIRED if self.mode.startswith("verify") else ssl.CERT_NONE
        if self.cert:
            context.load_cert_chain(self.cert, self.key)
        if self.cipher:
            context.set_ciphers(self.cipher)
        return context


@dataclass(frozen=True)
class Database:
    """A database that was named. ``where`` it is, and the ``source`` that says so, contain no password."""

    url: URL
    where: str
    source: str
    tls: Tls | None = None
    socket: str | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this machine."""
        return self.url.drivername == "sqlite"


def named_database(url: str | None, config: str | None) -> Database:
    """Returns the database that a URL, or ``section:/path/to/db_apps.config``, names; exactly one of them is to be
    given.

    :raises DatabaseError: naming the file, section and key that cannot be used.
    """
    if url and not config:
        return _from_url(url)
    if config and not url:
        return _from_config(config)
    raise DatabaseError("[drs]", "name the database by either url or config in site.toml, by one of them")


def _from_url(text: str) -> Database:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text is not repeated: it may hold a password
        raise DatabaseError("[drs] url", "is no URL such as mysql+pymysql://user:password@host/database") from None
    if url.drivername not in DRIVERS:
        raise DatabaseError("[drs] url", f"begins with {url.drivername}, and {' or '.join(DRIVERS)} is needed")
    if url.drivername == "sqlite":
        if not url.database or url.database == ":memory:":
            raise DatabaseError("[drs] url", "a SQLite database in memory is gone with its connection: name a file")
        return Database(url, where=url.database, source="[drs] url")
    if not url.database:
        raise DatabaseError("[drs] url", "names no database: mysql+pymysql://user@host/database")
    return Database(url, where=_where(url), source="[drs] url")


def _where(url: URL) -> str:
    return f"{url.username or ''}@{url.host or 'localhost'}:{url.port or DEFAULT_PORT}/{url.database}"


def _from_config(text: str) -> Database:
    section, colon, path = text.partition(":")
    if not (section and colon and path):
        raise DatabaseError("[drs] config", f"{text!r} is not section:/path/to/db_apps.config")
    apps_path = Path(path).expanduser()
    apps = configparser.RawConfigParser(strict=False)
    try:
        apps.read_string(_read(apps_path))
    except configparser.Error as error:
        # Neither repeated nor chained: Python's words have the line, and it may have a password
        raise DatabaseError(str(apps_path), f"is no ini file{_line_of(error)}") from None
    server = _app_value(apps, apps_path, section, "server")
    options_path = apps_path.parent / Path(_app_value(apps, apps_path, "mysql", "mySqlCnfPath")).expanduser()
    groups = parse_option_file(_read(options_path))
    if server not in groups:
        raise DatabaseError(str(options_path), f"has no section [{server}], which [{section}] of {apps_path} names")
    return _from_options(groups[server], f"[{server}] of {options_path}")


def _line_of(error: configparser.Error) -> str:
    numbers = [number for number, _ in getattr(error, "errors", ())] or [getattr(error, "lineno", None)]
    return f": its line {numbers[0]} cannot be read" if numbers[0] else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatabaseError(str(path), f"cannot be read: {error}") from error


def _app_value(apps: configparser.RawConfigParser, path: Path, section: str, key: str) -> str:
    try:
        return apps.get(section, key).strip("\"' ")
    except configparser.NoSectionError:
        known = ", ".join(apps.sections())
        raise DatabaseError(str(path), f"has no section [{section}] (it has {known or 'none'})") from None
    except configparser.NoOptionError:
        raise DatabaseError(str(path), f"section [{section}] has no {key}") from None


def _from_options(options: Mapping[str, str | None], source: str) -> Database:
    from sqlalchemy import URL

    missing = [key for key in ("user", "database") if not options.get(key)]
    if missing:
        raise DatabaseError(source, f"has no {' and no '.join(missing)}")
    host = options.get("host") or "localhost"
    try:
        port = int(options.get("port") or DEFAULT_PORT)
    except ValueError:
        raise DatabaseError(source, f"port = {options['port']!r} is no number") from None
    url = URL.create(
        "mysql+pymysql",
        username=options["user"],
        password=options.get("password"),
        host=host,
        port=port,
        database=options["database"],
    )
    # MySQL's own clients go by the socket when the host is "localhost", by TCP when it is any other
    socket = options.get("socket") if host == "localhost" and options.get("protocol") != "tcp" else None
    return Database(url, where=_where(url), source=source, tls=_tls(options, source), socket=socket)


def _tls(options: Mapping[str, str | None], source: str) -> Tls | None:
    """None where the file says nothing of TLS: it is then used if the server has it."""

    def on(key: str) -> bool:
        return key in options and (options[key] or "").lower() not in _OFF

    named = {key: options.get(f"ssl-{key}") for key in ("ca", "capath", "cert", "key", "cipher")}
    if options.get("ssl-mode"):
        mode = str(options["ssl-mode"]).lower()
    elif on("skip-ssl") or ("ssl" in options and not on("ssl")):
        mode = "disabled"
    elif on("ssl-verify-server-cert"):
        mode = "verify_identity"
    elif named["ca"] or named["capath"]:
        mode = "verify_ca"  # as MySQL's clients do: who names an authority wants the server to be proven by it
    elif on("ssl") or any(named.values()):
        mode = "required"
    else:
        return None
    if mode not in _TLS_MODES:
        raise DatabaseError(source, f"ssl-mode = {options['ssl-mode']!r} is none of {', '.join(_TLS_MODES).upper()}")
    return None if mode == "preferred" else Tls(mode, **named)


def parse_option_file(text: str) -> dict[str, dict[str, str | None]]:
    """Returns the groups of a MySQL option file, with keys in lower case and dashes; None for a key without ``=``.

    A value in quotes is read as MySQL reads it, with its escapes. One without quotes ends at a ``#`` with a space
    before it, and is otherwise taken as it is: the archive's present system reads those files with Python's
    configparser, so a password with a bare ``#`` or a backslash works there, and must go on working here.

    https://dev.mysql.com/doc/refman/8.4/en/option-files.html
    """
    groups: dict[str, dict[str, str | None]] = {}
    group: dict[str, str | None] | None = None
    for raw_line in text.splitlines():
        line = raw_line.strip()
        if not line or line[0] in "#;!":
            continue
        if heading := re.match(r"\[([^]]*)\]", line):
            group = groups.setdefault(heading[1].strip(), {})
        elif group is not None:
            key, equals, value = line.partition("=")
            group[key.strip().lower().replace("_", "-")] = _option_value(value.strip()) if equals else None
    return groups


def _option_value(value: str) -> str:
    if quoted := re.match(r"""(?P<quote>["'])(?P<inner>(?:\\.|(?!(?P=quote)).)*)(?P=quote)\s*(?:#.*)?$""", value):
        return re.sub(r"\\([btnrs\\\"'])", lambda escape: _ESCAPES[escape[1]], quoted["inner"])
    return re.split(r"\s+#", value, maxsplit=1)[0]
