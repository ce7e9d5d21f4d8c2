"""How DRS is named: the two ways, MySQL's option file, and TLS against a real server."""

from __future__ import annotations

import secrets
import socket
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ao_workflows.drs.client import Drs
from ao_workflows.drs.config import named_database, parse_option_file
from ao_workflows.errors import DatabaseError, DatabaseUnavailable

if TYPE_CHECKING:
    from ao_workflows_tests.support.mariadb import MariaDb

pytest_plugins = ["ao_workflows_tests.support.mariadb"]


def _config(folder: Path, options: str, *, server: str = "server = archive") -> str:
    """``prod:…/db_apps.config`` with an option file that says ``options``."""
    (folder / "mysql.cnf").write_text(options)
    apps = folder / "db_apps.config"
    apps.write_text(f"# of the archive\n[mysql]\nmySqlCnfPath = {folder / 'mysql.cnf'}\n[prod]\n{server}\n")
    return f"prod:{apps}"


def _options(server: MariaDb, *more: str, user: str | None = None, password: str | None = None) -> str:
    lines = [
        "[client]",
        "host = elsewhere.invalid",
        "[archive]",
        f"user = {user or server.user}",
        f"password = {password or server.password}",
        "host = 127.0.0.1",
        f"port = {server.port}",
        f"database = {server.make_database()}",
        *more,
    ]
    return "\n".join(lines)


def test_the_archives_own_files_reach_the_database(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """A site switches without changing its secrets."""
    drs = Drs(config=_config(tmp_path, _options(mariadb_server)))
    assert drs.init()
    assert f"drs@127.0.0.1:{mariadb_server.port}/" in drs.check()


@pytest.mark.parametrize(
    ("password", "written"),
    [
        ("p#a%b:@/+ c", "p#a%b:@/+ c"),
        (r"back\slash", r"back\slash"),
        ("it's", "it's"),
        ("with # space", '"with # space"'),
        ("quoted\"'\\", r'"quoted\"\'\\"  # and a comment'),
        ("plain", "'plain'"),
        ("before", "before   # a comment"),
        ("=equal=", "=equal="),
    ],
)
def test_a_generated_password_arrives_as_it_is(
    mariadb_server: MariaDb, tmp_path: Path, password: str, written: str
) -> None:
    """Generators like signs that mean something to ini files, to URLs, or to SQL."""
    mariadb_server.run("CREATE OR REPLACE USER generated@'127.0.0.1' IDENTIFIED BY %s", password)
    mariadb_server.run("GRANT ALL ON *.* TO generated@'127.0.0.1'")
    assert Drs(config=_config(tmp_path, _options(mariadb_server, user="generated", password=written))).init()


def test_a_changed_password_holds_from_the_next_call(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """A rotated secret must not need the code server, the daemon and every worker to be started again."""
    options = _options(mariadb_server)
    drs = Drs(config=_config(tmp_path, options.replace(mariadb_server.password, "an older one")))
    with pytest.raises(DatabaseError, match=r"Access denied.*\[archive\] of .*mysql\.cnf") as caught:
        drs.init()
    assert not caught.value.transient
    _config(tmp_path, options)
    assert drs.init()


def test_an_option_file_may_ask_for_proven_tls(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """Without it, the password and the works' names cross the institute's network for all to read."""
    ca = f"ssl-ca = {mariadb_server.certificate}"
    for more in ([ca], [ca, "ssl_mode = VERIFY_IDENTITY"], [ca, "ssl-verify-server-cert"], ["ssl-mode=required"]):
        drs = Drs(config=_config(tmp_path, _options(mariadb_server, *more)))
        assert drs.init()
        assert "(TLSv1." in drs.check()


def test_an_option_file_may_ask_for_no_tls(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """An old server's TLS may be broken, and its clients told to leave it."""
    drs = Drs(config=_config(tmp_path, _options(mariadb_server, "ssl-mode = DISABLED")))
    assert drs.init()
    assert "(not encrypted)" in drs.check()


def test_a_server_that_is_not_proven_is_refused_at_once(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """An impostor gets no password, and a wrong certificate is no outage to wait for."""
    from ao_workflows_tests.support.mariadb import make_certificate

    make_certificate(tmp_path / "other.pem")
    drs = Drs(config=_config(tmp_path, _options(mariadb_server, f"ssl-ca = {tmp_path / 'other.pem'}")), patience=3600)
    with pytest.raises(DatabaseError, match=r"certificate is not trusted.*\[archive\]") as caught:
        drs.init()
    assert not caught.value.transient


def test_a_server_of_another_name_is_refused_where_the_name_is_to_be_proven(
    mariadb_server: MariaDb, tmp_path: Path
) -> None:
    """VERIFY_CA proves who signed, VERIFY_IDENTITY also for whom."""
    named = _options(mariadb_server, f"ssl-ca = {mariadb_server.certificate}", "ssl-mode = VERIFY_IDENTITY")
    drs = Drs(config=_config(tmp_path, named.replace("host = 127.0.0.1", "host = localhost")), patience=3600)
    with pytest.raises(DatabaseError, match="certificate is not trusted") as caught:
        drs.init()
    assert not caught.value.transient


def test_the_socket_is_used_where_the_host_is_this_one(mariadb_server: MariaDb, tmp_path: Path) -> None:
    """MySQL's clients do; a server on the same host may listen nowhere else."""
    options = _options(mariadb_server, f"socket = {mariadb_server.socket}", user="root").replace(
        "host = 127.0.0.1\n", ""
    )
    options = options.replace(f"port = {mariadb_server.port}", "port = 1").replace(
        f"password = {mariadb_server.password}\n", ""
    )
    assert Drs(config=_config(tmp_path, options)).init()


@pytest.mark.parametrize(
    ("options", "server", "said"),
    [
        ("[other]\n", "server = archive", r"mysql\.cnf: has no section \[archive\], which \[prod\] of"),
        ("[archive]\nhost = h\n", "server = archive", r"\[archive\] of .*mysql\.cnf: has no user and no database"),
        ("[archive]\nuser=u\ndatabase=d\nport=x\n", "server = archive", "port = 'x' is no number"),
        ("[archive]\nuser=u\ndatabase=d\nssl-mode=yes\n", "server = archive", "ssl-mode = 'yes' is none of"),
        ("[archive]\nuser=u\ndatabase=d\nssl-ca=/nowhere\n", "server = archive", "ssl- files cannot be used"),
        ("[archive]\n", "host = archive", r"db_apps\.config: section \[prod\] has no server"),
    ],
)
def test_a_mistake_in_the_files_is_named(tmp_path: Path, options: str, server: str, said: str) -> None:
    """Three files name a database: the reader must learn which of them to open, and what to look for."""
    with pytest.raises(DatabaseError, match=said) as caught:
        Drs(config=_config(tmp_path, options, server=server)).rows()
    assert not caught.value.transient


def test_what_names_no_database_is_refused(tmp_path: Path) -> None:
    """Each of these would fail later, as something else."""
    config = _config(tmp_path, "")
    for url, named, said in (
        (None, None, "by either url or config"),
        ("sqlite:///x", config, "by one of them"),
        ("sqlite://", None, "in memory is gone"),
        ("postgresql://u@h/d", None, "begins with postgresql"),
        ("mysql+pymysql://u@h", None, "names no database"),
        ("user:pass word@host", None, "is no URL"),
        (None, "prod", "is not section:"),
        (None, "prod:/nowhere/db_apps.config", "cannot be read"),
        (None, config.replace("prod:", "qa:"), r"no section \[qa\] \(it has mysql, prod\)"),
    ):
        with pytest.raises(DatabaseError, match=said) as caught:
            named_database(url, named)
        assert "pass word" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("127.0.0.1:1/d?ssl=true", "with the options ssl: AttributeError.* for TLS there are ssl_ca"),
        ("127.0.0.1:1/d?ssl_ca=/nonexistent", "with the options ssl_ca: FileNotFoundError"),
        ("127.0.0.1:1/d?ssl_mode=REQUIRED", "unexpected keyword argument 'ssl_mode'"),
        ("127.0.0.1:1/d?foo=bar", "unexpected keyword argument 'foo'"),
        ("127.0.0.1:1/d?connect_timeout=x", "with the options connect_timeout: ValueError"),
        (f"{'a' * 70}/d", "cannot be used to connect: UnicodeError.*too long"),
    ],
)
def test_a_url_that_the_driver_cannot_use_is_told_in_words(given: str, said: str) -> None:
    """Each of them was a stack trace of the driver, in `ao site check` and in a work's run."""
    drs = Drs(url=f"mysql+pymysql://u:hidden@{given}", patience=3600)
    with pytest.raises(DatabaseError, match=rf"DRS: \[drs\] url: .*{said}") as caught:
        drs.check()
    assert not caught.value.transient
    assert "hidden" not in str(caught.value)


def test_an_option_that_reads_a_file_does_not_tell_what_is_in_it(tmp_path: Path) -> None:
    """A file without a heading is told by its first line, which may be the password's."""
    (tmp_path / "my.cnf").write_text("password = hidden\n")
    with pytest.raises(DatabaseError, match="with the options read_default_file: MissingSectionHeader") as caught:
        Drs(url=f"mysql+pymysql://u@127.0.0.1:1/d?read_default_file={tmp_path / 'my.cnf'}").check()
    assert "hidden" not in str(caught.value)


def test_a_password_that_the_driver_cannot_send_is_told_and_not_repeated(tmp_path: Path) -> None:
    """The driver's own error has the password in it, whichever of the two ways it came by."""
    options = "[archive]\nuser = u\ndatabase = d\nhost = 127.0.0.1\npassword = hiddenཀ\n"
    for drs, source in (
        (Drs(url="mysql+pymysql://u:hiddenཀ@127.0.0.1:1/d"), r"\[drs\] url"),
        (Drs(config=_config(tmp_path, options)), r"\[archive\] of .*mysql\.cnf"),
    ):
        with pytest.raises(DatabaseError, match=f"{source}: .*password.* has a letter that latin-1 lacks") as caught:
            drs.check()
        told = "".join(traceback.format_exception(caught.value))
        assert "hidden" not in told
        assert "u0f40" not in told


def test_an_account_that_needs_another_package_is_told(mariadb_server: MariaDb) -> None:
    """MariaDB's ed25519 is nothing that the driver can do by itself."""
    mariadb_server.run("INSTALL SONAME 'auth_ed25519'")
    try:
        mariadb_server.run("CREATE USER signer@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('hidden')")
        url = mariadb_server.url("d").replace(f"{mariadb_server.user}:{mariadb_server.password}", "signer:hidden")
        with pytest.raises(DatabaseError, match=r"\[drs\] url: .*pynacl.* ed25519") as caught:
            Drs(url=url, patience=3600).check()
        assert not caught.value.transient
    finally:
        mariadb_server.run("DROP USER IF EXISTS signer@'127.0.0.1'")
        mariadb_server.run("UNINSTALL SONAME 'auth_ed25519'")


@pytest.mark.parametrize("greeting", [b"", b"\x0a10.11.6-MariaDB\0\1", b"\x0a10.11.6-MariaDB\0\1\0\0\0saltsalt\0\xff"])
def test_a_greeting_that_is_cut_short_may_pass(greeting: bytes) -> None:
    """A server that dies as it greets, or a proxy in front of it, is an outage and no reason to give a work up."""

    def greet(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.sendall(len(greeting).to_bytes(3, "little") + b"\0" + greeting)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=greet, args=(server,))
        thread.start()
        drs = Drs(url=f"mysql+pymysql://u:hidden@127.0.0.1:{server.getsockname()[1]}/d", patience=0)
        with pytest.raises(DatabaseUnavailable, match=r"greeting was cut short.*\[drs\] url") as caught:
            drs.check()
        thread.join()
    assert "hidden" not in str(caught.value)


def test_an_option_file_is_read_as_mysql_reads_it() -> None:
    """Python's ini parser joins indented lines, stops at a key without a value, and refuses one that is there twice."""
    text = """
        # a comment
        lost = before any group
        !includedir /etc/mysql/conf.d
        [archive]
          user=one
          User = two
          skip_ssl
          password = "a\\sb\\tc\\\\d"
        ; another
        [mysqld] # of the server
        port=1
        [archive]
        port = 3307
    """
    assert parse_option_file(text) == {
        "archive": {"user": "two", "skip-ssl": None, "password": "a b\tc\\d", "port": "3307"},
        "mysqld": {"port": "1"},
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [("[prod]\nserver = archive\npassword WORD\n", 3), ("password = WORD\n[prod]\n", 1)],
    ids=["no key", "no section"],
)
def test_a_file_that_is_no_ini_file_is_told_by_its_line_and_not_by_what_is_in_it(
    tmp_path: Path, text: str, line: int
) -> None:
    """What a run fails with stands on the page that archivists look at, with all that led to it."""
    word = secrets.token_hex(8)
    apps = tmp_path / "db_apps.config"
    apps.write_text(text.replace("WORD", word))
    with pytest.raises(DatabaseError, match=f"is no ini file: its line {line} cannot be read") as refused:
        Drs(config=f"prod:{apps}").rows()
    assert word not in "".join(traceback.format_exception(refused.value))
